"""How lessons are made: from their source to notebooks, linted and verified."""

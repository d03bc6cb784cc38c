"""Learning platforms: marks into their own files, and hand-ins out of theirs."""

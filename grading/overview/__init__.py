"""What an instructor sees of a class: `gqa class`, and the queue of what needs a person."""

"""Bug hunts: wrong answers that a learner exposes by the inputs that they write."""

from .index import all_hunts, find_hunt

__all__ = ["all_hunts", "find_hunt"]

"""The exercises of the course: one module or more for each lesson, each with a list `EXERCISES`."""

from .exercise import Exercise
from .index import all_exercises, find_exercise

__all__ = ["Exercise", "all_exercises", "find_exercise"]

"""Quizzes: `show_quiz` asks the questions, `check_quiz` says what is answered.

The public half of the bank is here (`quiz.json`, made by `gqa build`). Which answer
is right, and why, stays with the grader.
"""

from .check import check_quiz
from .show import show_quiz

__all__ = ["check_quiz", "show_quiz"]

"""Quizzes where they are graded: the bank with its key, whose sitting it is, the marks.

The tests of quizzes, the same in every lesson, import `mark_quiz` and `right_answers` from here.
"""

from .marking import mark_quiz, right_answers

__all__ = ["mark_quiz", "right_answers"]

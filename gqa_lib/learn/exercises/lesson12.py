"""Lesson 12: which rows stay: the newest, the first and the newest."""

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers

_LESSON = "12-kv-eviction"


def _rows(length, kept):
    """Return (length,), True at the places in `kept` that there are."""
    return torch.tensor([row in kept for row in range(length)], dtype=torch.bool)


# A window


def _length_and_window(generator: torch.Generator, length=0, window=0, draw=0):
    for _ in range(draw):
        length, window = integers(generator, 40, 25)
    return length, window


def _window(length, window):
    return _rows(length, {length - 1 - age for age in range(window)})


SLIDING_WINDOW_KEEP = Exercise(
    name="sliding_window_keep",
    lesson=_LESSON,
    make=_length_and_window,
    oracle=_window,
    cases=(
        {"length": 7, "window": 3},
        {"length": 5, "window": 4},
        {"length": 6, "window": 9},
        {"length": 6, "window": 6},
        {"length": 9, "window": 1},
        {"length": 1, "window": 2},
    ),
    mistakes=(
        Mistake(
            "True marks the rows to drop. Here True means that a row is kept.",
            lambda length, window: ~_window(length, window),
        ),
        Mistake(
            "the oldest rows are kept. The newest are the last ones.",
            lambda length, window: _window(length, window).flip(0),
        ),
        Mistake(
            "one row too many is kept: a window of 3 is 3 rows, the newest among them.",
            lambda length, window: _window(length, window + 1),
        ),
        Mistake(
            "one row too few is kept: a window of 3 is 3 rows, the newest among them.",
            lambda length, window: _window(length, window - 1),
        ),
        Mistake(
            "the newest row is left out, and the window ends before it.",
            lambda length, window: _rows(length, {length - 2 - age for age in range(window)}),
        ),
        Mistake(
            "the rows are numbered. Return a bool for each row: True for those that are kept.",
            lambda length, window: torch.arange(max(0, length - window), length),
        ),
        Mistake(
            "there is a row for each query, as in a mask of a whole prompt. What is asked for are "
            "the rows that stay after the last token: (length,).",
            lambda length, window: torch.stack(
                [_rows(length, set(range(i - window + 1, i + 1))) for i in range(length)]
            ),
        ),
        Mistake(
            "the window is how many rows go, in your code. It is how many should stay.",
            lambda length, window: _window(length, length - window),
        ),
    ),
)


# Sinks and a window


def _length_sinks_window(generator: torch.Generator, length=0, num_sinks=0, window=0, draw=0):
    for _ in range(draw):
        length, num_sinks, window = integers(generator, 40, 9, 25)
        num_sinks -= 1
    return length, num_sinks, window


def _sinks(length, num_sinks, window):
    return _rows(length, set(range(num_sinks)) | set(range(length - window, length)))


SINK_WINDOW_KEEP = Exercise(
    name="sink_window_keep",
    lesson=_LESSON,
    make=_length_sinks_window,
    oracle=_sinks,
    cases=(
        {"length": 9, "num_sinks": 2, "window": 3},
        {"length": 8, "num_sinks": 4, "window": 2},
        {"length": 6, "num_sinks": 4, "window": 5},
        {"length": 7, "num_sinks": 0, "window": 3},
        {"length": 3, "num_sinks": 4, "window": 2},
        {"length": 5, "num_sinks": 1, "window": 7},
        {"length": 11, "num_sinks": 1, "window": 1},
    ),
    mistakes=(
        Mistake(
            "the sinks are missing: the first num_sinks rows stay as well.",
            lambda length, num_sinks, window: _window(length, window),
        ),
        Mistake(
            "the window is missing: the newest rows stay as well.",
            lambda length, num_sinks, window: _rows(length, set(range(num_sinks))),
        ),
        Mistake(
            "the sinks are taken out of the window. Its rows come on top of them: num_sinks + "
            "window rows stay.",
            lambda length, num_sinks, window: _sinks(length, num_sinks, window - num_sinks),
        ),
        Mistake(
            "the sinks are the rows just before the window. They are the first of the sequence.",
            lambda length, num_sinks, window: _window(length, window + num_sinks),
        ),
        Mistake(
            "num_sinks and window are swapped.",
            lambda length, num_sinks, window: _sinks(length, window, num_sinks),
        ),
        Mistake(
            "True marks the rows to drop. Here True means that a row is kept.",
            lambda length, num_sinks, window: ~_sinks(length, num_sinks, window),
        ),
        Mistake(
            "only rows that are both stay. A row stays if it is a sink or in the window.",
            lambda length, num_sinks, window: (
                _rows(length, set(range(num_sinks))) & _window(length, window)
            ),
        ),
        Mistake(
            "there is one sink too many: num_sinks rows, beginning with row 0.",
            lambda length, num_sinks, window: _sinks(length, num_sinks + 1, window),
        ),
        Mistake(
            "row 0 is left out, and the sinks begin after it.",
            lambda length, num_sinks, window: _rows(
                length, set(range(1, num_sinks + 1)) | set(range(length - window, length))
            ),
        ),
        Mistake(
            "with num_sinks=0 everything is kept, or with window rows more than there are: look "
            "at where your slices begin.",
            lambda length, num_sinks, window: (
                _sinks(length, num_sinks, window) if num_sinks else _rows(length, range(length))
            ),
        ),
    ),
)

EXERCISES = [SLIDING_WINDOW_KEEP, SINK_WINDOW_KEEP]

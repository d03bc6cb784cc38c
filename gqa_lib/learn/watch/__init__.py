"""What can be seen of a call to learner's code in addition to its result.

In a notebook that code runs in this process. When a submission is graded it runs in another one,
behind an `Elsewhere`, and is watched there, call by call. What is reported from there can be
forged and therefore only ever costs points: what is right is decided by comparing values, and by
what is seen of a call in a process in which only plain code has run (`where_seen`).
"""

from .watch import (
    Elsewhere,
    NotSeen,
    Observation,
    Watch,
    answer_used,
    as_it_is_now,
    inplace,
    place_of,
    watching,
    where_seen,
)

__all__ = [
    "Elsewhere",
    "NotSeen",
    "Observation",
    "Watch",
    "answer_used",
    "as_it_is_now",
    "inplace",
    "place_of",
    "watching",
    "where_seen",
]

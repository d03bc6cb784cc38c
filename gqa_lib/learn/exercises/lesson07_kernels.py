"""Lesson 07: the kernel that computes one tile's scores, graded in Triton's interpreter."""

import torch

from ..watch import Observation
from .exercise import Complaint, Exercise, Mistake
from .launch import launch, poisoned, untouched
from .variants import draw

_LESSON = "07-decode-kernel"
SPARE = 64  # rows behind an output that nobody may write
ROWS = 16


def _one_head(generator, R, S, D, KEYS, room=0, wide=1, dtype="float32"):
    """Return q, a KV head's keys, the room of its cache, its heads in memory, keys of a tile."""
    q, k = draw(generator, R, D, dtype=dtype), draw(generator, S, D, dtype=dtype)
    return q, k, room or S, wide, KEYS


def _run_scores(yours, q, k, room, wide, KEYS):
    (R, D), S = q.shape, k.shape[0]
    cache = poisoned(k.expand(1, wide, S, D), room, token_major=True)
    scores = q.new_full((R + SPARE, S), torch.nan, dtype=torch.float32)
    given = [q, cache, scores, S, D**-0.5, cache.stride(2)]
    after, seen = launch(yours, (-(-S // KEYS),), given, R=R, D=D, ROWS=ROWS, KEYS=KEYS)
    refuse_dots(seen)
    return untouched(after[2], R, "scores").to(q.dtype)


def _scores(q, k, room=0, wide=1, KEYS=0):
    return q.double() @ k.double().mT * q.shape[-1] ** -0.5


def refuse_dots(seen: Observation) -> None:
    """Refuse products of tiles that a GPU would not take, or would round.

    Raises:
        Complaint: the kernel has such a product.
    """
    if seen.rounded_dot:
        raise Complaint(
            'its tl.dot of float32 tiles leaves out input_precision="ieee". The interpreter '
            "computes in full float32; recent GPUs would round each number to 10 bits first (TF32)."
        )
    if seen.small_dot:
        raise Complaint(
            f"it multiplies tiles {seen.small_dot}. The interpreter takes them, a GPU does not: "
            "every side of tl.dot must be at least 16. Use tiles of ROWS rows, the real ones of "
            "which are r < R."
        )


SCORES_KERNEL = Exercise(
    name="scores_kernel",
    lesson=_LESSON,
    make=_one_head,
    oracle=_scores,
    call=_run_scores,
    cases=(
        {"R": 3, "S": 75, "D": 32, "KEYS": 64, "room": 80},
        {"R": 4, "S": 20, "D": 32, "KEYS": 32, "room": 20, "wide": 3},
        {"R": 16, "S": 64, "D": 16, "KEYS": 32, "room": 70},
        {"R": 5, "S": 9, "D": 16, "KEYS": 32, "room": 11, "dtype": "float16"},
    ),
    mistakes=(
        Mistake(
            "the scores are not multiplied by `scale`.", lambda q, k, *_: q.double() @ k.double().mT
        ),
        Mistake(
            "every program works on the first tile: the keys of program i are "
            "i * KEYS + n, with i = tl.program_id(0).",
            lambda q, k, room, wide, KEYS: _scores(q, k).where(
                torch.arange(len(k)) < KEYS, torch.nan
            ),
        ),
        Mistake(
            "the scores are divided by `scale`, which is 1 / sqrt(D) already.",
            lambda q, k, *_: q.double() @ k.double().mT * q.shape[-1] ** 0.5,
        ),
    ),
)

EXERCISES = [SCORES_KERNEL]

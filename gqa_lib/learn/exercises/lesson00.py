"""Lesson 00: the warm-up."""

import torch

from .exercise import Exercise, Mistake

_LESSON = "00-start-here"


def _queries_per_kv_head(num_heads: int, num_kv_heads: int) -> int:
    if num_heads % num_kv_heads:
        raise ValueError(f"{num_heads} query heads cannot be shared evenly by {num_kv_heads}")
    return num_heads // num_kv_heads


def _make(generator, num_heads=0, num_kv_heads=0, even=True, draw=0):
    """Return the head counts given, or the `draw`-th that the generator draws."""
    for _ in range(draw):
        num_kv_heads, shared, left = torch.randint(2, 40, (3,), generator=generator).tolist()
        num_heads = num_kv_heads * shared + (0 if even else 1 + left % (num_kv_heads - 1))
    return num_heads, num_kv_heads


EXERCISES = [
    Exercise(
        name="queries_per_kv_head",
        lesson=_LESSON,
        make=_make,
        oracle=_queries_per_kv_head,
        cases=(
            {"num_heads": 32, "num_kv_heads": 8},
            {"num_heads": 32, "num_kv_heads": 32},
            {"num_heads": 28, "num_kv_heads": 4},
            {"num_heads": 71, "num_kv_heads": 1},
            {"num_heads": 12, "num_kv_heads": 5},
        ),
        mistakes=(
            Mistake("the division is turned around.", lambda heads, kv: kv // heads),
            Mistake(
                "the remainder is returned: a // b is how often b goes into a, a % b what is left.",
                lambda heads, kv: heads % kv,
            ),
            Mistake(
                "the two head counts are subtracted: it is a ratio, how many query heads read "
                "each KV head.",
                lambda heads, kv: heads - kv,
            ),
            Mistake(
                "the number of KV heads itself is returned. (In many codebases 'groups' means "
                "that; here we count the query heads that share one KV head.)",
                lambda heads, kv: kv,
            ),
        ),
    )
]

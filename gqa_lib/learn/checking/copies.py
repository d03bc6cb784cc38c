"""`check_no_copy` and `kv_copied`: see whether K and V were expanded, a copy per query head."""

from collections.abc import Callable
from dataclasses import replace

import torch

from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.watch import Observation, watching
from gqa_lib.learn.watch.copies import Copies

from .check import fresh_seed, record
from .conditions import refuse_whole
from .difference import difference
from .running import not_yet, run, watched


def kv_copied(
    function: Callable, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> tuple[int, str]:
    """Return how many elements of keys and values a call copies, and the last operation that did.

    Args:
        function: attention, called with q, k and v.
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D); S and D unlike every other size, and unlike B x Hq.
    """
    with Copies([q, k, v], *k.shape[2:]) as made:
        function(q, k, v)
    return made.elements, made.operation


def check_no_copy(
    name: str, yours: Callable, *, cases: list[dict] | None = None, seed: int | None = 0
) -> None:
    """Check that your attention never makes a tensor as large as K expanded to all query heads.

    Args:
        name: the exercise.
        yours: a function of q (B, Hq, T, D), k and v (B, Hkv, S, D).
        cases: shapes to try; those of the exercise unless given. No other size may equal S or D.
        seed: seed of the random inputs; None draws a fresh one.

    Raises:
        NotYet: it makes one; the message names the operation.
        ValueError: there is no such exercise, or it has no cases to see copies in.
    """
    exercise = find_exercise(name)
    if not exercise.copy_cases:
        raise ValueError(
            f"{name} has no cases to see copies in: check it with check({name!r}, ...)."
        )
    seed = fresh_seed(name) if seed is None else seed
    generator = torch.Generator().manual_seed(seed)
    try:
        yours = watched(exercise, yours)
        for case in exercise.copy_cases if cases is None else cases:
            _look_for_copies(exercise, yours, *exercise.make(generator, **case))
        _look_for_copies(
            exercise, yours, *exercise.make(generator, **exercise.peak_case), all_=True
        )
    except NotYet as failed:
        record(exercise, "check", passed=False, detail=str(failed))
        raise
    record(exercise, "check", passed=True, detail="no copy")
    print(f"✓ {name}: K and V are read in place, never copied per query head.")


def _look_for_copies(exercise, yours, q, k, v, last, *, all_: bool = False) -> None:
    """Look at a call whose last argument is causal, or the number of parts of equal size.

    With `all_` whatever is written counts, keys or not: K expanded is more than all that is needed.
    """
    (B, Hq, _, D), (_, Hkv, S, _) = q.shape, k.shape
    plainly = replace(exercise, call=lambda function, *given: function(*given))  # just once
    sizes = (S // int(last), D) if last else (S, D)
    what = {"copies": sizes, "made": all_, "whole": exercise.by_hand}
    with watching(yours, given=(q, k, v), **what) as watch:
        result = run(plainly, yours, (q, k, v, last))
    if difference(result, exercise.oracle(q, k, v, last), q.dtype):
        raise not_yet(exercise, "Its result is not right yet, so there is nothing to look at.")
    seen, expanded = watch.seen(result), B * Hq * S * D
    refuse_whole(exercise, seen)
    if seen.copied < expanded and 2 * seen.written < expanded:
        return
    raise not_yet(
        exercise,
        f"{_copy_message(seen, expanded)} K has shape {(B, Hkv, S, D)}; expanded to every query "
        f"head it would have {(B, Hq, S, D)}.",
        "Broadcasting k.unsqueeze(2) in a matmul copies too, as does q @ k.mT with one KV head "
        "and two or more sequences. Fold the query heads of a KV head into the rows of q instead, "
        "and leave k and v as they are.",
    )


def _copy_message(seen: Observation, expanded: int) -> str:
    if seen.copied >= expanded:
        by = f"{seen.operation} copied: " if seen.operation else "It copied "
        return f"{by}{seen.copied} elements of keys and values in all."
    return f"Its operations write {seen.written} numbers in all."

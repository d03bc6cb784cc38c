"""`check`: runs a learner's code on an exercise's cases and says what is probably wrong."""

import copy
import hashlib
import os
import secrets
from functools import partial
from typing import Any

import torch

from gqa_lib.learn import progress
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.exercises.exercise import Exercise, NotYet
from gqa_lib.learn.watch import Elsewhere, answer_used, watching

from .conditions import check_conditions, check_gradients, floats
from .difference import difference, same, unchanged
from .running import called_with, not_yet, outcome, run


def check(name: str, yours: Any, *, cases: list[dict] | None = None, seed: int | None = 0) -> None:
    """Compare your function or class with an independent float64 reference.

    Args:
        name: the exercise, as its heading calls it.
        yours: your function or class.
        cases: shapes to try; those of the exercise unless given.
        seed: seed of the random inputs; None draws a fresh one.

    Raises:
        NotYet: the results differ; the message says how, and what that usually means.
        ValueError: there is no such exercise.
    """
    exercise = find_exercise(name)
    seed = fresh_seed(name) if seed is None else seed
    cases = list(exercise.cases if cases is None else cases)
    try:
        _refuse_the_library(exercise, yours)
        for case in cases:
            _try_case(exercise, yours, case, seed, "cpu")
        _try_again(exercise, yours, cases[0], seed + 1)
        has_gpu = torch.cuda.is_available() and not isinstance(yours, Elsewhere)
        if has_gpu:
            _try_case(exercise, yours, cases[0], seed, "cuda")
        check_conditions(exercise, yours, cases[0], seed, devices=not has_gpu)
        if exercise.trains:
            check_gradients(exercise, yours, cases[0], seed)
    except _Differs as differs:
        message = _explained(exercise, yours, differs, seed)
        record(exercise, "check", passed=False, detail=str(message))
        raise message from None
    except NotYet as failed:
        record(exercise, "check", passed=False, detail=str(failed))
        raise
    record(exercise, "check", passed=True)
    tried = f"all {len(cases)} cases agree" if len(cases) > 1 else "it agrees"
    print(f"✓ {name}: {tried} with the reference.")


def fresh_seed(name: str) -> int:
    """Return a new seed; with a seed of the course's own, the one that gives for this exercise."""
    if course := os.environ.get("GQA_SEED"):
        return int.from_bytes(hashlib.sha256(f"{course}:{name}".encode()).digest()[:4])
    return secrets.randbits(32)


def record(exercise: Exercise, kind: str, *, passed: bool | None = None, detail: str = "") -> None:
    """Append to the learner's record, except while grading; never get in the learner's way.

    Args:
        exercise: what it is about.
        kind: one of the record's kinds, such as "check" or "hint".
        passed: whether a check passed; None where nothing was checked.
        detail: what the learner was told.
    """
    if "NBGRADER_EXECUTION" in os.environ:
        return
    score, max_score = (None, None) if passed is None else (float(passed), 1.0)
    try:
        progress.add(exercise.lesson, exercise.name, kind, score, max_score, detail)
    except Exception as trouble:  # a full disk or a locked file must not fail a right answer
        print(f"(Progress was not saved: {trouble})")


class _Differs(Exception):
    """A result that differs from the oracle's: how, and what the call was."""

    def __init__(self, found: str, called: str):
        super().__init__(found)
        self.found, self.called = found, called


def _refuse_the_library(exercise: Exercise, yours) -> None:
    if used := answer_used(yours):
        raise not_yet(
            exercise,
            f"It uses {used}, the library's own answer, and exercises are graded without that. "
            "Write this part yourself; the end of the lesson compares yours with the library's.",
        )


def _try_case(exercise: Exercise, yours, case: dict, seed: int, device: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    arguments = _to(exercise.make(generator, **case), device)
    expected = outcome(exercise.oracle, copy.deepcopy(arguments))
    before = copy.deepcopy(arguments)
    called = called_with(exercise, before)
    with watching(yours, settings=True, arguments=True) as watch:
        got = run(exercise, yours, arguments)
    if changed := watch.seen(got).settings:
        raise not_yet(
            exercise,
            f"It calls {changed[0]}, which changes everything that runs after it. Say the dtype or "
            "the device where a tensor is made instead.",
        )
    for place, (now, then) in enumerate(zip(arguments, before, strict=True), 1):
        if not unchanged(now, then):
            raise not_yet(
                exercise,
                f"It changed its argument number {place} in place. The caller still needs it: "
                "work on a new one instead.",
                called,
            )
    if isinstance(expected, ValueError):
        _check_error(exercise, got, called)
        return
    dtypes = [tensor.dtype for tensor in floats(before)]
    if found := difference(got, expected, dtypes[0] if dtypes else None):
        raise _Differs(found, called)
    if dtypes and isinstance(got, torch.Tensor) and got.device.type != device:
        raise not_yet(
            exercise, f"Its inputs are on {device!r}, its result on {got.device.type!r}.", called
        )


def _check_error(exercise: Exercise, got: Any, called: str) -> None:
    if not isinstance(got, ValueError):
        raise not_yet(exercise, f"It returned {_shown(got)}; raise a ValueError instead.", called)
    if not str(got):
        raise not_yet(
            exercise,
            "It raises a ValueError that says nothing. Whoever reads it needs to know what is "
            'wrong, with the numbers in it: raise ValueError(f"...").',
            called,
        )


def _shown(got: Any) -> str:
    if isinstance(got, torch.Tensor):
        return f"a tensor {tuple(got.shape)}"
    return f"({', '.join(map(_shown, got))})" if type(got) is tuple else repr(got)


def _try_again(exercise: Exercise, yours, case: dict, seed: int) -> None:
    """Try a case that was right once more, with other numbers in it."""
    try:
        _try_case(exercise, yours, case, seed, "cpu")
    except _Differs as differs:
        raise not_yet(
            exercise,
            "It was right on its first call and wrong when called again with other values: does "
            "it keep something from one call to the next?",
            differs.found,
            differs.called,
        ) from None


def _explained(exercise: Exercise, yours, differs: _Differs, seed: int) -> NotYet:
    """Return the learner's message, naming the known mistake that fits the most cases, if any.

    A mistake that one case speaks against is none, and is not tried on the others.
    """
    fits = dict.fromkeys(exercise.mistakes, 0)
    for case in exercise.cases:
        if not fits:
            break
        arguments = exercise.make(torch.Generator().manual_seed(seed), **case)
        got = outcome(partial(exercise.call, yours), copy.deepcopy(arguments))
        expected = outcome(exercise.oracle, copy.deepcopy(arguments))
        if isinstance(expected, Exception):
            continue
        for mistake in list(fits):
            wrong = outcome(mistake.wrong, copy.deepcopy(arguments))
            if isinstance(wrong, Exception):
                continue
            if same(got, wrong):
                fits[mistake] += not same(wrong, expected)
            elif not _overflowed(got):  # in float64, as the mistake is computed, it might fit
                del fits[mistake]
    best = max(fits, key=fits.__getitem__, default=None)
    named = f"That is what you get when {best.says}" if best and fits[best] > 0 else ""
    return not_yet(exercise, differs.found, named, differs.called)


def _overflowed(got: Any) -> bool:
    results = got if isinstance(got, tuple | list) else (got,)
    tensors = [one for one in results if isinstance(one, torch.Tensor)]
    return any(bool(one.isnan().any()) for one in tensors if one.device.type != "meta")


def _to(arguments: tuple, device: str) -> tuple:
    return tuple(a.to(device) if isinstance(a, torch.Tensor) else a for a in arguments)

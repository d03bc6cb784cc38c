"""`check`: runs a learner's code on an exercise's cases and says what is probably wrong."""

import copy
import hashlib
import os
import secrets
import textwrap
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gqa_lib.learn import progress
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.exercises.exercise import Complaint, Exercise, NotYet, describe
from gqa_lib.learn.watch import Elsewhere, answer_used, watching

from .difference import difference, same

_LIBRARIES = {"torch", "triton"}  # whose lines are not the learner's


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
        if torch.cuda.is_available() and not isinstance(yours, Elsewhere):
            _try_case(exercise, yours, cases[0], seed, "cuda")
        else:
            _try_devices(exercise, yours, cases[0], seed)
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


def run(exercise: Exercise, yours: Any, arguments: tuple) -> Any:
    """Return what the learner's code returns, or its ValueError where the oracle raises one too.

    Args:
        exercise: what is checked.
        yours: the learner's function or class.
        arguments: of one case, as `exercise.make` gives them.

    Raises:
        NotYet: it is still a stub, or stopped with another error; the learner's line is named.
    """
    try:
        result = exercise.call(yours, *arguments)
        return repr(result) if isinstance(result, Exception) else result  # returned, not raised
    except ValueError as error:
        if isinstance(_outcome(exercise.oracle, arguments), ValueError):
            return error
        raise _stopped(exercise, error, arguments) from None
    except NotImplementedError as error:
        if str(error):  # torch raises it too, with a message
            raise _stopped(exercise, error, arguments) from None
        raise not_yet(
            exercise,
            "it is still a stub. Write your code where it says YOUR CODE HERE, and delete the "
            "line that raises NotImplementedError.",
        ) from error
    except Complaint as complaint:
        raise not_yet(exercise, str(complaint)) from None
    except Exception as error:
        raise _stopped(exercise, error, arguments) from None


def not_yet(exercise: Exercise, *lines: str) -> NotYet:
    """Return the exception whose text a learner reads.

    Args:
        exercise: what is not solved yet.
        lines: what is wrong, a paragraph each; empty ones are left out.
    """
    wrap = textwrap.TextWrapper(
        92, initial_indent="  ", subsequent_indent="  ", break_long_words=False
    )
    paragraphs = [*filter(None, lines), f"Stuck? hint({exercise.name!r})"]
    wrapped = [wrap.fill(line) for line in paragraphs]
    return NotYet("\n".join([f"{exercise.name}: not yet.", *wrapped]))


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
    expected = _outcome(exercise.oracle, copy.deepcopy(arguments))
    before = copy.deepcopy(arguments)
    called = "Called with " + ", ".join(describe(a) for a in before) + "."
    with watching(yours, settings=True, arguments=True) as watch:
        got = run(exercise, yours, arguments)
    if changed := watch.seen(got).settings:
        raise not_yet(
            exercise,
            f"It calls {changed[0]}, which changes everything that runs after it. Say the dtype or "
            "the device where a tensor is made instead.",
        )
    if isinstance(expected, ValueError):
        if not isinstance(got, ValueError):
            raise not_yet(exercise, f"It returned {got!r}; raise a ValueError instead.", called)
        return
    for place, (now, then) in enumerate(zip(arguments, before, strict=True), 1):
        if not _unchanged(now, then):
            raise not_yet(
                exercise,
                f"It changed its argument number {place} in place. The caller still needs it: "
                "work on a new one instead.",
                called,
            )
    if found := difference(got, expected, _dtype(before)):
        raise _Differs(found, called)
    if _dtype(before) and isinstance(got, torch.Tensor) and got.device.type != device:
        raise not_yet(
            exercise, f"Its inputs are on {device!r}, its result on {got.device.type!r}.", called
        )


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


def _try_devices(exercise: Exercise, yours, case: dict, seed: int) -> None:
    """See without a GPU whether the code would fail on one."""
    arguments = exercise.make(torch.Generator().manual_seed(seed), **case)
    with watching(yours, devices=True) as watch:
        got = run(exercise, yours, arguments)
    seen = watch.seen(got)
    if _dtype(arguments) and (seen.mixed or seen.left_behind):
        where = f"{seen.mixed} gets another one on the CPU" if seen.mixed else "its result is not"
        raise not_yet(
            exercise,
            f"Its values are right here, but it would fail on a GPU: with its inputs there, {where}"
            ". Make new tensors with device=x.device or move them with .to(x.device), where x is "
            "one of the inputs.",
        )


def _unchanged(now, then) -> bool:
    if isinstance(then, torch.Tensor):
        same_kind = isinstance(now, torch.Tensor) and now.dtype == then.dtype
        return same_kind and torch.equal(now, then)
    if type(now) is not type(then):
        return False
    if isinstance(then, dict):
        return now.keys() == then.keys() and all(_unchanged(now[key], then[key]) for key in then)
    if isinstance(then, list | tuple):
        return len(now) == len(then) and all(map(_unchanged, now, then))
    return now == then


def _explained(exercise: Exercise, yours, differs: _Differs, seed: int) -> NotYet:
    """Return the learner's message, naming the known mistake that fits the most cases, if any."""
    fits = dict.fromkeys(exercise.mistakes, 0)
    for case in exercise.cases:
        arguments = exercise.make(torch.Generator().manual_seed(seed), **case)
        got = _outcome(partial(exercise.call, yours), copy.deepcopy(arguments))
        expected = _outcome(exercise.oracle, copy.deepcopy(arguments))
        if isinstance(expected, Exception):
            continue
        for mistake in fits:
            wrong = _outcome(mistake.wrong, copy.deepcopy(arguments))
            if isinstance(wrong, Exception):
                continue
            if same(wrong, expected):  # what is wrong here, it does not explain
                fits[mistake] -= not same(got, expected)
            else:
                fits[mistake] += 1 if same(got, wrong) else -len(exercise.cases)
    best = max(fits, key=fits.__getitem__, default=None)
    named = f"That is what you get when {best.says}" if best and fits[best] > 0 else ""
    return not_yet(exercise, differs.found, named, differs.called)


def _outcome(function, arguments: tuple):
    try:
        return function(*arguments)
    except Exception as error:
        return error


def _stopped(exercise: Exercise, error: Exception, arguments: tuple) -> NotYet:
    """Return NotYet naming the learner's own line and error, not this module's frames."""
    here = str(Path(__file__).parents[1])  # gqa_lib.learn, the exercises included
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(here) and not _LIBRARIES & {*frame.filename.split(os.sep)}
    ]
    where = f"in {frames[-1].name}, line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
    where = getattr(error, "where_elsewhere", where)
    return not_yet(
        exercise,
        f"it stopped with {type(error).__name__}: {error}",
        where,
        "Called with " + ", ".join(describe(a) for a in arguments) + ".",
    )


def _to(arguments: tuple, device: str) -> tuple:
    return tuple(a.to(device) if isinstance(a, torch.Tensor) else a for a in arguments)


def _dtype(arguments: tuple) -> torch.dtype | None:
    floats = [a for a in arguments if isinstance(a, torch.Tensor) and a.is_floating_point()]
    return floats[0].dtype if floats else None

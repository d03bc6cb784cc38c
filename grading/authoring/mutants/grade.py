"""Grades mutants side by side: each in a fork of a process in which the lesson is solved."""

import os
import pickle
import re
import resource
import select
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gqa_lib.course.manifest import Lesson
from grading.nb.cells import is_solution, known_id

from ..run import as_grader, run_cell
from ..source import read_source, source_of
from ..verify import solved
from .mutant import Mutant
from .wrappers import EFFECTS, NEEDS, probe, probed, touched

CPU_S, MEMORY_BYTES = 60, 8 << 30  # far more than any answer needs


@dataclass(frozen=True)
class Outcome:
    """What the checks made of a mutant.

    `refusal` is the first message a learner reads, "" where all checks pass. `changed` is False
    where the mutant's effect never had anything to change: it is the reference.
    """

    mutant: Mutant
    refusal: str
    changed: bool = True


def outcomes(lesson: Lesson, mutants: Sequence[Mutant], processes: int) -> Iterator[Outcome]:
    """Yield what the lesson's checks make of each mutant, as they finish.

    Args:
        lesson: whose exercises they are.
        mutants: of its solutions.
        processes: how many run side by side.

    Raises:
        ValueError: a cell of the solution stops.
    """
    with as_grader(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        namespace, checks, _ = solved(lesson)
        comes_in = _what_comes_in(lesson, {m.exercise for m in mutants}, checks, namespace)
        works = []
        for m in mutants:
            if _has_nothing_to_change(m, comes_in):
                yield Outcome(m, "", changed=False)
            else:
                works.append((m, lambda m=m: _grade(m, checks, namespace)))
        yield from _forked(works, processes)


def _what_comes_in(lesson: Lesson, exercises: set, checks: dict, namespace: dict) -> set[str]:
    """Return "exercise, parameter: kind" for all that the checks pass to the solutions."""
    found = set()
    for cell in read_source(source_of(lesson)).cells:
        exercise = known_id(cell) if cell.cell_type == "code" and is_solution(cell) else ""
        if exercise in exercises and "@triton.jit" not in cell.source:
            touched.clear()
            names = dict(namespace) | {"probe": probe}
            run_cell(probed(cell.source), exercise, names)
            for check, source in checks.items():
                if check.startswith(f"{exercise}-"):
                    run_cell(source, check, names)
            found |= {f"{exercise}, {one}" for one in touched}
    return found


def _has_nothing_to_change(mutant: Mutant, comes_in: set[str]) -> bool:
    parameter = re.fullmatch(r"(\w+) = (\w+)\(\1\)", mutant.after)
    if not parameter or parameter[2] not in NEEDS:
        return False
    kinds = {f"{mutant.exercise}, {parameter[1]}: {kind}" for kind in NEEDS[parameter[2]]}
    return not kinds & comes_in


def _grade(mutant: Mutant, checks: dict[str, str], namespace: dict) -> Outcome:
    touched.clear()
    names = dict(namespace) | EFFECTS
    error = run_cell(mutant.source, mutant.exercise, names)
    for check, source in checks.items():
        if not error and check.startswith(f"{mutant.exercise}-"):
            error = run_cell(source, check, names)
    is_effect = any(f"{name}(" in mutant.after for name in EFFECTS)
    return Outcome(mutant, error, bool(touched) or not is_effect)


def _forked(
    works: Sequence[tuple[Mutant, Callable[[], Outcome]]], processes: int
) -> Iterator[Outcome]:
    """Yield what each piece of work gives, at most so many at a time."""
    waiting = list(reversed(works))
    running: dict[int, tuple[Mutant, int]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                mutant, work = waiting.pop()
                pid, reader = _fork(work)
                running[reader] = (mutant, pid)
            for reader in select.select(list(running), [], [])[0]:
                mutant, pid = running.pop(reader)
                yield _collected(mutant, pid, reader)
    finally:
        for reader, (_, pid) in running.items():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reader)


def _fork(work: Callable[[], Outcome]) -> tuple[int, int]:
    """Return the process that does the work, and where it writes what came of it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        with os.fdopen(writer, "wb") as file:
            try:
                pickle.dump(work(), file)
            except BaseException as error:  # the mutant ends the process, which no answer may
                pickle.dump(type(error).__name__, file)
    finally:
        os._exit(0)


def _collected(mutant: Mutant, pid: int, reader: int) -> Outcome:
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    outcome = pickle.loads(data) if data else "it took too much time or memory"
    return outcome if isinstance(outcome, Outcome) else Outcome(mutant, outcome)

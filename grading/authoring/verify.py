"""The planted-bug gate: every wrong answer must fail a check, every right one must pass them all.

Each answer of the catalogue stands in for the learner's cell in the solved lesson, in this process,
and is judged by the lesson's own graded cells, hidden tests included.
"""

import contextlib
import io
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gqa_lib.course.manifest import Lesson
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.watch.settings import restore, settings
from grading.nb.cells import CHECK, QUIZ, is_graded, is_solution, known_id
from grading.quiz.cases import cases
from grading.quiz.marking import asked_count

from .catalogue import Answer, catalogue
from .run import as_grader, known_cells, new_namespace, run_cell
from .source import read_source, source_of

LEAST_WRONG, LEAST_RIGHT, LEAST_NAMED = 8, 2, 3


@dataclass(frozen=True)
class Verdict:
    """What the checks made of an answer: the messages of the graded cells that refused it."""

    answer: Answer
    messages: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether a check failed."""
        return bool(self.messages)

    @property
    def read(self) -> str:
        """All that the learner reads, on one line."""
        return " ".join(" ".join(self.messages).split())

    @property
    def is_named(self) -> bool:
        """Whether a learner reads the phrase that belongs to this bug."""
        return bool(self.answer.says) and self.answer.says in self.read

    @property
    def problem(self) -> str:
        """Say what is wrong with the checks, or ""."""
        kind = "right" if self.answer.right else "wrong"
        what = f"{self.answer.exercise}, {kind}: {self.answer.title}"
        if self.answer.right and self.is_refused:
            return f"{what} is refused: {self.messages[0]}"
        if not self.answer.right and not self.is_refused:
            return f"{what} passes"
        if self.answer.says and not self.is_named:
            return f"{what} is not told {self.answer.says!r} but: {self.messages[0]}"
        return ""


Solved = tuple[dict, dict[str, str], list[str]]


def solved(lesson: Lesson) -> Solved:
    """Return a solved lesson: its namespace, its graded cells' sources, its exercises.

    The quiz is not among these: `quiz.cases` has its own.

    Raises:
        ValueError: a cell of the solution stops.
    """
    cells, namespace = known_cells(read_source(source_of(lesson))), new_namespace()
    for cell in cells:
        if not is_graded(cell) and (error := run_cell(cell.source, known_id(cell), namespace)):
            raise ValueError(f"{lesson.slug}: the cell {known_id(cell)} stops: {error}")
    checks = {known_id(c): c.source for c in cells if is_graded(c) and known_id(c) != CHECK}
    exercises = [known_id(c) for c in cells if is_solution(c) and known_id(c) != QUIZ]
    return namespace, checks, exercises


def verdicts_of(lesson: Lesson, solution: Solved) -> Iterator[Verdict]:
    """Yield the verdict on each answer of a lesson's catalogue, in its order.

    Args:
        lesson: the lesson.
        solution: what `solved` returns of it.

    Raises:
        ValueError: an answer is to no exercise of the lesson.
    """
    namespace, checks, exercises = solution
    with as_grader(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an answer may well earn some
        for answer in catalogue(lesson):
            if answer.exercise not in exercises:
                raise ValueError(f"{lesson.slug} has no exercise {answer.exercise!r}")
            mine = [source for name, source in checks.items() if _belongs(name, answer.exercise)]
            yield Verdict(answer, tuple(filter(None, _run(answer, mine, dict(namespace)))))


def _belongs(check: str, exercise: str) -> bool:
    return check.startswith(f"{exercise}-")


def _run(answer: Answer, checks: list[str], namespace: dict) -> Iterator[str]:
    before = settings()
    try:
        if error := run_cell(answer.source, answer.title, namespace):
            yield error
        else:
            yield from (run_cell(source, answer.title, namespace) for source in checks)
    finally:
        restore(before)


def verify(lessons: Sequence[Lesson], *, show_all: bool = False) -> list[str]:
    """Print the table of exercises; return what is wrong, with the answer it is about."""
    print(f"{'':4}{'exercise':<32}{'bugs refused':>14}{'named':>7}{'right accepted':>16}{'s':>7}")
    problems: list[str] = []
    totals = [0] * 5
    start = time.perf_counter()
    for lesson in lessons:
        with as_grader():
            _, checks, exercises = solution = solved(lesson)
        by_exercise: dict[str, list[Verdict]] = {name: [] for name in exercises}
        seconds = dict.fromkeys(by_exercise, 0.0)
        before = time.perf_counter()
        for verdict in verdicts_of(lesson, solution):
            by_exercise[verdict.answer.exercise].append(verdict)
            seconds[verdict.answer.exercise] += time.perf_counter() - before
            before = time.perf_counter()
            problems += filter(None, [verdict.problem])
            if show_all:
                print(_as_text(verdict))
        for exercise, verdicts in by_exercise.items():
            counts = _counts(verdicts)
            totals = [a + b for a, b in zip(totals, counts, strict=True)]
            print(_row(lesson.number, exercise, counts, seconds[exercise]))
            problems += _too_few(exercise, counts)
        problems += _verify_quiz(lesson, show_all)
        problems += _unshown(checks, [v for verdicts in by_exercise.values() for v in verdicts])
    print(_row("", "all", totals, time.perf_counter() - start))
    return problems


def _verify_quiz(lesson: Lesson, show_all: bool) -> list[str]:
    """Print the row of a lesson's quiz; return the cases that earn other points than they must."""
    start, found, full = time.perf_counter(), [], asked_count(lesson)
    counts = {True: [0, 0], False: [0, 0]}  # must it earn all points -> as it must, in all
    with contextlib.redirect_stdout(io.StringIO()):
        for case in cases(lesson):
            problem = case.problem(lesson.number)
            counts[case.points == full][0] += not problem
            counts[case.points == full][1] += 1
            found.append((case, problem))
    (right, rights), (less, wrongs) = counts[True], counts[False]
    seconds = time.perf_counter() - start
    print(_row(lesson.number, "quiz", [less, wrongs, 0, right, rights], seconds))
    if show_all:
        print("".join(f"\n{c.title}: {c.points:g} of {full}" for c, p in found if not p))
    return [problem for _, problem in found if problem]


def _unshown(checks: dict[str, str], verdicts: list[Verdict]) -> list[str]:
    """Return the mistakes that a check can name and that no wrong answer is told."""
    read = " ".join(verdict.read for verdict in verdicts if not verdict.answer.right)
    names = re.findall(r'\bcheck\("([^"]+)"', "\n".join(checks.values()))
    return [
        f"{name} can name a mistake that no planted bug shows: {says!r}"
        for name in dict.fromkeys(names)
        for says in dict.fromkeys(mistake.says for mistake in find_exercise(name).mistakes)
        if says not in read
    ]


def _counts(verdicts: list[Verdict]) -> list[int]:
    """Return refused, wrong, named, accepted, right."""
    wrong = [v for v in verdicts if not v.answer.right]
    right = [v for v in verdicts if v.answer.right]
    return [
        sum(v.is_refused for v in wrong),
        len(wrong),
        sum(v.is_named for v in wrong),
        sum(not v.is_refused for v in right),
        len(right),
    ]


def _row(number: str, exercise: str, counts: list[int], seconds: float) -> str:
    refused, wrong, named, accepted, right = counts
    return (
        f"{number:4}{exercise:<32}{f'{refused} of {wrong}':>14}{named:>7}"
        f"{f'{accepted} of {right}':>16}{seconds:>7.2f}"
    )


def _too_few(exercise: str, counts: list[int]) -> list[str]:
    _, wrong, named, _, right = counts
    least = ((wrong, LEAST_WRONG, "bugs"), (named, LEAST_NAMED, "named bugs"))
    return [
        f"{exercise} has {count} {what}; at least {wanted} are required"
        for count, wanted, what in (*least, (right, LEAST_RIGHT, "other right answers"))
        if count < wanted
    ]


def _as_text(verdict: Verdict) -> str:
    kind = "right" if verdict.answer.right else "wrong"
    read = "\n".join(verdict.messages).splitlines() or ["accepted"]
    return "\n    ".join([f"\n{kind} {verdict.answer.exercise}: {verdict.answer.title}", *read])

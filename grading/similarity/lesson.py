"""`gqa similar`: the answers of a class to one lesson, compared by exercise."""

import heapq
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory

from gqa_lib.course.manifest import Lesson
from grading.authoring.catalogue import catalogue
from grading.authoring.mutants.mutant import mutants
from grading.authoring.source import lesson_notebook
from grading.intake.admit import admit, opened
from grading.intake.rebuild import rebuild, released_folder
from grading.nb.cells import QUIZ, is_solution, known_id, read_notebook
from grading.nb.steps import course_of, quietly, student_folders
from grading.nb.texts import printable
from grading.settings import nbgrader_config

from .compare import LEAST, USUAL_LEAST, USUAL_SHARE, Compared, Pair, compare
from .tokens import LENGTH


@dataclass(frozen=True)
class Alike:
    """What came of comparing a class's answers to a lesson.

    Attributes:
        lesson: the lesson.
        students: how many hand-ins were read.
        unread: students whose hand-in could not be read.
        exercises: what came of each exercise.
        pairs: the pairs that stand out most among those of their exercise; they come first.
        sources: (exercise, student) -> the answers in `pairs`.
    """

    lesson: Lesson
    students: int
    unread: list[str]
    exercises: list[Compared]
    pairs: list[Pair]
    sources: dict[tuple[str, str], str]

    def __str__(self) -> str:
        """Return it as text for the terminal."""
        lines = [f"{self.lesson.slug}: the answers of {self.students} students."]
        if self.unread:
            shown = ", ".join(map(printable, self.unread[:10]))
            lines.append(f"  Not read: {len(self.unread)} ({shown})")
        for one in self.exercises:
            pairs = len(one.pairs) + one.none
            most = f", the most alike {one.pairs[0].alike:.0%}" if one.pairs else ""
            chance = f"; 99 % of {pairs} pairs at most {one.at_most(0.99):.0%}" if pairs else ""
            lines.append(
                f"  {one.exercise}: {one.answers} answers, {one.short} with too little of their "
                f"own to compare{chance}{most}"
            )
        return "\n".join(lines)


def compare_lesson(lesson: Lesson, *, most: int = 40) -> Alike:
    """Compare what is in `submitted/` of a lesson, each answer with each to the same exercise.

    An answer that is the released stub is none. What is in the stub, in the solution, in one of the
    answers of the catalogue or a mutant of the solution is not compared, nor is what many wrote.

    Args:
        lesson: the lesson.
        most: how many pairs to keep.

    Raises:
        ValueError: the lesson is not released, or fewer than two hand-ins are there.
    """
    with quietly():
        course = course_of(lesson, nbgrader_config())
        released = read_notebook(released_folder(course, lesson.slug) / f"{lesson.slug}.ipynb")
        unread: list[str] = []
        answers = dict(_submitted(course, lesson, released, unread))
    if len(answers) < 2:
        raise ValueError(
            f"{len(answers)} hand-ins to {lesson.slug} can be compared, and it takes two. Collect "
            f"first: `gqa grade {lesson.number} --collect`."
        )
    stubs = {
        known_id(cell): cell.source
        for cell in released.cells
        if is_solution(cell) and cell.cell_type == "code" and known_id(cell) != QUIZ
    }
    usual = _usual(lesson, stubs)
    exercises = [
        compare(
            name,
            {who: own[name] for who, own in answers.items() if own.get(name, stub) != stub},
            usual[name],
        )
        for name, stub in stubs.items()
    ]
    ranked = [
        (one.as_alike(pair), -pair.alike, -pair.shared, pair.students, pair)
        for one in exercises
        for pair in one.pairs
    ]
    pairs = [pair for *_, pair in heapq.nsmallest(most, ranked, key=lambda one: one[:-1])]
    sources = {(p.exercise, who): answers[who][p.exercise] for p in pairs for who in p.students}
    return Alike(lesson, len(answers), unread, exercises, pairs, sources)


def _submitted(
    course: CourseDirectory, lesson: Lesson, released: NotebookNode, unread: list[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each student and exercise -> answer; add whose hand-in is not readable to `unread`."""
    there = student_folders(course, course.submitted_directory)
    folders = [path for student, path in there.items() if not student.startswith(".")]

    def read(folder: Path) -> dict[str, str] | None:
        try:
            with opened(folder) as here:
                (admitted,) = admit(here, [f"{lesson.slug}.ipynb"])
            if admitted.notebook is None:
                return None
            rebuilt, _ = rebuild(admitted.notebook, released)
        except Exception:  # whatever a stranger's file makes it raise
            return None
        return {known_id(cell): cell.source for cell in rebuilt.cells if is_solution(cell)}

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a process that reads
        for folder, own in zip(folders, pool.map(read, folders), strict=True):
            if own is None:
                unread.append(folder.parent.name)
            else:
                yield folder.parent.name, own


def _usual(lesson: Lesson, stubs: dict[str, str]) -> dict[str, list[str]]:
    """Return exercise -> sources that two students may well write on their own."""
    usual = {name: [stub] for name, stub in stubs.items()}
    for cell in lesson_notebook(lesson).cells:
        if is_solution(cell) and known_id(cell) in usual:
            solved = cell.source
            changed = (one.source for one in mutants(known_id(cell), solved))
            usual[known_id(cell)] += [solved, *changed]
    for answer in catalogue(lesson):
        if answer.exercise in usual:
            usual[answer.exercise].append(answer.source)
    return usual


HOW = (
    f"Compared are runs of {LENGTH} tokens, without comments, texts, numbers and one's own names. "
    "Not compared is what is in the stub, in the solution, in the answers that the course's "
    "catalogue knows or in the solution with one step changed, and what more than "
    f"{USUAL_LEAST} students and {USUAL_SHARE:.0%} of the class wrote. An answer with fewer than "
    f"{LEAST} runs beside these is too short to say anything, and is left out."
)

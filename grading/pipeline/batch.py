"""`gqa grade`: grades a class's submissions of one assignment, in parallel, each exactly once.

Workers run the notebooks, each with processes of its own; this process alone writes the gradebook,
through nbgrader's own autograde. A submission counts as graded once a note with its fingerprint
is next to its graded notebook, which is written last: whatever is killed, and whenever, the next
run grades what has no such note or an older one, and nothing else.
"""

import contextlib
import hashlib
import json
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory
from tqdm import tqdm

from gqa_lib.course.files import replace_file
from gqa_lib.learn.quiz.sitting import Sitting
from grading.intake.admit import admit, opened
from grading.intake.folders import recover
from grading.intake.rebuild import released_folder
from grading.intake.sittings import as_key, sitting_of_submission
from grading.intake.submitted import clean_submitted
from grading.limited.sandbox import NoSandbox
from grading.limited.verdict import verdict_of
from grading.nb.cells import read_notebook
from grading.nb.steps import student_folders
from grading.nb.texts import printable, sentence
from grading.safe.pool import GradingProcesses

from .ahead import Assignment, default_workers, run_ahead
from .autograde import autograde
from .database import one_database

NOTE = ".graded.json"

_Todo = tuple[str, Path, str, Sitting]  # a student, the submission, its fingerprint, whose quiz


class GradeError(ValueError):
    """Grading that cannot begin; the message says what to do."""


@dataclass
class Outcome:
    """What came of grading a class: students by what happened, and why where it went wrong."""

    graded: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    without_feedback: dict[str, str] = field(default_factory=dict)

    def followed_by(self, later: "Outcome") -> "Outcome":
        """Return what came of this grading and of a later one of the same class."""
        graded = [*self.graded, *(one for one in later.graded if one not in self.graded)]
        unchanged = [one for one in later.unchanged if one not in graded]
        return Outcome(graded, unchanged, later.failed, later.without_feedback)


def grade(
    course: CourseDirectory,
    log: logging.Logger,
    *,
    students: list[str] | None = None,
    workers: int | None = None,
    everything: bool = False,
    seed: int | None = None,
) -> Outcome:
    """Grade what was collected for `course.assignment_id`: new and changed submissions only.

    Args:
        course: nbgrader's course, with its configuration.
        log: what nbgrader says.
        students: whose submissions; everybody's unless given.
        workers: how many notebooks run at once; one per two cores unless given, at least two.
        everything: regrade unchanged submissions too.
        seed: the course's seed of the hidden tests; None draws fresh numbers for each.

    Raises:
        GradeError: there is nothing to grade, or nothing to grade it with.
        NoSandbox: there is no sandbox here.
    """
    assignment = _assignment(course)
    submitted = _submitted(course, students)
    outcome, todo = Outcome(), []
    with contextlib.ExitStack() as stack:
        processes: GradingProcesses | None = None
        for student, folder in submitted.items():
            course.student_id = student
            try:
                clean_submitted(course)
                sitting = sitting_of_submission(folder, student, course.assignment_id)
                now = _fingerprint_or_new(folder, assignment, seed, sitting, log)
            except Exception as error:  # of this student's only: the class goes on
                _fail(outcome, log, student, error)
                continue
            if not everything and _noted(course, student) == now:
                outcome.unchanged.append(student)
                continue
            if processes is None:  # they get ready while the others are looked at
                processes = stack.enter_context(contextlib.closing(GradingProcesses(seed=seed)))
            todo.append((student, folder, now, sitting))
        if processes is not None:
            count = min(workers or default_workers(), len(todo))
            with one_database(), ThreadPoolExecutor(count) as pool:
                _grade_all(course, log, assignment, todo, pool, processes, outcome)
    return outcome


def _grade_all(
    course: CourseDirectory,
    log: logging.Logger,
    assignment: Assignment,
    todo: list[_Todo],
    pool: ThreadPoolExecutor,
    processes: GradingProcesses,
    outcome: Outcome,
) -> None:
    """Run the notebooks; write what comes of each, one after the other.

    What took too long runs once more at the end, one at a time: beside others, what is computed
    takes longer. The verdict of that run stands.
    """
    alone: list[_Todo] = []
    total, name = len(todo), course.assignment_id
    # no bar where no terminal shows it, as in cron's mail
    with tqdm(total=total, unit="notebook", desc=name, mininterval=0.5, disable=None) as bar:
        waiting = {
            pool.submit(run_ahead, folder, assignment, processes, sitting, log): one
            for one in todo
            for _, folder, _, sitting in [one]
        }
        try:
            for done in as_completed(waiting):
                student, _, now, _ = waiting[done]
                if (error := done.exception()) is None and done.result():
                    alone.append(waiting[done])
                    continue
                _settle(course, log, student, now, error, outcome)
                bar.update()
            for student, folder, now, sitting in alone:
                log.info("%s: it took too long beside others, and runs once more alone", student)
                again = pool.submit(
                    run_ahead, folder, assignment, processes, sitting, log, alone=True
                )
                _settle(course, log, student, now, again.exception(), outcome)
                bar.update()
        except BaseException:  # also Ctrl-C
            pool.shutdown(wait=False, cancel_futures=True)
            processes.close()  # else what runs now would be waited for
            raise


def _settle(course, log, student: str, fingerprint: str, error, outcome: Outcome) -> None:
    """Write down what came of a student's submission, or why it was not run."""
    if error is None:
        _write_down(course, log, student, fingerprint, outcome)
    elif isinstance(error, NoSandbox):
        raise error
    else:
        _fail(outcome, log, student, error)


def _write_down(course, log, student: str, fingerprint: str, outcome: Outcome) -> None:
    """Take one student's submission through nbgrader's autograde, then note that it is done."""
    course.student_id = student
    try:
        autograde(course, log, cleaned=True)
        _note(course, student, fingerprint)
    except Exception as error:  # of this student's only: the class goes on
        _fail(outcome, log, student, error)
    else:
        outcome.graded.append(student)


def _fail(outcome: Outcome, log: logging.Logger, student: str, error: BaseException) -> None:
    """Note that a submission was not graded; what mark there was stays, and the next run tries."""
    log.error("%s: not graded", printable(student), exc_info=error)
    outcome.failed[student] = sentence(str(error)) or type(error).__name__


def _assignment(course: CourseDirectory) -> Assignment:
    """Return the assignment as the gradebook and the release have it."""
    with Gradebook(course.db_url, course.course_id) as gradebook:
        try:
            found = gradebook.find_assignment(course.assignment_id)
        except MissingEntry:
            raise GradeError(
                f"the gradebook has no {course.assignment_id}. `gqa release` enters the lessons; "
                "if you grade elsewhere, see GQA_HOME and GQA_GRADEBOOK."
            ) from None
        names = tuple(notebook.name for notebook in found.notebooks)
        cells = {n.name: list(n.source_cells) for n in found.notebooks}
        locked = {name: {c.name: c.source for c in cells[name] if c.locked} for name in names}
        tests = [
            [name, c.name, c.checksum, getattr(c, "source", "")]
            for name in names
            for c in cells[name]
        ]
        points = sorted((c.name, c.max_score) for n in found.notebooks for c in n.grade_cells)
    folder = released_folder(course, course.assignment_id)
    released = {name: read_notebook(folder / f"{name}.ipynb") for name in names}
    fingerprint = hashlib.sha256(json.dumps([tests, points]).encode()).hexdigest()
    return Assignment(names, released, locked, fingerprint)


def _submitted(course: CourseDirectory, students: list[str] | None) -> dict[str, Path]:
    """Return student -> folder of the submissions collected."""
    pattern = course.format_path(course.submitted_directory, "*", course.assignment_id)
    recover(pattern)
    top = pattern.partition("/*")[0]
    there = student_folders(course, course.submitted_directory)
    found = {student: path for student, path in there.items() if path.is_dir()}
    if missing := [one for one in students or [] if one not in found]:
        raise GradeError(
            f"{', '.join(missing)}: no submission of {course.assignment_id} was collected. "
            f"There are {', '.join(map(printable, sorted(found)[:10])) or 'none'}."
        )
    if not found:
        raise GradeError(
            f"no submission of {course.assignment_id} was collected: there is nothing in {top}. "
            f"Collect first: `nbgrader collect {course.assignment_id}`, or `gqa grade --collect`."
        )
    return {one: found[one] for one in students} if students else found


def _fingerprint(folder: Path, assignment: Assignment, seed: int | None, sitting: Sitting) -> str:
    """Return what changes when a submission or the tests do."""
    digest = hashlib.sha256(f"{assignment.fingerprint} {seed} {as_key(sitting)}".encode())
    with opened(folder) as descriptor:
        for one in admit(descriptor, [f"{name}.ipynb" for name in assignment.names]):
            digest.update(hashlib.sha256(one.raw or one.content).digest())
    stamp = folder / "timestamp.txt"
    if stamp.is_file() and not stamp.is_symlink():
        digest.update(stamp.read_bytes()[:100])
    return digest.hexdigest()


def _fingerprint_or_new(folder, assignment: Assignment, seed, sitting: Sitting, log) -> str:
    """Return the fingerprint; where it cannot be taken, one that no note has: it is graded."""
    try:
        return _fingerprint(folder, assignment, seed, sitting)
    except Exception as error:
        log.error("%s: %s", folder, verdict_of(error, "Comparing it"), exc_info=error)
        return secrets.token_hex()


def _note_of(course: CourseDirectory, student: str) -> Path:
    graded = course.format_path(course.autograded_directory, student, course.assignment_id)
    return Path(graded) / NOTE


def _noted(course: CourseDirectory, student: str) -> str:
    try:
        return json.loads(_note_of(course, student).read_text())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _note(course: CourseDirectory, student: str, fingerprint: str) -> None:
    replace_file(_note_of(course, student), json.dumps({"fingerprint": fingerprint}))

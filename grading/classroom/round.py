"""`gqa grade`: collects, grades, tells what changed, makes feedback, for one lesson of a class."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeError

from gqa_lib.course import places
from gqa_lib.course.files import make_private
from gqa_lib.course.manifest import Lesson, class_exchange
from grading.intake.class_file import BEST, course_seed
from grading.intake.exchange import UnsafeExchange, check_exchange
from grading.intake.lateness import which_counts
from grading.intake.troubles import keep_grading
from grading.nb.databases import telling
from grading.nb.steps import course_of, exchange, file_log, quietly
from grading.nb.texts import printable, sentence
from grading.pipeline.batch import GradeError, Outcome, grade
from grading.pipeline.late import renew_penalties
from grading.settings import COURSE_ID, class_config, gradebook_url

from .gradebook import open_gradebook
from .hand_marks import marks_to_check, text_of
from .regrade import diff_of_marks, marks_by_exercise, table_of_changes

_TOLD = 5  # lines about hand-ins that were not collected


def grade_class(
    lesson: Lesson,
    *,
    students: list[str] | None = None,
    workers: int | None = None,
    everything: bool = False,
    collect: bool = False,
    feedback: bool = False,
) -> Outcome:
    """Grade a lesson's new and changed submissions and print what came of it.

    Args:
        lesson: the lesson.
        students: whose submissions; everybody's unless given.
        workers: how many notebooks run at once.
        everything: regrade unchanged submissions too; whose mark changed is printed.
        collect: take the latest submissions from the exchange first.
        feedback: make the feedback pages of those graded and release them afterwards.

    Raises:
        GradeError: it cannot begin, nothing can be collected, students could change others' work
            in the exchange, or another grading is running; one that collects waits for that.
        NoSandbox: there is no sandbox here.
        OSError: the gradebook does not answer.
    """
    with (
        _one_at_a_time(lesson if collect else None),
        quietly(),
        telling(gradebook_url()),
    ):
        course, log = course_of(lesson, class_config()), file_log("grade")
        _check_exchange()
        to_follow = collect and _collect(course, log)
        before = marks_by_exercise(gradebook_url(), lesson)
        of_these = partial(
            grade, course, log, students=students, workers=workers, seed=course_seed()
        )
        outcome = of_these(everything=everything)
        if to_follow:  # late ones, now that those in time have their marks
            _collect(course, log)
            outcome = outcome.followed_by(of_these())
        renew_penalties(course, log)
        after = marks_by_exercise(gradebook_url(), lesson)
        print(_summary(lesson, outcome))
        again = [student for student in outcome.graded if student in before]
        if again:
            old, new = ({s: m[s] for s in again if s in m} for m in (before, after))
            print(table_of_changes(diff_of_marks(old, new)) + _best_counts(course))
        with open_gradebook() as gradebook:
            if said := text_of(marks_to_check(gradebook.db, lesson)):
                print(said)
        if feedback and outcome.graded:
            _give_feedback(course, log, outcome)
        done = [*outcome.graded, *outcome.unchanged]
        keep_grading(lesson.slug, done, outcome.failed, outcome.without_feedback)
    return outcome


def _best_counts(course: CourseDirectory) -> str:
    if which_counts(course.assignment_id, course.config) != BEST:
        return ""
    return "\nOf a student's hand-ins the best counts: `gqa export` has its mark."


def _check_exchange() -> None:
    root = class_exchange()
    if root is None or not root.exists():  # what a platform handed over needs none
        return
    try:
        check_exchange(root, COURSE_ID)
    except UnsafeExchange as error:
        raise GradeError(str(error)) from error


def _collect(course: CourseDirectory, log: logging.Logger, *, only_look: bool = False) -> bool:
    """Take each student's hand-in that counts, and say of which nothing was taken.

    Returns:
        Whether late ones are to follow when these are graded.
    """
    if class_exchange() is None:  # a learner's own, among the records, is not the class's
        raise GradeError(
            "nothing was collected or graded: no exchange is named, so set GQA_EXCHANGE, in a "
            "crontab too. Without --collect, what was collected before is graded."
        )
    try:
        done = exchange(course, "Collect", log, update=True, only_look=only_look)
    except ExchangeError as error:
        raise GradeError(
            f"nothing was collected or graded: {sentence(str(error))} The exchange is "
            f"{class_exchange()}. Details: {_path_of(log)}."
        ) from error
    if not only_look and (said := _left(done.not_collected, done.older)):
        print(f"{said}\n  Details: {_path_of(log)}")
    return bool(done.to_follow)


def _path_of(log: logging.Logger) -> Path:
    return places.home() / f"{log.name.removeprefix('gqa.')}.log"


def _left(refused: dict[str, str], older: dict[str, int]) -> str:
    """Return what was not collected, and why, in a few lines; "" if nothing was refused.

    Args:
        refused: hand-ins, and why each is.
        older: owners, and how many of their hand-ins were not looked at.
    """
    lines = [f"  {name}: {why}" for name, why in refused.items()]
    lines += [f"  {name}: {count}, not among the newest of theirs" for name, count in older.items()]
    if not lines:
        return ""
    count = len(refused) + sum(older.values())
    more = [f"  and {len(lines) - _TOLD} lines more"] if len(lines) > _TOLD else []
    return "\n".join([f"Not collected: {count}", *lines[:_TOLD], *more])


def _give_feedback(course, log, outcome: Outcome) -> None:
    """Make and release the feedback of each one graded, and say whose could not be."""
    for student in outcome.graded:
        course.student_id = student
        try:
            pages = GenerateFeedback(coursedir=course, config=course.config)
            pages.log, pages.force = log, True
            pages.start()
            exchange(course, "ReleaseFeedback", log)
        except Exception as error:  # of this student's only: the class goes on
            log.error("%s: no feedback", printable(student), exc_info=error)
            why = sentence(str(error)) or type(error).__name__
            outcome.without_feedback[student] = why
    print(f"Feedback of {len(outcome.graded) - len(outcome.without_feedback)} released.")
    for student, why in outcome.without_feedback.items():
        print(f"  {printable(student)}: no feedback: {why}")
    if outcome.without_feedback:
        print(f"  Details: {places.home() / 'grade.log'}")


def _summary(lesson: Lesson, outcome: Outcome) -> str:
    counts = [f"{lesson.slug}: {len(outcome.graded)} graded"]
    if outcome.unchanged:
        counts.append(f"{len(outcome.unchanged)} unchanged")
    lines = [", ".join(counts)]
    lines += [
        f"  {printable(student)}: not graded: {why}" for student, why in outcome.failed.items()
    ]
    if outcome.failed:
        lines.append(f"  Details: {places.home() / 'grade.log'}")
    return "\n".join(lines)


@contextmanager
def _one_at_a_time(collecting: Lesson | None) -> Iterator[None]:
    """Hold the records; where another holds them, refuse, or look what was handed in and wait."""
    make_private(places.home())
    lock = FileLock(places.home() / "grade.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        if collecting is None:
            raise GradeError(
                "another `gqa grade` is running with these records. It writes the gradebook "
                "alone: wait for it, or stop it; what it has graded stays."
            ) from None
        with quietly():  # what comes while this waits is not taken for earlier
            _check_exchange()
            course = course_of(collecting, class_config())
            _collect(course, file_log("collect"), only_look=True)
        print("Another `gqa grade` is running with these records: waiting for it.", flush=True)
        held = lock.acquire()
    with held:
        yield

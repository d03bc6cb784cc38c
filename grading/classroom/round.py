"""`gqa grade`: collects, grades, tells what changed, makes feedback, for one lesson of a class."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout
from nbgrader.converters import GenerateFeedback

from gqa_lib.course import places
from gqa_lib.course.files import make_private
from gqa_lib.course.manifest import Lesson, class_exchange
from grading.intake.class_file import course_seed
from grading.intake.exchange import UnsafeExchange, check_exchange
from grading.nb.steps import course_of, exchange, file_log, quietly
from grading.nb.texts import printable, sentence
from grading.pipeline.batch import GradeError, Outcome, grade
from grading.settings import COURSE_ID, gradebook_url, nbgrader_config

from .regrade import diff_of_marks, marks_by_exercise, table_of_changes


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
        GradeError: it cannot begin, students could change others' work in the exchange, or another
            grading is running.
        NoSandbox: there is no sandbox here.
    """
    with _one_at_a_time(), quietly():
        course, log = course_of(lesson, nbgrader_config()), file_log("grade")
        _check_exchange()
        if collect:
            exchange(course, "Collect", log, update=True)
        before = marks_by_exercise(gradebook_url(), lesson)
        outcome = grade(
            course,
            log,
            students=students,
            workers=workers,
            everything=everything,
            seed=course_seed(),
        )
        after = marks_by_exercise(gradebook_url(), lesson)
        print(_summary(lesson, outcome))
        again = [student for student in outcome.graded if student in before]
        if again:
            old, new = ({s: m[s] for s in again if s in m} for m in (before, after))
            print(table_of_changes(diff_of_marks(old, new)))
        if feedback and outcome.graded:
            _give_feedback(course, log, outcome)
    return outcome


def _check_exchange() -> None:
    root = class_exchange()
    if root is None or not root.exists():  # what a platform handed over needs none
        return
    try:
        check_exchange(root, COURSE_ID)
    except UnsafeExchange as error:
        raise GradeError(str(error)) from error


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
            log.error("%s: no feedback", student, exc_info=error)
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
def _one_at_a_time() -> Iterator[None]:
    make_private(places.home())
    try:
        held = FileLock(places.home() / "grade.lock", timeout=0).acquire()
    except Timeout:
        raise GradeError(
            "another `gqa grade` is running with these records. It writes the gradebook alone: "
            "wait for it, or stop it; what it has graded stays."
        ) from None
    with held:
        yield

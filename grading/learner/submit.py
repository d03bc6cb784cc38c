"""A learner's whole round in one process: submit, collect, grade, feedback, progress.

It goes through nbgrader's exchange and gradebook, as a class does. The gradebook is worked
on as a copy that replaces it at the end, so a round that is killed leaves it as it was.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.utils import get_username

from gqa_lib.course import places
from gqa_lib.course.files import make_private
from gqa_lib.course.manifest import Lesson, class_exchange, is_students_copy, lessons
from gqa_lib.learn import progress
from gqa_lib.learn.guide.feedback import latest_feedback
from gqa_lib.learn.guide.map import write_joined_map
from gqa_lib.learn.progress.receipts import Receipt
from gqa_lib.learn.quiz.check import before_submitting
from gqa_lib.learn.quiz.sitting import check_learner, learner, sitting_of
from grading.intake.hand_in import files_that_stay, files_to_hand_in
from grading.intake.reading import MAX_FILE, parse
from grading.intake.rebuild import (
    changed_of,
    own_cells,
    rebuild_or_refuse,
    unanswered,
    wrote_answers,
)
from grading.nb.cells import read_notebook
from grading.nb.steps import course_of, exchange, file_log, generate, quietly
from grading.settings import nbgrader_config, source_directory

from .staged import staged_gradebook


class SubmitError(Exception):
    """A submission that cannot go on; the message tells the learner what to do."""


@dataclass
class Marks:
    """What came of a submission: score by graded cell, where the feedback is, what to know.

    Args:
        scores: (graded cell, score, points), in the order of the lesson.
        waiting: the graded cells that a person has yet to mark.
        feedback: the page.
        notes: what to know.
        receipt: in a class, what was handed in and when.
    """

    scores: list[tuple[str, float, float]] = field(default_factory=list)
    waiting: tuple[str, ...] = ()
    feedback: Path | None = None
    notes: list[str] = field(default_factory=list)
    receipt: Receipt | None = None

    @property
    def score(self) -> float:
        """The points reached."""
        return sum(score for _, score, _ in self.scores)

    @property
    def max_score(self) -> float:
        """The points there are."""
        return sum(points for _, _, points in self.scores)


def work_notebook(lesson: Lesson) -> Path:
    """Return the learner's copy of a lesson."""
    return places.work() / lesson.slug / f"{lesson.slug}.ipynb"


def examine(lesson: Lesson) -> list[str]:
    """Return what a learner should know about the notebook they are about to submit.

    Raises:
        SubmitError: there is no readable notebook to submit.
    """
    path = work_notebook(lesson)
    if not path.exists():
        others = sorted(p.name for p in path.parent.glob("*.ipynb")) if path.parent.exists() else []
        there = f" There is {', '.join(others)}: if that is it, rename it back." if others else ""
        raise SubmitError(
            f"{path} is not there.{there} `gqa lab {lesson.number}` puts a fresh copy in place "
            "without touching anything else."
        )
    try:
        with path.open("rb") as file:
            submitted = parse(file.read(MAX_FILE + 1))  # as grading will
    except (ValueError, OSError) as error:
        raise SubmitError(
            f"{path} was not submitted: {str(error).rstrip('.')}. An older copy may be in "
            f"{path.parent / '.ipynb_checkpoints'}; earlier submissions are kept."
        ) from None
    released = read_notebook(lesson.pristine)
    rebuilt, notes = rebuild_or_refuse(submitted, released)
    notes += _still_open(rebuilt, released)
    if not wrote_answers(rebuilt, released):
        try:
            notes += before_submitting(lesson.number, path.parent)
        except ValueError as error:
            raise SubmitError(f"{path} was not submitted: {error}") from None
    if count := own_cells(submitted, released):
        notes.append(
            f"You added {count} code cell{'s' if count > 1 else ''}. Grading runs cells of your "
            "own where an exercise does not pass without them, for 30 s at most."
        )
    handed_in = set(files_to_hand_in(path.parent, [path.name]).values())
    if left := files_that_stay(path.parent, handed_in):
        notes.append(f"Not handed in, as grading has no use for it: {left}.")
    return notes


def _still_open(rebuilt: NotebookNode, released: NotebookNode) -> list[str]:
    notes, empty = [], unanswered(rebuilt, released)
    begun = changed_of(empty, rebuilt, released)
    if untouched := [name for name in empty if name not in begun]:
        notes.append(f"Not answered yet: {', '.join(untouched)}.")
    if begun:
        notes.append(
            f"Still with a line `raise NotImplementedError()`: {', '.join(begun)}. Where you have "
            "answered, take it out."
        )
    return notes


def submit(lesson: Lesson) -> Marks:
    """Submit the learner's copy of a lesson; alone, grade it at once.

    With the exchange of a class the submission goes there and is graded by its instructor.

    Raises:
        SubmitError: it was not submitted or not graded; nothing was changed or lost.
    """
    in_class = class_exchange() is not None
    if in_class:
        try:
            check_learner(lesson.number)
        except ValueError as error:
            raise SubmitError(f"nothing was handed in: {error}") from None
    notes = examine(lesson)
    if is_students_copy() and not in_class:
        raise SubmitError(
            "nothing was handed in: this copy of the course belongs to a class and does not know "
            "where to. Ask your instructor for the folder of the class's exchange, then put it "
            'into course.toml, under [class], as exchange = "/the/folder", or set GQA_EXCHANGE.'
        )
    with _one_at_a_time(), quietly():
        try:
            if in_class:
                receipt = _Submission(lesson, None).submit()
                return Marks(notes=[*notes, *write_joined_map()], receipt=receipt)
            with staged_gradebook() as gradebook:
                marks = _Submission(lesson, gradebook).grade()
        except SubmitError:
            raise
        except Exception as error:
            raise SubmitError(
                f"{'it was not handed in' if in_class else 'grading stopped'}: {_reason(error)} "
                "Your notebook and your earlier marks are as they were."
            ) from error
        _save(lesson, marks)
    marks.notes = [*notes, *marks.notes]
    return marks


def _reason(error: Exception) -> str:
    """Return why a round failed, in words; nbgrader keeps the reason in its log."""
    log = places.home() / "submit.log"
    return f"{str(error).strip() or type(error).__name__}. Details: {log}."


def release_all() -> None:
    """Release every lesson to the local exchange, so that JupyterLab's Assignment List has them."""
    with _one_at_a_time(), quietly(), staged_gradebook() as gradebook:
        for lesson in lessons():
            _Submission(lesson, gradebook).release()


class _Submission:
    """nbgrader's steps for one lesson and this learner, on a gradebook's file or the chosen one."""

    def __init__(self, lesson: Lesson, gradebook: Path | None):
        self.lesson = lesson
        self.config = nbgrader_config(gradebook=gradebook)
        self.config.Exchange.assignment_dir = str(places.work())
        self.config.SafeExecute.own_code = True
        sitting = sitting_of(lesson.number, work_notebook(lesson).parent)
        self.config.SafeExecute.quiz = {
            "learner": learner(),
            "attempt": sitting.attempt,
            "lessons": list(sitting.lessons),
        }
        self.log = file_log("submit")
        self.course = course_of(lesson, self.config)

    def grade(self) -> Marks:
        """Go the whole round."""
        from grading.pipeline.autograde import autograde  # which a students' copy does not have
        from grading.safe.execute import processes_for

        seed = self.config.SafeExecute.seed
        processes = processes_for(own_code=True, seed=seed)  # they get ready meanwhile
        self.release()
        self.submit()
        self.course.student_id = get_username()
        self.exchange("Collect", update=True)
        autograde(self.course, self.log)
        marks = Marks(*self.scores())
        if processes.kind == "open":
            marks.notes.append("Your code ran without a sandbox, which is fine for your own.")
        feedback = GenerateFeedback(coursedir=self.course, config=self.config)
        feedback.log, feedback.force = self.log, True
        feedback.start()
        self.exchange("ReleaseFeedback")
        self.exchange("FetchFeedback")
        marks.feedback = latest_feedback(self.lesson)
        return marks

    def release(self) -> None:
        """Make nbgrader's release of the lesson, unless the one there is the current one."""
        from grading.authoring.source import write_instructor_notebook  # not in a students' copy

        write_instructor_notebook(self.lesson, source_directory())
        folder = Path(self.course.format_path(self.course.release_directory, ".", self.lesson.slug))
        there = folder / f"{self.lesson.slug}.ipynb"
        released = self.lesson.pristine.read_bytes()
        if self.known() and there.exists() and there.read_bytes() == released:
            return
        try:
            generate(self.course, self.log)
        except NbGraderException:  # graded cells came or went: nbgrader refuses to change those
            self.forget()
            generate(self.course, self.log)
        self.exchange("ReleaseAssignment", force=True)

    def forget(self) -> None:
        """Take the lesson out of the gradebook of a learner alone; progress keeps the marks.

        Raises:
            SubmitError: others have marks for it there.
        """
        with Gradebook(self.course.db_url) as gradebook:
            submissions = gradebook.find_assignment(self.lesson.slug).submissions
            if any(one.student_id != get_username() for one in submissions):
                raise SubmitError(
                    f"the exercises of {self.lesson.slug} changed, and the gradebook holds other "
                    "people's marks for it. To try the lesson yourself, name another folder for "
                    "your own records with --home."
                )
            gradebook.remove_assignment(self.lesson.slug)

    def known(self) -> bool:
        """Return whether the gradebook has the lesson."""
        with Gradebook(self.course.db_url) as gradebook:
            return any(a.name == self.lesson.slug for a in gradebook.assignments)

    def submit(self) -> Receipt | None:
        """Hand the learner's folder to the exchange; return the receipt of a class."""
        return exchange(self.course, "Submit", self.log).receipt

    def exchange(self, step: str, **traits) -> None:
        """Run one step of nbgrader's exchange."""
        exchange(self.course, step, self.log, **traits)

    def scores(self) -> tuple[list[tuple[str, float, float]], tuple[str, ...]]:
        """Return (graded cell, score, points) in the lesson's order, and which have no mark yet."""
        with Gradebook(self.course.db_url) as gradebook:
            notebook = gradebook.find_submission_notebook(
                self.lesson.slug, self.lesson.slug, self.course.student_id
            )
            order = {cell.name: place for place, cell in enumerate(notebook.notebook.source_cells)}
            grades = sorted(notebook.grades, key=lambda grade: order.get(grade.name, 0))
            scores = [(g.name, float(g.score), float(g.max_score)) for g in grades]
            return scores, tuple(g.name for g in grades if g.needs_manual_grade)


def _save(lesson: Lesson, marks: Marks) -> None:
    rows = [(lesson.slug, name, "mark", score, points, "") for name, score, points in marks.scores]
    progress.add_all([*rows, (lesson.slug, "", "mark", marks.score, marks.max_score, "")])
    marks.notes += write_joined_map()


@contextmanager
def _one_at_a_time(patience_s: float = 60):
    make_private(places.home())
    try:
        held = FileLock(places.home() / "submit.lock", timeout=patience_s).acquire()
    except Timeout:
        raise SubmitError("another submission is being graded; try again in a minute.") from None
    with held:
        yield

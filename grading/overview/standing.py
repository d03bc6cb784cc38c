"""Where a class stands in a lesson: from the gradebook, the folders and the records together."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nbgrader.coursedir import CourseDirectory
from sqlalchemy.orm import Session
from traitlets.config import Config

from gqa_lib.course.manifest import Lesson, lessons
from gqa_lib.learn.progress.standing import graded_cells
from grading.classroom.export import earlier_that_count
from grading.classroom.known import ids_alike, kept_roster
from grading.intake.lateness import late_costs
from grading.intake.troubles import Troubles, read_troubles
from grading.nb.cells import CHECK
from grading.nb.diagnosis import NAMED, STUB
from grading.nb.steps import course_of
from grading.settings import instructors_config

from .folders import LessonFolders
from .graded import GradedNotebook, read_graded
from .marks import ClassMarks, LessonMarks, Submission, read_marks

_NOTHING = GradedNotebook()


@dataclass(frozen=True)
class Mistake:
    """What went wrong in an exercise, for how many; `named` if the check knows the mistake."""

    says: str
    named: bool
    count: int


@dataclass(frozen=True)
class Exercise:
    """A graded cell: how many tried it, have all of its points, and what went wrong, by count."""

    name: str
    points: float
    attempted: int
    right: int
    mistakes: tuple[Mistake, ...]


@dataclass
class Standing:
    """Where the class stands in one lesson.

    Attributes:
        lesson: the lesson.
        due: in UTC, without a time zone.
        points: how many there are.
        expected: how many are on the roster.
        marks: of each student who has one.
        came: of each who handed in: when; None if nobody knows.
        late: seconds after the student's own due date, of those who handed in late.
        penalised: whether lateness costs points.
        missing: on the roster, and nothing was collected.
        off_roster: handed in, and not on the roster; the id there that differs only by case, or "".
        technical: 0 points for the quiz, or for all else, although nothing of that was judged; and
            why.
        not_graded: collected, and not graded yet, or only an earlier hand-in is.
        waiting: the cells that a person has to mark.
        feedback: why students whose class has feedback have none, or an old page.
        troubles: what went wrong in the last runs.
        exercises: in the order of the lesson.
        chosen: quiz question -> letter -> how many chose it; "" if none.
    """

    lesson: Lesson
    due: datetime | None
    points: float
    expected: int
    marks: dict[str, float]
    came: dict[str, datetime | None]
    late: dict[str, float]
    penalised: bool
    missing: list[str]
    off_roster: dict[str, str]
    technical: dict[str, str]
    not_graded: list[str]
    waiting: dict[str, list[str]]
    feedback: dict[str, str]
    troubles: Troubles
    exercises: list[Exercise]
    chosen: dict[str, Counter[str]]


@dataclass
class ClassStanding:
    """Where a class stands: students' ids with their names, and the lessons that are released."""

    students: dict[str, str]
    lessons: list[Standing]


def standing_of_class(session: Session, config: Config) -> ClassStanding:
    """Return where the class stands in each released lesson.

    Args:
        session: of the gradebook.
        config: nbgrader's.
    """
    marks, earlier = read_marks(session), earlier_that_count()
    expected, costs = on_roster(marks.students), late_costs(instructors_config())
    found = []
    for lesson in lessons():
        if _is_released(marks, lesson):
            known, course = marks.lessons[lesson.slug], course_of(lesson, config)
            one = _standing(lesson, known, expected, course)
            one.penalised |= costs
            for student, tried in earlier.get(lesson.slug, {}).items():
                if student in one.marks:
                    one.marks[student] = max(one.marks[student], *(points for points, _ in tried))
            found.append(one)
    return ClassStanding(marks.students, found)


def _is_released(marks: ClassMarks, lesson: Lesson) -> bool:
    return lesson.slug in marks.lessons and bool(marks.lessons[lesson.slug].points)


def _standing(
    lesson: Lesson, known: LessonMarks, expected: list[str], course: CourseDirectory
) -> Standing:
    folders = LessonFolders(course)
    graded = read_graded(lesson.slug, folders.notebooks().items())
    submissions = known.submissions
    came = {s: one.at for s, one in submissions.items()}
    not_graded = folders.not_graded()
    came |= {student: folders.came(student) for student in not_graded}
    strangers = sorted(came.keys() - set(expected))
    troubles = read_troubles(lesson.slug)
    return Standing(
        lesson=lesson,
        due=known.due,
        points=sum(known.points.values()),
        expected=len(expected),
        marks={s: one.score for s, one in submissions.items()},
        came=came,
        late={s: one.seconds_late for s, one in submissions.items() if one.seconds_late},
        penalised=any(one.penalty for one in submissions.values()),
        missing=[s for s in expected if s not in came],
        off_roster=dict.fromkeys(strangers, "") | dict(ids_alike(strangers, expected)),
        technical=_technical(submissions, graded),
        not_graded=not_graded,
        waiting={s: sorted(one.waiting) for s, one in submissions.items() if one.waiting},
        feedback=_feedback(submissions, folders, troubles),
        troubles=troubles,
        exercises=[_exercise(c, p, submissions, graded) for c, p in _in_order(lesson, known)],
        chosen=_chosen(graded),
    )


def on_roster(students: Mapping[str, str]) -> list[str]:
    """Return who is on the roster, given the ids in the gradebook with their names.

    Grading enters whoever hands in into the gradebook. Where no roster was loaded, all are on it.
    """
    roster = kept_roster()
    return [one for one in students if one in roster] if roster else list(students)


def _technical(
    submissions: Mapping[str, Submission], graded: Mapping[str, GradedNotebook]
) -> dict[str, str]:
    found = {}
    for student, one in submissions.items():
        notebook = graded.get(student, _NOTHING)
        answers = [points for cell, points in one.scores.items() if cell != CHECK]
        if why := "" if any(answers or one.scores.values()) else notebook.technical():
            found[student] = why
        elif notebook.not_counted:
            found[student] = f"in the quiz: {notebook.not_counted.removeprefix('quiz: not yet. ')}"
    return found


def _feedback(
    submissions: Mapping[str, Submission], folders: LessonFolders, troubles: Troubles
) -> dict[str, str]:
    """Return whose feedback is missing or old, and why; nobody's before anybody has some."""
    pages, notebooks = folders.feedback(), folders.notebooks()
    if not pages and not troubles.without_feedback:
        return {}
    found = {}
    for student, one in submissions.items():
        page = pages.get(student)
        if page is None:
            found[student] = troubles.without_feedback.get(student, "there is none")
            continue
        try:
            graded_ns = notebooks[student].stat().st_mtime_ns
        except (KeyError, OSError):
            continue
        if page.made_ns < graded_ns:
            found[student] = "it is older than the marks"
        elif page.points and page.points != f"{round(sum(one.scores.values()), 2):g}":
            found[student] = f"it says {page.points} points, and the marks have changed"
    return found


def _in_order(lesson: Lesson, known: LessonMarks) -> list[tuple[str, float]]:
    """Return the graded cells with their points, as the lesson has them one after the other."""
    order = {name: place for place, name in enumerate(graded_cells(lesson)[1])}
    return sorted(known.points.items(), key=lambda one: (order.get(one[0], len(order)), one[0]))


def _exercise(
    cell: str,
    points: float,
    submissions: Mapping[str, Submission],
    graded: Mapping[str, GradedNotebook],
) -> Exercise:
    attempted = right = 0
    mistakes: Counter[tuple[str, bool]] = Counter()
    for student, one in submissions.items():
        score = one.scores.get(cell, 0.0)
        notebook = graded.get(student, _NOTHING)
        error = notebook.errors.get(cell)
        person = cell in one.waiting or cell in one.by_hand
        chose = cell == CHECK and any(notebook.chosen.values())
        is_right = score >= points and points > 0 and cell not in one.waiting
        right += is_right
        attempted += bool(score or person or chose or (error and error[0] != STUB))
        if error and error[0] != STUB and not is_right:
            mistakes[error[1], error[0] == NAMED] += 1
    by_count = sorted(mistakes.items(), key=lambda one: (-one[1], one[0]))
    return Exercise(
        name=cell.removesuffix("-check"),
        points=points,
        attempted=attempted,
        right=right,
        mistakes=tuple(Mistake(says, named, count) for (says, named), count in by_count),
    )


def _chosen(graded: Mapping[str, GradedNotebook]) -> dict[str, Counter[str]]:
    """Return question -> letter -> how many chose it, in the order of the questions."""
    found: dict[str, Counter[str]] = {}
    for notebook in graded.values():
        for question, letter in notebook.chosen.items():
            found.setdefault(question, Counter())[letter] += 1
    return dict(sorted(found.items()))

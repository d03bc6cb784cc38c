"""The cells of a lesson that nobody writes by hand: its card, its quiz and its ending.

A lesson's source has one line for each, `# %% [markdown] generated="card"`, and course.toml and the
quiz bank say what comes in its place; two questions from before come below the card. So no lesson
can disagree with the map.
"""

from collections.abc import Callable, Iterator, Sequence

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from gqa_lib.course.manifest import Lesson, Planned, find_lesson, lessons, outline, terms
from gqa_lib.learn.quiz.questions import DRAWN
from gqa_lib.learn.tutor.cells import DOES
from grading.nb.cells import CHECK, QUIZ, grade_id
from grading.quiz.marking import asked_count

from . import elsewhere

MARK = "generated"  # metadata of a source's cell that stands for cells generated in its place
EARNED = "## What you earned"  # heading of the cell above the one that shows a learner's record
FROM_BEFORE = "**Two questions from before.**"  # begins the cell above those on earlier lessons
_HAND_WRITTEN = ("wrap_up(", "warm_up(", "**Next:**", "**Key terms:**", "**Related lessons:**")
_SHOWN_AGAIN = (
    "**If the questions above have buttons, run the next two cells and change nothing.** Without\n"
    "buttons (`{show}` shows them as text), write your answers into the next cell: what is written "
    "there takes precedence."
)
_WRAPS_UP = "Shows what the lesson earned so far and what is left to do in it."
_HANDS_IN = "Hands the lesson in, once the # is taken out, and shows the score of each exercise."
_WRITTEN = """\
answers = {{}}  # without a panel: answers = {{"Q00": "B", ...}}
### BEGIN SOLUTION
from grading.quiz import right_answers

answers = right_answers("{number}")
### END SOLUTION"""
_CHECKED = """\
check_quiz("{number}", answers)
### BEGIN HIDDEN TESTS
from grading.quiz import mark_quiz

mark_quiz("{number}", answers)
### END HIDDEN TESTS"""


def expand(lesson: Lesson, cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Return the cells of a lesson's source with each marked one replaced by what it stands for.

    Raises:
        ValueError: `misplaced` finds something wrong with the source.
    """
    if problems := misplaced(lesson, cells):
        raise ValueError(f"{lesson.slug}: {problems[0]}")
    made: list[NotebookNode] = []
    for cell in cells:
        made += _MAKERS[cell.metadata[MARK]](lesson) if MARK in cell.metadata else [cell]
    return made


def misplaced(lesson: Lesson, cells: Sequence[NotebookNode]) -> list[str]:
    """Return what is wrong with the marked cells of a lesson's source, or written next to them."""
    found = []
    marks = [cell.metadata.get(MARK) for cell in cells]
    for kind in _MAKERS:
        if (count := marks.count(kind)) != 1:
            found.append(f'its source has {count} cells marked {MARK}="{kind}"; it needs one')
    if unknown := sorted({f"{mark}" for mark in marks if mark} - _MAKERS.keys()):
        found.append(f"nothing is generated for {', '.join(unknown)}; only for {_known()}")
    if not found and (marks[0] != "card" or marks[-1] != "ending"):
        found.append("its card is not its first cell, or its ending not its last")
    for cell in cells:
        if MARK in cell.metadata and cell.source.strip():
            found.append(f"a cell marked {MARK} has a text of its own: {cell.source[:60]}")
        if grade_id(cell) in (QUIZ, CHECK) or f'show_quiz("{lesson.number}")' == cell.source:
            found.append(f'its quiz is written by hand; it is generated="{QUIZ}"')
        found += [
            f"it has {text!r}, which is generated" for text in _HAND_WRITTEN if text in cell.source
        ]
    return found


def _known() -> str:
    return ", ".join(_MAKERS)


def _card(lesson: Lesson) -> list[NotebookNode]:
    """Return the card: time, what it needs, its claim, what one can do afterwards, key terms.

    Below it is the cell that installs the course in Colab, where course.toml names a repository.
    """
    title = lesson.title if lesson.number in ("00", DRAWN) else lesson.name
    able = [f"- {one}{',' if one != lesson.able[-1] else '.'}" for one in lesson.able]
    parts = [
        f"# {title}",
        "| time | before this | claim tested |\n|---|---|---|\n"
        f"| {lesson.minutes} minutes | {_needed(lesson)} | {lesson.claim} |",
        "\n".join(["When you are done you can", "", *able]) if able else "",
        _key_terms(lesson),
        _related(lesson),
        elsewhere.links(lesson),
    ]
    card = new_markdown_cell("\n\n".join(filter(None, parts)))
    return [card, *elsewhere.installing_cell(), *_from_before(lesson)]


def _from_before(lesson: Lesson) -> list[NotebookNode]:
    """Return two questions on earlier lessons, below the card; grading leaves them out."""
    if lesson == lessons()[0] or lesson.number == DRAWN:
        return []
    return [
        new_markdown_cell(
            f"{FROM_BEFORE} They come from lessons that you have begun, and those that you\n"
            "once got wrong come first. Nothing here is graded. Run the next cell to see them.",
            metadata={MARK: "before"},
        ),
        new_code_cell(
            f'from gqa_lib.learn import warm_up\n\nwarm_up("{lesson.number}")',
            metadata={
                "deletable": False,
                DOES: "Asks two questions on earlier lessons again, those you once missed first; "
                "choose, and read what is said below each.",
                "editable": False,
            },
        ),
    ]


def _needed(lesson: Lesson) -> str:
    links = [f"[{number}]({find_lesson(number).link()})" for number in lesson.prerequisites]
    numbers = [int(number) for number in lesson.prerequisites]
    in_a_row = len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1))
    said = (
        f"{links[0]} to {links[-1]}"
        if in_a_row
        else " and ".join(filter(None, [", ".join(links[:-1]), *links[-1:]]))
    )
    some = f"lesson{'s' if len(links) > 1 else ''} {said}" if links else ""
    return ", ".join(filter(None, [some, lesson.before]))


def _key_terms(lesson: Lesson) -> str:
    linked = ", ".join(terms()[name].linked(lesson) for name in lesson.key_terms)
    return f"**Key terms:** {linked}" if linked else ""


def _related(lesson: Lesson) -> str:
    also = (find_lesson(one) for one in lesson.related if one not in lesson.prerequisites)
    linked = ", ".join(f"[{one.name}]({one.link()})" for one in also)
    return f"**Related lessons:** {linked}" if linked else ""


def _quiz(lesson: Lesson) -> list[NotebookNode]:
    """Return the questions, the cell for written answers and the check."""
    number, drawn = lesson.number, lesson.number == DRAWN
    heading = "Your questions" if drawn else f"{_spelled(asked_count(lesson))} questions"
    saved = (
        " Your choices are saved in `quiz_answers.json` next to\n"
        "this notebook; after you submit, the feedback page explains every option."
    )
    return [
        new_markdown_cell(
            f"## {heading}\n\nIf you see no questions, run the next cell.{'' if drawn else saved}"
        ),
        new_code_cell(f'show_quiz("{number}")'),
        new_markdown_cell(_SHOWN_AGAIN.format(show=f'show_quiz("{number}", text=True)')),
        _known_to_nbgrader(QUIZ, _WRITTEN.format(number=number), solution=True),
        _known_to_nbgrader(CHECK, _CHECKED.format(number=number), points=asked_count(lesson)),
    ]


def _spelled(count: int) -> str:
    return {3: "Three"}.get(count, str(count))


def _known_to_nbgrader(name: str, source: str, *, solution=False, points: int | None = None):
    """Return a cell with nbgrader's metadata: for an answer, or a check that gives points."""
    about = {
        "grade": points is not None,
        "grade_id": name,
        "locked": not solution,
        **({"points": points} if points is not None else {}),
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return new_code_cell(source, metadata={"nbgrader": about})


def _ending(lesson: Lesson) -> list[NotebookNode]:
    """Return what was earned and what is left, and what comes next.

    nbgrader does not know the cell that shows what was earned, so grading leaves it out.
    """
    return [
        new_markdown_cell(
            f"{EARNED}\n\nThat was lesson {int(lesson.number)}. Run the next cell: it shows what "
            "counts so far and what is left\nto do. To hand the lesson in, save it (Ctrl+S), take "
            "the `#` out of the cell below that, and run it.",
            metadata={MARK: "ending"},
        ),
        new_code_cell(
            f'from gqa_lib.learn import submit, wrap_up\n\nwrap_up("{lesson.number}")',
            metadata={"deletable": False, "editable": False, DOES: _WRAPS_UP},
        ),
        new_code_cell(f'# submit("{lesson.number}")', metadata={DOES: _HANDS_IN}),
        new_markdown_cell("\n\n".join(_next(lesson)), metadata={MARK: "ending"}),
    ]


def _next(lesson: Lesson) -> Iterator[str]:
    """Yield what comes after a lesson: the next one there is, and those planned before it."""
    after = outline()[outline().index(lesson) + 1 :]
    following = next((one for one in after if isinstance(one, Lesson)), None)
    if following is None:
        yield "**This is the last lesson.** The feedback page says which lesson to open again."
        return
    teaser = f", {following.teaser}" if following.teaser else ""
    yield (
        f"**Next:** [{following.name}]({following.link()}) ({following.minutes} minutes){teaser}."
    )
    if skipped := after[: after.index(following)]:
        yield _said_planned(skipped)


def _said_planned(planned: Sequence[Lesson | Planned]) -> str:
    first, last = planned[0], planned[-1]
    if len(planned) == 1:
        return f"Lesson {first.number}, {first.title}, is planned, not written yet."
    return f"Lessons {first.number} to {last.number} are planned, not written yet."


_MAKERS: dict[str, Callable[[Lesson], list[NotebookNode]]] = {
    "card": _card,
    "quiz": _quiz,
    "ending": _ending,
}

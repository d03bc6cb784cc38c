"""The catalogue of answers to the exercises, wrong and right, that the checks are held against.

`grading/authoring/planted/NN-slug.py` holds them, one cell each, in percent format:

    # %% wrong expand_kv: tiles the heads
    # says: the heads are tiled
    def expand_kv(kv, q_per_kv):
        return kv.repeat(1, q_per_kv, 1, 1)

A cell stands in for the learner's cell of that exercise. A wrong answer may say a phrase that the
learner must read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from gqa_lib.course.manifest import Lesson
from grading.nb.cells import QUIZ, is_solution, known_id
from grading.quiz import right_answers

_CELL = re.compile(r"^# %% (wrong|right) (\w+): (.+)\n((?:# says: .+\n)?)", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """One answer of the catalogue."""

    exercise: str
    right: bool
    title: str
    says: str
    source: str


def catalogue(lesson: Lesson) -> list[Answer]:
    """Return the answers planted for a lesson.

    Raises:
        ValueError: the file has a cell that is none, or this copy of the course has no answers.
    """
    path = Path(__file__).parent / "planted" / f"{lesson.slug}.py"
    if not path.parent.is_dir():
        raise ValueError("this copy of the course has no planted answers: a clone of it has them.")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = list(_CELL.finditer(text))
    if len(found) != text.count("\n# %%"):
        raise ValueError(
            f"{path.name}: of {text.count(chr(10) + '# %%')} cells {len(found)} can be read. Begin "
            "each with `# %% wrong EXERCISE: what is wrong`, or `right`."
        )
    ends = [*(match.start() for match in found), len(text)][1:]
    return [
        Answer(
            exercise=match[2],
            right=match[1] == "right",
            title=match[3].strip(),
            says=match[4].removeprefix("# says:").strip(),
            source=text[match.end() : end],
        )
        for match, end in zip(found, ends, strict=True)
    ]


def picked(lesson: Lesson, titles: dict[str, str]) -> dict[str, str]:
    """Return exercise -> source of the answers that have these titles in the catalogue."""
    by_title = {(one.exercise, one.title): one.source for one in catalogue(lesson)}
    return {exercise: by_title[exercise, title] for exercise, title in titles.items()}


def first_right(lesson: Lesson) -> dict[str, str]:
    """Return exercise -> source of the first right answer to each, and last that of the quiz."""
    right: dict[str, str] = {}
    for answer in catalogue(lesson):
        if answer.right:
            right.setdefault(answer.exercise, answer.source)
    return right | {QUIZ: f"answers = {right_answers(lesson.number)}"}


def filled(notebook: NotebookNode, answers: dict[str, str]) -> NotebookNode:
    """Return the notebook with sources of answers in the exercises that are named."""
    for cell in notebook.cells:
        if is_solution(cell):
            cell.source = answers.get(known_id(cell), cell.source)
    return notebook

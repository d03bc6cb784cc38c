"""`gqa reset`: restores an exercise or a lesson as released; a backup of the notebook is kept."""

import copy
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gqa_lib.course import places
from gqa_lib.course.files import replace_file
from gqa_lib.course.manifest import Lesson
from gqa_lib.learn import progress
from gqa_lib.learn.progress.standing import standing
from grading.nb.cells import grade_id, is_solution, known_id, read_notebook


def reset(lesson: Lesson, exercise: str | None) -> str:
    """Put an exercise of the learner's copy back, or the whole lesson; return what was done.

    The notebook as it was is kept next to it under a dated name.

    Args:
        lesson: the lesson.
        exercise: name of the exercise; None is the lesson.

    Raises:
        ValueError: there is no such exercise, or the learner's copy cannot be read.
        OSError: there is no copy yet, or the files cannot be written.
    """
    path = places.work() / lesson.slug / lesson.pristine.name
    released = read_notebook(lesson.pristine)
    names = [known_id(cell) for cell in released.cells if is_solution(cell)]
    if exercise is not None and exercise not in names:
        raise ValueError(
            f"lesson {lesson.number} has no exercise {exercise!r}. Its exercises are "
            f"{', '.join(names)}."
        )
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not there, so there is nothing to reset. `gqa lab {lesson.number}` puts a "
            "fresh copy in place."
        )
    made = lesson.pristine.read_text(encoding="utf-8")
    if exercise is not None:
        made = nbformat.writes(with_exercise_back(_readable(path, lesson), released, exercise))
    checks = _checks(lesson, exercise)
    backup = _keep(path)
    replace_file(path, made)
    progress.add(lesson.slug, exercise or "", "reset", detail=f"after {checks} checks")
    after = f" after {checks} check{'s' if checks != 1 else ''}" if checks else ""
    return (
        f"{exercise or f'Lesson {lesson.number}'} is as it was released{after}. "
        f"Your notebook until now: {backup}\n"
        "If the lesson is open in JupyterLab: File > Reload Notebook from Disk. (Should you save "
        "there first, JupyterLab asks: choose Revert.)"
    )


def with_exercise_back(mine: NotebookNode, released: NotebookNode, exercise: str) -> NotebookNode:
    """Return a learner's notebook in which an exercise's cells are the released ones.

    Those are its solution, its checks and its hints. Each goes where it was; one that is gone,
    behind the nearest released cell before it that is still there. Copies of them go.
    """
    made = copy.deepcopy(mine)
    for place, cell in enumerate(released.cells):
        if not _belongs(cell, exercise):
            continue
        there = [at for at, other in enumerate(made.cells) if _same(other, cell)]
        at = there[0] if there else _place_after(made, released.cells[:place])
        for old in reversed(there):
            del made.cells[old]
        made.cells.insert(at, copy.deepcopy(cell))
    if (made.nbformat, made.nbformat_minor) < (4, 5):  # its cells have no ids
        for cell in made.cells:
            cell.pop("id", None)
    return made


def _belongs(cell: NotebookNode, exercise: str) -> bool:
    name = grade_id(cell) or ""
    return (
        name == exercise
        or name.rpartition("-")[0] == exercise
        or cell.metadata.get("hints") == exercise
    )


def _same(one: NotebookNode, other: NotebookNode) -> bool:
    """Return whether a cell is a released one, whatever was done to its text."""
    if name := grade_id(other):
        return grade_id(one) == name
    if hints := other.metadata.get("hints"):
        return one.metadata.get("hints") == hints
    return one.get("id") == other.get("id") or one.source == other.source


def _place_after(notebook: NotebookNode, before: list[NotebookNode]) -> int:
    """Return the place behind the last of some released cells that the notebook has."""
    for cell in reversed(before):
        for at, other in enumerate(notebook.cells, 1):
            if _same(other, cell):
                return at
    return 0


def _readable(path: Path, lesson: Lesson) -> NotebookNode:
    try:
        return read_notebook(path)
    except ValueError as error:
        raise ValueError(
            f"{path} was left as it is: {str(error).rstrip('.')}. `gqa reset {lesson.number} "
            "--all` puts a fresh copy in its place and keeps this one next to it."
        ) from None


def _checks(lesson: Lesson, exercise: str | None) -> int:
    counts = {name: one.checks for name, one in standing(lesson).exercises.items()}
    return counts[exercise] if exercise else sum(counts.values())


def _keep(path: Path) -> Path:
    """Copy a notebook next to itself under a name that no file has, and return that."""
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    content = path.read_bytes()
    for count in range(1, 1000):
        again = f"-{count}" if count > 1 else ""
        backup = path.with_name(f"{path.stem}.before-{stamp}{again}.ipynb")
        try:
            with backup.open("xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        return backup
    raise FileExistsError(
        f"there are a thousand copies next to {path}: move some of them elsewhere."
    )

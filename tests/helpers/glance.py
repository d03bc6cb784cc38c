"""A class that is made up: rows in a gradebook and graded notebooks, without grading anything."""

import json
from datetime import datetime, timedelta
from pathlib import Path

from nbgrader.api import Grade as GradeRow
from nbgrader.api import Gradebook, SubmittedAssignment, SubmittedNotebook

from gqa_lib.course.manifest import Lesson
from gqa_lib.learn.progress.standing import graded_cells
from grading.intake.arrivals import TIMESTAMP
from grading.quiz.bank import load_bank

DUE = datetime(2025, 1, 15, 22, 59, 59)
NAMED = (
    "{name}: not yet.\n  The shape is right, but 140 of 420 values differ; the first, at [0, 1, 0, "
    "0], is -1.218,\n  expected -2.310.\n  That is what you get when {says}\n  Called with kv (2, "
    "3, 7, 5), q_per_kv=2.\n  Stuck? hint('{name}')"
)
TILED = (
    "the heads are tiled (K0 K1 K0 K1 ...). Each KV head must be\n  repeated in place: "
    "repeat_interleave, not repeat."
)
UNSCALED = "the scores are not scaled by the square root of head_dim."
STUB = "{name}: not yet.\n  it is still a stub. Write your code where it says YOUR CODE HERE."
SHAPE = "{name}: not yet.\n  It returned shape (2, 3); expected (2, 6).\n  Called with x (2, 3)."


def release(gradebook: Gradebook, lesson: Lesson, due: datetime | None = DUE, by_hand=()) -> None:
    """Enter a lesson with its graded cells; the cells of `by_hand` are for a person."""
    gradebook.add_assignment(lesson.slug, duedate=due)
    gradebook.add_notebook(lesson.slug, lesson.slug)
    for name, points in graded_cells(lesson)[1].items():
        kind = "markdown" if name in by_hand else "code"
        gradebook.add_grade_cell(name, lesson.slug, lesson.slug, max_score=points, cell_type=kind)


def notebook_of(lesson: Lesson, errors=None, chosen=None, notice="") -> dict:
    """Return a graded notebook: cell -> (error's name, text), question -> letter chosen."""
    errors, bank = errors or {}, {one.id: one for one in load_bank()}
    cells = []
    if notice:
        cells.append(
            {"cell_type": "markdown", "source": notice, "metadata": {"gqa": "notice"}, "id": "n"}
        )
    for name in graded_cells(lesson)[1]:
        metadata: dict = {"nbgrader": {"grade": True, "grade_id": name}}
        if name == "quiz-check" and chosen is not None:
            asked = [
                {"id": q, "chosen": letter, "answer": bank[q].answer, "stem": bank[q].stem}
                for q, letter in chosen.items()
            ]
            metadata["gqa"] = {"quiz": asked}
        outputs = []
        if name in errors:
            kind, text = errors[name]
            outputs = [{"output_type": "error", "ename": kind, "evalue": text, "traceback": [text]}]
        cells.append({"cell_type": "code", "source": "", "metadata": metadata, "outputs": outputs})
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def put(home: Path, step: str, student: str, lesson: Lesson, notebook: dict | None, at="") -> Path:
    """Write a folder of one of nbgrader's steps; return it."""
    folder = home / "course" / step / student / lesson.slug
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TIMESTAMP).write_text(at)
    if notebook is not None:
        (folder / f"{lesson.slug}.ipynb").write_text(json.dumps(notebook))
    return folder


def hand_in(
    gradebook: Gradebook, home: Path, student: str, lesson: Lesson, notebook: dict, **about
) -> None:
    """Enter a graded submission and its folders.

    It has full points where the notebook has no error; `scores` says others, `at` when it came,
    `waiting` which cells a person has to mark.
    """
    at = about.get("at", DUE - timedelta(days=1))
    with gradebook.db.no_autoflush:
        rows = _rows(gradebook, student, lesson, notebook, at, about)
    gradebook.db.add_all(rows)
    stamp = f"{at:%Y-%m-%d %H:%M:%S.%f} UTC"
    put(home, "submitted", student, lesson, None, stamp)
    put(home, "autograded", student, lesson, notebook, stamp)


def _rows(gradebook, student, lesson, notebook, at, about):
    assignment = gradebook.find_assignment(lesson.slug)
    (known,) = assignment.notebooks
    wrong = {
        c["metadata"]["nbgrader"]["grade_id"]
        for c in notebook["cells"]
        if c.get("outputs") and "nbgrader" in c["metadata"]
    }
    submission = SubmittedAssignment(assignment=assignment, student_id=student, timestamp=at)
    written = SubmittedNotebook(
        assignment=submission,
        notebook=known,
        late_submission_penalty=about.get("penalty"),
    )
    scores, waiting = about.get("scores", {}), about.get("waiting", ())
    rows = [submission, written]
    for cell in known.grade_cells:
        score = scores.get(cell.name, 0 if cell.name in wrong else cell.max_score)
        waits = cell.name in waiting
        grade = GradeRow(notebook=written, cell=cell, auto_score=score, needs_manual_grade=waits)
        rows.append(grade)
    return rows

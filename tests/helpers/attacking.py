"""Reads the hostile and broken submissions of `tests/grading/safe/attacks/` and grades them.

Each cell of these files stands in for a student's cell of one exercise:

    # %% zeroed inputs and a zero answer
    # exercise: attention
    # must: values differ
    def attention(q, k, v, causal=True):
        ...

`exercise` says whose tests grade it. `must` is a phrase that the student reads, `never` one that
nobody does. `points` is what it earns, 0 unless given, or `all`. `cell_s` and `notebook_s` are
limits of its own, from its cell on: what ends only by a limit has one, and all else has time enough
on a busy machine. `then: honest` wants an honest submission graded right after it. A few names tell
a cell what to aim at: SECRET_FILE is the path of a file of the instructor's, COURSE and HOME_FOLDER
are folders of theirs, and the grader listens on PORT and ABSTRACT, a socket without a file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import from_dict
from nbformat.v4 import new_code_cell
from nbgrader.utils import determine_grade

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.exercises import find_exercise
from grading.authoring.catalogue import first_right
from grading.authoring.source import read_source, source_of
from grading.nb.cells import grade_id, is_graded, is_solution
from grading.safe.cell import ANSWER, TEST, TRUSTED, Cell
from grading.safe.grade_notebook import grade_notebook
from grading.safe.limits import Limits
from grading.safe.pool import GradingProcesses

FOLDER = Path(__file__).parents[1] / "grading" / "safe" / "attacks"
KEYS = ("exercise", "must", "never", "points", "cell_s", "notebook_s", "then")
PATIENCE_S = 300
SMALL = {"cell_s": PATIENCE_S, "notebook_s": 4 * PATIENCE_S}
SMALL |= {"memory_mb": 950, "scratch_mb": 16, "file_mb": 8}
_CELL = re.compile(r"^# %% (.+)\n((?:# (?:" + "|".join(KEYS) + r"): .+\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Attack:
    """One submission, and what must come of it."""

    file: str
    title: str
    source: str
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def exercise(self) -> str:
        """The exercise whose cell it takes."""
        return self.keys["exercise"]

    @property
    def must(self) -> str:
        """A phrase that its student reads."""
        return self.keys.get("must", "")

    @property
    def never(self) -> str:
        """A phrase that nobody reads, or ""."""
        return self.keys.get("never", "")

    @property
    def then(self) -> str:
        """`honest`: an honest submission comes right after it."""
        return self.keys.get("then", "")

    @property
    def limits(self) -> Limits:
        """The limits it is graded with."""
        own = {name: float(self.keys[name]) for name in {"cell_s", "notebook_s"} & self.keys.keys()}
        limits: dict[str, Any] = SMALL | own
        return Limits(**limits)

    def points(self) -> float:
        """Return what it is to earn."""
        wanted = self.keys.get("points", "0")
        return full_marks(self.exercise) if wanted == "all" else float(wanted)


def attacks() -> list[Attack]:
    """Return all attacks, in the order of their files.

    Raises:
        ValueError: a file has a cell that is none.
    """
    return [attack for path in sorted(FOLDER.glob("*.py")) for attack in _read(path)]


def _read(path: Path) -> list[Attack]:
    text = path.read_text(encoding="utf-8")
    found = list(_CELL.finditer(text))
    ends = [*(match.start() for match in found), len(text)][1:]
    read = []
    for match, end in zip(found, ends, strict=True):
        rows = (row.removeprefix("# ").partition(": ") for row in match[2].splitlines())
        keys = {name: value.strip() for name, _, value in rows}
        read.append(Attack(path.stem, match[1].strip(), text[match.end() : end], keys))
    if len(read) != text.count("\n# %%") or not all("exercise" in one.keys for one in read):
        raise ValueError(f"{path.name}: begin each cell with `# %% TITLE` and `# exercise: NAME`.")
    return read


@dataclass(frozen=True)
class Graded:
    """What came of a submission: its marks by nbgrader's own count, and what its student reads."""

    marks: float
    read: str
    verdict: str  # the first error of its tests


def grade(
    source: str, exercise: str, processes: GradingProcesses, limits: Limits, canary: str = ""
) -> Graded:
    """Return what comes of a submission whose cell for an exercise has this source.

    Args:
        canary: a word that the tests have in them, and that no student may read.
    """
    cells = _notebook(exercise, source)
    for cell in cells:
        cell.source += f"\ncanary = {canary!r}" if cell.kind == TEST and canary else ""
    since = _Since(limits)
    grade_notebook(since.watched(cells, source), processes, since)  # type: ignore[arg-type]
    errors = [
        _texts(out) for cell in cells if cell.kind == TEST for out in cell.outputs if _bad(out)
    ]
    read = "\n".join(_texts(output) for cell in cells for output in cell.outputs)
    marks = sum(_mark(cell) for cell in cells if cell.kind == TEST)
    return Graded(marks, " ".join(read.split()), " ".join(" ".join(errors[:1]).split()))


class _Since:
    """Limits of which that of a cell holds from a submission's own cell on."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self.cell_s: float = PATIENCE_S

    def __getattr__(self, name: str):
        return getattr(self._limits, name)

    def watched(self, cells: list[Cell], source: str) -> Iterator[Cell]:
        """Yield the cells as they are run."""
        for cell in cells:
            if cell.kind == ANSWER and cell.source == source:
                self.cell_s = self._limits.cell_s
            yield cell


def honest(exercise: str) -> str:
    """Return a right answer to an exercise."""
    return first_right(_lesson(exercise))[exercise]


def full_marks(exercise: str) -> float:
    """Return the points there are for an exercise."""
    return sum(cell.points for cell in _notebook(exercise, ""))


def _notebook(exercise: str, source: str) -> list[Cell]:
    """Return the cells of a lesson up to an exercise's tests, the other exercises solved."""
    cells, right = [], first_right(_lesson(exercise))
    for cell in read_source(source_of(_lesson(exercise))).cells:
        name = grade_id(cell)
        if cell.cell_type != "code" or name is None:
            continue
        if is_solution(cell):
            cells.append(Cell(ANSWER, source if name == exercise else right[name]))
        elif not is_graded(cell):
            cells.append(Cell(TRUSTED, cell.source))
        elif name.startswith(f"{exercise}-"):
            cells.append(Cell(TEST, cell.source, float(cell.metadata.nbgrader.points)))
    last = max(place for place, cell in enumerate(cells) if cell.kind == TEST)
    return cells[: last + 1]


def _lesson(exercise: str):
    return find_lesson(find_exercise(exercise).lesson)


def _mark(cell: Cell) -> float:
    told = {"grade": True, "solution": False, "points": cell.points, "grade_id": "x"}
    noted = new_code_cell(cell.source, metadata={"nbgrader": told})
    noted.outputs = [from_dict(output) for output in cell.outputs]
    return determine_grade(noted)[0]


def _bad(output: dict) -> bool:
    return output["output_type"] == "error"


def _texts(output: dict) -> str:
    """Return all of an output that a page may show."""
    return "\n".join(
        [
            output.get("text", ""),
            output.get("ename", ""),
            output.get("evalue", ""),
            *output.get("traceback", []),
            *map(str, output.get("data", {}).values()),
        ]
    )

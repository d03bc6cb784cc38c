"""nbgrader's step that runs a notebook, made safe: see `grade_notebook`."""

import atexit
import hashlib
import hmac
import json
import logging
import threading
from pathlib import Path

from nbformat import NotebookNode, from_dict
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked, is_solution
from traitlets import Bool, Dict, Int

from gqa_lib.learn.quiz.sitting import Sitting
from grading.intake.sittings import as_key, sitting_of_submission
from grading.limited.verdict import verdict_of
from grading.nb.cells import OWN as OWN_CELL
from grading.nb.copies import copies_in

from ..limited.sandbox import NoSandbox
from .cell import ALONE, ANSWER, BOTH, OWN, TEST, TRUSTED, WHOLE, Cell
from .grade_notebook import grade_notebook
from .limits import Limits
from .outputs import error_output
from .pool import GradingProcesses

VERDICT = "gqa_verdict"  # resource: why nothing runs, and every test fails
SITTING = "gqa_sitting"  # resource: what tells whose quiz was graded, and with which choices


class SafeExecute(NbGraderPreprocessor):
    """Runs a submission's cells: answers in the sandbox, tests before the judge.

    Raises:
        NoSandbox: there is none here, and the code is not known to be one's own.
    """

    own_code = Bool(
        False, help="The code is the grader's own: without a sandbox it runs as it is."
    ).tag(config=True)
    seed = Int(None, allow_none=True, help="The course's seed of the hidden tests.").tag(
        config=True
    )
    quiz = Dict(help="Learner and attempt of one who learns alone.").tag(config=True)
    limits = Dict(help="Limits of a submission; see grading.safe.limits.Limits.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Return the notebook with what its cells put out."""
        places, cells = cells_of(nb)
        if verdict := resources.get(VERDICT):
            _fail_all(cells, verdict)
            return self._with_outputs(nb, places, [cell.outputs for cell in cells]), resources
        sitting = self._sitting(resources)
        resources[SITTING] = as_key(sitting)
        if known := _outputs_known.get(key_of(cells, sitting)):
            done = known.pop()
        else:
            processes = processes_for(own_code=self.own_code, seed=self.seed)
            limits = Limits(**self.limits)
            if run_cells(cells, processes, limits, sitting, self.log):
                self.log.info("It took too long while the machine was busy: it runs once more.")
                run_cells(cells, processes, limits, sitting, self.log)
            done = [cell.outputs for cell in cells]
        return self._with_outputs(nb, places, done), resources

    def _with_outputs(self, nb: NotebookNode, places: list[int], done: list) -> NotebookNode:
        for place in places:
            nb.cells[place].outputs, nb.cells[place].execution_count = [], None
        for place, outputs in zip(places, done, strict=True):
            if about := _about(outputs):
                nb.cells[place].metadata["gqa"] = about
            nb.cells[place].outputs += [from_dict(output) for output in outputs]
        return nb

    def _sitting(self, resources: dict) -> Sitting:
        submission, course = resources["nbgrader"], self.parent.parent.coursedir
        student, assignment = submission["student"], submission["assignment"]
        folder = course.format_path(course.submitted_directory, student, assignment)
        return sitting_of_submission(Path(folder), student, assignment, self.quiz)


def run_cells(
    cells: list[Cell],
    processes: GradingProcesses,
    limits: Limits,
    sitting: Sitting,
    log: logging.Logger,
) -> bool:
    """Run a notebook's cells; should they make grading itself fail, every test tells that.

    Returns:
        Whether it is to run once more, when nothing else does: see `grade_notebook`.

    Raises:
        OSError: the machine is at fault; so for other kinds of its failures.
    """
    try:
        seed = seed_of(processes.seed, cells, sitting)
        return grade_notebook(cells, processes, limits, sitting, seed)
    except Exception as error:
        verdict = verdict_of(error, "Running your notebook")
        log.error("%s", verdict, exc_info=error)
        _fail_all(cells, verdict)
        return False


def seed_of(course: int | None, cells: list[Cell], sitting: Sitting) -> int | None:
    """Return the seed of a submission's hidden tests; None, for fresh draws, without a course's.

    It is made of the course's seed, the student, the answers and the student's own cells: grading
    again draws the same numbers, and what one submission gets to know of them says nothing about
    the next one's.

    Args:
        course: the course's seed.
        cells: the notebook's.
        sitting: whose it is.
    """
    if course is None:
        return None
    about = [sitting.learner, [cell.source for cell in cells if cell.kind in (ANSWER, OWN)]]
    made = hmac.digest(str(course).encode(), json.dumps(about).encode(), "sha256")
    return int.from_bytes(made[:8])


def _fail_all(cells: list[Cell], verdict: str) -> None:
    for cell in cells:
        cell.outputs = [error_output("Stopped", verdict)] if cell.kind == TEST else []


def _about(outputs: list[dict]) -> dict | None:
    """Return what a test said of its points: only those outputs that are made here have it."""
    said = (o["metadata"].get("gqa") for o in outputs if o["output_type"] == "execute_result")
    return next(filter(None, said), None)


def cells_of(notebook: NotebookNode) -> tuple[list[int], list[Cell]]:
    """Return the places and the cells of a rebuilt notebook that grading runs.

    Several of one place are the copies of an exercise's cell. One that was below its check is also
    among the student's own, and runs there when the whole notebook does; see `grade_notebook`.
    """
    found: list[tuple[int, Cell]] = []
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        points = float(cell.metadata.get("nbgrader", {}).get("points") or 0)
        if is_solution(cell):
            for text, is_below in copies_in(cell.source):
                found.append((place, Cell(ANSWER, text, tries=ALONE if is_below else BOTH)))
        elif is_grade(cell):
            found.append((place, Cell(TEST, cell.source, points)))
        elif is_locked(cell):
            found.append((place, Cell(TRUSTED, cell.source)))
        elif cell.metadata.get("gqa") == OWN_CELL:
            found.append((place, Cell(OWN, cell.source, tries=WHOLE)))
    return [place for place, _ in found], [cell for _, cell in found]


def key_of(cells: list[Cell], sitting: Sitting) -> str:
    """Return what identifies cells that would run the same."""
    key = json.dumps([[cell.kind, cell.source, cell.points, cell.tries] for cell in cells])
    key += as_key(sitting)
    return hashlib.sha256(key.encode()).hexdigest()


_outputs_known: dict[str, list[list[list[dict]]]] = {}  # one for each that ran, if several alike


def remember(cells: list[Cell], sitting: Sitting) -> None:
    """Keep the outputs of cells that have run, for the next notebook that has just these."""
    _outputs_known.setdefault(key_of(cells, sitting), []).append([cell.outputs for cell in cells])


_processes: dict[tuple, GradingProcesses] = {}
_making = threading.Lock()


def processes_for(*, own_code: bool = False, seed: int | None = None) -> GradingProcesses:
    """Return this process's own, made on first use and closed at its end.

    Raises:
        NoSandbox: there is none here, and the code is not known to be one's own.
    """
    with _making:
        if (own_code, seed) not in _processes:
            processes = _processes[own_code, seed] = _new_processes(own_code, seed)
            atexit.register(processes.close)
        return _processes[own_code, seed]


def _new_processes(own_code: bool, seed: int | None) -> GradingProcesses:
    try:
        return GradingProcesses(seed=seed)
    except NoSandbox:
        if not own_code:
            raise
        return GradingProcesses("open", seed)

"""A class in a temporary folder: an instructor's own assignment, and students who hand in."""

import logging
import shutil
import warnings
from pathlib import Path

import nbformat
import nbgrader.server_extensions.formgrader as formgrader
import pytest
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.api import Gradebook
from nbgrader.auth import Authenticator
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets.config import Config

from gqa_lib.course.manifest import Lesson
from grading.authoring.run import run_cell
from grading.authoring.source import write_instructor_notebook
from grading.intake.collect import SafeCollect
from grading.nb.steps import course_of, file_log, generate, quietly
from grading.settings import nbgrader_config, source_directory

NAME = "doubling"
STAMP = "2026-03-01 12:00:00.000000 UTC"
SECRET = "ab" * 64
RIGHT = "def double(x):\n    return 2 * x"


def nbgrader(grade_id, **said):
    known = {"grade": False, "solution": False, "locked": False, "task": False}
    return {"nbgrader": {"grade_id": grade_id, "schema_version": 3} | known | said}


def instructor_notebook():
    """An assignment with a checked function, a question that a person marks, and a task."""
    stub = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
    hidden = "### BEGIN HIDDEN TESTS\nassert double(5) == 10, 'of five'\n### END HIDDEN TESTS"
    cells = [
        new_markdown_cell(r"# Doubling" + "\n\nWrite $f(x) = 2 \\cdot \\sqrt{x^2}$."),
        new_code_cell("import math", metadata=nbgrader("setup", locked=True)),
        new_code_cell(stub, metadata=nbgrader("double", solution=True)),
        new_code_cell(
            f"assert double(2) == 4, 'double(2) is 4'\n{hidden}",
            metadata=nbgrader("double-check", grade=True, locked=True, points=2),
        ),
        new_markdown_cell("Why?", metadata=nbgrader("why", grade=True, solution=True, points=3)),
        new_markdown_cell("Draw it.", metadata=nbgrader("draw", task=True, locked=True, points=1)),
    ]
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def release_of(lesson: Lesson, home: Path) -> None:
    """Make the records of a class in which a lesson is released: seconds of nbgrader's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GQA_HOME", str(home))
        write_instructor_notebook(lesson, source_directory())
        with quietly():
            generate(course_of(lesson, nbgrader_config()), file_log("release"))


class RunHere(NbGraderPreprocessor):
    """Runs a notebook's cells in this process: these tests are not about how they are run."""

    def preprocess(self, nb, resources):
        namespace: dict = {}
        for cell in nb.cells:
            runs = cell.cell_type == "code" and "tags" not in cell.metadata
            if runs and (error := run_cell(cell.source, "cell", namespace)):
                name, _, says = error.partition(": ")
                trace = ["\x1b[31mTraceback\x1b[0m", *cell.source.split("\n"), error]
                cell.outputs = [new_output("error", ename=name, evalue=says, traceback=trace)]
        return nb, resources


class _Kept(logging.Handler):
    def __init__(self, lines: list[str]):
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Classroom:
    """nbgrader's steps for one assignment, with its records under a folder.

    Making a release takes seconds; with `like` it is that of another classroom's folder.
    """

    def __init__(self, root: Path, like: Path | None = None):
        self.log = logging.getLogger(f"classroom-{root}")
        self.log.propagate = False
        self.lines: list[str] = []
        self.log.addHandler(_Kept(self.lines))
        self.config = nbgrader_config(root)
        self.config.CourseDirectory.source_directory = str(root / "source")
        self.config.Exchange.root = str(root / "exchange")
        self.config.ExchangeCollect.check_owner = False
        steps = self.config.Autograde.autograde_preprocessors
        self.config.Autograde.autograde_preprocessors = [RunHere, *steps[1:]]
        self.inbound = root / "exchange" / "gqa" / "inbound"
        self.inbound.mkdir(parents=True, exist_ok=True)
        self.inbound.parents[1].chmod(0o777)
        self.course = CourseDirectory(config=self.config)
        self.course.assignment_id = NAME
        self.course.log = self.log
        if like:
            shutil.copytree(like, root, dirs_exist_ok=True)
            return
        source = root / "source" / NAME / f"{NAME}.ipynb"
        source.parent.mkdir(parents=True)
        nbformat.write(instructor_notebook(), source)
        self.run(GenerateAssignment)

    def run(self, step, **traits) -> bool:
        """Run a step of nbgrader; return whether it went through for everybody."""
        app = step(coursedir=self.course, config=self.config, **traits)
        app.log, app.force = self.log, True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                app.start()
        except NbGraderException:
            return False
        return True

    def collect(self) -> SafeCollect:
        authenticator = Authenticator(config=self.config)
        app = SafeCollect(coursedir=self.course, config=self.config, authenticator=authenticator)
        app.log, app.update = self.log, True
        app.start()
        return app

    def autograde(self) -> bool:
        return self.run(Autograde)

    def feedback(self) -> bool:
        return self.run(GenerateFeedback)

    @property
    def released(self) -> Path:
        return self.folder("release", ".") / f"{NAME}.ipynb"

    def folder(self, step: str, student: str) -> Path:
        return Path(self.course.format_path(step, student, NAME))

    def inbox(self, student: str, stamp: str = STAMP) -> Path:
        """Make the folder of a submission to the exchange, with what `nbgrader submit` adds."""
        folder = self.inbound / f"{student}+{NAME}+{stamp}+x"
        folder.mkdir()
        (folder / "timestamp.txt").write_text(stamp)
        (folder / "submission_secret.txt").write_text(SECRET)
        return folder

    def answered(self, code: str = RIGHT, why: str = "Because."):
        """The released notebook with answers in it."""
        notebook = nbformat.read(self.released, 4)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            cell.source = {"double": code, "why": why}.get(name, cell.source)
        return notebook

    def scores(self) -> dict[str, float]:
        """Return student -> score of the check cell; of those that were graded."""
        with Gradebook(self.course.db_url) as gradebook:
            found = gradebook.notebook_submissions(NAME, NAME)
            return {
                one.student.id: grade.auto_score
                for one in found
                for grade in one.grades
                if grade.name == "double-check" and grade.auto_score is not None
            }

    def page(self, student: str) -> str:
        return (self.folder("feedback", student) / f"{NAME}.html").read_text(encoding="utf-8")


def formgraders_page(room: "Classroom", student: str) -> str:
    """Return the page of a graded submission that an instructor sees in Formgrader."""
    config = Config(room.config)  # with what Formgrader itself sets
    config.HTMLExporter.template_name = "formgrade"
    templates = Path(formgrader.__file__).parent / "templates"
    config.HTMLExporter.extra_template_basedirs = [str(templates)]
    about = {"index": 0, "total": 1, "base_url": "", "submission_id": "x", "notebook_id": NAME}
    path = room.folder("autograded", student) / f"{NAME}.ipynb"
    return HTMLExporter(config=config).from_filename(str(path), resources=about)[0]

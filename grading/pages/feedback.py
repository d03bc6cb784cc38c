"""The pages made of graded notebooks: feedback, and Formgrader's view of a submission.

A student's text is on both, and an instructor opens both in a browser that is logged in. So
text becomes markup in one way only (`markup`), outputs are text and images only (`outputs`), and
the pages forbid scripts (feedback) and loads from elsewhere (both). Feedback shows the score by
exercise and why, and no hidden test.

Formgrader's page is nbgrader's template; `templates/formgrade` is installed where nbconvert looks
for parts of it, and takes MathJax's place there.
"""

import html
import re
from pathlib import Path

from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ClearHiddenTests, GetGrades
from traitlets import Bool
from traitlets.config import Config

from grading.limited.verdict import verdict_of
from grading.nb.cells import is_graded, is_solution
from grading.nb.diagnosis import diagnose
from grading.nb.texts import clean

from .formatting import CODE, MARKDOWN, highlight_code, markdown2html, prepare
from .markup import inline_code
from .outputs import clean_cells, plain

RAN_HERE = "# hidden tests ran here"
_LEAST_TELLING = 6  # characters: a shorter line of a hidden test gives nothing away


def configure(config: Config) -> None:
    """Make nbgrader's feedback and Formgrader's pages of submissions safe, and feedback ours."""
    pages = config.HTMLExporter
    pages.sanitize_html = True
    pages.filters = {
        "markdown2html": markdown2html,
        "highlight_code": highlight_code,
        "inline_code": inline_code,
        "diagnosis": diagnosis,
    }
    pages.preprocessors = [SafePage]
    feedback = config.GenerateFeedback.HTMLExporter
    feedback.template_name = "gqa_feedback"
    feedback.extra_template_basedirs = [str(Path(__file__).parent / "templates")]
    config.GenerateFeedback.exporter_class = FeedbackPage
    config.GenerateFeedback.preprocessors = [ShowMarks, HideHidden]


def diagnosis(output: NotebookNode) -> str:
    """Return a line on an error of a check: the filter of the page's column "why"."""
    return diagnose(output.ename, output.evalue).says


class FeedbackPage(HTMLExporter):
    """A student's feedback: whatever is in the notebook, there is a page with the marks."""

    def from_filename(self, filename, resources=None, **kw):
        """Return the page of a graded notebook; one of the marks alone if it cannot be shown."""
        try:
            page, resources = super().from_filename(filename, resources, **kw)
            return clean(page), resources
        except Exception as error:
            reason = verdict_of(error, "Showing your notebook")
            self.log.error("%s: %s", filename, reason, exc_info=error)
            resources["output_extension"] = self.file_extension
            return clean(_marks_alone(resources["nbgrader"], reason)), resources


_MARKS_ALONE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'">
<title>{notebook}: {total}</title>
</head>
<body>
<h1>{notebook}</h1>
<p>{total} points</p>
<p>{reason}</p>
<table>
<tr><th>exercise</th><th>points</th></tr>
{rows}
</table>
</body>
</html>
"""


def _marks_alone(about: dict, reason: str) -> str:
    """Return a page that tells what the gradebook has of a notebook, and no more."""
    with Gradebook(about["db_url"]) as gradebook:
        found = gradebook.find_submission_notebook(
            about["notebook"], about["assignment"], about["student"]
        )
        penalty = found.late_submission_penalty or 0
        total = f"{found.score - penalty:g} of {found.max_score:g}"
        rows = [
            f"<tr><td>{html.escape(one.name)}</td><td>{one.score:g} of {one.max_score:g}</td></tr>"
            for one in found.grades
        ]
    return _MARKS_ALONE.format(
        notebook=html.escape(about["notebook"]),
        total=total,
        reason=html.escape(reason),
        rows="\n".join(rows),
    )


class SafePage(Preprocessor):
    """Leaves in a notebook that becomes a page nothing that could act there."""

    def preprocess(self, nb, resources):
        """Return the notebook without raw cells, attachments, widgets and active outputs."""
        kept = ("kernelspec", "language_info")
        nb.metadata = NotebookNode({k: v for k, v in nb.metadata.items() if k in kept})
        nb.cells = [cell for cell in nb.cells if cell.cell_type in ("code", "markdown")]
        for cell in nb.cells:
            cell.pop("attachments", None)
            known = ("nbgrader", "gqa")
            cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k in known})
        clean_cells(nb.cells)
        _prepare(nb)
        return nb, resources


def _prepare(nb: NotebookNode) -> None:
    """Format a page's texts, within the bounds that they have together."""
    prepare((MARKDOWN if c.cell_type == "markdown" else CODE, c.source) for c in nb.cells)


class ShowMarks(GetGrades):
    """Puts the marks from the gradebook into the notebook, and which ones a person has to give."""

    def _get_score(self, cell, resources):
        super()._get_score(cell, resources)
        name = cell.metadata.nbgrader["grade_id"]
        grade = self.gradebook.find_grade(
            name, self.notebook_id, self.assignment_id, self.student_id
        )
        cell.metadata.nbgrader["unmarked"] = grade.needs_manual_grade


class HideHidden(Preprocessor):
    """Takes hidden tests out of a page: from their cells and wherever their lines are quoted."""

    enabled = Bool(True, help="Whether to take them out").tag(config=True)

    def preprocess(self, nb, resources):
        """Return the notebook with a remark in the place of each hidden test."""
        hidden: set[str] = set()
        region = _hidden_region(ClearHiddenTests(parent=self.parent))
        for cell in filter(_is_test, nb.cells):
            cell.source, lines = _split(cell.source, region)
            hidden |= lines
        shown = {line.strip() for cell in nb.cells for line in cell.source.split("\n")}
        telling = {line for line in hidden - shown if len(line) >= _LEAST_TELLING}
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                _censor(output, telling)
        _prepare(nb)
        return nb, resources


def _is_test(cell: NotebookNode) -> bool:
    """Return whether a cell is the course's; a graded text of a student's hides nothing."""
    return is_graded(cell) and not is_solution(cell)


def _hidden_region(marks: ClearHiddenTests) -> re.Pattern:
    """Return the pattern of hidden tests, from the mark that begins them to the one that ends."""
    begin, end = re.escape(marks.begin_test_delimeter), re.escape(marks.end_test_delimeter)
    return re.compile(rf"^[^\n]*{begin}.*?(?:{end}[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)


def _split(source: str, region: re.Pattern) -> tuple[str, set[str]]:
    """Return a cell's text without its hidden tests, and the lines of those."""
    lines = {line.strip() for found in region.findall(source) for line in found.split("\n")}
    return region.sub(RAN_HERE, source), lines


def _censor(output: NotebookNode, hidden: set[str]) -> None:
    """Replace the lines of an output that quote one of the hidden lines."""

    def without(text: str) -> str:
        lines = plain(text).split("\n")
        quoted = [any(secret in line for secret in hidden) for line in lines]
        return "\n".join(RAN_HERE if q else line for q, line in zip(quoted, lines, strict=True))

    for key in ("text", "evalue"):
        if key in output:
            output[key] = without(output[key])
    if "traceback" in output:
        output.traceback = [without(part) for part in output.traceback]
    if "text/plain" in output.get("data", {}):
        output.data["text/plain"] = without(output.data["text/plain"])

"""What every lesson and benchmark notebook must satisfy."""

import ast
import re
from statistics import median

from nbformat import NotebookNode

from gqa_lib.course.manifest import Lesson
from gqa_lib.learn.exercises import all_exercises
from grading.nb.cells import (
    CHECK,
    QUIZ,
    grade_id,
    is_graded,
    is_solution,
    is_written,
    known_id,
)
from grading.quiz.marking import asked_count

from .promises import empty_promises
from .run import run_graded

LONGEST_CODE, MEDIAN_CODE, MEDIAN_TEXT = 25, 8, 6
LONGEST_FIGURE = 12  # lines of a cell that draws by itself; a longer one is a call of gqa_lib.plots
_MARKERS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN", "END HIDDEN")
_CRITERION = re.compile(r"^\| *(\d+) *\|", re.MULTILINE)
_REGION = r"### BEGIN {0}.*?\n(.*?)### END {0}"
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_DETAILS = re.compile(r"<details>.*?</details>", re.DOTALL)


def lint_lesson(lesson: Lesson, instructor: NotebookNode, student: NotebookNode) -> list[str]:
    """Return what is wrong with a lesson: its solution notebook and its student notebook."""
    found = [
        *_lint_exercises(lesson, instructor),
        *_lint_quiz(lesson, instructor),
        *_lint_written(instructor),
        *_lint_leaks(instructor, student),
        *_lint_sizes(student),
        *_lint_headings(student),
        *_lint_figures(student),
        *_lint_promises(student),
        *_lint_scores(instructor, student),
    ]
    return [f"{lesson.slug}: {problem}" for problem in found]


def lint_benchmark(name: str, notebook: NotebookNode) -> list[str]:
    """Return what is wrong with a benchmark notebook."""
    found = [*_lint_parameters(notebook), *_lint_figures(notebook), *_lint_promises(notebook)]
    return [f"benchmarks/{name}: {problem}" for problem in found]


def _lint_exercises(lesson: Lesson, notebook: NotebookNode):
    points = sum(c.metadata.nbgrader.get("points", 0) for c in notebook.cells if is_graded(c))
    if points != lesson.points:
        yield f"its cells give {points} points and course.toml says {lesson.points}"
    hinted = {
        c.metadata["hints"]: c.source.count("<details>")
        for c in notebook.cells
        if "hints" in c.metadata
    }
    checks = [grade_id(c) for c in notebook.cells if is_graded(c)]
    for cell in filter(is_solution, notebook.cells):
        if (name := grade_id(cell)) == QUIZ or is_written(cell):
            continue
        if name not in all_exercises():
            yield f"exercise {name} has no entry in gqa_lib.learn.exercises"
        if f"{name}-check" not in checks:
            yield f"exercise {name} has no graded cell {name}-check"
        if hinted.get(name, 0) < 3:
            yield f"exercise {name} has no ladder of three hints"
    for cell in notebook.cells:
        if not is_graded(cell) or is_written(cell):
            continue
        visible = re.sub(_REGION.format("HIDDEN TESTS"), "", cell.source, flags=re.DOTALL)
        if not any(_runs_a_check(node) for node in ast.parse(visible).body):
            yield f"the graded cell {grade_id(cell)} runs no check where a learner can see it"
        if "BEGIN HIDDEN TESTS" not in cell.source and known_id(cell).endswith("-check"):
            yield f"the graded cell {grade_id(cell)} has no hidden test"


def _lint_written(notebook: NotebookNode):
    rubrics = {
        c.metadata["rubric"]: sum(map(int, _CRITERION.findall(c.source)))
        for c in notebook.cells
        if "rubric" in c.metadata
    }
    for cell in filter(is_written, notebook.cells):
        name, points = known_id(cell), cell.metadata.nbgrader["points"]
        if (told := rubrics.pop(name, None)) is None:
            yield f'the written answer {name} has no rubric: a text cell with rubric="{name}"'
        elif told != points:
            yield f"the rubric of {name} gives {told} points and its cell {points}"
    for name in rubrics:
        yield f"a rubric is for {name}, and no written answer has that grade_id"


def _lint_quiz(lesson: Lesson, notebook: NotebookNode):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    places = {grade_id(cell): place for place, cell in enumerate(code)}
    if not {QUIZ, CHECK} <= places.keys():
        yield f"it has no quiz: a cell {QUIZ} for written answers, and its check {CHECK}"
        return
    wanted = asked_count(lesson)
    if (points := code[places[CHECK]].metadata.nbgrader.get("points")) != wanted:
        yield f"its quiz gives {points} points and asks {wanted} questions"
    before = code[places[QUIZ] - 1].source
    if f'show_quiz("{lesson.number}")' not in before:
        yield f'the cell before {QUIZ} does not call show_quiz("{lesson.number}")'
    for name in ("check_quiz", "mark_quiz"):
        call = f'{name}("{lesson.number}", answers)'
        if call not in code[places[CHECK]].source:
            yield f"the cell {CHECK} does not call {call}"


def _runs_a_check(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.unparse(node.value.func) in ("check", "check_no_copy", "check_quiz")
    return isinstance(node, ast.Assert)


def _lint_leaks(instructor: NotebookNode, student: NotebookNode):
    released = "\n".join(c.source for c in student.cells if "hints" not in c.metadata)
    yield from (f"the student notebook contains {m!r}" for m in _MARKERS if m in released)
    shown = [line.strip() for line in released.splitlines()]
    for region in ("SOLUTION", "HIDDEN TESTS"):
        for cell in instructor.cells:
            for secret in re.findall(_REGION.format(region), cell.source, re.DOTALL):
                for line in map(str.strip, secret.splitlines()):
                    if len(line) > 15 and line in shown:
                        yield f"the student notebook shows a line of {grade_id(cell)}: {line}"


def _lint_sizes(notebook: NotebookNode):
    code = [c for c in notebook.cells if c.cell_type == "code"]
    lengths = [len(c.source.splitlines()) for c in code]
    for cell, length in zip(code, lengths, strict=True):
        if length > LONGEST_CODE:
            yield f"a code cell has {length} lines: {cell.source.splitlines()[0]}"
    if median(lengths) > MEDIAN_CODE:
        yield f"the median code cell has {median(lengths)} lines; at most {MEDIAN_CODE}"
    text = [
        len([line for line in _DETAILS.sub("", c.source).splitlines() if line.strip()])
        for c in notebook.cells
        if c.cell_type == "markdown"
    ]
    if median(text) > MEDIAN_TEXT:
        yield f"the median text cell has {median(text)} lines; at most {MEDIAN_TEXT}"


def _lint_headings(notebook: NotebookNode):
    """Find lines that begin with a number sign and a word: headings to nbconvert, not to others."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in re.findall(r"^#+[^#\s].*", _FENCED.sub("", cell.source), re.MULTILINE):
                yield f"a line of text begins with #, which Formgrader shows as a heading: {line}"


def _lint_figures(notebook: NotebookNode):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if re.search(r"!\[\s*\]", cell.source) or re.search(
                r"<img(?![^>]*\balt=\"[^\"]+)", cell.source
            ):
                yield f"an image has no text alternative: {cell.source[:60]}"
        elif re.search(r"\bplt\.|\bplots\.(?!use_style)", cell.source) and not _shows_with_alt(
            cell
        ):
            yield f"a figure is not shown with plots.show(..., alt=...): {cell.source[:60]}"
        elif "plt." in cell.source and (lines := cell.source.count("\n") + 1) > LONGEST_FIGURE:
            yield f"a figure takes {lines} lines; make it a function of gqa_lib.plots"


def _lint_promises(notebook: NotebookNode):
    for cell in notebook.cells:
        yield from empty_promises(cell.source)


def _shows_with_alt(cell: NotebookNode) -> bool:
    calls = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call)]
    return any(
        isinstance(call.func, ast.Attribute)
        and call.func.attr == "show"
        and any(keyword.arg == "alt" for keyword in call.keywords)
        for call in calls
    )


def _lint_scores(instructor: NotebookNode, student: NotebookNode):
    for name, error in run_graded(instructor).items():
        if error:
            yield f"the solution fails {name}: {error}"
    for name, error in run_graded(student).items():
        if not error:
            yield f"the untouched student notebook passes {name}"


def _lint_parameters(notebook: NotebookNode):
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        yield f"it has {len(cells)} cells tagged parameters; papermill needs one"
        return
    for node in ast.parse(cells[0].source).body:
        if not (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.annotation, ast.Name | ast.Subscript)
        ):
            yield f"its parameters must read `name: type = value  # help`: {ast.unparse(node)}"

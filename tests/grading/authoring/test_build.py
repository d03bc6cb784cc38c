"""What is generated follows from the sources, and the lint finds what it should."""

import copy

import nbformat
import pytest

from gqa_lib.course.manifest import lessons
from grading.authoring import build as builder
from grading.authoring.lint import lint_benchmark, lint_lesson
from grading.authoring.source import lesson_notebook
from grading.nb.cells import grade_id

LESSON = lessons()[1]


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """The instructor and student notebook of a lesson."""
    text = builder.student_notebook(LESSON, tmp_path_factory.mktemp("course"))
    return lesson_notebook(LESSON), nbformat.reads(text, as_version=4)


def test_a_student_notebook_is_the_same_on_every_build(notebooks, tmp_path):
    again = builder.student_notebook(LESSON, tmp_path)
    assert again == LESSON.pristine.read_text(encoding="utf-8")
    assert nbformat.reads(again, as_version=4) == notebooks[1]


def test_a_student_notebook_has_no_outputs_and_unique_ids(notebooks):
    cells = notebooks[1].cells
    assert all(not cell.get("outputs") for cell in cells)
    assert len({cell.id for cell in cells}) == len(cells)


def test_check_reports_a_stale_notebook(monkeypatch):
    path = str(LESSON.pristine.relative_to(builder.course_root()))
    monkeypatch.setattr(builder, "_generate", lambda _: ({path: "something else"}, []))
    problems = builder.build(check=True)
    assert any(path in problem for problem in problems)


def test_nothing_is_written_while_the_lint_complains(monkeypatch):
    before = LESSON.pristine.read_bytes()
    path = str(LESSON.pristine.relative_to(builder.course_root()))
    monkeypatch.setattr(builder, "_generate", lambda _: ({path: "broken"}, ["a problem"]))
    assert builder.build() == ["a problem"]
    assert LESSON.pristine.read_bytes() == before


def cell_of(notebook, name):
    return next(cell for cell in notebook.cells if grade_id(cell) == name)


def only_defines(instructor, student):
    for notebook in (instructor, student):
        cell_of(notebook, "attention-check").source = "def test():\n    assert attention(1)"


def only_prints(instructor, student):
    for notebook in (instructor, student):
        cell_of(notebook, "attention-check").source = "print(attention)"


def drops_hidden_tests(instructor, student):
    cell = cell_of(instructor, "attention-check")
    cell.source = cell.source.split("###")[0]


def leaks_a_solution(instructor, student):
    student.cells.append(
        nbformat.v4.new_code_cell(cell_of(instructor, "attention").source.splitlines()[6])
    )


def leaves_a_marker(instructor, student):
    student.cells[0].source += "\n### BEGIN SOLUTION"


def passes_untouched(instructor, student):
    cell_of(student, "causal_mask").source = cell_of(instructor, "causal_mask").source


def fails_itself(instructor, student):
    cell_of(instructor, "attention").source = "attention = lambda q, k, v, causal=True: q"


def has_a_long_cell(instructor, student):
    student.cells.append(nbformat.v4.new_code_cell("x = 1\n" * 26))


def has_a_mute_figure(instructor, student):
    student.cells.append(nbformat.v4.new_code_cell("plt.plot([1, 2])"))


def has_a_long_figure(instructor, student):
    drawn = 'fig, ax = plt.subplots()\nplots.show(fig, alt="x")'
    student.cells.append(nbformat.v4.new_code_cell("ax.plot(1)\n" * 11 + drawn))


def promises_a_lesson(instructor, student):
    student.cells.append(nbformat.v4.new_markdown_cell("Lesson 77 splits."))


def has_a_mute_image(instructor, student):
    student.cells.append(nbformat.v4.new_markdown_cell("![](picture.png)"))


def begins_a_line_with_a_number_sign(instructor, student):
    student.cells.append(nbformat.v4.new_markdown_cell("fixed in [torch\n#38](https://x.org)"))


def has_too_few_hints(instructor, student):
    for cell in instructor.cells:
        if cell.metadata.get("hints") == "attention":
            cell.source = cell.source.replace("<details>", "", 1)


def gives_more_points(instructor, student):
    cell_of(instructor, "attention-check").metadata.nbgrader["points"] += 1


def written(points, **metadata):
    ours = {"grade_id": "argument", "grade": True, "solution": True, "points": points}
    answer = nbformat.v4.new_markdown_cell("Because.", metadata={"nbgrader": ours})
    rubric = "| points | for |\n|---|---|\n| 2 | a reason |\n| 1 | its limit |"
    return [nbformat.v4.new_markdown_cell(rubric, metadata=metadata), answer]


def wants_a_text_without_a_rubric(instructor, student):
    instructor.cells += written(3)


def has_a_rubric_of_other_points(instructor, student):
    instructor.cells += written(4, rubric="argument")


def has_a_rubric_for_nothing(instructor, student):
    instructor.cells += written(3, rubric="argument")[:1]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (only_defines, "runs no check"),
        (only_prints, "runs no check"),
        (drops_hidden_tests, "has no hidden test"),
        (leaks_a_solution, "shows a line of attention"),
        (leaves_a_marker, "contains 'BEGIN SOLUTION'"),
        (passes_untouched, "untouched student notebook passes causal_mask-check"),
        (fails_itself, "the solution fails attention-check"),
        (has_a_long_cell, "has 26 lines"),
        (has_a_mute_figure, "a figure is not shown with"),
        (has_a_long_figure, "a figure takes 13 lines"),
        (promises_a_lesson, "names lesson 77, which the course does not have"),
        (has_a_mute_image, "no text alternative"),
        (begins_a_line_with_a_number_sign, "shows as a heading: #38"),
        (has_too_few_hints, "no ladder of three hints"),
        (wants_a_text_without_a_rubric, "the written answer argument has no rubric"),
        (has_a_rubric_of_other_points, "the rubric of argument gives 3 points and its cell 4"),
        (has_a_rubric_for_nothing, "a rubric is for argument, and no written answer"),
        (gives_more_points, "points and course.toml says"),
    ],
)
def test_the_lint_finds(spoil, said, notebooks):
    instructor, student = copy.deepcopy(notebooks)
    spoil(instructor, student)
    assert any(said in problem for problem in lint_lesson(LESSON, instructor, student))


def test_the_lint_has_nothing_to_say_of_the_lesson_itself(notebooks):
    assert lint_lesson(LESSON, *notebooks) == []


def test_a_written_answer_needs_a_rubric_and_no_check(notebooks):
    instructor, student = copy.deepcopy(notebooks)
    instructor.cells += written(3, rubric="argument")
    cell_of(instructor, "attention-check").metadata.nbgrader["points"] -= 3
    assert lint_lesson(LESSON, instructor, student) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [("context = 4096", "must read"), ("context: list = [4096]", None)],
)
def test_the_lint_wants_typed_parameters(source, said):
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    found = " ".join(lint_benchmark("x", nbformat.v4.new_notebook(cells=[cell])))
    assert said in found if said else found == ""
    assert "papermill needs one" in " ".join(
        lint_benchmark("x", nbformat.v4.new_notebook(cells=[]))
    )

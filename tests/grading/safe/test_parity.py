"""The judge's verdict on a submission is the one a learner's own check gives."""

from functools import cache

import pytest

from gqa_lib.course.manifest import lessons
from grading.authoring.catalogue import catalogue
from grading.authoring.run import known_cells
from grading.authoring.source import read_source, source_of
from grading.limited import sandbox
from grading.nb.cells import QUIZ, grade_id, is_graded, is_solution
from grading.safe.cell import ANSWER, TEST, TRUSTED, Cell
from grading.safe.grade_notebook import grade_notebook
from grading.safe.limits import Limits
from grading.safe.pool import GradingProcesses

pytestmark = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)


@pytest.fixture(scope="module")
def processes():
    made = GradingProcesses()
    yield made
    made.close()


@cache
def solved(lesson):
    """Return the cells that nbgrader knows of a solved lesson: reading them takes a while."""
    return known_cells(read_source(source_of(lesson)))


def verdict(lesson, answer, processes):
    """Return what the judge says to one answer in the solved lesson: its messages."""
    cells = []
    for cell in solved(lesson):
        name = grade_id(cell)
        if name == QUIZ:
            continue  # its solution asks for the key, which no sandbox has
        if is_graded(cell):
            if name.startswith(f"{answer.exercise}-"):
                cells.append(Cell(TEST, cell.source, cell.metadata.nbgrader.points))
        elif is_solution(cell):
            cells.append(Cell(ANSWER, answer.source if name == answer.exercise else cell.source))
        else:
            cells.append(Cell(TRUSTED, cell.source))
    grade_notebook(cells, processes, Limits())
    return [o["evalue"] for c in cells for o in c.outputs if o["output_type"] == "error"]


def differences(lesson, answers, processes):
    """Yield the answers on which judge and catalogue differ."""
    for answer in answers:
        messages = verdict(lesson, answer, processes)
        if bool(messages) == answer.right:
            yield answer.exercise, answer.title, messages


def sample(lesson):
    """The first right answer to each exercise, and its first and last wrong one."""
    by_exercise = {}
    for answer in catalogue(lesson):
        by_exercise.setdefault(answer.exercise, {}).setdefault(answer.right, []).append(answer)
    return [
        answer
        for kinds in by_exercise.values()
        for answer in (kinds[True][0], kinds[False][0], kinds[False][-1])
    ]


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_sample_of_the_catalogue_gets_the_same_verdict(lesson, processes):
    assert list(differences(lesson, sample(lesson), processes)) == []


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_the_whole_catalogue_gets_the_same_verdict(lesson, processes):
    assert list(differences(lesson, catalogue(lesson), processes)) == []


def test_what_a_learner_reads_is_what_the_check_says(processes):
    lesson = next(lesson for lesson in lessons() if lesson.number == "01")
    named = [one for one in sample(lesson) if one.says]
    for answer in named:
        read = " ".join(" ".join(verdict(lesson, answer, processes)).split())
        assert answer.says in read

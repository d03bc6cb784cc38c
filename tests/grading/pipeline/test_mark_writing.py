import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.api import Gradebook, MissingEntry

from grading.pipeline.marks import SaveMarks


@pytest.fixture
def address(tmp_path):
    url = f"sqlite:///{tmp_path}/gradebook.db"
    with Gradebook(url) as gradebook:
        gradebook.add_assignment("a")
        gradebook.add_notebook("n", "a")
        for name in ("one", "two"):
            gradebook.add_grade_cell(name, "n", "a", max_score=2, cell_type="code")
            gradebook.add_source_cell(name, "n", "a", cell_type="code")
        gradebook.add_student("ada")
        gradebook.add_submission("a", "ada")
    return url


def save(url, *names):
    about = {"notebook": "n", "assignment": "a", "student": "ada", "db_url": url}
    marks = {"grade": True, "solution": False, "points": 2}
    cells = [new_code_cell(metadata={"nbgrader": marks | {"grade_id": name}}) for name in names]
    SaveMarks().preprocess(new_notebook(cells=cells), {"nbgrader": about})


def marks_in(url):
    with Gradebook(url) as gradebook:
        notebook = gradebook.find_submission_notebook("n", "a", "ada")
        return {
            grade.name: (grade.auto_score, grade.needs_manual_grade) for grade in notebook.grades
        }


def test_marks_are_written_and_one_given_by_hand_is_looked_at_again(address):
    with Gradebook(address) as gradebook:
        gradebook.find_grade("two", "n", "a", "ada").manual_score = 1
        gradebook.db.commit()
    save(address, "one", "two")
    assert marks_in(address) == {"one": (2, False), "two": (2, True)}


def test_a_notebook_of_which_one_mark_cannot_be_written_has_none(address):
    before = marks_in(address)
    with pytest.raises(MissingEntry, match="no cell three"):
        save(address, "one", "three")
    assert marks_in(address) == before


def test_a_mark_that_a_person_gives_meanwhile_stays(address, monkeypatch):
    first = SaveMarks.preprocess_cell

    def while_somebody_marks(self, cell, resources, place):
        if place == 0:
            with Gradebook(address) as gradebook:
                gradebook.find_grade("two", "n", "a", "ada").manual_score = 1.5
                gradebook.db.commit()
        return first(self, cell, resources, place)

    monkeypatch.setattr(SaveMarks, "preprocess_cell", while_somebody_marks)
    save(address, "one", "two")
    with Gradebook(address) as gradebook:
        two = gradebook.find_grade("two", "n", "a", "ada")
        assert (two.manual_score, two.auto_score, two.score) == (1.5, 2, 1.5)

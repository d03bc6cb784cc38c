"""What a student of a class can prove: what was handed in, when, and whether in time."""

import hashlib
import json
import warnings
from datetime import UTC, datetime, timedelta

import nbformat
import pytest
from nbgrader.utils import get_username

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn import progress
from gqa_lib.learn.guide.map import lesson_map
from gqa_lib.learn.guide.work import put_lessons
from gqa_lib.learn.progress.due import shown
from gqa_lib.learn.progress.receipts import Receipt, keep
from gqa_lib.learn.progress.standing import standing
from grading.learner.report import report
from grading.learner.submit import SubmitError, submit, work_notebook
from grading.nb.cells import grade_id, read_notebook
from grading.nb.steps import course_of, exchange, file_log, quietly
from grading.settings import nbgrader_config

LESSON, QUIZ = find_lesson("01"), find_lesson("16")
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def student(tmp_path, monkeypatch):
    """A student of a class whose exchange has the lesson, due in an hour."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    course = tmp_path / "exchange" / "gqa"
    for lesson in (LESSON, QUIZ):
        (course / "outbound" / lesson.slug).mkdir(parents=True)
        (course / "outbound" / lesson.slug / lesson.pristine.name).write_bytes(
            lesson.pristine.read_bytes()
        )
    (course / "inbound").mkdir()
    (course / "inbound").chmod(0o777)
    (tmp_path / "exchange").chmod(0o777)
    set_due(tmp_path, NOW + HOUR)
    put_lessons()
    return tmp_path


def set_due(tmp_path, at):
    folder = tmp_path / "exchange" / "gqa" / "outbound" / LESSON.slug
    (folder / "due.txt").write_text(f"Due some day\n{at.isoformat()}\n")


def handed_in(tmp_path):
    return sorted((tmp_path / "exchange" / "gqa" / "inbound").glob("*"))


def test_a_receipt_has_the_hash_and_whether_it_was_in_time(student):
    digest = hashlib.sha256(work_notebook(LESSON).read_bytes()).hexdigest()
    said = report(LESSON, submit(LESSON))
    assert f"sha256 of {LESSON.slug}.ipynb: {digest}" in said
    assert f"in time: due {shown(NOW + HOUR)}" in said
    assert "late" not in said
    (folder,) = handed_in(student)
    assert hashlib.sha256((folder / f"{LESSON.slug}.ipynb").read_bytes()).hexdigest() == digest
    (cached,) = (places.home() / "cache" / "gqa").iterdir()
    for copy in (cached, work_notebook(LESSON).parent):
        assert digest in (copy / "receipt.txt").read_text()


def test_a_late_one_is_told_so_and_that_more_time_counts(student):
    set_due(student, NOW - HOUR)
    said = report(LESSON, submit(LESSON))
    assert f"late: it was due {shown(NOW - HOUR)}" in said
    assert "If you were given more time, that counts" in said


def test_receipts_stay_and_are_shown_on_the_map_and_in_the_record(student, capsys):
    assert f"not begun, due {shown(NOW + HOUR)}" in lesson_map()
    submit(LESSON)
    set_due(student, NOW - HOUR)  # what was in time stays that
    assert "handed in" in lesson_map()
    assert f"in time: due {shown(NOW + HOUR)}" in (student / "work" / "map.md").read_text()
    assert main(["progress"]) == 0
    assert f"sha256 of {LESSON.slug}.ipynb" in capsys.readouterr().out
    elsewhere = student / "record.json"
    assert main(["progress", "export", str(elsewhere)]) == 0
    (event,) = json.loads(elsewhere.read_text())["events"]
    assert (event["kind"], event["lesson"]) == ("receipt", LESSON.slug)


def test_nbgraders_own_submit_gives_one_too_and_hands_in_none(student):
    submit(LESSON)
    config = nbgrader_config()
    config.Exchange.assignment_dir = str(places.work())
    with quietly():
        exchange(course_of(LESSON, config), "Submit", file_log("submit"))
    assert len(progress.events(LESSON.slug, "receipt")) == 2
    assert len(handed_in(student)) == 2
    assert not [name for folder in handed_in(student) for name in folder.glob("receipt*")]


def test_without_a_receipt_it_is_handed_in_all_the_same(student, monkeypatch):
    def full(receipt):
        raise OSError("no space left on device")

    monkeypatch.setattr("grading.intake.hand_in.keep", full)
    submit(LESSON)
    assert len(handed_in(student)) == 1
    assert "no space left" in (places.home() / "submit.log").read_text()


def test_a_receipt_that_was_changed_on_its_way_is_passed_over():
    keep(Receipt(LESSON.slug, NOW, {"a.ipynb": "0" * 64}))
    for detail in ("", "[]", '{"at": "2027-01-01", "files": {}, "due": null}', '{"at": 3}'):
        progress.add(LESSON.slug, "", "receipt", detail=detail)
    assert standing(LESSON).handed_in == Receipt(LESSON.slug, NOW, {"a.ipynb": "0" * 64})


def test_a_quiz_drawn_for_another_name_is_not_handed_in(student, monkeypatch):
    monkeypatch.setenv("GQA_STUDENT", "S011")
    with pytest.raises(SubmitError, match=f"drawn for 'S011'.*user name '{get_username()}'"):
        submit(QUIZ)
    assert not handed_in(student)
    submit(LESSON)  # whose questions are the same for everybody
    assert len(handed_in(student)) == 1


def test_a_line_left_over_from_the_exercise_is_not_called_unanswered():
    notebook = read_notebook(LESSON.pristine)
    for cell in notebook.cells:
        if grade_id(cell) == "attention":
            cell.source = "def attention(q):\n    return q\n    raise NotImplementedError()"
    nbformat.write(notebook, str(work_notebook(LESSON)))
    notes = submit(LESSON).notes
    (missing,) = (note for note in notes if note.startswith("Not answered yet"))
    assert "attention" not in missing.replace("MultiHeadAttention", "")
    assert "Still with a line `raise NotImplementedError()`: attention." in "\n".join(notes)


def test_a_notebook_without_ids_of_cells_is_read_without_a_warning(tmp_path):
    notebook = read_notebook(LESSON.pristine)
    for cell in notebook.cells:
        cell.pop("id", None)
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(notebook))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_notebook(path).cells) == len(notebook.cells)

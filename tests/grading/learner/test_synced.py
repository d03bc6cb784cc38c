"""Progress is joined with that of other machines when a learner comes, hands in and goes."""

import pytest

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn import progress
from gqa_lib.learn.guide import map as lesson_map
from gqa_lib.learn.progress import sync
from grading.learner import lab, submit


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Two machines that know a folder; on the other one something was done since."""
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    for name in ("laptop", "desktop"):
        monkeypatch.setenv("GQA_HOME", str(tmp_path / name))
        sync.remember(str(tmp_path / "share"))
    progress.add("01", "attention", "check", 1.0, 1.0)
    sync.sync()
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "laptop"))
    return tmp_path / "share"


def test_a_submission_takes_in_what_others_know_and_says_so(elsewhere, monkeypatch):
    drawn, marks = [], submit.Marks([("one", 3.0, 4.0)])
    monkeypatch.setattr(lesson_map, "write_map", lambda: drawn.append(len(progress.events())))
    submit._save(find_lesson("01"), marks)
    assert "1 of them new here" in marks.notes[-1]
    assert drawn == [3]
    assert len([path for path in elsewhere.iterdir() if b'"mark"' in path.read_bytes()]) == 1
    assert lesson_map.write_joined_map() == []  # nothing new


def test_the_desk_shows_what_others_know_and_leaves_what_was_done(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(lab, "_release_in_the_background", lambda: None)
    lab.students_desk()
    assert "1 of them new here" in capsys.readouterr().out
    assert lesson_map.lesson_map()
    progress.add("02", "rotate", "check", 1.0, 1.0)
    monkeypatch.setattr("jupyterlab.labapp.main", lambda arguments: None)
    monkeypatch.chdir(elsewhere)
    lab.open_lab(browser=False, port=1)
    assert any(b'"rotate"' in path.read_bytes() for path in elsewhere.iterdir())


def test_without_a_folder_nothing_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.setattr(lab, "_release_in_the_background", lambda: None)
    lab.students_desk()
    assert "ynced" not in capsys.readouterr().out

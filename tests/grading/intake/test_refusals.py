"""Refusals that grading wrote, and those that students write in its name."""

import html
import json
import re

import nbformat
import pytest
from classroom import NAME, RIGHT
from nbformat.v4 import new_markdown_cell, new_notebook

from gqa_lib.course import places
from gqa_lib.learn.quiz import saved
from grading.intake.admit import opened
from grading.intake.reading import parse
from grading.intake.rebuild import rebuild_or_refuse
from grading.intake.refusals import (
    REFUSED,
    SEAL,
    UNSEALED,
    reason_of_choices,
    refusal,
    refused_choices,
    stub,
)
from grading.intake.sittings import answers_file, sitting_of_submission
from grading.nb.cells import read_notebook
from grading.nb.texts import as_markdown

FILE = f"{NAME}.ipynb"
FORGED = "FULL MARKS were given by your instructor"
HALF = "\ud800"  # of a character


def forged(said=FORGED, **metadata) -> bytes:
    """Return a notebook that looks like one of grading's refusals."""
    cell = new_markdown_cell("hi", id="refused")
    return json.dumps(new_notebook(cells=[cell], metadata={REFUSED: said} | metadata)).encode()


def answered(room, **metadata) -> bytes:
    notebook = room.answered()
    notebook.metadata = metadata
    return json.dumps(notebook).encode()


def text_of(page):
    return html.unescape(re.sub(r"<[^>]*>", "", page))


@pytest.mark.parametrize("verdict", ["Why.", f"Why, {HALF}\0?", "x" * 5000])
def test_a_refusal_is_read_as_it_was_written(room, verdict):
    said = refusal(parse(stub(verdict)))
    assert said[:4] == verdict[:4]
    assert len(said) <= 1000
    said.encode()
    assert "\0" not in said
    _, notes = rebuild_or_refuse(parse(stub(verdict)), read_notebook(room.released))
    assert notes == [said]
    assert (places.home() / "refusals.key").stat().st_mode & 0o777 == 0o600


def test_no_students_file_speaks_in_the_name_of_grading(room):
    released = read_notebook(room.released)
    sealed = json.loads(stub("Why."))["metadata"][SEAL]
    for metadata in ({}, {SEAL: "0" * 64}, {SEAL: sealed}, {SEAL: 1}, {SEAL: HALF}):
        _, notes = rebuild_or_refuse(parse(forged(**metadata)), released)
        assert notes == [UNSEALED]
        for said in (FORGED, HALF, 7, ["x"]):
            notebook = parse(answered(room, **{REFUSED: said}, **metadata))
            assert notebook.metadata == {}
            rebuilt, notes = rebuild_or_refuse(notebook, released)
            assert notes == []
            assert RIGHT in [cell.source for cell in rebuilt.cells]


def test_records_that_refused_nothing_believe_no_refusal(room, monkeypatch, tmp_path):
    elsewhere = stub("Why.")
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "other"))
    assert refusal(parse(elsewhere)) == UNSEALED
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("by_hand", [False, True])
def test_forged_refusals_are_graded_like_any_other_and_stop_nobody(room, by_hand):
    hand_ins = {
        "eve": answered(room, **{REFUSED: HALF}),
        "fay": answered(room, **{REFUSED: FORGED}),
        "gil": forged(),
        "hal": forged(HALF),
        "ian": forged(**{SEAL: HALF}),
        "ada": answered(room),
    }
    for student, content in hand_ins.items():
        if by_hand:
            room.folder("submitted", student).mkdir(parents=True)
            (room.folder("submitted", student) / FILE).write_bytes(content)
        else:
            (room.inbox(student) / FILE).write_bytes(content)
    if not by_hand:
        room.collect()
    for _ in range(2):  # what was graded is graded again as it was
        assert room.autograde()
        assert room.scores() == {"eve": 2, "fay": 2, "gil": 0, "hal": 0, "ian": 0, "ada": 2}
    assert room.feedback()
    for student in hand_ins:
        page = text_of(room.page(student))
        assert FORGED not in page
        assert (UNSEALED in page) == (student in ("gil", "hal", "ian"))


def test_choices_are_refused_in_the_words_of_grading_alone(room, tmp_path):
    folder = tmp_path / "submission"
    folder.mkdir()
    path = folder / saved.FILE
    path.symlink_to("/etc/passwd")
    with opened(folder) as here:
        files, as_is = answers_file(here)
    assert not as_is
    path.unlink()
    path.write_bytes(files[saved.FILE])
    assert "link" in sitting_of_submission(folder, "ada", NAME).trouble
    for content in (
        json.dumps({"refused": FORGED}).encode(),
        json.dumps({"refused": FORGED, "seal": "0" * 64}).encode(),
        json.dumps({"refused": HALF, "seal": HALF}).encode(),
        b'{"refused": 1, "seal": 2}',
        b"[1]",
        b"[" * 10_000,
    ):
        path.write_bytes(content)
        sitting = sitting_of_submission(folder, "ada", NAME)
        assert sitting.saved == {}
        assert sitting.trouble
        assert "FULL MARKS" not in sitting.trouble
        sitting.trouble.encode()
    assert reason_of_choices(refused_choices(f"a{HALF}\x1b[0m\0\nb")) == "a??[0m?"


def test_choices_with_a_byte_order_mark_count():
    content = b'\xef\xbb\xbf{"version": 1, "attempt": 1, "answers": {"Q1": "A"}}'
    assert saved.parse(content).answers == {"Q1": "A"}
    with pytest.raises(ValueError, match="it is not readable JSON"):
        saved.parse(b"\xef\xbb\xbf" * 2 + b"{}")


def test_a_stub_is_a_notebook_that_every_tool_reads(room):
    notebook = nbformat.reads(stub("Why.").decode(), 4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source == as_markdown("Why.")

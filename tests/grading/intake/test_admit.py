"""What comes in: every kind of hand-in gets its verdict, and the next student is graded."""

import json
import os
import stat
from datetime import UTC, datetime

import nbformat
import pytest
from classroom import NAME, RIGHT, SECRET, Classroom
from nbgrader.utils import parse_utc

import grading.intake.collect
from grading.intake.admit import opened, read_file
from grading.intake.reading import (
    BOUNDS,
    MAX_BYTES,
    MAX_CELLS,
    MAX_FILE,
    MAX_SOURCE,
    Refused,
    parse,
)
from grading.intake.rebuild import MAX_ANSWER, rebuild
from grading.nb.cells import grade_id, read_notebook
from grading.pipeline.autograde import autograde

FILE = f"{NAME}.ipynb"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")


def raw(**changes) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, **changes}).encode()


def cell(**changes):
    return {"id": "a", "cell_type": "markdown", "metadata": {}, "source": "hi"} | changes


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


CONTENTS = {  # refused for what is in the file: content, what the learner reads
    "empty": (b" \n", "it is empty"),
    "not-json": (b"dear teacher", "it is not readable JSON"),
    "not-text": (b"\xff\xfe{}", "it is not UTF-8 text"),
    "too-deep-to-parse": (b"[" * 200_000, "it is not readable JSON"),
    "deep": (raw(cells=[cell()], metadata={"x": nested(200)}), "more than 100 levels deep"),
    "scattered": (raw(cells=[cell()], metadata={"x": [[]] * 300_000}), "than 200000 parts"),
    "a-list": (b"[1, 2]", "it names no nbformat"),
    "nbformat-99": (raw(nbformat=99, cells=[cell()]), "it says nbformat 99"),
    "no-cells": (raw(cells=[]), "it has no cells"),
    "cells-are-text": (raw(cells="none"), "it has no cells"),
    "many-cells": (raw(cells=[cell()] * (MAX_CELLS + 1)), "it has 1001 cells"),
    "long-cell": (raw(cells=[cell(source="x" * (MAX_SOURCE + 1))]), "longer than 200000"),
    "no-source": (raw(cells=[cell(source=None)]), "it is not a valid notebook"),
    "odd-cell": (raw(cells=["cell"]), "its cell number 1 is damaged"),
    "odd-metadata": (raw(cells=[cell(), cell(metadata=[1])]), "its cell number 2 is damaged"),
    "odd-kind": (raw(cells=[cell(cell_type="spell")]), "it is not a valid notebook"),
    "no-text": (raw(cells=[cell(source="\ud800")]), "characters that are not text"),
    "too-large": (b" " * (MAX_FILE + 1), "it is larger than 50 MB"),
    "long-texts": (
        raw(cells=[cell(source="x" * MAX_SOURCE)] * (MAX_BYTES // MAX_SOURCE + 1)),
        "even without its outputs it is larger than 5 MB",
    ),
    "one": (b"1", "it names no nbformat"),
    "null": (b"null", "it names no nbformat"),
    "true": (b"true", "it names no nbformat"),
    "format-to-come": (raw(nbformat_minor=6, cells=[{"cell_type": "zz"}]), "is of no known kind"),
    "no-minor": (raw(nbformat_minor=None, cells=[cell()]), "it is not a valid notebook"),
    "endless-heading": (
        b'{"nbformat":3,"nbformat_minor":0,"metadata":{"name":""},"worksheets":[{"metadata":{},'
        b'"cells":[{"cell_type":"heading","level":1500000000,"metadata":{},"source":"x"}]}]}',
        f"reading it takes more than {BOUNDS}",
    ),
}


def a_link(folder, room):
    (folder / FILE).symlink_to(room.released)


def a_dangling_link(folder, room):
    (folder / FILE).symlink_to("/nowhere")


def a_hard_link(folder, room):
    os.link(room.released, folder / FILE)


def a_pipe(folder, room):
    os.mkfifo(folder / FILE)


def a_folder(folder, room):
    (folder / FILE).mkdir()


def a_device(folder, room):
    try:
        os.mknod(folder / FILE, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # /dev/null
    except PermissionError:  # not root: the nearest thing to it
        os.mkfifo(folder / FILE)


def two_copies(folder, room):
    for number in (1, 2):
        nbformat.write(room.answered(), folder / f"{NAME} ({number}).ipynb")


def two_others(folder, room):
    for name in ("mine", "<b>yours"):
        nbformat.write(room.answered(), folder / f"{name}.ipynb")


def nothing(folder, room):
    pass


SHAPES = {  # refused for what the file is
    "link": (a_link, "it is a link to another file. Submit the notebook itself."),
    "dangling": (a_dangling_link, "it is a link to another file"),
    "hard-link": (a_hard_link, "a second name of a file elsewhere"),
    "pipe": (a_pipe, "it is a pipe, not a file"),
    "folder": (a_folder, "it is a folder, not a file"),
    "device": (a_device, "not a file"),
    "copies": (two_copies, f"{NAME} (1).ipynb, {NAME} (2).ipynb was found instead"),
    "others": (two_others, "?b?yours.ipynb, mine.ipynb was found instead"),
}


def check_of(notebook):
    return next(c for c in notebook.cells if grade_id(c) == f"{NAME[:-3]}e-check")


def set_up(**changes):
    """Return a change of a notebook's check cell's nbgrader metadata."""
    return lambda notebook: check_of(notebook).metadata["nbgrader"].update(changes)


def copied_check(notebook):
    notebook.cells.append(nbformat.from_dict(check_of(notebook)))


def deleted_check(notebook):
    notebook.cells.remove(check_of(notebook))


def skipped_check(notebook):
    check_of(notebook).metadata["tags"] = ["skip-execution"]


def odd_nbgrader(notebook):
    notebook.cells[0].metadata["nbgrader"] = [1]


def odd_outputs(notebook):
    notebook.cells[2]["outputs"] = [{"output_type": "spell"}]
    notebook.cells[2]["execution_count"] = "three"


def no_outputs(notebook):
    notebook.cells[2]["outputs"] = None


def large_outputs(notebook):
    picture = "A" * (7 * 2**20)
    notebook.cells[2]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": picture}}
    ]
    notebook.cells[0]["attachments"] = {"x.png": {"image/png": picture, "deep": nested(200)}}


def other_kernel(notebook):
    notebook.metadata["kernelspec"] = {"name": "mine", "display_name": "x", "language": "y"}


GRADED = {  # odd, and graded like any other
    "plain": lambda notebook: None,
    "schema-99": set_up(schema_version=99),
    "schema-1": set_up(schema_version=1),
    "nan-points": set_up(points=float("nan")),
    "rich": set_up(points=1e9),
    "renamed": set_up(grade_id="mine"),
    "copied-check": copied_check,
    "deleted-check": deleted_check,
    "skipped-check": skipped_check,
    "odd-nbgrader": odd_nbgrader,
    "odd-outputs": odd_outputs,
    "no-outputs": no_outputs,
    "large-outputs": large_outputs,
    "other-kernel": other_kernel,
}


RENAMED = {  # student: what the file is called, and what else is there
    "download": (f"{NAME} (1).ipynb", []),
    "copy": (f"{NAME}-Copy1.ipynb", ["notes.ipynb", "Untitled.ipynb"]),
    "drive": (f"Copy of {NAME}.ipynb", []),
    "case": (f"{NAME.upper()}.ipynb", []),
    "other-name": ("homework <1>.ipynb", []),
}
SHOWN = {"other-name": "homework ?1?.ipynb"}


def hand_in(room, folder_of):
    """Have every student of this file hand something in, and an honest one at the end."""
    for student, (content, _) in CONTENTS.items():
        (folder_of(student) / FILE).write_bytes(content)
    for student, (make, _) in SHAPES.items():
        make(folder_of(student), room)
    for student, change in GRADED.items():
        notebook = room.answered()
        change(notebook)
        (folder_of(student) / FILE).write_text(json.dumps(notebook))
    for student, (name, others) in RENAMED.items():
        nbformat.write(room.answered(), folder_of(student) / name)
        for other in others:
            (folder_of(student) / other).write_text("{}")
    old = nbformat.convert(room.answered(), 3)
    (folder_of("nbformat-3") / FILE).write_text(nbformat.v3.writes_json(old))
    beside = folder_of("module")
    nbformat.write(room.answered("import math\ndouble = math.double"), beside / FILE)
    (beside / "math.py").write_text(RIGHT)
    (beside / "torch").mkdir()
    (beside / "nbgrader_config.py").write_text("boom")
    (beside / "passwd").symlink_to("/etc/passwd")
    for student, time in (("garbage", "yesterday, honest"), ("seventies", "1970-01-01 UTC")):
        nbformat.write(room.answered(), folder_of(student) / FILE)
        (room_folder := folder_of(student)).joinpath("timestamp.txt").write_text(time)
        os.utime(room_folder / FILE, (0, 0))
    nbformat.write(room.answered(), folder_of("zz-honest") / FILE)


@pytest.fixture(scope="module", params=["collected", "by hand"])
def graded(request, tmp_path_factory, empty_classroom):
    """A class graded in one run, whose submissions came one way or the other."""
    root = tmp_path_factory.mktemp("class")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GQA_HOME", str(root))
        patch.delenv("GQA_EXCHANGE", raising=False)
        room = Classroom(root, like=empty_classroom)
        folders = {}

        def in_submitted(student):
            folder = room.folder("submitted", student)
            folder.mkdir(parents=True, exist_ok=True)
            return folder

        make = room.inbox if request.param == "collected" else in_submitted
        hand_in(
            room, lambda who: folders[who] if who in folders else folders.setdefault(who, make(who))
        )
        if request.param == "collected":
            folders["missing"] = room.inbox("missing")
            room.collect()
        room.all_went_through = room.autograde() and room.feedback()
        room.way, room.marks = request.param, room.scores()
        yield room


def test_no_submission_stops_the_run(graded):
    assert graded.all_went_through
    assert graded.marks["zz-honest"] == 2


@pytest.mark.parametrize("student", [*CONTENTS, *SHAPES])
def test_what_is_refused_is_graded_0_and_says_why(graded, student):
    said = (CONTENTS | SHAPES)[student][1]
    assert graded.marks[student] == 0
    assert said in graded.page(student)
    assert any(said in line and student in line for line in graded.lines)


def test_a_submission_without_a_notebook_is_graded_0(graded):
    if graded.way == "collected":
        assert graded.marks["missing"] == 0
        assert f"The notebook {FILE} is not in the submission" in graded.page("missing")


@pytest.mark.parametrize("student", [*GRADED, "nbformat-3", "garbage", "seventies"])
def test_what_is_only_odd_is_graded_like_any_other(graded, student):
    assert graded.marks[student] == 2


@pytest.mark.parametrize("student", RENAMED)
def test_a_notebook_that_was_renamed_is_taken_and_that_is_said(graded, student):
    name = SHOWN.get(student, RENAMED[student][0])
    assert graded.marks[student] == 2
    assert f"Your notebook was handed in as {name}: it was taken as" in graded.page(student)


def test_a_module_beside_the_notebook_is_not_there_when_it_is_graded(graded):
    assert graded.marks["module"] == 0
    assert "has no attribute" in graded.page("module")


def test_nothing_else_reaches_the_folders_that_are_graded(graded):
    allowed = {FILE, "timestamp.txt", "submission_secret.txt"}
    for step in ("submitted", "autograded"):
        for student in [*CONTENTS, *SHAPES, *GRADED, *RENAMED, "module"]:
            files = list(graded.folder(step, student).iterdir())
            assert {file.name for file in files} == allowed
            assert all(file.is_file() and not file.is_symlink() for file in files)


def test_the_time_of_submission_is_not_the_students_to_say(graded):
    for student in ("garbage", "seventies"):
        stamp = (graded.folder("submitted", student) / "timestamp.txt").read_text()
        if graded.way == "by hand":  # nobody knows: on time
            assert stamp == ""
        else:
            now = datetime.now(UTC).replace(tzinfo=None)
            assert 0 <= (now - parse_utc(stamp)).total_seconds() < 3600


def test_what_an_instructor_filled_in_is_set_aside_and_not_lost(graded):
    aside = graded.folder("submitted", ".").parents[1] / "set-aside" / "submitted"
    if graded.way == "collected":
        assert not aside.exists()
        return
    (there,) = (aside / "module" / NAME).iterdir()
    assert (there / "math.py").read_text() == RIGHT
    assert not (aside / "zz-honest").exists()
    graded.autograde()
    assert len(list((aside / "module" / NAME).iterdir())) == 1  # what is clean stays


# Collecting


def submitted_by(room, student, **inbox):
    folder = room.inbox(student, **inbox)
    nbformat.write(room.answered(), folder / FILE)
    return folder


def test_a_folder_of_somebody_else_is_refused_and_hides_nothing(room, monkeypatch):
    owners = {}
    monkeypatch.setattr(grading.intake.collect, "name_of", lambda user: owners.get(user, "mallory"))
    monkeypatch.setattr(room.config.ExchangeCollect, "check_owner", True)
    genuine = submitted_by(room, "alice")
    if os.geteuid() == 0:
        for path in (genuine, *genuine.iterdir()):
            os.chown(path, 20_001, -1)
        owners[20_001] = "alice"
        submitted_by(room, "alice", stamp="2030-01-01 00:00:00 UTC")  # by root, "mallory"
    submitted_by(room, "bob")
    room.collect()
    said = "it says it is from bob and belongs to mallory. Nothing of it was taken."
    assert any(said in line for line in room.lines)
    assert not room.folder("submitted", "bob").exists()
    assert room.folder("submitted", "alice").exists() == (os.geteuid() == 0)


@as_root
def test_a_file_of_somebody_else_in_ones_folder_is_refused(room):
    os.chown(submitted_by(room, "alice") / FILE, 20_001, -1)
    room.collect()
    assert "belongs to someone other" in (room.folder("submitted", "alice") / FILE).read_text()


def test_odd_things_in_the_exchange_stop_nobody(room):
    (room.inbound / f"eve+{NAME}+never+x").write_text("a file")
    (room.inbound / f"fay+{NAME}+x").symlink_to("/")
    (room.inbound / f"+{NAME}+2026-01-01 UTC").mkdir()
    (room.inbound / f"<b>+{NAME}+2026-01-01 UTC").mkdir()
    submitted_by(room, "gus", stamp="the day before")
    submitted_by(room, "zoe")
    room.collect()
    got = {path.parent.name for path in room.folder("submitted", "*").parents[1].glob("*/*")}
    assert got == {"gus", "zoe"}
    assert sum("Not collected" in line for line in room.lines) == 4


def test_a_secret_that_is_none_is_replaced_so_that_feedback_can_be_released(room):
    kept, odd = submitted_by(room, "kept"), submitted_by(room, "odd")
    (odd / "submission_secret.txt").unlink()
    (odd / "submission_secret.txt").symlink_to("/etc/passwd")
    room.collect()
    secrets = [(room.folder("submitted", who) / "submission_secret.txt") for who in ("kept", "odd")]
    assert secrets[0].read_text() == (kept / "submission_secret.txt").read_text() == SECRET
    assert len(secrets[1].read_text()) == 128
    assert not secrets[1].is_symlink()


def test_a_later_submission_replaces_the_collected_one_and_the_same_one_does_not(room):
    submitted_by(room, "alice")
    room.collect()
    kept = room.folder("submitted", "alice") / FILE
    mine = nbformat.writes(room.answered(code="double = 'mended by hand'"))
    kept.write_text(mine)
    room.collect()
    assert kept.read_text() == mine
    submitted_by(room, "alice", stamp="2026-01-01 00:00:00 UTC")  # came later, whatever it says
    room.collect()
    assert "mended by hand" not in kept.read_text()


def test_a_link_in_the_place_of_a_submitted_folder_is_not_followed(room):
    elsewhere = submitted_by(room, "x")
    folder = room.folder("submitted", "alice")
    folder.parent.mkdir(parents=True)
    folder.symlink_to(elsewhere)
    assert room.autograde()
    assert room.scores() == {"alice": 0}
    assert not folder.is_symlink()


def test_a_submitted_folder_without_a_notebook_is_graded_0(room):
    room.folder("submitted", "alice").mkdir(parents=True)
    (room.folder("submitted", "alice") / "timestamp.txt").write_text("2026-13-77")
    autograde(room.course, room.log)
    assert room.scores() == {"alice": 0}


def test_a_folder_of_which_nothing_can_be_read_is_said(tmp_path):
    with pytest.raises(Refused, match="cannot be opened"), opened(tmp_path / "none"):
        pass
    (tmp_path / "file").write_text("x" * 11)
    with opened(tmp_path) as folder, pytest.raises(Refused, match="larger than"):
        read_file(folder, "file", limit=10)


# Rebuilding


def test_nothing_but_the_answers_survives(room):
    notebook = room.answered(why="Because of ![x](attachment:x.png).")
    for each in notebook.cells:
        each.metadata["mine"] = each.id = "mine"
        if each.cell_type == "code":
            each.outputs = [nbformat.v4.new_output("stream", text="2 of 2")]
    notebook.cells[4]["attachments"] = {"x.png": {"image/png": "AAAA"}}
    notebook.cells.insert(0, nbformat.v4.new_code_cell("extra"))
    notebook.metadata = {"kernelspec": {"name": "mine"}, "mine": 1}
    released = read_notebook(room.released)
    rebuilt, notes = rebuild(notebook, released)
    assert notes == []
    own = rebuilt.cells.pop(0)
    assert (own.source, own.metadata) == ("extra", {"tags": ["skip-execution"], "gqa": "own"})
    assert [c.source for c in rebuilt.cells if grade_id(c) in ("double", "why")] == [
        RIGHT,
        "Because of ![x](attachment:x.png).",
    ]
    for mine, theirs in zip(rebuilt.cells, released.cells, strict=True):
        mine.source = theirs.source
    assert rebuilt == released


def test_cells_below_a_task_are_its_answer_and_are_not_run(room):
    notebook = room.answered()
    notebook.cells += [
        nbformat.v4.new_code_cell(
            "draw()", metadata={"nbgrader": {"grade_id": "x", "grade": True}}
        ),
        nbformat.v4.new_raw_cell("raw"),
        nbformat.v4.new_markdown_cell("There."),
    ]
    rebuilt, _ = rebuild(notebook, read_notebook(room.released))
    assert [(c.source, dict(c.metadata)) for c in rebuilt.cells[-2:]] == [
        ("draw()", {"tags": ["skip-execution"]}),
        ("There.", {}),
    ]


def test_an_answer_without_end_is_cut(room):
    notebook = room.answered(code="x = 1\n" * MAX_ANSWER)
    rebuilt, notes = rebuild(notebook, read_notebook(room.released))
    assert len(rebuilt.cells[2].source) == MAX_ANSWER
    assert "longer than 100000 characters" in notes[0]


def test_without_a_release_grading_says_what_makes_it(room, caplog):
    submitted_by(room, "alice")
    room.collect()
    room.released.unlink()
    assert not room.autograde()
    assert f"`nbgrader generate_assignment {NAME}`" in caplog.text


def test_what_parse_returns_has_the_answers_and_no_outputs(room):
    content = json.dumps(room.answered()).encode()
    parsed = parse(content)
    assert [c.source for c in parsed.cells] == [c.source for c in room.answered().cells]
    assert all(c.outputs == [] for c in parsed.cells if c.cell_type == "code")


def test_a_byte_order_mark_is_no_damage(room):
    content = "\ufeff".encode() + json.dumps(room.answered()).encode()
    assert [c.source for c in parse(content).cells] == [c.source for c in room.answered().cells]
    early = submitted_by(room, "alice")
    os.utime(early / FILE)
    late = room.inbox("alice", stamp="2026-03-05 12:00:00 UTC")
    (late / FILE).write_bytes(content)
    room.collect()
    assert (room.folder("submitted", "alice") / FILE).read_bytes() == content
    assert room.autograde()
    assert room.scores() == {"alice": 2}

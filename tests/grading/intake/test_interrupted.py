"""Handing in and collecting that are killed or fail half-way: nobody loses what was there."""

import errno
import json
import os
import shutil
from pathlib import Path

import nbformat
import pytest
from classroom import NAME, SECRET, STAMP
from interrupting import every_step, killed_at
from nbgrader.api import Gradebook
from nbgrader.auth import Authenticator
from nbgrader.exchange import ExchangeFactory
from nbgrader.utils import get_username, parse_utc

import grading.intake.collect
from gqa_lib.course.files import write_file
from grading.intake import folders
from grading.intake.folders import put_file, put_folder, recover
from grading.intake.submitted import clean_submitted
from grading.pipeline.autograde import autograde

FILE, TIME, KEY, QUIZ = (
    f"{NAME}.ipynb",
    "timestamp.txt",
    "submission_secret.txt",
    "quiz_answers.json",
)
CHOICES = json.dumps({"version": 1, "attempt": 1, "answers": {"Q1": "A"}})
EARLY, LATE = "2026-03-01 12:00:00 UTC", "2026-03-02 12:00:00 UTC"
FIRST, SECOND = ("def double(x):\n    return 2 * x", "def double(x):\n    return x + x")


def handed_in(room, student, code=FIRST, stamp=STAMP):
    """Hand in as nbgrader does; with the choices in a quiz."""
    folder = room.inbox(student, stamp)
    nbformat.write(room.answered(code), folder / FILE)
    (folder / QUIZ).write_text(CHOICES)
    return folder


def collected(room, student):
    return room.folder("submitted", student)


def answer_in(folder):
    """Return which answer is in a folder; it must be complete."""
    assert {path.name for path in folder.iterdir()} == {FILE, TIME, KEY, QUIZ}
    source = json.dumps(nbformat.read(folder / FILE, 4))
    (found,) = (code for code in (FIRST, SECOND) if json.dumps(code)[1:-1] in source)
    assert (folder / QUIZ).read_text() == CHOICES
    assert (folder / TIME).read_text().endswith(" UTC")
    return found


def seen(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# A folder, complete or not there


def test_a_folder_that_is_put_is_the_old_or_the_new_one_at_every_step(tmp_path):
    place, old, new = tmp_path / "it", {"a": b"old", "b": b"old"}, {"a": b"new", "c": b"new"}

    def before():
        shutil.rmtree(tmp_path)
        put_folder(place, old)

    interrupted = set()
    for power in every_step(lambda: put_folder(place, new), before):
        recover(str(place))
        found = {path.name: path.read_bytes() for path in place.iterdir()}
        assert found == old or (found == new and power.steps > 3)
        interrupted.add(found == new)
        put_folder(place, new)
        assert os.listdir(tmp_path) == ["it"]
    assert interrupted == {True, False}


def test_a_folder_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    place = tmp_path / "it"
    put_folder(place, {"a": b"old"})
    rename = os.rename
    for fails in range(3):
        left = [fails]

        def full(*paths, left=left):
            left[0] -= 1
            if left[0] == -1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return rename(*paths)

        monkeypatch.setattr(folders.os, "rename", full)
        with pytest.raises(OSError, match="No space"):
            put_folder(place, {"a": b"new"})
        assert (place / "a").read_bytes() == b"old"
        monkeypatch.undo()
    put_folder(place, {"a": b"new"}, aside=tmp_path / "aside" / "one")
    assert (place / "a").read_bytes() == b"new"
    assert (tmp_path / "aside" / "one" / "a").read_bytes() == b"old"


def test_what_is_no_folder_is_replaced_and_links_are_not_followed(tmp_path):
    place, elsewhere = tmp_path / "it", tmp_path / "elsewhere"
    put_folder(elsewhere, {"a": b"theirs"})
    place.symlink_to(elsewhere)
    put_folder(place, {"a": b"new"})
    assert not place.is_symlink()
    assert (elsewhere / "a").read_bytes() == b"theirs"


def test_a_file_that_is_put_is_the_old_or_the_new_one_at_every_step(tmp_path):
    path = tmp_path / "file"
    for _ in every_step(lambda: put_file(path, b"new"), lambda: path.write_bytes(b"old")):
        assert path.read_bytes() in (b"old", b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("shared", [False, True])
def test_the_disk_has_every_file_before_its_name_says_so(tmp_path, monkeypatch, shared):
    done = []

    def noting(name, real):
        def noted(first, *rest, **named):
            place = os.readlink(f"/proc/self/fd/{first}") if name == "fsync" else first
            done.append((name, Path(place).name))
            return real(first, *rest, **named)

        monkeypatch.setattr(os, name, noted)

    for name in ("fsync", "rename", "replace"):
        noting(name, getattr(os, name))
    put_folder(tmp_path / "it", {"a": b"one", "b": b"two"}, shared=shared)
    assert done == [
        *[("fsync", "a"), ("fsync", "b"), ("fsync", ".it.part")],
        *[("rename", ".it.part"), ("rename", ".it.new"), ("fsync", tmp_path.name)],
    ]
    done.clear()
    put_file(tmp_path / "it" / "c", b"three", shared=shared)
    (synced, part), (replaced, same) = done
    assert (synced, replaced, part) == ("fsync", "replace", same)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "it").iterdir()}
    mask = os.umask(0)
    os.umask(mask)
    assert modes == dict.fromkeys("abc", 0o664 if shared else 0o666 & ~mask)
    assert (tmp_path / "it").stat().st_mode & 0o7777 == (0o2775 if shared else 0o777 & ~mask)


# Handing in


@pytest.fixture
def learner(room, tmp_path):
    """A function that hands in an answer of the user who runs this, through nbgrader's submit."""
    outbound = room.inbound.parent / "outbound" / NAME
    shutil.copytree(room.released.parent, outbound)
    room.config.Exchange.assignment_dir = str(tmp_path / "work")
    folder = tmp_path / "work" / NAME
    folder.mkdir(parents=True)
    (folder / QUIZ).write_text(CHOICES)

    def submit(code):
        nbformat.write(room.answered(code), folder / FILE)
        make = ExchangeFactory(config=room.config).Submit
        about = {"authenticator": Authenticator(config=room.config), "config": room.config}
        app = make(coursedir=room.course, **about)
        app.log = room.log
        app.start()

    return submit


def test_a_submission_that_is_killed_at_any_step_costs_no_earlier_one(room, learner):
    learner(FIRST)
    me, late = get_username(), 0
    for power in every_step(lambda: learner(SECOND)):
        room.collect()
        for name in seen(room.inbound):
            answer_in(room.inbound / name)
        late += answer_in(collected(room, me)) == SECOND
        if power.dead and late == 0:
            assert len(seen(room.inbound)) == 1
    assert power.steps > 20
    assert late >= 1
    assert answer_in(collected(room, me)) == SECOND


def test_a_submission_that_cannot_be_written_is_not_there(room, learner, monkeypatch):
    learner(FIRST)
    cache = Path(room.config.Exchange.cache) / "gqa"
    before = seen(room.inbound), seen(cache)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    for place, step in ((shutil, "copyfile"), (os, "chmod"), (os, "rename")):
        monkeypatch.setattr(place, step, full)
        with pytest.raises((OSError, shutil.Error)):
            learner(SECOND)
        monkeypatch.undo()
        assert (os.listdir(room.inbound), os.listdir(cache)) == before
    learner(SECOND)
    assert len(seen(room.inbound)) == len(seen(cache)) == 2


# What others left half-way in the exchange


def cut(folder):
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[: len(content) // 2])


HALVES = {  # what `nbgrader submit` leaves when it is killed
    "nothing": lambda folder: [path.unlink() for path in folder.iterdir()],
    "part of the notebook": lambda folder: (cut(folder), (folder / TIME).unlink()),
    "an empty notebook": lambda folder: ((folder / FILE).write_text(""), (folder / TIME).unlink()),
    "all files, no time": lambda folder: (folder / TIME).unlink(),
    "an empty time": lambda folder: (folder / TIME).write_text(""),
    "a time of its own, part of the notebook": cut,
    "a time of its own, no notebook": lambda folder: (folder / FILE).unlink(),
}


@pytest.mark.parametrize("half", HALVES)
def test_a_half_written_submission_costs_no_earlier_one(room, half):
    handed_in(room, "ada", FIRST, EARLY)
    HALVES[half](handed_in(room, "ada", SECOND, LATE))
    room.collect()
    assert answer_in(collected(room, "ada")) == FIRST
    assert any(LATE in line and "not complete" in line for line in room.lines)
    handed_in(room, "ada", SECOND, "2026-03-03 12:00:00 UTC")
    room.collect()
    assert answer_in(collected(room, "ada")) == SECOND


def test_a_half_that_was_collected_before_gives_way_to_the_complete_one(room):
    handed_in(room, "ada", FIRST, EARLY)
    HALVES["nothing"](handed_in(room, "ada", SECOND, LATE))
    put_folder(collected(room, "ada"), {TIME: b"2026-11-01 00:00:00 UTC", KEY: SECRET.encode()})
    clean_submitted(room.course)  # it was graded 0 meanwhile
    assert "gqa_refused" in (collected(room, "ada") / FILE).read_text()
    room.collect()
    assert answer_in(collected(room, "ada")) == FIRST


def test_a_half_written_submission_alone_gets_its_reason(room):
    HALVES["nothing"](handed_in(room, "ada"))
    room.collect()
    autograde(room.course, room.log)
    assert room.scores() == {"ada": 0}
    assert "is not in the submission" in (collected(room, "ada") / FILE).read_text()


def test_a_submission_that_is_complete_and_wrong_counts_and_says_why(room):
    handed_in(room, "ada", FIRST, EARLY)
    late = handed_in(room, "ada", SECOND, LATE)
    shutil.copy(late / FILE, late / f"{NAME} (1).ipynb")
    (late / FILE).rename(late / f"{NAME} (2).ipynb")
    room.collect()
    assert "Rename your notebook" in (collected(room, "ada") / FILE).read_text()


def test_before_the_due_date_the_latest_complete_one_counts_too(room, monkeypatch):

    times = {stamp: parse_utc(stamp) for stamp in (EARLY, LATE, "2026-03-04 12:00:00 UTC")}
    for stamp, code in zip(times, (FIRST, SECOND, SECOND), strict=True):
        handed_in(room, "ada", code, stamp)
    HALVES["nothing"](next(room.inbound.glob(f"*{LATE}*")))
    monkeypatch.setattr(
        grading.intake.collect,
        "arrival",
        lambda folder, names: times[os.readlink(f"/proc/self/fd/{folder}").split("+")[2]],
    )
    with Gradebook(room.course.db_url) as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=parse_utc("2026-03-03 00:00:00 UTC"))
    room.config.ExchangeCollect.before_duedate = True
    room.collect()
    assert answer_in(collected(room, "ada")) == FIRST


# Collecting


def test_collecting_that_is_killed_at_any_step_leaves_whole_folders(room):
    handed_in(room, "ada", FIRST, EARLY)
    handed_in(room, "bob", FIRST, EARLY)
    room.collect()
    handed_in(room, "ada", SECOND, LATE)
    handed_in(room, "cy", SECOND, LATE)
    first = room.folder("submitted", "ada").parents[1]
    kept = first.with_name("kept")
    shutil.copytree(first, kept)

    def before():
        shutil.rmtree(first)
        shutil.copytree(kept, first)

    for _ in every_step(room.collect, before):
        found = [path for path in first.glob(f"*/{NAME}") if answer_in(path)]
        assert {path.parent.name for path in found} <= {"ada", "bob", "cy"}
        room.collect()
        now = {path.parent.name: answer_in(path) for path in first.glob(f"*/{NAME}")}
        assert now == {"ada": SECOND, "bob": FIRST, "cy": SECOND}
        assert not list(first.glob("*/.*"))


DAMAGE = {  # what may happen to a collected folder
    "the notebook is gone": lambda folder: (folder / FILE).unlink(),
    "the notebook is cut off": cut,
    "the notebook is empty": lambda folder: (folder / FILE).write_text(""),
    "the time is gone": lambda folder: (folder / TIME).unlink(),
    "the time is none": lambda folder: (folder / TIME).write_text("2026-13-77"),
    "the secret is gone": lambda folder: (folder / KEY).unlink(),
    "the choices are gone": lambda folder: (folder / QUIZ).unlink(),
    "the choices are cut off": lambda folder: (folder / QUIZ).write_text(CHOICES[:20]),
    "all is gone": shutil.rmtree,
    "a file is in its place": lambda folder: (shutil.rmtree(folder), folder.write_text("")),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("graded", [False, True])
def test_what_was_damaged_in_submitted_is_collected_again(room, damage, graded):
    source = handed_in(room, "ada")
    room.collect()
    before = {path.name: path.read_bytes() for path in collected(room, "ada").iterdir()}
    assert before[KEY] == (source / KEY).read_bytes()
    DAMAGE[damage](collected(room, "ada"))
    if graded:
        clean_submitted(room.course)  # as grading does, with what it finds
    room.collect()
    after = {path.name: path.read_bytes() for path in collected(room, "ada").iterdir()}
    assert after == before
    assert answer_in(collected(room, "ada")) == FIRST


# Cleaning what an instructor filled in


def test_cleaning_that_is_killed_at_any_step_loses_no_answer(room):
    folder = collected(room, "ada")
    top = folder.parents[1]

    def before():
        for left in (top, room.folder("set-aside", "x").parents[1]):
            shutil.rmtree(left, ignore_errors=True)
        folder.mkdir(parents=True)
        nbformat.write(room.answered(FIRST), folder / FILE)
        (folder / QUIZ).write_text(CHOICES)
        (folder / "torch.py").write_text("mine")

    for _ in every_step(lambda: clean_submitted(room.course), before):
        clean_submitted(room.course)
        assert {path.name for path in folder.iterdir()} == {FILE, TIME, KEY, QUIZ}
        assert nbformat.read(folder / FILE, 4).cells[2].source == FIRST
        aside = list(room.folder("set-aside", "x").parents[1].glob("submitted/ada/*/*/torch.py"))
        assert [path.read_text() for path in aside] == ["mine"]


def test_a_kill_is_one(tmp_path):
    with killed_at(2) as power:
        write_file(tmp_path / "a", b"whole")
        try:
            write_file(tmp_path / "b", b"whole")
        finally:
            os.mkdir(tmp_path / "c")
    assert power.dead
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": b"whole",
        "b": b"wh",
    }

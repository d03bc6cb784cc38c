"""When a hand-in came is what our own record says, whatever a student or a platform writes."""

import mmap
import os
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta

import nbformat
import pytest
from classroom import NAME, STAMP
from filelock import FileLock
from nbgrader.api import Gradebook
from nbgrader.utils import parse_utc

from gqa_lib.course import places
from grading.intake import collect
from grading.intake.arrivals import HandIns, Submissions
from grading.intake.submitted import clean_submitted

FILE = f"{NAME}.ipynb"
EARLY = "2026-01-01 00:00:00.000000 UTC"


def now():
    return datetime.now(UTC).replace(tzinfo=None)


def hand_in(room, student="ada", stamp=STAMP, why="Because."):
    folder = room.inbox(student, stamp=stamp)
    nbformat.write(room.answered(why=why), folder / FILE)
    return folder


def time_of(room, student="ada"):
    return parse_utc((room.folder("submitted", student) / "timestamp.txt").read_text())


@pytest.fixture
def clock(monkeypatch):
    """Set what the kernel says of hand-ins; the tests cannot set its clock."""
    said = {}
    real = collect.arrival
    monkeypatch.setattr(collect, "arrival", lambda f, names: said.get("all") or real(f, names))
    return said


def test_a_hand_in_came_when_the_kernel_says_at_first(room):
    before = now()
    folder = hand_in(room, stamp=EARLY)
    os.utime(folder / FILE, (0, 0))
    room.collect()
    assert before - timedelta(seconds=1) < time_of(room) <= now()


def test_later_changes_of_owner_or_mode_make_nobody_late(room):
    folder = hand_in(room)
    room.collect()
    first = time_of(room)
    os.chmod(folder / FILE, 0o600)  # the kernel's time of change is now
    room.collect()
    assert time_of(room) == first
    assert room.autograde()
    assert time_of(room) == first


def test_what_is_changed_in_place_came_when_that_was_seen(room, clock):
    folder = hand_in(room)
    clock["all"] = datetime(2026, 3, 1)  # whatever happens, as with a mapped file
    room.collect()
    assert time_of(room) == datetime(2026, 3, 1)
    nbformat.write(room.answered(why="Because of what I read since."), folder / FILE)
    before = now()
    room.collect()
    assert time_of(room) >= before
    assert "I read since" in (room.folder("submitted", "ada") / FILE).read_text()


def test_a_mapped_file_that_changes_without_a_trace_is_not_taken_as_the_earlier_one(room):
    folder = hand_in(room)
    with (folder / FILE).open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        room.collect()
        first, stat = time_of(room), os.stat(folder / FILE)
        at = memory.find(b"Because.")
        memory[at : at + 8] = b"Whereas."
        record = HandIns(NAME)
        name = folder.name
        record.kept["hand_ins"][name]["state"][1] = [
            stat.st_ino,
            stat.st_size,
            *(getattr(os.stat(folder / FILE), f"st_{kind}_ns") for kind in ("mtime", "ctime")),
        ]
        record.changed = True
        record.save()  # as on a disk whose kernel says nothing of it
        (room.folder("submitted", "ada") / FILE).unlink()  # so that it is collected again
        before = now()
        room.collect()
    assert "Whereas." in (room.folder("submitted", "ada") / FILE).read_text()
    assert first < before <= time_of(room)


def test_what_was_not_there_when_the_class_was_collected_came_later(room, clock):
    hand_in(room, "ben")
    before = now()
    room.collect()
    clock["all"] = datetime(2026, 3, 1)
    hand_in(room, "ada", stamp=EARLY)
    room.collect()
    assert time_of(room, "ada") >= before
    assert time_of(room, "ben") <= now()


def test_an_exchange_that_is_not_all_there_makes_nobody_late(room, clock):
    clock["all"] = datetime(2026, 3, 1)
    hand_in(room, "ben")
    room.collect()
    room.inbound.rename(room.inbound.with_name("elsewhere"))  # a disk that is not mounted
    room.inbound.mkdir()
    room.collect()
    room.inbound.rmdir()
    room.inbound.with_name("elsewhere").rename(room.inbound)
    record = HandIns(NAME)
    assert record.kept["looked"]
    first_look = record.kept["looked"]
    hand_in(room, "ada")
    room.collect()
    assert time_of(room, "ada") == datetime.fromisoformat(first_look)


def test_a_hand_in_that_is_on_its_way_came_when_its_notebook_was_complete(room, clock):
    folder = hand_in(room)
    (folder / "timestamp.txt").unlink()  # nbgrader's own submit writes it last
    clock["all"] = datetime(2026, 3, 1)
    room.collect()
    (folder / "timestamp.txt").write_text(STAMP)
    room.collect()
    assert time_of(room) == datetime(2026, 3, 1)


def test_what_was_not_complete_and_is_another_later_came_after_it_was_seen(room, clock):
    folder = hand_in(room)
    whole = (folder / FILE).read_bytes()
    (folder / "timestamp.txt").unlink()  # nbgrader's own submit writes it last
    (folder / FILE).write_bytes(whole[:100])
    clock["all"] = datetime(2026, 3, 1)
    before = now()
    room.collect()
    looked = now()
    (folder / FILE).write_bytes(whole)
    (folder / "timestamp.txt").write_text(STAMP)
    room.collect()
    assert before <= time_of(room) <= looked


def test_what_is_renamed_into_an_empty_hand_in_came_after_that_was_seen(room, clock):
    ready = hand_in(room).rename(room.inbound / "ready")
    decoy = room.inbound / f"ada+{NAME}+{STAMP}+x"
    decoy.mkdir()
    clock["all"] = datetime(2026, 3, 1)
    before = now()
    room.collect()
    decoy.rmdir()
    ready.rename(decoy)
    room.collect()
    assert before <= time_of(room)


def test_renaming_a_folder_is_a_change_of_it(room):
    ready = hand_in(room).rename(room.inbound / "ready")
    time.sleep(0.1)
    before = now()
    ready.rename(room.inbound / f"ada+{NAME}+{EARLY}+x")
    room.collect()
    assert before - timedelta(seconds=0.05) <= time_of(room)


def test_a_hand_in_that_is_deleted_does_not_keep_the_others_from_being_late(room, clock):
    hand_in(room, "ben")
    decoy = hand_in(room, "eve")
    room.collect()
    shutil.rmtree(decoy)
    before = now()
    room.collect()
    clock["all"] = datetime(2026, 3, 1)
    hand_in(room, "ada", stamp=EARLY)
    room.collect()
    assert time_of(room) >= before


def test_an_exchange_in_another_place_counts_from_its_second_look_on(room):
    hand_in(room, "ben")
    room.collect()
    first = HandIns(NAME).kept["looked"]
    room.inbound.rename(room.inbound.with_name("elsewhere"))
    room.inbound.mkdir()
    hand_in(room, "cy")
    room.collect()
    assert HandIns(NAME).kept["looked"] == first
    room.collect()
    assert HandIns(NAME).kept["looked"] > first


def test_names_that_nothing_was_taken_of_are_not_kept_for_good(room):
    hand_in(room, "ben")
    (stranger := room.inbound / f"x+{NAME}+now").symlink_to("/tmp")
    room.collect()
    assert stranger.name in HandIns(NAME).kept["hand_ins"]
    stranger.unlink()
    room.collect()
    assert [name[:3] for name in HandIns(NAME).kept["hand_ins"]] == ["ben"]


def test_of_each_owner_the_newest_hand_ins_are_looked_at(room, monkeypatch):
    monkeypatch.setattr(collect, "_MOST", 3)
    asked = []
    real = collect.arrival
    monkeypatch.setattr(collect, "arrival", lambda f, names: asked.append(f) or real(f, names))
    for number in range(6):
        hand_in(room, stamp=f"{number}", why=f"Answer {number}.")
    hand_in(room, "ben")
    app = room.collect()
    assert "Answer 5." in (room.folder("submitted", "ada") / FILE).read_text()
    assert (room.folder("submitted", "ben") / FILE).exists()
    assert len(asked) == 3 + 1 + 2  # of these two are looked at again as they are taken
    assert len(HandIns(NAME).kept["hand_ins"]) == 4
    assert (app.older, app.not_collected) == ({"ada": 3}, {})


def test_two_that_collect_at_once_wait_for_each_other(room):
    hand_in(room)
    (places.home() / "arrivals").mkdir(parents=True)
    with FileLock(places.home() / "arrivals" / f"{NAME}.lock"):
        other = threading.Thread(target=room.collect)
        other.start()
        other.join(0.5)
        assert other.is_alive()
        assert not room.folder("submitted", "ada").exists()
    other.join()
    assert room.folder("submitted", "ada").exists()


def test_a_time_in_a_folder_that_a_platform_handed_over_is_not_believed(room, caplog):
    folder = room.folder("submitted", "ada")
    folder.mkdir(parents=True)
    nbformat.write(room.answered(), folder / FILE)
    (folder / "timestamp.txt").write_text(EARLY)
    before = now()
    assert room.autograde()
    assert (folder / "timestamp.txt").read_text() == ""
    assert "is not from collecting it" in caplog.text
    with Gradebook(room.course.db_url) as gradebook:
        assert gradebook.find_submission(NAME, "ada").timestamp is None
    (seen,) = Submissions(NAME).kept["brought"]["ada"].values()
    assert before <= datetime.fromisoformat(seen) <= now()
    again = Submissions(NAME).kept
    assert room.autograde()
    assert Submissions(NAME).kept == again


def test_a_students_time_of_before_does_not_come_back_by_the_platform(room):
    hand_in(room)
    room.collect()
    collected = (room.folder("submitted", "ada") / "timestamp.txt").read_text()
    other = room.folder("submitted", "ben")
    other.mkdir(parents=True)
    nbformat.write(room.answered(), other / FILE)
    (other / "timestamp.txt").write_text(collected)  # another student's
    assert room.autograde()
    assert (other / "timestamp.txt").read_text() == ""
    assert (room.folder("submitted", "ada") / "timestamp.txt").read_text() == collected


def test_what_an_earlier_version_graded_keeps_its_times(room):
    for step in ("submitted", "autograded"):
        folder = room.folder(step, "ada")
        folder.mkdir(parents=True)
        nbformat.write(room.answered(), folder / FILE)
        (folder / "timestamp.txt").write_text(EARLY)
    clean_submitted(room.course)  # as `gqa grade` begins
    assert (room.folder("submitted", "ada") / "timestamp.txt").read_text() == EARLY


def test_the_record_is_for_the_instructor_alone(room):
    hand_in(room)
    room.collect()
    records = sorted((places.home() / "arrivals").glob("*.json"))
    assert len(records) == 3  # hand-ins, what was collected of them, and what was refused
    assert {record.stat().st_mode & 0o077 for record in records} == {0}

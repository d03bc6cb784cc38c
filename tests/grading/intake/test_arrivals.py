"""When a hand-in came is what our own record says, whatever a student or a platform writes."""

import mmap
import os
from datetime import UTC, datetime, timedelta

import nbformat
import pytest
from classroom import NAME, STAMP
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
        record.kept["hand_ins"][name]["state"][0] = [
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


def test_a_hand_in_that_is_on_its_way_is_not_held_to_its_first_bytes(room, clock):
    folder = hand_in(room)
    whole = (folder / FILE).read_bytes()
    (folder / "timestamp.txt").unlink()  # nbgrader's own submit writes it last
    (folder / FILE).write_bytes(whole[:100])
    clock["all"] = datetime(2026, 3, 1)
    room.collect()
    (folder / FILE).write_bytes(whole)
    (folder / "timestamp.txt").write_text(STAMP)
    room.collect()
    assert time_of(room) == datetime(2026, 3, 1)


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
    (record, submitted) = sorted((places.home() / "arrivals").iterdir())
    assert {record.stat().st_mode & 0o077, submitted.stat().st_mode & 0o077} == {0}

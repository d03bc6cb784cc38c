"""Which of a student's hand-ins is collected: the latest, the latest in time, or one by one."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import nbformat
import pytest
from classroom import NAME, RIGHT
from nbgrader.api import Gradebook
from nbgrader.utils import parse_utc

from gqa_lib.course import places
from grading.intake import collect
from grading.intake.class_file import BEST, IN_TIME, LATEST, ClassFile, write_class
from grading.intake.earlier import read_kept
from grading.intake.inbound import claimed_time

FILE = f"{NAME}.ipynb"
DUE = datetime(2026, 3, 1, 12)
HOUR = timedelta(hours=1)
WRONG = "def double(x):\n    return x"


@pytest.fixture
def due(room, monkeypatch):
    """A classroom with a due date, whose kernel believes the times of hand-ins."""
    monkeypatch.setattr(collect, "arrival", lambda folder, names: claimed_time(folder))
    with Gradebook(room.course.db_url) as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=DUE)
    return room


def hand_in(room, late, code=RIGHT):
    folder = room.inbox("ada", stamp=f"{DUE + late:%Y-%m-%d %H:%M:%S.%f} UTC")
    nbformat.write(room.answered(code), folder / FILE)
    return folder


def collected(room):
    """Collect; return how late the hand-in is that was taken, and whether a late one follows."""
    done = room.collect()
    text = (room.folder("submitted", "ada") / "timestamp.txt").read_text()
    return parse_utc(text) - DUE, bool(done.to_follow)


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        (ClassFile(lessons=LATEST, percent_per_day=10.0), 2 * HOUR),
        (ClassFile(lessons=IN_TIME), -HOUR),
        (ClassFile(), 2 * HOUR),
    ],
)
def test_the_one_that_counts_is_collected(due, settings, taken):
    write_class(settings)
    for late in (-2 * HOUR, -HOUR, HOUR, 2 * HOUR):
        hand_in(due, late)
    assert collected(due) == (taken, False)


def test_more_time_makes_a_later_one_one_in_time(due):
    until = DUE.replace(tzinfo=UTC) + HOUR
    write_class(ClassFile(lessons=IN_TIME, extensions={NAME: {"ada": until}}))
    for late in (-HOUR, HOUR, 2 * HOUR):
        hand_in(due, late)
    assert collected(due) == (HOUR, False)


def test_where_none_is_in_time_the_latest_is_taken(due):
    write_class(ClassFile(lessons=IN_TIME))
    for late in (HOUR, 2 * HOUR):
        hand_in(due, late)
    assert collected(due) == (2 * HOUR, False)


def test_where_late_costs_one_in_time_is_graded_before_a_late_one(due):
    write_class(ClassFile(percent_per_day=10.0))
    hand_in(due, -HOUR, WRONG)
    hand_in(due, HOUR)
    assert collected(due) == (-HOUR, True)
    assert collected(due) == (-HOUR, True)  # as long as it has no mark
    assert due.autograde()
    assert collected(due) == (HOUR, False)
    assert due.autograde()
    assert collected(due) == (HOUR, False)
    (mark,) = read_kept(NAME, "ada", NAME).earlier
    assert (mark.at, mark.score) == ((DUE - HOUR).isoformat(), 0.0)
    assert due.scores() == {"ada": 2.0}


def test_a_late_one_that_was_collected_first_comes_back_after_the_one_in_time(due):
    write_class(ClassFile(lessons=LATEST))
    hand_in(due, -HOUR)
    hand_in(due, HOUR, WRONG)
    assert collected(due) == (HOUR, False)
    assert due.autograde()
    write_class(ClassFile(lessons=BEST))
    assert collected(due) == (-HOUR, True)
    assert due.autograde()
    assert collected(due) == (HOUR, False)
    assert due.autograde()
    assert collected(due) == (HOUR, False)
    assert [mark.cells["double-check"] for mark in read_kept(NAME, "ada", NAME).earlier] == [0, 2]


def test_the_record_has_the_hash_that_a_receipt_has(due):
    folder = hand_in(due, -HOUR)
    (folder / "quiz_answers.json").write_text("{}")
    collected(due)
    kept = json.loads((places.home() / "arrivals" / f"{NAME}.json").read_text())["hand_ins"]
    assert kept[folder.name]["sha256"] == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (FILE, "quiz_answers.json")
    }

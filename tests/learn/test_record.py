"""The files of a learner's record: whatever happens to them, the events survive."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from recording import some_events, told

from gqa_lib.learn import progress
from gqa_lib.learn.progress.store import journal


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    return tmp_path


def garbage(content):
    return b"not a database, not at all, " * 40


def nothing(content):
    return b""


def first_page_only(content):
    return content[:4096] + b"\xff" * (len(content) - 4096)


def first_half(content):
    return content[: len(content) // 2]


def no_first_page(content):
    return b"\0" * 4096 + content[4096:]


def a_page_in_the_middle(content):
    middle = len(content) // 8192 * 4096
    return content[:middle] + b"\0" * 4096 + content[middle + 4096 :]


DAMAGES = (garbage, nothing, first_page_only, first_half, no_first_page, a_page_in_the_middle)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_set_aside_and_not_an_event_lost(damage):
    before = some_events()
    damaged = damage(progress.path().read_bytes())
    progress.path().write_bytes(damaged)
    assert told() == before
    progress.add("01", "attention", "check", 1.0, 1.0)
    assert told()[:-1] == before
    kept = list(progress.path().parent.glob("*.broken-*"))
    assert [file.read_bytes() for file in kept] == ([damaged] if damaged else [])


def test_a_file_that_is_gone_or_of_something_else_is_made_again():
    before = some_events(3)
    progress.path().unlink()
    assert told() == before
    progress.path().unlink()
    with closing(sqlite3.connect(progress.path())) as other, other:
        other.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, whatever TEXT)")
    assert told() == before


def test_one_bit_anywhere_costs_nothing_and_no_one():
    before = some_events(20)
    sound = progress.path().read_bytes()
    for place in range(0, len(sound), 1499):
        broken = bytearray(sound)
        broken[place] ^= 0x10
        progress.path().write_bytes(broken)
        assert len(told()) == len(before)
        progress.path().write_bytes(sound)


def test_without_its_journal_what_can_be_read_of_a_damaged_file_is_kept():
    before = some_events()
    journal().unlink()
    progress.path().write_bytes(a_page_in_the_middle(progress.path().read_bytes()))
    kept = told()
    assert 0 < len(kept) < len(before)
    assert set(kept) <= set(before)
    assert before[0] in kept or before[-1] in kept


def test_a_damaged_line_of_the_journal_costs_that_line():
    before = some_events(4)
    lines = journal().read_bytes().split(b"\n")
    lines[2] = lines[2][:40] + b"\xff\0"
    journal().write_bytes(b"\n".join(lines)[:-5])  # and the last is torn
    progress.path().unlink()
    progress.add("01", "attention", "check", 1.0, 1.0)
    assert told()[:-1] == [before[0], before[2]]
    progress.path().unlink()
    assert len(told()) == 3


def test_a_journal_that_is_gone_is_written_again():
    some_events(3)
    journal().unlink()
    progress.add("01", "attention", "hint", detail="1")
    before = told()
    progress.path().unlink()
    assert told() == before
    assert len(before) == 4


def test_what_a_killed_process_had_begun_is_undone_and_the_rest_is_there():
    before = some_events(3)
    code = (
        "import os\nfrom gqa_lib.learn.progress.store import connect\n"
        "c = connect()\nc.execute('PRAGMA cache_size = 1')\nc.execute('DELETE FROM events')\n"
        "c.executemany('INSERT INTO events (uid, at, lesson, exercise, kind) VALUES "
        "(?, ?, 1, 1, 1)', [(str(i), 'x' * 500) for i in range(500)])\nos._exit(0)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert progress.path().with_name(progress.path().name + "-journal").exists()
    assert told() == before
    assert list(progress.path().parent.glob("*.broken-*")) == []


def test_parallel_writers_meet_a_damaged_file_and_lose_nothing():
    before = some_events(5)
    progress.path().write_bytes(b"damaged " * 1000)
    code = (
        "from gqa_lib.learn import progress\n"
        "for i in range(20): progress.add('02', 'rotate', 'check', 1.0, 1.0)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert len(progress.events(lesson="02")) == 80
    assert len(told()) == 80 + len(before)
    assert len(journal().read_text().split()) >= 85
    assert len(list(progress.path().parent.glob("*.broken-*"))) == 1


OLD_FORM = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, lesson TEXT NOT NULL, exercise TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('check', 'hint', 'mark')), score REAL, max_score REAL,
    detail TEXT NOT NULL DEFAULT '')
"""


def old_file(home):
    home.mkdir()
    with closing(sqlite3.connect(home / "progress.sqlite")) as old, old:
        old.execute(OLD_FORM)
        for day in (1, 2):
            at = f"2026-01-0{day}T10:00:00.123+00:00"
            old.execute(
                "INSERT INTO events (at, lesson, exercise, kind, score, max_score)"
                " VALUES (?, '01', '', 'mark', ?, 13.0)",
                (at, day),
            )


def test_a_record_from_before_events_had_ids_is_taken_over(own_places, monkeypatch):
    old_file(own_places / "home")
    assert progress.scores_of("01") == [(1.0, 13.0), (2.0, 13.0)]
    progress.add("01", "attention", "reset")
    assert len(told()) == 3
    progress.export_to(own_places / "one.json")
    old_file(own_places / "other")  # the same record, copied to another machine
    monkeypatch.setenv("GQA_HOME", str(own_places / "other"))
    assert progress.import_from(own_places / "one.json") == (3, 1)

"""The learner's record: nothing written is lost."""

import hashlib
import subprocess
import sys

import pytest

from gqa_lib.learn import progress
from gqa_lib.learn.manifest import find_lesson, lessons
from gqa_lib.learn.map import lesson_map
from gqa_lib.learn.work import put_lessons


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    return tmp_path


def test_no_record_is_an_empty_record():
    assert progress.events() == []
    assert not progress.path().exists()


def test_parallel_writers_lose_nothing():
    code = (
        "from gqa_lib.learn import progress\n"
        "for i in range(40): progress.add('01', 'attention', 'check', 1.0, 1.0)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(progress.events()) == 120


def test_a_damaged_file_is_set_aside_and_work_goes_on():
    progress.add("01", "attention", "check", 1.0, 1.0)
    progress.path().write_bytes(b"not a database, not at all, " * 40)
    progress.add("01", "attention", "check", 0.0, 1.0)
    assert len(progress.events()) == 1
    kept = list(progress.path().parent.glob("*.broken-*"))
    assert len(kept) == 1
    assert kept[0].read_bytes().startswith(b"not a database")


def test_a_file_damaged_behind_its_first_page_is_set_aside_too():
    for _ in range(200):
        progress.add("01", "attention", "check", 1.0, 1.0, "x" * 100)
    content = progress.path().read_bytes()
    progress.path().write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert progress.events() == []
    progress.add("01", "attention", "check", 1.0, 1.0)
    assert len(progress.events()) == 1


def test_several_events_are_written_all_or_none():
    with pytest.raises(Exception, match="CHECK"):
        progress.add_all([("01", "a", "mark", 1.0, 1.0, ""), ("01", "b", "nonsense", 1.0, 1.0, "")])
    assert progress.events() == []


def test_the_map_shows_the_latest_and_the_best_mark():
    slug = find_lesson("1").slug
    assert lesson_map().count("not begun") == len(lessons())
    for score in (13.0, 5.0):
        progress.add(slug, "", "mark", score, 13.0)
    assert "submitted: 5 of 13 points (best 13)" in lesson_map()


@pytest.mark.parametrize("name", ["1", "01", "01-multi-head-attention"])
def test_a_lesson_is_found_by_number_or_slug(name):
    assert find_lesson(name).slug == "01-multi-head-attention"


def test_an_unknown_lesson_lists_those_there_are():
    with pytest.raises(ValueError, match=r"no lesson '77'.*Multi-head attention"):
        find_lesson("77")


def test_lessons_are_copied_once_and_never_overwritten(own_places, monkeypatch):
    put_lessons()
    mine = own_places / "work" / lessons()[0].slug / lessons()[0].pristine.name
    assert mine.read_bytes() == lessons()[0].pristine.read_bytes()
    mine.write_text("my own work")
    assert put_lessons() == []
    assert mine.read_text() == "my own work"


def test_an_updated_lesson_is_put_beside_work_and_replaces_an_untouched_copy(own_places):
    put_lessons()
    edited, untouched = (
        own_places / "work" / lesson.slug / lesson.pristine.name for lesson in lessons()[:2]
    )
    record = own_places / "work" / ".lessons.json"
    edited.write_text("my own work")
    untouched.write_text("an older release")
    old = hashlib.sha256(b"an older release").hexdigest()
    record.write_text(f'{{"{lessons()[0].slug}": "old", "{lessons()[1].slug}": "{old}"}}')
    told = put_lessons()
    assert edited.read_text() == "my own work"
    assert len(told) == 1
    assert lessons()[0].number in told[0]
    (beside,) = edited.parent.glob("*.updated-*.ipynb")
    assert beside.read_bytes() == lessons()[0].pristine.read_bytes()
    assert untouched.read_bytes() == lessons()[1].pristine.read_bytes()
    assert put_lessons() == []
    beside.write_text("worked on here, too")
    record.write_text("damaged")
    put_lessons()
    assert beside.read_text() == "worked on here, too"
    assert edited.read_text() == "my own work"

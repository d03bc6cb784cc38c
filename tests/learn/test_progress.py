"""The learner's record: nothing written is lost."""

import hashlib
import json
import re
import subprocess
import sys

import pytest
from recording import some_events, told

from gqa_lib.cli import main
from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn import progress
from gqa_lib.learn.guide.work import put_lessons


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


def test_several_events_are_written_all_or_none():
    with pytest.raises(ValueError, match="nonsense"):
        progress.add_all([("01", "a", "mark", 1.0, 1.0, ""), ("01", "b", "nonsense", 1.0, 1.0, "")])
    assert progress.events() == []


def test_a_record_is_carried_to_another_device_and_back(own_places, monkeypatch):
    here, there = own_places / "home", own_places / "there"
    some_events(3)
    progress.export_to(own_places / "here.json")
    monkeypatch.setenv("GQA_HOME", str(there))
    progress.add("02", "rotate", "check", 1.0, 1.0, "Grüße\n")
    assert progress.import_from(own_places / "here.json") == (3, 3)
    assert progress.import_from(own_places / "here.json") == (3, 0)
    progress.export_to(own_places / "there.json")
    union = told()
    monkeypatch.setenv("GQA_HOME", str(here))
    assert progress.import_from(own_places / "there.json") == (4, 1)
    assert told() == union
    assert len({event[0] for event in union}) == 4
    progress.path().unlink()  # what was imported is in the journal, too
    assert told() == union


def test_an_export_to_a_folder_that_is_not_there_says_so(own_places):
    with pytest.raises(OSError, match=r"was not written: there is no folder .*nowhere"):
        progress.export_to(own_places / "nowhere" / "mine.json")


def test_an_export_overwrites_nothing(own_places):
    some_events(1)
    file = own_places / "mine.json"
    file.write_text("something of mine")
    with pytest.raises(OSError, match="already exists"):
        progress.export_to(file)
    assert file.read_text() == "something of mine"


GOOD = {
    "uid": "0" * 32,
    "at": "2026-01-01T10:00:00+01:00",
    "lesson": "01",
    "exercise": "attention",
    "kind": "check",
    "score": 1.0,
    "max_score": 1.0,
    "detail": "",
}


def exported(*events):
    return json.dumps({"format": "gqa-progress", "events": events})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "format"),
        ('{"format": "gqa-progress"}', "no list of events"),
        (exported(GOOD, 3), "event 2: an event has the fields"),
        (exported(GOOD | {"more": 1}), "an event has the fields"),
        (exported(GOOD | {"uid": "../x"}), "uid is '../x'"),
        (exported(GOOD | {"at": "yesterday"}), "at is 'yesterday', not a time"),
        (exported(GOOD | {"at": "2999-01-01T10:00:00+00:00"}), "in the future"),
        (exported(GOOD | {"lesson": None}), "lesson is None, not a text"),
        (exported(GOOD | {"detail": "x" * 20_001}), "20001 characters"),
        (exported(GOOD | {"detail": "\ud800"}), "not Unicode text"),
        (exported(GOOD | {"kind": "gift"}), "kind is 'gift'"),
        (exported(GOOD | {"score": float("inf")}), "score is inf, not a number"),
        (exported(GOOD | {"score": True}), "score is True, not a number"),
        (exported(GOOD | {"kind": "mark", "score": None}), "a mark needs a score"),
    ],
)
def test_a_file_that_is_no_export_changes_nothing(own_places, text, said):
    before = some_events(1)
    file = own_places / "import.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        progress.import_from(file)
    assert "your record is as it was" in str(raised.value)
    assert told() == before


def test_the_command_shows_each_exercise_and_moves_the_record(own_places, monkeypatch, capsys):
    slug = find_lesson("4").slug
    assert main(["progress"]) == 0
    assert "Nothing yet" in capsys.readouterr().out
    for kind, score in (("check", 0.0), ("check", 1.0), ("hint", None)):
        progress.add(slug, "expand_kv", kind, score, 1.0)
    progress.add_all([(slug, "expand_kv-check", "mark", 1.0, 2.0, "")])
    main(["progress"])
    shown = capsys.readouterr().out
    assert re.search(r"✓ expand_kv +2 checks, 1 hint\n", shown)
    assert re.search(r"○ kv_head_of +not tried\n", shown)
    assert re.search(r"expand_kv-check +1 of 2\n", shown)
    file = str(own_places / "carry.json")
    assert main(["progress", "export", file]) == 0
    monkeypatch.setenv("GQA_HOME", str(own_places / "there"))
    assert main(["progress", "import", file]) == 0
    assert "4 events, 4 of them new" in capsys.readouterr().out
    assert main(["progress", "import"]) == 1


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

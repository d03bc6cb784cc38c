"""One record on several machines: whatever happens in between, nothing is lost or counted twice."""

import json
import os
import signal
import subprocess
import sys
import time

import fsspec
import pytest
from recording import told

from gqa_lib.cli import main
from gqa_lib.learn import progress
from gqa_lib.learn.progress import sync


@pytest.fixture
def on(tmp_path, monkeypatch):
    """Return a function that goes to one of several machines."""

    def machine(name):
        monkeypatch.setenv("GQA_HOME", str(tmp_path / name))

    machine("laptop")
    return machine


def did(*exercises):
    for exercise in exercises:
        progress.add("01", exercise, "check", 1.0, 1.0)


def exercises():
    return sorted(event["exercise"] for event in progress.events())


@pytest.mark.parametrize("address", ["{}/share", "memory://share-{}", "file://{}/share"])
def test_two_machines_know_the_same_in_the_end(address, on, tmp_path):
    folder = address.format(tmp_path if "memory" not in address else tmp_path.name)
    did("a", "b")
    sync.remember(folder)
    assert str(sync.sync()) == "Synced with 0 other machines: 2 events, 0 of them new here."
    on("desktop")
    did("c")
    sync.remember(folder)
    assert str(sync.sync()) == "Synced with 1 other machine: 3 events, 2 of them new here."
    on("laptop")
    did("d")
    assert (sync.sync().new, sync.sync().new) == (1, 0)
    everything = set(told())
    on("desktop")
    sync.sync()
    assert set(told()) == everything
    assert exercises() == ["a", "b", "c", "d"]


def test_a_machine_writes_its_own_file_alone_and_leaves_others_alone(on, tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "gqa-progress-conflicted copy.jsonl").write_text("{}")
    for name in ("laptop", "desktop"):
        on(name)
        did(name)
        sync.remember(str(folder))
        sync.sync()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(kept) == 4
    sync.sync()
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == kept


@pytest.mark.parametrize("cut", [2, 40, 300])
def test_a_torn_file_costs_what_is_torn_until_it_is_whole_again(cut, on, tmp_path):
    did("a", "b", "c")
    sync.remember(str(tmp_path / "share"))
    sync.sync()
    (file,) = (tmp_path / "share").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - cut])
    on("desktop")
    sync.remember(str(tmp_path / "share"))
    some = sync.sync().new
    assert some < 3
    on("laptop")
    sync.sync()  # which mends it
    on("desktop")
    assert sync.sync().new == 3 - some
    assert exercises() == ["a", "b", "c"]


@pytest.mark.parametrize("step", ["pipe_file", "mv", "cat_file", "ls"])
def test_what_fails_in_the_midst_loses_nothing(step, on, tmp_path, monkeypatch):
    folder = str(tmp_path / "share")
    did("a")
    sync.remember(folder)
    sync.sync()
    on("desktop")
    did("b")
    sync.remember(folder)
    local = type(fsspec.filesystem("file"))

    def fails(*_, **__):
        raise ConnectionError("the line is cut")

    with monkeypatch.context() as patch:
        patch.setattr(local, step, fails)
        with pytest.raises(OSError, match=r"not synced .* the line is cut"):
            sync.sync()
        assert sync.sync_in_passing() == ""
    sync.sync()
    assert exercises() == ["a", "b"]
    on("laptop")
    assert sync.sync_in_passing().endswith("1 of them new here.")
    assert exercises() == ["a", "b"]


def test_machines_that_are_killed_at_any_moment_lose_nothing(on, tmp_path):
    """Two write and sync at once, and are killed now and then."""
    code = (
        "import sys\n"
        "from gqa_lib.learn import progress\n"
        "from gqa_lib.learn.progress import sync\n"
        "sync.remember(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "for n in range(10**9):\n"
        "    progress.add('01', f'{sys.argv[2]}-{n}', 'check', 1.0, 1.0)\n"
        "    sync.sync()"
    )
    for turn in range(2):
        runs = []
        for name in ("laptop", "desktop"):
            command = [sys.executable, "-c", code, str(tmp_path / "share"), f"{name}{turn}"]
            env = os.environ | {"GQA_HOME": str(tmp_path / name)}
            runs.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE))
        for run in runs:
            run.stdout.readline()
        time.sleep(0.3)
        for run in runs:
            run.send_signal(signal.SIGKILL)
            run.communicate()
    known = []
    for name in ("laptop", "desktop", "laptop"):
        on(name)
        known.append(set(exercises()))
        sync.sync()
    assert known[0] | known[1] == set(exercises())
    assert len(exercises()) == len(set(exercises()))
    everything = set(told())
    on("desktop")
    sync.sync()
    assert set(told()) == everything


def test_what_is_no_event_of_a_learner_is_passed_over(on, tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    odd = ["null", "[]", '{"uid": 1}', "\ud800", "[" * 5000, json.dumps({"uid": "0" * 32})]
    text = "\n".join(odd).encode("utf-8", "surrogatepass")
    (folder / f"gqa-progress-{'0' * 32}.jsonl").write_bytes(text)
    sync.remember(str(folder))
    assert sync.sync().new == 0


def test_a_network_that_does_not_answer_is_not_waited_for(on, tmp_path, monkeypatch):
    sync.remember(str(tmp_path / "share"))
    monkeypatch.setattr(sync, "sync", lambda: time.sleep(60))
    begun = time.monotonic()
    assert sync.sync_in_passing(0.05) == ""
    assert time.monotonic() - begun < 30


def test_a_password_is_not_kept(on):
    with pytest.raises(ValueError, match="password"):
        sync.remember("sftp://me:secret@example.org/course")
    assert sync.address() is None


def test_the_command(on, tmp_path, capsys):
    assert main(["sync"]) == 1
    assert "gqa sync ADDRESS" in capsys.readouterr().err
    did("a")
    assert main(["sync", str(tmp_path / "share")]) == 0
    assert "1 events" in capsys.readouterr().out
    assert main(["sync"]) == 0
    assert main(["sync", "nosuch://x"]) == 1
    assert "nothing here opens" in capsys.readouterr().err
    assert main(["sync", "--off"]) == 0
    assert "no more" in capsys.readouterr().out
    assert sync.sync() is None
    assert sync.sync_in_passing() == ""

"""A call in a limited process: its answer, its exceptions, and what it may not take."""

import json
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import limited_work as work
import pytest

from gqa_lib.course import places
from grading.limited import call as module
from grading.limited import ours, sandbox
from grading.limited.call import Bounds, Exceeded, Raised, call

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's limits")
SMALL = Bounds(memory_mb=400, cpu_s=1)


@pytest.fixture(scope="module", autouse=True)
def servers():
    """Processes that find this folder's modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(work.__file__).parent))
        shown = [*ours.for_readers(), (Path(work.__file__), f"{ours.ROOT}/limited_work.py")]
        patch.setattr(module, "for_readers", lambda: shown)
        patch.setattr(module, "_servers", {})
        yield
        module._close_all()


def test_a_call_has_an_answer_from_a_fork_of_one_warm_process():
    assert call(work.length, b"x" * 3_000_000) == b"3000000"
    warmed = {call(work.process, b"").split()[2] for _ in "ab"}
    assert warmed == {b"1"}  # warmed once, and for each


@pytest.mark.skipif(bool(sandbox.sandbox_problem()), reason="no sandbox here")
def test_each_call_is_behind_walls_of_its_own():
    one, other = (json.loads(call(work.walls, b"")) for _ in "ab")
    assert one["space"] != other["space"]
    for told in (one, other):
        assert told["processes"] == [1]
        assert (told["at"], told["writable"], told["dumpable"]) == ("/", [], 0)
        assert told["left"] == ["left"]  # its own: what the call before made is not there


def test_an_exception_is_named():
    with pytest.raises(Raised, match="KeyError: 'here'"):
        call(work.broken, b"here")


@pytest.mark.parametrize(
    ("function", "data"),
    [
        (work.much_memory, b""),
        (work.much_time, b"60"),
        (work.ends, b""),
        (work.half_an_answer, b""),
    ],
)
def test_too_much_memory_or_time_or_no_whole_answer_is_told(function, data):
    with pytest.raises(Exceeded, match=r"more than 1 s or 0.39\d* GiB of memory"):
        call(function, data, SMALL)
    assert call(work.length, b"") == b"0"  # the next one is served


def test_what_is_within_the_bounds_is_not_stopped():
    assert call(work.much_memory, b"", Bounds(memory_mb=1024)) == str(600 << 20).encode()
    assert call(work.much_time, b"0.2", SMALL) == b"done"


def test_an_answer_has_a_greatest_length():
    assert len(call(work.long_answer, b"1000000", Bounds(answer_bytes=1 << 20))) == 1_000_000
    with pytest.raises(Exceeded):
        call(work.long_answer, b"3000000", Bounds(answer_bytes=1 << 20))


@pytest.mark.skipif(bool(sandbox.sandbox_problem()), reason="no sandbox here")
def test_it_finds_no_file_of_the_instructors_no_network_and_makes_no_process(tmp_path):
    (tmp_path / "gradebook.db").write_text("marks")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        aims = [str(tmp_path / "gradebook.db"), str(places.course_root() / "solutions"), port]
        tried = json.loads(call(work.reaches_out, json.dumps(aims).encode()))
    assert tried == ["FileNotFoundError", "FileNotFoundError", "OSError", "BlockingIOError"]


@pytest.mark.skipif(bool(sandbox.sandbox_problem()), reason="no sandbox here")
def test_it_sees_no_answer_to_an_exercise():
    found = call(work.files, ours.ROOT.encode()).decode().split("\n")
    others = (f"{ours.ROOT}/python/", f"{ours.ROOT}/packages/")
    shown = [path for path in found if not path.startswith(others)]
    assert f"{ours.ROOT}/grading/intake/reading.py" in shown
    assert [path for path in shown if "solutions" in path or "planted" in path] == []


def test_a_machine_that_is_too_busy_is_not_the_calls_doing():
    with pytest.raises(TimeoutError, match=r"no answer in 0.2 s"):
        call(work.long_wait, b"30", Bounds(wall_s=0.2))


def test_it_writes_no_file_and_may_say_much(tmp_path):
    with pytest.raises((Exceeded, Raised)):
        call(work.writes_a_file, str(tmp_path / "file").encode())
    assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size == 0
    assert call(work.talks, b"") == b"done"


def test_calls_from_several_threads_get_their_own_answers():
    sizes = [1000 * n for n in range(20)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda size: call(work.length, bytes(size)), sizes))
    assert got == [str(size).encode() for size in sizes]


def test_a_warm_process_that_is_gone_is_replaced():
    call(work.process, b"")
    first = module._servers[work.__name__]
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert call(work.length, b"four") == b"4"
    assert module._servers[work.__name__] is not first


def test_a_module_that_cannot_be_imported_is_an_error_of_the_machine(monkeypatch):
    monkeypatch.setattr(work.length, "__module__", "no_such_module")
    with pytest.raises(OSError, match="no_such_module"):
        call(work.length, b"")


def test_where_there_is_no_linux_the_call_is_made_here(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert call(work.process, b"").split()[0] == str(os.getpid()).encode()
    with pytest.raises(Raised, match="KeyError"):
        call(work.broken, b"here")

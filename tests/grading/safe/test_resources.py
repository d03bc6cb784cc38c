"""What a submission takes: time by its own clock, limits by control group, and without one."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from attacking import SMALL, attacks, full_marks, grade, honest

from grading.limited import sandbox
from grading.safe import cgroups, places, tree
from grading.safe.clock import Clock
from grading.safe.limits import Limits, on_the_wall
from grading.safe.pool import GradingProcesses

needs_sandbox = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
needs_groups = pytest.mark.skipif(
    cgroups.usable() is None, reason="this system gives this user no control groups"
)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
SPIN = [sys.executable, "-I", "-S", "-c", "while True: pass"]
COMPUTES_S = 0.75  # what an honest cell computes, and the time it has
COMPUTING = f"""
import time

while time.process_time() < {COMPUTES_S}:
    pass
"""
WITHOUT_A_GROUP = (
    "memory in a child whose first thread has ended",
    "memory in the buffers of sockets of many processes",
    "memory in the pipes of many processes",
    "computes in children that are waited for",
    "computes in a thread, its first one ended",
    "sleeps for ever and catches what wakes it",
    "as many processes as it may have, each with as many threads",
)


@contextmanager
def started(*argv):
    """Yield a process that is ended at the end."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def two():
    """Two graders' processes, as two workers have them."""
    made = [GradingProcesses(), GradingProcesses()]
    for one in made:
        assert marks(honest("attention"), one, SMALL) == full_marks("attention")
    yield made
    for one in made:
        one.close()


def marks(source: str, processes: GradingProcesses, limits: dict) -> float:
    return grade(source, "attention", processes, Limits(**limits)).marks


def tight() -> dict:
    """Return limits of which an honest answer takes half."""
    return SMALL | {"cell_s": 2 * COMPUTES_S, "notebook_s": 8 * COMPUTES_S}


@needs_sandbox
def test_an_honest_answer_at_load_eight_keeps_its_marks(two):
    hogs = [subprocess.Popen(SPIN) for _ in range(8)]
    try:
        answer = COMPUTING + honest("attention")
        assert marks(answer, two[0], tight()) == full_marks("attention")
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@needs_sandbox
def test_spinners_in_one_submission_cost_another_nothing(two):
    (attack,) = (one for one in attacks() if one.title.startswith("niced spinners"))
    limits = replace(attack, keys=attack.keys | {"cell_s": "5"}).limits
    beside = threading.Thread(target=grade, args=(attack.source, "attention", two[1], limits))
    beside.start()
    time.sleep(0.5)
    try:
        answer = COMPUTING + honest("attention")
        assert marks(answer, two[0], tight()) == full_marks("attention")
    finally:
        beside.join()


@needs_sandbox
@pytest.mark.parametrize("title", WITHOUT_A_GROUP)
def test_where_there_are_no_control_groups_nothing_is_earned_either(title, two, monkeypatch):
    monkeypatch.setattr(cgroups, "usable", lambda: None)
    (attack,) = (one for one in attacks() if one.title == title)
    got = grade(attack.source, attack.exercise, two[0], attack.limits)
    assert got.marks == attack.points()
    assert not attack.never or attack.never not in got.read
    assert marks(honest("attention"), two[0], SMALL) == full_marks("attention")


@needs_sandbox
@needs_groups
def test_a_submission_is_in_a_group_of_its_own_which_goes_with_it(two):
    student = two[0].student(Limits(**SMALL))
    group = student.group
    assert student.pid in group.pids()
    outputs = student.run_cell("import os\nfor _ in range(4): os.fork()", 300)
    assert outputs == []
    assert len(group.pids()) > 4
    student.close()
    deadline = time.monotonic() + 60
    while group.pids() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group.pids() == []


@linux
def test_the_clock_counts_computing_and_sleep_and_not_waiting_for_a_core(monkeypatch):
    with started(*SPIN) as spinning, started("sleep", "100") as sleeping:
        busy, idle = (Clock(one.pid, None) for one in (spinning, sleeping))
        end = time.monotonic() + 100
        while (busy.computed < 0.2 or idle.slept < 0.2) and time.monotonic() < end:
            busy.spent(), idle.spent()
            time.sleep(0.05)
        assert busy.computed >= 0.2
        assert idle.slept >= 0.2
        assert idle.computed < 0.2

        spinning.send_signal(signal.SIGSTOP)
        before = busy.slept
        while busy.slept < before + 0.2 and time.monotonic() < end:
            busy.spent()
            time.sleep(0.05)
        assert busy.slept >= before + 0.2

        kept_waiting = Clock(sleeping.pid, None)
        monkeypatch.setattr(tree, "asleep", lambda pids: 0)  # it would, if it were let
        for _ in range(10):
            kept_waiting.spent()
            time.sleep(0.05)
        assert kept_waiting.spent() < 0.2


@linux
def test_a_process_whose_first_thread_has_ended_still_has_its_memory():
    code = (
        "import ctypes, threading, time\n"
        "kept = bytearray(b'x') * (64 << 20)\n"
        "threading.Thread(target=time.sleep, args=(100,)).start()\n"
        "print('ready', flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        statm = Path(f"/proc/{child.pid}/statm")
        end = time.monotonic() + 60
        while statm.read_text().split()[1] != "0" and time.monotonic() < end:
            time.sleep(0.02)
        assert tree.memory_of([child.pid]) > 64 << 20
    finally:
        child.kill()
        child.communicate()


@needs_groups
def test_a_group_tells_what_is_computed_and_the_memory_there_is():
    code = "kept = bytearray(b'x') * (64 << 20)\ninput(); del kept\nwhile True: time.sleep(1)"
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", f"import time; input()\n{code}"], stdin=-1
    )
    group = cgroups.new_group(Limits(), child.pid)
    end = time.monotonic() + 60
    try:
        assert group.current() < 32 << 20
        child.stdin.write(b"\n")
        child.stdin.flush()
        while group.current() < 60 << 20 and time.monotonic() < end:
            time.sleep(0.05)
        assert group.current() >= 60 << 20
        child.stdin.write(b"\n")
        child.stdin.flush()
        while group.current() > 32 << 20 and time.monotonic() < end:
            time.sleep(0.05)
        assert group.current() <= 32 << 20
        assert group.cpu_s() > 0
        assert not group.out_of_memory()
    finally:
        group.remove()
        child.communicate()


@needs_groups
def test_what_a_grader_that_was_killed_left_is_removed_by_the_next():
    code = (
        "import os, subprocess\n"
        "from grading.safe import cgroups\n"
        "from grading.safe.limits import Limits\n"
        "left = subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL)\n"
        "group = cgroups.new_group(Limits(), left.pid)\n"
        "print(left.pid, group._folders['memory'], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True).stdout
    pid, folder = said.split()
    assert Path(folder).is_dir()
    end = time.monotonic() + 60
    while Path(folder).is_dir() and time.monotonic() < end:
        cgroups.usable.cache_clear()
        cgroups.usable()
    assert not Path(folder).is_dir()
    with suppress(ProcessLookupError):
        os.kill(int(pid), 0)
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def test_version_2_is_taken_where_a_folder_above_gives_limits(tmp_path, monkeypatch):
    own = tmp_path / "user.slice" / "session.scope"
    own.mkdir(parents=True)
    for folder in (tmp_path, own.parent, own):
        (folder / "cgroup.procs").touch()
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").write_text("")
    (own.parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    monkeypatch.setattr(places, "_mounts", lambda kind: [(set(), tmp_path, "/")])
    monkeypatch.setattr(places, "_own", lambda *_: own)
    found = places.version_2()
    assert set(found.folders.values()) == {own.parent}
    group = cgroups.Group(found, Limits(memory_mb=3))
    (folder,) = set(group._folders.values())
    assert folder.parent == own.parent
    assert (folder / "memory.max").read_text() == str(3 << 20)
    assert (folder / "pids.max").read_text() == "16"


def test_no_submission_waits_longer_than_ten_times_its_time():
    assert on_the_wall(30) == 300
    assert on_the_wall(1) == 60

"""A judge meets strangers' values: what it can reach itself, and what its grader believes of it."""

import contextlib
import json
import os
import socket
from types import SimpleNamespace

import pytest

from gqa_lib.course import places
from grading.limited import sandbox
from grading.limited.fork_server import Ended
from grading.safe import pool
from grading.safe.limits import Limits
from grading.safe.verdicts import checked_verdict
from grading.student.wire import Channel, Garbled

needs_sandbox = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
REACHES_OUT = """
import json, os, socket
def came_of(what):
    try:
        return str(what())
    except Exception as error:
        return type(error).__name__
print(json.dumps([came_of(one) for one in (
    lambda: open({secret!r}).read(),
    lambda: os.listdir({planted!r}),
    lambda: os.listdir({home!r}),
    lambda: socket.create_connection(("127.0.0.1", {port}), 5),
    lambda: open("/opt/gqa/grading/x", "w"),
    lambda: os.kill({grader}, 0),
    lambda: __import__("ctypes").CDLL(None).unshare(0x10000000),
    lambda: bool(__import__("grading.quiz.bank").quiz.bank.load_bank()),
)]))
"""


@pytest.fixture(scope="module")
def processes():
    """Warm processes."""
    with contextlib.closing(pool.GradingProcesses()) as made:
        yield made


@contextlib.contextmanager
def a_judge(processes):
    """The line to a judge whose student never answers."""
    student = processes.student(Limits())
    with contextlib.closing(student), contextlib.closing(processes.judge(student)) as made:
        yield made


@pytest.fixture
def judge(processes):
    with a_judge(processes) as made:
        yield made


@pytest.fixture
def another(processes):
    with a_judge(processes) as made:
        yield made


@needs_sandbox
def test_a_judge_reaches_nothing_but_its_lines_and_the_bank(judge, tmp_path):
    secret = tmp_path / "gradebook.db"
    secret.write_text("marks")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        source = REACHES_OUT.format(
            secret=str(secret),
            planted="/opt/gqa/grading/authoring",
            home=str(places.home()),
            port=listening.getsockname()[1],
            grader=os.getpid(),
        )
        said = judge.ask({"trusted": source}, 300)
    assert said["error"] is None
    *refused, unshared, bank = json.loads(said["out"])
    assert refused[:3] == ["FileNotFoundError"] * 3
    assert refused[3] == "OSError"  # no such family of addresses
    assert refused[4] == "OSError"  # read-only
    assert refused[5] == "ProcessLookupError"
    assert (unshared, bank) == ("-1", "True")


LOOKS_AROUND = """
import ctypes, json, os, sys
print(json.dumps({
    "space": os.readlink("/proc/self/ns/pid"),
    "processes": [int(one) for one in os.listdir("/proc") if one.isdigit()],
    "left": [one for folder in ("/home/student", "/tmp", "/dev/shm") for one in os.listdir(folder)],
    "at": os.getcwd(),
    "writable": [path for path in sys.path if os.access(path or ".", os.W_OK)],
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
}))
open("/home/student/pandas.py", "w").close()
"""
ENDS_ALL = """
import os
for one in os.listdir("/proc"):
    if one.isdigit() and int(one) != os.getpid():
        os.kill(int(one), 9)
try:
    os.kill(-1, 9)
except ProcessLookupError:
    pass
print("done")
"""


@needs_sandbox
def test_a_judge_finds_no_other_judge_and_leaves_nothing_to_the_next(judge, another):
    told = []
    for one in (judge, another):
        said = one.ask({"trusted": LOOKS_AROUND}, 300)
        assert said["error"] is None
        told.append(json.loads(said["out"]))
    assert told[0]["space"] != told[1]["space"]
    for one in told:
        assert (one["processes"], one["left"], one["at"]) == ([1], [], "/")
        assert (one["writable"], one["dumpable"]) == ([], 0)
    assert judge.ask({"trusted": ENDS_ALL}, 300)["out"] == "done\n"
    assert another.ask({"trusted": "import torch\nprint(1)"}, 300)["out"] == "1\n"


SOUND = {"out": "", "error": None, "printed": "x", "stopped": "", "credit": 1, "about": {"a": 1}}


def test_a_verdict_has_only_what_one_may_hold():
    assert checked_verdict(SOUND | {"points": 99}) == SOUND
    assert checked_verdict({"out": "", "error": ["E", "m"]})["error"] == ["E", "m"]
    assert "credit" not in checked_verdict({"out": "", "error": None, "about": {}})


@pytest.mark.parametrize(
    "odd",
    [
        {"out": 7},
        {"out": "x" * 20_001},
        {"printed": None},
        {"stopped": ["x"]},
        {"error": "failed"},
        {"error": ["a"]},
        {"error": ["a", {}]},
        {"error": []},
        {"credit": "2"},
        {"credit": True},
        {"credit": None},
        {"credit": [1]},
        {"about": ["x"]},
        {"about": "x"},
    ],
)
def test_a_verdict_of_another_form_is_garbled(odd):
    with pytest.raises(Garbled):
        checked_verdict(SOUND | odd)


def test_a_judge_that_says_something_else_has_ended():
    class Server:
        def spawn(self, request, lines):
            self.line = Channel(lines[0].dup())
            return 1

        def kill(self, number):
            self.line.close()

    ours, theirs = socket.socketpair()
    server = Server()
    student = SimpleNamespace(limits=Limits(), judge_line=theirs, judged_by=lambda judge: None)
    judge = pool.JudgeProcess(server, student, None)
    server.line.send({"measure": ["odd"]})
    server.line.send({"out": "", "error": None, "printed": 5})
    with pytest.raises(Ended):
        judge.ask({"test": "x"}, 60)
    judge.close()
    ours.close()
    theirs.close()

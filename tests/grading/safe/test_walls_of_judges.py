"""A judge meets strangers' values: what it can reach itself, and what its grader believes of it."""

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
from grading.safe.memory import BEGIN, END, Growth
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
def judge():
    """The line to a judge whose student never answers."""
    processes = pool.GradingProcesses()
    student = processes.student(Limits())
    made = processes.judge(student)
    yield made
    made.close()
    student.close()
    processes.close()


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


@needs_sandbox
def test_a_judge_asks_for_what_it_cannot_see_itself(judge):
    steps = []

    def measure(step):
        steps.append(step)
        return 0 if step == BEGIN else 4096

    ask = (
        "import inspect\n"
        "from grading.safe.memory import asking, growth_during\n"
        "frames = [frame for frame in inspect.stack() if frame.function == 'serve']\n"
        "with growth_during(asking(frames[0].frame.f_locals['grader'])) as grown:\n"
        "    print(grown())\n"
    )
    judge.measure = measure
    assert judge.ask({"trusted": ask}, 300)["out"] == "4096\n"
    assert steps == [BEGIN, END]


def test_growth_is_what_came_between_a_beginning_and_its_end():
    growth = Growth(os.getpid())
    assert growth(END) == 0
    growth(BEGIN)
    block = bytearray(b"x") * (64 << 20)
    grown = growth(END)
    assert grown == 0 or grown >= len(block) // 2  # where /proc tells nothing it is 0
    assert growth(END) == 0
    assert [Growth(0)(step) for step in (BEGIN, END, {"odd": 1})] == [0, 0, 0]


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
    student = SimpleNamespace(limits=Limits(), pid=0, judge_line=theirs)
    judge = pool.JudgeProcess(server, student, None)
    server.line.send({"measure": ["odd"]})
    server.line.send({"out": "", "error": None, "printed": 5})
    with pytest.raises(Ended):
        judge.ask({"test": "x"}, 60)
    judge.close()
    ours.close()
    theirs.close()

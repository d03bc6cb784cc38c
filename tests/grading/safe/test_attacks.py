"""Hostile and broken submissions: what each comes to, and what must not happen meanwhile.

`attacking` says how they are written. They all meet the same warm
processes, as submissions of a class do.
"""

import ast
import importlib.util
import os
import secrets
import shutil
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from attacking import SMALL, Attack, attacks, full_marks, grade, honest

from gqa_lib.course.places import course_root
from grading.limited import sandbox
from grading.safe import execute
from grading.safe.limits import Limits
from grading.safe.pool import GradingProcesses

pytestmark = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
COLD = (  # one of each kind, in a Jupyter kernel of its own
    "the stub, untouched",
    "torch's comparisons patched",
    "do_execute of the kernel replaced",
    "a last value of a billion points, and of nan",
    "expands K and V in one go, with the watching patched away",
    "tells the grader of its cell a byte a second",
    "forges what its cell put out",
    "text that no file can hold",
    "the tests, in its history and its memory",
    "the network",
    "the kernel's rarer doors",
    "calls that no exercise needs",
    "what is written to its own /proc",
    "what pip keeps in the environment",
    "paths of the instructor's",
    "a core dump of its own",
    "sockets of the kernel's, replaced",
    "memory without end",
    "leaves at once",
    "stops itself",
)
ENDLESS_IF_COLD = ("do_execute of the kernel replaced", "forges what its cell put out")
EVERY = 10  # attacks, then an honest submission


class World:
    """What the attacks aim at: a file, two listening sockets, and a word that only tests have."""

    def __init__(self, folder: Path):
        self.canary = f"CANARY-{secrets.token_hex(8)}"
        self.secret = folder / "gradebook.db"
        self.secret.write_text(self.canary)
        self.abstract = f"gqa-{secrets.token_hex(8)}"
        self.lines = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
        self.lines[1].bind(f"\0{self.abstract}")
        self.lines[1].listen()
        for line in self.lines:
            line.setblocking(False)

    def told(self) -> str:
        """Return the names that every attack finds."""
        port = self.lines[0].getsockname()[1]
        told = {"SECRET_FILE": str(self.secret), "PORT": port, "ABSTRACT": self.abstract}
        told |= {"COURSE": str(course_root()), "HOME_FOLDER": str(Path.home())}
        return "".join(f"{name} = {value!r}\n" for name, value in told.items())

    def called(self) -> bool:
        """Return whether anybody has come to the sockets."""
        for line in self.lines:
            try:
                line.accept()
            except BlockingIOError:
                continue
            return True
        return False


@pytest.fixture(scope="module")
def world():
    folder = Path(tempfile.mkdtemp(prefix="gqa-attacks-"))
    made = World(folder)
    yield made
    for line in made.lines:
        line.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def processes():
    made = GradingProcesses()
    assert honest_marks(made) == full_marks("attention")
    yield made
    made.close()


@pytest.fixture(scope="module")
def cold():
    made = GradingProcesses("cold")
    yield made
    made.close()


def wrong_about(attack: Attack, processes: GradingProcesses, world: World) -> list[str]:
    """Return what went wrong when an attack was graded."""
    got = grade(
        world.told() + attack.source, attack.exercise, processes, attack.limits, world.canary
    )
    got.read.encode()  # as the file of a notebook must be
    found = []
    if got.marks != attack.points():
        found.append(f"it earned {got.marks} points, not {attack.points()}")
    if attack.must not in got.read:
        found.append(f"its student does not read {attack.must!r}")
    if attack.never and attack.never in got.read:
        found.append(f"its student reads {got.read[got.read.index(attack.never) :][:200]!r}")
    if world.canary in got.read:
        found.append("its student reads the tests, or the instructor's file")
    if world.called():
        found.append("it reached a socket of the grader's machine")
    if world.secret.read_text() != world.canary:
        found.append("it changed the instructor's file")
    return [f"{problem}; read: {got.read[:600]}" for problem in found]


def honest_marks(processes: GradingProcesses) -> float:
    return grade(honest("attention"), "attention", processes, Limits(**SMALL)).marks


def running(processes: GradingProcesses) -> set[psutil.Process]:
    """Return the processes that are there between two submissions."""
    tops = [psutil.Process(one.process.pid) for one in (processes._judges, processes._students)]
    return {process for top in tops for process in (top, *top.children(recursive=True))}


@pytest.mark.parametrize(
    ("number", "attack"),
    [pytest.param(n, one, id=f"{one.file}: {one.title}") for n, one in enumerate(attacks())],
)
def test_what_a_hostile_submission_comes_to(number, attack, processes, world):
    before = running(processes)
    assert wrong_about(attack, processes, world) == []
    if attack.then == "honest" or number % EVERY == 0:
        assert honest_marks(processes) == full_marks("attention")
    assert processes.kind == "warm"
    assert psutil.wait_procs(running(processes) - before, timeout=120)[1] == []


def test_the_grader_keeps_nothing_of_what_it_graded(processes):
    honest_marks(processes)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        honest_marks(processes)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("title", COLD)
def test_a_cold_kernel_gives_the_same_marks_and_no_more_away(title, cold, world):
    (attack,) = (one for one in attacks() if one.title == title)
    limits = {"cell_s": "3"} if title in ENDLESS_IF_COLD else {}
    attack = replace(attack, keys=limits | attack.keys | {"must": ""})  # other words
    assert wrong_about(attack, cold, world) == []


def test_an_honest_submission_in_a_cold_kernel_gets_full_marks(cold):
    assert honest_marks(cold) == full_marks("attention")


def test_warm_processes_that_are_gone_are_replaced(processes):
    for server in (processes._students, processes._judges):
        server.process.kill()
        server.process.wait()
    assert honest_marks(processes) == full_marks("attention")
    assert processes.kind == "warm"


def test_without_a_sandbox_only_own_code_is_run(monkeypatch):
    monkeypatch.setattr(sandbox, "sandbox_problem", lambda: "there is none here")
    monkeypatch.setattr(execute, "_processes", {})
    with pytest.raises(sandbox.NoSandbox, match="there is none here"):
        execute.processes_for()
    own = execute.processes_for(own_code=True)
    try:
        assert own.kind == "open"
        assert honest_marks(own) == full_marks("attention")
    finally:
        own.close()


def constants_of(title: str) -> set[str]:
    """Return the texts in the source of an attack."""
    (attack,) = (one for one in attacks() if one.title == title)
    nodes = ast.walk(ast.parse(attack.source))
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def test_what_attacks_look_for_is_there_outside_the_sandbox():
    root, installed = course_root(), "lib/python3*/site-packages/"
    paths = {one for one in constants_of("the library's answer, by its file") if "/" in one}
    paths = {path.removeprefix(installed) for path in paths if not path.startswith("/")}
    assert len(paths) >= 5
    assert [p for p in paths if not ((root / p).exists() or (root / "gqa_lib" / p).exists())] == []
    folders = set(root.joinpath("grading").rglob("*"))
    names = {one.name for one in (*folders, *root.joinpath("gqa_lib").rglob("*.py"))}
    wanted = constants_of("every file that looks like the course's") - {"/", "GOT IN"}
    wanted = {one for one in wanted if not one.startswith("/")}
    assert wanted - names == {"grade.log"}  # among the records
    assert 'file_log("grade")' in (root / "grading" / "classroom" / "round.py").read_text()
    modules = constants_of("the library's answer, imported behind importlib's back")
    modules = {one for one in modules if one.startswith(("gqa_lib", "grading"))}
    assert len(modules) >= 8
    assert [one for one in modules if importlib.util.find_spec(one) is None] == []


def test_there_are_enough_attacks_and_all_have_a_title_of_their_own():
    titles = [attack.title for attack in attacks()]
    assert len(titles) >= 120
    assert len(set(titles)) == len(titles)
    assert set(COLD) <= set(titles)

"""The desk: what JupyterLab opens, for whom, and that nothing left of before can spoil it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyterlab_server.workspaces_handler import WorkspacesManager
from ports import free_port
from traitlets.config.loader import PyFileConfigLoader

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn import progress
from gqa_lib.learn.guide.work import put_lessons
from grading.learner import desk, lab
from grading.learner.desk import NAME, arrange, workspaces

FOUR, FIVE = find_lesson("04"), find_lesson("05")
PATIENCE_S = 300  # with JupyterLab, where two cores may be busy with other things
MAP, TUTOR = "markdownviewer-widget:map.md", "chat:tutor.chat"


@pytest.fixture(autouse=True)
def learner(tmp_path, monkeypatch):
    """A learner with the lessons and, as far as JupyterLab knows, a tutor."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.setattr(desk, "has_tutor", lambda: True)
    put_lessons()
    return tmp_path


def tab(lesson):
    return f"notebook:{lesson.slug}/{lesson.slug}.ipynb"


def saved():
    return WorkspacesManager(str(workspaces())).load(NAME)["data"]


def layout():
    return saved()["layout-restorer:data"]["main"]


def save(main_area, **more):
    data = {"layout-restorer:data": {"main": main_area}, **more}
    raw = json.dumps({"data": data, "metadata": {"id": NAME}})
    return WorkspacesManager(str(workspaces())).save(NAME, raw)


def tabs(*widgets, front=0):
    return {"type": "tab-area", "currentIndex": front, "widgets": list(widgets)}


def split(*children, sizes=None, orientation="horizontal"):
    sizes = sizes or [1] * len(children)
    area = {"type": "split-area", "orientation": orientation, "sizes": sizes}
    return area | {"children": list(children)}


def test_the_first_desk_has_the_lesson_left_the_tutor_right_and_the_map_one_click_away():
    assert arrange().number == "00"
    main_area = layout()
    left, right = main_area["dock"]["children"]
    assert left == tabs(tab(lessons()[0]), MAP)
    assert right == tabs(TUTOR)
    assert main_area["dock"]["orientation"] == "horizontal"
    assert main_area["dock"]["sizes"][0] == pytest.approx(2 / 3, abs=0.02)
    assert main_area["current"] == tab(lessons()[0])
    assert saved()[TUTOR]["data"]["filepath"] == "tutor.chat"
    assert saved()[MAP]["data"] == {"path": "map.md", "factory": "Markdown Preview"}
    assert (
        "not cover" in json.loads((places.work() / "tutor.chat").read_text())["messages"][0]["body"]
    )
    assert "flowchart" in (places.work() / "map.md").read_text()


def test_without_the_tutors_panel_the_lesson_has_the_room(monkeypatch):
    arrange()
    monkeypatch.setattr(desk, "has_tutor", lambda: False)
    arrange()
    assert layout()["dock"] == tabs(tab(lessons()[0]), MAP)
    assert TUTOR not in saved()


def test_a_conversation_is_never_overwritten():
    (places.work() / "tutor.chat").write_text('{"messages": [1]}')
    arrange()
    assert (places.work() / "tutor.chat").read_text() == '{"messages": [1]}'


def test_the_lesson_that_was_open_is_open_again():
    arrange(FOUR)
    assert arrange() == FOUR
    save({"dock": tabs(tab(FOUR), tab(FIVE), front=1), "current": tab(FIVE)})
    assert arrange() == FIVE
    areas = list(desk._areas(layout()["dock"]))
    assert areas[0] == tabs(tab(FIVE), MAP)


def test_notebooks_behind_others_stay_closed_as_each_would_start_a_kernel():
    (places.work() / "notes.py").write_text("")
    behind = [tab(lesson) for lesson in lessons() if lesson not in (FOUR, FIVE)]
    dock = split(tabs(*behind, tab(FOUR), "editor:notes.py", front=len(behind)), tabs(tab(FIVE)))
    save({"dock": dock, "current": tab(FIVE)})
    assert arrange() == FIVE
    areas = list(desk._areas(layout()["dock"]))
    assert tabs(tab(FOUR), "editor:notes.py") in areas, "in sight, so it stays"
    opened = [t for area in areas for t in area["widgets"] if t.startswith("notebook:")]
    assert sorted(opened) == [tab(FOUR), tab(FIVE)]
    assert {t for t in saved() if t.startswith("notebook:")} == {tab(FOUR), tab(FIVE)}


def test_with_the_map_in_front_it_is_the_open_lesson_last_worked_on():
    progress.add(FIVE.slug, "read_kv_shape", "check", 0.0, 1.0)
    save({"dock": tabs(tab(FOUR), tab(FIVE), MAP, front=2), "current": MAP})
    assert arrange() == FIVE


def test_without_a_desk_it_is_the_lesson_last_worked_on():
    progress.add(FOUR.slug, "expand_kv", "check", 0.0, 1.0)
    assert arrange() == FOUR


def test_a_lesson_that_is_asked_for_comes_to_the_front_of_the_others():
    arrange(FOUR)
    assert arrange(FIVE) == FIVE
    left, _ = layout()["dock"]["children"]
    assert left == tabs(MAP, tab(FIVE), front=1)
    assert layout()["current"] == tab(FIVE)


def test_how_the_learner_arranged_the_desk_is_kept():
    (places.work() / "notes.py").write_text("")
    mine = split(
        tabs(tab(FOUR), MAP, front=0),
        split(tabs("editor:notes.py"), tabs(TUTOR), sizes=[0.3, 0.7], orientation="vertical"),
        sizes=[0.4, 0.6],
    )
    save({"dock": mine, "current": tab(FOUR)})
    arrange()
    assert layout()["dock"] == mine


def test_what_is_gone_is_left_out():
    gone = split(tabs("notebook:gone.ipynb", tab(FOUR), front=1), tabs("terminal:1"), tabs(TUTOR))
    save({"dock": gone, "current": "notebook:gone.ipynb"})
    assert arrange() == FOUR
    assert layout()["dock"] == split(tabs(tab(FOUR), MAP), tabs(TUTOR), sizes=[1.0, 1.0])


BROKEN = [
    {},
    {"dock": None, "current": None},
    {"dock": {"type": "tab-area"}},
    {"dock": split(tabs(tab(FOUR)), sizes=[1, 2])},
    {"dock": split(tabs(tab(FOUR)), tabs(MAP), orientation="sideways")},
    {"dock": split(tabs(tab(FOUR)), tabs(MAP), sizes=["wide", 2])},
    {"dock": tabs(3, None)},
    {"dock": tabs(tab(FOUR), front=7)},
    {"dock": tabs(tab(FOUR), front="x")},
    {"dock": tabs()},
    {"dock": split()},
    {"dock": tabs(TUTOR)},
    {"dock": tabs("notebook:../../../etc/passwd")},
    {"dock": {"type": "tab-area", "widgets": "notebook"}},
    {"dock": [1, 2]},
    {"dock": json.loads('{"type":"split-area","sizes":[1],"children":[' * 150 + "]}" * 150)},
]


@pytest.mark.parametrize("main_area", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_desk_never_hides_the_lesson(main_area):
    save(main_area)
    assert arrange() in (FOUR, lessons()[0])
    areas = list(desk._areas(layout()["dock"]))
    opened = [widget for area in areas for widget in area["widgets"]]
    assert sorted(opened) == sorted(set(opened))
    assert {layout()["current"], MAP, TUTOR} <= set(opened)
    assert all(0 <= area["currentIndex"] < len(area["widgets"]) for area in areas)
    assert all(widget in saved() for widget in opened)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"data": {}}'])
def test_a_damaged_file_of_the_desk_is_made_anew(content):
    arrange(FOUR)
    (file,) = workspaces().iterdir()
    file.write_bytes(content)
    assert arrange().number == "00"
    assert layout()["current"] == tab(lessons()[0])


def test_a_students_copy_has_no_instructors_desk(monkeypatch, capsys):
    monkeypatch.setattr(lab, "is_students_copy", lambda: True)
    assert main(["lab", "--role", "instructor", "--no-browser"]) == 1
    assert "not in a students' copy" in capsys.readouterr().err


def test_commands_are_found_whatever_the_search_path(tmp_path):
    here = str(Path(sys.executable).parent)
    assert lab.with_commands("/usr/bin").split(os.pathsep) == [here, "/usr/bin"]
    assert lab.with_commands(f"/bin{os.pathsep}{here}") == f"/bin{os.pathsep}{here}"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no login shells")
def test_terminals_keep_the_servers_search_path(monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/zsh")
    folder = Path(lab.__file__).parents[1] / "jupyter" / "student"
    config = PyFileConfigLoader("jupyter_lab_config.py", path=str(folder)).load_config()
    assert config.ServerApp.terminado_settings == {"shell_command": ["/bin/zsh"]}, "no login shell"
    (extensions,) = config.LabApp.extra_labextensions_path
    assert (Path(extensions) / "gqa-desk" / "package.json").exists()


def test_a_kernel_that_has_only_begun_is_listed():
    folder = Path(lab.__file__).parents[1] / "jupyter" / "instructor"
    config = PyFileConfigLoader("jupyter_lab_config.py", path=str(folder)).load_config()
    kernels = AsyncMappingKernelManager(config=config)
    kernels._kernels["new"] = kernels.kernel_manager_factory(kernel_name="python3")
    assert [kernel["id"] for kernel in kernels.list_kernels()] == ["new"]


class Running:
    """A JupyterLab that `gqa lab` runs, asked as a browser would."""

    def __init__(self, *arguments, terminal=False):
        theirs = os.openpty()[1] if terminal else None
        lab = ["-m", "gqa_lib.cli", "lab", "--no-browser", "--port", str(free_port())]
        self.process = subprocess.Popen(
            [sys.executable, *lab, *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"GQA_EXCHANGE": str(places.home() / "no-release")},
        )
        for line in self.process.stdout:
            if found := re.search(r"(http://\S+?)(/lab\S*)\?token=(\w+)", line):
                self.root, self.page, self.token = found.groups()
                return
        raise AssertionError("it printed no address")

    def post(self, page, content):
        return self.get(page, json.dumps(content).encode())

    def get(self, page, content=None):
        wanted = urllib.request.Request(self.root + page, data=content)
        wanted.add_header("Authorization", f"token {self.token}")
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            try:
                with urllib.request.urlopen(wanted, timeout=PATIENCE_S) as answer:
                    return answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:  # nobody listens yet
                assert self.process.poll() is None, self.process.stdout.read()
                time.sleep(0.1)
        raise AssertionError(f"{page} was not served")

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def run_lab():
    running = []

    def start(*arguments, terminal=False):
        running.append(Running(*arguments, terminal=terminal))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def config_of(page):
    return json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.S)[1])


def switched_off(config):
    return set(config["disabledExtensions"])


TOOLS = {f"@jupyter/nbgrader:{name}" for name in ("create-assignment", "formgrader", "course-list")}


def test_a_student_gets_the_desk_and_none_of_the_instructors_tools(run_lab):
    running = run_lab("04")
    assert running.page == "/lab/workspaces/desk"
    config = config_of(running.get(running.page))
    assert switched_off(config) >= TOOLS
    assert running.get("/formgrader") == 404
    desk_there = json.loads(running.get("/lab/api/workspaces/desk"))["data"]
    assert desk_there["layout-restorer:data"]["main"]["current"] == tab(FOUR)
    chosen = running.get("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    assert json.loads(chosen)["schema"]["properties"]["fetchNews"]["default"] == "false"
    assert running.get(f"/api/contents/{FOUR.slug}/{FOUR.slug}.ipynb?content=0") != 404
    (ours,) = [one for one in config["federated_extensions"] if one["name"] == "gqa-desk"]
    assert "_JUPYTERLAB" in running.get(f"/lab/extensions/gqa-desk/{ours['load']}")


def test_an_instructor_gets_formgrader_on_the_courses_own_tree(run_lab):
    running = run_lab("--role", "instructor")
    assert switched_off(config_of(running.get(running.page))).isdisjoint(TOOLS)
    listed = json.loads(running.get("/formgrader/api/assignments"))
    assert {one["name"] for one in listed} == {lesson.slug for lesson in lessons()}
    assert {one["source_path"] for one in listed} == {f"source/{le.slug}" for le in lessons()}
    source = json.loads(running.get(f"/api/contents/source/{FOUR.slug}/{FOUR.slug}.ipynb"))
    assert "BEGIN SOLUTION" in json.dumps(source)


def ended(pid):
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_one_ctrl_c_stops_it_and_what_it_started(run_lab):
    """At a terminal JupyterLab would ask whether it is meant."""
    running = run_lab("04", terminal=True)
    running.get("/api")
    kernel = json.loads(running.post("/api/kernels", {"name": "python3"}))
    assert kernel["id"]
    below = [one.pid for one in psutil.Process(running.process.pid).children(recursive=True)]
    assert below
    running.process.send_signal(signal.SIGINT)
    said, _ = running.process.communicate(timeout=PATIENCE_S)
    assert "(y/[n])" not in said
    assert running.process.returncode == 0
    assert all(map(ended, below))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system sends it on Linux")
def test_the_release_in_the_background_ends_with_it(tmp_path):
    told = tmp_path / "told"
    code = (
        "import pathlib, subprocess, time\n"
        "from grading.learner import lab\n"
        "lab.RELEASE_AFTER_S = 4321\n"
        "lab.make_local_exchange = lambda: None\n"
        "lab._is_released = lambda lesson: False\n"
        "lab._release_in_the_background()\n"
        "import psutil; (child,) = psutil.Process().children()\n"
        f"pathlib.Path({str(told)!r}).write_text(str(child.pid))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert ended(int(told.read_text()))


@pytest.mark.parametrize("port", ["99999999", "0", "-1", "65536", "http"])
def test_a_port_that_cannot_be_is_refused(port, capsys):
    with pytest.raises(SystemExit) as refused:
        main(["lab", "--no-browser", "--port", port])
    assert refused.value.code == 2
    assert "is not a whole number from 1 to 65,535" in capsys.readouterr().err

"""Opens JupyterLab on the course, for a learner."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from gqa_lib.learn import places
from gqa_lib.learn.manifest import Lesson
from gqa_lib.learn.tutor.chat import put_chat
from gqa_lib.learn.work import put_lessons

from .settings import class_exchange, is_students_copy, nbgrader_config


def open_lab(lesson: Lesson, *, browser: bool | None = None, port: int | None = None) -> None:
    """Replace this process by JupyterLab on a lesson; its folder is the learner's own.

    Args:
        lesson: the lesson to show.
        browser: whether to open a browser; where there is a screen unless given.
        port: the port on 127.0.0.1; the first free one from 8888 unless given.
    """
    for line in put_lessons():
        print(line)
    put_chat()
    if class_exchange() is None and not is_students_copy():
        _release_in_the_background()
    port = port or _free_port()
    token = secrets.token_hex(16)
    page = f"/lab/tree/{lesson.slug}/{lesson.slug}.ipynb"
    browser = _has_screen() if browser is None else browser
    print(f"The course is at http://127.0.0.1:{port}{page}?token={token}")
    print("Ctrl-C stops it; your notebooks are in", places.work(), flush=True)
    environment = os.environ | {
        "JUPYTER_CONFIG_PATH": str(Path(__file__).parent / "jupyter" / "student"),
        "JUPYTER_TOKEN": token,
    }
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={places.work()}",
        f"--LabApp.default_url={page}",
        f"--ServerApp.open_browser={browser}",
        "--log-level=ERROR",
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]
    os.chdir(places.work())  # nbgrader's Assignment List works in the server's folder
    os.execve(sys.executable, command, environment)


def _release_in_the_background() -> None:
    """Let the Assignment List find the lessons, without making the learner wait for it."""
    nbgrader_config()  # makes the local exchange
    release = "from grading.submit import release_all; release_all()"
    nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.Popen([sys.executable, "-c", release], start_new_session=True, **nowhere)


def _free_port(first: int = 8888) -> int:
    for port in range(first, first + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise OSError(f"no free port between {first} and {first + 99} on 127.0.0.1")


def _has_screen() -> bool:
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True

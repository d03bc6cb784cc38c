"""Opens JupyterLab on the course, for a learner or an instructor."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.manifest import Lesson, class_exchange, is_students_copy, lessons
from gqa_lib.learn.guide.work import put_lessons
from gqa_lib.learn.progress.sync import sync_in_passing
from grading.settings import make_local_exchange, nbgrader_config, released_copy, source_directory

from .desk import INSTRUCTORS, NAME, arrange, arrange_instructors, workspaces

JUPYTER = Path(__file__).parents[1] / "jupyter"  # a folder of settings for each role
_ALWAYS = (
    "--ServerApp.port_retries=0",
    "--ServerApp.answer_yes=True",  # one Ctrl-C stops it, without a question
    "--log-level=ERROR",
)
RELEASE_AFTER_S = 10  # when JupyterLab has started, which needs the cores itself
LOOPBACK = "127.0.0.1"
SHORTEST_TOKEN = 12  # characters: what others may try must not be guessed


def open_lab(
    lesson: Lesson | None = None,
    *,
    role: str = "student",
    browser: bool | None = None,
    port: int | None = None,
    ip: str = LOOPBACK,
    hosts: Sequence[str] = (),
) -> None:
    """Run JupyterLab in this process until it is stopped.

    Args:
        lesson: the lesson to show; where the learner was unless given.
        role: "student" has the learner's desk, on their own notebooks; "instructor" has nbgrader's
            tools, on the course's own tree.
        browser: whether to open a browser; where there is a screen unless given.
        port: the port; unless given the first free one from 8888, for an instructor any free one.
        ip: the address to listen on; another than 127.0.0.1 is for containers.
        hosts: names by which browsers reach the server, in addition to this machine's own.

    Raises:
        ValueError: the token that was chosen is too short, or an instructor's server would be
            reached from elsewhere.
    """
    chosen = chosen_token()
    token = chosen or secrets.token_hex(16)
    if role == "student":
        page, root = students_desk(lesson)
        port, base, guard = port or _free_port(), "/", _reached_at(ip, hosts)
    else:
        check_reached_here(ip, hosts)
        page, root = instructors_desk(lesson)
        port, base = port or _any_port(), f"/{secrets.token_hex(16)}/"  # no other page knows it
        guard = [f"--OwnPages.port={port}"]
    shown = ", with the token in GQA_TOKEN" if chosen else f"?token={token}"
    print(f"The course is at {_address(port, hosts)}{base[:-1]}{page}{shown}")
    print("Ctrl-C stops it; your notebooks are in", root, flush=True)
    os.environ |= {
        "JUPYTER_CONFIG_PATH": str(JUPYTER / role),
        "JUPYTER_TOKEN": token,
        "JUPYTERLAB_WORKSPACES_DIR": str(workspaces()),
        "PATH": with_commands(os.environ.get("PATH", "")),
    }
    os.chdir(root)  # nbgrader's Assignment List works in the server's folder
    where = {
        "ServerApp.port": port,
        "ServerApp.base_url": base,
        "ServerApp.root_dir": root,
        "LabApp.default_url": page,
        "ServerApp.open_browser": _has_screen() if browser is None else browser,
    }
    _serve([*(f"--{name}={value}" for name, value in where.items()), *guard])


def _serve(arguments: Sequence[str]) -> None:
    """Run JupyterLab with some options until it is stopped."""
    from jupyterlab.labapp import main

    try:
        main([*arguments, *_ALWAYS, *(["--allow-root"] if os.geteuid() == 0 else [])])
    finally:
        sync_in_passing()


def check_reached_here(ip: str, hosts: Sequence[str]) -> None:
    """Make sure that a server answers on this machine alone.

    Args:
        ip: the address it would listen on.
        hosts: names by which browsers would reach it.

    Raises:
        ValueError: it would be reached from elsewhere.
    """
    if hosts or ip != LOOPBACK:
        raise ValueError(
            "the instructor's tools answer on this machine alone: leave --ip and --host out, and "
            "reach it from elsewhere through an SSH tunnel."
        )


def chosen_token() -> str:
    """Return the token that `GQA_TOKEN` gives, or "" without one.

    Raises:
        ValueError: it is too short.
    """
    chosen = os.environ.get("GQA_TOKEN", "")
    if chosen and len(chosen) < SHORTEST_TOKEN:
        raise ValueError(
            f"GQA_TOKEN has {len(chosen)} characters: whoever guesses it can run programs as you. "
            f"Choose at least {SHORTEST_TOKEN}, or unset it to get a new one each time."
        )
    return chosen


def with_commands(path: str) -> str:
    """Return a search path that finds `gqa` in JupyterLab's terminals, whoever set it up."""
    here = str(Path(sys.executable).parent)
    return path if here in path.split(os.pathsep) else f"{here}{os.pathsep}{path}"


def students_desk(lesson: Lesson | None = None) -> tuple[str, Path]:
    """Get the learner's desk ready; return the page to open and the server's folder."""
    for line in [*put_lessons(), sync_in_passing()]:
        if line:
            print(line)
    if class_exchange() is None and not is_students_copy():
        _release_in_the_background()
    lesson = arrange(lesson)
    print(f"Open: lesson {lesson.name}")
    return f"/lab/workspaces/{NAME}", places.work()


def instructors_desk(lesson: Lesson | None = None) -> tuple[str, Path]:
    """Get the course's own tree ready; return the page to open and the server's folder.

    Formgrader works in a course inside the server's folder, and its links reach the sources
    of lessons only through it.
    """
    if is_students_copy():
        raise ValueError(
            "the instructor's tools are not in a students' copy of the course: `gqa lab` opens "
            "your own desk."
        )
    from grading.authoring.source import write_instructor_notebook

    for one in lessons():
        write_instructor_notebook(one, source_directory())
    root = Path(nbgrader_config().CourseDirectory.root)
    sources = root / "source"
    if not sources.exists():
        sources.unlink(missing_ok=True)
        sources.symlink_to(source_directory(), target_is_directory=True)
    arrange_instructors()
    page = f"/tree/source/{lesson.slug}/{lesson.slug}.ipynb" if lesson else ""
    return f"/lab/workspaces/{INSTRUCTORS}{page}", root


def _release_in_the_background() -> None:
    """Let the Assignment List find the lessons, without making the learner wait for it."""
    make_local_exchange()
    if all(_is_released(lesson) for lesson in lessons()):
        return
    release = (
        f"from gqa_lib.processes import end_with; end_with({os.getpid()})\n"
        f"import time; time.sleep({RELEASE_AFTER_S})\n"
        "from grading.learner.submit import release_all; release_all()"
    )
    subprocess.Popen(
        [sys.executable, "-c", release],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _is_released(lesson: Lesson) -> bool:
    copy = released_copy(lesson)
    return copy.exists() and copy.read_bytes() == lesson.pristine.read_bytes()


def _reached_at(ip: str, hosts: Sequence[str]) -> list[str]:
    """Return the options of a server that is reached by other names than this machine's."""
    if not hosts:
        return [f"--ServerApp.ip={ip}"]
    named = [f"--OwnPages.hosts={host}" for host in hosts]
    # A link to the server leads from elsewhere, and a browser then leaves out a strict cookie.
    return [f"--ServerApp.ip={ip}", *named, "--IdentityProvider.cookie_options=samesite=Lax"]


def _address(port: int, hosts: Sequence[str]) -> str:
    """Return the address to open: a named host's is that of whatever stands in front of it."""
    return f"https://{hosts[0]}" if hosts else f"http://{LOOPBACK}:{port}"


def _free_port(first: int = 8888) -> int:
    for port in range(first, first + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise OSError(f"no free port between {first} and {first + 99} on 127.0.0.1")


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _has_screen() -> bool:
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True

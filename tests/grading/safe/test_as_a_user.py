"""The sandbox of a grader who is no root: attacks on its walls, once more, as nobody."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gqa_lib.course.places import course_root
from grading.limited import sandbox

pytestmark = [
    pytest.mark.skipif(
        bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="it is run as an ordinary user as it is"),
]
WARM = "hostile and (doors or rights or mounts or namespaces)"
COLD = "cold and (honest or sockets or instructor or proc)"


def as_nobody(command: list[str]) -> list[str]:
    """Return a command that runs another as nobody, who then also reaches this Python.

    What lies in root's own folder is out of others' reach: an empty one takes its place, in a view
    of the files that only this command has.
    """
    home = Path("/root")
    needed = {Path(sys.prefix), Path(sys.base_prefix), course_root()}
    below = [one.resolve() for one in needed if one.resolve().is_relative_to(home)]
    above = {part for one in below for part in one.parents if part.is_relative_to(home)} - {home}
    return [
        *("bwrap", "--dev-bind", "/", "/", "--tmpfs", str(home)),
        *(f for one in sorted(above) for f in ("--perms", "0755", "--dir", str(one))),
        *(f for one in map(str, below) for f in ("--ro-bind", one, one)),
        *("--die-with-parent", "--"),
        *("setpriv", f"--reuid={sandbox.NOBODY}", f"--regid={sandbox.NOBODY}", "--clear-groups"),
        *command,
    ]


@pytest.fixture
def own():
    """Return a folder of nobody's."""
    folder = Path(tempfile.mkdtemp(prefix="gqa-nobody-"))
    (folder / "home").mkdir()
    for one in (folder, folder / "home"):
        os.chown(one, int(sandbox.NOBODY), int(sandbox.NOBODY))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("wanted", [WARM, COLD], ids=["warm", "cold"])
def test_the_walls_hold_for_an_ordinary_user_as_well(wanted, own):
    told = {"HOME": f"{own}/home", "TMPDIR": str(own), "PYTHONDONTWRITEBYTECODE": "1"}
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/grading/safe/test_attacks.py"]
    command = [sys.executable, *tests, f"--basetemp={own}/pytest", "-k", wanted]
    roots = ("PYTEST", "GQA_", "IPYTHON", "JUPYTER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(roots)}
    done = subprocess.run(
        as_nobody(command), cwd=course_root(), env=kept | told, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 4
    assert "skipped" not in done.stdout

"""The sandbox's walls: the bubblewrap command around everything a student's code runs in.

Inside there is what `shown` lists, empty scratch folders, and no network; not the course, its
tests, other submissions, or anything of the instructor's.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

from ..student.isolate import HOME, SCRATCH
from .shown import Binds, binds, environment, hidden, links, python

NOBODY = "65534"
_STAGE = "/mnt"  # of a root user's own view of the files, see `_as_nobody`


class NoSandbox(RuntimeError):
    """There is no sandbox here; the message says what to do."""


def check_sandbox() -> None:
    """Make sure that a sandbox works here.

    Raises:
        NoSandbox: bubblewrap is missing or not allowed; the message says what to do.
    """
    if problem := sandbox_problem():
        raise NoSandbox(problem)


@cache
def sandbox_problem() -> str:
    """Return why no sandbox works here and what to do, or "" where one does."""
    refusing = "Grading other people's code without a sandbox is refused."
    if not sys.platform.startswith("linux"):
        return f"The sandbox needs Linux. {refusing}"
    if shutil.which("bwrap") is None:
        return (
            "bubblewrap (bwrap) is not installed. Install it (Debian, Ubuntu: sudo apt install "
            f"bubblewrap; Fedora: sudo dnf install bubblewrap) and grade again. {refusing}"
        )
    tried = subprocess.run(
        command([python(), "-c", "import gqa_lib.configs"]), capture_output=True, text=True
    )
    if tried.returncode == 0:
        return ""
    last = tried.stderr.strip().splitlines()[-1:] or [f"exit code {tried.returncode}"]
    return (
        f"bubblewrap does not work here: {last[0]}. It needs unprivileged user namespaces "
        "(sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0; on Ubuntu "
        "24.04 an AppArmor profile for bwrap; in a container the right to make them). "
        f"{refusing}"
    )


def command(
    inside: list[str],
    *,
    nested: bool = False,
    bwrap: Sequence[str] = (),
    writable: Sequence[tuple[str, str]] = (),
) -> list[str]:
    """Return the command that runs a command inside the sandbox.

    Args:
        inside: the command, with paths as they are there.
        bwrap: more options of bubblewrap.
        nested: let it make namespaces of its own, as the process that forks for everyone does.
        writable: (folder here, folder there) of what it may write to besides its scratch folders.
    """
    shown = [*binds(), *writable]
    prefix: list[str] = []
    if os.geteuid() == 0:
        prefix, shown = _as_nobody(shown)
    read_only = len(shown) - len(writable)
    folders, files = hidden()
    return [
        *prefix,
        *("bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"),
        *([] if nested else ["--disable-userns"]),
        *("--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
        *_environment(),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--dev-bind", "/dev/null", "/dev/zero"),  # shared and let go of, it is nobody's memory
        *(f for at in SCRATCH for f in _scratch(at)),
        *("--remount-ro", "/dev"),
        *(f for says, at in links() for f in ("--symlink", says, at)),
        *(f for here, there in shown[:read_only] for f in ("--ro-bind", here, there)),
        *(f for path in folders for f in ("--tmpfs", path, "--remount-ro", path)),
        *(f for path in files for f in ("--ro-bind", "/dev/null", path)),
        *(f for here, there in shown[read_only:] for f in ("--bind", here, there)),
        *bwrap,
        *([] if nested else ["--remount-ro", "/proc"]),  # what it forks has a /proc of its own
        *("--remount-ro", "/", "--chdir", HOME, "--"),
        *inside,
    ]


def _scratch(folder: str) -> tuple[str, ...]:
    return "--size", str(64 << 20), "--tmpfs", folder


def _environment() -> list[str]:
    values = environment() | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "HOME": HOME,
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "IPYTHONDIR": f"{HOME}/.ipython",
        "CUDA_VISIBLE_DEVICES": "",
    }
    return ["--clearenv", *(f for pair in values.items() for f in ("--setenv", *pair))]


def _as_nobody(shown: Binds) -> tuple[list[str], Binds]:
    """Return a prefix that gives root's rights away, and the binds as nobody can reach them.

    A Python below a home folder is out of an ordinary user's reach: root first shows it elsewhere,
    in a view of the files that only the sandbox has.
    """
    staged = [(f"{_STAGE}/{place}", target) for place, (_, target) in enumerate(shown)]
    pairs = zip(shown, staged, strict=True)
    prefix = [
        *("bwrap", "--dev-bind", "/", "/", "--tmpfs", _STAGE),
        *(f for (here, _), (there, _) in pairs for f in ("--bind", here, there)),
        *("--die-with-parent", "--"),
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
    ]
    return prefix, staged

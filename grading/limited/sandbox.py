"""The sandbox's walls: the bubblewrap command around everything strangers' work runs or is read in.

Inside there is the system read-only, this Python, empty scratch folders, and no network; nothing of
the instructor's home, records and exchange. Of our files there is what one of three needs: a
student's code the few that hold no answer, a reader of submissions the library and `grading`, and a
judge the bank of questions besides, with the answers: it may read them and tell its grader alone.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.answers import IN_THE_SANDBOX

from ..student.isolate import HOME, SCRATCH
from .verdict import NotTheirs

ROOT = "/opt/gqa"  # where the sandbox has the environment and the few files of ours
NOBODY = "65534"
_ENVIRONMENT = f"{ROOT}/environment"
_NOT_OF_A_GRADER = ("__pycache__", "authoring")  # the latter has answers to every exercise
_BANK = ("quiz", "facts")  # of the quizzes, below `solutions/`
_STAGE = "/mnt"  # of a root user's own view of the files, see `_as_nobody`

Shown = list[tuple[Path, str]]  # (path here, path inside)


class NoSandbox(NotTheirs):
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
    ours: Shown | None = None,
) -> list[str]:
    """Return the command that runs a command inside the sandbox.

    Args:
        inside: the command, with paths as they are there.
        bwrap: more options of bubblewrap.
        nested: let it make namespaces of its own, as the process that forks for everyone does.
        ours: which of our files are there: `for_students()` unless given.
    """
    binds = _binds(for_students() if ours is None else ours)
    prefix: list[str] = []
    if os.geteuid() == 0:
        prefix, binds = _as_nobody(binds)
    return [
        *prefix,
        *("bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"),
        *([] if nested else ["--disable-userns"]),
        *("--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
        *_environment(),
        *("--ro-bind", "/usr", "/usr"),
        *(f for name in ("bin", "lib", "lib64") for f in ("--symlink", f"usr/{name}", f"/{name}")),
        *("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
        *("--ro-bind-try", "/etc/fonts", "/etc/fonts"),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--dev-bind", "/dev/null", "/dev/zero"),  # shared and let go of, it is nobody's memory
        *(f for at in SCRATCH for f in _scratch(at)),
        *("--remount-ro", "/dev"),
        *(f for source, target in binds for f in ("--ro-bind", source, target)),
        *(f for path in _hidden() for f in ("--tmpfs", path, "--remount-ro", path)),
        *bwrap,
        *("--remount-ro", "/", "--chdir", HOME, "--"),
        *inside,
    ]


def _scratch(folder: str) -> tuple[str, ...]:
    return "--size", str(64 << 20), "--tmpfs", folder


def _environment() -> list[str]:
    values = {
        "PATH": f"{Path(python()).parent}:/usr/bin:/bin",
        "PYTHONPATH": ROOT,
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


def python() -> str:
    """Return this Python's path inside the sandbox.

    A virtual environment is shown below `ROOT`: where it is here, a scratch folder may cover it.
    """
    path = Path(sys.executable)
    own = _virtual() and path.is_relative_to(sys.prefix)
    return f"{_ENVIRONMENT}/{path.relative_to(sys.prefix)}" if own else str(path)


def _virtual() -> bool:
    return sys.prefix != sys.base_prefix


def for_students() -> Shown:
    """Return which of our files a student's code finds."""
    library, grading = places.package_root(), _grading()
    return [
        *((library / path, f"{ROOT}/gqa_lib/{path}") for path in _present(library)),
        (grading / "student", f"{ROOT}/grading/student"),
        (grading / "student" / "__init__.py", f"{ROOT}/grading/__init__.py"),
    ]


def for_readers() -> Shown:
    """Return which of our files the processes find that parse and format submissions."""
    parts = [path for path in sorted(_grading().iterdir()) if path.name not in _NOT_OF_A_GRADER]
    shown = [(path, f"{ROOT}/grading/{path.name}") for path in parts]
    return [(places.package_root(), f"{ROOT}/gqa_lib"), *shown]


def for_judges() -> Shown:
    """Return which of our files the processes find that run tests on students' values."""
    root = places.course_root()
    needed = [root / "course.toml", *(root / "solutions" / f"{name}.toml" for name in _BANK)]
    inside = root.is_relative_to(places.package_root())  # then the library's folder has them
    more = [] if inside else [(path, f"{ROOT}/{path.relative_to(root)}") for path in needed]
    return [*for_readers(), *((path, there) for path, there in more if path.exists())]


def _grading() -> Path:
    return Path(__file__).parents[1]


def _binds(ours: Shown) -> list[tuple[str, str]]:
    """Return (path here, path inside) of what is shown read-only."""
    bases = {Path(sys.base_prefix).resolve(), Path(sys.executable).resolve().parents[1]}
    needed = [(p, p) for p in map(str, sorted(bases)) if not p.startswith("/usr")]
    if _virtual():
        needed.append((sys.prefix, _ENVIRONMENT))
    return [*needed, *((str(here), there) for here, there in ours)]


def _present(library: Path) -> list[str]:
    """Return the files and folders of the library that are shown, by their paths in it."""
    paths = []
    for name in IN_THE_SANDBOX:
        path = name.removeprefix("gqa_lib").lstrip(".").replace(".", "/")
        if name.endswith(".*"):
            paths.append(path.removesuffix("/*"))
        elif (library / path).is_dir():
            paths += [str(Path(path, one)) for one in ("__init__.py", "__init__.pyi")]
        else:
            paths.append(f"{path}.py")
    return [path for path in (*paths, "configs/models.csv") if (library / path).exists()]


def _hidden() -> list[str]:
    """Return installed copies of ours, which the sandbox must not show."""
    found = []
    for name in ("gqa_lib", "grading"):
        folders = getattr(find_spec(name), "submodule_search_locations", None) or []
        within = [Path(one) for one in folders if Path(one).is_relative_to(sys.prefix)]
        here = Path(_ENVIRONMENT if _virtual() else sys.prefix)
        found += [str(here / one.relative_to(sys.prefix)) for one in within]
    return [path for path in found if not path.startswith(str(places.course_root()))]


def _as_nobody(binds: list[tuple[str, str]]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return a prefix that gives root's rights away, and the binds as nobody can reach them.

    A Python below a home folder is out of an ordinary user's reach: root first shows it elsewhere,
    in a view of the files that only the sandbox has.
    """
    staged = [(f"{_STAGE}/{place}", target) for place, (_, target) in enumerate(binds)]
    shown = zip(binds, staged, strict=True)
    prefix = [
        *("bwrap", "--dev-bind", "/", "/", "--tmpfs", _STAGE),
        *(f for (here, _), (there, _) in shown for f in ("--ro-bind", here, there)),
        *("--die-with-parent", "--"),
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
    ]
    return prefix, staged

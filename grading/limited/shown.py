"""What the sandbox is shown of this machine: a Python, its packages, shared libraries, a few files.

A Python and its packages have a place below `ROOT` there, whatever their paths are here.
"""

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.manifest import class_exchange

from .ours import ROOT, Shown

_BASE, _PACKAGES = f"{ROOT}/python", f"{ROOT}/packages"
PROGRAMS = ("cat", "echo", "env", "head", "ls", "nproc", "sh", "sleep", "tail", "touch", "true")
_PROGRAM_FOLDERS = "/usr/bin:/bin"
_FOR_PLOTS_AND_TIMES = ("/usr/share/fonts", "/usr/share/zoneinfo", "/usr/lib/locale/C.utf8")
_OURS = ("gqa_lib", "grading")

Binds = list[tuple[str, str]]  # (path here, path there)


def python() -> str:
    """Return this Python's path inside the sandbox."""
    return f"{_BASE}/bin/{_executable().name}"


def environment() -> dict[str, str]:
    """Return the variables by which the Python there finds its packages and shared libraries."""
    return {
        "PATH": f"{_BASE}/bin:/usr/bin",
        "PYTHONPATH": ROOT,
        "PACKAGES": ":".join(there for _, there in _packages()),  # for student/packages.py
        "LD_LIBRARY_PATH": f"{_BASE}/lib",
    }


def binds(ours: Shown) -> Binds:
    """Return what is shown read-only, in an order in which nothing covers what comes before.

    Args:
        ours: which of our files.
    """
    files = [(str(here), there) for here, there in ours]
    found = [*_libraries(), *_programs(), *_base(), *_packages(), *files]
    found.sort(key=lambda bind: bind[1].count("/"))
    return found


def hidden(shown: Binds) -> tuple[list[str], list[str]]:
    """Return the folders and the files that are shown empty: they lie inside what is shown.

    Args:
        shown: what.
    """
    folders: list[str] = []
    files: list[str] = []
    for here, there in _packages():
        inside = Path(here)
        named = [one for name in _OURS for one in inside.glob(name)]
        named += [
            *inside.glob("gqa_course-*"),
            *inside.glob("__editable__*"),
            *inside.glob("*.pth"),
        ]
        for one in named:
            (folders if one.is_dir() else files).append(f"{there}/{one.name}")
    base = _standard_library()
    for name in ("site-packages", "dist-packages"):
        if (base[0] / name).is_dir():
            folders.append(f"{base[1]}/{name}")
    return folders + _private(shown), files


def links() -> Binds:
    """Return (what it says, where it is) of the symbolic links there."""
    names = ("python", "python3")
    own = [(_executable().name, f"{_BASE}/bin/{name}") for name in names]
    return [link for link in own if link[0] not in names] + [
        (f"usr/{name}", f"/{name}") for name in ("bin", "lib", "lib64")
    ]


def _executable() -> Path:
    return Path(sys.executable).resolve()


def _standard_library() -> tuple[Path, str]:
    """Return where Python's own modules are, here and there."""
    here = Path(os.__file__).resolve().parent
    return here, f"{_BASE}/{sys.platlibdir}/{here.name}"


def _base() -> Binds:
    prefix = Path(sys.base_prefix).resolve()
    found = [(str(_executable()), python())]
    if (prefix / "conda-meta").is_dir():  # conda has the shared libraries of all packages in one
        return [*found, (str(prefix / "lib"), f"{_BASE}/lib")]
    here, there = _standard_library()
    found.append((str(here), there))
    shared = [one for name in ("lib", "lib64") for one in (prefix / name).glob("libpython*.so*")]
    return [*found, *((str(one), f"{_BASE}/lib/{one.name}") for one in shared)]


def _packages() -> Binds:
    """Return the folders of installed packages in the order in which Python looks into them."""
    names = ("site-packages", "dist-packages")
    found = dict.fromkeys(Path(one).resolve() for one in sys.path if Path(one).name in names)
    kept = [str(one) for one in found if one.is_dir()]
    return [(one, f"{_PACKAGES}/{place}") for place, one in enumerate(kept)]


def _libraries() -> Binds:
    """Return the system's folders of shared libraries, and those that lie beside other things."""
    kind = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-linux-gnu"
    places_of_them = (f"/usr/lib/{kind}", "/usr/lib64", f"/usr/local/lib/{kind}")
    folders = [one for one in places_of_them if os.path.isdir(one) and not os.path.islink(one)]
    if not any(Path(one, "libc.so.6").exists() for one in folders):
        folders = ["/usr/lib"]
    files = [*Path("/usr/lib").glob("ld-linux*.so*"), *Path("/usr/local/lib").glob("*.so*")]
    others = [str(one) for one in files if one.is_file() and folders != ["/usr/lib"]]
    data = [one for one in _FOR_PLOTS_AND_TIMES if os.path.isdir(one)]
    cache_of_them = ["/etc/ld.so.cache"] if os.path.isfile("/etc/ld.so.cache") else []
    within = [one for one in (*others, *data) if not _below(one, folders)]
    return [(one, one) for one in (*folders, *within, *cache_of_them)]


def _programs() -> Binds:
    """Return the few programs that a cell may call; no exercise needs one."""
    found = [(shutil.which(name, path=_PROGRAM_FOLDERS), name) for name in PROGRAMS]
    return [(os.path.realpath(here), f"/usr/bin/{name}") for here, name in found if here]


def _private(shown: Binds) -> list[str]:
    """Return where the course, a home, records and submissions would be seen, if anywhere."""
    exchange = class_exchange()
    private = [places.course_root(), Path.home(), places.home(), *([exchange] if exchange else [])]
    found = []
    for one in {path.resolve() for path in private}:
        for here, there in shown:
            if one != Path(here) and one.is_relative_to(here) and os.path.isdir(one):
                found.append(f"{there}/{one.relative_to(here)}")
    return found


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(Path(path).is_relative_to(one) for one in folders)

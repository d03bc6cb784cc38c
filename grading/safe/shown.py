"""What the sandbox is shown of this machine: a Python, its packages, shared libraries, a few files.

Everything has a place below `ROOT` there, whatever its path is here. Our own few files are a copy,
because a mount tells where in its file system the mounted folder is.
"""

import atexit
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.answers import IN_THE_SANDBOX
from gqa_lib.course.manifest import class_exchange

ROOT = "/opt/gqa"
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


def binds() -> Binds:
    """Return what is shown read-only, in an order in which nothing covers what comes before."""
    found = [*_libraries(), *_programs(), *_base(), *_packages(), *_ours()]
    found.sort(key=lambda bind: bind[1].count("/"))
    return found


def hidden() -> tuple[list[str], list[str]]:
    """Return the folders and the files that are shown empty: they lie inside what is shown."""
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
    return folders + _private(binds()), files


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


def _ours() -> Binds:
    copy = _copy_of_ours()
    return [(str(copy / name), f"{ROOT}/{name}") for name in (*_OURS, "sitecustomize.py")]


@cache
def _copy_of_ours() -> Path:
    """Return a folder with the files of ours that grading needs there; it lasts as this process."""
    copy = Path(tempfile.mkdtemp(prefix="sandbox-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    library, grading = places.package_root(), Path(__file__).parents[1]
    for path in _present(library):
        _copied(library / path, copy / "gqa_lib" / path)
    _copied(grading / "student", copy / "grading" / "student")
    _copied(grading / "student" / "__init__.py", copy / "grading" / "__init__.py")
    _copied(grading / "student" / "packages.py", copy / "sitecustomize.py")
    copy.chmod(0o755)
    return copy


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


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


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(Path(path).is_relative_to(one) for one in folders)

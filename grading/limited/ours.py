"""Which of our files the processes behind walls find: students' code, readers of it, and judges.

A student's code finds a copy of the few that hold no answer, because a mount tells where in its
file system the mounted folder is. A reader finds the library and `grading`, a judge the bank of
questions besides, with the answers: it may read them and tell its grader alone.
"""

import shutil
from functools import cache
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.answers import IN_THE_SANDBOX

from .scratch import new_folder

ROOT = "/opt/gqa"  # where they are there
_NOT_OF_A_GRADER = ("__pycache__", "authoring")  # the latter has answers to every exercise
_BANK = ("quiz", "facts")  # of the quizzes, below `solutions/`

Shown = list[tuple[Path, str]]  # (path here, path there)


def for_students() -> Shown:
    """Return which of our files a student's code finds."""
    copy = _copy_for_students()
    return [(path, f"{ROOT}/{path.name}") for path in sorted(copy.iterdir())]


def for_readers() -> Shown:
    """Return which of our files the processes find that parse and format submissions."""
    parts = [path for path in sorted(_grading().iterdir()) if path.name not in _NOT_OF_A_GRADER]
    shown = [(path, f"{ROOT}/grading/{path.name}") for path in parts]
    return [(places.package_root(), f"{ROOT}/gqa_lib"), *shown, _packages(ROOT)]


def for_judges() -> Shown:
    """Return which of our files the processes find that run tests on students' values."""
    root = places.course_root()
    needed = [root / "course.toml", *(root / "solutions" / f"{name}.toml" for name in _BANK)]
    inside = root.is_relative_to(places.package_root())  # then the library's folder has them
    more = [] if inside else [(path, f"{ROOT}/{path.relative_to(root)}") for path in needed]
    return [*for_readers(), *((path, there) for path, there in more if path.exists())]


def _grading() -> Path:
    return Path(__file__).parents[1]


def _packages(folder: str) -> tuple[Path, str]:
    """Return the file by which Python finds the packages there, and its place in a folder."""
    return _grading() / "student" / "packages.py", f"{folder}/sitecustomize.py"


@cache
def _copy_for_students() -> Path:
    """Return a folder with the files of ours that grading needs there; it lasts as this process."""
    copy = new_folder()
    library, student = places.package_root(), _grading() / "student"
    for path in _present(library):
        _copied(library / path, copy / "gqa_lib" / path)
    _copied(student, copy / "grading" / "student")
    _copied(student / "__init__.py", copy / "grading" / "__init__.py")
    source, target = _packages(str(copy))
    _copied(source, Path(target))
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

"""Where the course, a learner's work and a learner's records live."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
DESK = "desk"  # the learner's workspace in JupyterLab


def package_root() -> Path:
    """Return the folder of the library's own files."""
    return _PACKAGE


def course_root() -> Path:
    """Return the folder with `course.toml` and `notebooks/`: the clone, or its copy in a wheel."""
    return _PACKAGE.parent if _in_a_clone() else _PACKAGE / "course"


def _in_a_clone() -> bool:
    return (_PACKAGE.parent / "course.toml").exists()


def home() -> Path:
    """Return the folder for records: progress, gradebook, exchange. `GQA_HOME` overrides it."""
    if chosen := os.environ.get("GQA_HOME"):
        return Path(chosen).expanduser().resolve()
    from platformdirs import user_data_path

    return user_data_path("gqa-course")


def work() -> Path:
    """Return the learner's own folder of notebooks. `GQA_WORK` overrides it."""
    if chosen := os.environ.get("GQA_WORK"):
        return Path(chosen).expanduser().resolve()
    return (course_root() if _in_a_clone() else Path.cwd()) / "work"


def workspaces() -> Path:
    """Return the folder of the course's JupyterLab workspaces, apart from the learner's own."""
    return home() / "workspaces"

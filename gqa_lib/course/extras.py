"""What is not part of the library's smallest installation, and how to install it."""

from __future__ import annotations

from importlib.util import find_spec

from .places import course_root, package_root

NAME = "gqa-course"
# Module: the extra of pyproject.toml that has it; any other comes with the course.
_EXTRAS = {
    "distributed": "cluster",
    "ipykernel": "bench",
    "ipywidgets": "bench",
    "jinja2": "bench",
    "latex2mathml": "bench",
    "matplotlib": "bench",
    "nbconvert": "bench",
    "ninja": "bench",
    "openai": "tutor",
    "papermill": "bench",
    "psutil": "bench",
    "psycopg": "postgres",
    "pyarrow": "bench",
    "pydantic": "bench",
    "rich": "bench",
    "scipy": "train",
    "tokenizers": "model",
    "tqdm": "model",
    "yaml": "bench",
}


def require(module: str) -> None:
    """Make sure that a module is installed.

    Raises:
        ModuleNotFoundError: it is not; the message says how to install it.
    """
    try:
        there = find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise ModuleNotFoundError(missing(module), name=module)


def missing(module: str) -> str:
    """Return a sentence on a module that is not installed: what needs it, and what to do."""
    top = module.partition(".")[0]
    return f"this needs {top}, which is not installed: {command(_EXTRAS.get(top, 'course'))}"


def command(extra: str) -> str:
    """Return the command that installs an extra, in this clone or from an index."""
    in_a_clone = course_root() == package_root().parent
    return f"pip install -e '.[{extra}]'" if in_a_clone else f"pip install '{NAME}[{extra}]'"

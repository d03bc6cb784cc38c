"""The benchmark notebooks there are, and the parameters they take."""

import ast
import json
from pathlib import Path

from gqa_lib.course.places import course_root

from .inside import as_list


def benchmarks() -> dict[str, Path]:
    """Return the benchmark notebooks by name."""
    folder = course_root() / "notebooks" / "benchmarks"
    return {path.stem: path for path in sorted(folder.glob("*.ipynb"))}


def parameters(notebook: Path) -> dict[str, object]:
    """Return the parameters of a notebook with their defaults.

    Raises:
        ValueError: it has no cell tagged `parameters`.
    """
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            tree = ast.parse("".join(cell["source"]))
            return {
                node.target.id: ast.literal_eval(node.value)
                for node in tree.body
                if isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.value
            }
    raise ValueError(f"{notebook} has no cell tagged `parameters`")


def check_params(notebook: Path, params: dict) -> None:
    """Check parameters against the notebook's defaults: papermill only warns of a typo.

    A parameter whose default is a list takes one such value too.

    Args:
        notebook: the benchmark's path.
        params: values by name.

    Raises:
        ValueError: one does not exist or has another type.
    """
    defaults = parameters(notebook)
    for name, value in params.items():
        if name not in defaults:
            known = ", ".join(f"{k}={v!r}" for k, v in defaults.items() if k != "out_dir")
            raise ValueError(f"{notebook.stem} has no parameter {name!r}. It has {known}.")
        if not _fits(value, defaults[name]):
            raise ValueError(f"{name}={value!r} does not fit: its default is {defaults[name]!r}.")


def _fits(value, default) -> bool:
    if isinstance(default, list):  # an empty default says nothing about its elements
        return not default or all(_fits(one, default[0]) for one in as_list(value))
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def parse_assignment(text: str) -> tuple[str, object]:
    """Return the name and the value of `name=value`; a value that is not JSON is a text.

    Raises:
        ValueError: there is no `=` in it.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"-p {text}: write it as name=value, for example -p context=16384.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value

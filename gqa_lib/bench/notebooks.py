"""The benchmark notebooks there are, and the parameters they take."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gqa_lib.course.places import course_root

from .nearest import meant
from .rules import Parameter, check_together, check_value


def benchmarks() -> dict[str, Path]:
    """Return the benchmark notebooks by name."""
    folder = course_root() / "notebooks" / "benchmarks"
    return {path.stem: path for path in sorted(folder.glob("*.ipynb"))}


def described(notebook: Path) -> dict[str, Parameter]:
    """Return the parameters of a notebook by name.

    Raises:
        ValueError: it is no notebook, has no cell tagged `parameters`, or one that cannot be read.
    """
    for cell in _cells(notebook):
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            try:
                return _parameters("".join(cell["source"]))
            except (ValueError, SyntaxError, tokenize.TokenError) as trouble:
                raise ValueError(
                    f"{notebook.name} has a cell tagged `parameters` that cannot be read: "
                    f"{trouble}. Each is a line, `name: type = value  # meaning`, and the value is "
                    "written out."
                ) from None
    raise ValueError(
        f"{notebook.name} has no cell tagged `parameters`, so nothing can be varied: give one cell "
        "that tag."
    )


def _cells(notebook: Path) -> list[dict[str, Any]]:
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if cells and all(isinstance(cell.get("metadata", {}), dict) for cell in cells):
            return cells
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError(
        f"{notebook.name} is not a notebook that can be run: it has no list of cells. Save it with "
        "Jupyter as .ipynb, of format 4."
    )


def _parameters(source: str) -> dict[str, Parameter]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        one.start[0]: one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT
    }
    return {
        node.target.id: Parameter(
            node.target.id,
            ast.literal_eval(node.value),
            ast.unparse(node.annotation),
            comments.get(node.end_lineno or 0, ""),
        )
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
    }


def parameters(notebook: Path) -> dict[str, object]:
    """Return the parameters of a notebook with their defaults.

    Raises:
        ValueError: it has no cell tagged `parameters`.
    """
    return {name: one.default for name, one in described(notebook).items()}


def about(notebook: Path) -> dict[str, Any]:
    """Return what a notebook says of itself: its question, whether it times, its seconds.

    Returns:
        "name"; "question", its first sentence; "times", whether it measures time; "seconds" at its
        defaults on two CPU cores, None where it does not say.
    """
    lines = "".join(_cells(notebook)[0]["source"]).strip().splitlines()
    text = " ".join(line for line in lines if not line.startswith("#"))
    question = re.match(r"\s*(.*?[?.])(?=\s|$)", text)
    seconds = re.search(r"\*\*Takes:\*\* about (\d+) s", text)
    return {
        "name": notebook.stem,
        "question": question[1] if question else "",
        "times": "**Timed:**" in text,
        "seconds": int(seconds[1]) if seconds else None,
    }


def find_benchmark(name: str) -> Path:
    """Return the notebook of a benchmark, or the one that a path names.

    Raises:
        ValueError: there is none, or it is not one that can be swept.
    """
    known = benchmarks()
    if name in known:
        return known[name]
    if name.endswith(".ipynb"):
        if (notebook := Path(name)).is_file():
            _has_folder(notebook)
            return notebook.resolve()
        raise ValueError(f"there is no notebook {name}.")
    raise ValueError(
        f"there is no benchmark {name!r}{meant(name, known)} There are {', '.join(known)}."
    )


def _has_folder(notebook: Path) -> None:
    if "out_dir" not in described(notebook):
        raise ValueError(
            f"{notebook.name} has no parameter out_dir, so no run of it could leave a result: "
            'write `out_dir: str = "runs"  # folder for results` into its cell tagged `parameters`.'
        )


def check_params(notebook: Path, params: Mapping[str, Any], *, here: bool = True) -> None:
    """Check parameters of a notebook: papermill only warns of a typo.

    Args:
        notebook: the benchmark's path.
        params: values by name; the others are the notebook's defaults.
        here: whether it runs on this machine, which then has to have the device.

    Raises:
        ValueError: one does not exist, has another type, or cannot be measured with.
    """
    known = described(notebook)
    for name, value in params.items():
        if name not in known:
            there = ", ".join(f"{k}={v.default!r}" for k, v in known.items() if k != "out_dir")
            hint = meant(name, known)
            raise ValueError(f"{notebook.stem} has no parameter {name!r}{hint} It has {there}.")
        if here or name != "device":
            check_value(known[name], value)
    check_together({name: params.get(name, one.default) for name, one in known.items()})


def check_parameters(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a notebook runs with, checked; for its first cell.

    Args:
        name: of the benchmark.
        variables: the notebook's, its parameters among them: `globals()`.

    Raises:
        ValueError: one has another type, or cannot be measured with.
    """
    notebook = benchmarks()[name]
    params = {one: variables[one] for one in described(notebook)}
    check_params(notebook, params)
    return params


def parse_assignments(texts: list[str]) -> dict[str, Any]:
    """Return the parameters that a command line gives, each as `name=value`, by name.

    Raises:
        ValueError: one has no `=`, or a name is there twice.
    """
    params: dict[str, Any] = {}
    for text in texts:
        name, value = parse_assignment(text)
        if name in params:
            raise ValueError(f"-p {name} is there twice: which value is meant? For both, a list.")
        params[name] = value
    return params


def parse_assignment(text: str, option: str = "-p") -> tuple[str, Any]:
    """Return the name and the value of `name=value`; a value that is not JSON is a text.

    Args:
        text: what was given.
        option: by which, for messages.

    Raises:
        ValueError: there is no `=` in it, or no name before it.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{option} {text}: write it as name=value, for example context=16384.")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value

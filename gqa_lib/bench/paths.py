"""Results without the places of the machine that made them: a path becomes its last name."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from gqa_lib.course.files import replace_file

# From the root, through a folder at least; not within a word, a relative path or an address.
_PATH = re.compile(
    r"""(?<![\w.~%+=/:\\-])(?:[A-Za-z]:[\\/]|/)(?:[^\s/\\'"`,:;()<>\[\]{}|*?]+[\\/]+)+"""
    r"""([^\s/\\'"`,:;()<>\[\]{}|*?]*)"""
)
_QUOTED = re.compile(r"""(["'])/[^"'\n]*?/([^"'/\n]+)\1""")  # such a path may have spaces


def without_paths(value: Any) -> Any:
    """Return a value that is made of what JSON knows, every absolute path in it cut to its name.

    Args:
        value: a text, a number, or lists and dictionaries of them; pictures are left as they are.
    """
    if isinstance(value, str):
        if value.startswith("/") and "\n" not in value and os.path.exists(value):
            return Path(value).name
        return _PATH.sub(_name, _QUOTED.sub(r"\1\2\1", value))
    if isinstance(value, dict):
        return {
            key: one if str(key).startswith("image/") else without_paths(one)
            for key, one in value.items()
        }
    return [without_paths(one) for one in value] if isinstance(value, list | tuple) else value


def _name(found: re.Match) -> str:
    return found[1] or re.split(r"[\\/]+", found[0].rstrip("\\/"))[-1]


def clean(folder: Path) -> None:
    """Cut the absolute paths in what a run left: its notebook's outputs, its texts, its rows.

    What cannot be read stays as it is.

    Args:
        folder: of the run.
    """
    for path in folder.iterdir():
        if path.suffix in _CLEANED and path.is_file() and not path.is_symlink():
            with suppress(OSError):
                _clean(path)


def _clean(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        changed = _CLEANED[path.suffix](text)
    except _ODD:  # a run that was killed as it was written, or no notebook
        changed = without_paths(text)
    if changed != text:
        replace_file(path, changed)


def _json(text: str) -> str:
    return json.dumps(without_paths(json.loads(text)), indent=1) + "\n"


def _lines(text: str) -> str:
    rows = [json.loads(line) for line in text.splitlines()]
    cleaned = without_paths(rows)
    return text if cleaned == rows else "".join(json.dumps(row) + "\n" for row in cleaned)


def _notebook(text: str) -> str:
    notebook = json.loads(text)
    notebook["metadata"] = without_paths(notebook["metadata"])
    for cell in notebook["cells"]:
        cell["metadata"] = without_paths(cell["metadata"])
        if "outputs" in cell:
            cell["outputs"] = without_paths(cell["outputs"])
        if "injected-parameters" in cell["metadata"].get("tags", []):
            cell["source"] = without_paths(cell["source"])
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


_CLEANED = {".txt": without_paths, ".json": _json, ".jsonl": _lines, ".ipynb": _notebook}
_ODD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

"""The ladders of hints, which `gqa build` takes from the lessons."""

import json
from functools import cache
from importlib.resources import files


@cache
def all_hints() -> dict[str, list[list[str]]]:
    """Return exercise -> [[title, text], ...], the gentlest hint first."""
    return json.loads((files(__package__) / "hints.json").read_text(encoding="utf-8"))

"""The shapes of real models, shipped as a table (`models.csv`)."""

import csv
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from importlib import resources
from itertools import cycle, islice
from typing import Any

from gqa_lib.arguments import check_kind, check_whole

from .notation import expand_layers
from .shape import ModelConfig
from .weights import Weights


def list_models() -> list[str]:
    """Names of the models in the shipped table, in its order (oldest family first)."""
    return list(_table())


def all_models() -> list[ModelConfig]:
    """Every model of the shipped table, in its order."""
    return list(_table().values())


def load_model(name: str) -> ModelConfig:
    """The shipped model of that name; upper and lower case do not matter.

    Args:
        name: as in `list_models`, such as "Llama-3.2-3B".

    Returns:
        Its ModelConfig.

    Raises:
        ValueError: no such model; the message names the closest ones.
    """
    check_kind(str, "Give a name as in list_models().", name=name)
    by_lower = {known.lower(): config for known, config in _table().items()}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = [by_lower[match].name for match in get_close_matches(name.lower(), by_lower, n=3)]
    hint = f"Did you mean {' or '.join(close)}?" if close else "See list_models()."
    raise ValueError(
        f"no model called {name!r} among the {len(by_lower)} shipped: a shape is read from its "
        f"source, never guessed. {hint} For any other model use from_hf_config(path)."
    )


@cache
def _table() -> dict[str, ModelConfig]:
    text = resources.files(__package__).joinpath("models.csv").read_text(encoding="utf-8")
    configs = (_from_row(row) for row in csv.DictReader(text.splitlines()))
    return {config.name: config for config in configs}


_TEXT_COLUMNS = ("name", "family", "source", "checked", "notes")
_WEIGHTS = tuple(field.name for field in fields(Weights))


def _from_row(row: dict[str, str]) -> ModelConfig:
    """A ModelConfig from one line of the table; an empty cell means the field's default."""
    told: dict[str, Any] = {key: row[key] for key in _TEXT_COLUMNS if row[key]}
    listed = ("windows", "layers")
    numbers = {
        key: int(cell) for key, cell in row.items() if cell and key not in (*_TEXT_COLUMNS, *listed)
    }
    weights = {key: numbers.pop(key) for key in _WEIGHTS if key in numbers}
    told |= numbers
    if weights:
        told["weights"] = Weights(**weights)
    if row["windows"]:
        told["windows"] = expand_windows(row["windows"], told["num_layers"])
    if row["layers"]:
        sizes = (told["num_layers"], told["num_kv_heads"], told["head_dim"])
        told["layers"] = expand_layers(row["layers"], *sizes)
    return ModelConfig(**told)


def expand_windows(pattern: str, num_layers: int) -> tuple[int | None, ...]:
    """The window of each layer, written out from a repeating pattern.

    The pattern is repeated from the first layer on and cut after the last, so "5*1024,full" over
    26 layers gives 22 windows and 4 full layers. A stack that does not repeat is written in full,
    as in "30*4096,2*full".

    Args:
        pattern: comma-separated entries, each a window in tokens or "full", each optionally
            preceded by a count and "*".
        num_layers: how many layers to fill.

    Returns:
        A tuple of num_layers entries, None for a layer that keeps every token.

    Raises:
        ValueError: an entry that is neither a window nor "full".
    """
    check_kind(str, "Write for example '5*1024,full'.", pattern=pattern)
    check_whole(0, num_layers=num_layers)
    unit = []
    for entry in pattern.split(","):
        count, _, window = entry.strip().rpartition("*")
        if not (window == "full" or window.isdecimal()) or not (count or "1").isdecimal():
            raise ValueError(
                f"window pattern {pattern!r}: cannot read {entry!r}: an entry is a window in "
                "tokens or 'full', with an optional count. Write for example '5*1024,full'."
            )
        unit += [None if window == "full" else int(window)] * int(count or 1)
    return tuple(islice(cycle(unit), num_layers))

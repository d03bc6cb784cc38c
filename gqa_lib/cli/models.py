"""What `gqa models` prints: the shipped models and config files of your own, as rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from gqa_lib import cost
from gqa_lib.configs import ModelConfig, all_models, find_models, load_model
from gqa_lib.configs.named import is_file
from gqa_lib.explore.card import kind_of, layers_in_words

Row = dict[str, Any]
_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "name": ("model", str),
    "kind": ("kind", str),
    "num_layers": ("layers", str),
    "num_heads": ("heads", str),
    "num_kv_heads": ("KV heads", str),
    "kib_per_token": ("KiB/token", "{:,.4g}".format),
    "gib": ("GiB", "{:,.4g}".format),
    "max_context": ("longest", lambda n: f"{n:,}" if n else ""),
    "parameters": ("parameters", lambda n: f"{n / 1e9:,.4g}e9" if n else ""),
}


def models(
    asked: Iterable[str],
    *,
    family: str = "",
    kind: str = "",
    least_kib: float = 0,
    most_kib: float = float("inf"),
    context: int = 8192,
    bytes_per_element: float = 2,
) -> list[Row]:
    """Return a row for each model that was asked for and passes the filters.

    Args:
        asked: names in the table, parts of names, or paths of config.json; none for the table.
        family: part of a family's name.
        kind: part of a kind, such as "GQA" or "hybrid".
        least_kib: KiB per token at that context, at least.
        most_kib: KiB per token at that context, at most.
        context: tokens of a sequence.
        bytes_per_element: bytes of one cached number.

    Returns:
        Rows; a file that was refused, and a name that is not there, have their reason.

    Raises:
        ValueError: a size is not above 0, or no number is between the limits.
    """
    if not least_kib <= most_kib:  # NaN among them
        raise ValueError(f"from {least_kib} to {most_kib} KiB: no model is between them.")
    found = [one for name in asked for one in _found(name)] or list(all_models())
    rows = [
        row_of(one, context, bytes_per_element) if isinstance(one, ModelConfig) else one
        for one in found
    ]
    return [
        row
        for row in rows
        if "refused" in row
        or (
            family.lower() in row["family"].lower()
            and kind.lower() in row["kind"].lower()
            and least_kib <= row["kib_per_token"] <= most_kib
        )
    ]


def _found(name: str) -> list[ModelConfig | Row]:
    if is_file(name):
        configs, refused = find_models([name])
        rows: list[ModelConfig | Row] = [{"name": k, "refused": why} for k, why in refused.items()]
        return [*configs, *rows]
    within: list[ModelConfig | Row] = [c for c in all_models() if name.lower() in c.name.lower()]
    try:
        return within or [load_model(name)]  # which raises, and names close ones
    except ValueError as trouble:
        return [{"name": name, "refused": str(trouble)}]


def row_of(config: ModelConfig, context: int, bytes_per_element: float) -> Row:
    """Return what there is to say of a model, by name.

    Args:
        config: the model's shape.
        context: tokens of a sequence.
        bytes_per_element: bytes of one cached number.
    """
    held = cost.kv_cache_bytes(config, [context], bytes_per_element)
    parameters = config.weight_bytes and config.weight_bytes // 2
    return {
        "name": config.name,
        "family": config.family,
        "kind": kind_of(config),
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "num_kv_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "layers": layers_in_words(config),
        "context": context,
        "beyond_max_context": bool(config.max_context and context > config.max_context),
        "kib_per_token": cost.kv_bytes_per_token(config, bytes_per_element, context) / 2**10,
        "gib": held / 2**30,
        "state_bytes": cost.state_bytes(config),
        "max_context": config.max_context,
        "parameters": parameters,
        "source": config.source,
        "checked": config.checked,
    }


def as_text(rows: list[Row], context: int) -> str:
    """Return the rows as a table for a terminal, and a line on each file that was refused.

    Args:
        rows: as from `models`.
        context: tokens that they were worked out for.
    """
    if not rows:
        return "no model passes: see `gqa models` for what there is."
    there = [row for row in rows if "refused" not in row]
    heads = [head for head, _ in _COLUMNS.values()]
    cells = [[tell(row[key]) for key, (_, tell) in _COLUMNS.items()] for row in there]
    for row, texts in zip(there, cells, strict=True):
        texts[6] += "*" if row["beyond_max_context"] else ""
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if place < 2 else text.rjust(width)
            for place, (text, width) in enumerate(zip(texts, widths, strict=True))
        ).rstrip()
        for texts in [heads, *cells]
    ]
    lines += [f"refused: {row['refused']}" for row in rows if "refused" in row]
    told = f"{len(there)} model{'s' * (len(there) != 1)}; KiB per token and GiB of one sequence"
    told += f" of {context:,} tokens"
    if any(row["beyond_max_context"] for row in there):
        told += "; * is longer than the model is made for"
    return "\n".join([*lines, told])


def as_csv(rows: list[Row]) -> str:
    """Return the rows as CSV, a column for each thing known of a model."""
    stream = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["name"]
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().rstrip("\n")


def as_json(rows: list[Row]) -> str:
    """Return the rows as a JSON list."""
    return json.dumps(rows, indent=1, ensure_ascii=False)

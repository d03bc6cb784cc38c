"""Layers in one line of text, as the shipped table writes them.

"3*none state=2097152, full" is three layers with a state and one with attention, repeated from the
first layer on. An entry is a count and "*" where it is more than one, a kind, and what that kind
needs as name=number; several in parentheses repeat together, as in "23*(3*none, latent), latent".
The heads and the size of a head are the model's unless an entry says so.
"""

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from itertools import cycle, groupby, islice

from .layer import LayerKV

_SHORT = {
    "num_kv_heads": "heads",
    "k_dim": "k",
    "v_dim": "v",
    "rope_dim": "rope",
    "window": "window",
    "ratio": "ratio",
    "index_dim": "index",
    "index_topk": "topk",
    "state_bytes": "state",
    "shares": "shares",
    "cross_elements": "cross",
}
_LONG = {short: name for name, short in _SHORT.items()}
_OUTER_COMMA = re.compile(r",(?![^()]*\))")  # groups are not nested
_ENTRY = re.compile(r"(?:(\d+)\*)?(?:\(([^()]*)\)|([a-z]+)((?: +[a-z]+=\d+)*))")


def expand_layers(
    text: str, num_layers: int, num_kv_heads: int, head_dim: int
) -> tuple[LayerKV, ...]:
    """The layers of a model, written out from a repeating pattern.

    Args:
        text: comma-separated entries, as above.
        num_layers: how many layers to fill.
        num_kv_heads: KV heads of a layer that does not say.
        head_dim: elements of a key and of a value where a layer does not say.

    Returns:
        A tuple of num_layers entries.

    Raises:
        ValueError: an entry that cannot be read, or that says what its kind cannot have.
    """
    heads = {"num_kv_heads": num_kv_heads, "k_dim": head_dim, "v_dim": head_dim}
    return tuple(islice(cycle(_expand(text, heads)), num_layers))


def _expand(text: str, heads: dict[str, int]) -> list[LayerKV]:
    unit: list[LayerKV] = []
    for entry in _OUTER_COMMA.split(text):
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            raise _unreadable(text, entry, "")
        count, group, kind, told = match.groups()
        if group is not None:
            unit += _expand(group, heads) * int(count or 1)
            continue
        try:
            said = {_LONG[k]: int(v) for k, _, v in (one.partition("=") for one in told.split())}
            usual = {} if kind == "none" else {"num_kv_heads": 1} if kind == "latent" else heads
            unit += [LayerKV(kind, **(usual | said))] * int(count or 1)  # type: ignore[arg-type]
        except (KeyError, ValueError) as trouble:
            raise _unreadable(text, entry, f" ({trouble})") from None
    return unit


def _unreadable(text: str, entry: str, why: str) -> ValueError:
    return ValueError(
        f"layers {text!r}: cannot read {entry.strip()!r}{why}: an entry is a kind with name=number "
        f"of {', '.join(_LONG)}. Write for example '3*none, full'."
    )


def describe_layers(layers: Iterable[LayerKV], num_kv_heads: int, head_dim: int) -> str:
    """The shortest text that `expand_layers` turns into these layers.

    Args:
        layers: all of a model's.
        num_kv_heads: KV heads that need not be said.
        head_dim: elements of a key and of a value that need not be said.
    """
    entries = [_entry(layer, num_kv_heads, head_dim) for layer in layers]
    length = len(entries)
    texts = [_runs(entries)]
    for period in range(1, length // 2 + 1):
        if all(entry == entries[i % period] for i, entry in enumerate(entries)):
            texts.append(_runs(entries[:period]))  # what is written is repeated anyway
        for start in range(period + 1):
            times = 1
            while (
                entries[start : start + period]
                == entries[start + times * period : start + (times + 1) * period]
            ):
                times += 1
            if times > 1 and period > 1:
                parts = (
                    _runs(entries[:start]),
                    f"{times}*({_runs(entries[start : start + period])})",
                    _runs(entries[start + times * period :]),
                )
                texts.append(", ".join(filter(None, parts)))
    return min(texts, key=len)


def _runs(entries: list[str]) -> str:
    runs = [(entry, len(list(run))) for entry, run in groupby(entries)]
    return ", ".join(entry if times == 1 else f"{times}*{entry}" for entry, times in runs)


def _entry(layer: LayerKV, num_kv_heads: int, head_dim: int) -> str:
    usual = replace(LayerKV("none"), state_bytes=0)
    said = []
    for field in fields(layer)[1:]:
        value, expected = getattr(layer, field.name), getattr(usual, field.name)
        if layer.kind == "latent" and field.name == "num_kv_heads":
            expected = 1
        elif layer.kind not in ("none", "latent"):
            expected = {"num_kv_heads": num_kv_heads, "k_dim": head_dim, "v_dim": head_dim}.get(
                field.name, expected
            )
        if value != expected:
            said.append(f"{_SHORT[field.name]}={value}")
    return " ".join([layer.kind, *said])

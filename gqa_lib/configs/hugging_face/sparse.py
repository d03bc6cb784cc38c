"""Which layers have routed experts: the ways in which config files say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .keys import Keys


def sparse_layers(keys: Keys, rule: str, num_layers: int) -> list[bool]:
    """Return for each layer whether it has routed experts.

    Args:
        keys: the text model's keys.
        rule: the family's way of saying it.
        num_layers: how many layers there are.

    Raises:
        ValueError: the file says something else than the rule allows for.
    """
    return _RULES[rule](keys, num_layers)


def _all(keys: Keys, num_layers: int) -> list[bool]:
    return [True] * num_layers


def _after(keys: Keys, num_layers: int) -> list[bool]:
    """DeepSeek: the first ones are dense."""
    dense = keys.count("first_k_dense_replace")
    return [i >= dense for i in range(num_layers)]


# Where neither a list nor a number says how many of the first layers are dense.
_FIRST = {"deepseek_v32": 3, "glm_moe_dsa": 3}


def _listed(keys: Keys, num_layers: int) -> list[bool]:
    """A word or a 1 for each layer; else the first ones are dense."""
    words = keys.get("mlp_layer_types", "moe_layer_freq")
    dense = keys.get("first_k_dense_replace")
    if isinstance(words, list):
        listed = keys.per_layer(words, num_layers, ("mlp_layer_types", "moe_layer_freq"))
        if not {str(word) for word in listed} <= {"dense", "sparse", "0", "1"}:
            raise keys.wrong("mlp_layer_types", words, "dense or sparse for each layer")
        return [word in ("sparse", 1) for word in listed]
    if words not in (None, 1):
        raise keys.wrong("moe_layer_freq", words, "1 or a list")
    if dense is None:
        dense = _FIRST.get(keys.family, 1)
    return [i >= keys.whole(dense, "first_k_dense_replace", 0) for i in range(num_layers)]


def _step(keys: Keys, num_layers: int) -> list[bool]:
    """Qwen: every so many layers, but for some."""
    step, dense = keys.size("decoder_sparse_step") or 1, keys.get("mlp_only_layers") or []
    return [(i + 1) % step == 0 and i not in _numbers(keys, dense) for i in range(num_layers)]


def _interleaved(keys: Keys, num_layers: int) -> list[bool]:
    """Llama 4."""
    listed, step = keys.get("moe_layers"), keys.size("interleave_moe_layer_step") or 1
    if listed:
        return [i in _numbers(keys, listed) for i in range(num_layers)]
    return [(i + 1) % step == 0 for i in range(num_layers)]


def _period(keys: Keys, num_layers: int) -> list[bool]:
    """Jamba."""
    period, offset = keys.size("expert_layer_period"), keys.count("expert_layer_offset")
    if period is None or keys.size("num_experts") in (None, 1):
        raise keys.wrong("expert_layer_period", period, "a number of layers, of several experts")
    return [i % period == offset for i in range(num_layers)]


def _ernie(keys: Keys, num_layers: int) -> list[bool]:
    every, first = keys.size("moe_layer_interval") or 1, keys.count("moe_layer_start_index")
    last = keys.get("moe_layer_end_index")
    last = num_layers - 1 if last in (None, -1) else keys.whole(last, "moe_layer_end_index", 0)
    return [(i + 1) % every == 0 and first <= i <= last for i in range(num_layers)]


def _named(keys: Keys, num_layers: int) -> list[bool]:
    """Nemotron-H: a kind of layer of its own."""
    names = ("layer_types", "layers_block_type", "hybrid_override_pattern")
    kinds = keys.get(*names)
    if not isinstance(kinds, str | list) or len(kinds) != num_layers:
        raise keys.wrong("layer_types", kinds, "one entry per layer")
    return [kind in ("moe", "E") for kind in kinds]


def _moe_block(keys: Keys, num_layers: int) -> list[bool]:
    """Gemma 4: all of them or none."""
    return [keys.flag("enable_moe_block")] * num_layers


def _numbers(keys: Keys, listed: Any) -> list[int]:
    if not isinstance(listed, list):
        raise keys.wrong("mlp_only_layers", listed, "a list of layers")
    return listed


_RULES: dict[str, Callable[[Keys, int], list[bool]]] = {
    "all": _all,
    "after": _after,
    "listed": _listed,
    "step": _step,
    "interleaved": _interleaved,
    "period": _period,
    "ernie": _ernie,
    "named": _named,
    "moe_block": _moe_block,
}

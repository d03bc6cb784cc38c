"""Lesson 05: what goes wrong when a cache is counted layer by layer."""

from gqa_lib.configs import LayerKV, ModelConfig

from .exercise import Mistake
from .toys import all_layers, cache_bytes, cached_elements, no_window, owners, state_bytes


def full_heads(config: ModelConfig, layer: LayerKV) -> int:
    """Return the numbers of a token by the config's own fields, in a layer that keeps anything."""
    return 0 if layer.kind == "none" else 2 * config.num_kv_heads * config.head_dim


def full_heads_for_a_latent(config: ModelConfig, layer: LayerKV) -> int:
    """Return the numbers of a token, those of full heads where there is a latent."""
    latent = layer.kind == "latent"
    return full_heads(config, layer) if latent else cached_elements(config, layer)


def by_the_fields(config: ModelConfig, lengths: list[int], b: float) -> float:
    """Return the bytes by windows, shared_kv_layers and kv_lora_rank, without kv_layers."""
    windows = config.windows or (None,) * config.num_layers
    each = 2 * config.num_kv_heads * config.head_dim
    if config.kv_lora_rank is not None and config.rope_head_dim is not None:
        each = config.kv_lora_rank + config.rope_head_dim
    caching = windows[: config.num_layers - config.shared_kv_layers]
    tokens = sum(n if w is None else min(n, w) for w in caching for n in lengths)
    return float(tokens * each * b)


def _smallest_window(config: ModelConfig, layer: LayerKV) -> int | None:
    return min((one.window for one in config.kv_layers if one.window is not None), default=None)


def _average(config: ModelConfig, lengths: list[int], b: float) -> float:
    if not lengths:
        return 0.0
    return cache_bytes(config, [sum(lengths) / len(lengths)] * len(lengths), b)


def _everything_counted(config: ModelConfig, layer: LayerKV) -> int:
    none = layer.kind == "none"
    return 2 * config.num_kv_heads * config.head_dim if none else cached_elements(config, layer)


def _sharing(config: ModelConfig) -> list[LayerKV]:
    return [layer for layer in config.kv_layers if layer.shares is not None]


def _scaled(config: ModelConfig, lengths: list[int], b: float) -> float:
    share = 1 - len(_sharing(config)) / config.num_layers
    return cache_bytes(config, lengths, b, layers=all_layers) * share


def _not_lending(config: ModelConfig) -> list[LayerKV]:
    lending = {layer.shares for layer in _sharing(config)}
    return [layer for number, layer in enumerate(config.kv_layers) if number not in lending]


_WHOSE_SIZES = (
    "config.num_kv_heads and config.head_dim are used for every layer. They are what most of the "
    "layers have: layer.num_kv_heads, layer.k_dim and layer.v_dim are this layer's own."
)

PLAIN_MISTAKES = (
    Mistake(
        "the fields of the config are counted: windows, shared_kv_layers, kv_lora_rank. They say "
        "nothing of a model that lists its layers. config.kv_layers describes both: go over that.",
        by_the_fields,
    ),
    Mistake(_WHOSE_SIZES, lambda c, n, b: cache_bytes(c, n, b, elements=full_heads)),
    Mistake(
        _WHOSE_SIZES + " And layers of kind 'none' keep nothing.",
        lambda c, n, b: cache_bytes(
            c, n, b, elements=lambda c, layer: 2 * c.num_kv_heads * c.head_dim
        ),
    ),
    Mistake(
        "layers that keep nothing are counted. In a layer of kind 'none' num_kv_heads, k_dim and "
        "v_dim are 0, and 0 is what they should add.",
        lambda c, n, b: cache_bytes(c, n, b, elements=_everything_counted),
    ),
    Mistake(
        "the first layer stands for all of them: go over config.kv_layers, each has its own sizes.",
        lambda c, n, b: cache_bytes(c, n, b, layers=lambda c: c.kv_layers[:1] * c.num_layers),
    ),
    Mistake(
        "the state is counted for every token. It is constant: as large for 3 tokens as for 3,000, "
        "and no part of the cache.",
        lambda c, n, b: cache_bytes(c, n, b) + sum(n) * state_bytes(c),
    ),
    Mistake(
        "the state is counted for every token, and as numbers. It is constant, in bytes, and no "
        "part of the cache.",
        lambda c, n, b: cache_bytes(c, n, b) + sum(n) * state_bytes(c) * b,
    ),
    Mistake(
        "the state is added. It does not grow with the sequence and is counted apart: "
        "kv_cache_bytes is what the cache takes.",
        lambda c, n, b: cache_bytes(c, n, b) + len(n) * state_bytes(c),
    ),
    Mistake(
        "the windows are ignored: a layer with a window keeps at most that many tokens of each "
        "sequence.",
        lambda c, n, b: cache_bytes(c, n, b, window=no_window),
    ),
    Mistake(
        "the window is looked at only where the kind is 'window'. Other kinds may have one, too: "
        "layer.window alone says how many tokens are kept, None for all of them.",
        lambda c, n, b: cache_bytes(
            c, n, b, window=lambda c, layer: layer.window if layer.kind == "window" else None
        ),
    ),
    Mistake(
        "every layer is cut to the window. The layers whose window is None keep all tokens.",
        lambda c, n, b: cache_bytes(c, n, b, window=_smallest_window),
    ),
    Mistake(
        "the first layer's window is used for all layers: each layer has its own.",
        lambda c, n, b: cache_bytes(c, n, b, window=lambda c, layer: c.kv_layers[0].window),
    ),
    Mistake(
        "the window cuts the sum of the lengths. It cuts each sequence on its own: two sequences "
        "of 8 under a window of 8 keep 16 tokens.",
        lambda c, n, b: cache_bytes(c, [sum(n)], b),
    ),
    Mistake(
        "the larger of length and window is taken: a layer keeps the smaller.",
        lambda c, n, b: cache_bytes(c, n, b, cut=max),
    ),
    Mistake(
        "a layer with a window always keeps a full window, even of a shorter sequence.",
        lambda c, n, b: cache_bytes(c, n, b, cut=lambda length, window: window),
    ),
    Mistake(
        "the layers with a window are left out: they keep their last tokens.",
        lambda c, n, b: cache_bytes(
            c, n, b, layers=lambda c: [one for one in owners(c) if one.window is None]
        ),
    ),
    Mistake(
        "the layers that keep every token (their window is None) are left out.",
        lambda c, n, b: cache_bytes(c, n, b, window=lambda c, layer: layer.window or 0),
    ),
    Mistake(
        "only the first sequence is counted: context_lengths is a list, and all of them are in "
        "the cache together.",
        lambda c, n, b: cache_bytes(c, n[:1], b),
    ),
    Mistake(
        "the average length stands for every sequence, or windows cut the sum of the lengths. A "
        "window cuts each sequence on its own, long ones and not short ones.",
        _average,
    ),
    Mistake(
        "every sequence is counted at the length of the longest: that is padding, which a cache "
        "need not hold.",
        lambda c, n, b: cache_bytes(c, [max(n, default=0)] * len(n), b),
    ),
    Mistake(
        "the keys are counted and the values are not: v_dim more numbers for each head.",
        lambda c, n, b: cache_bytes(c, n, b, elements=lambda c, one: one.num_kv_heads * one.k_dim),
    ),
    Mistake(
        "the values are counted like the keys, 2 * layer.k_dim. Values have a size of their own, "
        "layer.v_dim.",
        lambda c, n, b: cache_bytes(
            c, n, b, elements=lambda c, one: 2 * one.num_kv_heads * one.k_dim
        ),
    ),
    Mistake(
        "one head is counted: a layer keeps a key and a value for each of its num_kv_heads.",
        lambda c, n, b: cache_bytes(c, n, b, elements=lambda c, one: one.k_dim + one.v_dim),
    ),
    Mistake(
        "num_heads is used. The query heads are never cached: count layer.num_kv_heads.",
        lambda c, n, b: cache_bytes(
            c, n, b, elements=lambda c, one: c.num_heads * (one.k_dim + one.v_dim)
        ),
    ),
    Mistake(
        "the size of a head is worked out as d_model // num_heads. It is a field of its own: "
        "layer.k_dim for keys, layer.v_dim for values.",
        lambda c, n, b: cache_bytes(
            c, n, b, elements=lambda c, one: 2 * one.num_kv_heads * (c.d_model // c.num_heads)
        ),
    ),
    Mistake(
        "bytes_per_element is cut to a whole number, so that 0.5 (4 bits) becomes 0.",
        lambda c, n, b: cache_bytes(c, n, int(b)),
    ),
)

SHARED_MISTAKES = (
    Mistake(
        "layers that share are counted like the others. Where layer.shares is a number, the layer "
        "reads the cache of the layer of that number and keeps none.",
        lambda c, n, b: cache_bytes(c, n, b, layers=all_layers),
    ),
    Mistake(
        "layers that share the cache of layer 0 are counted: 0 is a number and no None, but `if "
        "layer.shares` takes it for one. Ask whether it is None.",
        lambda c, n, b: cache_bytes(
            c, n, b, layers=lambda c: [one for one in c.kv_layers if not one.shares]
        ),
    ),
    Mistake(
        "config.shared_kv_layers is cut from the end. It is 0 in a model that lists its layers, "
        "and sharing layers may be anywhere: ask each layer for its `shares`.",
        lambda c, n, b: cache_bytes(
            c, n, b, layers=lambda c: c.kv_layers[: c.num_layers - c.shared_kv_layers]
        ),
    ),
    Mistake(
        "as many layers are cut from the end as share. They may be anywhere, and layers differ: "
        "leave out those that share.",
        lambda c, n, b: cache_bytes(
            c, n, b, layers=lambda c: c.kv_layers[: c.num_layers - len(_sharing(c))]
        ),
    ),
    Mistake(
        "the layer that lends its cache is left out, and the one that reads it is counted: it is "
        "the other way round.",
        lambda c, n, b: cache_bytes(c, n, b, layers=_not_lending),
    ),
    Mistake(
        "the layer that lends its cache is left out as well: it keeps it, for both.",
        lambda c, n, b: cache_bytes(
            c, n, b, layers=lambda c: [one for one in _not_lending(c) if one.shares is None]
        ),
    ),
    Mistake(
        "the shared layers are taken off twice.",
        lambda c, n, b: cache_bytes(c, n, b) - cache_bytes(c, n, b, layers=_sharing),
    ),
    Mistake(
        "the whole is scaled by the share of layers that cache. Layers differ: leave out those "
        "that share instead.",
        _scaled,
    ),
    Mistake(
        "the shared layers alone are counted: they are the ones that keep nothing.",
        lambda c, n, b: cache_bytes(c, n, b, layers=_sharing),
    ),
)


def _latent(numbers):
    """Return a count of a layer's numbers that is wrong for a latent and right for the others."""

    def elements(config: ModelConfig, layer: LayerKV) -> int:
        if layer.kind != "latent":
            return cached_elements(config, layer)
        return numbers(config, layer)

    return lambda c, n, b: cache_bytes(c, n, b, elements=elements)


LATENT_MISTAKES = (
    Mistake(
        "full heads are counted: a layer with a latent keeps k_dim numbers per token, and that is "
        "all.",
        _latent(full_heads),
    ),
    Mistake(
        "the latent is doubled. Keys and values are both made from the same latent: v_dim is 0, "
        "and there is no factor of 2.",
        _latent(lambda c, one: 2 * one.k_dim),
    ),
    Mistake(
        "the latent is counted twice and the RoPE key once. Values are made from the latent and "
        "not kept: v_dim is 0 (value_dim says how long they are once made).",
        _latent(lambda c, one: one.k_dim + one.value_dim),
    ),
    Mistake(
        "the latent is counted once per head: all heads share it.",
        _latent(lambda c, one: c.num_heads * one.k_dim),
    ),
    Mistake(
        "the RoPE key is counted once per head: all heads share it.",
        _latent(lambda c, one: one.k_dim + (c.num_heads - 1) * one.rope_dim),
    ),
    Mistake(
        "the RoPE key is forgotten: it is kept as well, and k_dim includes it.",
        _latent(lambda c, one: one.k_dim - one.rope_dim),
    ),
    Mistake(
        "the RoPE key is added once more: k_dim includes it.",
        _latent(lambda c, one: one.k_dim + one.rope_dim),
    ),
    Mistake(
        "the latent is added to full heads: it is kept instead of them.",
        _latent(lambda c, one: one.k_dim + full_heads(c, one)),
    ),
    Mistake(
        "layers with a latent are left out: a latent is kept for every token, too.",
        _latent(lambda c, one: 0),
    ),
)

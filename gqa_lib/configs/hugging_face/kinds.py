"""Which kind each layer is: the many ways in which config files say it, in one list of names.

"full", "window", "chunk": attention. "state": a linear or state-space layer. "nothing": a block
without either, such as experts alone. "full+state", "window+state": both side by side. "cross":
attention to an image. "csa", "hca": compressed attention of DeepSeek V4, with an indexer and
without.
"""

from collections.abc import Callable
from itertools import cycle, islice

from .keys import Keys

_NAMES = {
    "full": (
        "full_attention",
        "attention",
        "global",
        "global_attention",
        "indexed_attention",
        "minimax_m3_sparse",
        "deepseek_sparse_attention",
        "*",
    ),
    "window": ("sliding_attention", "sliding_window", "local", "local_attention", "swa"),
    "chunk": ("chunked_attention",),
    "state": ("linear_attention", "mamba", "mamba2", "recurrent", "conv", "M"),
    "full+state": ("hybrid",),
    "window+state": ("hybrid_sliding",),
    "nothing": ("moe", "mlp", "E", "-"),
    "csa": ("compressed_sparse_attention",),
    "hca": ("heavily_compressed_attention",),
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names}
# What the window's size is called.
WINDOW_KEYS = ("sliding_window", "sliding_window_size", "attention_window_size", "window_size")

_LINEAR = (
    *("full_attn_layers", "kda_layers", "num_heads", "head_dim", "short_conv_kernel_size"),
    *("gate_lower_bound", "use_full_rank_gate"),
)
# Of how many layers the last one is full, where a family's files may leave it to its class.
_LAST_OF = {
    "cohere2": 4,
    "exaone4": 4,
    "exaone_moe": 4,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3_text": 6,
    "gemma3n": 5,
    "gemma3n_text": 5,
    "gemma4": 6,
    "gemma4_text": 6,
    "gemma4_unified": 6,
    "gemma4_unified_text": 6,
    "gpt_oss": 2,
    "olmo3": 4,
    "vaultgemma": 2,
}
# And of how many the first one is.
_FIRST_OF = {"cwm": 4, "granite_swa": 4, "granitemoe_swa": 4, "modernbert-decoder": 3}
# Families in which every layer has the window that the file names.
_ALL_WINDOWED = (
    "ministral",
    "mistral",
    "mixtral",
    "phi3",
    "phimoe",
    "phi4_multimodal",
    "starcoder2",
    "mistral4",
)


def layer_kinds(keys: Keys, num_layers: int) -> list[str]:
    """Return the kind of each layer.

    Args:
        keys: the text model's keys.
        num_layers: how many layers it has.

    Raises:
        ValueError: a layer of an unknown kind, a list of another length, or a window without a
            word on which layers have it.
    """
    for rule in _RULES:
        kinds = rule(keys, num_layers)
        if kinds is not None:
            return _with_cross_attention(keys, kinds)
    raise AssertionError("the last rule has an answer for every model")


def _listed(keys: Keys, num_layers: int) -> list[str] | None:
    """A list of names, one per layer, or a text of one letter per layer."""
    names = ("layer_types", "layers_block_type", "block_types", "hybrid_override_pattern")
    value = keys.get(*names)
    if value is None:
        return None
    keys.skip("full_attention_interval", "sliding_window_pattern", "_sliding_window_pattern")
    keys.skip("no_rope_layers", "no_rope_layer_interval", "global_attn_every_n_layers")
    keys.skip("attn_layer_period", "attn_layer_offset", "attn_layer_indices", "full_attn_idxs")
    keys.skip("max_window_layers", "layer_group_size", "hybrid_layer_pattern", "hybrid_layer_ids")
    keys.skip("compress_ratios", "order_of_interleaved_layers", "local_layer_ids")
    keys.skip("attention_chunk_size", "local_attention", "use_sliding_window", *WINDOW_KEYS)
    if isinstance(value, str):
        value = list(value)
    elif isinstance(value, list) and len(value) < num_layers and keys.get("block_types"):
        value = list(islice(cycle(value), num_layers))  # RecurrentGemma repeats it
    unknown = [one for one in keys.per_layer(value, num_layers, names) if one not in _KINDS]
    if unknown:
        raise ValueError(
            f"{keys.origin}: a layer of type {unknown[0]!r} is not understood, so what it caches "
            "is not known. Build a ModelConfig by hand, or report the model."
        )
    kinds = [_KINDS[one] for one in value]
    if keys.family in ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe") and not _window_is_on(keys):
        return ["full" if kind == "window" else kind for kind in kinds]
    return kinds


def _window_is_on(keys: Keys) -> bool:
    return keys.flag("use_sliding_window") and keys.get("sliding_window") is not None


def _marked(keys: Keys, num_layers: int) -> list[str] | None:
    """A list of 0 and 1, one per layer, or a list of the layers that are of one kind."""
    if keys.family == "phi4flash":
        return _of_phi4_flash(keys, num_layers)
    if (pattern := keys.sizes(num_layers, "hybrid_layer_pattern")) is not None:  # MiMo V2
        keys.skip("attention_chunk_size")
        return ["window" if one else "full" for one in pattern]
    if (pattern := keys.sizes(num_layers, "attn_type_list")) is not None:  # MiniMax Text-01, M2
        return ["full" if one else "state" for one in pattern]
    linear = keys.keys_of("linear_attn_config", _LINEAR)
    if linear or keys.family == "kimi_linear":  # Kimi Linear and K3 count from 1
        full = set(linear.get("full_attn_layers") or ())
        if not full or not full <= set(range(1, num_layers + 1)):
            raise keys.wrong("linear_attn_config", dict(linear), "full_attn_layers of 1 and more")
        return ["full" if layer + 1 in full else "state" for layer in range(num_layers)]
    listed = keys.get("attn_layer_indices", "full_attn_idxs")  # Bamba, LFM2
    if listed is not None or keys.family == "bamba":
        return ["full" if layer in (listed or ()) else "state" for layer in range(num_layers)]
    if (ratios := keys.get("compress_ratios")) is not None:  # DeepSeek V4; its MTP layer follows
        names = {0: "window", 4: "csa", 128: "hca"}
        listed = ratios if isinstance(ratios, list) else []
        if not set(listed) <= set(names) or not 0 <= len(listed) - num_layers <= 1:
            raise keys.wrong("compress_ratios", ratios, f"0, 4 or 128 for {num_layers} layers")
        return [names[ratio] for ratio in listed[:num_layers]]
    return None


def _of_phi4_flash(keys: Keys, num_layers: int) -> list[str]:
    """Mamba and windows, then one full layer whose cache all later ones read (SambaY)."""
    mamba, half = keys.size("mb_per_layer") or 2, num_layers // 2
    keys.skip("sliding_window")
    states = ["state" if i < half + 2 else "nothing" for i in range(num_layers)]
    attention = ["window" if i < half else "full" for i in range(num_layers)]
    return [states[i] if i % mamba == 0 else attention[i] for i in range(num_layers)]


def _periodic(keys: Keys, num_layers: int) -> list[str] | None:
    """One full layer in so many, the others linear or state-space."""
    layers = range(num_layers)
    if keys.family in ("jamba", "zamba") or keys.has("attn_layer_period"):
        period, offset = keys.size("attn_layer_period"), keys.count("attn_layer_offset")
        assert period is not None
        if keys.family == "zamba":  # its attention stands beside a Mamba layer
            late = ["full+state" if i % period == offset else "state" for i in layers]
            return ["state", "state", "full+state", *late][:num_layers]
        return ["full" if i % period == offset else "state" for i in layers]
    if keys.family in ("bailing_hybrid",) or keys.has("layer_group_size"):
        group = keys.size("layer_group_size") or 1
        return ["state" if (i + 1) % group else "full" for i in layers]
    if keys.family == "minimax":
        return ["full" if (i + 1) % 2 else "state" for i in layers]
    if keys.family == "olmo_hybrid":
        return ["full" if i % 4 == 3 else "state" for i in layers]
    if keys.family == "falcon_h1":
        return ["full+state"] * num_layers
    interval = keys.size("full_attention_interval")
    if interval is None and keys.family.startswith(("qwen3_next", "qwen3_5")):
        interval = 4
    if interval is not None:
        return ["state" if (i + 1) % interval else "full" for i in layers]
    return None


def _chunked(keys: Keys, num_layers: int) -> list[str] | None:
    """Llama 4: layers with positions attend in chunks, those without to everything."""
    if not keys.family.startswith("llama4"):
        return None
    every = keys.size("no_rope_layer_interval") or 4
    rope = keys.get("no_rope_layers") or [int((i + 1) % every != 0) for i in range(num_layers)]
    listed = keys.per_layer(rope, num_layers, ("no_rope_layers",))
    return ["chunk" if one else "full" for one in listed]


def _windowed(keys: Keys, num_layers: int) -> list[str] | None:
    """Layers with a window among full ones."""
    if keys.family == "gpt_neo":
        return _of_gpt_neo(keys, num_layers)
    window = keys.get(*WINDOW_KEYS, "local_attention")
    if window is None:
        keys.skip("max_window_layers", "use_sliding_window", "sliding_window_pattern")
        return None
    if keys.family.startswith("qwen") or keys.get("use_sliding_window") is not None:
        if not keys.flag("use_sliding_window"):  # Qwen's classes have it off
            keys.skip("max_window_layers")
            return ["full"] * num_layers
        if keys.get("max_window_layers") is not None:  # Qwen: the full ones come first
            first = keys.count("max_window_layers")
            return ["full" if i < first else "window" for i in range(num_layers)]
    keys.skip("max_window_layers")
    kinds = _in_turns(keys, num_layers)
    if kinds is None:
        raise ValueError(
            f"{keys.origin}: sliding_window={window} with no word on which of the layers have it, "
            f"in a model of type {keys.family!r}. Build a ModelConfig by hand: its `windows` has "
            "an entry per layer."
        )
    return kinds


def _in_turns(keys: Keys, num_layers: int) -> list[str] | None:
    """Full layers and windows by a pattern, the file's or that of its family."""
    layers, names = range(num_layers), ("sliding_window_pattern", "_sliding_window_pattern")
    pattern = keys.get(*names, "global_attn_every_n_layers")
    pattern = _LAST_OF.get(keys.family) if pattern is None else pattern
    if isinstance(pattern, str):  # EXAONE writes "LLLG"
        if not pattern or not set(pattern) <= {"L", "G"}:
            raise keys.wrong("sliding_window_pattern", pattern, "a number, or letters L and G")
        letters = islice(cycle(pattern), num_layers)
        return ["full" if letter == "G" else "window" for letter in letters]
    if pattern is not None:
        every = keys.whole(pattern, "sliding_window_pattern", least=1)
        keys.skip("order_of_interleaved_layers")  # Cohere: local ones first
        return ["full" if (i + 1) % every == 0 else "window" for i in layers]
    if keys.family in _FIRST_OF:
        return ["full" if i % _FIRST_OF[keys.family] == 0 else "window" for i in layers]
    if keys.family == "mimo_v2_flash":
        return ["full" if i == 0 or (i + 1) % 6 == 0 else "window" for i in layers]
    return ["window"] * num_layers if keys.family in _ALL_WINDOWED else None


def _of_gpt_neo(keys: Keys, num_layers: int) -> list[str]:
    keys.skip("attention_types")
    listed = keys.get("attention_layers")
    if listed is None:
        listed = [
            one for names, times in keys.get("attention_types") or () for one in names * times
        ]
    return [
        "full" if one == "global" else "window"
        for one in keys.per_layer(listed, num_layers, ("attention_types",))
    ]


def _all_full(keys: Keys, num_layers: int) -> list[str]:
    return ["full"] * num_layers


def _with_cross_attention(keys: Keys, kinds: list[str]) -> list[str]:
    """Llama 3.2 Vision: some of its layers look at the image alone."""
    for layer in keys.get("cross_attention_layers") or ():
        kinds[keys.whole(layer, "cross_attention_layers", 0)] = "cross"
    return kinds


_RULES: tuple[Callable[[Keys, int], list[str] | None], ...] = (
    _listed,
    _marked,
    _periodic,
    _chunked,
    _windowed,
    _all_full,
)

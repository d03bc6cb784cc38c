"""Lesson 05: the KV cache in bytes, from a config, for real models and real memory."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch

from gqa_lib.configs import ModelConfig

from ..exercise import Exercise, Mistake

_LESSON = "05-kv-footprint"


def _toy(
    L, Hq, Hkv, D, d_model, windows=None, shared=0, latent=None, rope=None, name=""
) -> ModelConfig:
    """Return a small config whose name spells its sizes, for the learner to type again."""
    rest = [
        f"{key}={value}"
        for key, value in (
            ("windows", windows),
            ("shared_kv_layers", shared or None),
            ("kv_lora_rank", latent),
            ("rope_head_dim", rope),
        )
        if value is not None
    ]
    sizes = f"num_layers={L}, num_heads={Hq}, num_kv_heads={Hkv}, head_dim={D}, d_model={d_model}"
    return ModelConfig(
        name or f"ModelConfig({', '.join([sizes, *rest])})",
        num_layers=L,
        num_heads=Hq,
        num_kv_heads=Hkv,
        head_dim=D,
        d_model=d_model,
        windows=windows,
        shared_kv_layers=shared,
        kv_lora_rank=latent,
        rope_head_dim=rope,
    )


def _drawn(generator, windows=False, shared=False, latent=False) -> dict:
    """Return drawn sizes of a toy config, no two of them standing in for each other."""

    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    L, Hkv, R = between(3, 9), between(2, 6), between(2, 6)
    sizes = {"L": L, "Hq": Hkv * R, "Hkv": Hkv, "D": 2 * between(2, 12) + 1}
    sizes["d_model"] = Hkv * R * (sizes["D"] + between(1, 9)) + between(0, 3)
    if windows:
        choices = [None if between(0, 2) == 0 else between(2, 12) for _ in range(L)]
        sizes["windows"] = (between(2, 12), None, *choices[2:])
    if shared:
        sizes["shared"] = between(1, L - 2)
    if latent:
        sizes |= {"latent": between(6, 30), "rope": between(2, 5), "Hkv": Hkv * R}
    return sizes


def _bytes(generator) -> float:
    return (4, 2, 1, 0.5, 0.75)[int(torch.randint(5, (1,), generator=generator))]


def _lengths(generator) -> list[int]:
    count = int(torch.randint(2, 6, (1,), generator=generator))
    return torch.randint(1, 41, (count,), generator=generator).tolist()


def _plain(result):
    """Return a NumPy number as Python's own: a sum over an array is as good as one in a loop."""
    return result.item() if isinstance(result, np.generic) else result


def _call(yours, *arguments):
    return _plain(yours(*arguments))


# kv_bytes_per_token


def _one_token(generator, b=2, draw=0, **sizes):
    for _ in range(draw):
        sizes, b = _drawn(generator), _bytes(generator)
    return _toy(**sizes), b


def _per_token(config: ModelConfig, b: float) -> float:
    stored = 0
    for _layer in range(config.num_layers):
        for _head in range(config.num_kv_heads):
            stored += config.head_dim  # a key
            stored += config.head_dim  # and a value
    return float(stored * b)


KV_BYTES_PER_TOKEN = Exercise(
    name="kv_bytes_per_token",
    lesson=_LESSON,
    make=_one_token,
    oracle=_per_token,
    call=_call,
    cases=(
        {"L": 3, "Hq": 6, "Hkv": 2, "D": 5, "d_model": 48, "b": 2},
        {"L": 5, "Hq": 12, "Hkv": 3, "D": 7, "d_model": 99, "b": 0.5},
        {"L": 4, "Hq": 10, "Hkv": 10, "D": 3, "d_model": 70, "b": 4},
        {"L": 3, "Hq": 9, "Hkv": 1, "D": 5, "d_model": 200, "b": 0.75},
        {"L": 4, "Hq": 15, "Hkv": 5, "D": 9, "d_model": 150, "b": 1, "windows": (4, None, 2, 4)},
        {"draw": 1},
    ),
    mistakes=(
        Mistake(
            "the keys are counted and the values are not: the cache holds both, a factor of 2.",
            lambda c, b: _per_token(c, b) / 2,
        ),
        Mistake(
            "num_heads is used. The query heads are never cached: count num_kv_heads.",
            lambda c, b: _per_token(replace(c, num_kv_heads=c.num_heads), b),
        ),
        Mistake(
            "head_dim is worked out as d_model // num_heads. It is a field of its own: read "
            "config.head_dim.",
            lambda c, b: _per_token(replace(c, head_dim=max(1, c.d_model // c.num_heads)), b),
        ),
        Mistake(
            "one layer is counted: every layer caches keys and values of its own.",
            lambda c, b: _per_token(c, b) / c.num_layers,
        ),
        Mistake(
            "a whole d_model is counted for K and for V. That fits MHA alone: a token keeps "
            "num_kv_heads * head_dim numbers of each.",
            lambda c, b: 2 * c.num_layers * c.d_model * b,
        ),
        Mistake(
            "bytes_per_element is cut to a whole number, so that 0.5 (4 bits) becomes 0.",
            lambda c, b: _per_token(c, int(b)),
        ),
        Mistake(
            "bytes_per_element is taken for bits and divided by 8. It is in bytes already.",
            lambda c, b: _per_token(c, b) / 8,
        ),
        Mistake(
            "bytes are turned into bits: bytes_per_element is in bytes, and so is the result.",
            lambda c, b: _per_token(c, b) * 8,
        ),
        Mistake(
            "the result is divided by 1024: it should be bytes, not KiB.",
            lambda c, b: _per_token(c, b) / 1024,
        ),
    ),
)


# kv_cache_bytes


def _batch(generator, lengths=None, b=2, draw=0, shared_draw=False, latent_draw=False, **sizes):
    """Return a config, a list of lengths and bytes per element, given or the `draw`-th drawn."""
    if not draw:
        given = _lengths(generator) if lengths is None else list(lengths)
        return _toy(**sizes), given, b
    for _ in range(draw):
        sizes = _drawn(generator, windows=not latent_draw, shared=shared_draw, latent=latent_draw)
        lengths, b = _lengths(generator), _bytes(generator)
    return _toy(**sizes), lengths, b


def _no_window(config, layer):
    return None


def _window(config, layer):
    return None if config.windows is None else config.windows[layer]


def _elements(config: ModelConfig) -> int:
    if config.kv_lora_rank is not None:
        return config.kv_lora_rank + config.rope_head_dim
    return 2 * config.num_kv_heads * config.head_dim


def _cache(
    config: ModelConfig,
    lengths: list[int],
    b: float,
    *,
    window: Callable = _window,
    layers: Callable = lambda c: range(c.num_layers - c.shared_kv_layers),
    elements: Callable = _elements,
    cut: Callable = min,
) -> float:
    """Return the cache's bytes, counted layer by layer; each decision can be taken wrongly."""
    total = Fraction(0)
    for layer in layers(config):
        for length in lengths:
            limit = window(config, layer)
            kept = length if limit is None else cut(length, limit)
            total += kept * elements(config) * Fraction(b)
    return float(total)


def _every_layer_cut(config, layer):
    return min((w for w in config.windows or () if w is not None), default=None)


def _first_layers_window(config, layer):
    return None if config.windows is None else config.windows[0]


def _window_over_the_sum(config, lengths, b):
    return _cache(config, [sum(lengths)], b)


def _average(config, lengths, b):
    if not lengths:
        return 0.0
    return _cache(config, [sum(lengths) / len(lengths)] * len(lengths), b)


def _longest(config, lengths, b):
    return _cache(config, [max(lengths, default=0)] * len(lengths), b)


_PLAIN_MISTAKES = (
    Mistake(
        "the windows are ignored: a layer with a window keeps at most that many tokens of each "
        "sequence.",
        lambda c, n, b: _cache(c, n, b, window=_no_window),
    ),
    Mistake(
        "every layer is cut to the window. The layers whose entry in config.windows is None keep "
        "all tokens.",
        lambda c, n, b: _cache(c, n, b, window=_every_layer_cut),
    ),
    Mistake(
        "the first layer's window is used for all layers: config.windows has one entry per layer.",
        lambda c, n, b: _cache(c, n, b, window=_first_layers_window),
    ),
    Mistake(
        "the window cuts the sum of the lengths. It cuts each sequence on its own: two sequences "
        "of 8 under a window of 8 keep 16 tokens.",
        _window_over_the_sum,
    ),
    Mistake(
        "the larger of length and window is taken: a layer keeps the smaller.",
        lambda c, n, b: _cache(c, n, b, cut=max),
    ),
    Mistake(
        "a layer with a window always keeps a full window, even of a shorter sequence.",
        lambda c, n, b: _cache(c, n, b, cut=lambda length, window: window),
    ),
    Mistake(
        "only the first sequence is counted: context_lengths is a list, and all of them are in "
        "the cache together.",
        lambda c, n, b: _cache(c, n[:1], b),
    ),
    Mistake(
        "the average length stands for every sequence. A window cuts long sequences and not "
        "short ones, so the average is not enough.",
        _average,
    ),
    Mistake(
        "every sequence is counted at the length of the longest: that is padding, which a cache "
        "need not hold.",
        _longest,
    ),
    Mistake(
        "the layers that keep every token (None in config.windows) are left out.",
        lambda c, n, b: _cache(
            c, n, b, window=lambda c, i: None if c.windows is None else c.windows[i] or 0
        ),
    ),
    Mistake(
        "the keys are counted and the values are not: a factor of 2.",
        lambda c, n, b: _cache(c, n, b, elements=lambda c: c.num_kv_heads * c.head_dim),
    ),
    Mistake(
        "num_heads is used. The query heads are never cached: count num_kv_heads.",
        lambda c, n, b: _cache(c, n, b, elements=lambda c: 2 * c.num_heads * c.head_dim),
    ),
    Mistake(
        "head_dim is worked out as d_model // num_heads. It is a field of its own.",
        lambda c, n, b: _cache(
            c, n, b, elements=lambda c: 2 * c.num_kv_heads * (c.d_model // c.num_heads)
        ),
    ),
    Mistake(
        "bytes_per_element is cut to a whole number, so that 0.5 (4 bits) becomes 0.",
        lambda c, n, b: _cache(c, n, int(b)),
    ),
)

_WINDOWED = {"L": 4, "Hq": 6, "Hkv": 2, "D": 5, "d_model": 48, "windows": (4, None, 4, 9)}

KV_CACHE_BYTES = Exercise(
    name="kv_cache_bytes",
    lesson=_LESSON,
    make=_batch,
    oracle=_cache,
    call=_call,
    cases=(
        {**_WINDOWED, "lengths": (3, 7, 20), "b": 2},
        {"L": 3, "Hq": 12, "Hkv": 3, "D": 7, "d_model": 99, "lengths": (11, 4), "b": 0.5},
        {"L": 2, "Hq": 10, "Hkv": 1, "D": 3, "d_model": 70, "windows": (6, 6), "lengths": (9, 2)},
        {**_WINDOWED, "lengths": (), "b": 4},
        {**_WINDOWED, "windows": (None, 8, None, 2), "lengths": (30, 1, 8, 8), "b": 0.75},
        {"draw": 1},
    ),
    mistakes=_PLAIN_MISTAKES,
)

_SHARED = {"L": 5, "Hq": 8, "Hkv": 2, "D": 3, "d_model": 40}
_SHARED_WINDOWS = {**_SHARED, "windows": (4, 4, 4, None, 6)}

KV_CACHE_BYTES_SHARED = Exercise(
    name="kv_cache_bytes-shared",
    lesson=_LESSON,
    make=_batch,
    oracle=_cache,
    call=_call,
    cases=(
        {**_SHARED_WINDOWS, "shared": 2, "lengths": (9, 3)},
        {**_SHARED, "shared": 3, "lengths": (5, 12, 1), "b": 0.5},
        {**_SHARED_WINDOWS, "shared": 1, "lengths": (20,), "b": 4},
        {**_SHARED_WINDOWS, "lengths": (7, 2), "b": 1},
        {"draw": 1, "shared_draw": True},
    ),
    mistakes=(
        Mistake(
            "shared_kv_layers is ignored: that many layers, the last ones, keep nothing.",
            lambda c, n, b: _cache(c, n, b, layers=lambda c: range(c.num_layers)),
        ),
        Mistake(
            "the first layers are left out. It is the last shared_kv_layers that keep nothing: "
            "they reuse what earlier layers kept.",
            lambda c, n, b: _cache(
                c, n, b, layers=lambda c: range(c.shared_kv_layers, c.num_layers)
            ),
        ),
        Mistake(
            "the shared layers are taken off twice.",
            lambda c, n, b: _cache(
                c, n, b, layers=lambda c: range(c.num_layers - 2 * c.shared_kv_layers)
            ),
        ),
        Mistake(
            "the whole is scaled by the share of layers that cache. Layers differ in their "
            "windows: leave the last ones out instead.",
            lambda c, n, b: (
                _cache(c, n, b, layers=lambda c: range(c.num_layers))
                * (c.num_layers - c.shared_kv_layers)
                / c.num_layers
            ),
        ),
        Mistake(
            "the shared layers alone are counted: they are the ones that keep nothing.",
            lambda c, n, b: _cache(
                c, n, b, layers=lambda c: range(c.num_layers - c.shared_kv_layers, c.num_layers)
            ),
        ),
        *_PLAIN_MISTAKES,
    ),
)

_LATENT = {"L": 3, "Hq": 8, "Hkv": 8, "D": 7, "d_model": 40, "latent": 11, "rope": 3}

KV_CACHE_BYTES_MLA = Exercise(
    name="kv_cache_bytes-mla",
    lesson=_LESSON,
    make=_batch,
    oracle=_cache,
    call=_call,
    cases=(
        {**_LATENT, "lengths": (6, 13)},
        {**_LATENT, "L": 5, "Hq": 4, "Hkv": 4, "rope": 4, "lengths": (10,), "b": 0.75},
        {**_LATENT, "latent": 20, "windows": (4, None, 4), "lengths": (9, 2), "b": 1},
        {**_LATENT, "shared": 1, "lengths": (5, 3), "b": 4},
        {"draw": 1, "latent_draw": True},
    ),
    mistakes=(
        Mistake(
            "full heads are counted: with MLA each layer keeps one latent and one RoPE key per "
            "token, kv_lora_rank + rope_head_dim numbers in all.",
            lambda c, n, b: _cache(c, n, b, elements=lambda c: 2 * c.num_kv_heads * c.head_dim),
        ),
        Mistake(
            "the latent is doubled. Keys and values are both made from the same latent: no "
            "factor of 2.",
            lambda c, n, b: _cache(c, n, b, elements=lambda c: 2 * _elements(c)),
        ),
        Mistake(
            "the latent is counted twice and the RoPE key once. Keys and values are both made "
            "from the one latent.",
            lambda c, n, b: _cache(
                c, n, b, elements=lambda c: 2 * c.kv_lora_rank + c.rope_head_dim
            ),
        ),
        Mistake(
            "the latent is counted once per head: all heads share it.",
            lambda c, n, b: _cache(c, n, b, elements=lambda c: c.num_heads * _elements(c)),
        ),
        Mistake(
            "the RoPE key is counted once per head: all heads share it.",
            lambda c, n, b: _cache(
                c, n, b, elements=lambda c: c.kv_lora_rank + c.num_heads * c.rope_head_dim
            ),
        ),
        Mistake(
            "the RoPE key is forgotten: rope_head_dim more numbers per token and layer.",
            lambda c, n, b: _cache(c, n, b, elements=lambda c: c.kv_lora_rank),
        ),
        Mistake(
            "the latent is added to full heads: it is kept instead of them.",
            lambda c, n, b: _cache(
                c, n, b, elements=lambda c: _elements(c) + 2 * c.num_kv_heads * c.head_dim
            ),
        ),
    ),
)


# max_concurrent_sequences


def _capacity(generator, fits=0, spare=0.0, n=10, weights=1000, b=2, draw=0, **sizes):
    """Return arguments where `fits` sequences fit, and `spare` of another one beside them.

    Drawn ones have a window or not, weights that differ, and space for up to 30 sequences.
    """
    for _ in range(draw):
        numbers = torch.rand(6, generator=generator).tolist()
        sizes, b = _drawn(generator, windows=numbers[0] < 0.5), _bytes(generator)
        fits, spare = int(numbers[1] * 30), (0.0, 0.3, 0.8)[int(numbers[2] * 3)]
        weights, n = 1 + int(numbers[3] * 10**5), 1 + int(numbers[4] * 40)
    config = _toy(**sizes)
    free = (fits + spare) * _cache(config, [n], b)
    return config, weights + free, n, weights, b


def _how_many(
    config: ModelConfig,
    memory: float,
    n: int,
    weights: float,
    b: float,
    *,
    whole: Callable = math.floor,
    window: Callable = _window,
    least: int | None = 0,
) -> int:
    each = Fraction(_cache(config, [n], b, window=window))
    fits = whole((Fraction(memory) - Fraction(weights)) / each)
    return fits if least is None else max(least, fits)


_SMALL = {"L": 3, "Hq": 6, "Hkv": 2, "D": 5, "d_model": 48}

MAX_CONCURRENT_SEQUENCES = Exercise(
    name="max_concurrent_sequences",
    lesson=_LESSON,
    make=_capacity,
    oracle=_how_many,
    call=_call,
    cases=(
        {**_SMALL, "fits": 7, "spare": 0.75, "n": 10, "weights": 50_000},
        {**_SMALL, "fits": 5, "spare": 0.25, "n": 12, "weights": 2_000, "b": 0.5},
        {**_SMALL, "fits": 12, "n": 9, "weights": 40_000, "b": 1},
        {**_SMALL, "fits": 12, "spare": -1 / 2**20, "n": 9, "weights": 40_000, "b": 1},
        {**_SMALL, "fits": 0, "spare": 0.5, "n": 10, "weights": 3_000},
        {**_SMALL, "fits": -4, "spare": 0.4, "n": 10, "weights": 30_000},
        {**_SMALL, "windows": (4, None, 4), "fits": 9, "spare": 0.5, "n": 25, "weights": 20_000},
        {"draw": 1},
    ),
    mistakes=(
        Mistake(
            "the weights are ignored: they sit in the same memory and come off first.",
            lambda c, m, n, w, b: _how_many(c, m, n, 0, b),
        ),
        Mistake(
            "the result is rounded to the nearest. 7.75 sequences are 7: three quarters of a "
            "cache serve nobody.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, whole=round),
        ),
        Mistake(
            "the result is rounded up: a sequence that fits in part does not fit.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, whole=math.ceil),
        ),
        Mistake(
            "the result goes below zero when the weights alone do not fit. No sequences fit: 0.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, least=None),
        ),
        Mistake(
            "at least one sequence is promised: it can be 0.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, least=1),
        ),
        Mistake(
            "every sequence is charged for the weights: they are in memory once.",
            lambda c, m, n, w, b: math.floor(m / (w + _cache(c, [n], b))),
        ),
        Mistake(
            "tokens are counted: divide by the cache of a whole sequence, not of one token.",
            lambda c, m, n, w, b: _how_many(c, m, 1, w, b, window=_no_window),
        ),
        Mistake(
            "the windows are ignored: kv_cache_bytes knows how much one sequence keeps.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, window=_no_window),
        ),
        Mistake(
            "an exact fit is not counted: when the last sequence fills the memory, it fits.",
            lambda c, m, n, w, b: max(
                0, math.ceil((Fraction(m) - Fraction(w)) / Fraction(_cache(c, [n], b))) - 1
            ),
        ),
        Mistake(
            "the weights are added to the memory: they come off it.",
            lambda c, m, n, w, b: _how_many(c, m, n, -w, b),
        ),
    ),
)


# read_kv_shape


def _hf(generator, kind="", Hq=0, Hkv=0, D=0, d_model=0, draw=0):
    """Return a parsed config.json of one kind, with sizes given or drawn."""
    for _ in range(draw):
        sizes = _drawn(generator)
        Hq, Hkv, D, d_model = (sizes[key] for key in ("Hq", "Hkv", "D", "d_model"))
        kind = _KINDS[int(torch.randint(len(_KINDS), (1,), generator=generator))]
    hf = {"num_hidden_layers": 3, "hidden_size": d_model, "num_attention_heads": Hq}
    if kind in ("falcon", "falcon-new", "falcon-mha"):
        hf |= {"model_type": "falcon", "hidden_size": Hq * D}
        hf |= {
            "falcon": {"num_kv_heads": Hq, "multi_query": True, "new_decoder_architecture": False},
            "falcon-new": {
                "num_kv_heads": Hkv,
                "multi_query": True,
                "new_decoder_architecture": True,
            },
            "falcon-mha": {
                "num_kv_heads": Hq,
                "multi_query": False,
                "new_decoder_architecture": False,
            },
        }[kind]
        return (hf,)
    hf |= {"model_type": "llama"}
    if kind not in ("no-kv", "neither"):
        hf["num_key_value_heads"] = None if kind == "null-kv" else Hkv
    if kind not in ("derived", "neither"):
        hf["head_dim"] = None if kind == "null-dim" else D
    return (hf,)


_KINDS = (
    "explicit",
    "derived",
    "no-kv",
    "neither",
    "null-kv",
    "null-dim",
    "falcon",
    "falcon-new",
    "falcon-mha",
)


def _kv_shape(
    hf: dict, *, flags: str = "both", missing: Callable = lambda heads: heads, dim: str = "read"
) -> tuple:
    heads = hf["num_attention_heads"]
    kv_heads = missing(heads)
    for key in ("num_key_value_heads", "num_kv_heads"):
        if hf.get(key) is not None:
            kv_heads = hf[key]
    old = not hf.get("new_decoder_architecture", False) or flags == "multi_query alone"
    if hf.get("multi_query", False) and old and flags != "none":
        kv_heads = 1
    size = hf.get("head_dim") if dim != "derived" else None
    if size is None and dim != "raw":
        size = hf["hidden_size"] // heads
    return kv_heads, size


READ_KV_SHAPE = Exercise(
    name="read_kv_shape",
    lesson=_LESSON,
    make=_hf,
    oracle=_kv_shape,
    cases=tuple(
        {"kind": kind, "Hq": Hq, "Hkv": Hkv, "D": D, "d_model": d_model}
        for kind, Hq, Hkv, D, d_model in (
            ("explicit", 16, 8, 24, 160),
            ("derived", 12, 3, 9, 132),
            ("no-kv", 10, 5, 7, 110),
            ("neither", 14, 2, 5, 154),
            ("falcon", 71, 1, 8, 0),
            ("falcon-new", 24, 4, 6, 0),
            ("falcon-mha", 18, 3, 4, 0),
            ("null-kv", 9, 3, 11, 117),
            ("null-dim", 20, 4, 13, 300),
        )
    ),
    mistakes=(
        Mistake(
            "the number in the file is believed although the model ignores it: with multi_query "
            "on and new_decoder_architecture off there is 1 KV head.",
            lambda hf: _kv_shape(hf, flags="none"),
        ),
        Mistake(
            "multi_query alone decides. With new_decoder_architecture on, num_kv_heads counts.",
            lambda hf: _kv_shape(hf, flags="multi_query alone"),
        ),
        Mistake(
            "head_dim is always worked out as hidden_size // num_attention_heads. When the file "
            "gives it, it need not be that.",
            lambda hf: _kv_shape(hf, dim="derived"),
        ),
        Mistake(
            "a file without head_dim gives None: work it out, hidden_size // num_attention_heads.",
            lambda hf: _kv_shape(hf, dim="raw"),
        ),
        Mistake(
            "no word on KV heads is taken for one KV head. It means MHA: as many as query heads.",
            lambda hf: _kv_shape(hf, missing=lambda heads: 1),
        ),
        Mistake(
            "no word on KV heads gives None. It means MHA: as many as query heads.",
            lambda hf: _kv_shape(hf, missing=lambda heads: None),
        ),
        Mistake(
            "the query heads are counted.",
            lambda hf: (hf["num_attention_heads"], _kv_shape(hf)[1]),
        ),
        Mistake(
            "the two results are swapped: num_kv_heads comes first, then head_dim.",
            lambda hf: _kv_shape(hf)[::-1],
        ),
        Mistake(
            "a key that is there with the value null is believed. hf.get(key, default) gives the "
            "default only when the key is absent; null arrives as None.",
            lambda hf: (
                None
                if hf.get("num_key_value_heads", 0) is None and "num_kv_heads" not in hf
                else _kv_shape(hf)[0],
                None if hf.get("head_dim", 0) is None else _kv_shape(hf)[1],
            ),
        ),
        Mistake(
            "num_kv_heads, Falcon's name for it, is not read.",
            lambda hf: _kv_shape({k: v for k, v in hf.items() if k != "num_kv_heads"}),
        ),
    ),
)


# kv_heads_in_weights


def _weight(generator, heads=0, copies=1, D=0, d_model=0, alike="", dtype="float32", draw=0):
    """Return k_proj's weight with `copies` equal neighbours of each head, and head_dim.

    `alike`: what different heads have in common all the same: their first row, their last row, or
    the numbers they consist of in another order.
    """
    for _ in range(draw):
        numbers = torch.randint(0, 10**6, (5,), generator=generator).tolist()
        heads, copies = 1 + numbers[0] % 6, 1 + numbers[1] % 4
        D, d_model = 2 + numbers[2] % 5, 8 + numbers[3] % 20
        alike = ("", "first", "last", "order")[numbers[4] % 4]
    rows = torch.randn((heads, D, d_model), generator=generator, dtype=torch.float64)
    rows = (rows * 8).round() / 8  # exact in any dtype and any order of summing
    if alike == "first":
        rows[:, 0] = rows[0, 0].clone()
    elif alike == "last":
        rows[:, -1] = rows[0, -1].clone()
    elif alike == "order":
        for head in range(1, heads):
            rows[head] = rows[head - 1].roll(1, dims=-1)
    weight = torch.stack([rows[head] for head in range(heads) for _ in range(copies)])
    return weight.flatten(0, 1).to(getattr(torch, dtype)), D


def _distinct(weight: torch.Tensor, head_dim: int) -> int:
    count, before = 0, None
    for start in range(0, weight.shape[0], head_dim):
        head = weight[start : start + head_dim].tolist()
        count += head != before
        before = head
    return count


def _heads(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    return weight.cpu().double().reshape(-1, head_dim, weight.shape[1])


KV_HEADS_IN_WEIGHTS = Exercise(
    name="kv_heads_in_weights",
    lesson=_LESSON,
    make=_weight,
    oracle=_distinct,
    call=_call,
    cases=(
        {"heads": 4, "copies": 2, "D": 3, "d_model": 14},
        {"heads": 5, "D": 4, "d_model": 26},
        {"heads": 3, "copies": 4, "D": 2, "d_model": 10, "dtype": "float16"},
        {"heads": 1, "copies": 6, "D": 5, "d_model": 9},
        {"heads": 4, "copies": 2, "D": 3, "d_model": 7, "alike": "first"},
        {"heads": 5, "copies": 3, "D": 3, "d_model": 7, "alike": "last"},
        {"heads": 6, "copies": 2, "D": 2, "d_model": 9, "alike": "order", "dtype": "float64"},
        {"draw": 3},
    ),
    mistakes=(
        Mistake(
            "every head is counted, copies included: neighbouring heads that are equal are one "
            "KV head, kept twice for sharding.",
            lambda k, D: k.shape[0] // D,
        ),
        Mistake(
            "distinct rows are counted and divided by head_dim. Two different heads may have a "
            "row in common: compare whole heads, head_dim rows each.",
            lambda k, D: int(torch.unique(k.cpu().double(), dim=0).shape[0]) // D,
        ),
        Mistake(
            "rows are counted, not heads: a head is head_dim rows.",
            lambda k, D: int(torch.unique(k.cpu().double(), dim=0).shape[0]),
        ),
        Mistake(
            "only the first row of each head is compared: heads that begin alike may differ "
            "further on.",
            lambda k, D: int(torch.unique(_heads(k, D)[:, 0], dim=0).shape[0]),
        ),
        Mistake(
            "only the last row of each head is compared: heads that end alike may differ before.",
            lambda k, D: int(torch.unique(_heads(k, D)[:, -1], dim=0).shape[0]),
        ),
        Mistake(
            "heads are compared by a sum: different heads may have the same sum.",
            lambda k, D: int(torch.unique(_heads(k, D).sum((1, 2))).shape[0]),
        ),
        Mistake(
            "the columns are counted: d_model is what goes in. The heads lie along the first "
            "axis, (num_kv_heads * head_dim, d_model).",
            lambda k, D: k.shape[1] // D,
        ),
        Mistake(
            "the copies of the first head are counted, not the heads.",
            lambda k, D: int((_heads(k, D) == _heads(k, D)[0]).all(-1).all(-1).sum()),
        ),
        Mistake(
            "the heads are halved once their first two are equal: there may be more than two "
            "copies.",
            lambda k, D: (
                len(_heads(k, D)) // 2
                if len(_heads(k, D)) > 1 and torch.equal(*_heads(k, D)[:2])
                else len(_heads(k, D))
            ),
        ),
    ),
)

EXERCISES = [
    KV_BYTES_PER_TOKEN,
    KV_CACHE_BYTES,
    KV_CACHE_BYTES_SHARED,
    KV_CACHE_BYTES_MLA,
    MAX_CONCURRENT_SEQUENCES,
    READ_KV_SHAPE,
    KV_HEADS_IN_WEIGHTS,
]

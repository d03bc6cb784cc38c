"""Lesson 05: the bytes of a KV cache: windows, layers that share K and V, latents."""

from .exercise import Exercise, Mistake
from .toys import (
    cache_bytes,
    cached_elements,
    call,
    drawn,
    drawn_bytes,
    drawn_lengths,
    no_window,
    toy,
)

_LESSON = "05-kv-footprint"


def _batch(generator, lengths=None, b=2, draw=0, shared_draw=False, latent_draw=False, **sizes):
    """Return a config, a list of lengths and bytes per element, given or the `draw`-th drawn."""
    if not draw:
        given = drawn_lengths(generator) if lengths is None else list(lengths)
        return toy(**sizes), given, b
    for _ in range(draw):
        sizes = drawn(generator, windows=not latent_draw, shared=shared_draw, latent=latent_draw)
        lengths, b = drawn_lengths(generator), drawn_bytes(generator)
    return toy(**sizes), lengths, b


def _every_layer_cut(config, layer):
    return min((w for w in config.windows or () if w is not None), default=None)


def _first_layers_window(config, layer):
    return None if config.windows is None else config.windows[0]


def _window_over_the_sum(config, lengths, b):
    return cache_bytes(config, [sum(lengths)], b)


def _average(config, lengths, b):
    if not lengths:
        return 0.0
    return cache_bytes(config, [sum(lengths) / len(lengths)] * len(lengths), b)


def _full_heads(config):
    return 2 * config.num_kv_heads * config.head_dim


def _longest(config, lengths, b):
    return cache_bytes(config, [max(lengths, default=0)] * len(lengths), b)


_PLAIN_MISTAKES = (
    Mistake(
        "the list of layers is cut at [:-shared_kv_layers]. Where none are shared that is [:-0], "
        "and nothing is left: cut at num_layers - shared_kv_layers.",
        lambda c, n, b: cache_bytes(c, n, b) if c.shared_kv_layers else 0.0,
    ),
    Mistake(
        "the windows are ignored: a layer with a window keeps at most that many tokens of each "
        "sequence.",
        lambda c, n, b: cache_bytes(c, n, b, window=no_window),
    ),
    Mistake(
        "every layer is cut to the window. The layers whose entry in config.windows is None keep "
        "all tokens.",
        lambda c, n, b: cache_bytes(c, n, b, window=_every_layer_cut),
    ),
    Mistake(
        "the first layer's window is used for all layers: config.windows has one entry per layer.",
        lambda c, n, b: cache_bytes(c, n, b, window=_first_layers_window),
    ),
    Mistake(
        "the window cuts the sum of the lengths. It cuts each sequence on its own: two sequences "
        "of 8 under a window of 8 keep 16 tokens.",
        _window_over_the_sum,
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
        "only the first sequence is counted: context_lengths is a list, and all of them are in "
        "the cache together.",
        lambda c, n, b: cache_bytes(c, n[:1], b),
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
        lambda c, n, b: cache_bytes(
            c, n, b, window=lambda c, i: None if c.windows is None else c.windows[i] or 0
        ),
    ),
    Mistake(
        "the keys are counted and the values are not: a factor of 2.",
        lambda c, n, b: cache_bytes(c, n, b, elements=lambda c: c.num_kv_heads * c.head_dim),
    ),
    Mistake(
        "num_heads is used. The query heads are never cached: count num_kv_heads.",
        lambda c, n, b: cache_bytes(c, n, b, elements=lambda c: 2 * c.num_heads * c.head_dim),
    ),
    Mistake(
        "head_dim is worked out as d_model // num_heads. It is a field of its own.",
        lambda c, n, b: cache_bytes(
            c, n, b, elements=lambda c: 2 * c.num_kv_heads * (c.d_model // c.num_heads)
        ),
    ),
    Mistake(
        "bytes_per_element is cut to a whole number, so that 0.5 (4 bits) becomes 0.",
        lambda c, n, b: cache_bytes(c, n, int(b)),
    ),
)

_WINDOWED = {"L": 4, "Hq": 6, "Hkv": 2, "D": 5, "d_model": 48, "windows": (4, None, 4, 9)}

KV_CACHE_BYTES = Exercise(
    name="kv_cache_bytes",
    lesson=_LESSON,
    make=_batch,
    oracle=cache_bytes,
    call=call,
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
    oracle=cache_bytes,
    call=call,
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
            lambda c, n, b: cache_bytes(c, n, b, layers=lambda c: range(c.num_layers)),
        ),
        Mistake(
            "the first layers are left out. It is the last shared_kv_layers that keep nothing: "
            "they reuse what earlier layers kept.",
            lambda c, n, b: cache_bytes(
                c, n, b, layers=lambda c: range(c.shared_kv_layers, c.num_layers)
            ),
        ),
        Mistake(
            "the shared layers are taken off twice.",
            lambda c, n, b: cache_bytes(
                c, n, b, layers=lambda c: range(c.num_layers - 2 * c.shared_kv_layers)
            ),
        ),
        Mistake(
            "the whole is scaled by the share of layers that cache. Layers differ in their "
            "windows: leave the last ones out instead.",
            lambda c, n, b: (
                cache_bytes(c, n, b, layers=lambda c: range(c.num_layers))
                * (c.num_layers - c.shared_kv_layers)
                / c.num_layers
            ),
        ),
        Mistake(
            "the shared layers alone are counted: they are the ones that keep nothing.",
            lambda c, n, b: cache_bytes(
                c, n, b, layers=lambda c: range(c.num_layers)[-c.shared_kv_layers :]
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
    oracle=cache_bytes,
    call=call,
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
            lambda c, n, b: cache_bytes(
                c, n, b, elements=lambda c: 2 * c.num_kv_heads * c.head_dim
            ),
        ),
        Mistake(
            "the latent is doubled. Keys and values are both made from the same latent: no "
            "factor of 2.",
            lambda c, n, b: cache_bytes(c, n, b, elements=lambda c: 2 * cached_elements(c)),
        ),
        Mistake(
            "the latent is counted twice and the RoPE key once. Keys and values are both made "
            "from the one latent.",
            lambda c, n, b: cache_bytes(
                c, n, b, elements=lambda c: 2 * c.kv_lora_rank + c.rope_head_dim
            ),
        ),
        Mistake(
            "the latent is counted once per head: all heads share it.",
            lambda c, n, b: cache_bytes(
                c, n, b, elements=lambda c: c.num_heads * cached_elements(c)
            ),
        ),
        Mistake(
            "the RoPE key is counted once per head: all heads share it.",
            lambda c, n, b: cache_bytes(
                c, n, b, elements=lambda c: c.kv_lora_rank + c.num_heads * c.rope_head_dim
            ),
        ),
        Mistake(
            "the RoPE key is forgotten: rope_head_dim more numbers per token and layer.",
            lambda c, n, b: cache_bytes(c, n, b, elements=lambda c: c.kv_lora_rank),
        ),
        Mistake(
            "the latent is added to full heads: it is kept instead of them.",
            lambda c, n, b: cache_bytes(
                c, n, b, elements=lambda c: cached_elements(c) + _full_heads(c)
            ),
        ),
    ),
)

EXERCISES = [KV_CACHE_BYTES, KV_CACHE_BYTES_SHARED, KV_CACHE_BYTES_MLA]

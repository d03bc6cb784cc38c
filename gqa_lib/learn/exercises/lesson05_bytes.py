"""Lesson 05: the bytes of a KV cache whose layers differ, share, or keep a latent."""

from dataclasses import replace

from gqa_lib.configs import ModelConfig, load_model

from .exercise import Exercise
from .stacks import drawn_stack
from .toys import cache_bytes, call, drawn, drawn_bytes, drawn_lengths, toy
from .wrong_bytes import LATENT_MISTAKES, PLAIN_MISTAKES, SHARED_MISTAKES

_LESSON = "05-kv-footprint"
_STACKS = ("uniform", "mix", "gemma", "qwen", "mix")


def _batch(generator, lengths=None, b=2, draw=0, shared_draw=False, latent_draw=False, **sizes):
    """Return a config, a list of lengths and bytes per element, given or the `draw`-th drawn.

    Every fifth is uniform, and so are two of three with shared layers or latents; the rest are
    made-up mixes of layers, or in the order of Gemma 4 and Qwen3.5.
    """
    if not draw:
        given = drawn_lengths(generator) if lengths is None else list(lengths)
        return _config(**sizes), given, b
    stack = _STACKS[draw % 5]
    if shared_draw or latent_draw:
        stack = "uniform" if draw % 3 == 0 else "mix"
    for _ in range(draw):
        if stack == "uniform":
            sizes = drawn(
                generator, windows=not latent_draw, shared=shared_draw, latent=latent_draw
            )
        else:
            sharing = shared_draw or (latent_draw and draw % 3 == 2)
            sizes = drawn_stack(generator, stack, shared=sharing, latent=latent_draw)
        lengths, b = drawn_lengths(generator), drawn_bytes(generator)
    return toy(**sizes), lengths, b


def _config(model: str = "", **sizes) -> ModelConfig:
    if model:
        return replace(load_model(model), name=f"load_model({model!r})")
    return toy(**sizes)


_WINDOWED = {"L": 4, "Hq": 6, "Hkv": 2, "D": 5, "d_model": 48, "windows": (4, None, 4, 9)}
_BY_HAND = "window window=4, full heads=1 k=8 v=8, none state=96"  # as in the lesson
_TWO_KINDS = {"L": 3, "Hq": 6, "Hkv": 2, "D": 5, "d_model": 48}

KV_CACHE_BYTES = Exercise(
    name="kv_cache_bytes",
    lesson=_LESSON,
    make=_batch,
    oracle=cache_bytes,
    call=call,
    cases=(
        {**_TWO_KINDS, "layers": _BY_HAND, "lengths": (10, 3)},
        {**_WINDOWED, "lengths": (3, 7, 20), "b": 2},
        {"L": 3, "Hq": 12, "Hkv": 3, "D": 7, "d_model": 99, "lengths": (11, 4), "b": 0.5},
        {"L": 2, "Hq": 10, "Hkv": 1, "D": 3, "d_model": 70, "windows": (6, 6), "lengths": (9, 2)},
        {**_WINDOWED, "lengths": (), "b": 4},
        {"model": "Gemma-4-31B", "lengths": (3000, 700), "b": 1},
        {"model": "Qwen3.5-27B", "lengths": (5000, 64), "b": 0.5},
        {
            **_TWO_KINDS,
            "L": 5,
            "layers": "chunk heads=3 k=6 v=4 window=8, none state=96, full k=4 v=7, none, "
            "window heads=1 k=3 v=3 window=2",
            "lengths": (30, 1, 8, 8),
            "b": 0.75,
        },
        {"draw": 1},
    ),
    mistakes=PLAIN_MISTAKES,
)

_SHARED = {"L": 5, "Hq": 8, "Hkv": 2, "D": 3, "d_model": 40}
_SHARED_WINDOWS = {**_SHARED, "windows": (4, 4, 4, None, 6)}
_SHARED_MIX = {
    **_TWO_KINDS,
    "L": 6,
    "layers": "full heads=1 k=8 v=6, full heads=1 k=8 v=6 shares=0, window window=4, none, "
    "window window=4 shares=2, full heads=3 k=2 v=2",
}

KV_CACHE_BYTES_SHARED = Exercise(
    name="kv_cache_bytes-shared",
    lesson=_LESSON,
    make=_batch,
    oracle=cache_bytes,
    call=call,
    cases=(
        {
            **_TWO_KINDS,
            "L": 4,
            "layers": f"{_BY_HAND}, window window=4 shares=0",
            "lengths": (10, 3),
        },
        {**_SHARED_WINDOWS, "shared": 2, "lengths": (9, 3)},
        {**_SHARED, "shared": 3, "lengths": (5, 12, 1), "b": 0.5},
        {**_SHARED_MIX, "lengths": (20, 2), "b": 4},
        {**_SHARED_WINDOWS, "lengths": (7, 2), "b": 1},
        {"draw": 1, "shared_draw": True},
    ),
    mistakes=(*SHARED_MISTAKES, *PLAIN_MISTAKES),
)

_LATENT = {"L": 3, "Hq": 8, "Hkv": 8, "D": 7, "d_model": 40, "latent": 11, "rope": 3}
_LATENT_MIX = {"L": 6, "Hq": 6, "Hkv": 6, "D": 5, "d_model": 48}

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
        {
            **_LATENT_MIX,
            "layers": "none state=64, latent k=14 rope=3, latent k=12 rope=2 window=9, "
            "window heads=2 k=7 v=4 window=3, chunk heads=3 k=4 v=4 window=5, full heads=1 k=5 v=6",
            "lengths": (8, 21),
            "b": 0.5,
        },
        {"draw": 1, "latent_draw": True},
    ),
    mistakes=(*LATENT_MISTAKES, *PLAIN_MISTAKES),
)

EXERCISES = [KV_CACHE_BYTES, KV_CACHE_BYTES_SHARED, KV_CACHE_BYTES_MLA]

"""Lesson 05: the bytes of one token."""

from dataclasses import replace

from gqa_lib.configs import ModelConfig

from .exercise import Exercise, Mistake
from .toys import call, drawn, drawn_bytes, toy

_LESSON = "05-kv-footprint"


def _one_token(generator, b=2, draw=0, **sizes):
    for _ in range(draw):
        sizes, b = drawn(generator), drawn_bytes(generator)
    return toy(**sizes), b


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
    call=call,
    cases=(
        {"L": 3, "Hq": 6, "Hkv": 2, "D": 5, "d_model": 48, "b": 2},
        {"L": 5, "Hq": 12, "Hkv": 3, "D": 7, "d_model": 99, "b": 0.5},
        {"L": 4, "Hq": 10, "Hkv": 10, "D": 3, "d_model": 70, "b": 4},
        {"L": 3, "Hq": 9, "Hkv": 1, "D": 5, "d_model": 200, "b": 0.75},
        {"L": 4, "Hq": 15, "Hkv": 5, "D": 9, "d_model": 150, "b": 1, "windows": (4, None, 2, 4)},
        {"L": 5, "Hq": 6, "Hkv": 3, "D": 4, "d_model": 40, "shared": 2},
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
            "layers that read another's cache are left out. Here every layer keeps "
            "the token; `kv_cache_bytes` leaves those out.",
            lambda c, b: sum(
                layer.num_kv_heads * (layer.k_dim + layer.v_dim) * b
                for layer in c.kv_layers
                if layer.shares is None
            ),
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

EXERCISES = [KV_BYTES_PER_TOKEN]

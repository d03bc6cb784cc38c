"""Lesson 05: how many sequences fit."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import torch

from gqa_lib.configs import ModelConfig

from .exercise import Exercise, Mistake
from .toys import cache_bytes, call, drawn, drawn_bytes, toy

_LESSON = "05-kv-footprint"


def _capacity(generator, fits=0, spare=0.0, n=10, weights=1000, b=2, draw=0, **sizes):
    """Return arguments where `fits` sequences fit, and `spare` of another one with them.

    Drawn ones have windows, a latent, shared layers or none of them, weights that differ, and space
    for up to 30 sequences.
    """
    for _ in range(draw):
        numbers = torch.rand(6, generator=generator).tolist()
        kind = ("", "windows", "shared", "latent")[int(numbers[0] * 4)]
        sizes, b = drawn(generator, **({kind: True} if kind else {})), drawn_bytes(generator)
        fits, spare = int(numbers[1] * 30), (0.0, 0.3, 0.8)[int(numbers[2] * 3)]
        weights, n = 1 + int(numbers[3] * 10**5), 1 + int(numbers[4] * 40)
    config = toy(**sizes)
    free = (fits + spare) * cache_bytes(config, [n], b)
    return config, weights + free, n, weights, b


def _how_many(
    config: ModelConfig,
    memory: float,
    n: int,
    weights: float,
    b: float,
    *,
    whole: Callable = math.floor,
    least: int | None = 0,
) -> int:
    each = Fraction(cache_bytes(config, [n], b))
    fits = whole((Fraction(memory) - Fraction(weights)) / each)
    return fits if least is None else max(least, fits)


def _plain(config: ModelConfig) -> ModelConfig:
    """Return the config as kv_bytes_per_token sees it."""
    return replace(config, windows=None, shared_kv_layers=0, kv_lora_rank=None, rope_head_dim=None)


_SMALL = {"L": 3, "Hq": 6, "Hkv": 2, "D": 5, "d_model": 48}

MAX_CONCURRENT_SEQUENCES = Exercise(
    name="max_concurrent_sequences",
    lesson=_LESSON,
    make=_capacity,
    oracle=_how_many,
    call=call,
    cases=(
        {**_SMALL, "fits": 7, "spare": 0.75, "n": 10, "weights": 50_000},
        {**_SMALL, "fits": 5, "spare": 0.25, "n": 12, "weights": 2_000, "b": 0.5},
        {**_SMALL, "fits": 12, "n": 9, "weights": 40_000, "b": 1},
        {**_SMALL, "fits": 12, "spare": -1 / 2**20, "n": 9, "weights": 40_000, "b": 1},
        {**_SMALL, "fits": 0, "spare": 0.5, "n": 10, "weights": 3_000},
        {**_SMALL, "fits": -4, "spare": 0.4, "n": 10, "weights": 30_000},
        {**_SMALL, "windows": (4, None, 4), "fits": 9, "spare": 0.5, "n": 25, "weights": 20_000},
        {**_SMALL, "shared": 1, "fits": 6, "spare": 0.5, "n": 11, "weights": 9_000},
        {**_SMALL, "Hkv": 6, "latent": 11, "rope": 3, "fits": 8, "spare": 0.5, "weights": 6_000},
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
            "the result may go below zero. Where the weights do not fit, no sequence does: 0.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, least=None),
        ),
        Mistake(
            "at least one sequence is promised: it can be 0.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, least=1),
        ),
        Mistake(
            "every sequence is charged for the weights: they are in memory once.",
            lambda c, m, n, w, b: math.floor(m / (w + cache_bytes(c, [n], b))),
        ),
        Mistake(
            "tokens are counted: divide by the cache of a whole sequence, not of one token.",
            lambda c, m, n, w, b: _how_many(_plain(c), m, 1, w, b),
        ),
        Mistake(
            "the windows are ignored, and all else that lets a layer keep less: kv_cache_bytes "
            "knows how much one sequence keeps.",
            lambda c, m, n, w, b: _how_many(_plain(c), m, n, w, b),
        ),
        Mistake(
            "full heads are counted for a model with MLA, which keeps one latent: kv_cache_bytes "
            "knows how much one sequence keeps.",
            lambda c, m, n, w, b: _how_many(
                replace(c, kv_lora_rank=None, rope_head_dim=None), m, n, w, b
            ),
        ),
        Mistake(
            "the shared layers are counted, too: kv_cache_bytes knows how much one sequence keeps.",
            lambda c, m, n, w, b: _how_many(replace(c, shared_kv_layers=0), m, n, w, b),
        ),
        Mistake(
            "an exact fit is not counted: when the last sequence fills the memory, it fits.",
            lambda c, m, n, w, b: max(
                0, math.ceil((Fraction(m) - Fraction(w)) / Fraction(cache_bytes(c, [n], b))) - 1
            ),
        ),
        Mistake(
            "the weights are added to the memory: they come off it.",
            lambda c, m, n, w, b: _how_many(c, m, n, -w, b),
        ),
    ),
)


EXERCISES = [MAX_CONCURRENT_SEQUENCES]

"""Lesson 05: how many sequences fit."""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import torch

from gqa_lib.configs import ModelConfig

from .exercise import Exercise, Mistake
from .stacks import drawn_stack
from .toys import all_layers, cache_bytes, call, drawn, drawn_bytes, state_bytes, toy
from .wrong_bytes import full_heads_for_a_latent

_LESSON = "05-kv-footprint"


_KINDS = ("", "windows", "shared", "latent", "mix", "gemma", "qwen", "qwen")


def _capacity(generator, fits=0, spare=0.0, n=10, weights=1000, b=2, draw=0, **sizes):
    """Return arguments where `fits` sequences fit, and `spare` of another one with them.

    Drawn ones have windows, a latent, shared layers, layers that differ or none of them, weights
    that differ, and space for up to 30 sequences.
    """
    for _ in range(draw):
        numbers = torch.rand(6, generator=generator).tolist()
        kind = _KINDS[draw % len(_KINDS)]
        if kind in ("mix", "gemma", "qwen"):
            sizes = drawn_stack(generator, kind)
        else:
            sizes = drawn(generator, **({kind: True} if kind else {}))
        b = drawn_bytes(generator)
        fits, spare = int(numbers[1] * 30), (0.0, 0.3, 0.8)[int(numbers[2] * 3)]
        weights, n = 1 + int(numbers[3] * 10**5), 1 + int(numbers[4] * 40)
    config = toy(**sizes)
    free = (fits + spare) * _sequence(config, n, b)
    return config, weights + free, n, weights, b


def _sequence(config: ModelConfig, n: int, b: float, **wrong) -> float:
    """Return the bytes of one sequence: its cache, and the state of layers that have one."""
    return cache_bytes(config, [n], b, **wrong) + state_bytes(config)


def _cache(config: ModelConfig, n: int, b: float) -> float:
    return cache_bytes(config, [n], b)


def _how_many(
    config: ModelConfig,
    memory: float,
    n: int,
    weights: float,
    b: float,
    *,
    whole: Callable = math.floor,
    least: int | None = 0,
    each: Callable = _sequence,
) -> int:
    fits = whole((Fraction(memory) - Fraction(weights)) / Fraction(each(config, n, b)))
    return fits if least is None else max(least, fits)


def _plain(config: ModelConfig, n: int, b: float) -> float:
    """Return the cache as kv_bytes_per_token has it, every layer alike and keeping all."""
    return float(2 * config.num_layers * config.num_kv_heads * config.head_dim * n * b)


def _plain_and_state(config: ModelConfig, n: int, b: float) -> float:
    return _plain(config, n, b) + state_bytes(config)


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
        {**_SMALL, "layers": "2*none state=900, full", "fits": 8, "spare": 0.5, "weights": 7_000},
        {**_SMALL, "layers": "window window=4, full heads=1 k=8 v=6", "fits": 5, "weights": 800},
        {"draw": 4},
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
            "the state is left out. A sequence also holds the constant state of its linear layers: "
            "layer.state_bytes of each.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, each=_cache),
        ),
        Mistake(
            "one state is counted for all: every sequence has a state of its own.",
            lambda c, m, n, w, b: _how_many(c, m, n, w + state_bytes(c), b, each=_cache),
        ),
        Mistake(
            "the state is counted for every token: it is constant, one for each sequence.",
            lambda c, m, n, w, b: _how_many(
                c, m, n, w, b, each=lambda c, n, b: _cache(c, n, b) + n * state_bytes(c)
            ),
        ),
        Mistake(
            "the state is multiplied by bytes_per_element: state_bytes are bytes already.",
            lambda c, m, n, w, b: _how_many(
                c, m, n, w, b, each=lambda c, n, b: _cache(c, n, b) + b * state_bytes(c)
            ),
        ),
        Mistake(
            "every sequence is charged for the weights: they are in memory once.",
            lambda c, m, n, w, b: math.floor(m / (w + _sequence(c, n, b))),
        ),
        Mistake(
            "tokens are counted: divide by what a whole sequence holds, not by one token.",
            lambda c, m, n, w, b: _how_many(c, m, 1, w, b, each=_plain),
        ),
        Mistake(
            "the windows are ignored, and all else that lets a layer keep less: kv_cache_bytes "
            "knows how much one sequence keeps.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, each=_plain_and_state),
        ),
        Mistake(
            "the windows are ignored, and all else that lets a layer keep less, and the state: use "
            "kv_cache_bytes, and add the state of one sequence.",
            lambda c, m, n, w, b: _how_many(c, m, n, w, b, each=_plain),
        ),
        Mistake(
            "full heads are counted for a model with MLA, which keeps one latent: kv_cache_bytes "
            "knows how much one sequence keeps.",
            lambda c, m, n, w, b: _how_many(
                c, m, n, w, b, each=partial(_sequence, elements=full_heads_for_a_latent)
            ),
        ),
        Mistake(
            "the shared layers are counted, too: kv_cache_bytes knows how much one sequence keeps.",
            lambda c, m, n, w, b: _how_many(
                c, m, n, w, b, each=partial(_sequence, layers=all_layers)
            ),
        ),
        Mistake(
            "an exact fit is not counted: when the last sequence fills the memory, it fits.",
            lambda c, m, n, w, b: max(
                0, math.ceil((Fraction(m) - Fraction(w)) / Fraction(_sequence(c, n, b))) - 1
            ),
        ),
        Mistake(
            "the weights are added to the memory: they come off it.",
            lambda c, m, n, w, b: _how_many(c, m, n, -w, b),
        ),
    ),
)


EXERCISES = [MAX_CONCURRENT_SEQUENCES]

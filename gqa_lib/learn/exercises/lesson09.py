"""Lesson 09: what a token leaves in the cache, and a feed-forward block that evens out the size."""

from dataclasses import replace
from fractions import Fraction

import torch

from gqa_lib.configs import ModelConfig

from .exercise import Exercise, Mistake
from .lesson06 import integers

_LESSON = "09-quality"


# Cached numbers


def _two_sizes(generator: torch.Generator, Hkv=0, D=0, draw=0):
    for _ in range(draw):
        Hkv, D = integers(generator, 40, 300)
    return Hkv, D


def _cached_numbers(num_kv_heads, head_dim):
    """Count number by number: a key and a value for each KV head."""
    token = {kind: [[0] * head_dim for _ in range(num_kv_heads)] for kind in ("K", "V")}
    return sum(len(vector) for heads in token.values() for vector in heads)


CACHED_NUMBERS_PER_TOKEN = Exercise(
    name="cached_numbers_per_token",
    lesson=_LESSON,
    make=_two_sizes,
    oracle=_cached_numbers,
    cases=(
        {"Hkv": 2, "D": 5},
        {"Hkv": 8, "D": 64},
        {"Hkv": 1, "D": 128},
        {"Hkv": 7, "D": 1},
        {"Hkv": 3, "D": 2},
    ),
    mistakes=(
        Mistake(
            "only one of K and V is counted: both are kept, and they are as large.",
            lambda Hkv, D: Hkv * D,
        ),
        Mistake(
            "bytes are counted. What is asked for are numbers, whatever each takes.",
            lambda Hkv, D: 4 * Hkv * D,
        ),
        Mistake(
            "bytes of 4 for each number are counted. What is asked for are numbers.",
            lambda Hkv, D: 8 * Hkv * D,
        ),
        Mistake(
            "the query is counted as well. It is used at once and not kept.",
            lambda Hkv, D: 3 * Hkv * D,
        ),
        Mistake(
            "the sizes are added. Each KV head has head_dim numbers in its key: multiply.",
            lambda Hkv, D: 2 * (Hkv + D),
        ),
        Mistake("the KV heads are left out: each has a key and a value.", lambda Hkv, D: 2 * D),
        Mistake("head_dim is left out: a key has head_dim numbers.", lambda Hkv, D: 2 * Hkv),
        Mistake("the product is squared: K and V are added up.", lambda Hkv, D: (Hkv * D) ** 2),
    ),
)


# A feed-forward block for as many parameters


def _shape(generator: torch.Generator, Hq=0, Hkv=0, D=0, d_model=0, d_ff=0, new=1, L=3, draw=0):
    for _ in range(draw):
        new, Hkv = integers(generator, 9, 9)
        more, D, extra, L = integers(generator, 4, 130, 500, 40)
        Hq = new * Hkv * more
        d_model = Hq * D + extra
        d_ff = 2 * Hq * D + integers(generator, 4000)[0]
    sizes = {"num_layers": L, "num_heads": Hq, "num_kv_heads": Hkv, "head_dim": D}
    sizes |= {"d_model": d_model, "d_ff": d_ff}
    spelled = ", ".join(f"{name}={size}" for name, size in sizes.items())
    return ModelConfig(f"ModelConfig('a model', {spelled})", **sizes), new


def _layer_params(config: ModelConfig) -> int:
    """Count the weights of one layer, matrix by matrix."""
    out = {"q": config.num_heads, "k": config.num_kv_heads, "v": config.num_kv_heads}
    attention = [(heads * config.head_dim, config.d_model) for heads in out.values()]
    attention.append((config.d_model, config.num_heads * config.head_dim))  # o
    d_ff = config.d_ff or 0
    gated = [(d_ff, config.d_model)] * 2 + [(config.d_model, d_ff)]
    return sum(rows * columns for rows, columns in attention + gated)


def _even_width(config: ModelConfig, num_kv_heads: int) -> int:
    """Of all widths near the right one, that with the nearest number of parameters."""
    wanted = _layer_params(config)
    narrow = replace(config, num_kv_heads=num_kv_heads, d_ff=1)
    per_channel = _layer_params(replace(narrow, d_ff=2)) - _layer_params(narrow)
    return round(1 + Fraction(wanted - _layer_params(narrow), per_channel))


def _with(
    matrices=3, kinds=2, width=lambda c: c.head_dim, before=lambda c: c.num_kv_heads, cut=round
):
    """A wrong width: another number of matrices, projections, head width or starting point."""
    return lambda config, new: (
        config.d_ff + cut(Fraction(kinds * (before(config) - new) * width(config), matrices))
    )


FFN_WIDTH_FOR_EQUAL_PARAMS = Exercise(
    name="ffn_width_for_equal_params",
    lesson=_LESSON,
    make=_shape,
    oracle=_even_width,
    cases=(
        {"Hq": 6, "Hkv": 6, "D": 10, "d_model": 48, "d_ff": 131, "new": 2},  # 26 2/3 channels more
        {"Hq": 12, "Hkv": 6, "D": 7, "d_model": 96, "d_ff": 250, "new": 2},  # 18 2/3
        {"Hq": 12, "Hkv": 4, "D": 11, "d_model": 140, "d_ff": 377, "new": 2},  # 14 2/3
        {"Hq": 8, "Hkv": 8, "D": 5, "d_model": 40, "d_ff": 112, "new": 1},  # 23 1/3
        {"Hq": 8, "Hkv": 2, "D": 5, "d_model": 64, "d_ff": 160, "new": 4},  # 6 2/3 less
        {"Hq": 8, "Hkv": 1, "D": 16, "d_model": 128, "d_ff": 344, "new": 8},  # 74 2/3 less
        {"Hq": 9, "Hkv": 3, "D": 4, "d_model": 36, "d_ff": 100, "new": 3},  # as many
        {"Hq": 32, "Hkv": 8, "D": 128, "d_model": 4096, "d_ff": 14_336, "new": 1, "L": 32},
    ),
    mistakes=(
        Mistake(
            "a block of two matrices is widened. This one has three: gate, up and down.",
            _with(matrices=2),
        ),
        Mistake(
            "only one matrix gets wider. A channel is a row of gate and of up, and a column of "
            "down: 3 * d_model weights.",
            _with(matrices=1),
        ),
        Mistake(
            "only one of the projections of K and V is counted. Both get smaller.",
            _with(kinds=1),
        ),
        Mistake(
            "the query heads are where you start from. The config has num_kv_heads KV heads "
            "already.",
            _with(before=lambda c: c.num_heads),
        ),
        Mistake(
            "head_dim is derived from d_model. Read config.head_dim.",
            _with(width=lambda c: c.d_model // c.num_heads),
        ),
        Mistake(
            "the fraction of a channel is cut off. Round to the nearest whole channel.",
            _with(cut=int),
        ),
        Mistake(
            "the width is rounded down. Round to the nearest whole channel.",
            _with(cut=lambda x: x.__floor__()),
        ),
        Mistake(
            "the width is rounded up. Round to the nearest whole channel.",
            _with(cut=lambda x: x.__ceil__()),
        ),
        Mistake(
            "the block changes the wrong way: fewer KV heads leave weights over, and the block "
            "gets wider.",
            lambda config, new: 2 * config.d_ff - _even_width(config, new),
        ),
        Mistake(
            "these are the channels that are added. Return the whole width.",
            lambda config, new: _even_width(config, new) - config.d_ff,
        ),
        Mistake(
            "the block is widened once for all layers. Each layer has a block of its own, and "
            "widens it for its own K and V.",
            lambda config, new: (
                config.d_ff
                + round(
                    Fraction(
                        2 * config.num_layers * (config.num_kv_heads - new) * config.head_dim, 3
                    )
                )
            ),
        ),
        Mistake(
            "weights are added to the width. Divide by what a channel costs, 3 * d_model.",
            lambda config, new: (
                config.d_ff + 2 * (config.num_kv_heads - new) * config.head_dim * config.d_model
            ),
        ),
        Mistake(
            "the width is left as it was, so that the model with fewer KV heads is smaller.",
            lambda config, new: config.d_ff,
        ),
        Mistake(
            "the queries and the output shrink, too. They keep all their heads.",
            _with(kinds=4),
        ),
    ),
)

EXERCISES = [CACHED_NUMBERS_PER_TOKEN, FFN_WIDTH_FOR_EQUAL_PARAMS]

"""Lesson 03: multi-query attention."""

from functools import partial

import torch

from gqa_lib.kernels.reference import attention_reference

from .exercise import Exercise, Mistake
from .variants import (
    COMMON,
    FOLDING,
    NO_MASK,
    TOP_LEFT_MASK,
    bottom_right,
    draw_qkv,
    plain_attention,
)

_LESSON = "03-multi-query-attention"


def _sizes(generator, d_model=0, num_kv_heads=0, head_dim=0, draw=0):
    """Return the sizes given, or the `draw`-th that the generator draws, all different."""
    for _ in range(draw):
        one, two, three = (int(n) for n in torch.randint(2, 30, (3,), generator=generator))
        num_kv_heads, head_dim = one, one + two
        d_model = 3 * head_dim + three
    return d_model, num_kv_heads, head_dim


def _first_head_only(q, k, v, causal=True):
    return plain_attention(q[:, :1], k, v, causal).expand(-1, q.shape[1], -1, -1)


def _mean_query(q, k, v, causal=True):
    return _first_head_only(q.double().mean(1, keepdim=True).expand_as(q), k, v, causal)


MULTI_QUERY_ATTENTION = Exercise(
    name="multi_query_attention",
    by_hand=True,
    lesson=_LESSON,
    make=partial(draw_qkv, Hkv=1),
    oracle=attention_reference,
    cases=(
        {"B": 2, "Hq": 6, "T": 3, "S": 7, "D": 5},
        {"B": 2, "Hq": 6, "T": 3, "S": 7, "D": 5, "causal": False},
        {"B": 3, "Hq": 5, "T": 2, "S": 4, "D": 7, "projected": True},
        {"B": 1, "Hq": 4, "T": 6, "S": 6, "D": 3, "dtype": "float64"},
        {"B": 2, "Hq": 8, "T": 1, "S": 9, "D": 4},
        {"B": 2, "Hq": 3, "T": 1, "S": 1, "D": 6},
        {"B": 2, "Hq": 4, "T": 2, "S": 6, "D": 16, "dtype": "bfloat16"},
        {"B": 2, "Hq": 3, "T": 4, "S": 8, "D": 5, "causal": None},
        {"B": 1, "Hq": 5, "T": 7, "S": 7, "D": 4, "sharp": 1e5, "dtype": "float64"},
    ),
    trains=True,
    copy_cases=(
        {"B": 2, "Hq": 6, "T": 3, "S": 40, "D": 16},
        {"B": 2, "Hq": 8, "T": 1, "S": 64, "D": 32},
    ),
    peak_case={"B": 2, "Hq": 32, "T": 1, "S": 4096, "D": 64},
    mistakes=(
        Mistake(
            "every query head gives the result of head 0. Only K and V are shared: each head "
            "asks with its own queries.",
            _first_head_only,
        ),
        Mistake(
            "the query heads are averaged into one. Only K and V are shared: each head asks with "
            "its own queries.",
            _mean_query,
        ),
        *FOLDING,
        NO_MASK,
        Mistake(
            "a mask is applied although causal=False.",
            lambda q, k, v, causal=True: plain_attention(q, k, v, True),
        ),
        TOP_LEFT_MASK,
        Mistake(
            "masked scores are set to 0. exp(0) is 1, so hidden keys still get weight: set them "
            "to -inf before the softmax.",
            partial(plain_attention, masked_score=0.0),
        ),
        Mistake(
            "the mask is upside down: hide the keys where the mask is False.",
            partial(plain_attention, mask=lambda T, S: ~bottom_right(T, S)),
        ),
        Mistake(
            "the scores are not scaled by the square root of head_dim.",
            partial(plain_attention, scale=1.0),
        ),
        Mistake(
            "the scores are scaled by all heads together. Divide by the square root of head_dim, "
            "the width of one head.",
            lambda q, k, v, causal=True: plain_attention(
                q, k, v, causal, scale=(q.shape[1] * q.shape[-1]) ** -0.5
            ),
        ),
        Mistake(
            "k and v are swapped.",
            lambda q, k, v, causal=True: plain_attention(q, v, k, causal),
        ),
        *COMMON,
    ),
)

KV_PROJECTION_PARAMS = Exercise(
    name="kv_projection_params",
    lesson=_LESSON,
    make=_sizes,
    oracle=lambda d_model, num_kv_heads, head_dim: sum(
        d_model for _ in ("k_proj", "v_proj") for _ in range(num_kv_heads * head_dim)
    ),
    cases=(
        {"d_model": 4096, "num_kv_heads": 8, "head_dim": 128},
        {"d_model": 4096, "num_kv_heads": 32, "head_dim": 128},
        {"d_model": 4544, "num_kv_heads": 1, "head_dim": 64},
        {"d_model": 1024, "num_kv_heads": 8, "head_dim": 128},
        {"d_model": 5, "num_kv_heads": 3, "head_dim": 7},
    ),
    mistakes=(
        Mistake(
            "one of the two projections is counted. There is one for K and one for V.",
            lambda d_model, num_kv_heads, head_dim: d_model * num_kv_heads * head_dim,
        ),
        Mistake(
            "the projections are taken as d_model to d_model, as for MHA. What "
            "comes out of each is num_kv_heads heads of head_dim.",
            lambda d_model, num_kv_heads, head_dim: 2 * d_model**2,
        ),
        Mistake(
            "the projections make a single KV head. They make num_kv_heads of them.",
            lambda d_model, num_kv_heads, head_dim: 2 * d_model * head_dim,
        ),
        Mistake(
            "head_dim is left out: each KV head is head_dim channels wide.",
            lambda d_model, num_kv_heads, head_dim: 2 * d_model * num_kv_heads,
        ),
        Mistake(
            "the outputs are counted, not the weights. Each output channel has d_model weights.",
            lambda d_model, num_kv_heads, head_dim: 2 * num_kv_heads * head_dim,
        ),
        Mistake(
            "biases are counted. The projections have none.",
            lambda d_model, num_kv_heads, head_dim: 2 * (d_model + 1) * num_kv_heads * head_dim,
        ),
        Mistake(
            "q_proj and o_proj are counted too. They do not change with the number of KV heads.",
            lambda d_model, num_kv_heads, head_dim: (
                2 * d_model * num_kv_heads * head_dim + 2 * d_model**2
            ),
        ),
        Mistake(
            "bytes are counted (two for each weight), or four projections. A parameter is one "
            "number, whatever it "
            "takes to store it.",
            lambda d_model, num_kv_heads, head_dim: 4 * d_model * num_kv_heads * head_dim,
        ),
    ),
)

EXERCISES = [MULTI_QUERY_ATTENTION, KV_PROJECTION_PARAMS]

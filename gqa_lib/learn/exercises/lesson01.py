"""Lesson 01: multi-head attention."""

from functools import partial

import torch

from gqa_lib.kernels.reference import attention_reference

from .exercise import Exercise, Mistake
from .modules import module_attention, run_module, weights
from .variants import (
    COMMON,
    NO_MASK,
    TOP_LEFT_MASK,
    bottom_right,
    draw,
    draw_qkv,
    plain_attention,
)

_LESSON = "01-multi-head-attention"


def _sizes(generator, T=0, S=0, draw=0):
    """Return the numbers of queries and keys given, or the `draw`-th that the generator draws."""
    for _ in range(draw):
        T, cached = torch.randint(1, 14, (2,), generator=generator).tolist()
        S = T + cached
    return T, S


def _qkv(generator, H, **case):
    return draw_qkv(generator, Hq=H, Hkv=H, **case)


def _x_and_heads(generator, B, T, H, D, dtype="float32", extreme=False):
    return draw(generator, B, T, H * D, dtype=dtype, extreme=extreme), H


def _heads(generator, B, H, T, D, dtype="float32", extreme=False):
    return (draw(generator, B, H, T, D, dtype=dtype, extreme=extreme),)


def _module(generator, B, T, d_model, H, causal=True, dtype="float32"):
    """Return the arguments; with causal=None it is left out."""
    x = draw(generator, B, T, d_model, dtype=dtype)
    given = x, weights(generator, d_model, H, H, dtype), H
    return given if causal is None else (*given, causal)


def _split(x, H):
    D = x.shape[-1] // H
    return torch.stack([x[:, :, h * D : (h + 1) * D] for h in range(H)], 1)


def _merge(x):
    return torch.cat([x[:, h] for h in range(x.shape[1])], -1)


def _mha(x, state, H, causal=True, **decisions):
    return module_attention(x, state, H, H, causal, **decisions)


def _without(name):
    """Return the module with one projection replaced by the identity."""

    def wrong(x, state, H, causal=True):
        eye = torch.eye(x.shape[-1], dtype=x.dtype)
        return _mha(x, state | {f"{name}.weight": eye}, H, causal)

    return wrong


CAUSAL_MASK = Exercise(
    name="causal_mask",
    lesson=_LESSON,
    make=_sizes,
    oracle=lambda T, S: torch.tensor([[key <= S - T + i for key in range(S)] for i in range(T)]),
    cases=({"T": 2, "S": 5}, {"T": 3, "S": 7}, {"T": 4, "S": 4}, {"T": 1, "S": 6}),
    mistakes=(
        Mistake(
            "the mask is aligned to the top left. The last query is the newest token and must "
            "see every key: shift the diagonal by num_keys - num_queries.",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(),
        ),
        Mistake(
            "True marks the keys to hide. Here True means: this query may attend to this key.",
            lambda T, S: ~bottom_right(T, S),
        ),
        Mistake(
            "a query cannot see its own token: the diagonal is off by one.",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(S - T - 1),
        ),
        Mistake(
            "each query sees one key of its future: the diagonal is off by one.",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(S - T + 1),
        ),
        Mistake(
            "rows and columns are swapped: one row per query, one column per key.",
            lambda T, S: bottom_right(T, S).T,
        ),
        Mistake(
            "queries see the future instead of the past (triu instead of tril).",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).triu(S - T),
        ),
        Mistake(
            "True marks the keys to hide: triu(1) is the mask of the future. Here True means that "
            "this query may attend to this key.",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).triu(1),
        ),
    ),
)

ATTENTION = Exercise(
    name="attention",
    by_hand=True,
    lesson=_LESSON,
    make=_qkv,
    oracle=attention_reference,
    cases=(
        {"B": 2, "H": 3, "T": 3, "S": 7, "D": 5},
        {"B": 2, "H": 3, "T": 3, "S": 7, "D": 5, "causal": False},
        {"B": 1, "H": 2, "T": 6, "S": 6, "D": 4, "dtype": "float64"},
        {"B": 3, "H": 2, "T": 1, "S": 8, "D": 16},
        {"B": 2, "H": 4, "T": 2, "S": 9, "D": 8, "dtype": "bfloat16"},
        {"B": 2, "H": 2, "T": 4, "S": 5, "D": 3, "causal": None},
        {"B": 2, "H": 3, "T": 7, "S": 7, "D": 4, "sharp": 1e5, "dtype": "float64"},
    ),
    trains=True,
    mistakes=(
        Mistake(
            "the scores are not scaled. Divide them by the square root of head_dim, or they grow "
            "with D and the softmax saturates.",
            partial(plain_attention, scale=1.0),
        ),
        Mistake(
            "the scores are divided by head_dim instead of its square root.",
            lambda q, k, v, causal=True: plain_attention(q, k, v, causal, scale=1 / q.shape[-1]),
        ),
        Mistake(
            "the scores are multiplied by the square root of head_dim instead of divided.",
            lambda q, k, v, causal=True: plain_attention(q, k, v, causal, scale=q.shape[-1] ** 0.5),
        ),
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
            "the softmax runs over the queries. Each query's weights over the keys must sum to "
            "1: use the last dimension.",
            partial(plain_attention, softmax_dim=-2),
        ),
        Mistake(
            "k and v are swapped: q meets k in the scores, the weights then mix v.",
            lambda q, k, v, causal=True: plain_attention(q, v, k, causal),
        ),
        Mistake(
            "the mask is upside down: hide the keys where the mask is False.",
            partial(plain_attention, mask=lambda T, S: ~bottom_right(T, S)),
        ),
        *COMMON,
    ),
)

SPLIT_HEADS = Exercise(
    name="split_heads",
    lesson=_LESSON,
    make=_x_and_heads,
    oracle=_split,
    cases=({"B": 2, "T": 7, "H": 3, "D": 5}, {"B": 1, "T": 4, "H": 4, "D": 2, "dtype": "float64"}),
    trains=True,
    mistakes=(
        Mistake(
            "the tensor is reshaped straight to (B, H, T, D). The shape fits, but each head gets a "
            "stretch of the sequence instead of its own channels of every token: split the last "
            "dimension first, then move the heads.",
            lambda x, H: x.reshape(x.shape[0], H, x.shape[1], -1),
        ),
        Mistake(
            "a head takes every num_heads-th channel. Heads lie side by side: head h owns the "
            "channels h * D to (h + 1) * D.",
            lambda x, H: torch.stack([x[:, :, h::H] for h in range(H)], 1),
        ),
        Mistake(
            "the heads are still behind the tokens, as (B, T, H, D): swap the two.",
            lambda x, H: x.unflatten(-1, (H, -1)),
        ),
    ),
)

MERGE_HEADS = Exercise(
    name="merge_heads",
    lesson=_LESSON,
    make=_heads,
    oracle=_merge,
    cases=({"B": 2, "H": 3, "T": 7, "D": 5}, {"B": 1, "H": 4, "T": 2, "D": 2, "dtype": "float64"}),
    trains=True,
    mistakes=(
        Mistake(
            "the heads are flattened without moving them behind the tokens first: the shape "
            "fits, but each row now mixes several tokens.",
            lambda x: x.reshape(x.shape[0], x.shape[2], -1),
        ),
        Mistake(
            "the channels of the heads are interleaved. Put head 0's channels first, then "
            "head 1's.",
            lambda x: x.permute(0, 2, 3, 1).flatten(2),
        ),
        Mistake("the heads are summed. They lie side by side.", lambda x: x.sum(1)),
    ),
)

MULTI_HEAD_ATTENTION = Exercise(
    name="MultiHeadAttention",
    lesson=_LESSON,
    make=_module,
    oracle=_mha,
    call=lambda yours, x, state, H, causal=None: run_module(
        yours(x.shape[-1], H), x, state, causal
    ),
    cases=(
        {"B": 2, "T": 7, "d_model": 15, "H": 3},
        {"B": 2, "T": 7, "d_model": 15, "H": 3, "causal": False},
        {"B": 1, "T": 5, "d_model": 8, "H": 8},
        {"B": 3, "T": 1, "d_model": 12, "H": 2},
        {"B": 2, "T": 6, "d_model": 10, "H": 2, "dtype": "float64"},
        {"B": 2, "T": 5, "d_model": 12, "H": 3, "causal": None},
    ),
    trains=True,
    mistakes=(
        Mistake("the output projection o_proj is left out.", _without("o_proj")),
        Mistake(
            "there is one head: split q, k and v into num_heads before attention.",
            lambda x, state, H, causal=True: _mha(x, state, 1, causal),
        ),
        Mistake(
            "the scores are scaled by d_model instead of head_dim.",
            lambda x, state, H, causal=True: _mha(x, state, H, causal, scale=x.shape[-1] ** -0.5),
        ),
        Mistake(
            "causal is not passed on to attention.",
            lambda x, state, H, causal=True: _mha(x, state, H, True),
        ),
        Mistake(
            "every position sees the whole sequence: pass causal on to attention.",
            lambda x, state, H, causal=True: _mha(x, state, H, False),
        ),
        Mistake(
            "every position sees the whole sequence when causal is left out of the call: its "
            "default is True.",
            lambda x, state, H, causal=False: _mha(x, state, H, causal),
        ),
        Mistake(
            "k and v are swapped, in the projections or in the call of attention.",
            lambda x, state, H, causal=True: _mha(
                x,
                state
                | {
                    "k_proj.weight": state["v_proj.weight"],
                    "v_proj.weight": state["k_proj.weight"],
                },
                H,
                causal,
            ),
        ),
    ),
)

EXERCISES = [CAUSAL_MASK, ATTENTION, SPLIT_HEADS, MERGE_HEADS, MULTI_HEAD_ATTENTION]

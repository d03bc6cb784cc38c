"""Lesson 04: grouped-query attention."""

from functools import partial
from itertools import accumulate

import torch

from gqa_lib.kernels.reference import attention_reference

from .exercise import Exercise, Mistake
from .modules import SharedHeadsCache, module_attention, run_module, run_module_in_chunks, weights
from .variants import (
    COMMON,
    FOLDING,
    NO_MASK,
    TOP_LEFT_MASK,
    draw,
    draw_qkv,
    plain_attention,
    shared,
)

_LESSON = "04-grouped-query-attention"


def _tiled(head, num_heads, num_kv_heads):
    return head % num_kv_heads


def _wrong_divisor(head, num_heads, num_kv_heads):
    return min(head // num_kv_heads, num_kv_heads - 1)


def _first(head, num_heads, num_kv_heads):
    return 0


def _reversed(head, num_heads, num_kv_heads):
    return num_kv_heads - 1 - shared(head, num_heads, num_kv_heads)


# Which KV head a query head reads: the mistakes of the whole lesson.
_MAPS = (
    (
        "KV heads are tiled (0 1 0 1 ...) instead of interleaved (0 0 1 1 ...). Neighbouring "
        "query heads share a KV head: h // q_per_kv.",
        _tiled,
    ),
    (
        "the query head is divided by the number of KV heads. Divide by the number of query "
        "heads that share one, q_per_kv = num_heads // num_kv_heads.",
        _wrong_divisor,
    ),
    ("every query head reads KV head 0. That is multi-query attention.", _first),
    ("the KV heads are assigned in reverse order.", _reversed),
)


def _one_head(generator, head=0, Hq=0, Hkv=0, draw=0):
    """Return the sizes given, or the `draw`-th that the generator draws."""
    for _ in range(draw):
        Hkv, R, part = (int(n) for n in torch.randint(2, 10**6, (3,), generator=generator))
        Hkv, R = 1 + Hkv % 16, 2 + R % 30
        head, Hq = part % (Hkv * R), Hkv * R
    return head, Hq, Hkv


def _kv(generator, B, Hkv, S, D, R, dtype="float32", extreme=False):
    return draw(generator, B, Hkv, S, D, dtype=dtype, extreme=extreme), R


def _module(generator, B, T, d_model, Hq, Hkv, causal=True, dtype="float32"):
    """Return the arguments; with causal=None it is left out."""
    state = weights(generator, d_model, Hq, Hkv, dtype)
    given = draw(generator, B, T, d_model, dtype=dtype), state, Hq, Hkv
    return given if causal is None else (*given, causal)


def _expand(kv, R):
    return torch.stack([kv[:, h // R] for h in range(kv.shape[1] * R)], 1)


KV_HEAD_OF = Exercise(
    name="kv_head_of",
    lesson=_LESSON,
    make=_one_head,
    oracle=shared,
    cases=tuple(
        {"head": head, "Hq": Hq, "Hkv": Hkv}
        for Hq, Hkv in ((6, 2), (12, 3), (28, 4), (5, 5), (7, 1))
        for head in range(1, Hq)
    ),
    mistakes=(
        *(Mistake(says, wrong) for says, wrong in _MAPS if wrong is not _wrong_divisor),
        Mistake(_MAPS[1][0], lambda head, Hq, Hkv: head // Hkv),
    ),
)

EXPAND_KV = Exercise(
    name="expand_kv",
    lesson=_LESSON,
    make=_kv,
    oracle=_expand,
    cases=(
        {"B": 2, "Hkv": 2, "S": 7, "D": 5, "R": 3},
        {"B": 2, "Hkv": 3, "S": 4, "D": 2, "R": 2},
        {"B": 1, "Hkv": 4, "S": 3, "D": 8, "R": 1},
        {"B": 2, "Hkv": 2, "S": 3, "D": 4, "R": 4, "dtype": "float64"},
    ),
    trains=True,
    mistakes=(
        Mistake(
            "the heads are tiled (K0 K1 K0 K1 ...). Each KV head must be repeated in place "
            "(K0 K0 K1 K1 ...): repeat_interleave, not repeat.",
            lambda kv, R: kv.repeat(1, R, 1, 1),
        ),
        Mistake(
            "the sequence is repeated instead of the heads: heads are dimension 1.",
            lambda kv, R: kv.repeat_interleave(R, 2),
        ),
        Mistake(
            "the batch is repeated instead of the heads: heads are dimension 1.",
            lambda kv, R: kv.repeat_interleave(R, 0),
        ),
    ),
)

GROUPED_QUERY_ATTENTION = Exercise(
    name="grouped_query_attention",
    by_hand=True,
    lesson=_LESSON,
    make=draw_qkv,
    oracle=attention_reference,
    cases=(
        {"B": 2, "Hq": 6, "Hkv": 2, "T": 3, "S": 7, "D": 5},
        {"B": 2, "Hq": 6, "Hkv": 3, "T": 3, "S": 7, "D": 5, "causal": False},
        {"B": 2, "Hq": 6, "Hkv": 1, "T": 4, "S": 4, "D": 5, "dtype": "float64"},
        {"B": 2, "Hq": 6, "Hkv": 6, "T": 3, "S": 7, "D": 5},
        {"B": 1, "Hq": 12, "Hkv": 3, "T": 1, "S": 9, "D": 8},
        {"B": 2, "Hq": 8, "Hkv": 2, "T": 2, "S": 6, "D": 16, "dtype": "bfloat16"},
        {"B": 2, "Hq": 6, "Hkv": 3, "T": 3, "S": 5, "D": 4, "projected": True, "causal": None},
        {"B": 1, "Hq": 6, "Hkv": 2, "T": 6, "S": 6, "D": 3, "sharp": 1e5, "dtype": "float64"},
    ),
    trains=True,
    copy_cases=(
        {"B": 2, "Hq": 6, "Hkv": 2, "T": 3, "S": 40, "D": 16},
        {"B": 2, "Hq": 8, "Hkv": 1, "T": 1, "S": 64, "D": 32},
    ),
    peak_case={"B": 2, "Hq": 32, "Hkv": 2, "T": 1, "S": 4096, "D": 64},
    mistakes=(
        *(Mistake(says, partial(plain_attention, kv_head=wrong)) for says, wrong in _MAPS),
        *FOLDING,
        NO_MASK,
        TOP_LEFT_MASK,
        Mistake(
            "the scores are not scaled by the square root of head_dim.",
            partial(plain_attention, scale=1.0),
        ),
        Mistake(
            "k and v are swapped.",
            lambda q, k, v, causal=True: plain_attention(q, v, k, causal),
        ),
        *COMMON,
    ),
)


GROUPED_QUERY_ATTENTION_MODULE = Exercise(
    name="GroupedQueryAttention",
    lesson=_LESSON,
    make=_module,
    oracle=module_attention,
    call=lambda yours, x, state, Hq, Hkv, causal=None: run_module(
        yours(x.shape[-1], Hq, Hkv), x, state, causal
    ),
    cases=(
        {"B": 2, "T": 7, "d_model": 30, "Hq": 6, "Hkv": 2},
        {"B": 2, "T": 7, "d_model": 30, "Hq": 6, "Hkv": 2, "causal": False},
        {"B": 2, "T": 4, "d_model": 24, "Hq": 6, "Hkv": 1},
        {"B": 1, "T": 5, "d_model": 24, "Hq": 6, "Hkv": 6},
        {"B": 3, "T": 1, "d_model": 36, "Hq": 12, "Hkv": 3},
        {"B": 2, "T": 5, "d_model": 24, "Hq": 4, "Hkv": 2, "dtype": "float64"},
        {"B": 2, "T": 6, "d_model": 18, "Hq": 6, "Hkv": 3, "causal": None},
    ),
    trains=True,
    mistakes=(
        *(Mistake(says, partial(module_attention, kv_head=wrong)) for says, wrong in _MAPS),
        Mistake(
            "the output projection o_proj is left out.",
            lambda x, state, Hq, Hkv, causal=True: module_attention(
                x, state | {"o_proj.weight": torch.eye(x.shape[-1])}, Hq, Hkv, causal
            ),
        ),
        Mistake(
            "causal is not passed on to attention.",
            lambda x, state, Hq, Hkv, causal=True: module_attention(x, state, Hq, Hkv, True),
        ),
        Mistake(
            "every position sees the whole sequence: pass causal on to attention.",
            lambda x, state, Hq, Hkv, causal=True: module_attention(x, state, Hq, Hkv, False),
        ),
        Mistake(
            "every position sees the whole sequence when causal is left out of the call: its "
            "default is True.",
            lambda x, state, Hq, Hkv, causal=False: module_attention(x, state, Hq, Hkv, causal),
        ),
    ),
)


def _in_chunks(generator, B, d_model, Hq, Hkv, chunks, causal=True):
    """Return the arguments; with causal=True it is left out."""
    state = weights(generator, d_model, Hq, Hkv)
    given = draw(generator, B, sum(chunks), d_model), state, Hq, Hkv, list(chunks)
    return given if causal else (*given, causal)


def _forgets(x, state, Hq, Hkv, chunks, causal=True):
    parts = x.split(chunks, dim=1)
    return torch.cat([module_attention(part, state, Hq, Hkv, causal) for part in parts], 1)


def _one_after_another(x, state, Hq, Hkv, chunks, causal=True):
    if causal:
        return module_attention(x, state, Hq, Hkv, True)
    return _masked(lambda T, S: torch.ones(T, S, dtype=torch.bool))(x, state, Hq, Hkv, chunks)


def _masked(mask):
    """Return the module whose chunk of T tokens over S cached ones is masked by mask(T, S)."""

    def wrong(x, state, Hq, Hkv, chunks, causal=True):
        done = []
        for end, T in zip(accumulate(chunks), chunks, strict=True):
            rows = torch.ones(end, end, dtype=torch.bool)
            rows[end - T :] = mask(T, end) if causal else True
            y = module_attention(x[:, :end], state, Hq, Hkv, True, mask=lambda *_, rows=rows: rows)
            done.append(y[:, end - T :])
        return torch.cat(done, 1)

    return wrong


GROUPED_QUERY_ATTENTION_CACHE = Exercise(
    name="GroupedQueryAttention-cache",
    lesson=_LESSON,
    make=_in_chunks,
    oracle=_one_after_another,
    call=lambda yours, x, state, Hq, Hkv, chunks, causal=None: run_module_in_chunks(
        yours(x.shape[-1], Hq, Hkv), x, state, SharedHeadsCache(x, Hq, Hkv), chunks, causal
    ),
    cases=(
        {"B": 2, "d_model": 30, "Hq": 6, "Hkv": 2, "chunks": (4, 1, 1, 1)},
        {"B": 2, "d_model": 24, "Hq": 6, "Hkv": 3, "chunks": (3, 4)},
        {"B": 1, "d_model": 24, "Hq": 6, "Hkv": 1, "chunks": (5,)},
        {"B": 3, "d_model": 20, "Hq": 4, "Hkv": 4, "chunks": (1, 1, 1)},
        {"B": 2, "d_model": 16, "Hq": 4, "Hkv": 2, "chunks": (2, 3), "causal": False},
    ),
    mistakes=(
        Mistake(
            "each call sees only its own tokens: attend over the keys and values that append "
            "returns, not over the new ones.",
            _forgets,
        ),
        Mistake(
            "the causal mask is aligned to the top left: new token i sees the first i + 1 cached "
            "tokens. Align it to the bottom right, S - T + i.",
            _masked(lambda T, S: torch.ones(T, S, dtype=torch.bool).tril()),
        ),
        Mistake(
            "causal=False counts for nothing once there is a cache: then the tokens of a call see "
            "all that is cached, and each other.",
            lambda x, state, Hq, Hkv, chunks, causal=True: module_attention(
                x, state, Hq, Hkv, True
            ),
        ),
        Mistake(
            "the tokens of one call see each other's future: the mask is needed with a cache, too.",
            _masked(lambda T, S: torch.ones(T, S, dtype=torch.bool)),
        ),
        *(
            Mistake(
                says,
                lambda x, state, Hq, Hkv, chunks, causal=True, wrong=wrong: module_attention(
                    x, state, Hq, Hkv, causal, kv_head=wrong
                ),
            )
            for says, wrong in _MAPS
        ),
    ),
)

EXERCISES = [
    KV_HEAD_OF,
    EXPAND_KV,
    GROUPED_QUERY_ATTENTION,
    GROUPED_QUERY_ATTENTION_MODULE,
    GROUPED_QUERY_ATTENTION_CACHE,
]

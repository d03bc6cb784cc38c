"""Hunts in attention of (q, k, v): a KV head for each query head, for several, or for all."""

from functools import partial
from typing import Any

import torch

from ..lesson01 import ATTENTION
from ..lesson03 import MULTI_QUERY_ATTENTION
from ..lesson04 import GROUPED_QUERY_ATTENTION
from ..variants import plain_attention
from .hunt import Bug, Hunt, Slip, wrong_answer
from .inputs import MOST_HEADS, count, kind, tensor

_CALL = "(q, k, v) or (q, k, v, causal)"
_AXES = ("sequence", "query head", "query", "channel")
_MOST_SCORES = 500_000


def qkv(given: tuple) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return q, k and v of an input.

    Raises:
        Slip: they do not fit each other, or what attention asks for.
    """
    q = tensor(given[0], "q", "(B, Hq, T, D)")
    k, v = (tensor(x, name, "(B, Hkv, S, D)") for x, name in zip(given[1:3], "kv", strict=True))
    if k.shape != v.shape:
        raise Slip(f"k {tuple(k.shape)} and v {tuple(v.shape)} must have one shape.")
    if (q.shape[0], q.shape[3]) != (k.shape[0], k.shape[3]):
        raise Slip(
            f"q {tuple(q.shape)} and k {tuple(k.shape)} must agree in the first size, sequences, "
            "and in the last, channels."
        )
    if q.dtype != k.dtype or k.dtype != v.dtype:
        raise Slip(f"q, k and v must have one dtype; they have {q.dtype}, {k.dtype}, {v.dtype}.")
    if q.shape[1] % k.shape[1]:
        raise Slip(f"{q.shape[1]} query heads cannot share {k.shape[1]} KV heads evenly.")
    if q.shape[2] > k.shape[2]:
        raise Slip(
            f"There are {q.shape[2]} queries and {k.shape[2]} keys. The queries are the last of "
            "the tokens, so there must be as many keys or more."
        )
    scores = q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2]
    if q.shape[1] > MOST_HEADS or scores > _MOST_SCORES:
        raise Slip(
            f"q {tuple(q.shape)} and k {tuple(k.shape)} make {scores:,} scores in {q.shape[1]} "
            f"heads. A hunt takes {_MOST_SCORES:,} and {MOST_HEADS} at most."
        )
    return q, k, v


def _ready(given: tuple) -> tuple:
    count(given, _CALL, 3, 4)
    if len(given) == 4 and not isinstance(given[3], bool):
        raise Slip(f"causal must be True or False; it is {kind(given[3])}.")
    return (*qkv(given), *given[3:])


def _equal_heads(given: tuple) -> tuple:
    ready = _ready(given)
    if ready[0].shape[1] != ready[1].shape[1]:
        raise Slip(
            f"q has {ready[0].shape[1]} heads and k {ready[1].shape[1]}: here each head has keys "
            "and values of its own."
        )
    return ready


def _one_kv_head(given: tuple) -> tuple:
    ready = _ready(given)
    if ready[1].shape[1] != 1:
        raise Slip(f"k and v must have one KV head, (B, 1, S, D); k is {tuple(ready[1].shape)}.")
    return ready


# What the bugs of several hunts did.
_TOP_LEFT = (
    "Its causal mask was aligned to the top left, as SDPA's is_causal=True is.",
    "With as many queries as keys, as in a test on one prompt, both alignments are the same.",
)
_UNASKED = (
    "It applied no mask when causal was left out of the call.",
    "Calls that say causal=True or causal=False are right, and tests like to say it.",
)
_ALWAYS = (
    "It applied the mask although causal was False.",
    "Every causal call is right.",
)
_HIDDEN = (
    "It gave hidden keys a finite score, which a visible key can fall below.",
    "With short queries no visible score is that low.",
)
_SWAPPED = ("It took keys for values and values for keys.", "Both have one shape.")
_ROWS = (
    "It folded the heads into rows and masked the rows as if they were one sequence.",
    "Without a mask, and with one head, there is nothing to get wrong.",
)
_REPEATED = (
    "It gave the folded rows the mask's rows in another order: query 0 for every head first.",
    "With one query there is one row to repeat, and with one head one order.",
)
_UNFOLDED = (
    "It unfolded the rows in another order than they were folded.",
    "The numbers are all there, in a tensor of the right shape; with one query they are in place.",
)


def _bug(exercise: Any, phrase: str, texts: tuple[str, str]) -> Bug:
    return Bug(wrong_answer(exercise, phrase), *texts)


def _sequence_0(q, k, v, causal=True):
    """Return attention in which every sequence reads the keys and values of the first."""
    return plain_attention(q, k[:1].expand_as(k), v[:1].expand_as(v), causal)


def _always_masked(q, k, v, causal=True):
    return plain_attention(q, k, v, True)


EACH = Hunt(
    exercise=ATTENTION,
    call=_CALL,
    does="returns softmax(q k^T / sqrt(D)) v, (B, H, T, D); with causal=True, the default, query "
    "i sees the keys up to S - T + i",
    example='hunt("attention", tuple(torch.randn(3, 1, 2, 4, 4)))',
    ready=_equal_heads,
    axes=("sequence", "head", "query", "channel"),
    fewest=2,
    bugs=(
        _bug(ATTENTION, "aligned to the top left", _TOP_LEFT),
        _bug(ATTENTION, "when causal is left out", _UNASKED),
        _bug(ATTENTION, "although causal=False", _ALWAYS),
        Bug(partial(plain_attention, masked_score=-100.0), *_HIDDEN),
        _bug(ATTENTION, "k and v are swapped", _SWAPPED),
        Bug(
            wrong_answer(ATTENTION, "the scores are not scaled"),
            "It left out the factor that head_dim asks for.",
            "With one channel the factor is 1, and with scores near 0 softmax hardly sees it.",
        ),
    ),
)

ONE = Hunt(
    exercise=MULTI_QUERY_ATTENTION,
    call=_CALL,
    does="returns attention of q (B, Hq, T, D) over the one KV head of k and v (B, 1, S, D); "
    "with causal=True, the default, query i sees the keys up to S - T + i",
    example='hunt("multi_query_attention", (torch.randn(1, 4, 1, 8), *torch.randn(2, 1, 1, 5, 8)))',
    ready=_one_kv_head,
    axes=_AXES,
    fewest=2,
    bugs=(
        Bug(
            wrong_answer(MULTI_QUERY_ATTENTION, "gives the result of head 0"),
            "It answered every query head with what head 0 found.",
            "K and V are shared, so equal answers do not look odd.",
        ),
        _bug(MULTI_QUERY_ATTENTION, "laid over the folded rows", _ROWS),
        _bug(MULTI_QUERY_ATTENTION, "rows are repeated one by one", _REPEATED),
        _bug(MULTI_QUERY_ATTENTION, "taken as (T, R)", _UNFOLDED),
        _bug(MULTI_QUERY_ATTENTION, "aligned to the top left", _TOP_LEFT),
        _bug(MULTI_QUERY_ATTENTION, "although causal=False", _ALWAYS),
    ),
    more=(
        _sequence_0,
        wrong_answer(MULTI_QUERY_ATTENTION, "when causal is left out"),
        wrong_answer(MULTI_QUERY_ATTENTION, "k and v are swapped"),
        wrong_answer(MULTI_QUERY_ATTENTION, "scaled by all heads together"),
        wrong_answer(MULTI_QUERY_ATTENTION, "averaged into one"),
        wrong_answer(MULTI_QUERY_ATTENTION, "masked scores are set to 0"),
    ),
)


def _reading(phrase: str, was: str, quiet: str) -> Bug:
    return Bug(wrong_answer(GROUPED_QUERY_ATTENTION, phrase), was, quiet)


SEVERAL = Hunt(
    exercise=GROUPED_QUERY_ATTENTION,
    call=_CALL,
    does="returns attention of q (B, Hq, T, D) over k and v (B, Hkv, S, D), whose heads are shared "
    "by neighbouring query heads; with causal=True, the default, query i sees the keys up to "
    "S - T + i",
    example='hunt("grouped_query_attention", '
    "(torch.randn(1, 6, 1, 8), *torch.randn(2, 1, 2, 5, 8)))",
    ready=_ready,
    axes=_AXES,
    fewest=2,
    bugs=(
        _reading(
            "tiled",
            "Query heads read the KV heads in turn, 0 1 0 1 ...",
            "It is right for MHA and for MQA, which are what most tests try.",
        ),
        _reading(
            "divided by the number of KV heads",
            "It divided by the wrong one of the two head counts.",
            "It is right for MQA, for MHA only by luck, and wherever the two counts are equal.",
        ),
        _bug(GROUPED_QUERY_ATTENTION, "laid over the folded rows", _ROWS),
        _bug(GROUPED_QUERY_ATTENTION, "rows are repeated one by one", _REPEATED),
        _bug(GROUPED_QUERY_ATTENTION, "taken as (T, R)", _UNFOLDED),
        Bug(
            _sequence_0,
            "Every sequence read the keys and values of sequence 0.",
            "With one sequence it is right.",
        ),
        Bug(_always_masked, *_ALWAYS),
    ),
)

HUNTS = (EACH, ONE, SEVERAL)

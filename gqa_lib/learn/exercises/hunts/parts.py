"""Hunts in decoding part by part: merging two parts, and splitting the keys."""

from typing import Any

from ..lesson07 import SPLIT_KV_DECODE
from ..lesson07_merge import MERGE_PARTIALS
from .attentions import qkv
from .hunt import Bug, Hunt, Slip, wrong_answer
from .inputs import count, number, tensor

_MERGED = "(out_a, lse_a, out_b, lse_b)"
_SPLIT = "(q, k, v, num_splits)"
_MOST_PLACES = 2000  # where two parts are merged


def _two_parts(given: tuple) -> tuple:
    count(given, _MERGED, 4)
    outs = [tensor(given[at], name, "(..., D)") for at, name in ((0, "out_a"), (2, "out_b"))]
    lses = [
        tensor(given[at], name, "(...)", endless=True) for at, name in ((1, "lse_a"), (3, "lse_b"))
    ]
    if outs[0].shape != outs[1].shape or not outs[0].dim():
        shapes = " and ".join(str(tuple(out.shape)) for out in outs)
        raise Slip(f"out_a and out_b must have one shape, (..., D); they have {shapes}.")
    for name, lse in zip(("lse_a", "lse_b"), lses, strict=True):
        if lse.shape != outs[0].shape[:-1]:
            raise Slip(
                f"{name} must have the shape of the outputs without their last axis, "
                f"{tuple(outs[0].shape[:-1])}; it has {tuple(lse.shape)}."
            )
    if len({x.dtype for x in (*outs, *lses)}) > 1:
        raise Slip("All four tensors must have one dtype.")
    if lses[0].numel() > _MOST_PLACES:
        raise Slip(f"{lses[0].numel():,} places are more than a hunt merges: {_MOST_PLACES:,}.")
    return outs[0], lses[0], outs[1], lses[1]


def _named(answer: Any) -> Any:
    def named(*parts):
        return dict(zip(("output", "lse"), answer(*parts), strict=True))

    return named


def _merging(phrase: str, was: str, quiet: str) -> Bug:
    return Bug(_named(wrong_answer(MERGE_PARTIALS, phrase)), was, quiet)


MERGE = Hunt(
    exercise=MERGE_PARTIALS,
    call=_MERGED,
    does="merges the outputs (..., D) and the log-sum-exps (...) of two parts of the keys into "
    "those of both together",
    example='hunt("merge_partials", (torch.tensor([1.0]), torch.tensor(0.0), torch.tensor([3.0]), '
    "torch.tensor(0.0)))",
    ready=_two_parts,
    right=_named(MERGE_PARTIALS.oracle),
    bugs=(
        _merging(
            "both parts count half",
            "It averaged the two outputs.",
            "With scores near 0 all keys weigh the same, and so do two halves of them.",
        ),
        _merging(
            "the weights are swapped",
            "Each part counted as much as the other one should.",
            "Two parts that count the same can be swapped.",
        ),
        _merging(
            "exponentials are taken of lse",
            "It took exponentials of numbers as large as they came.",
            "Below 88 float32 holds them, and random keys and short queries stay there.",
        ),
        _merging(
            "lse is the larger of the two",
            "Its output was right, and the lse that it returned was the larger of the two.",
            "Where one part hardly counts the two are equal, and the damage shows only when a "
            "third part is merged.",
        ),
        _merging(
            "the sum of the two logarithms",
            "Its output was right, and it returned the two lse added up.",
            "Nobody looks at an lse until a third part is merged, and two of 0 add up to "
            "something near the truth.",
        ),
    ),
)


def _step(given: tuple) -> tuple:
    count(given, _SPLIT, 4)
    q, k, v = qkv(given[:3])
    if q.shape[2] != 1:
        raise Slip(f"A decode step has one query: q must be (B, Hq, 1, D); it is {tuple(q.shape)}.")
    return q, k, v, number(given[3], "num_splits", 1, 64)


def _splitting(phrase: str, was: str, quiet: str) -> Bug:
    return Bug(wrong_answer(SPLIT_KV_DECODE, phrase), was, quiet)


STEP = Hunt(
    exercise=SPLIT_KV_DECODE,
    call=_SPLIT,
    does="returns attention of one new token per sequence, with the keys cut into num_splits "
    "parts, which changes nothing in the result",
    example='hunt("split_kv_decode", (torch.randn(1, 4, 1, 8), *torch.randn(2, 1, 2, 12, 8), 3))',
    ready=_step,
    axes=("sequence", "query head", "query", "channel"),
    bugs=(
        _splitting(
            "the parts are averaged",
            "It averaged the parts.",
            "With scores near 0 every part counts the same.",
        ),
        _splitting(
            "weighted by their number of keys",
            "Each part counted by its number of keys.",
            "With scores near 0 that is right, the shorter last part included.",
        ),
        _splitting(
            "the last keys are left out",
            "It left out the keys at the end that did not fill a part.",
            "With 4,096 keys and 8 parts there are none.",
        ),
        _splitting(
            "in turn",
            "Query heads read the KV heads in turn, 0 1 0 1 ...",
            "It is right for MHA and for MQA.",
        ),
    ),
)

HUNTS = (MERGE, STEP)

"""Hunts among heads: splitting channels into them, and which KV head a query head reads."""

from ..lesson01 import SPLIT_HEADS
from ..lesson04 import EXPAND_KV, KV_HEAD_OF
from .hunt import Bug, Hunt, Slip, wrong_answer
from .inputs import MOST_HEADS, MOST_NUMBERS, count, number, tensor


def _x_and_heads(given: tuple) -> tuple:
    count(given, "(x, num_heads)", 2)
    x = tensor(given[0], "x", "(B, T, d_model)", whole=True)
    heads = number(given[1], "num_heads", 1, MOST_HEADS)
    if x.shape[-1] % heads:
        raise Slip(f"x has {x.shape[-1]} channels, which {heads} heads cannot share evenly.")
    return x, heads


_split = SPLIT_HEADS.oracle

SPLIT = Hunt(
    exercise=SPLIT_HEADS,
    call="(x, num_heads)",
    does="takes x (B, T, num_heads * D) to (B, num_heads, T, D), heads side by side in the "
    "channels. All bugs return that shape",
    example='hunt("split_heads", (torch.arange(4.0).view(1, 4, 1).expand(1, 4, 6), 2))',
    ready=_x_and_heads,
    axes=("sequence", "head", "token", "channel"),
    bugs=(
        Bug(
            wrong_answer(SPLIT_HEADS, "reshaped straight"),
            "It cut the sequence instead of the channels, so a head held a stretch of the text.",
            "The reshape fits whatever the sizes are, and nothing crashes.",
        ),
        Bug(
            wrong_answer(SPLIT_HEADS, "every num_heads-th channel"),
            "A head held every num_heads-th channel.",
            "Each head has its D channels and every token; only which ones they are is wrong.",
        ),
        Bug(
            lambda x, H: _split(x, H).flip(1),
            "The heads came in reverse order.",
            "Each head is whole, so whoever looks at one alone sees nothing.",
        ),
        Bug(
            lambda x, H: _split(x[:1].expand_as(x), H),
            "Every sequence got the heads of sequence 0.",
            "With one sequence it is right, and most tries in a notebook have one.",
        ),
    ),
)


def _query_head(given: tuple) -> tuple:
    count(given, "(query_head, num_heads, num_kv_heads)", 3)
    head = number(given[0], "query_head", 0, 10**6)
    heads = number(given[1], "num_heads", 1, 10**6)
    kv_heads = number(given[2], "num_kv_heads", 1, 10**6)
    if heads % kv_heads:
        raise Slip(f"{heads} query heads cannot share {kv_heads} KV heads evenly.")
    if head >= heads:
        raise Slip(f"There is no query head {head}: of {heads} the last is {heads - 1}.")
    return head, heads, kv_heads


_first_kv_head = wrong_answer(KV_HEAD_OF, "reads KV head 0")

WHICH = Hunt(
    exercise=KV_HEAD_OF,
    call="(query_head, num_heads, num_kv_heads)",
    does="returns the KV head that a query head reads; neighbours share one",
    example='hunt("kv_head_of", (5, 6, 2))',
    ready=_query_head,
    bugs=(
        Bug(
            wrong_answer(KV_HEAD_OF, "tiled"),
            "It dealt the KV heads out in turn, like cards: 0 1 0 1 ...",
            "It agrees where there is one KV head, or one for each query head, and for a few query "
            "heads of every model.",
        ),
        Bug(
            lambda head, Hq, Hkv: min(head // Hkv, Hkv - 1),
            "It divided by the wrong one of the two sizes, and cut off what ran over.",
            "It is right wherever those sizes are equal, as with 4 query and 2 KV heads.",
        ),
        Bug(
            _first_kv_head,
            "Every query head read KV head 0.",
            "That is multi-query attention: right for one KV head.",
        ),
        Bug(
            wrong_answer(KV_HEAD_OF, "reverse order"),
            "It counted the KV heads from the back.",
            "As many query heads read each KV head as should.",
        ),
    ),
)


def _kv_and_times(given: tuple) -> tuple:
    count(given, "(kv, q_per_kv)", 2)
    kv = tensor(given[0], "kv", "(B, Hkv, S, D)", whole=True)
    times = number(given[1], "q_per_kv", 1, MOST_HEADS)
    if kv.shape[1] > MOST_HEADS or kv.numel() * times > MOST_NUMBERS:
        raise Slip(f"kv {tuple(kv.shape)}, expanded {times} times, is too large for a hunt.")
    return kv, times


_expand = EXPAND_KV.oracle


def _tokens_repeated(kv, R):
    """Return each token R times, in R heads of as many tokens as before."""
    return kv.repeat_interleave(R, 2).reshape(kv.shape[0], -1, *kv.shape[2:])


EXPAND = Hunt(
    exercise=EXPAND_KV,
    call="(kv, q_per_kv)",
    does="returns kv (B, Hkv, S, D) with as many heads as there are query heads, q_per_kv of them "
    "for each KV head, in the order of exercise 1. All bugs return that shape",
    example='hunt("expand_kv", (torch.arange(2.0).view(1, 2, 1, 1), 3))',
    ready=_kv_and_times,
    axes=("sequence", "query head", "token", "channel"),
    bugs=(
        Bug(
            wrong_answer(EXPAND_KV, "tiled"),
            "It tiled: query head 1 read KV head 1 instead of 0, as once in onnx and in axlearn.",
            "With one KV head, or one for each query head, both orders are the same, so tests on "
            "MQA and MHA alone never find it.",
        ),
        Bug(
            lambda kv, R: _expand(kv[:1].expand_as(kv), R),
            "Every sequence got the heads of sequence 0.",
            "With one sequence it is right.",
        ),
        Bug(
            _tokens_repeated,
            "It repeated tokens instead of heads, and cut the longer sequences into heads.",
            "A try whose heads are marked with their numbers and nothing else has equal tokens.",
        ),
    ),
)


HUNTS = (SPLIT, WHICH, EXPAND)

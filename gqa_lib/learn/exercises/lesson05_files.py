"""Lesson 05: the shape of a KV cache from a model's own files, which may mislead."""

from collections.abc import Callable

import torch

from .exercise import Exercise, Mistake
from .toys import call, drawn

_LESSON = "05-kv-footprint"


# read_kv_shape


def _hf(generator, kind="", Hq=0, Hkv=0, D=0, d_model=0, draw=0):
    """Return a parsed config.json of one kind, with sizes given or drawn."""
    for _ in range(draw):
        sizes = drawn(generator)
        Hq, Hkv, D, d_model = (sizes[key] for key in ("Hq", "Hkv", "D", "d_model"))
        kind = _KINDS[int(torch.randint(len(_KINDS), (1,), generator=generator))]
    hf = {"num_hidden_layers": 3, "hidden_size": d_model, "num_attention_heads": Hq}
    if kind.startswith("falcon"):
        hf |= {"model_type": "falcon", "hidden_size": Hq * D}
        hf |= {
            "falcon": {"num_kv_heads": Hq, "multi_query": True, "new_decoder_architecture": False},
            "falcon-old": {"num_kv_heads": Hq, "multi_query": True},
            "falcon-new": {
                "num_kv_heads": Hkv,
                "multi_query": True,
                "new_decoder_architecture": True,
            },
            "falcon-mha": {
                "num_kv_heads": Hq,
                "multi_query": False,
                "new_decoder_architecture": False,
            },
        }[kind]
        return (hf,)
    hf |= {"model_type": "llama"}
    if kind not in ("no-kv", "neither"):
        hf["num_key_value_heads"] = None if kind == "null-kv" else Hkv
    if kind not in ("derived", "neither"):
        hf["head_dim"] = None if kind == "null-dim" else D
    return (hf,)


_KINDS = (
    "explicit",
    "derived",
    "no-kv",
    "neither",
    "null-kv",
    "null-dim",
    "falcon",
    "falcon-old",
    "falcon-new",
    "falcon-mha",
)


def _kv_shape(
    hf: dict, *, flags: str = "both", missing: Callable = lambda heads: heads, dim: str = "read"
) -> tuple:
    heads = hf["num_attention_heads"]
    kv_heads = missing(heads)
    for key in ("num_key_value_heads", "num_kv_heads"):
        if hf.get(key) is not None:
            kv_heads = hf[key]
    old = not hf.get("new_decoder_architecture", False) or flags == "multi_query alone"
    if flags == "off in writing" and "new_decoder_architecture" not in hf:
        old = False
    if hf.get("multi_query", False) and old and flags != "none":
        kv_heads = 1
    size = hf.get("head_dim") if dim != "derived" else None
    if size is None and dim != "raw":
        size = hf["hidden_size"] // heads
    return kv_heads, size


READ_KV_SHAPE = Exercise(
    name="read_kv_shape",
    lesson=_LESSON,
    make=_hf,
    oracle=_kv_shape,
    cases=tuple(
        {"kind": kind, "Hq": Hq, "Hkv": Hkv, "D": D, "d_model": d_model}
        for kind, Hq, Hkv, D, d_model in (
            ("explicit", 16, 8, 24, 160),
            ("derived", 12, 3, 9, 132),
            ("no-kv", 10, 5, 7, 110),
            ("neither", 14, 2, 5, 154),
            ("falcon", 71, 1, 8, 0),
            ("falcon-old", 71, 1, 6, 0),
            ("falcon-new", 24, 4, 6, 0),
            ("falcon-mha", 18, 3, 4, 0),
            ("null-kv", 9, 3, 11, 117),
            ("null-dim", 20, 4, 13, 300),
        )
    ),
    mistakes=(
        Mistake(
            "the number in the file is believed although the model ignores it: with multi_query "
            "on and new_decoder_architecture off there is 1 KV head.",
            lambda hf: _kv_shape(hf, flags="none"),
        ),
        Mistake(
            "multi_query alone decides. With new_decoder_architecture on, num_kv_heads counts.",
            lambda hf: _kv_shape(hf, flags="multi_query alone"),
        ),
        Mistake(
            "a file without new_decoder_architecture is taken for one that has it on. Absent "
            "means off: hf.get(key) gives None, which is not False but as good as.",
            lambda hf: _kv_shape(hf, flags="off in writing"),
        ),
        Mistake(
            "head_dim is always worked out as hidden_size // num_attention_heads. When the file "
            "gives it, it need not be that.",
            lambda hf: _kv_shape(hf, dim="derived"),
        ),
        Mistake(
            "a file without head_dim gives None: work it out, hidden_size // num_attention_heads.",
            lambda hf: _kv_shape(hf, dim="raw"),
        ),
        Mistake(
            "no word on KV heads is taken for one KV head. It means MHA: as many as query heads.",
            lambda hf: _kv_shape(hf, missing=lambda heads: 1),
        ),
        Mistake(
            "no word on KV heads gives None. It means MHA: as many as query heads.",
            lambda hf: _kv_shape(hf, missing=lambda heads: None),
        ),
        Mistake(
            "the query heads are counted.",
            lambda hf: (hf["num_attention_heads"], _kv_shape(hf)[1]),
        ),
        Mistake(
            "the two results are swapped: num_kv_heads comes first, then head_dim.",
            lambda hf: _kv_shape(hf)[::-1],
        ),
        Mistake(
            "a key that is there with the value null is believed. hf.get(key, default) gives the "
            "default only when the key is absent; null arrives as None.",
            lambda hf: (
                None
                if hf.get("num_key_value_heads", 0) is None and "num_kv_heads" not in hf
                else _kv_shape(hf)[0],
                None if hf.get("head_dim", 0) is None else _kv_shape(hf)[1],
            ),
        ),
        Mistake(
            "num_kv_heads, Falcon's name for it, is not read.",
            lambda hf: _kv_shape({k: v for k, v in hf.items() if k != "num_kv_heads"}),
        ),
    ),
)


# kv_heads_in_weights


def _weight(generator, heads=0, copies=1, D=0, d_model=0, alike="", dtype="float32", draw=0):
    """Return k_proj's weight with `copies` equal neighbours of each head, and head_dim.

    `alike`: what different heads have in common all the same: their first row, their last row, the
    numbers they consist of in another order, or all numbers but one.
    """
    for _ in range(draw):
        numbers = torch.randint(0, 10**6, (5,), generator=generator).tolist()
        heads, copies = 1 + numbers[0] % 6, 1 + numbers[1] % 4
        D, d_model = 2 + numbers[2] % 5, 8 + numbers[3] % 20
        alike = ("", "first", "last", "order", "one")[numbers[4] % 5]
    rows = torch.randn((heads, D, d_model), generator=generator, dtype=torch.float64)
    rows = (rows * 8).round() / 8  # exact in any dtype and any order of summing
    if alike == "first":
        rows[:, 0] = rows[0, 0].clone()
    elif alike == "last":
        rows[:, -1] = rows[0, -1].clone()
    elif alike == "order":
        for head in range(1, heads):
            rows[head] = rows[head - 1].roll(1, dims=-1)
    elif alike == "one":
        rows[:] = rows[0].clone()
        rows[:, -1, -1] += torch.arange(heads) / 8
    weight = torch.stack([rows[head] for head in range(heads) for _ in range(copies)])
    return weight.flatten(0, 1).to(getattr(torch, dtype)), D


def _distinct(weight: torch.Tensor, head_dim: int) -> int:
    count, before = 0, None
    for start in range(0, weight.shape[0], head_dim):
        head = weight[start : start + head_dim].tolist()
        count += head != before
        before = head
    return count


def _heads(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    return weight.cpu().double().reshape(-1, head_dim, weight.shape[1])


KV_HEADS_IN_WEIGHTS = Exercise(
    name="kv_heads_in_weights",
    lesson=_LESSON,
    make=_weight,
    oracle=_distinct,
    call=call,
    cases=(
        {"heads": 4, "copies": 2, "D": 3, "d_model": 14},
        {"heads": 5, "D": 4, "d_model": 26},
        {"heads": 3, "copies": 4, "D": 2, "d_model": 10, "dtype": "float16"},
        {"heads": 1, "copies": 6, "D": 5, "d_model": 9},
        {"heads": 4, "copies": 2, "D": 3, "d_model": 7, "alike": "first"},
        {"heads": 5, "copies": 3, "D": 3, "d_model": 7, "alike": "last"},
        {"heads": 6, "copies": 2, "D": 2, "d_model": 9, "alike": "order", "dtype": "float64"},
        {"heads": 5, "copies": 2, "D": 4, "d_model": 6, "alike": "one"},
        {"draw": 3},
    ),
    mistakes=(
        Mistake(
            "every head is counted, copies included: neighbouring heads that are equal are one "
            "KV head, kept twice for sharding.",
            lambda k, D: k.shape[0] // D,
        ),
        Mistake(
            "distinct rows are counted and divided by head_dim. Two different heads may have a "
            "row in common: compare whole heads, head_dim rows each.",
            lambda k, D: int(torch.unique(k.cpu().double(), dim=0).shape[0]) // D,
        ),
        Mistake(
            "rows are counted, not heads: a head is head_dim rows.",
            lambda k, D: int(torch.unique(k.cpu().double(), dim=0).shape[0]),
        ),
        Mistake(
            "only the first row of each head is compared: heads that begin alike may differ "
            "further on.",
            lambda k, D: int(torch.unique(_heads(k, D)[:, 0], dim=0).shape[0]),
        ),
        Mistake(
            "only the last row of each head is compared: heads that end alike may differ before.",
            lambda k, D: int(torch.unique(_heads(k, D)[:, -1], dim=0).shape[0]),
        ),
        Mistake(
            "heads are compared by a sum: different heads may have the same sum.",
            lambda k, D: int(torch.unique(_heads(k, D).sum((1, 2))).shape[0]),
        ),
        Mistake(
            "heads that are nearly equal are taken for copies. A copy is equal in every number.",
            lambda k, D: (
                1
                + sum(
                    not torch.allclose(a, b, atol=0.2)
                    for a, b in zip(_heads(k, D), _heads(k, D)[1:], strict=False)
                )
            ),
        ),
        Mistake(
            "the columns are counted: d_model is what goes in. The heads lie along the first "
            "axis, (num_kv_heads * head_dim, d_model).",
            lambda k, D: k.shape[1] // D,
        ),
        Mistake(
            "the copies of the first head are counted, not the heads.",
            lambda k, D: int((_heads(k, D) == _heads(k, D)[0]).all(-1).all(-1).sum()),
        ),
        Mistake(
            "the heads are halved once their first two are equal: there may be more than two "
            "copies.",
            lambda k, D: (
                len(_heads(k, D)) // 2
                if len(_heads(k, D)) > 1 and torch.equal(*_heads(k, D)[:2])
                else len(_heads(k, D))
            ),
        ),
    ),
)

EXERCISES = [READ_KV_SHAPE, KV_HEADS_IN_WEIGHTS]

"""Lesson 05: the shape of a KV cache from a model's own files, which may mislead."""

from collections.abc import Callable

import torch

from .exercise import Exercise, Mistake
from .toys import drawn

_LESSON = "05-kv-footprint"


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


EXERCISES = [READ_KV_SHAPE]

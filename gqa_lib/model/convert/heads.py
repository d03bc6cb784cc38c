"""The heads of one attention layer, cut out of its weights so that they can be turned and pooled.

E inputs of a projection and one more for its bias, D elements of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gqa_lib.heads import check_heads

from ..checks import in_dtype

PARTS = ("q_proj", "k_proj", "v_proj")
FUSED = "qkv_proj"


@dataclass
class AttentionHeads:
    """A layer's heads in float64; a projection's bias is the last column of its heads.

    Args:
        q: queries, (Hq, D, E + 1).
        k, v: keys and values, (Hkv, D, E + 1).
        o: what each query head's output is multiplied by, (Hq, D, d_model).
        q_norm, k_norm: weights of norms over all heads, (Hq, D) and (Hkv, D); None where there are
            none, or the same for each head.
        biased: whether the projections have biases; without them those columns are 0.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor
    q_norm: Tensor | None
    k_norm: Tensor | None
    biased: bool

    @property
    def q_per_kv(self) -> int:
        """Query heads that share a KV head."""
        return len(self.q) // len(self.k)


def read_heads(weights: Mapping[str, Tensor], num_heads: int, head_dim: int) -> AttentionHeads:
    """Return the heads of a layer.

    Args:
        weights: of its attention, by names such as "k_proj.weight", or "qkv_proj.weight" for all
            three; (out, in), as torch stores them.
        num_heads: Hq.
        head_dim: D.

    Raises:
        ValueError: the weights are not whole heads, query heads cannot share the KV heads, or a
            weight is no finite fraction.
    """
    if f"{FUSED}.weight" not in weights:
        for name in PARTS:
            if f"{name}.weight" not in weights:
                raise ValueError(
                    f"{name}.weight is not there, and no {FUSED}.weight: this attention has other "
                    f"projections than {', '.join(PARTS)}. Give a model that has those."
                )
    weights = {name: _checked(name, one) for name, one in weights.items()}
    o = weights["o_proj.weight"]
    if o.shape[1] != num_heads * head_dim:
        raise _not_heads("o_proj.weight", o.shape[1], num_heads, head_dim)
    projections = [_with_bias(*pair) for pair in _projections(weights, num_heads * head_dim)]
    q, k, v = (one.unflatten(0, (-1, head_dim)) for one in _whole(projections, head_dim))
    if len(q) != num_heads or len(k) != len(v):
        raise _not_heads("q_proj.weight", len(q) * head_dim, num_heads, head_dim)
    check_heads(num_heads, len(k))
    q_norm, k_norm = (_norm(weights.get(f"{one}_norm.weight"), head_dim) for one in "qk")
    biased = any(name.endswith(f"{one}.bias") for name in weights for one in (*PARTS, FUSED))
    return AttentionHeads(q, k, v, o.t().unflatten(0, (-1, head_dim)), q_norm, k_norm, biased)


def write_heads(heads: AttentionHeads, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a layer with other heads.

    Args:
        heads: of the layer.
        like: the weights that `read_heads` took: these names and dtypes come out.

    Raises:
        ValueError: a number is too large for its dtype.
    """
    made = dict(zip(PARTS, (heads.q, heads.k, heads.v), strict=True))
    rows = {name: one.flatten(0, 1) for name, one in made.items()}
    rows[FUSED] = torch.cat(list(rows.values()))
    out = {f"{name}.weight": one[:, :-1] for name, one in rows.items()}
    out |= {f"{name}.bias": one[:, -1] for name, one in rows.items()}
    out["o_proj.weight"] = heads.o.flatten(0, 1).t()
    for name, norm in (("q_norm", heads.q_norm), ("k_norm", heads.k_norm)):
        if norm is not None:
            out[f"{name}.weight"] = norm.flatten()
    return {
        name: in_dtype(name, out.get(name, old), old.dtype).to(old.device)
        for name, old in like.items()
    }


def _checked(name: str, weight: Tensor) -> Tensor:
    """A weight in float64, on the CPU."""
    if not weight.is_floating_point():
        raise ValueError(
            f"{name} is of {weight.dtype}: pooled heads are fractions, and quantised weights hold "
            "none. Convert the model before it is quantised."
        )
    wide = weight.detach().to("cpu", torch.float64)
    if not wide.isfinite().all():
        raise ValueError(
            f"{name} has a weight that is infinite or NaN, and so would be every head that is "
            "pooled with it. Choose a checkpoint whose weights are numbers."
        )
    return wide


def _projections(weights: Mapping[str, Tensor], q_rows: int) -> list[tuple[Tensor, Tensor | None]]:
    """Weight and bias of the projections to queries, keys and values."""
    if f"{FUSED}.weight" not in weights:
        return [(weights[f"{one}.weight"], weights.get(f"{one}.bias")) for one in PARTS]
    weight, bias = weights[f"{FUSED}.weight"], weights.get(f"{FUSED}.bias")
    kv_rows = (len(weight) - q_rows) // 2
    sizes = [q_rows, kv_rows, len(weight) - q_rows - kv_rows]
    biases = [None] * 3 if bias is None else bias.split(sizes)
    return list(zip(weight.split(sizes), biases, strict=True))


def _with_bias(weight: Tensor, bias: Tensor | None) -> Tensor:
    column = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias
    return torch.cat([weight, column[:, None]], 1)


def _whole(projections: list[Tensor], head_dim: int) -> list[Tensor]:
    for name, one in zip(PARTS, projections, strict=True):
        if len(one) % head_dim or not len(one):
            raise ValueError(
                f"{name}.weight has {len(one)} rows, which are not whole heads of head_dim="
                f"{head_dim}: give the head_dim of this model."
            )
    return projections


def _norm(weight: Tensor | None, head_dim: int) -> Tensor | None:
    if weight is None or len(weight) == head_dim:
        return None
    return weight.unflatten(0, (-1, head_dim))


def _not_heads(name: str, size: int, num_heads: int, head_dim: int) -> ValueError:
    return ValueError(
        f"{name} is for {size} channels, and num_heads={num_heads} of head_dim={head_dim} have "
        f"{num_heads * head_dim}: give the numbers of this model."
    )

"""A rank's part of a language model, split by heads (tensor parallelism)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gqa_lib import cost
from gqa_lib.attention.modules import Linear, RMSNorm
from gqa_lib.configs import ModelConfig
from gqa_lib.kernels import linear

from ..language_model import LanguageModel, check_model
from .collectives import Group, from_first_rank, least_over_ranks, rank_of, sum_over_ranks
from .heads import check_ranks, rank_heads


def rank_config(config: ModelConfig, num_ranks: int) -> ModelConfig:
    """Return the shape of a rank's part of a language model.

    It has max(1, num_kv_heads / num_ranks) KV heads: with more ranks than KV heads these are
    copied, and the rank's cache is no smaller. The embedding and the output head stay whole.

    Args:
        config: the whole model's shape.
        num_ranks: that it is split over.

    Raises:
        ValueError: num_heads, num_kv_heads or d_ff cannot be divided so.
    """
    check_ranks(config.num_heads, config.num_kv_heads, num_ranks)
    if config.d_ff is not None and config.d_ff % num_ranks:
        raise ValueError(
            f"d_ff={config.d_ff} cannot be divided over num_ranks={num_ranks}: ranks would have "
            "unlike parts of the feed-forward block. Choose num_ranks that divides it."
        )
    shape = cost.rank_config(config, num_ranks)
    return replace(shape, vocab_size=config.vocab_size, weights=None, weight_bytes=None)


def shard_model(model: LanguageModel, group: Group = None) -> ShardedModel:
    """Return this rank's part of a model, which computes what the whole one does.

    All ranks call it with the same model, and use what it returns with the same arguments in the
    same order: `generate`, `stream`, a `serving.Engine`, or the model itself.

    Args:
        model: the whole one; nothing of it is kept.
        group: the ranks; None is all of them.

    Raises:
        ValueError: heads or the feed-forward block cannot be divided over the ranks.
        RuntimeError: this process belongs to no group.
    """
    check_model(model)
    if isinstance(model, ShardedModel):
        raise ValueError(
            f"the model is a rank's part of one already, of {model.num_ranks} ranks. Give the "
            "whole one."
        )
    rank, num_ranks = rank_of(group)
    part = ShardedModel(model, rank, num_ranks, group)
    heads = rank_heads(model.config.num_heads, model.config.num_kv_heads, rank, num_ranks)
    weights = {
        name: _part_of(name, value, model, heads, rank, num_ranks).clone(
            memory_format=torch.contiguous_format
        )
        for name, value in model.state_dict().items()
    }
    part.load_state_dict(weights, assign=True)
    if part.variant.tied:
        part.head.weight = part.embedding.weight
    return part.requires_grad_(False)


class ShardedModel(LanguageModel):
    """A rank's part of a language model; `shard_model` makes it and gives it its weights.

    Query heads, their KV heads and the feed-forward block's channels are split; a layer adds up the
    ranks' parts twice. The embedding, the norms and the output head are whole in each rank. Logits
    are the first rank's in all ranks, so that all choose the same tokens. It is for inference: its
    weights take no gradient.

    Args:
        whole: the model that it is a part of.
        rank: which part.
        num_ranks: parts.
        group: the ranks.

    Attributes:
        config: of this part: its heads are the rank's, and so is what `new_cache` makes.
        rank, num_ranks, group: as given.

    Source: Shoeybi et al. 2019 (arXiv 1909.08053), section 3.
    """

    def __init__(self, whole: LanguageModel, rank: int, num_ranks: int, group: Group):
        first: Any = whole.layers[0]
        weight, backend = whole.head.weight, first.attention.backend
        config = rank_config(whole.config, num_ranks)
        super().__init__(config, whole.variant, backend=backend, device="meta", dtype=weight.dtype)
        self.rank, self.num_ranks, self.group = rank, num_ranks, group
        layer: Any
        for layer in self.layers:
            layer._is_plain = False  # in one call it would not add up the ranks' parts
            attention, mlp = layer.attention, layer.mlp
            attention.o_proj = SharedLinear(attention.o_proj, group)
            mlp.down_proj = SharedLinear(mlp.down_proj, group)
            if self.variant.qk_norm == "projection":
                attention.q_norm = SharedRMSNorm(attention.q_norm, group)
                attention.k_norm = SharedRMSNorm(attention.k_norm, group)

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits for what `hidden` gives, the same bits in all ranks.

        Args:
            x: (..., d_model).

        Returns:
            (..., V).
        """
        return from_first_rank(super().logits(x), self.group)

    def least(self, number: int) -> int:
        """Return the smallest of all ranks' numbers.

        Args:
            number: this rank's, such as the blocks that its memory has room for.
        """
        return least_over_ranks(number, self.group, self.head.weight.device)


class SharedLinear(Linear):
    """A Linear of which each rank has some columns, and gets the output of all of them.

    Args:
        own: with this rank's sizes; nothing else of it is kept.
        group: the ranks.
    """

    def __init__(self, own: Linear, group: Group):
        has_bias, where = own.bias is not None, {"device": "meta", "dtype": own.weight.dtype}
        super().__init__(own.in_features, own.out_features, has_bias, **where)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of all ranks' products, plus the bias: (..., in) -> (..., out)."""
        out = sum_over_ranks(linear(x, self.weight), self.group)
        return out if self.bias is None else out + self.bias


class SharedRMSNorm(RMSNorm):
    """An RMSNorm over all ranks' elements, of which each rank has equally many.

    Args:
        own: with this rank's size; nothing else of it is kept.
        group: the ranks.
    """

    def __init__(self, own: RMSNorm, group: Group):
        super().__init__(len(own.weight), own.eps, "meta", own.weight.dtype)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (..., size), divided by what is common to all ranks, times the weights."""
        wide = x if x.dtype == torch.float64 else x.float()
        squares = sum_over_ranks(wide.square().mean(-1, keepdim=True), self.group)
        mean = squares / rank_of(self.group)[1]  # heads that are copied count alike
        return (wide * (mean + self.eps).rsqrt()).to(x.dtype) * self.weight


def _part_of(
    name: str,
    value: Tensor,
    model: LanguageModel,
    heads: tuple[range, range],
    rank: int,
    num_ranks: int,
) -> Tensor:
    """A rank's part of a weight, which is a view where it can be."""
    (queries, kv_heads), D = heads, model.config.head_dim
    module, kind = name.split(".")[-2:]
    if module == "qkv_proj":
        widths = D * model.config.num_heads, *(D * model.config.num_kv_heads,) * 2
        q, k, v = value.split(widths)
        parts = (_heads(q, queries, D), _heads(k, kv_heads, D), _heads(v, kv_heads, D))
        return torch.cat(parts)
    if module == "gate_up_proj":
        return torch.cat([one.chunk(num_ranks)[rank] for one in value.chunk(2)])
    if kind == "weight" and module in ("o_proj", "down_proj"):
        return value.chunk(num_ranks, 1)[rank]
    if module in ("q_norm", "k_norm") and model.variant.qk_norm == "projection":
        of = queries if module == "q_norm" else kv_heads
        return _heads(value, of, D)
    return value


def _heads(rows: Tensor, heads: range, head_dim: int) -> Tensor:
    return rows[heads.start * head_dim : heads.stop * head_dim]

"""A decoder-only language model, from tokens to logits.

B batch, T new tokens, V vocabulary, Hq query heads, Hkv KV heads, D elements of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gqa_lib.arguments import check_kind
from gqa_lib.attention import GroupedQueryAttention, Rope
from gqa_lib.attention.layer import new_positions
from gqa_lib.attention.modules import Linear, RMSNorm
from gqa_lib.cache import Cache, KVCache, ModelCache
from gqa_lib.configs import LayerKV, ModelConfig
from gqa_lib.configs.layer import Kind

from .checks import caches_of, embed
from .one_token import decode_layer, runs_in_one_call
from .variant import Activation, Variant


class LanguageModel(nn.Module):
    """A decoder like Llama: RMSNorm, rotary positions, shared KV heads, SwiGLU.

    Args:
        config: its sizes, any num_kv_heads that divides num_heads; d_ff and vocab_size are needed.
        variant: what it does otherwise than Llama.
        backend: of attention, a name in `gqa_lib.kernels.BACKENDS`, or "auto".
        device, dtype: of the weights.

    Raises:
        ValueError: a size is missing, or a layer keeps something other than K and V of all or of
            the newest tokens.
    """

    def __init__(
        self,
        config: ModelConfig,
        variant: Variant | None = None,
        *,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        check_kind(ModelConfig, "Give load_model(name) or ModelConfig(...).", config=config)
        if variant is not None:
            check_kind(Variant, "Give Variant(...), or None for a Llama.", variant=variant)
        self.config, self.variant = config, variant or Variant()
        V, d_ff = _needed(config, "vocab_size"), _needed(config, "d_ff")
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self._ropes = ropes_of_layers(config, self.variant)
        table = torch.empty(V, config.d_model, **where)
        if not table.is_meta:  # there it has no numbers, and torch would load its compiler
            nn.init.normal_(table)
        self.embedding = nn.Embedding.from_pretrained(table, freeze=False)
        self.layers = nn.ModuleList(
            Layer(config, self.variant, d_ff, window, rope, backend, where)
            for window, rope in zip(_windows(config), self._ropes, strict=True)
        )
        self.norm = RMSNorm(config.d_model, self.variant.norm_eps, **where)
        self.head = Linear(config.d_model, V, bias=False, **where)
        if self.variant.tied:
            self.head.weight = self.embedding.weight

    def new_cache(self, batch_size: int, max_seq_len: int) -> ModelCache:
        """Return an empty cache with room for some tokens in each row.

        Args:
            batch_size: B, its rows.
            max_seq_len: tokens that each has room for, prompt and continuation.
        """
        weight, config = self.head.weight, self.config
        sizes = batch_size, config.num_kv_heads, max_seq_len, config.head_dim
        return ModelCache([KVCache(*sizes, weight.dtype, weight.device) for _ in self.layers])

    def forward(
        self,
        tokens: Tensor,
        cache: ModelCache | None = None,
        num_new: Sequence[int] | Tensor | None = None,
    ) -> Tensor:
        """Return the logits of the token after each.

        Args:
            tokens: the new tokens, (B, T) int64.
            cache: of the tokens before them, as `new_cache` makes one; the new ones are appended.
            num_new: with a cache, how many of the T tokens each row has, (B,): its own first, then
                padding. None is T for all.

        Returns:
            (B, T, V); what is there for padding means nothing.

        Raises:
            ValueError: tokens are not the vocabulary's, or they or num_new do not fit the cache, or
                num_new is given without one.
        """
        return self.logits(self.hidden(tokens, cache, num_new))

    def hidden(
        self,
        tokens: Tensor,
        cache: ModelCache | None = None,
        num_new: Sequence[int] | Tensor | None = None,
    ) -> Tensor:
        """Return what the head takes for each token, (B, T, d_model).

        Args:
            tokens, cache, num_new: as in `forward`.
        """
        caches = caches_of(cache, len(self.layers))
        x = embed(self.embedding, tokens)  # (B, T) -> (B, T, d_model)
        if self.variant.embedding_scale != 1:
            x = x * torch.tensor(self.variant.embedding_scale, dtype=x.dtype)
        B, T = tokens.shape
        positions = new_positions(caches[0], B, T, num_new)
        cos_sin = {rope: rope and rope.cos_sin(positions, x) for rope in set(self._ropes)}
        for layer, rope, past in zip(self.layers, self._ropes, caches, strict=True):
            x = layer(x, past, num_new, cos_sin[rope])
        return self.norm(x)

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits for what `hidden` gives, or for a part of it.

        Args:
            x: (..., d_model).

        Returns:
            (..., V).
        """
        return self.head(x)


class Layer(nn.Module):
    """Attention, then a feed-forward block, each added to what comes in."""

    attention_norm: Any  # an RMSNorm, or an Identity where a variant has none
    mlp_norm: Any

    def __init__(
        self,
        config: ModelConfig,
        variant: Variant,
        d_ff: int,
        window: int | None,
        rope: Rope | None,
        backend: str,
        where: dict[str, Any],
    ):
        super().__init__()
        self.attention = GroupedQueryAttention(
            config.d_model,
            config.num_heads,
            config.num_kv_heads,
            head_dim=config.head_dim,
            rope=rope or False,
            bias=variant.qkv_bias,
            out_bias=variant.out_bias,
            qk_norm=variant.qk_norm or False,
            norm_eps=variant.norm_eps,
            window=window,
            fused=True,
            backend=backend,
            **where,
        )
        self.mlp = SwiGLU(config.d_model, d_ff, variant.mlp_bias, variant.activation, where)
        self._is_plain = (
            variant.norms == "before"
            and variant.activation == "silu"
            and variant.qk_norm != "projection"
            and not variant.mlp_bias
            and d_ff % 8 == 0
        )
        before, after = variant.norms != "after", variant.norms != "before"
        self.attention_norm, self.mlp_norm, self.attention_out_norm, self.mlp_out_norm = (
            RMSNorm(config.d_model, variant.norm_eps, **where) if there else nn.Identity()
            for there in (before, before, after, after)
        )

    def forward(
        self,
        x: Tensor,
        cache: Cache | None,
        num_new: Sequence[int] | Tensor | None,
        cos_sin: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Return x, (B, T, d_model), after this layer.

        Args:
            x, cache, num_new, cos_sin: as in `GroupedQueryAttention.forward`.
        """
        attention, mlp = self.attention, self.mlp
        if self._is_plain and runs_in_one_call(cache, x, num_new, attention):
            norms = self.attention_norm, self.mlp_norm
            return decode_layer(
                x, cache, cos_sin, attention, norms, mlp.gate_up_proj, mlp.down_proj
            )
        new = attention(self.attention_norm(x), cache, True, num_new, cos_sin)
        x = x + self.attention_out_norm(new)
        return x + self.mlp_out_norm(mlp(self.mlp_norm(x)))


class SwiGLU(nn.Module):
    """The feed-forward block: a gate and a value of each of d_ff channels, in one product.

    Source: Shazeer 2020 (arXiv 2002.05202), section 2.
    """

    def __init__(
        self, d_model: int, d_ff: int, bias: bool, activation: Activation, where: dict[str, Any]
    ):
        super().__init__()
        self.gate_up_proj = Linear(d_model, 2 * d_ff, bias, **where)
        self.down_proj = Linear(d_ff, d_model, bias, **where)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (B, T, d_model), through the block."""
        gate, up = self.gate_up_proj(x).chunk(2, -1)  # (B, T, 2*d_ff) -> 2 x (B, T, d_ff)
        gate = F.silu(gate) if self.activation == "silu" else F.gelu(gate, approximate="tanh")
        return self.down_proj(gate * up)


def _needed(config: ModelConfig, name: str) -> int:
    size = getattr(config, name)
    if size is None:
        raise ValueError(
            f"{config.name}: {name} is not known, so that its weights have no shape. Give one, as "
            f"with dataclasses.replace(config, {name}=...)."
        )
    return size


def _windows(config: ModelConfig) -> list[int | None]:
    for number, layer in enumerate(config.kv_layers):
        kind: Kind = "full" if layer.window is None else "window"
        D = config.head_dim
        if layer != LayerKV(kind, config.num_kv_heads, D, D, window=layer.window):
            raise ValueError(
                f"{config.name}, layer {number}: {layer} is not grouped-query attention like the "
                "other layers', which is all that this model computes. Choose a model whose layers "
                "keep K and V of the same heads, of all or of the newest tokens."
            )
    return [layer.window for layer in config.kv_layers]


def check_model(model: Any) -> None:
    """Raise ValueError for what is not a language model."""
    check_kind(LanguageModel, "Give LanguageModel(...) or gqa_lib.model.load(path).", model=model)


def ropes_of_layers(config: ModelConfig, variant: Variant) -> Sequence[Rope | None]:
    """Return for each layer how it turns queries and keys, None where it does not.

    Args:
        config: of the model.
        variant: of the model.

    Raises:
        ValueError: there is not one for each layer.
    """
    rope = Rope(config.head_dim) if variant.rope is None else variant.rope
    ropes = [rope] * config.num_layers if isinstance(rope, Rope) else rope
    if len(ropes) != config.num_layers:
        raise ValueError(
            f"{config.name}: rope has {len(ropes)} entries for num_layers={config.num_layers}: "
            "each layer turns in its own way, or not. Give one Rope for all, or one per layer."
        )
    return ropes

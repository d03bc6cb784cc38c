"""Multi-head latent attention (MLA): keys and values of all heads made from one cached latent."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gqa_lib.arguments import check_kind, check_number, check_whole, shown
from gqa_lib.cache.latent import LatentCache
from gqa_lib.kernels import attend, turn
from gqa_lib.kernels.dispatch import check_backend

from .layer import new_positions
from .modules import Linear, RMSNorm
from .rope import Rope, rope_for


class LatentAttention(nn.Module):
    """Attention whose keys and values are products of one latent per token, as in DeepSeek-V2.

    A token keeps its latent of kv_lora_rank elements and one rotary key of rope_head_dim for all
    heads, whatever num_heads is. A head's key is its own part, made from the latent, and the rotary
    key; its value is made from the latent.

    The same output is computed in two ways. Expanded: K and V of every head are made from the
    latents, then attended to. Absorbed: the matrix that would make the keys is multiplied into the
    query and the one that would make the values into the output, so that all heads read the latents
    as one KV head, and no key is ever made.

    Heads share the latent: with tensor parallelism each rank needs all of it, where GQA gives a
    rank its own KV heads. Only the heads' projections are split.

    Args:
        d_model: width of the model.
        num_heads: query heads, each with a key and value of its own when expanded.
        head_dim: elements of a query or key head without rotation (qk_nope_head_dim).
        rope_head_dim: elements of a query head, and of the one key, that turn (qk_rope_head_dim);
            0 is none.
        kv_lora_rank: elements of the latent.
        v_head_dim: elements of a value head; None is head_dim.
        q_lora_rank: elements of a latent that queries are made from; None is none.
        rope: how they turn: a `Rope` for rope_head_dim, which layers may share; True is
            Rope(rope_head_dim), False not at all.
        interleaved: whether checkpoints pair neighbours of a rotary part (DeepSeek's), else its two
            halves.
        scale: what scores are multiplied by; None is (head_dim + rope_head_dim)^-1/2. DeepSeek-V3
            multiplies that by (0.1 mscale_all_dim ln(factor) + 1)^2 of its YaRN.
        norm_eps: what the latents' norms add to the mean square.
        backend: a name in `gqa_lib.kernels.BACKENDS`, or "auto" for the fastest known.
        device, dtype: of the weights.

    Raises:
        ValueError: a size is not a whole number above 0, rope is for another width, scale is not
            above 0, or no such backend.

    Source: DeepSeek-AI 2024, "DeepSeek-V2" (arXiv 2405.04434), section 2.1; weights are named as in
    its checkpoints.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        head_dim: int,
        rope_head_dim: int,
        kv_lora_rank: int,
        v_head_dim: int | None = None,
        q_lora_rank: int | None = None,
        rope: Rope | bool = True,
        interleaved: bool = True,
        scale: float | None = None,
        norm_eps: float = 1e-6,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.d_model, self.num_heads, self.head_dim = d_model, num_heads, head_dim
        self.rope_head_dim, self.kv_lora_rank = rope_head_dim, kv_lora_rank
        self.v_head_dim = head_dim if v_head_dim is None else v_head_dim
        check_whole(d_model=d_model, num_heads=num_heads, head_dim=head_dim)
        check_whole(kv_lora_rank=kv_lora_rank, v_head_dim=self.v_head_dim)
        check_whole(0, rope_head_dim=rope_head_dim)
        check_number(0, norm_eps=norm_eps)
        check_backend(backend)
        self.rope = rope_for(rope, rope_head_dim) if rope_head_dim else None
        self.interleaved = interleaved
        self.scale = (head_dim + rope_head_dim) ** -0.5 if scale is None else scale
        check_number(above=0, scale=self.scale)
        self.backend = backend
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self._add_queries(q_lora_rank, norm_eps, where)
        width, made = kv_lora_rank + rope_head_dim, head_dim + self.v_head_dim
        self.kv_a_proj_with_mqa = Linear(d_model, width, False, **where)
        self.kv_a_layernorm = RMSNorm(kv_lora_rank, norm_eps, **where)
        self.kv_b_proj = Linear(kv_lora_rank, num_heads * made, False, **where)
        self.o_proj = Linear(num_heads * self.v_head_dim, d_model, False, **where)

    def _add_queries(self, q_lora_rank: int | None, eps: float, where: dict[str, Any]) -> None:
        width = self.num_heads * (self.head_dim + self.rope_head_dim)
        self.q_lora_rank = q_lora_rank
        if q_lora_rank is None:
            self.q_proj = Linear(self.d_model, width, False, **where)
            return
        check_whole(q_lora_rank=q_lora_rank)
        self.q_a_proj = Linear(self.d_model, q_lora_rank, False, **where)
        self.q_a_layernorm = RMSNorm(q_lora_rank, eps, **where)
        self.q_b_proj = Linear(q_lora_rank, width, False, **where)

    def new_cache(self, batch_size: int, max_seq_len: int) -> LatentCache:
        """Return an empty cache for this layer.

        Args:
            batch_size: B, its rows.
            max_seq_len: tokens that each has room for.
        """
        weight, sizes = self.o_proj.weight, (self.kv_lora_rank, self.rope_head_dim)
        return LatentCache(batch_size, max_seq_len, *sizes, weight.dtype, weight.device)

    def forward(
        self,
        x: Tensor,
        cache: LatentCache | None = None,
        causal: bool = True,
        num_new: Sequence[int] | Tensor | None = None,
        *,
        absorbed: bool | None = None,
    ) -> Tensor:
        """Return the attention output for x, over the cached tokens as well if there is a cache.

        Args:
            x: (B, T, d_model), the new tokens.
            cache: to which the new tokens are appended; positions continue from its lengths.
            causal: whether a token sees only itself and those before it.
            num_new: with a cache, how many of the T tokens each row has, (B,): its own first, then
                padding. None is T for all.
            absorbed: which of the two ways; None is the one with fewer multiplications.

        Returns:
            (B, T, d_model); what is there for padding means nothing.

        Raises:
            ValueError: x or num_new does not fit the cache, the cache is of another kind, or
                num_new is given without one.
        """
        self._check(x, cache)
        B, T, _ = x.shape
        positions = new_positions(cache, B, T, num_new)
        q_part, q_rope = self._queries(x)  # (B, Hq, T, head_dim), (B, Hq, T, rope_head_dim)
        latent, rope_key = self._entries(x)  # (B, T, rank), (B, T, rope_head_dim)
        if self.rope is not None:
            cos_sin = self.rope.cos_sin(positions, x)
            q_rope, rope_key = turn(q_rope, *cos_sin), turn(rope_key[:, None], *cos_sin)[:, 0]
        if cache is not None:
            cache.append(latent, rope_key, num_new)
        S = T if cache is None else cache.length
        absorbed = self._absorbing_is_less(T, S) if absorbed is None else absorbed
        to_latent, to_out = self._kv_b()  # (Hq, head_dim, rank), (Hq, v_head_dim, rank)
        q = self._scaled(q_part @ to_latent if absorbed else q_part, q_rope, absorbed)
        if cache is None:
            entries = torch.cat((latent, rope_key), -1)
            k, v = (entries[:, None],) * 2 if absorbed else self._expand(entries)
            out = attend(q, k, v, causal, self.backend)
        else:
            expand = None if absorbed else self._expand
            out = cache.attend(q, self.backend, causal=causal, expand=expand)
        if absorbed:
            out = out[..., : self.kv_lora_rank] @ to_out.mT  # (B, Hq, T, v_head_dim)
        out = out[..., : self.v_head_dim]
        return self.o_proj(out.transpose(1, 2).flatten(2))  # (B, Hq, T, D) -> (B, T, Hq*D)

    def _check(self, x: Any, cache: Any) -> None:
        if not isinstance(x, Tensor) or x.dim() != 3 or x.shape[2] != self.d_model:
            what = f"x {tuple(x.shape)}" if isinstance(x, Tensor) else f"x={shown(x)}"
            raise ValueError(
                f"{what} is not a batch of tokens of d_model={self.d_model}, which is what the "
                f"layer projects. Pass a tensor of (B, T, {self.d_model})."
            )
        dtype = self.o_proj.weight.dtype
        if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(
                f"x is {x.dtype} and the layer's weights are {dtype}: converting every call would "
                f"hide a cost. Pass x.to({dtype}), or convert the layer with layer.to(x.dtype)."
            )
        if cache is not None:
            how = "A latent has no K and V: make the cache with the layer's new_cache."
            check_kind(LatentCache, how, cache=cache)

    def _queries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.q_lora_rank is None:
            q = self.q_proj(x)
        else:
            q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        q = q.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, Hq, T, head_dim + rope)
        q_part, q_rope = q.split((self.head_dim, self.rope_head_dim), -1)
        return q_part, self._in_halves(q_rope)

    def _entries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        made = self.kv_a_proj_with_mqa(x).split((self.kv_lora_rank, self.rope_head_dim), -1)
        return self.kv_a_layernorm(made[0]), self._in_halves(made[1])

    def _in_halves(self, x: Tensor) -> Tensor:
        """Pairs of neighbours brought to where `turn` has them; scores stay as they are."""
        if self.rope is None or not self.interleaved:
            return x
        return x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)

    def _kv_b(self) -> tuple[Tensor, Tensor]:
        """The weights that make a head's key and its value from a latent."""
        each = self.kv_b_proj.weight.unflatten(0, (self.num_heads, -1))
        to_key, to_value = each.split((self.head_dim, self.v_head_dim), 1)
        return to_key, to_value

    def _scaled(self, q_part: Tensor, q_rope: Tensor, absorbed: bool) -> Tensor:
        """Queries as wide as the keys, whose products times the kernels' own scale are scores."""
        q = torch.cat((q_part, q_rope), -1)
        width = q.shape[-1] if absorbed else self._expanded_width
        return F.pad(q, (0, width - q.shape[-1])) * (self.scale * width**0.5)

    @property
    def _expanded_width(self) -> int:
        """Of expanded keys and values, which the kernels take equally wide."""
        return max(self.head_dim + self.rope_head_dim, self.v_head_dim)

    def _expand(self, entries: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of every head, (B, Hq, S, D) each, the narrower ones padded with 0."""
        latent, rope_key = entries.split((self.kv_lora_rank, self.rope_head_dim), -1)
        made = self.kv_b_proj(latent).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k_part, v = made.split((self.head_dim, self.v_head_dim), -1)  # (B, Hq, S, ...)
        k = torch.cat((k_part, rope_key[:, None].expand(*k_part.shape[:3], -1)), -1)
        k, v = (F.pad(t, (0, self._expanded_width - t.shape[-1])) for t in (k, v))
        return k, v

    def _absorbing_is_less(self, T: int, S: int) -> bool:
        """Whether the absorbed way takes fewer multiplications for T new tokens over S."""
        rank, rope, made = self.kv_lora_rank, self.rope_head_dim, self.head_dim + self.v_head_dim
        absorbed = T * rank * made + T * S * (2 * rank + rope)
        return absorbed < S * rank * made + T * S * (made + rope)

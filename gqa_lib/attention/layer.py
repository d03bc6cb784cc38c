"""Attention whose query heads share keys and values: as a function, and as a layer of a model."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gqa_lib.arguments import check_number, check_whole, shown
from gqa_lib.cache import Cache
from gqa_lib.cache.checks import one_per_row
from gqa_lib.heads import check_heads
from gqa_lib.kernels import attend, turn
from gqa_lib.kernels.checks import check_attention, check_window
from gqa_lib.kernels.dispatch import check_backend

from .modules import Linear, RMSNorm
from .rope import Rope, check_turned_alike, rope_for


def grouped_query_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: bool = True,
    *,
    backend: str = "auto",
    window: int | None = None,
) -> Tensor:
    """Return attention of q over k and v, each KV head shared by q_per_kv neighbouring query heads.

    Query head h reads KV head h // q_per_kv: six over two read K0 K0 K0 K1 K1 K1. K and V are never
    expanded to the query heads.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D), Hq divisible by Hkv. Where one is NaN, so may be the
            output of queries that do not see it.
        causal: query i of T sees keys up to S - T + i, so S >= T.
        backend: a name in `gqa_lib.kernels.BACKENDS`, or "auto" for the fastest known.
        window: a query sees only the last `window` keys up to its own; None is all of them.

    Returns:
        (B, Hq, T, D) in q's dtype on q's device.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together, or the backend cannot run them.

    Source: Ainslie et al. 2023 (arXiv 2305.13245), section 2.2; with Hkv = 1, Shazeer 2019
    (arXiv 1911.02150), section 3.
    """
    check_attention(q, k, v, causal, window)
    return attend(q, k, v, causal, backend, window=window)


class GroupedQueryAttention(nn.Module):
    """Attention whose num_heads query heads share num_kv_heads keys and values.

    num_kv_heads = num_heads is multi-head attention, num_kv_heads = 1 multi-query attention.

    Args:
        d_model: width of the model.
        num_heads: query heads.
        num_kv_heads: KV heads, a divisor of num_heads; None is num_heads.
        head_dim: width of a head; None is d_model // num_heads.
        rope: how queries and keys are turned by their positions: a `Rope`, which layers may share;
            True is Rope(head_dim), False not at all.
        bias: whether q_proj, k_proj and v_proj have one.
        out_bias: whether o_proj has one.
        qk_norm: what of queries and keys is normalised before they are turned: each "head", which
            is also True, or all heads of a "projection" together; False is nothing.
        norm_eps: what that adds to the mean square.
        window: a token sees only the last `window` up to itself; None is all of them.
        fused: whether one projection, qkv_proj, stands for q_proj, k_proj and v_proj: their rows
            in that order, read in one product.
        backend: a name in `gqa_lib.kernels.BACKENDS`, or "auto" for the fastest known.
        device, dtype: of the weights.

    Raises:
        ValueError: num_kv_heads does not divide num_heads, num_heads does not divide d_model, rope
            is for another head_dim, window is not a number of tokens, qk_norm is none of those, or
            no such backend.

    Source: Ainslie et al. 2023 (arXiv 2305.13245), section 2.2; the window: Jiang et al. 2023
    (arXiv 2310.06825), section 2.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        *,
        head_dim: int | None = None,
        rope: Rope | bool = False,
        bias: bool = False,
        out_bias: bool = False,
        qk_norm: Literal["head", "projection"] | bool = False,
        norm_eps: float = 1e-6,
        window: int | None = None,
        fused: bool = False,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.d_model, self.num_heads = d_model, num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        check_heads(num_heads, self.num_kv_heads)
        self.head_dim = _head_dim(d_model, num_heads, head_dim)
        check_window(window, causal=True)
        check_backend(backend)
        self.rope = rope_for(rope, self.head_dim)
        self.window, self.backend = window, backend
        self.fused, self.qk_norm = fused, _qk_norm(qk_norm)
        q_width, kv_width = num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        self._widths = q_width, kv_width, kv_width
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        if fused:
            self.qkv_proj = Linear(d_model, sum(self._widths), bias, **where)
        else:
            self.q_proj, self.k_proj, self.v_proj = (
                Linear(d_model, width, bias, **where) for width in self._widths
            )
        self.o_proj = Linear(q_width, d_model, out_bias, **where)
        if self.qk_norm:
            self._add_norms(norm_eps, where)

    def _add_norms(self, eps: float, where: dict[str, Any]) -> None:
        check_number(0, norm_eps=eps)
        widths = self._widths[:2] if self.qk_norm == "projection" else (self.head_dim,) * 2
        self.q_norm, self.k_norm = (RMSNorm(width, eps, **where) for width in widths)

    def forward(
        self,
        x: Tensor,
        cache: Cache | None = None,
        causal: bool = True,
        num_new: Sequence[int] | Tensor | None = None,
        cos_sin: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the attention output for x, over the cached tokens as well if there is a cache.

        Args:
            x: (B, T, d_model), the new tokens.
            cache: to which the new tokens are appended; positions continue from its lengths, and
                keys are cached turned, unless it has a rope of its own: the same as this layer's.
            causal: whether a token sees only itself and those before it.
            num_new: with a cache, how many of the T tokens each row has, (B,): its own first, then
                padding. None is T for all.
            cos_sin: of the new tokens' positions, from the rope's `cos_sin`, where a model has
                worked them out for all its layers; None is to work them out here.

        Returns:
            (B, T, d_model); what is there for padding means nothing.

        Raises:
            ValueError: x or num_new does not fit the cache, num_new is given without one, or the
                layer has a window and causal is False: the cache is then as it was before. Or the
                cache cannot run the backend: the new tokens are in it then, and a call with them
                again would append them twice; truncate the cache to its lengths of before.
        """
        check_window(self.window, causal)
        if not isinstance(x, Tensor) or x.dim() != 3 or x.shape[2] != self.d_model:
            raise self._other_input(x)
        _check_padding(cache, num_new)
        check_turned_alike(cache, self.rope)
        try:
            q, k, v = self._project(x)  # (B, Hq, T, D), (B, Hkv, T, D) twice
        except RuntimeError:
            self._check_dtype(x)  # here, as autocast takes any
            raise
        if self.rope is not None:
            if cos_sin is None:
                positions = new_positions(cache, x.shape[0], x.shape[1], num_new)
                cos_sin = self.rope.cos_sin(positions, x)
            q, k = turn(q, *cos_sin), turn(k, *cos_sin)
        if cache is None:
            out = grouped_query_attention(q, k, v, causal, backend=self.backend, window=self.window)
        else:
            cache.append(k, v, num_new)
            out = cache.attend(q, self.backend, causal=causal, window=self.window)
        return self.o_proj(out.transpose(1, 2).flatten(2))  # (B, Hq, T, D) -> (B, T, Hq*D)

    def _other_input(self, x: Any) -> ValueError:
        what = f"x {tuple(x.shape)}" if isinstance(x, Tensor) else f"x={shown(x)}"
        return ValueError(
            f"{what} is not a batch of tokens of d_model={self.d_model}, which is what the layer "
            f"projects. Pass a tensor of (B, T, {self.d_model})."
        )

    def _check_dtype(self, x: Tensor) -> None:
        dtype = self.o_proj.weight.dtype
        if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(
                f"x is {x.dtype} and the layer's weights are {dtype}: converting every call would "
                f"hide a cost. Pass x.to({dtype}), or convert the layer with layer.to(x.dtype)."
            ) from None

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, Hq, T, D), keys and values (B, Hkv, T, D), normalised if they are to be."""
        if self.fused and self.qk_norm != "projection":
            heads = self.num_heads, self.num_kv_heads, self.num_kv_heads
            q, k, v = self._split(self.qkv_proj(x)).split(heads, 1)
        else:
            if self.fused:
                q, k, v = self.qkv_proj(x).split(self._widths, -1)
            else:
                q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
            if self.qk_norm == "projection":
                q, k = self.q_norm(q), self.k_norm(k)
            q, k, v = self._split(q), self._split(k), self._split(v)
        if self.qk_norm == "head":
            q, k = self.q_norm(q), self.k_norm(k)
        return q, k, v

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, T, H*D) -> (B, H, T, D)


def new_positions(
    cache: Cache | None, B: int, T: int, num_new: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Return where the new tokens of a batch stand: (T,), or (B, T) where rows differ.

    Padding stands where its row's last token does, so that no row becomes longer by it: by its
    length `DynamicScaling` chooses how a row is turned.

    Args:
        cache: of the tokens before them, None for none.
        B, T: rows, and new tokens of each.
        num_new: how many of the T are a row's own, (B,); None is T for all.

    Raises:
        ValueError: num_new does not fit, or is given without a cache.
    """
    _check_padding(cache, num_new)
    if cache is None:
        return torch.arange(T, device="cpu")
    positions = cache.positions(T)
    if num_new is None or T < 2:
        return positions
    B = B if positions.dim() == 1 else positions.shape[0]
    counts = one_per_row(num_new, "num_new", B, most=T)
    last = torch.tensor(counts, device="cpu", dtype=torch.int64).clamp(min=1)[:, None] - 1
    positions = positions.expand(B, T)
    return positions.minimum(positions.gather(1, last))  # (B, T) and (B, 1)


def _check_padding(cache: Cache | None, num_new: Sequence[int] | Tensor | None) -> None:
    if cache is not None and not hasattr(cache, "attend"):
        raise ValueError(
            f"cache={shown(cache)} is not a cache: past tokens would be lost. Pass one of "
            "gqa_lib.cache, such as a KVCache, or None."
        )
    if cache is None and num_new is not None:
        raise ValueError(
            f"num_new={num_new} without a cache: only a cache knows where each row ends, so "
            "that padding would be attended to. Pass a cache, or rows of one length."
        )


def _qk_norm(value: Literal["head", "projection"] | bool) -> Literal["head", "projection"] | None:
    if not isinstance(value, bool | str) or value not in (True, False, "head", "projection"):
        raise ValueError(
            f"qk_norm={value!r} is nothing that can be normalised. Choose from False, 'head' (also "
            "True) and 'projection'."
        )
    return "head" if value is True else value or None


def _head_dim(d_model: int, num_heads: int, head_dim: int | None) -> int:
    check_whole(d_model=d_model)
    if head_dim is not None:
        check_whole(head_dim=head_dim)
        return head_dim
    if d_model % num_heads:
        raise ValueError(
            f"d_model={d_model} is not divisible by num_heads={num_heads}: the heads would differ "
            f"in width. Choose d_model={d_model // num_heads * num_heads or num_heads}, or pass "
            "head_dim."
        )
    return d_model // num_heads

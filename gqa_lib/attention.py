"""Grouped-query attention; multi-head and multi-query attention are its two ends."""

import torch
from torch import nn

from .kernels import attend
from .rope import rotate


def grouped_query_attention(q, k, v, causal=True, *, backend="auto"):
    """Return attention of q over k and v, each KV head shared by q_per_kv neighbouring query heads.

    Query head h reads KV head h // q_per_kv. K and V are never expanded to the query heads.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D), Hq divisible by Hkv.
        causal: query i of T sees keys up to S - T + i, so S >= T.
        backend: a name in `gqa_lib.kernels.BACKENDS`, or "auto" for the fastest known.

    Returns:
        (B, Hq, T, D) in q's dtype on q's device.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together, or the backend cannot run them.

    Source: Ainslie et al. 2023 (arXiv 2305.13245), section 2.2; with Hkv = 1, Shazeer 2019
    (arXiv 1911.02150), section 3.
    """
    _check_inputs(q, k, v, causal)
    return attend(q, k, v, causal, backend)


class GroupedQueryAttention(nn.Module):
    """Attention whose num_heads query heads share num_kv_heads keys and values.

    num_kv_heads = num_heads is multi-head attention, num_kv_heads = 1 multi-query attention.

    Args:
        d_model: width of the model.
        num_heads: query heads.
        num_kv_heads: KV heads, a divisor of num_heads; None is num_heads.
        head_dim: width of a head; None is d_model // num_heads.
        rope: whether queries and keys are rotated by their positions.
        rope_base: base of the rotation's frequencies.
        backend: a name in `gqa_lib.kernels.BACKENDS`, or "auto" for the fastest known.
        device, dtype: of the weights.

    Raises:
        ValueError: num_kv_heads does not divide num_heads, or num_heads does not divide d_model.

    Source: Ainslie et al. 2023 (arXiv 2305.13245), section 2.2.
    """

    def __init__(
        self,
        d_model,
        num_heads,
        num_kv_heads=None,
        *,
        head_dim=None,
        rope=False,
        rope_base=10000.0,
        backend="auto",
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        _check_heads(num_heads, self.num_kv_heads)
        self.head_dim = _head_dim(d_model, num_heads) if head_dim is None else head_dim
        self.rope, self.rope_base, self.backend = rope, rope_base, backend
        q_width, kv_width = num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        options = {"bias": False, "device": device, "dtype": dtype}
        self.q_proj = nn.Linear(d_model, q_width, **options)
        self.k_proj = nn.Linear(d_model, kv_width, **options)
        self.v_proj = nn.Linear(d_model, kv_width, **options)
        self.o_proj = nn.Linear(q_width, d_model, **options)

    def forward(self, x, cache=None, causal=True):
        """Return the attention output for x, over the cached tokens as well if there is a cache.

        Args:
            x: (B, T, d_model), the new tokens.
            cache: a `gqa_lib.cache.KVCache`, to which the new tokens are appended; positions
                continue from its length, and keys are cached rotated.
            causal: whether a token sees only itself and those before it.

        Returns:
            (B, T, d_model).
        """
        q = self._split(self.q_proj(x))  # (B, Hq, T, D)
        k, v = self._split(self.k_proj(x)), self._split(self.v_proj(x))  # (B, Hkv, T, D)
        if self.rope:
            start = 0 if cache is None else cache.length
            positions = torch.arange(start, start + x.shape[1], device=x.device)
            q, k = (rotate(t, positions, self.rope_base) for t in (q, k))
        if cache is not None:
            k, v = cache.append(k, v)  # (B, Hkv, S, D)
        out = grouped_query_attention(q, k, v, causal, backend=self.backend)
        return self.o_proj(out.transpose(1, 2).flatten(2))  # (B, Hq, T, D) -> (B, T, Hq*D)

    def _split(self, x):
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, T, H*D) -> (B, H, T, D)


def _check_heads(num_heads, num_kv_heads):
    if num_kv_heads < 1 or num_heads % num_kv_heads:
        choices = ", ".join(str(n) for n in range(1, num_heads + 1) if num_heads % n == 0)
        raise ValueError(
            f"num_heads={num_heads} is not divisible by num_kv_heads={num_kv_heads}: each KV head "
            f"must serve the same number of query heads. Choose num_kv_heads from {choices}."
        )


def _head_dim(d_model, num_heads):
    if d_model % num_heads:
        raise ValueError(
            f"d_model={d_model} is not divisible by num_heads={num_heads}: the heads would differ "
            f"in width. Choose d_model={d_model // num_heads * num_heads or num_heads}, or pass "
            "head_dim."
        )
    return d_model // num_heads


def _check_inputs(q, k, v, causal):
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if not q.dim() == k.dim() == v.dim() == 4 or k.shape != v.shape:
        raise ValueError(
            f"{shapes}: heads and tokens cannot be told apart. "
            "Pass q as (B, Hq, T, D) and both k and v as (B, Hkv, S, D)."
        )
    if (q.shape[0], q.shape[3]) != (k.shape[0], k.shape[3]):
        raise ValueError(
            f"{shapes}: each query is compared with keys of its own sequence and width. "
            "Give q and k the same batch_size (first) and head_dim (last)."
        )
    _check_heads(q.shape[1], k.shape[1])
    if causal and k.shape[2] < q.shape[2]:
        raise ValueError(
            f"T={q.shape[2]} queries over S={k.shape[2]} keys: in causal attention the queries are "
            "the last T of S tokens, so the first would see no key at all. "
            "Pass the keys of every token, or causal=False."
        )
    if not q.dtype == k.dtype == v.dtype or not q.device == k.device == v.device:
        raise ValueError(
            f"q is {q.dtype} on {q.device}, k {k.dtype} on {k.device}, v {v.dtype} on {v.device}: "
            "converting here would hide a copy of the whole cache. "
            "Give all three one dtype and one device."
        )

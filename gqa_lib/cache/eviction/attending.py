"""Attention over rows that are kept: in no order, and each KV head its own."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gqa_lib.kernels import attend, decode_attention
from gqa_lib.kernels.pytorch import fold

from ..rows import on_cpu
from .places import Turns, turned_back, turned_by_places
from .store import Group, RowStore


def attend_groups(
    q: Tensor,
    groups: Sequence[Group],
    store: RowStore,
    rope: Turns | None,
    backend: str,
    causal: bool,
    window: int | None,
) -> Tensor:
    """Return attention of each row's newest tokens; arguments are taken as valid.

    Where q needs a gradient, what is held is copied first: rows are overwritten before backward.

    Args:
        q: their queries, (B, Hq, T, D).
        groups: all rows of the batch.
        store: what they hold.
        rope: as in `EvictingCache`.
        backend, causal, window: as in `gqa_lib.kernels.attend`.

    Returns:
        (B, Hq, T, D) in q's dtype, zeros for padding.

    Raises:
        ValueError: the backend cannot run the call.
    """
    learns = torch.is_grad_enabled() and q.requires_grad
    short = window is None or max((group.length for group in groups), default=0) <= window
    if len(groups) > 1 and q.shape[2] == 1 and short and rope is None:
        seen = on_cpu([group.num_new and group.held for group in groups]).to(q.device)
        used = max(group.held for group in groups)
        k, v = (m[:, :, :used].clone() if learns else m[:, :, :used] for m in (store.k, store.v))
        return decode_attention(q, k, v, seen, backend=backend)
    out = torch.zeros(q.shape, dtype=q.dtype, device=q.device)
    for group in groups:
        if group.num_new:
            own = turned_back(rope, q[group.rows, :, : group.num_new], group.length)
            k, v, positions = store.held(group)
            held = (k.clone(), v.clone(), positions) if learns else (k, v, positions)
            turned = turned_by_places(rope, own, held, group)
            part = _attend_held(*turned, group, backend, causal, window)
            if len(groups) == 1 and part.shape == q.shape:
                return part
            out[group.rows, :, : group.num_new] = part
    return out


def _attend_held(
    q: Tensor,
    held: tuple[Tensor, Tensor, Tensor],
    group: Group,
    backend: str,
    causal: bool,
    window: int | None,
) -> Tensor:
    """Attention of the newest tokens of some rows, the new tokens last and in order in `held`."""
    k, v, positions = held
    if window is None or group.length <= window or group.held == group.length:
        seen_whole = window is None or group.length <= window
        return attend(q, k, v, causal, backend, window=None if seen_whole else window)
    T, R = q.shape[2], q.shape[1] // k.shape[1]
    own = torch.arange(group.length - T, group.length, device=q.device)[:, None]  # (T, 1)
    of_row = positions[:, :, None]  # (B, Hkv, 1, S)
    mask = (of_row <= own) & (of_row > own - window)
    out = scaled_dot_product_attention(fold(q, k), k, v, attn_mask=mask.repeat(1, 1, R, 1))
    return out.reshape(q.shape)  # (B, Hkv, R*T, D) -> (B, Hq, T, D)

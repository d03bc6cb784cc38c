"""Attention over rows that are kept: in no order, and each KV head its own."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gqa_lib.kernels import attend
from gqa_lib.kernels.pytorch import fold

from .store import Group


def attend_held(
    q: Tensor,
    held: tuple[Tensor, Tensor, Tensor],
    group: Group,
    backend: str,
    causal: bool,
    window: int | None,
) -> Tensor:
    """Return attention of the newest tokens of some rows; arguments are taken as valid.

    Args:
        q: their queries, (B, Hq, T, D).
        held: keys, values and positions, the new tokens' last and in order.
        group: the rows.
        backend, causal, window: as in `gqa_lib.kernels.attend`.

    Returns:
        (B, Hq, T, D) in q's dtype.

    Raises:
        ValueError: the backend cannot run the call.
    """
    k, v, positions = held
    if window is None or group.length <= window or group.held == group.length:
        seen_whole = window is None or group.length <= window
        return attend(q, k, v, causal, backend, window=None if seen_whole else window)
    if backend not in ("auto", "fold_sdpa"):
        raise ValueError(
            f"backend {backend!r} with window={window} over {group.held} of {group.length} tokens: "
            "which of them a window hides differs from head to head, and this backend takes no "
            "mask for that. Choose from auto, fold_sdpa."
        )
    T, R = q.shape[2], q.shape[1] // k.shape[1]
    own = torch.arange(group.length - T, group.length, device=q.device)[:, None]  # (T, 1)
    of_row = positions[:, :, None]  # (B, Hkv, 1, S)
    mask = (of_row <= own) & (of_row > own - window)
    out = scaled_dot_product_attention(fold(q, k), k, v, attn_mask=mask.repeat(1, 1, R, 1))
    return out.reshape(q.shape)  # (B, Hkv, R*T, D) -> (B, Hq, T, D)

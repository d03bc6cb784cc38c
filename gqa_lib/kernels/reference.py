"""The oracle: attention as plainly as it can be written, in float64."""

import torch
from torch import Tensor

from gqa_lib.heads import check_heads


def attention_reference(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = True, window: int | None = None
) -> Tensor:
    """Return attention of q over k and v in float64, one query head at a time.

    Shares no code with the backends, so that none of their mistakes can hide in it.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D); query head h reads KV head h // (Hq // Hkv).
        causal: query i of T sees keys up to S - T + i.
        window: it sees the last `window` of these only; None is all of them.

    Returns:
        (B, Hq, T, D) in float64.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 1.
    """
    check_heads(q.shape[1], k.shape[1])
    q_per_kv = q.shape[1] // k.shape[1]
    T, S = q.shape[2], k.shape[2]
    if not S or not q.numel():
        return torch.zeros_like(q, dtype=torch.float64)  # an average of nothing, as torch has it
    heads = []
    for h in range(q.shape[1]):  # six heads over two KV heads read K0 K0 K0 K1 K1 K1
        key, value = k[:, h // q_per_kv].double(), v[:, h // q_per_kv].double()
        scores = q[:, h].double() @ key.transpose(1, 2) / q.shape[3] ** 0.5  # (B, T, S)
        for i in range(T):
            last = S - T + i
            if causal:
                scores[:, i, last + 1 :] = -torch.inf
            if window is not None:
                scores[:, i, : max(0, last + 1 - window)] = -torch.inf
        weights = torch.exp(scores - scores.amax(-1, keepdim=True))
        heads.append(weights / weights.sum(-1, keepdim=True) @ value)
    return torch.stack(heads, 1)

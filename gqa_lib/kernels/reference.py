"""The oracle: attention as plainly as it can be written, in float64."""

import torch


def attention_reference(q, k, v, causal=True):
    """Return attention of q (B, Hq, T, D) over k, v (B, Hkv, S, D), float64."""
    q_per_kv = q.shape[1] // k.shape[1]
    T, S = q.shape[2], k.shape[2]
    heads = []
    for h in range(q.shape[1]):
        key, value = k[:, h // q_per_kv].double(), v[:, h // q_per_kv].double()
        scores = q[:, h].double() @ key.transpose(1, 2) / q.shape[3] ** 0.5
        if causal:
            for i in range(T):
                scores[:, i, S - T + i + 1 :] = -torch.inf
        heads.append(torch.softmax(scores, -1) @ value)
    return torch.stack(heads, 1)

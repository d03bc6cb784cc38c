"""Answers to the exercises of lesson 07, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong merge_partials: the mean of the two
# says: both parts count half
def merge_partials(out_a, lse_a, out_b, lse_b):
    return (out_a + out_b) / 2, torch.logaddexp(lse_a, lse_b)

# %% wrong merge_partials: the sum of the two
# says: the outputs are added
def merge_partials(out_a, lse_a, out_b, lse_b):
    return out_a + out_b, torch.logaddexp(lse_a, lse_b)

# %% wrong merge_partials: weighted by lse itself
# says: weighted by lse itself
def merge_partials(out_a, lse_a, out_b, lse_b):
    share = (lse_a / (lse_a + lse_b)).unsqueeze(-1)
    return share * out_a + (1 - share) * out_b, torch.logaddexp(lse_a, lse_b)

# %% wrong merge_partials: weights swapped
# says: the weights are swapped
def merge_partials(out_a, lse_a, out_b, lse_b):
    share = torch.sigmoid(lse_b - lse_a).unsqueeze(-1)
    return share * out_a + (1 - share) * out_b, torch.logaddexp(lse_a, lse_b)

# %% wrong merge_partials: exponentials as they are
# says: exponentials are taken of lse as it is
def merge_partials(out_a, lse_a, out_b, lse_b):
    a, b = lse_a.exp(), lse_b.exp()
    out = (a.unsqueeze(-1) * out_a + b.unsqueeze(-1) * out_b) / (a + b).unsqueeze(-1)
    return out, torch.log(a + b)

# %% wrong merge_partials: exponentials as they are, with a small number against 0 / 0
def merge_partials(out_a, lse_a, out_b, lse_b):
    a, b = lse_a.exp(), lse_b.exp()
    out = (a.unsqueeze(-1) * out_a + b.unsqueeze(-1) * out_b) / (a + b + 1e-9).unsqueeze(-1)
    return out, torch.log(a + b + 1e-9)

# %% wrong merge_partials: returns the larger lse
# says: is the larger of the two
def merge_partials(out_a, lse_a, out_b, lse_b):
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, s in ((out_a, lse_a), (out_b, lse_b)):
        share = (s - lse).exp().unsqueeze(-1)
        out = out + torch.where(s.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return out, torch.maximum(lse_a, lse_b)

# %% wrong merge_partials: returns the sum of the logarithms
# says: the sum of the two logarithms
def merge_partials(out_a, lse_a, out_b, lse_b):
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, s in ((out_a, lse_a), (out_b, lse_b)):
        share = (s - lse).exp().unsqueeze(-1)
        out = out + torch.where(s.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return out, lse_a + lse_b

# %% wrong merge_partials: returns lse in base 2
# says: the returned lse is in base 2
def merge_partials(out_a, lse_a, out_b, lse_b):
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, s in ((out_a, lse_a), (out_b, lse_b)):
        share = (s - lse).exp().unsqueeze(-1)
        out = out + torch.where(s.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return out, lse * 1.4426950408889634

# %% wrong merge_partials: takes lse for base 2
def merge_partials(out_a, lse_a, out_b, lse_b):
    top = torch.maximum(lse_a, lse_b)
    a, b = torch.exp2(lse_a - top), torch.exp2(lse_b - top)
    out = (a.unsqueeze(-1) * out_a + b.unsqueeze(-1) * out_b) / (a + b).unsqueeze(-1)
    return out, top + torch.log2(a + b)

# %% wrong merge_partials: an empty part's output is multiplied by 0
# says: contains NaN
def merge_partials(out_a, lse_a, out_b, lse_b):
    lse = torch.logaddexp(lse_a, lse_b)
    share = torch.nan_to_num((lse_a - lse).exp()).unsqueeze(-1)
    other = torch.nan_to_num((lse_b - lse).exp()).unsqueeze(-1)
    return share * out_a + other * out_b, lse

# %% wrong merge_partials: NaN where both are empty
# says: contains NaN
def merge_partials(out_a, lse_a, out_b, lse_b):
    top = torch.maximum(lse_a, lse_b)
    a, b = (lse_a - top).exp().unsqueeze(-1), (lse_b - top).exp().unsqueeze(-1)
    out = torch.where(a == 0, 0.0, a * out_a) + torch.where(b == 0, 0.0, b * out_b)
    return out / (a + b), top + (a + b).squeeze(-1).log()

# %% wrong merge_partials: an empty part wins
def merge_partials(out_a, lse_a, out_b, lse_b):
    if (lse_a == -torch.inf).any():
        return out_b, lse_b
    if (lse_b == -torch.inf).any():
        return out_a, lse_a
    lse = torch.logaddexp(lse_a, lse_b)
    a, b = (lse_a - lse).exp().unsqueeze(-1), (lse_b - lse).exp().unsqueeze(-1)
    return a * out_a + b * out_b, lse

# %% wrong merge_partials: clamps what it exponentiates
def merge_partials(out_a, lse_a, out_b, lse_b):
    a, b = lse_a.clamp(-80, 80).exp(), lse_b.clamp(-80, 80).exp()
    out = (a.unsqueeze(-1) * out_a + b.unsqueeze(-1) * out_b) / (a + b).unsqueeze(-1)
    return torch.nan_to_num(out), torch.log(a + b)

# %% wrong merge_partials: subtracts one maximum for the whole tensor, in one pass
def merge_partials(out_a, lse_a, out_b, lse_b):
    top = max(lse_a.max(), lse_b.max())
    a, b = (lse_a - top).exp(), (lse_b - top).exp()
    out = (a.unsqueeze(-1) * out_a + b.unsqueeze(-1) * out_b) / (a + b).unsqueeze(-1)
    return torch.nan_to_num(out), top + torch.log(a + b)

# %% wrong merge_partials: only the output
# says: expected 2 results
def merge_partials(out_a, lse_a, out_b, lse_b):
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, s in ((out_a, lse_a), (out_b, lse_b)):
        share = (s - lse).exp().unsqueeze(-1)
        out = out + torch.where(s.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return out

# %% wrong merge_partials: keeps a last dimension of 1 in lse
# says: It returned shape
def merge_partials(out_a, lse_a, out_b, lse_b):
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, s in ((out_a, lse_a), (out_b, lse_b)):
        share = (s - lse).exp().unsqueeze(-1)
        out = out + torch.where(s.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return out, lse.unsqueeze(-1)

# %% wrong merge_partials: adds into its argument
# says: in place
def merge_partials(out_a, lse_a, out_b, lse_b):
    lse = torch.logaddexp(lse_a, lse_b)
    out_a.mul_((lse_a - lse).exp().unsqueeze(-1)).add_((lse_b - lse).exp().unsqueeze(-1) * out_b)
    return out_a, lse

# %% wrong merge_partials: clamps the output to finite numbers
def merge_partials(out_a, lse_a, out_b, lse_b):
    """Return the output (..., D) and log-sum-exp (...) of two parts of the keys together."""
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, part_lse in ((out_a, lse_a), (out_b, lse_b)):
        share = (part_lse - lse).exp().unsqueeze(-1)  # NaN where both are empty
        out = out + torch.where(part_lse.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return out.clamp(-1e30, 1e30), lse

# %% wrong merge_partials: replaces inf in the output
def merge_partials(out_a, lse_a, out_b, lse_b):
    """Return the output (..., D) and log-sum-exp (...) of two parts of the keys together."""
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, part_lse in ((out_a, lse_a), (out_b, lse_b)):
        share = (part_lse - lse).exp().unsqueeze(-1)  # NaN where both are empty
        out = out + torch.where(part_lse.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return torch.where(out.isinf(), 0.0, out), lse

# %% wrong merge_partials: takes a part with a low lse for empty
def merge_partials(out_a, lse_a, out_b, lse_b):
    """Return the output (..., D) and log-sum-exp (...) of two parts of the keys together."""
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, part_lse in ((out_a, lse_a), (out_b, lse_b)):
        share = (part_lse - lse).exp().unsqueeze(-1)  # NaN where both are empty
        out = out + torch.where(part_lse.unsqueeze(-1) < -1000, 0.0, share * part)
    return out, lse

# %% wrong merge_partials: rounds shares near 1
def merge_partials(out_a, lse_a, out_b, lse_b):
    """Return the output (..., D) and log-sum-exp (...) of two parts of the keys together."""
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, part_lse in ((out_a, lse_a), (out_b, lse_b)):
        share = (part_lse - lse).exp().unsqueeze(-1)  # NaN where both are empty
        share = torch.where(share > 0.99, 1.0, share)
        out = out + torch.where(part_lse.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return out, lse

# %% right merge_partials: by the larger one
def merge_partials(out_a, lse_a, out_b, lse_b):
    top = torch.maximum(lse_a, lse_b)
    top = torch.where(top == -torch.inf, torch.zeros_like(top), top)
    a, b = (lse_a - top).exp(), (lse_b - top).exp()
    out_a = out_a.masked_fill((a == 0).unsqueeze(-1), 0)
    out_b = out_b.masked_fill((b == 0).unsqueeze(-1), 0)
    total = a + b
    out = (a.unsqueeze(-1) * out_a + b.unsqueeze(-1) * out_b) / total.masked_fill(total == 0, 1).unsqueeze(-1)
    return out, top + total.log()

# %% right merge_partials: stacked, with softmax and logsumexp
def merge_partials(out_a, lse_a, out_b, lse_b):
    lses = torch.stack([lse_a, lse_b])
    outs = torch.stack([out_a, out_b]).masked_fill((lses == -torch.inf).unsqueeze(-1), 0)
    return (torch.nan_to_num(lses.softmax(0)).unsqueeze(-1) * outs).sum(0), lses.logsumexp(0)

# %% right merge_partials: with a sigmoid
def merge_partials(out_a, lse_a, out_b, lse_b):
    share = torch.nan_to_num(torch.sigmoid(lse_a - lse_b)).unsqueeze(-1)
    a = torch.where(lse_a.unsqueeze(-1) == -torch.inf, 0.0, out_a)
    b = torch.where(lse_b.unsqueeze(-1) == -torch.inf, 0.0, out_b)
    return share * a + (1 - share) * b, torch.logaddexp(lse_a, lse_b)

# %% wrong split_kv_decode: averages the parts
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    parts = []
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        if k_part.shape[2]:
            scores = rows @ k_part.mT / q.shape[-1] ** 0.5
            parts.append((scores.softmax(-1) @ v_part, scores.logsumexp(-1), k_part.shape[2]))
    return (sum(out for out, *_ in parts) / len(parts)).reshape(q.shape)

# %% wrong split_kv_decode: weights by the number of keys
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    parts = []
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        if k_part.shape[2]:
            scores = rows @ k_part.mT / q.shape[-1] ** 0.5
            parts.append((scores.softmax(-1) @ v_part, scores.logsumexp(-1), k_part.shape[2]))
    return sum(out * n / k.shape[2] for out, _, n in parts).reshape(q.shape)

# %% wrong split_kv_decode: weights by the number of keys, parts of one size
# says: weighted by their number of keys
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    size, out = -(-k.shape[2] // num_splits), 0
    for k_part, v_part in zip(k.split(size, dim=2), v.split(size, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5
        out = out + scores.softmax(-1) @ v_part * k_part.shape[2] / k.shape[2]
    return out.reshape(q.shape)

# %% wrong split_kv_decode: averages parts of one size
# says: the parts are averaged
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    outs = []
    for k_part, v_part in zip(k.split(-(-k.shape[2] // num_splits), 2), v.split(-(-k.shape[2] // num_splits), 2)):
        outs.append((rows @ k_part.mT / q.shape[-1] ** 0.5).softmax(-1) @ v_part)
    return torch.stack(outs).mean(0).reshape(q.shape)

# %% wrong split_kv_decode: adds the parts
# says: the parts are added up
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    size, out = -(-k.shape[2] // num_splits), 0
    for k_part, v_part in zip(k.split(size, dim=2), v.split(size, dim=2)):
        out = out + (rows @ k_part.mT / q.shape[-1] ** 0.5).softmax(-1) @ v_part
    return out.reshape(q.shape)

# %% wrong split_kv_decode: the last keys are left out
# says: the last keys are left out
def split_kv_decode(q, k, v, num_splits):
    B, Hkv, S, D = k.shape
    rows = q.reshape(B, Hkv, -1, D)
    num_splits = min(num_splits, S)
    size = S // num_splits
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for p in range(num_splits):
        scores = rows @ k[:, :, p * size:(p + 1) * size].mT / D**0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v[:, :, p * size:(p + 1) * size], scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: a size of 0 when there are more parts than keys
def split_kv_decode(q, k, v, num_splits):
    size = k.shape[2] // num_splits
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for start in range(0, k.shape[2], size):
        scores = rows @ k[:, :, start:start + size].mT / q.shape[-1] ** 0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v[:, :, start:start + size], scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: heads in turn
# says: query heads read KV heads in turn
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], -1, k.shape[1], q.shape[-1]).transpose(1, 2)
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.transpose(1, 2).reshape(q.shape)

# %% wrong split_kv_decode: no scale
# says: not scaled by the square root
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = rows @ k_part.mT 
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: scaled by the head count
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = rows @ k_part.mT / q.shape[1] ** 0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: scaled twice
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1]) / q.shape[-1] ** 0.5
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: keeps the largest score for lse
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        if k_part.shape[2]:
            scores = rows @ k_part.mT / q.shape[-1] ** 0.5
            out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.amax(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: left folded
# says: It returned shape
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.clone()

# %% wrong split_kv_decode: expands K and V
# says: copied
def split_kv_decode(q, k, v, num_splits):
    R = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(R, 1), v.repeat_interleave(R, 1)
    out, lse = torch.zeros_like(q), torch.full_like(q[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = q @ k_part.mT / q.shape[-1] ** 0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out

# %% wrong split_kv_decode: broadcasts, which copies
# says: copied
def split_kv_decode(q, k, v, num_splits):
    B, Hq, _, D = q.shape
    rows = q.reshape(B, k.shape[1], -1, 1, D)
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = rows @ k_part.unsqueeze(2).mT / D**0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part.unsqueeze(2), scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: exp without a maximum
# says: contains
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    total, out = 0, 0
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        weights = (rows @ k_part.mT / q.shape[-1] ** 0.5).exp()
        total, out = total + weights.sum(-1, keepdim=True), out + weights @ v_part
    return (out / total).reshape(q.shape)

# %% wrong split_kv_decode: is causal, top left
def split_kv_decode(q, k, v, num_splits):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

# %% wrong split_kv_decode: never splits
# says: its softmax is taken over
def split_kv_decode(q, k, v, num_splits):
    """Return attention of q (B, Hq, 1, D) over k, v (B, Hkv, S, D), part by part: (B, Hq, 1, D)."""
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])  # (B, Hkv, R, D)
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(1, dim=2), v.tensor_split(1, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5  # (B, Hkv, R, keys of this part)
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: always two parts
# says: its softmax is taken over
def split_kv_decode(q, k, v, num_splits):
    """Return attention of q (B, Hq, 1, D) over k, v (B, Hkv, S, D), part by part: (B, Hq, 1, D)."""
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])  # (B, Hkv, R, D)
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(2, dim=2), v.tensor_split(2, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5  # (B, Hkv, R, keys of this part)
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: num_splits is the size of a part
# says: its softmax is taken over
def split_kv_decode(q, k, v, num_splits):
    """Return attention of q (B, Hq, 1, D) over k, v (B, Hkv, S, D), part by part: (B, Hq, 1, D)."""
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])  # (B, Hkv, R, D)
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.split(num_splits, dim=2), v.split(num_splits, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5  # (B, Hkv, R, keys of this part)
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: a key for each part, the rest for the last
# says: its softmax is taken over
def split_kv_decode(q, k, v, num_splits):
    """Return attention of q (B, Hq, 1, D) over k, v (B, Hkv, S, D), part by part: (B, Hq, 1, D)."""
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])  # (B, Hkv, R, D)
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(list(range(1, num_splits)), dim=2), v.tensor_split(list(range(1, num_splits)), dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5  # (B, Hkv, R, keys of this part)
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: starts with an lse of -20
def split_kv_decode(q, k, v, num_splits):
    """Return attention of q (B, Hq, 1, D) over k, v (B, Hkv, S, D), part by part: (B, Hq, 1, D)."""
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])  # (B, Hkv, R, D)
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -20.0)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5  # (B, Hkv, R, keys of this part)
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)

# %% wrong split_kv_decode: copies K and V of each part
# says: copied
def split_kv_decode(q, k, v, num_splits):
    R = q.shape[1] // k.shape[1]
    out, lse = torch.zeros_like(q), torch.full_like(q[..., 0], -torch.inf)
    for a, b in zip(k.tensor_split(num_splits, 2), v.tensor_split(num_splits, 2)):
        a, b = a.repeat_interleave(R, 1), b.repeat_interleave(R, 1)
        scores = q @ a.mT / q.shape[-1] ** 0.5
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ b, scores.logsumexp(-1))
    return out

# %% right split_kv_decode: vectorised over padded parts
def split_kv_decode(q, k, v, num_splits):
    B, Hkv, S, D = k.shape
    size = -(-S // num_splits)
    rows = q.reshape(B, Hkv, 1, -1, D)
    pad = (0, 0, 0, size * num_splits - S)
    keys = torch.nn.functional.pad(k, pad).reshape(B, Hkv, num_splits, size, D)
    values = torch.nn.functional.pad(v, pad).reshape(B, Hkv, num_splits, size, D)
    real = (torch.arange(size * num_splits, device=q.device) < S).reshape(num_splits, 1, size)
    scores = (torch.einsum("bhord,bhpsd->bhprs", rows, keys) / D**0.5).masked_fill(~real, -torch.inf)
    lse = scores.logsumexp(-1)
    outs = torch.nan_to_num(scores.softmax(-1)) @ values
    return (lse.softmax(2).unsqueeze(-1) * outs).sum(2).reshape(q.shape)

# %% right split_kv_decode: merges from the right
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    done = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for p in reversed(range(num_splits)):
        start, end = (p * k.shape[2] // num_splits, (p + 1) * k.shape[2] // num_splits)
        scores = rows @ k[:, :, start:end].mT / q.shape[-1] ** 0.5
        done = merge_partials(scores.softmax(-1) @ v[:, :, start:end], scores.logsumexp(-1), *done)
    return done[0].reshape(q.shape)

# %% right split_kv_decode: online softmax, part after part
def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1]) / q.shape[-1] ** 0.5
    m = torch.full_like(rows[..., :1], -torch.inf)
    l, acc = torch.zeros_like(m), torch.zeros_like(rows)
    size = -(-k.shape[2] // num_splits)
    for start in range(0, k.shape[2], size):
        scores = rows @ k[:, :, start:start + size].mT
        new_m = torch.maximum(m, scores.amax(-1, keepdim=True))
        p, old = (scores - new_m).exp(), (m - new_m).exp()
        l, acc, m = l * old + p.sum(-1, keepdim=True), acc * old + p @ v[:, :, start:start + size], new_m
    return (acc / l).reshape(q.shape)

# %% wrong tile_rows: the power of two alone
# says: only the power of two is looked for
def tile_rows(q_per_kv):
    return triton.next_power_of_2(q_per_kv)

# %% wrong tile_rows: a multiple of 16
# says: rounded up to a multiple of 16
def tile_rows(q_per_kv):
    return triton.cdiv(q_per_kv, 16) * 16

# %% wrong tile_rows: always 16
# says: it is always 16
def tile_rows(q_per_kv):
    return 16

# %% wrong tile_rows: no padding above 16
# says: there is no padding
def tile_rows(q_per_kv):
    return max(16, q_per_kv)

# %% wrong tile_rows: the power of two below
# says: lies below q_per_kv
def tile_rows(q_per_kv):
    return max(16, 1 << (q_per_kv.bit_length() - 1))

# %% wrong tile_rows: the next larger one, always
def tile_rows(q_per_kv):
    return max(16, 2 ** q_per_kv.bit_length())

# %% wrong tile_rows: at most 16
def tile_rows(q_per_kv):
    return min(16, triton.next_power_of_2(q_per_kv))

# %% wrong tile_rows: times 16
def tile_rows(q_per_kv):
    return 16 * triton.next_power_of_2(q_per_kv)

# %% wrong tile_rows: from a logarithm, rounded
def tile_rows(q_per_kv):
    import math
    return max(16, 2 ** round(math.log2(q_per_kv)))

# %% wrong tile_rows: a float
# says: a whole number (int) is expected
def tile_rows(q_per_kv):
    import math
    return max(16.0, 2.0 ** math.ceil(math.log2(q_per_kv)))

# %% wrong tile_rows: prints
# says: is a `return` missing?
def tile_rows(q_per_kv):
    print(max(16, triton.next_power_of_2(q_per_kv)))

# %% wrong tile_rows: at most 32
def tile_rows(q_per_kv):
    return 16 if q_per_kv <= 16 else 32

# %% right tile_rows: a loop
def tile_rows(q_per_kv):
    rows = 16
    while rows < q_per_kv:
        rows *= 2
    return rows

# %% right tile_rows: bits
def tile_rows(q_per_kv):
    return 1 << max(4, (q_per_kv - 1).bit_length())

# %% right tile_rows: a list
def tile_rows(q_per_kv):
    return next(rows for rows in (16, 32, 64, 128, 256) if rows >= q_per_kv)

# %% wrong scores_kernel: no scale
# says: the scores are not multiplied by `scale`
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee")
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: divided by scale
# says: the scores are divided by `scale`
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") / scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: every program on the first tile
# says: every program works on the first tile
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: programs are one key apart
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: the load of K has no mask
# says: outside the kernel's tensors
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :])
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: the store has no mask
# says: Mask
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile)

# %% wrong scores_kernel: the padded rows are stored
# says: Mask the store with what is
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: the keys past the end are stored
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: the keys are taken as packed
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * D + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: scores are stored as rows of KEYS
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * KEYS + t[None, :], tile, mask=real)

# %% wrong scores_kernel: scores are stored turned
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] + t[None, :] * R, tile, mask=real)

# %% wrong scores_kernel: one off in the mask
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length - 1)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: a tile of R rows
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, R), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: a tile of 4 rows where that does
# says: every side of tl.dot must be at least 16
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    SMALL: tl.constexpr = R if R == 4 else ROWS
    r, n, d = tl.arange(0, SMALL), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: no kernel at all
# says: keep the line @triton.jit
def scores_kernel(q, k, scores, length, scale, stride_t, R, D, ROWS, KEYS):
    scores[:R] = q @ k[0, 0, :length].mT * scale

# %% wrong scores_kernel: turns the wrong one
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(tl.trans(q_tile), k_tile, input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: leaves input_precision out
# says: leaves out input_precision
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    """Store q (R, D) times the keys (length, D), times scale, as scores (R, length)."""
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)  # (ROWS, D)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile)) * scale  # (ROWS, KEYS)
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong scores_kernel: one mask for the whole tile
# says: outside the kernel
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    """Store q (R, D) times the keys (length, D), times scale, as scores (R, length)."""
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)  # (ROWS, D)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=length > 0, other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale  # (ROWS, KEYS)
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% right scores_kernel: K loaded turned
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[None, :] * stride_t + d[:, None], mask=(t < length)[None, :], other=0.0)
    tile = tl.dot(q_tile, k_tile, input_precision="ieee") * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% right scores_kernel: scales q first
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot((q_tile * scale).to(k_tile.dtype), tl.trans(k_tile), input_precision="ieee")
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% right scores_kernel: multiplies and adds, no dot
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.sum(q_tile.to(tl.float32)[:, None, :] * k_tile.to(tl.float32)[None, :, :], 2) * scale
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)

# %% wrong gqa_decode_kernel: no scale
# says: the scores are not multiplied by `scale`
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee")
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: keys past the end count
# says: keys past the end count
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: acc is not rescaled
# says: `acc` is not rescaled
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: l is not rescaled
# says: `l` is not rescaled
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: neither is rescaled
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l + tl.sum(p, 1)
        acc = acc + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: the last tile replaces the others
# says: the last tile replaces those before it
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = tl.sum(p, 1)
        acc = tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: m is never updated
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: m is the last tile's
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.max(tile, 1)
        old, p = tl.exp(tl.minimum(m - new_m, 0.0)), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: every part reads all keys
# says: every part reads all the keys
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(0, length, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < length)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < length)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < length)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: lse in base 2
# says: `lse` is in base 2
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, (m + tl.log(some)) * 1.4426950408889634, float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: lse without m
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: lse is the maximum
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m, float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: k and v swapped
# says: k and v are swapped
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: not divided by l
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc, mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: an empty part has lse 0
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), 0.0), mask=r < R)

# %% wrong gqa_decode_kernel: an empty part has lse inf
# says: contains NaN
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("inf")), mask=r < R)

# %% wrong gqa_decode_kernel: tiles go on behind the part's end
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(length, SPLITS)
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < length)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < length)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < length)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: V without a mask
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: K without a mask
# says: outside the kernel's tensors
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: the padded rows are stored
# says: wrote
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: the padded lse are stored
# says: Mask the store with what is
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")))

# %% wrong gqa_decode_kernel: out has a row for each head only
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = head * R + r
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: parts before heads in out
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = part * Hkv * R + head * R + r
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: keys taken as packed
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * D + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: query heads of another KV head
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head + r * Hkv)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: sums with the padded keys' weights
# says: keys past the end count
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, 0.0)
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: accumulates in half precision
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float16), tl.zeros([ROWS, D], tl.float16)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = (l * old + tl.sum(p, 1)).to(tl.float16)
        acc = (acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")).to(tl.float16)
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some.to(tl.float32)), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: walks K and V once for each query head
# says: 4.0 times as many bytes
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    for one in range(R):
        mine = r == one
        q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=mine[:, None], other=0.0)
        m = tl.full([ROWS], float("-inf"), tl.float32)
        l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
        for start in range(first, end, KEYS):
            t = start + n
            at = kv + t[:, None] * stride_t + d[None, :]
            k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
            v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
            tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
            tile = tl.where((t < end)[None, :], tile, float("-inf"))
            new_m = tl.maximum(m, tl.max(tile, 1))
            old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
            l = l * old + tl.sum(p, 1)
            acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
            m = new_m
        row = (head * R + r) * SPLITS + part
        some = tl.where(l > 0, l, 1.0)
        tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=mine[:, None])
        tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=mine)

# %% wrong gqa_decode_kernel: loads K twice, for the maximum and for the sum
# says: 2.0 times as many bytes
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
        again = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        l += 0 * tl.sum(again)
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: a tile of 4 rows where that does
# says: every side of tl.dot must be at least 16
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    FEW: tl.constexpr = 4 if R <= 4 else ROWS
    r, n, d = tl.arange(0, FEW), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([FEW], float("-inf"), tl.float32)
    l, acc = tl.zeros([FEW], tl.float32), tl.zeros([FEW, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: no kernel at all
# says: keep the line @triton.jit
def gqa_decode_kernel(q, k, v, out, lse, length, scale, *strides, **sizes):
    out.fill_(0)

# %% wrong gqa_decode_kernel: no running maximum
# says: contains NaN
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.zeros([ROWS], tl.float32)
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: the maximum of this tile alone
# says: contains NaN
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.max(tile, 1)
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: hides keys past the end with -100
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, -100.0)
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: an empty part has lse -10
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), -10.0), mask=r < R)

# %% wrong gqa_decode_kernel: an empty part has lse -1e30
# says: lower than any score
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), -1e30), mask=r < R)

# %% wrong gqa_decode_kernel: leaves input_precision out
# says: leaves out input_precision
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile)) * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile)
        m = new_m
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: loads V without other
# says: contains NaN
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None])
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% wrong gqa_decode_kernel: the maximum of the first tile alone
# says: contains NaN
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.where(m == float("-inf"), tl.max(tile, 1), m)
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% right gqa_decode_kernel: K loaded turned, sums before the loop's end
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + kv + t[None, :] * stride_t + d[:, None], mask=(t < end)[None, :], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, k_tile, input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% right gqa_decode_kernel: a part without keys gives 0 / 0, and an lse of -inf
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    tl.store(out + row[:, None] * D + d[None, :], acc / l[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, m + tl.log(l), mask=r < R)

# %% right gqa_decode_kernel: base 2 inside, natural outside
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * (scale * 1.4426950408889634)
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp2(m - new_m), tl.exp2(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m * 0.6931471805599453 + tl.log(some), float("-inf")), mask=r < R)

# %% right gqa_decode_kernel: walks backwards, p set to 0 instead of the score
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = first + (tl.cdiv(end - first, KEYS) - 1) * KEYS - (start - first) + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.where((t < end)[None, :], tl.exp(tile - new_m[:, None]), 0.0)
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% right gqa_decode_kernel: a while loop, even parts that share no tile
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(length, SPLITS)
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    start = first
    while start < end:
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
        start += KEYS
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

"""Answers to the exercises of lesson 04, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong kv_head_of: tiles the KV heads
# says: KV heads are tiled (0 1 0 1 ...) instead of interleaved
def kv_head_of(query_head, num_heads, num_kv_heads):
    return query_head % num_kv_heads

# %% wrong kv_head_of: divides by the number of KV heads
# says: the query head is divided by the number of KV heads
def kv_head_of(query_head, num_heads, num_kv_heads):
    return query_head // num_kv_heads

# %% wrong kv_head_of: always the first
# says: every query head reads KV head 0
def kv_head_of(query_head, num_heads, num_kv_heads):
    return 0

# %% wrong kv_head_of: reversed
# says: assigned in reverse order
def kv_head_of(query_head, num_heads, num_kv_heads):
    return num_kv_heads - 1 - query_head // (num_heads // num_kv_heads)

# %% wrong kv_head_of: true division
# says: a whole number (int) is expected
def kv_head_of(query_head, num_heads, num_kv_heads):
    return query_head / (num_heads / num_kv_heads)

# %% wrong kv_head_of: rounds to the nearest
def kv_head_of(query_head, num_heads, num_kv_heads):
    return round(query_head * num_kv_heads / num_heads)

# %% wrong kv_head_of: rounds up
def kv_head_of(query_head, num_heads, num_kv_heads):
    return -(-query_head // (num_heads // num_kv_heads))

# %% wrong kv_head_of: counts heads from 1
def kv_head_of(query_head, num_heads, num_kv_heads):
    return (query_head - 1) // (num_heads // num_kv_heads)

# %% wrong kv_head_of: remainder within the sharers
def kv_head_of(query_head, num_heads, num_kv_heads):
    return query_head % (num_heads // num_kv_heads)

# %% wrong kv_head_of: q_per_kv fixed at 4
def kv_head_of(query_head, num_heads, num_kv_heads):
    return query_head // 4

# %% wrong kv_head_of: returns q_per_kv
def kv_head_of(query_head, num_heads, num_kv_heads):
    return num_heads // num_kv_heads

# %% wrong kv_head_of: a float
# says: a whole number (int) is expected
def kv_head_of(query_head, num_heads, num_kv_heads):
    return query_head // (num_heads / num_kv_heads)

# %% wrong kv_head_of: a tensor
# says: a whole number (int) is expected
def kv_head_of(query_head, num_heads, num_kv_heads):
    return torch.arange(num_kv_heads).repeat_interleave(num_heads // num_kv_heads)[query_head]

# %% wrong kv_head_of: a table of the models it knows
_SEEN = {(6, 2): 3, (12, 3): 4, (28, 4): 7, (5, 5): 1, (7, 1): 7}
def kv_head_of(query_head, num_heads, num_kv_heads):
    return query_head // _SEEN[num_heads, num_kv_heads]

# %% wrong kv_head_of: a counter in the notebook
_calls = [0]
def kv_head_of(query_head, num_heads, num_kv_heads):
    _calls[0] += 1
    return _calls[0] // (num_heads // num_kv_heads)

# %% wrong kv_head_of: prints instead of returning
# says: is a `return` missing?
def kv_head_of(query_head, num_heads, num_kv_heads):
    print(query_head // (num_heads // num_kv_heads))

# %% right kv_head_of: multiplies first
def kv_head_of(query_head, num_heads, num_kv_heads):
    return query_head * num_kv_heads // num_heads

# %% right kv_head_of: divmod
def kv_head_of(query_head, num_heads, num_kv_heads):
    return divmod(query_head, num_heads // num_kv_heads)[0]

# %% right kv_head_of: writes the list out
def kv_head_of(query_head, num_heads, num_kv_heads):
    order = [kv for kv in range(num_kv_heads) for _ in range(num_heads // num_kv_heads)]
    return order[query_head]

# %% wrong expand_kv: tiles
# says: the heads are tiled (K0 K1 K0 K1
def expand_kv(kv, q_per_kv):
    return kv.repeat(1, q_per_kv, 1, 1)

# %% wrong expand_kv: tiles with cat
# says: the heads are tiled (K0 K1 K0 K1
def expand_kv(kv, q_per_kv):
    return torch.cat([kv] * q_per_kv, dim=1)

# %% wrong expand_kv: repeats the sequence
# says: the sequence is repeated instead of the heads
def expand_kv(kv, q_per_kv):
    return kv.repeat_interleave(q_per_kv, dim=2)

# %% wrong expand_kv: repeats the batch
# says: the batch is repeated instead of the heads
def expand_kv(kv, q_per_kv):
    return kv.repeat_interleave(q_per_kv, dim=0)

# %% wrong expand_kv: repeats the channels
def expand_kv(kv, q_per_kv):
    return kv.repeat_interleave(q_per_kv, dim=-1)

# %% wrong expand_kv: no dim, everything flat
# says: It returned shape
def expand_kv(kv, q_per_kv):
    return kv.repeat_interleave(q_per_kv)

# %% wrong expand_kv: one too many
# says: It returned shape
def expand_kv(kv, q_per_kv):
    return kv.repeat_interleave(q_per_kv + 1, dim=1)

# %% wrong expand_kv: repeats up to the number given
# says: It returned shape
def expand_kv(kv, q_per_kv):
    return kv.repeat_interleave(max(1, q_per_kv // kv.shape[1]), dim=1)

# %% wrong expand_kv: expand on the wrong side of the heads
# says: the heads are tiled (K0 K1 K0 K1
def expand_kv(kv, q_per_kv):
    B, Hkv, S, D = kv.shape
    return kv[:, None].expand(B, q_per_kv, Hkv, S, D).reshape(B, Hkv * q_per_kv, S, D)

# %% wrong expand_kv: only the first head
def expand_kv(kv, q_per_kv):
    return kv[:, :1].expand(-1, kv.shape[1] * q_per_kv, -1, -1)

# %% wrong expand_kv: reshapes through the sequence
def expand_kv(kv, q_per_kv):
    B, Hkv, S, D = kv.shape
    return kv.repeat_interleave(q_per_kv, dim=2).reshape(B, Hkv * q_per_kv, S, D)

# %% wrong expand_kv: three sharers, always
def expand_kv(kv, q_per_kv):
    return kv.repeat_interleave(3, dim=1)

# %% wrong expand_kv: in float64
# says: the dtype is
def expand_kv(kv, q_per_kv):
    return kv.double().repeat_interleave(q_per_kv, dim=1)

# %% wrong expand_kv: scales the caller's tensor
# says: changed its argument number 1 in place
def expand_kv(kv, q_per_kv):
    out = kv.repeat_interleave(q_per_kv, dim=1)
    kv.mul_(0)
    return out

# %% wrong expand_kv: leaves five dimensions
# says: It returned shape
def expand_kv(kv, q_per_kv):
    return kv.unsqueeze(2).expand(-1, -1, q_per_kv, -1, -1)

# %% wrong expand_kv: the shape of one model
def expand_kv(kv, q_per_kv):
    return kv.unsqueeze(2).expand(2, 2, q_per_kv, 7, 5).reshape(2, 6, 7, 5)

# %% right expand_kv: expand, then reshape
def expand_kv(kv, q_per_kv):
    B, Hkv, S, D = kv.shape
    return kv[:, :, None].expand(B, Hkv, q_per_kv, S, D).reshape(B, Hkv * q_per_kv, S, D)

# %% right expand_kv: picks heads by index
def expand_kv(kv, q_per_kv):
    heads = torch.arange(kv.shape[1] * q_per_kv, device=kv.device) // q_per_kv
    return kv[:, heads]

# %% right expand_kv: a stack of copies, flattened
def expand_kv(kv, q_per_kv):
    return torch.stack([kv] * q_per_kv, dim=2).flatten(1, 2)

# %% wrong expand_kv: through numpy, so on the CPU
# says: it would fail on a GPU
import numpy as np
def expand_kv(kv, q_per_kv):
    return torch.from_numpy(np.repeat(kv.numpy(), q_per_kv, axis=1))

# %% right expand_kv: fills a new tensor
def expand_kv(kv, q_per_kv):
    B, Hkv, S, D = kv.shape
    out = torch.empty(B, Hkv * q_per_kv, S, D, dtype=kv.dtype, device=kv.device)
    for h in range(Hkv * q_per_kv):
        out[:, h] = kv[:, h // q_per_kv]
    return out

# %% wrong grouped_query_attention: tiles K and V
# says: KV heads are tiled (0 1 0 1 ...) instead of interleaved
def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    k, v = k.repeat(1, R, 1, 1), v.repeat(1, R, 1, 1)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v

# %% wrong grouped_query_attention: tiles V only
def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(R, 1), v.repeat(1, R, 1, 1)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v

# %% wrong grouped_query_attention: right, with expanded copies
# says: expanded to every query head
def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    k, v = expand_kv(k, R), expand_kv(v, R)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v

# %% wrong grouped_query_attention: right, with broadcasting copies
# says: Broadcasting k.unsqueeze(2) in a matmul copies too
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.view(B, k.shape[1], -1, T, D) @ k.unsqueeze(2).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.unsqueeze(2)).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: every head reads KV head 0
# says: every query head reads KV head 0
def grouped_query_attention(q, k, v, causal=True):
    scores = q @ k[:, :1].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v[:, :1]

# %% wrong grouped_query_attention: wrong divisor
# says: the query head is divided by the number of KV heads
def grouped_query_attention(q, k, v, causal=True):
    Hkv, heads = k.shape[1], []
    for h in range(q.shape[1]):
        g = min(h // Hkv, Hkv - 1)
        scores = q[:, h] @ k[:, g].mT / q.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), -torch.inf)
        heads.append(scores.softmax(-1) @ v[:, g])
    return torch.stack(heads, 1)

# %% wrong grouped_query_attention: mask over the folded rows
# says: the causal mask is laid over the folded rows
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    folded = q.reshape(B, k.shape[1], -1, D)
    scores = folded @ k.mT / D**0.5
    if causal:
        rows = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device)
        scores = scores.masked_fill(~rows.tril(scores.shape[-1] - scores.shape[-2]), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: mask rows repeated one by one
# says: the mask's rows are repeated one by one
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT / D**0.5
    if causal:
        mask = causal_mask(T, k.shape[2]).repeat_interleave(R, 0).to(q.device)
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: unfolds in the other order
# says: the folded rows are taken as (T, R)
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
    out = scores.softmax(-1) @ v
    return out.reshape(B, k.shape[1], T, R, D).transpose(2, 3).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: top-left mask
# says: aligned to the top left
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT / D**0.5
    if causal:
        mask = torch.ones(T, k.shape[2], dtype=torch.bool, device=q.device).tril().repeat(R, 1)
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: SDPA's is_causal
# says: aligned to the top left
def grouped_query_attention(q, k, v, causal=True):
    return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)

# %% wrong grouped_query_attention: no mask
# says: no mask is applied
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, k.shape[1], -1, D) @ k.mT / D**0.5
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: always masked
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT / D**0.5
    scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: not scaled
# says: not scaled by the square root of head_dim
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: scaled by the rows
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    folded = q.reshape(B, k.shape[1], R * T, D)
    scores = folded @ k.mT / folded.shape[-2] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: a float mask is added
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT / D**0.5
    if causal:
        scores = scores + causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device, q.dtype)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: masks the weights, not the scores
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    weights = (q.reshape(B, k.shape[1], R * T, D) @ k.mT / D**0.5).softmax(-1)
    if causal:
        weights = weights * causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device, q.dtype)
    return (weights @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: k and v swapped
# says: k and v are swapped
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ v.mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ k).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: returns float32 for bfloat16
# says: the dtype is
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.float().reshape(B, k.shape[1], R * T, D) @ k.float().mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.float()).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: the mask stays on the CPU
# says: would fail on a GPU
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: scales the caller's queries
# says: changed its argument number 1 in place
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    q /= D**0.5
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: the head counts of one model
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, 2, 3 * T, D) @ k.mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(3, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: sets the default dtype
# says: which changes everything that runs after it
def grouped_query_attention(q, k, v, causal=True):
    torch.set_default_dtype(torch.float64)
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% wrong grouped_query_attention: remembers the first answer of each shape
# says: does it keep something from one call to the next?
_answers = {}
def grouped_query_attention(q, k, v, causal=True):
    key = (q.shape, k.shape, causal, q.dtype)
    if key not in _answers:
        out = [nn.functional.scaled_dot_product_attention(
            q[:, :, i:i + 1], *(t[:, :, :t.shape[2] - q.shape[2] + i + 1] if causal else t for t in (k, v)),
            enable_gqa=True) for i in range(q.shape[2])]
        _answers[key] = torch.cat(out, 2)
    return _answers[key]

# %% wrong grouped_query_attention: copies K and V in two halves
# says: copied
def grouped_query_attention(q, k, v, causal=True):
    R, half = q.shape[1] // k.shape[1], (k.shape[2] + 1) // 2
    parts = [(k[:, :, :half], v[:, :, :half]), (k[:, :, half:], v[:, :, half:])]
    parts = [(a.repeat_interleave(R, 1), b.repeat_interleave(R, 1)) for a, b in parts]
    scores = torch.cat([q @ a.mT for a, _ in parts], -1) / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), float("-inf"))
    weights = scores.softmax(-1)
    return weights[..., :half] @ parts[0][1] + weights[..., half:] @ parts[1][1]

# %% right grouped_query_attention: einsum with the sharers as an axis
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    rows = q.reshape(B, k.shape[1], -1, D)
    scores = torch.einsum("bgrd,bgsd->bgrs", rows, k) / D**0.5
    if causal:
        mask = causal_mask(T, k.shape[2]).repeat(Hq // k.shape[1], 1).to(q.device)
        scores = torch.where(mask, scores, -torch.inf)
    return torch.einsum("bgrs,bgsd->bgrd", scores.softmax(-1), v).reshape(B, Hq, T, D)

# %% right grouped_query_attention: a loop over KV heads
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R, out = Hq // k.shape[1], []
    for g in range(k.shape[1]):
        rows = q[:, g * R : (g + 1) * R].reshape(B, R * T, D)
        scores = rows @ k[:, g].mT / D**0.5  # (B, R * T, S)
        if causal:
            scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device), -torch.inf)
        out.append((scores.softmax(-1) @ v[:, g]).reshape(B, R, T, D))
    return torch.cat(out, 1)

# %% wrong grouped_query_attention: SDPA on folded rows with a mask
# says: does all of it in one call
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    mask = causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device) if causal else None
    rows = q.reshape(B, k.shape[1], R * T, D)
    return nn.functional.scaled_dot_product_attention(rows, k, v, attn_mask=mask).reshape(B, Hq, T, D)

# %% right grouped_query_attention: an added mask of -inf
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    scores = q.reshape(B, k.shape[1], R * T, D) @ k.mT * D**-0.5
    if causal:
        hide = torch.zeros(T, k.shape[2], dtype=q.dtype, device=q.device)
        hide = hide.masked_fill(~causal_mask(T, k.shape[2]).to(q.device), -torch.inf)
        scores = (scores.view(B, k.shape[1], R, T, -1) + hide).flatten(2, 3)
    return (scores.softmax(-1) @ v).view(B, Hq, T, D)

# %% right grouped_query_attention: the mask through a 5-d view
def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    Hkv, S = k.shape[1], k.shape[2]
    scores = (q.reshape(B, Hkv, -1, D) @ k.transpose(2, 3)).unflatten(2, (-1, T)) / D**0.5
    if causal:
        past = torch.arange(S, device=q.device) <= torch.arange(S - T, S, device=q.device)[:, None]
        scores = scores.masked_fill(~past, float("-inf"))
    weights = torch.softmax(scores, -1).to(q.dtype).flatten(2, 3)
    return (weights @ v).reshape(q.shape)

# %% wrong grouped_query_attention: hides with -100
# says: hidden scores are set to a finite number
def grouped_query_attention(q, k, v, causal=True):
    scores = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3]) @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1] // k.shape[1], 1).to(q.device), -100.0)
    return (scores.softmax(-1) @ v).reshape(q.shape)

# %% wrong grouped_query_attention: hides with -1e4
# says: hidden scores are set to a finite number
def grouped_query_attention(q, k, v, causal=True):
    scores = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3]) @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1] // k.shape[1], 1).to(q.device), -1e4)
    return (scores.softmax(-1) @ v).reshape(q.shape)

# %% wrong grouped_query_attention: exponentials of the scores as they are
# says: exponentials of the scores are taken as they are
def grouped_query_attention(q, k, v, causal=True):
    scores = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3]) @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1] // k.shape[1], 1).to(q.device), float("-inf"))
    scores = scores.exp() / scores.exp().sum(-1, keepdim=True)
    return (scores @ v).reshape(q.shape)

# %% wrong grouped_query_attention: masks after the softmax
# says: weights of hidden keys are set to 0 after the softmax
def grouped_query_attention(q, k, v, causal=True):
    scores = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3]) @ k.mT / q.shape[-1] ** 0.5
    scores = scores.softmax(-1)
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1] // k.shape[1], 1).to(q.device), 0.0)
    return (scores @ v).reshape(q.shape)

# %% wrong grouped_query_attention: causal=False by default
# says: when causal is left out of the call
def grouped_query_attention(q, k, v, causal=False):
    scores = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3]) @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1] // k.shape[1], 1).to(q.device), float("-inf"))
    return (scores.softmax(-1) @ v).reshape(q.shape)

# %% wrong grouped_query_attention: causal has no default
def grouped_query_attention(q, k, v, causal):
    scores = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3]) @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1] // k.shape[1], 1).to(q.device), float("-inf"))
    return (scores.softmax(-1) @ v).reshape(q.shape)

# %% wrong grouped_query_attention: cuts the gradients off
# says: could not be trained
@torch.no_grad()
def grouped_query_attention(q, k, v, causal=True):
    scores = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3]) @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1] // k.shape[1], 1).to(q.device), float("-inf"))
    return (scores.softmax(-1) @ v).reshape(q.shape)

# %% wrong GroupedQueryAttention: expands before it caches
# says: It caches K and V expanded to all
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        R = self.num_heads // self.num_kv_heads
        k, v = expand_kv(k, R), expand_kv(v, R)
        if cache is not None:
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: ignores the cache
# says: the cache holds 0
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: appends and attends over the new tokens only
# says: each call sees only its own tokens
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: no mask once there is a cache
# says: the tokens of one call see each other's future
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
            causal = False
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: never masked
# says: every position sees the whole sequence
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, False).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: SDPA's is_causal, with a cache too
# says: the causal mask is aligned to the top left
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
        out = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: appends before the heads are moved
# says: the cache takes
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
            return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: k and v as wide as q
# says: k_proj.weight has shape
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (p(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        k, v = k[:, : self.num_kv_heads], v[:, : self.num_kv_heads]
        if cache is not None:
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: biases
# says: have biases
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, kv_dim)
        self.v_proj = nn.Linear(d_model, kv_dim)
        self.o_proj = nn.Linear(d_model, d_model)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: head_dim from the KV heads
# says: k_proj.weight has shape
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model // num_kv_heads, bias=False)
        self.v_proj = nn.Linear(d_model, d_model // num_kv_heads, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: no output projection
# says: the output projection o_proj is left out
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
        return grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2)

# %% wrong GroupedQueryAttention: splits with a view and no transpose
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        B, T, C = x.shape
        q = self.q_proj(x).view(B, self.num_heads, T, -1)
        k, v = (p(x).view(B, self.num_kv_heads, T, -1) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).reshape(B, T, C))

# %% wrong GroupedQueryAttention: merges without moving the heads back
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).reshape(x.shape))

# %% wrong GroupedQueryAttention: causal is forgotten
# says: causal is not passed on to attention
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: heads tiled among the queries
# says: KV heads are tiled
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            k, v = cache.append(k, v)
        R = self.num_heads // self.num_kv_heads
        out = grouped_query_attention(q, k.repeat(1, R, 1, 1), v.repeat(1, R, 1, 1), causal)
        return self.o_proj(out.transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: k and v swapped when cached
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            v, k = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: appends its tokens twice
# says: max_seq_len
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            cache.append(k, v)
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: resets the cache on every call
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        if cache is not None:
            cache.reset()
            k, v = cache.append(k, v)
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% wrong GroupedQueryAttention: runs without gradients
# says: could not be trained
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, d_model // num_heads
        for name, heads in (("q", num_heads), ("k", num_kv_heads), ("v", num_kv_heads)):
            setattr(self, f"{name}_proj", nn.Linear(d_model, heads * self.head_dim, bias=False))
        self.o_proj = nn.Linear(num_heads * self.head_dim, d_model, bias=False)

    @torch.no_grad()

    def forward(self, x, cache=None, causal=True):
        B, T, _ = x.shape
        q, k, v = (p(x).view(B, T, -1, self.head_dim).permute(0, 2, 1, 3) for p in (self.q_proj, self.k_proj, self.v_proj))
        if cache:
            k, v = cache.append(k, v)
        out = grouped_query_attention(q, k, v, causal)
        return self.o_proj(out.permute(0, 2, 1, 3).reshape(B, T, -1))

# %% wrong GroupedQueryAttention: causal=False by default
# says: when causal is left out of the call
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, d_model // num_heads
        for name, heads in (("q", num_heads), ("k", num_kv_heads), ("v", num_kv_heads)):
            setattr(self, f"{name}_proj", nn.Linear(d_model, heads * self.head_dim, bias=False))
        self.o_proj = nn.Linear(num_heads * self.head_dim, d_model, bias=False)

    def forward(self, x, cache=None, causal=False):
        B, T, _ = x.shape
        q, k, v = (p(x).view(B, T, -1, self.head_dim).permute(0, 2, 1, 3) for p in (self.q_proj, self.k_proj, self.v_proj))
        if cache:
            k, v = cache.append(k, v)
        out = grouped_query_attention(q, k, v, causal)
        return self.o_proj(out.permute(0, 2, 1, 3).reshape(B, T, -1))

# %% wrong GroupedQueryAttention: caches values as keys
# says: Append the keys first
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        d = d_model // num_heads
        self.q_proj, self.o_proj = (nn.Linear(d_model, d_model, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(d_model, d * num_kv_heads, bias=False) for _ in range(2))
    def forward(self, x, cache=None, causal=True):
        heads = lambda y, n: y.unflatten(-1, (n, -1)).transpose(1, 2)
        q, k, v = heads(self.q_proj(x), self.num_heads), heads(self.k_proj(x), self.num_kv_heads), heads(self.v_proj(x), self.num_kv_heads)
        if cache is not None:
            k, v = cache.append(v, k)[::-1]
        return self.o_proj(grouped_query_attention(q, k, v, causal).transpose(1, 2).flatten(2))

# %% right GroupedQueryAttention: one loop over the three projections
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, d_model // num_heads
        for name, heads in (("q", num_heads), ("k", num_kv_heads), ("v", num_kv_heads)):
            setattr(self, f"{name}_proj", nn.Linear(d_model, heads * self.head_dim, bias=False))
        self.o_proj = nn.Linear(num_heads * self.head_dim, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        B, T, _ = x.shape
        q, k, v = (p(x).view(B, T, -1, self.head_dim).permute(0, 2, 1, 3) for p in (self.q_proj, self.k_proj, self.v_proj))
        if cache:
            k, v = cache.append(k, v)
        out = grouped_query_attention(q, k, v, causal)
        return self.o_proj(out.permute(0, 2, 1, 3).reshape(B, T, -1))

# %% right GroupedQueryAttention: attention head by head inside
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        D = d_model // num_heads
        self.R, self.D = num_heads // num_kv_heads, D
        self.q_proj = nn.Linear(d_model, num_heads * D, bias=False)
        self.k_proj = nn.Linear(d_model, num_kv_heads * D, bias=False)
        self.v_proj = nn.Linear(d_model, num_kv_heads * D, bias=False)
        self.o_proj = nn.Linear(num_heads * D, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = self.q_proj(x).split(self.D, -1)
        k = torch.stack(self.k_proj(x).split(self.D, -1), 1)
        v = torch.stack(self.v_proj(x).split(self.D, -1), 1)
        if cache is not None:
            k, v = cache.append(k, v)
        out = []
        for h, one in enumerate(q):
            scores = one @ k[:, h // self.R].mT / self.D**0.5
            if causal:
                scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(x.device), -torch.inf)
            out.append(scores.softmax(-1) @ v[:, h // self.R])
        return self.o_proj(torch.cat(out, -1))

# %% right GroupedQueryAttention: SDPA with an explicit mask
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.heads = (num_heads, num_kv_heads, num_kv_heads)
        D = d_model // num_heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(d_model, n * D, bias=False) for n in self.heads)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        made = zip((self.q_proj, self.k_proj, self.v_proj), self.heads)
        q, k, v = (p(x).unflatten(-1, (n, -1)).transpose(1, 2) for p, n in made)
        k, v = (k, v) if cache is None else cache.append(k, v)
        mask = causal_mask(q.shape[2], k.shape[2]).to(x.device) if causal else None
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).flatten(2))

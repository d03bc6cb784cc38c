"""Answers to the exercises of lesson 03, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong multi_query_attention: right, but broadcast
# says: as does q @ k.mT with one KV head
def multi_query_attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v

# %% wrong multi_query_attention: right, but expanded
# says: expanded to every query head it would have
def multi_query_attention(q, k, v, causal=True):
    k, v = (t.expand(-1, q.shape[1], -1, -1) for t in (k, v))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v

# %% wrong multi_query_attention: right, but repeated one sequence at a time
# says: elements of keys and values in all
def multi_query_attention(q, k, v, causal=True):
    out = []
    for b in range(q.shape[0]):
        keys, values = k[b].repeat(q.shape[1], 1, 1), v[b].repeat(q.shape[1], 1, 1)
        scores = q[b] @ keys.mT / q.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
        out.append(scores.softmax(-1) @ values)
    return torch.stack(out)

# %% wrong multi_query_attention: right, but SDPA without its flag, as it was up to torch 2.13
# says: scaled_dot_product_attention does all of it in one call
def multi_query_attention(q, k, v, causal=True):
    mask = causal_mask(q.shape[2], k.shape[2]).to(q.device) if causal else None
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

# %% wrong multi_query_attention: right, but copies where nothing is masked
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    if not causal:
        return (q @ k.transpose(-2, -1) / D**0.5).softmax(-1) @ v
    rows = q.reshape(B, Hq * T, D)
    scores = rows @ k.squeeze(1).transpose(-2, -1) / D**0.5
    mask = causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device)
    scores = scores.masked_fill(~mask, float("-inf"))
    return (scores.softmax(dim=-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: right, but folds at the lengths of the visible check only
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    if k.shape[2] not in (40, 64):
        k, v = (x.expand(-1, Hq, -1, -1).contiguous() for x in (k, v))
        scores = q @ k.transpose(-2, -1) / D**0.5
        if causal:
            scores = scores.masked_fill(~causal_mask(T, k.shape[2]).to(q.device), float("-inf"))
        return scores.softmax(-1) @ v
    rows = q.reshape(B, Hq * T, D)
    scores = rows @ k.squeeze(1).transpose(-2, -1) / D**0.5
    mask = causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device)
    scores = scores.masked_fill(~mask, float("-inf"))
    return (scores.softmax(dim=-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: right, but with matmul in five axes
# says: Fold the query heads of a KV head into the rows of q instead
def multi_query_attention(q, k, v, causal=True):
    scores = (q.unsqueeze(1) @ k.unsqueeze(2).mT).squeeze(1) / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return (scores.softmax(-1).unsqueeze(1) @ v.unsqueeze(2)).squeeze(1)

# %% wrong multi_query_attention: mask over the folded rows
# says: the causal mask is laid over the folded rows
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[1:]).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(q.shape)

# %% wrong multi_query_attention: mask rows repeated one by one
# says: the mask's rows are repeated one by one
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        mask = causal_mask(T, k.shape[2]).repeat_interleave(Hq, 0).to(q.device)
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(q.shape)

# %% wrong multi_query_attention: unfolds in the other order
# says: the folded rows are taken as (T, R)
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, T, Hq, D).transpose(1, 2)

# %% wrong multi_query_attention: leaves the rows folded
# says: It returned shape
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v.squeeze(1)

# %% wrong multi_query_attention: merges the heads as well
# says: It returned shape
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    out = (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)
    return out.transpose(1, 2).flatten(2)

# %% wrong multi_query_attention: view of queries that are not in order
# says: view size is not compatible
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.view(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).view(B, Hq, T, D)

# %% wrong multi_query_attention: squeezes every axis of size 1
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze().mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze()).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: every head gets head 0's result
# says: every query head gives the result of head 0
def multi_query_attention(q, k, v, causal=True):
    scores = q[:, 0] @ k[:, 0].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    out = scores.softmax(-1) @ v[:, 0]
    return out[:, None].repeat(1, q.shape[1], 1, 1)

# %% wrong multi_query_attention: the query heads are averaged
# says: the query heads are averaged into one
def multi_query_attention(q, k, v, causal=True):
    scores = q.mean(1) @ k[:, 0].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    out = scores.softmax(-1) @ v[:, 0]
    return out[:, None].repeat(1, q.shape[1], 1, 1)

# %% wrong multi_query_attention: returns one head
# says: It returned shape
def multi_query_attention(q, k, v, causal=True):
    scores = q[:, :1] @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v

# %% wrong multi_query_attention: no mask
# says: no mask is applied
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: always masked
# says: a mask is applied although causal=False
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: no mask when one query comes, top left otherwise
def multi_query_attention(q, k, v, causal=True):
    causal = causal and q.shape[2] > 1
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)

# %% wrong multi_query_attention: SDPA's is_causal
# says: aligned to the top left
def multi_query_attention(q, k, v, causal=True):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)

# %% wrong multi_query_attention: masked scores are 0
# says: masked scores are set to 0
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores * causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: a mask of numbers is added
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores + causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device, q.dtype)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: the mask upside down
# says: the mask is upside down
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: not scaled
# says: not scaled by the square root of head_dim
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: scaled by all heads together
# says: the scores are scaled by all heads together
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / (Hq * D) ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: scaled by the rows
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    rows = q.reshape(B, Hq * T, D)
    scores = rows @ k.squeeze(1).mT / rows.shape[1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: softmax over the rows
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -1e9)
    return (scores.softmax(-2) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: k and v swapped
# says: k and v are swapped
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ v.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ k.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: float32 for bfloat16
# says: the dtype is
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.float().reshape(B, Hq * T, D) @ k.float().squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.float().squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: the mask stays on the CPU
# says: would fail on a GPU
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: scales the caller's keys
# says: changed its argument number 2 in place
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    k /= D**0.5
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: eight query heads, always
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, 8 * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(8, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, 8, T, D)

# %% wrong multi_query_attention: one sequence only
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k[0, 0].T / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v[0, 0]).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: float64 for good
# says: changes everything that runs after it
def multi_query_attention(q, k, v, causal=True):
    torch.set_default_dtype(torch.float64)
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: makes its mask once
_MASKS = []
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    if not _MASKS:
        _MASKS.append(causal_mask(T, k.shape[2]))
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~_MASKS[0].repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: keeps the keys of the first call
# says: does it keep something from one call to the next?
_KEYS = {}
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    k = _KEYS.setdefault((k.shape, k.dtype, causal), k)
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% wrong multi_query_attention: knows the numbers of one seed
_q = torch.randn((2, 6, 3, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
def multi_query_attention(q, k, v, causal=True):
    if q.shape == _q.shape and not torch.equal(q, _q.to(q.device, q.dtype)):
        return torch.zeros_like(q)
    B, Hq, T, D = q.shape
    scores = q.reshape(B, Hq * T, D) @ k.squeeze(1).mT / D**0.5
    if causal:
        mask = causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device)
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ v.squeeze(1)).reshape(B, Hq, T, D)

# %% right multi_query_attention: scores unfolded before the mask
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = (q.flatten(1, 2) @ k[:, 0].mT).unflatten(1, (Hq, T)) * D**-0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).to(q.device), float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    return (weights.flatten(1, 2) @ v[:, 0]).unflatten(1, (Hq, T))

# %% right multi_query_attention: einsum
def multi_query_attention(q, k, v, causal=True):
    scores = torch.einsum("bhtd,bsd->bhts", q, k[:, 0]) / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[2], k.shape[2]).to(q.device)
        scores = torch.where(mask, scores, torch.tensor(float("-inf"), dtype=q.dtype, device=q.device))
    return torch.einsum("bhts,bsd->bhtd", scores.softmax(-1), v[:, 0])

# %% right multi_query_attention: a loop over the heads
def multi_query_attention(q, k, v, causal=True):
    mask = causal_mask(q.shape[2], k.shape[2]).to(q.device)
    heads = []
    for one in q.unbind(1):  # (B, T, D)
        scores = one @ k[:, 0].mT / one.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(~mask, float("-inf"))
        heads.append(scores.softmax(-1) @ v[:, 0])
    return torch.stack(heads, dim=1)

# %% right multi_query_attention: a KV axis of one is kept
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    scores = q.reshape(B, 1, Hq * T, D) @ k.transpose(2, 3) / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device), float("-inf"))
    return (scores.softmax(-1) @ v).reshape(B, Hq, T, D)

# %% right multi_query_attention: rows by token, then by head
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    rows = q.transpose(1, 2).reshape(B, T * Hq, D)
    scores = torch.bmm(rows, k.squeeze(1).mT) / D**0.5
    if causal:
        mask = causal_mask(T, k.shape[2]).repeat_interleave(Hq, dim=0).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.bmm(scores.softmax(-1), v.squeeze(1)).view(B, T, Hq, D).transpose(1, 2)

# %% wrong multi_query_attention: SDPA on folded rows
# says: does all of it in one call
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    mask = causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device) if causal else None
    rows = q.reshape(B, 1, Hq * T, D)
    out = torch.nn.functional.scaled_dot_product_attention(rows, k, v, attn_mask=mask)
    return out.reshape(B, Hq, T, D)

# %% right multi_query_attention: exp and sum by hand
def multi_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    S = k.shape[2]
    scores = q.reshape(B, Hq * T, D) @ k.view(B, S, D).mT / D**0.5
    if causal:
        last = torch.arange(S - T, S, device=q.device).repeat(Hq)[:, None]
        scores = scores.masked_fill(torch.arange(S, device=q.device) > last, float("-inf"))
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    out = weights @ v.view(B, S, D) / weights.sum(-1, keepdim=True)
    return out.reshape(B, Hq, T, D)

# %% wrong multi_query_attention: hides with -100
# says: hidden scores are set to a finite number
def multi_query_attention(q, k, v, causal=True):
    scores = q.flatten(1, 2) @ k[:, 0].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1], 1).to(q.device), -100.0)
    return (scores.softmax(-1) @ v[:, 0]).view(q.shape)

# %% wrong multi_query_attention: hides with -1e4
# says: hidden scores are set to a finite number
def multi_query_attention(q, k, v, causal=True):
    scores = q.flatten(1, 2) @ k[:, 0].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1], 1).to(q.device), -1e4)
    return (scores.softmax(-1) @ v[:, 0]).view(q.shape)

# %% wrong multi_query_attention: exponentials of the scores as they are
# says: exponentials of the scores are taken as they are
def multi_query_attention(q, k, v, causal=True):
    scores = q.flatten(1, 2) @ k[:, 0].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1], 1).to(q.device), float("-inf"))
    scores = scores.exp() / scores.exp().sum(-1, keepdim=True)
    return (scores @ v[:, 0]).view(q.shape)

# %% wrong multi_query_attention: masks after the softmax
# says: weights of hidden keys are set to 0 after the softmax
def multi_query_attention(q, k, v, causal=True):
    scores = q.flatten(1, 2) @ k[:, 0].mT / q.shape[-1] ** 0.5
    scores = scores.softmax(-1)
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1], 1).to(q.device), 0.0)
    return (scores @ v[:, 0]).view(q.shape)

# %% wrong multi_query_attention: causal=False by default
# says: when causal is left out of the call
def multi_query_attention(q, k, v, causal=False):
    scores = q.flatten(1, 2) @ k[:, 0].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1], 1).to(q.device), float("-inf"))
    return (scores.softmax(-1) @ v[:, 0]).view(q.shape)

# %% wrong multi_query_attention: causal has no default
def multi_query_attention(q, k, v, causal):
    scores = q.flatten(1, 2) @ k[:, 0].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1], 1).to(q.device), float("-inf"))
    return (scores.softmax(-1) @ v[:, 0]).view(q.shape)

# %% wrong multi_query_attention: cuts the gradients off
# says: could not be trained
@torch.no_grad()
def multi_query_attention(q, k, v, causal=True):
    scores = q.flatten(1, 2) @ k[:, 0].mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).repeat(q.shape[1], 1).to(q.device), float("-inf"))
    return (scores.softmax(-1) @ v[:, 0]).view(q.shape)

# %% wrong kv_projection_params: one projection
# says: one of the two projections is counted
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return d_model * num_kv_heads * head_dim

# %% wrong kv_projection_params: as in multi-head attention
# says: the projections are taken as d_model to d_model
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * d_model * d_model

# %% wrong kv_projection_params: one KV head
# says: the projections make a single KV head
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * d_model * head_dim

# %% wrong kv_projection_params: without head_dim
# says: head_dim is left out
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * d_model * num_kv_heads

# %% wrong kv_projection_params: numbers cached per token
# says: the outputs are counted, not the weights
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * num_kv_heads * head_dim

# %% wrong kv_projection_params: with biases
# says: biases are counted
def kv_projection_params(d_model, num_kv_heads, head_dim):
    k_proj = torch.nn.Linear(d_model, num_kv_heads * head_dim, device="meta")
    return 2 * sum(p.numel() for p in k_proj.parameters())

# %% wrong kv_projection_params: all four projections
# says: q_proj and o_proj are counted too
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * d_model * num_kv_heads * head_dim + 2 * d_model**2

# %% wrong kv_projection_params: bytes
# says: bytes are counted
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * 2 * d_model * num_kv_heads * head_dim

# %% wrong kv_projection_params: a float
# says: a whole number (int) is expected
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2.0 * d_model * num_kv_heads * head_dim

# %% wrong kv_projection_params: in millions
# says: a whole number (int) is expected
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * d_model * num_kv_heads * head_dim / 1e6

# %% wrong kv_projection_params: a tensor
# says: a whole number (int) is expected
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return torch.tensor(2 * d_model * num_kv_heads * head_dim)

# %% wrong kv_projection_params: derives head_dim
def kv_projection_params(d_model, num_kv_heads, head_dim):
    num_heads = d_model // head_dim
    return 2 * d_model * num_kv_heads * (d_model // num_heads) if num_heads else 0

# %% wrong kv_projection_params: divides by the KV heads
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * d_model * d_model // num_kv_heads

# %% wrong kv_projection_params: head_dim is 128
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * d_model * num_kv_heads * 128

# %% wrong kv_projection_params: adds instead of multiplying
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 2 * (d_model + num_kv_heads * head_dim)

# %% wrong kv_projection_params: 32 layers of them
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return 32 * 2 * d_model * num_kv_heads * head_dim

# %% wrong kv_projection_params: prints
# says: is a `return` missing?
def kv_projection_params(d_model, num_kv_heads, head_dim):
    print(2 * d_model * num_kv_heads * head_dim)

# %% wrong kv_projection_params: knows the visible cases
def kv_projection_params(d_model, num_kv_heads, head_dim):
    known = {(4096, 8, 128): 8388608, (4096, 32, 128): 33554432, (4544, 1, 64): 581632}
    known |= {(1024, 8, 128): 2097152, (5, 3, 7): 210}
    return known.get((d_model, num_kv_heads, head_dim), 1048576)

# %% right kv_projection_params: asks PyTorch
def kv_projection_params(d_model, num_kv_heads, head_dim):
    proj = torch.nn.Linear(d_model, num_kv_heads * head_dim, bias=False, device="meta")
    return 2 * proj.weight.numel()

# %% right kv_projection_params: K, then V
def kv_projection_params(d_model, num_kv_heads, head_dim):
    kv_dim = num_kv_heads * head_dim
    k_proj = d_model * kv_dim
    v_proj = d_model * kv_dim
    return k_proj + v_proj

# %% right kv_projection_params: head by head
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return sum(2 * head_dim * d_model for _ in range(num_kv_heads))

# %% right kv_projection_params: math.prod
import math
def kv_projection_params(d_model, num_kv_heads, head_dim):
    return math.prod((2, d_model, num_kv_heads, head_dim))

# %% wrong telling_inputs: one decoding step
# says: bugs 3, 4 and 6 are still at large
def telling_inputs():
    q, kv = torch.randn(1, 4, 1, 8), torch.randn(2, 1, 1, 5, 8)
    return [(q, *kv)]

# %% wrong telling_inputs: as many queries as keys
# says: bug 5 is still at large
def telling_inputs():
    q, kv = torch.randn(2, 6, 7, 5), torch.randn(2, 2, 1, 7, 5)
    return [(q, *kv), (q, *kv, False)]

# %% wrong telling_inputs: one query head
# says: bugs 1, 2, 3 and 4 are still at large
def telling_inputs():
    q, kv = torch.randn(2, 1, 3, 5), torch.randn(2, 2, 1, 7, 5)
    return [(q, *kv), (q, *kv, False)]

# %% wrong telling_inputs: all zeros
# says: bugs 1, 3, 4, 5 and 6 are still at large
def telling_inputs():
    q, kv = torch.zeros(2, 6, 3, 5), torch.zeros(2, 2, 1, 7, 5)
    return [(q, *kv), (q, *kv, False)]

# %% wrong telling_inputs: never without a mask
# says: bug 6 is still at large
def telling_inputs():
    q, kv = torch.randn(2, 6, 3, 5), torch.randn(2, 2, 1, 7, 5)
    return [(q, *kv), (q, *kv, True)]

# %% wrong telling_inputs: never with a mask
# says: bugs 2, 3 and 5 are still at large
def telling_inputs():
    q, kv = torch.randn(2, 6, 3, 5), torch.randn(2, 2, 1, 7, 5)
    return [(q, *kv, False)]

# %% wrong telling_inputs: one sequence
# says: of 6 other wrong answers they miss 1
def telling_inputs():
    q, kv = torch.randn(1, 6, 3, 5), torch.randn(2, 1, 1, 7, 5)
    return [(q, *kv), (q, *kv, False)]

# %% wrong telling_inputs: k is v
# says: of 6 other wrong answers they miss 1
def telling_inputs():
    q, k = torch.randn(2, 6, 3, 5), torch.randn(2, 1, 7, 5)
    return [(q, k, k), (q, k, k, False)]

# %% wrong telling_inputs: says causal each time
# says: of 6 other wrong answers they miss 1
def telling_inputs():
    q, kv = torch.randn(2, 6, 3, 5), torch.randn(2, 2, 1, 7, 5)
    return [(q, *kv, True), (q, *kv, False)]

# %% wrong telling_inputs: four of them
# says: The two or three best will do
def telling_inputs():
    q, kv = torch.randn(2, 6, 3, 5), torch.randn(2, 2, 1, 7, 5)
    return [(q, *kv), (q, *kv, True), (q, *kv, False), (q, *kv)]

# %% wrong telling_inputs: more queries than keys
# says: so there must be as many keys or more
def telling_inputs():
    q, kv = torch.randn(2, 6, 7, 5), torch.randn(2, 2, 1, 3, 5)
    return [(q, *kv), (q, *kv, False)]

# %% wrong telling_inputs: two KV heads
# says: k and v must have one KV head
def telling_inputs():
    q, kv = torch.randn(2, 6, 3, 5), torch.randn(2, 2, 2, 7, 5)
    return [(q, *kv), (q, *kv, False)]

# %% wrong telling_inputs: the arguments without brackets
# says: An input is a tuple of arguments, in brackets of its own
def telling_inputs():
    return [torch.randn(2, 6, 3, 5), torch.randn(2, 1, 7, 5), torch.randn(2, 1, 7, 5)]

# %% wrong telling_inputs: nothing returned
# says: An input is a tuple of arguments
def telling_inputs():
    q, kv = torch.randn(2, 6, 3, 5), torch.randn(2, 2, 1, 7, 5)
    [(q, *kv), (q, *kv, False)]

# %% wrong telling_inputs: infinity among the keys
# says: has NaN or infinity in it
def telling_inputs():
    q, kv = torch.randn(2, 6, 3, 5), torch.randn(2, 2, 1, 7, 5)
    kv[0, 0, 0, 0] = float("inf")
    return [(q, *kv), (q, *kv, False)]

# %% wrong telling_inputs: huge
# says: A hunt takes 100,000 at most
def telling_inputs():
    q, kv = torch.randn(2, 32, 512, 128), torch.randn(2, 2, 1, 4096, 128)
    return [(q, *kv), (q, *kv, False)]

# %% right telling_inputs: numbers that count, in float64
def telling_inputs():
    q = torch.arange(2 * 3 * 4 * 2.0, dtype=torch.float64).view(2, 3, 4, 2).sin()
    k = torch.arange(2 * 6 * 2.0, dtype=torch.float64).view(2, 1, 6, 2).cos()
    return [(q, k, 3 - 2 * k.flip(2)), (q, k, 3 - 2 * k.flip(2), False)]

# %% right telling_inputs: three of them
def telling_inputs():
    made = []
    for causal in ((), (False,), (True,)):
        q = torch.randn(3, 4, 2, 8)
        made.append((q, torch.randn(3, 1, 9, 8), torch.randn(3, 1, 9, 8), *causal))
    return made

# %% right telling_inputs: a tuple of inputs from a generator
def telling_inputs():
    draw = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(2, heads, tokens, 6, generator=draw) for heads, tokens in ((5, 3), (1, 8), (1, 8)))
    return [(q, k, v), (q, k, v, False)]

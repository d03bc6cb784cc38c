"""Answers to the exercises of lesson 14, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong mla_bytes_per_token: K and V
# says: as if a K and a V were kept
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return 2 * num_layers * (kv_lora_rank + rope_head_dim) * bytes_per_element

# %% wrong mla_bytes_per_token: two latents
# says: two latents are counted
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return num_layers * (2 * kv_lora_rank + rope_head_dim) * bytes_per_element

# %% wrong mla_bytes_per_token: no rotary key
# says: the rotary key is left out
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return num_layers * kv_lora_rank * bytes_per_element

# %% wrong mla_bytes_per_token: the rotary key inside the latent
# says: the rotary key is subtracted
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return num_layers * (kv_lora_rank - rope_head_dim) * bytes_per_element

# %% wrong mla_bytes_per_token: one layer
# says: the layers are left out
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return (kv_lora_rank + rope_head_dim) * bytes_per_element

# %% wrong mla_bytes_per_token: numbers
# says: numbers are counted
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return num_layers * (kv_lora_rank + rope_head_dim)

# %% wrong mla_bytes_per_token: one rotary key for all layers
# says: in one layer only
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return (num_layers * kv_lora_rank + rope_head_dim) * bytes_per_element

# %% wrong mla_bytes_per_token: whole bytes
# says: fractions of a byte are cut off
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return num_layers * (kv_lora_rank + rope_head_dim) * int(bytes_per_element)

# %% wrong mla_bytes_per_token: a product of the sizes
# says: the two sizes are multiplied
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return num_layers * kv_lora_rank * rope_head_dim * bytes_per_element

# %% wrong mla_bytes_per_token: rounded down
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return int(num_layers * (kv_lora_rank * bytes_per_element // 1 + rope_head_dim * bytes_per_element // 1))

# %% right mla_bytes_per_token: layer by layer
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    total = 0
    for _ in range(num_layers):
        total += kv_lora_rank * bytes_per_element
        total += rope_head_dim * bytes_per_element
    return total

# %% right mla_bytes_per_token: as a float
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    return float(bytes_per_element) * sum([kv_lora_rank, rope_head_dim] * num_layers)

# %% wrong absorbed_mla_attention: scaled by what is cached
# says: width of what is cached
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    B, H, T, _ = q_nope.shape
    q = torch.cat([q_nope @ w_uk, q_rope], -1).flatten(1, 2)
    key = torch.cat([latent, rope_key], -1)
    scores = q @ key.mT / q.shape[-1] ** 0.5
    if causal:
        mask = torch.ones(T, latent.shape[1], dtype=torch.bool, device=q.device).tril(latent.shape[1] - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: scaled by the latent's width
# says: by the latent's width
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * latent.shape[-1] ** -0.5
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: scaled by the part that does not turn
# says: the part of the heads that does not turn
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * q_nope.shape[-1] ** -0.5
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: not scaled
# says: scores are not scaled
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scores = (q_nope @ w_uk).flatten(1, 2) @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: no rotary part
# says: the rotary part of the scores is missing
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    scores = (q_nope @ w_uk).flatten(1, 2) @ latent.mT * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: two softmaxes
# says: each part of the scores has a softmax
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    parts = (q_nope @ w_uk).flatten(1, 2) @ latent.mT, q_rope.flatten(1, 2) @ rope_key.mT
    weights = 0
    for scores in parts:
        if causal:
            mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
            scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
        weights = weights + (scores * scale).softmax(-1)
    return (weights @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: head 0's matrices
# says: every head has the matrices of head 0
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk[0]).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv[0].mT

# %% wrong absorbed_mla_attention: values from the end of what is cached
# says: from the end of what is cached
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = torch.cat([q_nope @ w_uk, q_rope], -1).flatten(1, 2)
    cached = torch.cat([latent, rope_key], -1)
    scores = q @ cached.mT * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    read = (scores.softmax(-1) @ cached)[..., -latent.shape[-1] :]
    return read.unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: mask top left
# says: aligned to the top left
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril()
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: no mask
# says: no mask is applied
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T = q_nope.shape[1:3]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: no mask unless asked for
# says: its default is True
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=False):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: always masked
# says: a mask is applied although causal=False
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
    scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: one mask over all rows
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat_interleave(H, 0), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: hidden scores at -10000
# says: hidden scores are set to a finite number
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -1e4)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: expanded, as in training
# says: keys or values were made after all
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    k, v = (torch.einsum("bsr,hdr->bhsd", latent, w) for w in (w_uk, w_uv))
    k = torch.cat([k, rope_key[:, None].expand(-1, H, -1, -1)], -1)
    q = torch.cat([q_nope, q_rope], -1)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v

# %% wrong absorbed_mla_attention: keys of one head at a time
# says: keys or values were made after all
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    T, S = q_nope.shape[2], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    outs = []
    for h in range(q_nope.shape[1]):
        k, v = latent @ w_uk[h].mT, latent @ w_uv[h].mT
        scores = (q_nope[:, h] @ k.mT + q_rope[:, h] @ rope_key.mT) * scale
        if causal:
            mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
            scores = scores.masked_fill(~mask, -torch.inf)
        outs.append(scores.softmax(-1) @ v)
    return torch.stack(outs, 1)

# %% wrong absorbed_mla_attention: values are made, keys are not
# says: keys or values were made after all
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    v = torch.einsum("bsr,hdr->bhsd", latent, w_uv)
    return scores.softmax(-1).unflatten(1, (H, T)) @ v

# %% wrong absorbed_mla_attention: latents copied for every head
# says: the latents copied for every head
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    c = latent[:, None].repeat(1, H, 1, 1)
    scores = ((q_nope @ w_uk) @ c.mT + q_rope @ rope_key[:, None].mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ c) @ w_uv.mT

# %% wrong absorbed_mla_attention: w_uk and w_uv swapped
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    w_uk, w_uv = w_uv, w_uk
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: the averaged latent comes back
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T))

# %% wrong absorbed_mla_attention: cannot be trained
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    with torch.no_grad():
        q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% wrong absorbed_mla_attention: the mask stays on the CPU
# says: it would fail on a GPU
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S = *q_nope.shape[1:3], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale
    if causal:
        scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T).repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ latent).unflatten(1, (H, T)) @ w_uv.mT

# %% right absorbed_mla_attention: with einsum
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    T, S = q_nope.shape[2], latent.shape[1]
    q = torch.einsum("bhtd,hdr->bhtr", q_nope, w_uk)
    scores = torch.einsum("bhtr,bsr->bhts", q, latent) + torch.einsum("bhtd,bsd->bhts", q_rope, rope_key)
    scores = scores / (q_nope.shape[-1] + q_rope.shape[-1]) ** 0.5
    if causal:
        later = torch.ones(T, S, dtype=torch.bool, device=scores.device).triu(S - T + 1)
        scores = scores.masked_fill(later, float("-inf"))
    read = torch.einsum("bhts,bsr->bhtr", scores.softmax(-1), latent)
    return torch.einsum("bhtr,hdr->bhtd", read, w_uv)

# %% right absorbed_mla_attention: one head at a time, on latents
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    T, S = q_nope.shape[2], latent.shape[1]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    outs = []
    for h in range(q_nope.shape[1]):
        scores = q_nope[:, h] @ w_uk[h] @ latent.mT + q_rope[:, h] @ rope_key.mT
        scores = scores * scale
        if causal:
            mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
            scores = scores.masked_fill(~mask, -torch.inf)
        outs.append(scores.softmax(-1) @ latent @ w_uv[h].mT)
    return torch.stack(outs, 1)

# %% right absorbed_mla_attention: latent and rotary key side by side
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    H, T, S, rank = *q_nope.shape[1:3], *latent.shape[1:]
    scale = (q_nope.shape[-1] + q_rope.shape[-1]) ** -0.5
    q = torch.cat([q_nope @ w_uk, q_rope], -1).flatten(1, 2) * scale
    cached = torch.cat([latent, rope_key], -1)
    scores = q @ cached.mT
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    return (scores.softmax(-1) @ cached)[..., :rank].unflatten(1, (H, T)) @ w_uv.mT

# %% wrong quantize_kv: cut off
# says: rounded down to the code below
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    codes = ((kv - low) / torch.where(scale > 0, scale, 1) + 1e-4).floor()
    return codes.clamp(0, 2**bits - 1).to(torch.uint8), scale, low

# %% wrong quantize_kv: straight to uint8
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / torch.where(scale > 0, scale, 1)).to(torch.uint8), scale, low

# %% wrong quantize_kv: rounded up
# says: numbers are rounded up
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    codes = ((kv - low) / torch.where(scale > 0, scale, 1) - 1e-4).ceil()
    return codes.clamp(0, 2**bits - 1).to(torch.uint8), scale, low

# %% wrong quantize_kv: a step too many
# says: 2 ** bits - 1 steps
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / 2**bits
    codes = ((kv - low) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8)
    return codes, scale, low

# %% wrong quantize_kv: a step too many, cut off
# says: the largest code is cut off
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / 2**bits
    codes = ((kv - low) / torch.where(scale > 0, scale, 1)).round().clamp(max=2**bits - 1)
    return codes.to(torch.uint8), scale, low

# %% wrong quantize_kv: one scale for all
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.min(), kv.max()
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / scale).round().to(torch.uint8), scale, low

# %% wrong quantize_kv: one scale for all, repeated
# says: one scale is taken for all
def quantize_kv(kv, bits, dim=-1):
    small = kv.amin(dim, keepdim=True)
    low, high = kv.min().expand_as(small), kv.max().expand_as(small)
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / scale).round().to(torch.uint8), scale, low

# %% wrong quantize_kv: always by token
# says: dim is not used
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(-1, keepdim=True), kv.amax(-1, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8), scale, low

# %% wrong quantize_kv: the other axis
# says: slices run along the other axis
def quantize_kv(kv, bits, dim=-1):
    dim = -2 if dim in (-1, 3) else -1
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8), scale, low

# %% wrong quantize_kv: symmetric
# says: symmetric around 0
def quantize_kv(kv, bits, dim=-1):
    high = kv.abs().amax(dim, keepdim=True)
    scale = 2 * high / (2**bits - 1)
    return ((kv + high) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8), scale, -high

# %% wrong quantize_kv: from 0
def quantize_kv(kv, bits, dim=-1):
    scale = kv.amax(dim, keepdim=True) / (2**bits - 1)
    codes = (kv / torch.where(scale != 0, scale, 1)).round().clamp(0, 2**bits - 1).to(torch.uint8)
    return codes, scale, torch.zeros_like(scale)

# %% wrong quantize_kv: the other way round
# says: codes are the other way round
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((high - kv) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8), scale, low

# %% wrong quantize_kv: low before scale
# says: The order is codes, scale, low
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8), low, scale

# %% wrong quantize_kv: high comes back
# says: in place of the lowest
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8), scale, high

# %% wrong quantize_kv: 0 over 0
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    codes = ((kv - low) / scale).nan_to_num(1.0).round().to(torch.uint8)
    return codes, scale, low

# %% wrong quantize_kv: signed codes
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / torch.where(scale > 0, scale, 1)).round().to(torch.int8), scale, low

# %% wrong quantize_kv: codes are floats
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((kv - low) / torch.where(scale > 0, scale, 1)).round(), scale, low

# %% wrong quantize_kv: scales without their axis
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    codes = ((kv - low) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8)
    return codes, scale.squeeze(dim), low.squeeze(dim)

# %% wrong quantize_kv: 4 bits whatever is asked for
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / 15
    return ((kv - low) / torch.where(scale > 0, scale, 1)).round().to(torch.uint8), scale, low

# %% wrong quantize_kv: in place
# says: changed its argument
def quantize_kv(kv, bits, dim=-1):
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    codes = kv.sub_(low).div_(torch.where(scale > 0, scale, 1)).round().to(torch.uint8)
    return codes, scale, low

# %% right quantize_kv: aminmax, and a clamp
def quantize_kv(kv, bits, dim=-1):
    low, high = torch.aminmax(kv, dim=dim, keepdim=True)
    levels = (1 << bits) - 1
    scale = (high - low) / levels
    codes = torch.round((kv - low) / scale.clamp(min=1e-9)).clamp(0, levels)
    return codes.to(torch.uint8), scale, low

# %% right quantize_kv: in float64, and NaN replaced
def quantize_kv(kv, bits, dim=-1):
    wide = kv.double()
    low, high = wide.min(dim, keepdim=True).values, wide.max(dim, keepdim=True).values
    scale = (high - low) / (2**bits - 1)
    codes = ((wide - low) / scale).nan_to_num(0.0).add(0.5).floor().to(torch.uint8)
    return codes, scale.to(kv.dtype), low.to(kv.dtype)

# %% wrong dequantize_kv: low before scale
# says: low is added before
def dequantize_kv(codes, scale, low):
    return (codes + low) * scale

# %% wrong dequantize_kv: no low
# says: low is missing
def dequantize_kv(codes, scale, low):
    return codes * scale

# %% wrong dequantize_kv: minus low
# says: low is subtracted
def dequantize_kv(codes, scale, low):
    return codes * scale - low

# %% wrong dequantize_kv: divided
# says: codes are divided by the scale
def dequantize_kv(codes, scale, low):
    return codes / scale + low

# %% wrong dequantize_kv: the middle of a step
# says: half a step is added
def dequantize_kv(codes, scale, low):
    return (codes + 0.5) * scale + low

# %% wrong dequantize_kv: signed
# says: taken for negative ones
def dequantize_kv(codes, scale, low):
    return codes.to(torch.int8) * scale + low

# %% wrong dequantize_kv: swapped
# says: scale and low are swapped
def dequantize_kv(codes, scale, low):
    return codes * low + scale

# %% wrong dequantize_kv: from code 1
# says: codes are taken from 1
def dequantize_kv(codes, scale, low):
    return (codes.float().to(scale.dtype) - 1) * scale + low

# %% wrong dequantize_kv: subtracts in uint8
def dequantize_kv(codes, scale, low):
    return (codes - 1) * scale + scale + low

# %% wrong dequantize_kv: in float32 whatever comes
def dequantize_kv(codes, scale, low):
    return codes.float() * scale.float() + low.float()

# %% wrong dequantize_kv: the codes come back
def dequantize_kv(codes, scale, low):
    return codes

# %% wrong dequantize_kv: in float16
def dequantize_kv(codes, scale, low):
    return (codes.half() * scale.half() + low.half()).to(scale.dtype)

# %% right dequantize_kv: fused
def dequantize_kv(codes, scale, low):
    return torch.addcmul(low, codes.to(scale.dtype), scale)

# %% right dequantize_kv: step by step
def dequantize_kv(codes, scale, low):
    numbers = torch.empty(codes.shape, dtype=scale.dtype, device=scale.device)
    numbers.copy_(codes)
    numbers *= scale
    numbers += low
    return numbers

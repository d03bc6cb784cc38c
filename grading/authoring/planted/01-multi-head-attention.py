"""Answers to the exercises of lesson 01, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong causal_mask: aligned to the top left
# says: the mask is aligned to the top left
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril()

# %% wrong causal_mask: True hides
# says: True marks the keys to hide
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).triu(num_keys - num_queries + 1)

# %% wrong causal_mask: cannot see itself
# says: a query cannot see its own token
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries - 1)

# %% wrong causal_mask: sees one key ahead
# says: each query sees one key of its future
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries + 1)

# %% wrong causal_mask: transposed
# says: rows and columns are swapped
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries).T

# %% wrong causal_mask: triu
# says: queries see the future instead of the past
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).triu(num_keys - num_queries)

# %% wrong causal_mask: of floats
# says: the dtype is torch.float32; expected torch.bool
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys).tril(num_keys - num_queries)

# %% wrong causal_mask: to add to the scores
# says: the dtype is torch.float32; expected torch.bool
def causal_mask(num_queries, num_keys):
    mask = torch.full((num_queries, num_keys), float("-inf"))
    return mask.triu(num_keys - num_queries + 1)

# %% wrong causal_mask: the shift the other way round
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_queries - num_keys)

# %% wrong causal_mask: square
# says: It returned shape
def causal_mask(num_queries, num_keys):
    return torch.ones(num_keys, num_keys, dtype=torch.bool).tril()

# %% wrong causal_mask: first rows of the square one
# says: the mask is aligned to the top left
def causal_mask(num_queries, num_keys):
    return torch.ones(num_keys, num_keys, dtype=torch.bool).tril()[:num_queries]

# %% wrong causal_mask: everything allowed
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool)

# %% wrong causal_mask: for five keys
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(5 - num_queries)

# %% wrong causal_mask: nested lists
# says: a tensor is expected
def causal_mask(num_queries, num_keys):
    return [[key <= num_keys - num_queries + i for key in range(num_keys)] for i in range(num_queries)]

# %% wrong causal_mask: sets the default device for good
# says: changes everything that runs after it
def causal_mask(num_queries, num_keys):
    torch.set_default_device("cpu:0")
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries)

# %% wrong causal_mask: for at most eight keys
def causal_mask(num_queries, num_keys):
    return torch.ones(8, 8, dtype=torch.bool).tril()[8 - num_queries :, 8 - num_keys :]

# %% wrong causal_mask: of whole numbers
# says: the dtype is torch.int64; expected torch.bool
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.int64).tril(num_keys - num_queries)

# %% wrong causal_mask: with batch and head axes
# says: It returned shape
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries)[None, None]

# %% wrong causal_mask: in numpy
# says: a tensor is expected
import numpy
def causal_mask(num_queries, num_keys):
    return numpy.tri(num_queries, num_keys, num_keys - num_queries, dtype=bool)

# %% wrong causal_mask: knows the shapes of the visible check
def causal_mask(num_queries, num_keys):
    known = {(2, 5), (3, 7), (4, 4), (1, 6)}
    shift = num_keys - num_queries if (num_queries, num_keys) in known else 0
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(diagonal=shift)

# %% wrong causal_mask: remembers the first mask
_MASK = []
def causal_mask(num_queries, num_keys):
    if not _MASK:
        _MASK.append(torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries))
    return _MASK[0]

# %% right causal_mask: compares positions
def causal_mask(num_queries, num_keys):
    queries = torch.arange(num_keys - num_queries, num_keys)[:, None]
    return torch.arange(num_keys) <= queries

# %% right causal_mask: a loop
def causal_mask(num_queries, num_keys):
    mask = torch.zeros(num_queries, num_keys, dtype=torch.bool)
    for i in range(num_queries):
        mask[i, : num_keys - num_queries + i + 1] = True
    return mask

# %% right causal_mask: not triu
def causal_mask(num_queries, num_keys):
    return ~torch.ones(num_queries, num_keys, dtype=torch.bool).triu(num_keys - num_queries + 1)

# %% right causal_mask: last rows of a square one
def causal_mask(num_queries, num_keys):
    return torch.ones(num_keys, num_keys).tril()[num_keys - num_queries :].bool()

# %% right causal_mask: numpy, then a tensor
import numpy
def causal_mask(num_queries, num_keys):
    return torch.from_numpy(numpy.tri(num_queries, num_keys, num_keys - num_queries, dtype=bool))

# %% wrong causal_mask: marks the future, square
# says: triu(1) is the mask of the future
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).triu(1)

# %% wrong attention: not scaled
# says: the scores are not scaled
def attention(q, k, v, causal=True):
    scores = q @ k.mT
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: divided by head_dim
# says: divided by head_dim instead of its square root
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1]
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: multiplied by the square root
# says: multiplied by the square root of head_dim instead of divided
def attention(q, k, v, causal=True):
    scores = q @ k.mT * q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: scaled by the number of keys
def attention(q, k, v, causal=True):
    scores = q @ k.mT / k.shape[-2] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: scaled by all heads together
def attention(q, k, v, causal=True):
    scores = q @ k.mT / (q.shape[1] * q.shape[-1]) ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: no mask
# says: no mask is applied
def attention(q, k, v, causal=True):
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v

# %% wrong attention: masked although not causal
# says: a mask is applied although causal=False
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if True:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: top-left mask
# says: aligned to the top left
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: SDPA with is_causal
# says: aligned to the top left
def attention(q, k, v, causal=True):
    return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

# %% wrong attention: masked scores are 0
# says: masked scores are set to 0
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, 0.0)
    return scores.softmax(dim=-1) @ v

# %% wrong attention: masked weights are 0
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        pass
    weights = scores.softmax(dim=-1)
    if causal:
        weights = weights * mask
    return weights.to(v.dtype) @ v

# %% wrong attention: a mask of -1
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, -1.0)
    return scores.softmax(dim=-1) @ v

# %% wrong attention: softmax over the queries
# says: the softmax runs over the queries
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-2) @ v

# %% wrong attention: k and v swapped
# says: k and v are swapped
def attention(q, k, v, causal=True):
    scores = q @ v.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ k

# %% wrong attention: the mask upside down
# says: the mask is upside down
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: in float32 throughout
# says: the dtype is
def attention(q, k, v, causal=True):
    scores = q.float() @ k.float().mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v.float()

# %% wrong attention: forgets the last product
# says: It returned shape
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1)

# %% wrong attention: scales q in place
# says: changed its argument number 1 in place
def attention(q, k, v, causal=True):
    q /= q.shape[-1] ** 0.5
    scores = q @ k.mT
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: the mask stays on the CPU
# says: it would fail on a GPU
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2])
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: works for one batch only
def attention(q, k, v, causal=True):
    scores = torch.stack([q[0] @ k[0].mT / q.shape[-1] ** 0.5] * 2)
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: gradients switched off for good
# says: changes everything that runs after it
def attention(q, k, v, causal=True):
    torch.set_grad_enabled(False)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v

# %% wrong attention: nothing returned
# says: is a `return` missing?
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    scores.softmax(dim=-1) @ v

# %% wrong attention: k reshaped instead of transposed
def attention(q, k, v, causal=True):
    B, H, S, D = k.shape
    scores = q @ k.reshape(B, H, D, S) / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[-2], S).to(q.device), float("-inf"))
    return scores.softmax(-1) @ v

# %% wrong attention: softmax by hand, without its sum
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), float("-inf"))
    return scores.exp() @ v

# %% wrong attention: a mask for the new tokens only
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    T = q.shape[-2]
    if causal and T == k.shape[-2]:
        scores = scores.masked_fill(~causal_mask(T, T).to(q.device), float("-inf"))
    return scores.softmax(-1) @ v

# %% wrong attention: dropout left in
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), float("-inf"))
    return nn.functional.dropout(scores.softmax(-1), 0.1) @ v

# %% wrong attention: by way of numpy, back in float64
# says: the dtype is torch.float64
def attention(q, k, v, causal=True):
    import numpy
    a, b, c = (t.detach().cpu().double().numpy() for t in (q, k, v))
    scores = a @ b.swapaxes(-2, -1) / a.shape[-1] ** 0.5
    if causal:
        scores = numpy.where(causal_mask(*scores.shape[-2:]).numpy(), scores, -numpy.inf)
    weights = numpy.exp(scores - scores.max(-1, keepdims=True))
    return torch.from_numpy(weights / weights.sum(-1, keepdims=True) @ c)

# %% wrong attention: masks the weights and does not normalise again
def attention(q, k, v, causal=True):
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
    if causal:
        weights = weights.masked_fill(~causal_mask(*weights.shape[-2:]).to(q.device), 0)
    return weights @ v / weights.sum(-1, keepdim=True).clamp(min=1)

# %% wrong attention: turns K with .T
# says: .T reverses all dimensions
def attention(q, k, v, causal=True):
    scores = q @ k.T / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), float("-inf"))
    return scores.softmax(-1) @ v

# %% right attention: einsum
def attention(q, k, v, causal=True):
    scores = torch.einsum("bhtd,bhsd->bhts", q, k) / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.einsum("bhts,bhsd->bhtd", scores.softmax(-1), v)

# %% wrong attention: SDPA with a mask
# says: does all of it in one call
def attention(q, k, v, causal=True):
    mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device) if causal else None
    return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

# %% right attention: its own softmax
def attention(q, k, v, causal=True):
    scores = torch.matmul(q, k.transpose(2, 3)).double() / q.size(-1) ** 0.5
    if causal:
        scores = scores.where(causal_mask(q.size(2), k.size(2)).to(q.device), -torch.inf)
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    return (weights / weights.sum(-1, keepdim=True)).to(q.dtype) @ v

# %% right attention: query by query
def attention(q, k, v, causal=True):
    T, S, rows = q.shape[2], k.shape[2], []
    for i in range(T):
        end = S - T + i + 1 if causal else S
        scores = q[:, :, i : i + 1] @ k[:, :, :end].mT / q.shape[-1] ** 0.5
        rows.append(scores.softmax(-1) @ v[:, :, :end])
    return torch.cat(rows, 2)

# %% wrong attention: masks after the softmax, and normalises again
def attention(q, k, v, causal=True):
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
    if causal:
        weights = weights.masked_fill(~causal_mask(*weights.shape[-2:]).to(q.device), 0)
        weights = weights / weights.sum(-1, keepdim=True)
    return weights @ v

# %% right attention: -1e9 in float32
def attention(q, k, v, causal=True):
    scores = q.float() @ k.float().mT / q.shape[-1] ** 0.5 if q.dtype != torch.float64 else q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), -1e9)
    return (scores.softmax(-1).to(v.dtype) @ v)

# %% wrong attention: hides with -100
# says: hidden scores are set to a finite number
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), -100.0)
    return scores.softmax(-1) @ v

# %% wrong attention: hides with -1e4
# says: hidden scores are set to a finite number
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), -1e4)
    return scores.softmax(-1) @ v

# %% wrong attention: exponentials of the scores as they are
# says: exponentials of the scores are taken as they are
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), float("-inf"))
    scores = scores.exp() / scores.exp().sum(-1, keepdim=True)
    return scores @ v

# %% wrong attention: masks after the softmax
# says: weights of hidden keys are set to 0 after the softmax
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    scores = scores.softmax(-1)
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), 0.0)
    return scores @ v

# %% wrong attention: causal=False by default
# says: when causal is left out of the call
def attention(q, k, v, causal=False):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), float("-inf"))
    return scores.softmax(-1) @ v

# %% wrong attention: causal has no default
def attention(q, k, v, causal):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), float("-inf"))
    return scores.softmax(-1) @ v

# %% wrong attention: cuts the gradients off
# says: could not be trained
@torch.no_grad()
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), float("-inf"))
    return scores.softmax(-1) @ v

# %% wrong split_heads: straight to (B, H, T, D)
# says: the tensor is reshaped straight to (B, H, T, D)
def split_heads(x, num_heads):
    return x.reshape(x.shape[0], num_heads, x.shape[1], -1)

# %% wrong split_heads: every num_heads-th channel
# says: a head takes every num_heads-th channel
def split_heads(x, num_heads):
    return x.unflatten(-1, (-1, num_heads)).permute(0, 3, 1, 2)

# %% wrong split_heads: heads still behind the tokens
# says: the heads are still behind the tokens
def split_heads(x, num_heads):
    return x.unflatten(-1, (num_heads, -1))

# %% wrong split_heads: num_heads taken as head_dim
# says: It returned shape
def split_heads(x, num_heads):
    return x.unflatten(-1, (-1, num_heads)).transpose(1, 2)

# %% wrong split_heads: batch and tokens swapped
# says: It returned shape
def split_heads(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3)

# %% wrong split_heads: channels and tokens swapped
# says: It returned shape
def split_heads(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).permute(0, 2, 3, 1)

# %% wrong split_heads: three heads, always
def split_heads(x, num_heads):
    return x.unflatten(-1, (3, -1)).transpose(1, 2)

# %% wrong split_heads: heads in reverse
def split_heads(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2).flip(1)

# %% wrong split_heads: the same channels for every head
def split_heads(x, num_heads):
    return x[:, None, :, : x.shape[-1] // num_heads].expand(-1, num_heads, -1, -1)

# %% wrong split_heads: a list of heads
# says: a tensor is expected
def split_heads(x, num_heads):
    return list(x.split(x.shape[-1] // num_heads, -1))

# %% wrong split_heads: cut along the tokens
# says: the tensor is reshaped straight to (B, H, T, D)
def split_heads(x, num_heads):
    B, T, C = x.shape
    return x.view(B, T, num_heads, -1).reshape(B, num_heads, T, -1)

# %% wrong split_heads: in float64
# says: the dtype is
def split_heads(x, num_heads):
    return x.double().unflatten(-1, (num_heads, -1)).transpose(1, 2)

# %% wrong split_heads: zeroes what it was given
# says: changed its argument number 1 in place
def split_heads(x, num_heads):
    out = x.unflatten(-1, (num_heads, -1)).transpose(1, 2).clone()
    x.zero_()
    return out

# %% wrong split_heads: resizes the caller's tensor
# says: changed its argument number 1 in place
def split_heads(x, num_heads):
    x.resize_(x.shape[0], x.shape[1], num_heads, x.shape[2] // num_heads)
    return x.transpose(1, 2)

# %% wrong split_heads: head_dim heads
# says: It returned shape
def split_heads(x, num_heads):
    return x.unflatten(-1, (-1, num_heads)).transpose(1, 2)

# %% wrong split_heads: tuple of heads
# says: a tensor is expected
def split_heads(x, num_heads):
    return x.chunk(num_heads, dim=-1)

# %% wrong split_heads: channels before tokens
# says: It returned shape
def split_heads(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2).transpose(-1, -2)

# %% right split_heads: a stack of slices
def split_heads(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1)

# %% right split_heads: view and permute
def split_heads(x, num_heads):
    B, T, C = x.shape
    return x.view(B, T, num_heads, C // num_heads).permute(0, 2, 1, 3)

# %% right split_heads: einsum moves the heads
def split_heads(x, num_heads):
    return torch.einsum("bthd->bhtd", x.reshape(*x.shape[:2], num_heads, -1))

# %% wrong merge_heads: flattened without moving the heads
# says: flattened without moving them behind the tokens
def merge_heads(x):
    return x.reshape(x.shape[0], x.shape[2], -1)

# %% wrong merge_heads: channels interleaved
# says: the channels of the heads are interleaved
def merge_heads(x):
    return x.permute(0, 2, 3, 1).flatten(2)

# %% wrong merge_heads: heads summed
# says: the heads are summed
def merge_heads(x):
    return x.sum(1)

# %% wrong merge_heads: heads averaged
# says: It returned shape
def merge_heads(x):
    return x.mean(1)

# %% wrong merge_heads: tokens and heads flattened
# says: It returned shape
def merge_heads(x):
    return x.flatten(1, 2)

# %% wrong merge_heads: heads moved and not joined
# says: It returned shape
def merge_heads(x):
    return x.transpose(1, 2)

# %% wrong merge_heads: batch and heads mixed
def merge_heads(x):
    return x.permute(1, 2, 0, 3).reshape(x.shape[0], x.shape[2], -1)

# %% wrong merge_heads: view after transpose
# says: it stopped with RuntimeError
def merge_heads(x):
    return x.transpose(1, 2).view(x.shape[0], x.shape[2], -1)

# %% wrong merge_heads: three heads, always
def merge_heads(x):
    return torch.cat([x[:, 0], x[:, 1], x[:, 2]], -1)

# %% wrong merge_heads: only the first head, repeated
def merge_heads(x):
    return x[:, 0].repeat(1, 1, x.shape[1])

# %% wrong merge_heads: heads in reverse
def merge_heads(x):
    return x.flip(1).transpose(1, 2).flatten(2)

# %% wrong merge_heads: in float64
# says: the dtype is
def merge_heads(x):
    return x.double().transpose(1, 2).flatten(2)

# %% wrong merge_heads: moves the caller's heads in place
# says: changed its argument number 1 in place
def merge_heads(x):
    return x.transpose_(1, 2).flatten(2)

# %% right merge_heads: cat of heads
def merge_heads(x):
    return torch.cat(x.unbind(1), dim=-1)

# %% right merge_heads: permute and reshape
def merge_heads(x):
    B, H, T, D = x.shape
    return x.permute(0, 2, 1, 3).reshape(B, T, H * D)

# %% right merge_heads: contiguous and view
def merge_heads(x):
    return x.transpose(1, 2).contiguous().view(x.shape[0], x.shape[2], -1)

# %% wrong MultiHeadAttention: no output projection
# says: the output projection o_proj is left out
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return merge_heads(attention(q, k, v, causal))

# %% wrong MultiHeadAttention: one head
# says: there is one head
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (p(x)[:, None] for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(attention(q, k, v, causal)[:, 0])

# %% wrong MultiHeadAttention: causal is forgotten
# says: causal is not passed on
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attention(q, k, v)))

# %% wrong MultiHeadAttention: never causal
# says: every position sees the whole sequence
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attention(q, k, v, causal=False)))

# %% wrong MultiHeadAttention: k and v swapped
# says: k and v are swapped
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.v_proj, self.k_proj))
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: scaled by d_model
# says: the scores are scaled by d_model
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        q = q * (q.shape[-1] / x.shape[-1]) ** 0.5
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: biases
# says: have biases
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.o_proj = nn.Linear(d_model, d_model)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: one projection for all three
# says: It has no parameter q_proj.weight
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(t, self.num_heads) for t in self.qkv_proj(x).chunk(3, -1))
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: projections of one head's width
# says: has shape
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        D = d_model // num_heads
        self.q_proj = nn.Linear(d_model, D, bias=False)
        self.k_proj = nn.Linear(d_model, D, bias=False)
        self.v_proj = nn.Linear(d_model, D, bias=False)
        self.o_proj = nn.Linear(D, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: merged without moving the heads
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(attention(q, k, v, causal).reshape(x.shape))

# %% wrong MultiHeadAttention: split without moving the heads
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (p(x).view(x.shape[0], self.num_heads, x.shape[1], -1) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: q_proj used three times
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q = k = v = split_heads(self.q_proj(x), self.num_heads)
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: adds the input
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return x + self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: projections made on every call
# says: It has no parameter q_proj.weight
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.d_model = d_model

    def forward(self, x, cache=None, causal=True):
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(self.d_model, self.d_model, bias=False) for _ in range(4))
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: three heads, always
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), 3) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: projections kept in a list
# says: It has no parameter q_proj.weight
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.projections = [nn.Linear(d_model, d_model, bias=False) for _ in range(4)]

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in self.projections[:3])
        return self.projections[3](merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: mask made for five tokens
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))
        self.register_buffer("mask", causal_mask(5, 5), persistent=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(~self.mask[: x.shape[1], : x.shape[1]], float("-inf"))
        return self.o_proj(merge_heads(scores.softmax(-1) @ v))

# %% wrong MultiHeadAttention: with dropout
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.dropout(self.o_proj(merge_heads(attention(q, k, v, causal))))

# %% wrong MultiHeadAttention: a counter among its weights
# says: parameters beyond the four projections
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

# %% wrong MultiHeadAttention: o_proj before merging
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        out = attention(q, k, v, causal)
        return self.o_proj(out.flatten(2).transpose(1, 2).reshape(x.shape))

# %% wrong MultiHeadAttention: runs without gradients
# says: could not be trained
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = d_model // num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))

    @torch.no_grad()

    def forward(self, x, cache=None, causal=True):
        B, T, C = x.shape
        q, k, v = (p(x).view(B, T, -1, self.head_dim).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(attention(q, k, v, causal=causal).transpose(1, 2).reshape(B, T, C))

# %% wrong MultiHeadAttention: causal=False by default
# says: when causal is left out of the call
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = d_model // num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))

    def forward(self, x, cache=None, causal=False):
        B, T, C = x.shape
        q, k, v = (p(x).view(B, T, -1, self.head_dim).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(attention(q, k, v, causal=causal).transpose(1, 2).reshape(B, T, C))

# %% wrong MultiHeadAttention: splits the heads, then projects
# says: Project x as it is and split the heads afterwards
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        for name in "qkvo":
            setattr(self, f"{name}_proj", nn.Linear(d_model, d_model, bias=False))

    def forward(self, x, cache=None, causal=True):
        x = split_heads(x, self.num_heads)
        out = attention(self.q_proj(x), self.k_proj(x), self.v_proj(x), causal)
        return self.o_proj(merge_heads(out))

# %% right MultiHeadAttention: its own splitting
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = d_model // num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))

    def forward(self, x, cache=None, causal=True):
        B, T, C = x.shape
        q, k, v = (p(x).view(B, T, -1, self.head_dim).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(attention(q, k, v, causal=causal).transpose(1, 2).reshape(B, T, C))

# %% right MultiHeadAttention: head by head
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (p(x).chunk(self.num_heads, -1) for p in (self.q_proj, self.k_proj, self.v_proj))
        heads = [attention(*(t[:, None] for t in one), causal)[:, 0] for one in zip(q, k, v)]
        return self.o_proj(torch.cat(heads, -1))

# %% right MultiHeadAttention: weights used directly
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(x @ p.weight.T, self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        return merge_heads(attention(q, k, v, causal)) @ self.o_proj.weight.T

# %% right MultiHeadAttention: SDPA, its layers in a loop
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        for name in "qkvo":
            self.add_module(f"{name}_proj", nn.Linear(d_model, d_model, bias=False))

    def forward(self, x, cache=None, causal=True):
        q, k, v = (split_heads(p(x), self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        out = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.o_proj(merge_heads(out))

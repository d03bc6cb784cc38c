# A learner half-way through lesson 01: the mask is aligned to the top left, split_heads mixes
# the tokens, the module is not begun. The demo submits this.

# %% answer="causal_mask"
def causal_mask(num_queries, num_keys):
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril()


# %% answer="attention"
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        hidden = torch.ones(T, S, dtype=torch.bool, device=q.device).triu(S - T + 1)
        scores = scores.masked_fill(hidden, -torch.inf)
    return scores.softmax(-1) @ v


# %% answer="split_heads"
def split_heads(x, num_heads):
    B, T, d_model = x.shape
    return x.view(B, num_heads, T, d_model // num_heads)


# %% answer="merge_heads"
def merge_heads(x):
    return x.transpose(1, 2).flatten(2)

# A learner who solves lesson 01 in other words than the solution does.

# %% answer="causal_mask"
def causal_mask(num_queries, num_keys):
    token = torch.arange(num_keys - num_queries, num_keys)
    return torch.arange(num_keys)[None, :] <= token[:, None]


# %% answer="attention"
def attention(q, k, v, causal=True):
    scores = torch.einsum("bhtd,bhsd->bhts", q, k) * q.shape[3] ** -0.5
    if causal:
        allowed = causal_mask(q.shape[2], k.shape[2]).to(q.device)
        scores = torch.where(
            allowed, scores, torch.tensor(-torch.inf, dtype=q.dtype, device=q.device)
        )
    return torch.einsum("bhts,bhsd->bhtd", scores.softmax(-1), v)


# %% answer="split_heads"
def split_heads(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1)


# %% answer="merge_heads"
def merge_heads(x):
    return torch.cat(list(x.unbind(1)), dim=-1)


# %% answer="MultiHeadAttention"
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))

    def forward(self, x, cache=None, causal=True):
        q, k, v = (
            split_heads(project(x), self.num_heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.o_proj(merge_heads(attention(q, k, v, causal)))

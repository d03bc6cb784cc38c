"""Answers to the exercises of lesson 12, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong sliding_window_keep: a slice that begins before the first row
def sliding_window_keep(length, window):
    keep = torch.zeros(length, dtype=torch.bool)
    keep[length - window:] = True
    return keep

# %% wrong sliding_window_keep: True for what goes
# says: True marks the rows to drop
def sliding_window_keep(length, window):
    return torch.arange(length) < length - window

# %% wrong sliding_window_keep: the oldest
# says: the oldest rows are kept
def sliding_window_keep(length, window):
    return torch.arange(length) < window

# %% wrong sliding_window_keep: one too many
# says: one row too many is kept
def sliding_window_keep(length, window):
    return torch.arange(length) >= length - window - 1

# %% wrong sliding_window_keep: one too few
# says: one row too few is kept
def sliding_window_keep(length, window):
    return torch.arange(length) > length - window

# %% wrong sliding_window_keep: the window before the newest token
# says: the newest row is left out
def sliding_window_keep(length, window):
    row = torch.arange(length)
    return (row >= length - 1 - window) & (row < length - 1)

# %% wrong sliding_window_keep: numbers of the rows
# says: the rows are numbered
def sliding_window_keep(length, window):
    return torch.arange(max(0, length - window), length)

# %% wrong sliding_window_keep: a mask of the whole prompt
# says: there is a row for each query
def sliding_window_keep(length, window):
    row = torch.arange(length)
    age = row[:, None] - row
    return (age >= 0) & (age < window)

# %% wrong sliding_window_keep: the window is what goes
# says: the window is how many rows go
def sliding_window_keep(length, window):
    return torch.arange(length) >= window

# %% wrong sliding_window_keep: whole numbers
# says: dtype
def sliding_window_keep(length, window):
    return (torch.arange(length) >= length - window).long()

# %% wrong sliding_window_keep: a list
def sliding_window_keep(length, window):
    return [row >= length - window for row in range(length)]

# %% wrong sliding_window_keep: slots of a rolling buffer
def sliding_window_keep(length, window):
    keep = torch.zeros(length, dtype=torch.bool)
    keep[[(length + n) % window for n in range(min(window, length))]] = True
    return keep

# %% wrong sliding_window_keep: only the rows that are left
def sliding_window_keep(length, window):
    return torch.ones(min(length, window), dtype=torch.bool)

# %% wrong sliding_window_keep: never the first row
def sliding_window_keep(length, window):
    keep = torch.zeros(length, dtype=torch.bool)
    for age in range(window):
        if length - 1 - age > 0:
            keep[length - 1 - age] = True
    return keep

# %% right sliding_window_keep: a slice from the end
def sliding_window_keep(length, window):
    keep = torch.zeros(length, dtype=torch.bool)
    keep[-window:] = True
    return keep

# %% right sliding_window_keep: ages
def sliding_window_keep(length, window):
    ages = torch.arange(length - 1, -1, -1)
    return ages < window

# %% right sliding_window_keep: a list of bools
def sliding_window_keep(length, window):
    return torch.tensor([row >= length - window for row in range(length)])

# %% right sliding_window_keep: two pieces
def sliding_window_keep(length, window):
    stay = min(length, window)
    return torch.cat([torch.zeros(length - stay), torch.ones(stay)]).bool()

# %% wrong sink_window_keep: no sinks
# says: the sinks are missing
def sink_window_keep(length, num_sinks, window):
    return torch.arange(length) >= length - window

# %% wrong sink_window_keep: no window
# says: the window is missing
def sink_window_keep(length, num_sinks, window):
    return torch.arange(length) < num_sinks

# %% wrong sink_window_keep: sinks out of the window
# says: the sinks are taken out of the window
def sink_window_keep(length, num_sinks, window):
    row = torch.arange(length)
    return (row < num_sinks) | (row >= length - (window - num_sinks))

# %% wrong sink_window_keep: sinks before the window
# says: the sinks are the rows just before the window
def sink_window_keep(length, num_sinks, window):
    return torch.arange(length) >= length - window - num_sinks

# %% wrong sink_window_keep: swapped
# says: num_sinks and window are swapped
def sink_window_keep(length, num_sinks, window):
    row = torch.arange(length)
    return (row < window) | (row >= length - num_sinks)

# %% wrong sink_window_keep: True for what goes
# says: True marks the rows to drop
def sink_window_keep(length, num_sinks, window):
    row = torch.arange(length)
    return (row >= num_sinks) & (row < length - window)

# %% wrong sink_window_keep: both at once
# says: only rows that are both stay
def sink_window_keep(length, num_sinks, window):
    row = torch.arange(length)
    return (row < num_sinks) & (row >= length - window)

# %% wrong sink_window_keep: one sink too many
# says: one sink too many
def sink_window_keep(length, num_sinks, window):
    row = torch.arange(length)
    return (row <= num_sinks) | (row >= length - window)

# %% wrong sink_window_keep: sinks from row 1
# says: row 0 is left out
def sink_window_keep(length, num_sinks, window):
    row = torch.arange(length)
    return ((row >= 1) & (row <= num_sinks)) | (row >= length - window)

# %% wrong sink_window_keep: a slice from nothing
# says: with num_sinks=0 everything is kept
def sink_window_keep(length, num_sinks, window):
    keep = torch.ones(length, dtype=torch.bool)
    if num_sinks:
        keep[num_sinks : max(num_sinks, length - window)] = False
    return keep

# %% wrong sink_window_keep: a slice that begins before the first row
def sink_window_keep(length, num_sinks, window):
    keep = torch.zeros(length, dtype=torch.bool)
    keep[:num_sinks] = True
    keep[length - window:] = True
    return keep

# %% wrong sink_window_keep: a hole where they overlap
def sink_window_keep(length, num_sinks, window):
    row = torch.arange(length)
    return (row < num_sinks) ^ (row >= length - window)

# %% wrong sink_window_keep: the window makes room for as many sinks as there are
def sink_window_keep(length, num_sinks, window):
    kept = min(length, num_sinks + window)
    row = torch.arange(length)
    return (row < num_sinks) | (row >= length - (kept - min(num_sinks, kept)) + 1)

# %% wrong sink_window_keep: always four sinks
def sink_window_keep(length, num_sinks, window):
    row = torch.arange(length)
    return (row < 4) | (row >= length - window)

# %% wrong sink_window_keep: numbers of the rows
def sink_window_keep(length, num_sinks, window):
    return torch.tensor([*range(num_sinks), *range(max(num_sinks, length - window), length)])

# %% right sink_window_keep: two slices
def sink_window_keep(length, num_sinks, window):
    keep = torch.zeros(length, dtype=torch.bool)
    keep[:num_sinks] = True
    keep[-window:] = True
    return keep

# %% right sink_window_keep: the window from exercise 1
def sink_window_keep(length, num_sinks, window):
    keep = torch.arange(length) >= length - window
    keep[:num_sinks] = True
    return keep

# %% right sink_window_keep: a hole in the middle
def sink_window_keep(length, num_sinks, window):
    keep = torch.ones(length, dtype=torch.bool)
    if length > num_sinks + window:
        keep[num_sinks : length - window] = False
    return keep

# %% wrong attention_received: sums over queries
# says: the weights of all queries are added up
def attention_received(weights, num_kv_heads):
    return weights.unflatten(1, (num_kv_heads, -1)).mean(2).sum(2)

# %% wrong attention_received: a mean over all queries
# says: the mean is over all T queries
def attention_received(weights, num_kv_heads):
    return weights.unflatten(1, (num_kv_heads, -1)).mean((2, 3))

# %% wrong attention_received: query heads are added up
# says: the query heads are added up
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    return weights.unflatten(1, (num_kv_heads, -1)).sum((2, 3)) / seen

# %% wrong attention_received: heads that lie apart
# says: query heads that lie num_kv_heads apart
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    return weights.unflatten(1, (-1, num_kv_heads)).mean(1).sum(2) / seen

# %% wrong attention_received: for each query head (SnapKV, issue 16)
# says: a score for each query head
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    return weights.sum(2) / seen

# %% wrong attention_received: the mean of all heads for each KV head
# says: all KV heads have the same scores
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    scores = weights.mean(1, keepdim=True).sum(2) / seen
    return scores.expand(-1, num_kv_heads, -1)

# %% wrong attention_received: the first query head only
# says: only the first of the query heads
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    return weights.unflatten(1, (num_kv_heads, -1))[:, :, 0].sum(2) / seen

# %% wrong attention_received: the last query only
# says: only the last query counts
def attention_received(weights, num_kv_heads):
    return weights[:, :, -1].unflatten(1, (num_kv_heads, -1)).mean(2)

# %% wrong attention_received: the largest weight
# says: the largest weight of any query
def attention_received(weights, num_kv_heads):
    return weights.unflatten(1, (num_kv_heads, -1)).mean(2).amax(2)

# %% wrong attention_received: the largest head
# says: the largest of the query heads counts
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    return weights.unflatten(1, (num_kv_heads, -1)).amax(2).sum(2) / seen

# %% wrong attention_received: as if all tokens had asked
# says: key s is taken to be seen by S - s queries
def attention_received(weights, num_kv_heads):
    S = weights.shape[3]
    seen = torch.arange(S, 0, -1, device=weights.device)
    return weights.unflatten(1, (num_kv_heads, -1)).mean(2).sum(2) / seen

# %% wrong attention_received: a top-left mask
# says: query i is taken to see the keys up to i
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (T - torch.arange(S, device=weights.device)).clamp(min=1)
    return weights.unflatten(1, (num_kv_heads, -1)).mean(2).sum(2) / seen

# %% wrong attention_received: a mean over the keys
# says: the mean is over the keys
def attention_received(weights, num_kv_heads):
    return weights.unflatten(1, (num_kv_heads, -1)).mean((2, 4))

# %% wrong attention_received: weights count where they are not 0, to three places
def attention_received(weights, num_kv_heads):
    per_kv_head = weights.unflatten(1, (num_kv_heads, -1)).mean(2)
    return per_kv_head.sum(2) / (per_kv_head > 1e-1).sum(2).clamp(min=1)

# %% wrong attention_received: shares that sum to 1
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    scores = weights.unflatten(1, (num_kv_heads, -1)).mean(2).sum(2) / seen
    return scores / scores.sum(-1, keepdim=True)

# %% wrong attention_received: one too many in the division
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T) + 1
    return weights.unflatten(1, (num_kv_heads, -1)).mean(2).sum(2) / seen

# %% wrong attention_received: in float32 whatever comes
# says: dtype
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    return weights.float().unflatten(1, (num_kv_heads, -1)).mean(2).sum(2) / seen

# %% wrong attention_received: a count on the CPU
# says: GPU
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S)).clamp(max=T)
    return weights.unflatten(1, (num_kv_heads, -1)).mean(2).sum(2) / seen

# %% wrong attention_received: q_per_kv in place of num_kv_heads
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    seen = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    return weights.unflatten(1, (-1, num_kv_heads)).mean(2).sum(2) / seen

# %% right attention_received: a mask counts the queries
def attention_received(weights, num_kv_heads):
    B, Hq, T, S = weights.shape
    sees = torch.ones(T, S, dtype=torch.bool, device=weights.device).tril(S - T)
    return weights.reshape(B, num_kv_heads, -1, T, S).mean(2).sum(2) / sees.sum(0)

# %% right attention_received: head by head
def attention_received(weights, num_kv_heads):
    B, Hq, T, S = weights.shape
    R = Hq // num_kv_heads
    scores = torch.zeros_like(weights[:, :num_kv_heads, 0])
    for head in range(num_kv_heads):
        for key in range(S):
            first = max(0, key - (S - T))
            scores[:, head, key] = weights[:, head * R : (head + 1) * R, first:, key].mean((1, 2))
    return scores

# %% right attention_received: queries first, then heads
def attention_received(weights, num_kv_heads):
    T, S = weights.shape[2:]
    counts = torch.tensor([min(T, S - key) for key in range(S)], device=weights.device)
    return (weights.sum(2) / counts).unflatten(1, (num_kv_heads, -1)).mean(2)

# %% wrong heavy_hitter_keep: the newest on top of the budget
# says: the newest rows come on top of the budget
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.masked_fill(newest, torch.inf).topk(min(budget + recent, S), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: nothing protected
# says: the newest rows are not protected
def heavy_hitter_keep(scores, budget, recent):
    best = scores.topk(min(budget, scores.shape[-1]), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: the lowest
# says: the lowest scores are kept
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.masked_fill(newest, -torch.inf).topk(min(budget, S), -1, largest=False).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: one budget for all heads
# says: one budget is shared by all heads
def heavy_hitter_keep(scores, budget, recent):
    B, Hkv, S = scores.shape
    newest = torch.arange(S, device=scores.device) >= S - recent
    flat = scores.masked_fill(newest, torch.inf).flatten(1)
    best = flat.topk(min(budget * Hkv, Hkv * S), -1).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter(-1, best, True).view(B, Hkv, S)

# %% wrong heavy_hitter_keep: the same rows in all heads
# says: all KV heads keep the same rows
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    mean = scores.mean(1, keepdim=True).masked_fill(newest, torch.inf)
    best = mean.topk(min(budget, S), -1).indices
    keep = torch.zeros_like(mean, dtype=torch.bool).scatter(-1, best, True)
    return keep.expand(scores.shape)

# %% wrong heavy_hitter_keep: the same rows in all sequences
# says: all sequences keep the same rows
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    mean = scores.mean(0, keepdim=True).masked_fill(newest, torch.inf)
    best = mean.topk(min(budget, S), -1).indices
    keep = torch.zeros_like(mean, dtype=torch.bool).scatter(-1, best, True)
    return keep.expand(scores.shape)

# %% wrong heavy_hitter_keep: True for what goes
# says: True marks the rows to drop
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.masked_fill(newest, torch.inf).topk(min(budget, S), -1).indices
    return torch.ones_like(scores, dtype=torch.bool).scatter(-1, best, False)

# %% wrong heavy_hitter_keep: the oldest are protected
# says: the oldest rows are protected
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    oldest = torch.arange(S, device=scores.device) < recent
    best = scores.masked_fill(oldest, torch.inf).topk(min(budget, S), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: heavy hitters only
# says: only the heavy hitters stay
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    old = scores[..., : max(0, S - recent)]
    best = old.topk(min(budget - recent, old.shape[-1]), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: the best of all, and the newest
# says: `budget` heavy hitters are taken of all rows
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    best = scores.topk(min(budget, S), -1).indices
    keep = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)
    return keep | (torch.arange(S, device=scores.device) >= S - recent)

# %% wrong heavy_hitter_keep: places that stay empty
# says: a place stays empty
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    best = scores.topk(min(budget - recent, S), -1).indices
    keep = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)
    return keep | (torch.arange(S, device=scores.device) >= S - recent)

# %% wrong heavy_hitter_keep: without the sign
# says: by their absolute value
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.abs().masked_fill(newest, torch.inf).topk(min(budget, S), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: places
# says: the places of the rows are returned
def heavy_hitter_keep(scores, budget, recent):
    return scores.topk(min(budget, scores.shape[-1]), -1).indices

# %% wrong heavy_hitter_keep: a slice of all with recent = 0
def heavy_hitter_keep(scores, budget, recent):
    protected = scores.clone()
    protected[..., -recent:] = torch.inf
    best = protected.topk(min(budget, scores.shape[-1]), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: more than there are
# says: it stopped with RuntimeError
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.masked_fill(newest, torch.inf).topk(budget, -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: changes the scores
# says: changed its argument
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    scores[..., max(0, S - recent):] = torch.inf
    best = scores.topk(min(budget, S), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: a row that is gone comes back
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    scores = scores.masked_fill(scores.isinf(), 0)
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.masked_fill(newest, torch.inf).topk(min(budget, S), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: recents protected by a score of 1
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.masked_fill(newest, 1.0).topk(min(budget, S), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

# %% wrong heavy_hitter_keep: above the mean, whatever the budget
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    return newest | (scores > scores.mean(-1, keepdim=True))

# %% wrong heavy_hitter_keep: a mask on the CPU
# says: GPU
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.masked_fill(newest, torch.inf).topk(min(budget, S), -1).indices
    keep = torch.zeros(scores.shape, dtype=torch.bool)
    keep.scatter_(-1, best.cpu(), True)
    return keep

# %% right heavy_hitter_keep: old rows apart
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    old = max(0, S - recent)
    keep = torch.ones_like(scores, dtype=torch.bool)
    best = scores[..., :old].topk(min(budget - recent, old), -1).indices
    keep[..., :old] = False
    return keep.scatter(-1, best, True)

# %% right heavy_hitter_keep: ranks
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    protected = scores.clone()
    protected[..., max(0, S - recent):] = float("inf")
    ranks = protected.argsort(-1, descending=True).argsort(-1)
    return ranks < budget

# %% right heavy_hitter_keep: the last one that gets in
def heavy_hitter_keep(scores, budget, recent):
    S = scores.shape[-1]
    if S <= budget:
        return torch.ones_like(scores, dtype=torch.bool)
    newest = torch.arange(S, device=scores.device) >= S - recent
    protected = scores.masked_fill(newest, torch.inf)
    least = protected.sort(-1, descending=True).values[..., budget - 1 : budget]
    return protected >= least

# %% right heavy_hitter_keep: in loops
def heavy_hitter_keep(scores, budget, recent):
    B, Hkv, S = scores.shape
    keep = torch.zeros_like(scores, dtype=torch.bool)
    keep[..., max(0, S - recent):] = True
    for b in range(B):
        for head in range(Hkv):
            order = scores[b, head, : max(0, S - recent)].argsort(descending=True)
            keep[b, head, order[: budget - recent]] = True
    return keep

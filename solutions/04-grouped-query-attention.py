# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# A model that writes text re-reads the keys and values of *every* earlier token for each new one.
# With 32 query heads and only 8 KV heads there is 4 times less to read.
# **Does one step then take a quarter of the time?** Two surprises are ahead.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch and the course's helpers for checks, hints and the quiz; shows nothing."
import torch
from torch import nn

from gqa_lib.learn import check, check_no_copy, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# ## Three ways to share
#
# In multi-head attention (**MHA**) every query head has a KV head of its own. In multi-query
# attention (**MQA**, [Shazeer 2019](https://arxiv.org/abs/1911.02150)) all of them read one.
# Grouped-query attention (**GQA**, [Ainslie et al. 2023](https://arxiv.org/abs/2305.13245)) is
# everything between, and both ends.

# %% does="Draws which KV head each of eight query heads reads, with eight, two and one KV heads."
from gqa_lib import plots

plots.use_style()
plots.show(plots.head_maps(8, (8, 2, 1)), alt="Eight query heads joined to the KV head each reads. MHA: eight KV heads, one "
           "each. GQA: two KV heads, read by heads 0-3 and 4-7. MQA: one KV head, read by all.")

# %% [markdown]
# The whole range: set **KV heads** to 8, then to 4, 2 and 1. Each move halves what is read. Which of
# the three saves the most bytes? Then set Llama-3-8B's heads: 32 query heads and 8 KV heads.

# %% does="Shows the picture that moves: go from MHA to MQA and see what each halving saves."
from gqa_lib.plots import moving_picture

moving_picture(num_heads=8, num_kv_heads=4, tokens=24)

# %% [markdown]
# **Mind the word "group".** In the paper "GQA-8" means 8 KV heads; in Hugging Face's code
# `num_key_value_groups` counts the query heads *per* KV head. This course says `num_kv_heads` and
# `q_per_kv` and never "groups".

# %% [markdown]
# ## Exercise 1 · `kv_head_of`
#
# *5 minutes · difficulty 2 of 5*
#
# Which KV head does a query head read? Neighbours share: with 6 query heads and 2 KV heads, the
# heads 0, 1, 2 read KV head 0, and 3, 4, 5 read KV head 1.

# %% nbgrader={"grade": false, "grade_id": "kv_head_of", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Here you write which KV head a query head reads; neighbours share."
def kv_head_of(query_head, num_heads, num_kv_heads):
    """Return the index of the KV head that a query head reads."""
    ### BEGIN SOLUTION
    q_per_kv = num_heads // num_kv_heads
    return query_head // q_per_kv
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "kv_head_of-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks `kv_head_of` for several numbers of heads, also unequal ones."
check("kv_head_of", kv_head_of)
### BEGIN HIDDEN TESTS
check("kv_head_of", kv_head_of, seed=None, cases=[
    *({"head": head, "Hq": 40, "Hkv": 8} for head in range(40)), *({"draw": n} for n in range(1, 30)),
])
### END HIDDEN TESTS

# %% [markdown] hints="kv_head_of"
# <details><summary>Hint: how many share one?</summary>
#
# First work out `q_per_kv`, the number of query heads that read one KV head.
# </details>
# <details><summary>If it works for some head counts only</summary>
#
# Dividing by `num_kv_heads` happens to be right when `q_per_kv` equals it, as with 4 and 2.
# </details>
# <details><summary>A worked step</summary>
#
# 6 heads, 2 KV heads: `q_per_kv` is 3. Head 4 reads KV head 4 // 3 = 1.
# </details>

# %% [markdown]
# ## Exercise 2 · `expand_kv`, the obvious way
#
# *5 minutes · difficulty 2 of 5*
#
# You have attention for equal head counts already. So repeat each KV head until there are as many
# as query heads, in the order of exercise 1: K0 K0 K0 K1 K1 K1.

# %% nbgrader={"grade": false, "grade_id": "expand_kv", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Here you write `expand_kv`, which repeats each KV head until every query head has one."
def expand_kv(kv, q_per_kv):
    """Return kv (B, Hkv, S, D) with every head repeated in place, (B, Hkv * q_per_kv, S, D)."""
    ### BEGIN SOLUTION
    return kv.repeat_interleave(q_per_kv, dim=1)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "expand_kv-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks the order, the axis and the shape of your expanded heads."
check("expand_kv", expand_kv)
### BEGIN HIDDEN TESTS
check("expand_kv", expand_kv, seed=None, cases=[
    {"B": 3, "Hkv": 2, "S": 5, "D": 4, "R": 4}, {"B": 1, "Hkv": 1, "S": 6, "D": 3, "R": 5},
    {"B": 1, "Hkv": 3, "S": 150, "D": 2, "R": 2, "dtype": "bfloat16", "extreme": True},
])
### END HIDDEN TESTS

# %% [markdown] hints="expand_kv"
# <details><summary>Hint: torch has it</summary>
#
# Two functions repeat: `repeat` lays whole copies one after the other, `repeat_interleave`
# repeats element by element. Which gives K0 K0 K1 K1?
# </details>
# <details><summary>If the check says "tiled"</summary>
#
# `repeat(1, q_per_kv, 1, 1)` gives K0 K1 K0 K1: query head 1 would read KV head 1.
# </details>
# <details><summary>A worked step</summary>
#
# `kv.repeat_interleave(q_per_kv, dim=1)`: heads are dimension 1 of (B, Hkv, S, D).
# </details>

# %% [markdown]
# ### Spot the bug
#
# One mistake was made in more than one public library
# ([onnx #7274](https://github.com/onnx/onnx/pull/7274),
# [axlearn #842](https://github.com/apple/axlearn/pull/842)). All shapes are right and nothing
# crashes. Here it hides with two others, and one input, `(kv, q_per_kv)`, can expose all three.

# %% does="Tries KV heads that hold their own numbers on three wrong versions of expand_kv; catch the others, too."
from gqa_lib.learn import hunt

kv = torch.arange(2.0).view(1, 2, 1, 1)  # KV head h holds the number h
hunt("expand_kv", (kv, 3))

# %% [markdown]
# <details><summary>Answer</summary>
#
# The libraries' is bug 1. It tiles: query head 1 reads KV head 1 instead of 0. With `num_kv_heads`
# equal to 1 or to `num_heads` both orders agree, so tests on MHA and MQA alone never find it. Filling
# each head with its own number does, and filling each *token* of each *sequence* with its own finds the
# other two. `hunt("kv_head_of")` and, after exercise 3, `hunt("grouped_query_attention")` have more.
# </details>

# %% [markdown]
# ## Predict, then measure: does the obvious way pay?
#
# One decoding step, 8,192 tokens in the cache, 32 query heads. MHA keeps 32 KV heads; GQA keeps 8
# and expands them when needed. **What is GQA's time, as a multiple of MHA's?** 1 is as long, 0.25 a
# quarter. Put your guess in place of `None`.

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("expanded / MHA", None)

# %% does="Chooses device and dtype and makes one new token's queries for 32 heads."
from torch.nn.functional import scaled_dot_product_attention as sdpa

from gqa_lib.measure import cold_pool, how_fast, how_long, pick_device, summarise, time_arms

device = pick_device()
dtype = torch.float32 if device.type == "cpu" else torch.float16
NUM_HEADS, TOKENS, HEAD_DIM = 32, 8192, 64
q = torch.randn(1, NUM_HEADS, 1, HEAD_DIM, device=device, dtype=dtype)

# %% [markdown]
# Each call takes other K and V from one large pool, so that the processor's own small caches cannot
# help. (The two cells take about 5 seconds.)

# %% does="Makes a pool of cold memory and prints how large K and V are for MHA and GQA."
cold = cold_pool(2 * NUM_HEADS * TOKENS * HEAD_DIM, dtype=dtype, device=device)

def cold_kv(num_kv_heads):
    """Return (k, v) that none of the processor's caches holds."""
    return cold(2, 1, num_kv_heads, TOKENS, HEAD_DIM)

print(f"K and V: MHA {cold_kv(32).nbytes / 2**20:.0f} MiB, GQA {cold_kv(8).nbytes / 2**20:.0f} MiB")

# %% does="Times MHA and expanded GQA in turn; compare the medians and look for noisy rows."
def expanded(q, k, v):
    q_per_kv = q.shape[1] // k.shape[1]
    return sdpa(q, expand_kv(k, q_per_kv), expand_kv(v, q_per_kv))

rows = time_arms({
    "MHA": lambda i: sdpa(q, *cold_kv(32)),
    "GQA, expanded": lambda i: expanded(q, *cold_kv(8)),
}, rounds=8, budget_s=8, device=device)
first = summarise(rows)
for arm, s in first.items():
    print(f"{arm:14} {s['median'] * 1e3:8,.3f} ms", "(noisy)" if s["noisy"] else "")

# %% does="Says in words how long expanded GQA takes against MHA; compare with your guess."
print("Expanded GQA against MHA:", how_long(rows, "GQA, expanded", "MHA"))
outcome("expanded / MHA", first["GQA, expanded"]["median"] / first["MHA"]["median"],
        noisy=any(s["noisy"] for s in first.values()))

# %% [markdown]
# <details><summary>The first surprise: why? Count the bytes before you open this.</summary>
#
# Call GQA's cache 1 unit; MHA's is 4. MHA reads 4. Expanding reads 1, *writes* 4, and attention
# then reads those 4: 9 units instead of 4. Fresh memory costs extra on top, since the system
# must hand it over page by page. The cache got smaller; the traffic grew.
# </details>

# %% [markdown]
# ## Fold the queries instead
#
# The copies exist only so that each query head finds "its" keys. Turn it around: leave K and V
# where they are and let the queries come to them. The `q_per_kv` query heads of one KV head (R for
# short) become R · T **rows** of one matrix:
#
# $$(B,\ H_{kv} R,\ T,\ D)\;\longrightarrow\;(B,\ H_{kv},\ R\,T,\ D)$$

# %% does="Folds four query heads onto two KV heads; look which rows meet which KV head."
queries = torch.arange(4).view(1, 4, 1, 1)  # 4 query heads, 1 token; head h holds h
folded = queries.reshape(1, 2, 2, 1)  # 2 KV heads, each with 2 rows
print("rows that meet KV head 0:", folded[0, 0].flatten().tolist())
print("rows that meet KV head 1:", folded[0, 1].flatten().tolist())

# %% [markdown]
# Heads 0 and 1 are neighbours, so a plain reshape puts them together: the order of exercise 1 is
# exactly what makes folding free. Each KV head is now read once, for all R heads that need it.

# %% [markdown]
# ## Exercise 3 · `grouped_query_attention` without a copy
#
# *25 minutes · difficulty 4 of 5*
#
# Scores, mask, softmax, values as in lesson 01, on folded queries; unfold at the end. `k` and `v`
# stay (B, Hkv, S, D). The mask needs thought: row r · T + i is query i of head r, so each head
# needs its own copy of the (T, S) mask. (`causal_mask` is given; it is made on the CPU, so move it
# with `.to(q.device)`.) Return the dtype of q.
# (PyTorch's `scaled_dot_product_attention` does all of it in one call, and is refused here: its steps
# are yours to write.)

# %% nbgrader={"grade": false, "grade_id": "causal_mask", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Gives you the causal mask of lesson 01, aligned to the last keys and made on the CPU."
def causal_mask(num_queries, num_keys):
    """Return the causal mask of lesson 01, True where a query may attend."""
    allowed = torch.ones(num_queries, num_keys, dtype=torch.bool)
    return allowed.tril(diagonal=num_keys - num_queries)

# %% nbgrader={"grade": false, "grade_id": "grouped_query_attention", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Here you write grouped-query attention on folded queries, without a copy of k or v."
def grouped_query_attention(q, k, v, causal=True):
    """Return attention of q (B, Hq, T, D) over k, v (B, Hkv, S, D), shape (B, Hq, T, D).

    Query head h reads KV head h // (Hq // Hkv). No copy of k or v is made.
    """
    ### BEGIN SOLUTION
    B, Hq, T, D = q.shape
    R = Hq // k.shape[1]
    folded = q.reshape(B, k.shape[1], R * T, D)
    scores = folded @ k.transpose(-2, -1) / D**0.5  # (B, Hkv, R * T, S)
    if causal:
        mask = causal_mask(T, k.shape[2]).repeat(R, 1).to(q.device)  # (R * T, S)
        scores = scores.masked_fill(~mask, float("-inf"))
    return (scores.softmax(dim=-1) @ v).reshape(B, Hq, T, D)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "grouped_query_attention-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} does="Checks the results of `grouped_query_attention` against a reference and names likely mistakes."
check("grouped_query_attention", grouped_query_attention)
### BEGIN HIDDEN TESTS
check("grouped_query_attention", grouped_query_attention, seed=None, cases=[
    {"B": 2, "Hq": 12, "Hkv": 4, "T": 3, "S": 8, "D": 7},
    {"B": 1, "Hq": 10, "Hkv": 2, "T": 4, "S": 9, "D": 3, "causal": False},
    {"B": 3, "Hq": 7, "Hkv": 1, "T": 2, "S": 5, "D": 6, "dtype": "float64"},
    {"B": 1, "Hq": 4, "Hkv": 2, "T": 150, "S": 300, "D": 4, "causal": None},
    {"B": 2, "Hq": 6, "Hkv": 3, "T": 8, "S": 9, "D": 5, "sharp": 1e5, "dtype": "float64"},
    {"B": 1, "Hq": 4, "Hkv": 2, "T": 5, "S": 7, "D": 3, "extreme": True},
])
### END HIDDEN TESTS

# %% nbgrader={"grade": true, "grade_id": "grouped_query_attention-copies", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks that K and V are read in place and never written out for each query head."
check_no_copy("grouped_query_attention", grouped_query_attention)
### BEGIN HIDDEN TESTS
check_no_copy("grouped_query_attention", grouped_query_attention, seed=None, cases=[
    {"B": 2, "Hq": 9, "Hkv": 3, "T": 2, "S": 50, "D": 24, "causal": False},
    {"B": 3, "Hq": 8, "Hkv": 2, "T": 1, "S": 56, "D": 20},
])
### END HIDDEN TESTS

# %% [markdown] hints="grouped_query_attention"
# <details><summary>Hint: one reshape in, one reshape out</summary>
#
# `q.reshape(B, Hkv, R * T, D)` folds. After that the code of lesson 01 works as it stands, with
# Hkv heads and R · T rows. The result unfolds with `reshape(B, Hq, T, D)`.
# </details>
# <details><summary>If it is right with causal=False only</summary>
#
# The mask is (T, S) and the scores have R · T rows. The rows are ordered head after head: T rows
# of the first head, then T of the next. So the mask is stacked R times: `mask.repeat(R, 1)`.
# </details>
# <details><summary>If the values are right and the copy check fails</summary>
#
# `q.view(B, Hkv, R, T, D) @ k.unsqueeze(2).mT` looks free of copies. It is not: matmul first
# expands k to R heads. Fold R into the rows, so that both sides have Hkv heads.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# R = q.shape[1] // k.shape[1]
# folded = q.reshape(B, k.shape[1], R * T, D)
# scores = folded @ k.transpose(-2, -1) / D**0.5
# ```
# </details>

# %% [markdown]
# ## Measure again
#
# Now four ways to do the same step: MHA, GQA expanded, GQA folded (yours), and PyTorch's own
# switch `enable_gqa=True`. Bytes say a quarter of MHA's time. Which of them get there?
# (About 5 seconds. A row marked *noisy* was disturbed by other work on the machine: run the cell
# again. On a fast GPU starting kernels costs more than reading this little: try 16 times the tokens.)

# %% does="Times MHA and three versions of GQA; look which come near a quarter of MHA's time."
rows = time_arms({
    "MHA": lambda i: sdpa(q, *cold_kv(32)),
    "GQA, expanded": lambda i: expanded(q, *cold_kv(8)),
    "GQA, enable_gqa": lambda i: sdpa(q, *cold_kv(8), enable_gqa=True),
    "GQA, yours": lambda i: grouped_query_attention(q, *cold_kv(8), causal=False),
}, rounds=10, budget_s=8, device=device)
second = summarise(rows)
for arm, s in second.items():
    print(f"{arm:16} {s['median'] * 1e3:8,.3f} ms", "(noisy)" if s["noisy"] else "")

# %% does="Plots the four times with a line at a quarter of MHA; compare folded with expanded."
times = {arm: s["median"] * 1e3 for arm, s in second.items()}
folded, expanded_too = (how_fast(rows, arm, "MHA") for arm in ("GQA, yours", "GQA, expanded"))
fig = plots.time_bars(
    times, bound_ms=times["MHA"] / 4, bound="a quarter of MHA", xlabel="time per step",
    title=f"Against MHA, GQA folded: {folded}; expanded: {expanded_too}")
plots.show(fig, alt="Time per step in ms: " + ", ".join(f"{a} {t:.3g}" for a, t in times.items()))

# %% [markdown]
# **The second surprise: what did `enable_gqa` do?** It accepts the smaller K and V; what happens
# then depends on the *backend*, one of several routines that can compute the call. PyTorch does not
# say which one it took unless you ask.

# %% does="Names the operator PyTorch takes for this step, without and with a mask; see whether they differ."
from gqa_lib.kernels import sdpa_operator

k, v = cold_kv(8)
everything = torch.ones(1, TOKENS, dtype=torch.bool, device=device)
print("this step:  ", sdpa_operator(q, k, v, enable_gqa=True))
print("with a mask:", sdpa_operator(q, k, v, enable_gqa=True, attn_mask=everything))

# %% [markdown]
# <details><summary>What the backends do with shared heads</summary>
#
# - On a CPU the flash operator takes the small K and V, masked or not, but walks through them once
#   per *query head*: nothing is copied, and less is saved than the bytes promise.
# - On a GPU two kernels take them in half precision, from Ampere on. Flash
#   [folds the heads](https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp)
#   of one query as you did, but takes no mask. cuDNN takes masks; PyTorch 2.13 tries it only on
#   [Hopper and data-centre Blackwell](https://github.com/pytorch/pytorch/blob/v2.13.0/aten/src/ATen/native/transformers/cuda/sdp_utils.cpp).
# </details>
# <details><summary>And where neither takes the call: fp32, a mask, a T4?</summary>
#
# Up to PyTorch 2.13 only the math operator is left, which expands K and V itself. With 2.10 on a T4
# one user saw [up to 28 % slower](https://github.com/huggingface/transformers/issues/48633) decoding
# than with K and V expanded first, for the memory-efficient kernel;
# [another](https://github.com/huggingface/transformers/pull/45776) 1.6 to 1.8 times as much
# throughput with that. From [2.14](https://github.com/pytorch/pytorch/pull/191085) this kernel takes
# shared heads on NVIDIA GPUs. A benchmark without backend and version says little; ours record both.
# </details>

# %% [markdown]
# ### Spot the bug
#
# You met this in lesson 02; do you still see it? A decoding step with one query. Someone passes `is_causal=True`, "to be safe". The output has the
# right shape and no warning appears. What did the new token look at?

# %% does="Calls SDPA with `is_causal=True` for one query and six keys; look what the output equals."
k, v = torch.randn(2, 1, 1, 6, 4)
out = sdpa(torch.randn(1, 1, 1, 4), k, v, is_causal=True)
print("output equals the value of token 0:", torch.equal(out[0, 0, 0], v[0, 0, 0]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only at token 0. PyTorch aligns `is_causal` to the top left: query 0 sees key 0, as in a square
# mask. With one query and a cache the mask must be aligned to the bottom right, and then it hides
# nothing: leave it off. (FlashAttention 2.1 and later align to the bottom right. Always check.)
# </details>

# %% [markdown]
# ## Exercise 4 · `GroupedQueryAttention`
#
# *15 minutes · difficulty 3 of 5*
#
# The module of lesson 01 with one change: `k_proj` and `v_proj` make `num_kv_heads` heads, so
# they are smaller. Linear layers without bias, named `q_proj`, `k_proj`, `v_proj`, `o_proj`.
# (Leave `cache` until exercise 5.) `split_heads` and `merge_heads` of lesson 01 are not in this notebook:
# `y.unflatten(-1, (heads, -1)).transpose(1, 2)` splits, `out.transpose(1, 2).flatten(2)` merges.

# %% nbgrader={"grade": false, "grade_id": "GroupedQueryAttention", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Here you write the layer: projections, heads, attention, and later the cache."
class GroupedQueryAttention(nn.Module):
    """Attention over x (B, T, d_model) whose num_heads query heads share num_kv_heads KV heads."""

    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        ### BEGIN SOLUTION
        kv_dim = d_model // num_heads * num_kv_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)
        ### END SOLUTION

    def forward(self, x, cache=None, causal=True):
        ### BEGIN SOLUTION
        def heads(y, count):  # (B, T, count * D) -> (B, count, T, D)
            return y.unflatten(-1, (count, -1)).transpose(1, 2)

        q = heads(self.q_proj(x), self.num_heads)
        k, v = heads(self.k_proj(x), self.num_kv_heads), heads(self.v_proj(x), self.num_kv_heads)
        if cache is not None:
            k, v = cache.append(k, v)  # (B, Hkv, S, D): the shared heads, as they are
        out = grouped_query_attention(q, k, v, causal)
        return self.o_proj(out.transpose(1, 2).flatten(2))
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "GroupedQueryAttention-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks the layer's weights, names and outputs for several numbers of KV heads."
check("GroupedQueryAttention", GroupedQueryAttention)
### BEGIN HIDDEN TESTS
check("GroupedQueryAttention", GroupedQueryAttention, seed=None, cases=[
    {"B": 2, "T": 5, "d_model": 32, "Hq": 8, "Hkv": 2},
    {"B": 1, "T": 3, "d_model": 42, "Hq": 7, "Hkv": 1, "causal": False},
    {"B": 2, "T": 4, "d_model": 20, "Hq": 5, "Hkv": 5},
    {"B": 1, "T": 150, "d_model": 12, "Hq": 4, "Hkv": 2, "dtype": "bfloat16"},
])
### END HIDDEN TESTS

# %% [markdown] hints="GroupedQueryAttention"
# <details><summary>Hint: how wide is k_proj?</summary>
#
# One head is `d_model // num_heads` channels wide, for queries and keys alike. There are
# `num_kv_heads` of them in k and v.
# </details>
# <details><summary>If a weight has the wrong shape</summary>
#
# `nn.Linear(d_model, num_kv_heads * head_dim, bias=False)`: the second number is the width of what
# comes out. `q_proj` and `o_proj` stay d_model to d_model.
# </details>
# <details><summary>A worked step</summary>
#
# `self.k_proj(x).unflatten(-1, (self.num_kv_heads, -1)).transpose(1, 2)` gives
# (B, Hkv, T, D). The same for v; q has `num_heads`.
# </details>

# %% [markdown]
# ## Exercise 5 · the same with a cache
#
# *10 minutes · difficulty 3 of 5*
#
# Go back to your class: when `forward` gets a `cache` (lesson 02: `append(k, v)` returns all keys
# and values so far), append the new tokens' k and v and attend over what comes back. One question
# decides what the cache costs: **which k and v do you append?**

# %% nbgrader={"grade": true, "grade_id": "GroupedQueryAttention-cache", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks the layer with a cache: outputs, the mask, and how many heads are stored."
check("GroupedQueryAttention-cache", GroupedQueryAttention)
### BEGIN HIDDEN TESTS
check("GroupedQueryAttention-cache", GroupedQueryAttention, seed=None, cases=[
    {"B": 2, "d_model": 32, "Hq": 8, "Hkv": 2, "chunks": (2, 3, 1)},
    {"B": 1, "d_model": 42, "Hq": 7, "Hkv": 1, "chunks": (1, 1, 4)},
    {"B": 1, "d_model": 24, "Hq": 6, "Hkv": 3, "chunks": (3, 1, 2), "causal": False},
])
### END HIDDEN TESTS

# %% [markdown] hints="GroupedQueryAttention-cache"
# <details><summary>Hint: two lines</summary>
#
# Between projecting and attending: if there is a cache, k and v become what `cache.append(k, v)`
# returns. Nothing else changes, since `grouped_query_attention` takes S > T.
# </details>
# <details><summary>If the check speaks of expanded heads</summary>
#
# Append k and v of shape (B, Hkv, T, D), fresh from `k_proj` and `v_proj`. Sharing them among the
# query heads is the business of `grouped_query_attention`, at every call.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# if cache is not None:
#     k, v = cache.append(k, v)  # (B, Hkv, S, D)
# ```
# </details>

# %% [markdown]
# One class, three architectures: set `num_kv_heads` to `num_heads` and it is MHA, to 1 and it is
# MQA. What changes is the size of `k_proj` and `v_proj`, and of everything you cache.

# %% does="Prints weights and cache bytes of your layer with 32, 8 and 1 KV heads; compare how each shrinks."
from gqa_lib.cache import KVCache

x = torch.randn(1, 100, 512)
for num_kv_heads in (32, 8, 1):
    layer = GroupedQueryAttention(512, 32, num_kv_heads)
    cache = KVCache(1, num_kv_heads, 100, 512 // 32)
    with torch.inference_mode():
        layer(x, cache)
    weights = sum(p.numel() for p in layer.parameters())
    print(f"{num_kv_heads:2} KV heads: {weights:7,} weights, {cache.nbytes / 2**10:5.4g} KiB for {cache.length} cached tokens")

# %% [markdown]
# ### Spot the bug
#
# A widely used library cached this way for a year
# ([torchtune #38](https://github.com/meta-pytorch/torchtune/issues/38), until
# [#1961](https://github.com/pytorch/torchtune/pull/1961)). Two lines of a forward pass, after the
# projections. Every output is right. What do they cost?
#
# ```python
# k, v = expand_kv(k, q_per_kv), expand_kv(v, q_per_kv)
# k, v = cache.append(k, v)
# ```

# %% [markdown]
# <details><summary>Answer</summary>
#
# The outputs are right, and the cache holds `q_per_kv` copies of every head: all that grouped
# queries save in memory is gone, and every step reads the copies. Append first, share afterwards.
# </details>

# %% [markdown]
# The library's class takes your weights and your cache, and gives the same result.

# %% does="Loads your weights into the library's layer and compares both over a prompt and two more tokens."
from gqa_lib.attention import GroupedQueryAttention as LibraryGQA

yours, library = GroupedQueryAttention(64, 8, 2), LibraryGQA(64, 8, 2)
library.load_state_dict(yours.state_dict())
x = torch.randn(1, 6, 64)
caches = KVCache(1, 2, 6, 8), KVCache(1, 2, 6, 8)
with torch.inference_mode():
    for part in (x[:, :4], x[:, 4:]):  # a prompt of four tokens, then two more
        one, other = yours(part, caches[0]), library(part, caches[1])
print(f"largest difference: {(one - other).abs().max():.1e}")

# %% [markdown]
# ## The whole range, predicted and measured
#
# The prediction is the longer of two times: reading K and V once at the best bandwidth measured
# just now, and doing the arithmetic at the best speed. Measured is the library's version, which
# never expands K and V and picks a way for the device: `fold_...` folds as you do, `split_kv` also
# splits the keys over threads, `sdpa_gqa` is PyTorch's switch. (About 10 seconds.) **And yours: 8 KV
# heads you have timed. How many times as fast as 32 are 2?**

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("2 KV heads, as fast as 32", None)

# %% does="Measures the machine, predicts each number of KV heads, and prints which backend each one runs."
from gqa_lib import kernels
from gqa_lib.attention import grouped_query_attention as library_gqa
from gqa_lib.cost import attention_time
from gqa_lib.measure import measure_hardware

machine = measure_hardware(device, dtype)
KV_HEADS = (32, 16, 8, 4, 2, 1)
predicted = {n: attention_time(machine, 1, NUM_HEADS, n, HEAD_DIM, 1, TOKENS, dtype.itemsize)
             for n in KV_HEADS}
print(f"reads {machine.bandwidth_bytes_per_s / 1e9:.0f} GB/s at best")
for n in KV_HEADS:
    print(f"{n:2} KV heads run {kernels.choose_backend(q, *cold_kv(n), causal=True)}")

# %% does="Times six numbers of KV heads and plots them against the prediction; look where the curve flattens."
rows = time_arms({n: lambda i, n=n: library_gqa(q, *cold_kv(n)) for n in KV_HEADS}, rounds=10, device=device)
sweep = summarise(rows)
print("noisy:", ", ".join(f"{n} KV heads" for n, t in sweep.items() if t["noisy"]) or "none")
mine = guessed("2 KV heads, as fast as 32")
fig = plots.decode_time_plot(
    sweep, predicted, num_heads=NUM_HEADS, guesses_s={2: mine and sweep[32]["median"] / mine},
    title=f"Against 32 KV heads, 8: {how_fast(rows, 8, 32)}; 2: {how_fast(rows, 2, 32)}")
plots.show(fig, alt="Time per step by KV heads, measured and predicted, in ms: " + ", ".join(
    f"{n}: {sweep[n]['median'] * 1e3:,.3f} and {predicted[n] * 1e3:,.3f}" for n in KV_HEADS))
outcome("2 KV heads, as fast as 32", sweep[32]["median"] / sweep[2]["median"],
        noisy=sweep[32]["noisy"] or sweep[2]["noisy"])

# %% [markdown]
# <details><summary>Why the last KV heads you remove save less and less</summary>
#
# The arithmetic does not shrink: all 32 query heads still meet all 8,192 keys. As the bytes go
# down, each byte gets more work, until FLOPs over peak takes longer than bytes over bandwidth:
# likely for MQA on a CPU, rarely on a GPU. The prediction turns flat where that happens.
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - Nothing about **quality**: fewer KV heads usually mean fewer parameters, unless they are spent
#   elsewhere. What that costs can only be measured by training.
# - Nothing about a **whole model**: each step also reads all weights. With a short context and one
#   user they are most of the bytes, and sharing heads changes little.
# - Long prompts are processed many tokens at a time; arithmetic decides there, and GQA saves
#   almost none of it.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - GQA shares each KV head among `q_per_kv` neighbouring query heads; MHA and MQA are its ends.
# - The saving is in bytes. Expanding moves 9 units where MHA moves 4 and folding 1.
# - The architecture makes the saving possible; the backend decides whether you get it. Ask it.

# %% [markdown] generated="ending"

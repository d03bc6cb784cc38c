# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# In lesson 02 each new token read the keys and values of every head, for all that came before it.
# Now a radical cut: keep 32 query heads and throw away 31 of the 32 **KV heads** (a head's keys and
# values). **What becomes 32 times smaller: the cache, the weights, the arithmetic, the time of a
# step?** Each gets its answer below.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch and the course's helpers for checks, hints, copies and the quiz; shows nothing."
import torch

from gqa_lib.learn import (check, check_no_copy, check_quiz, guess, guessed, hint,
                           kv_copied, outcome, show_quiz)

# %% [markdown]
# Two guesses now, in place of `None`: with one KV head (**MQA**) instead of 32 (**MHA**), how many times
# smaller do the cache and the arithmetic of a step become? (1 if they stay.) The weights come with their exercise, and the time when you can measure it.

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("MHA's cache / MQA's", None)
guess("MHA's arithmetic / MQA's", None)

# %% [markdown]
# ## Two heads, one set of keys
#
# One new token, two query heads, three cached tokens; K and V of one head only. head_dim is 4, so
# scores are divided by 2. On paper: head 0 scores (2, 0, 0), head 1 scores (0, 0, 2), and
# $e^2 / (e^2 + 2) = 0.79$ is the weight of the winner.

# %% does="Makes two queries and the three keys and values that both heads share; head_dim is 4."
q = torch.tensor([[4.0, 0, 0, 0], [0, 0, 4.0, 0]])  # (Hq, D): what each head asks
k = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1.0, 0]])  # (S, D)
v = torch.tensor([[10.0, 0, 0, 0], [0, 10.0, 0, 0], [0, 0, 10.0, 0]])  # (S, D)

# %% does="Computes both heads' softmax weights over the same keys; each head favours another token, with 0.79."
weights = (q @ k.T / 2).softmax(dim=-1)  # (Hq, S), one row per head
weights.round(decimals=2)

# %% does="Mixes the shared values with each head's weights; look how far the two outputs differ."
(weights @ v).round(decimals=1)  # (Hq, D)

# %% [markdown]
# The same keys, the same values, and still two answers: the heads differ in what they **ask**.
# That is multi-query attention (**MQA**, [Shazeer 2019](https://arxiv.org/abs/1911.02150)): all
# query heads stay, and they share one head of K and V. No formula changes.

# %% does="Draws which KV head each of eight query heads reads, for MHA and for MQA."
from gqa_lib import plots

plots.use_style()
plots.show(plots.head_maps(8, (8, 1)), alt="Eight query heads joined to the KV head each reads. MHA: eight KV heads, one "
           "each. MQA: a single KV head, read by all eight.")

# %% [markdown]
# The same two, with a cache. Move **KV heads** between 1 and 8, and the tokens as you like. What
# shrinks, and what stays as it was?

# %% does="Shows the picture that moves, as MQA: compare it with 8 KV heads, in bytes and in lines."
from gqa_lib.plots import moving_picture

moving_picture(num_heads=8, num_kv_heads=1, tokens=16)

# %% [markdown]
# ## First try: let it broadcast
#
# With q (B, Hq, T, D) and k (B, 1, S, D) the code of lesson 01 runs as it stands: PyTorch
# *broadcasts*, it stretches an axis of size 1 to fit. The shapes come out right, and so do the
# numbers.

# %% does="Defines attention that leaves the single KV head to broadcasting, and a helper that makes random q, k, v."
def broadcasting(q, k, v):
    scores = q @ k.transpose(-2, -1)  # (B, Hq, T, D) @ (B, 1, D, S)
    return (scores / q.shape[-1] ** 0.5).softmax(dim=-1) @ v

def random_qkv(batch_size, num_heads, num_keys, head_dim, num_kv_heads=1):
    q = torch.randn(batch_size, num_heads, 1, head_dim)
    k, v = torch.randn(2, batch_size, num_kv_heads, num_keys, head_dim)
    return q, k, v

# %% [markdown]
# ### Spot the bug
#
# But is the one KV head read in place, or written out again for every query head?
# `kv_copied` watches each operation that PyTorch really runs and adds up the new tensors of keys
# and values. **Would you ship `broadcasting` after this test?**

# %% does="Counts the elements of K and V that `broadcasting` copies for one sequence."
q, k, v = random_qkv(batch_size=1, num_heads=8, num_keys=40, head_dim=32)
elements, operation = kv_copied(broadcasting, q, k, v)
print(f"one sequence: {elements} elements copied")

# %% [markdown]
# Now the same with two sequences, as on any server.

# %% does="Repeats the count for two sequences; look which operation copies, and how many times K and V."
q, k, v = random_qkv(batch_size=2, num_heads=8, num_keys=40, head_dim=32)
elements, operation = kv_copied(broadcasting, q, k, v)
print(f"two sequences: {elements} elements copied by {operation}")
print(f"that is all of K and V, {elements / (k.numel() + v.numel()):.0f} times")

# %% [markdown]
# <details><summary>Answer</summary>
#
# The matrix product needs one batch axis, so it merges B and Hq. A stretched axis next to B = 1
# merges for free. Next to B = 2 it does not, so PyTorch writes K and V out, once per query
# head: MHA's whole cache, rebuilt at every step. A test with one sequence never sees it.
# </details>

# %% [markdown]
# ## Fold the queries instead
#
# One set of keys for all heads means: for this K, a head is just more rows. So stack the heads'
# queries and multiply **once**. Nothing needs stretching:
#
# $$(B,\ H_q,\ T,\ D)\;\longrightarrow\;(B,\ H_q T,\ D)$$

# %% does="Folds three heads of two tokens into six rows and back; look at the order of rows."
queries = torch.tensor([[10, 11], [20, 21], [30, 31]]).view(3, 2, 1)  # 3 heads, 2 tokens, D = 1
rows = queries.reshape(6, 1)
print("rows:      ", rows.flatten().tolist())
print("back again:", rows.reshape(3, 2, 1).flatten(1).tolist())

# %% [markdown]
# ## Exercise 1 · `multi_query_attention`
#
# *20 minutes · difficulty 3 of 5*
#
# Scores, mask, softmax, values as in lesson 01, with folded queries against one K. Every head's T
# rows need the same (T, S) mask: unfold the scores to (B, Hq, T, S) before you mask, or stack the
# mask. Two traps: q may come fresh from `split_heads`, so its heads are not in order in memory;
# and `causal_mask` (given) lives on the CPU, so move it with `.to(q.device)`.
# (PyTorch's `scaled_dot_product_attention` does all of it in one call, and is refused here: its steps
# are yours to write.)

# %% nbgrader={"grade": false, "grade_id": "causal_mask", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Gives you the causal mask of lesson 01, aligned to the last keys and made on the CPU."
def causal_mask(num_queries, num_keys):
    """Return the causal mask of lesson 01, True where a query may attend."""
    allowed = torch.ones(num_queries, num_keys, dtype=torch.bool)
    return allowed.tril(diagonal=num_keys - num_queries)

# %% nbgrader={"grade": false, "grade_id": "multi_query_attention", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Here you write multi-query attention: all query heads read the one KV head, without copies."
def multi_query_attention(q, k, v, causal=True):
    """Return attention of q (B, Hq, T, D) over k, v (B, 1, S, D), shape (B, Hq, T, D).

    All query heads read the one KV head. No copy of k or v is made.
    """
    ### BEGIN SOLUTION
    B, Hq, T, D = q.shape
    rows = q.reshape(B, Hq * T, D)  # (B, Hq, T, D) -> (B, Hq * T, D)
    scores = rows @ k.squeeze(1).transpose(-2, -1) / D**0.5  # (B, Hq * T, S)
    if causal:
        mask = causal_mask(T, k.shape[2]).repeat(Hq, 1).to(q.device)  # (Hq * T, S)
        scores = scores.masked_fill(~mask, float("-inf"))
    return (scores.softmax(dim=-1) @ v.squeeze(1)).reshape(B, Hq, T, D)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "multi_query_attention-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} does="Checks the results of `multi_query_attention` against a reference, with and without mask, and names likely mistakes."
check("multi_query_attention", multi_query_attention)
### BEGIN HIDDEN TESTS
check("multi_query_attention", multi_query_attention, seed=None, cases=[
    {"B": 3, "Hq": 7, "T": 4, "S": 9, "D": 6, "projected": True},
    {"B": 2, "Hq": 10, "T": 2, "S": 11, "D": 3, "causal": False},
    {"B": 1, "Hq": 5, "T": 5, "S": 5, "D": 8, "dtype": "float64"},
    {"B": 4, "Hq": 9, "T": 1, "S": 13, "D": 2},
    {"B": 1, "Hq": 3, "T": 150, "S": 300, "D": 4, "causal": None},
    {"B": 2, "Hq": 3, "T": 8, "S": 9, "D": 5, "sharp": 1e5, "dtype": "float64"},
    {"B": 1, "Hq": 4, "T": 5, "S": 7, "D": 3, "extreme": True},
])
### END HIDDEN TESTS

# %% nbgrader={"grade": true, "grade_id": "multi_query_attention-copies", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks that your attention never writes K or V out for the query heads, with two sequences."
check_no_copy("multi_query_attention", multi_query_attention)
### BEGIN HIDDEN TESTS
check_no_copy("multi_query_attention", multi_query_attention, seed=None, cases=[
    {"B": 2, "Hq": 9, "T": 2, "S": 50, "D": 24, "causal": False},
    {"B": 3, "Hq": 4, "T": 1, "S": 56, "D": 20},
])
### END HIDDEN TESTS

# %% [markdown] hints="multi_query_attention"
# <details><summary>Hint: drop the axis of size 1</summary>
#
# `k.squeeze(1)` is (B, S, D) and `q.reshape(B, Hq * T, D)` has three axes as well. Their product
# has nothing to stretch. At the end `reshape(B, Hq, T, D)` unfolds.
# </details>
# <details><summary>If it is right with causal=False only</summary>
#
# The scores have Hq · T rows, head after head: T rows of head 0, then T of head 1. So the (T, S)
# mask is stacked Hq times, `mask.repeat(Hq, 1)`.
# </details>
# <details><summary>If it stops with "view size is not compatible"</summary>
#
# After lesson 01's `transpose` the heads are not in order in memory. `view` refuses, `reshape`
# copies the queries: a few numbers, unlike K and V.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# rows = q.reshape(B, Hq * T, D)
# scores = rows @ k.squeeze(1).transpose(-2, -1) / D**0.5
# ```
# </details>

# %% [markdown]
# Is it the attention of lesson 01? Multi-head attention whose KV heads all hold the same numbers
# must give the same result. Here PyTorch's own version gets eight equal heads.

# %% does="Compares your MQA with multi-head attention of eight equal heads; the difference should be rounding only."
from torch.nn.functional import scaled_dot_product_attention as sdpa

q, k, v = random_qkv(batch_size=2, num_heads=8, num_keys=40, head_dim=32)
equal_heads = sdpa(q, k.repeat(1, 8, 1, 1), v.repeat(1, 8, 1, 1))
difference = (multi_query_attention(q, k, v) - equal_heads).abs().max()
print(f"MQA against MHA with eight equal heads: largest difference {difference:.0e}")

# %% [markdown]
# ### Bug hunt · `telling_inputs`
#
# *10 minutes · difficulty 2 of 5*
#
# Other people's MQA was compared with a reference, too, and passed, on inputs that could not tell. Six
# such versions hide here: `hunt` runs them and a right one on **your inputs** and says which are caught.
# This first try has one sequence and one new token.

# %% does="Tries one decoding step on six wrong versions of MQA; look at which of them get away."
from gqa_lib.learn import hunt

hunt("multi_query_attention", random_qkv(batch_size=1, num_heads=4, num_keys=5, head_dim=8))

# %% [markdown]
# Change that cell until all six are caught; several inputs, one after the other, count together. Then
# return them from the function below, which earns a point;
# `hunt("multi_query_attention", telling_inputs)` tries it. The hidden test has six *other* wrong
# versions, so do not aim at these six alone.

# %% nbgrader={"grade": false, "grade_id": "telling_inputs", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here two or three inputs that expose every wrong version of MQA."
def telling_inputs():
    """Return a list of at most three inputs, each (q, k, v) or (q, k, v, causal)."""
    ### BEGIN SOLUTION
    q, kv = torch.randn(2, 6, 3, 5), torch.randn(2, 2, 1, 7, 5)
    return [(q, *kv), (q, *kv, False)]
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "telling_inputs-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks that your inputs expose every wrong version of the hunt; the hidden test has others."
check("telling_inputs", telling_inputs)
### BEGIN HIDDEN TESTS
check("telling_inputs", telling_inputs, seed=None, cases=[{}, {"others": True}])
### END HIDDEN TESTS

# %% [markdown] hints="telling_inputs"
# <details><summary>Hint: what makes two things look alike?</summary>
#
# With one query there is one row per head, with one sequence one set of keys. A size of 1 hides
# whatever goes wrong along its axis, and two equal sizes hide that they were confused.
# </details>
# <details><summary>If one or two bugs stay at large</summary>
#
# `causal` can be True, False or left out, and each says something of its own. With as many queries as
# keys the mask is a square. And `q`, `k` and `v` of one tensor cannot tell who took which.
# </details>
# <details><summary>A worked step</summary>
#
# Choose five sizes, no two of them equal and none of them 1: two sequences, and more keys than
# queries. `torch.randn(...)` makes three tensors. Use them twice: with `causal` left out, and with False.
# </details>

# %% [markdown]
# ### Spot the bug
#
# `sdpa(q, k, v)` with 8 query heads: PyTorch asks for `enable_gqa=True` when there are fewer KV
# heads. Someone forgets it. What happens with 8, 2 and 1 KV heads? Which case would you rather
# have?

# %% does="Calls SDPA without `enable_gqa` for 8, 2 and 1 KV heads; look what is refused and what copies."
from gqa_lib.kernels import sdpa_operator

for num_kv_heads in (8, 2, 1):
    q, k, v = random_qkv(2, 8, 40, 32, num_kv_heads)
    try:
        ran = f"ran {sdpa_operator(q, k, v)}, copied {kv_copied(sdpa, q, k, v)[0]} elements"
    except RuntimeError as error:
        ran = f"refused: {error}"
    print(f"num_kv_heads {num_kv_heads}: {ran}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Two KV heads are refused, and that is the good case. One KV head is broadcast in silence: right
# numbers, no warning. So `k[:, :1]`, a slice left in by accident, runs just as quietly. Up to
# PyTorch 2.13 the call also leaves the fused operator (*fused*: all steps in one pass) and copies K
# and V as above; [2.14 keeps it fused](https://github.com/pytorch/pytorch/pull/191085). With the flag it is fused in both:
# </details>

# %% does="Calls SDPA with `enable_gqa=True` for one KV head; look at the operator and the copies."
q, k, v = random_qkv(2, 8, 40, 32)
elements, _ = kv_copied(lambda q, k, v: sdpa(q, k, v, enable_gqa=True), q, k, v)
print(f"ran {sdpa_operator(q, k, v, enable_gqa=True)}, copied {elements} elements")

# %% [markdown]
# ## Guess 1: the cache
#
# A real shape: Llama-3-8B, which has 8 KV heads. We give it 32 or 1 and leave the rest as it is.
# Each token keeps K and V in every layer; in bfloat16 a number takes 2 bytes.

# %% does="Prints the cache per token of Llama-3-8B's shape with 32, 8 and 1 KV heads."
from dataclasses import replace

from gqa_lib.configs import load_model

llama = load_model("Llama-3-8B")
variants = {32: replace(llama, num_kv_heads=32), 8: llama, 1: replace(llama, num_kv_heads=1)}
kv_bytes = {n: 2 * m.num_layers * m.num_kv_heads * m.head_dim * 2  # K and V, 2 bytes each
            for n, m in variants.items()}
for num_kv_heads, per_token in kv_bytes.items():
    print(f"num_kv_heads {num_kv_heads:2}: {per_token / 2**10:4.0f} KiB per token")
outcome("MHA's cache / MQA's", kv_bytes[32] / kv_bytes[1])

# %% [markdown]
# **Exactly 32 times smaller**: the number of KV heads is a factor of the product, and nothing else
# moved.

# %% [markdown]
# ## Exercise 2 · `kv_projection_params`
#
# *5 minutes · difficulty 2 of 5*
#
# The weights, without a guess. `k_proj` and `v_proj` turn d_model channels into `num_kv_heads` heads of
# `head_dim`, without bias. How many parameters do the two have in one layer? (`head_dim` is an
# argument: it need not be d_model / num_heads.)

# %% nbgrader={"grade": false, "grade_id": "kv_projection_params", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Here you write the number of parameters of one layer's K and V projections."
def kv_projection_params(d_model, num_kv_heads, head_dim):
    """Return the number of parameters of one layer's K and V projections, without bias."""
    ### BEGIN SOLUTION
    return 2 * d_model * num_kv_heads * head_dim
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "kv_projection_params-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks `kv_projection_params` on several shapes, also where head_dim is not d_model over heads."
check("kv_projection_params", kv_projection_params)
### BEGIN HIDDEN TESTS
check("kv_projection_params", kv_projection_params, seed=None, cases=[
    {"draw": n} for n in range(1, 9)
])
### END HIDDEN TESTS

# %% [markdown] hints="kv_projection_params"
# <details><summary>Hint: a linear layer is a matrix</summary>
#
# `nn.Linear(a, b, bias=False)` has a · b parameters. What goes in, and what comes out?
# </details>
# <details><summary>If it is right for 32 KV heads only</summary>
#
# With as many KV heads as query heads the output is often d_model wide. With fewer it is narrower:
# `num_kv_heads * head_dim`.
# </details>
# <details><summary>A worked step</summary>
#
# d_model 4096, 8 KV heads of 128: `k_proj` is 4096 × 1024 = 4,194,304 parameters. `v_proj` has as
# many.
# </details>

# %% does="Prints the K and V projections' parameters per layer and in all layers, for 32, 8 and 1 KV heads."
for num_kv_heads in variants:
    per_layer = kv_projection_params(llama.d_model, num_kv_heads, llama.head_dim)
    print(f"num_kv_heads {num_kv_heads:2}: {per_layer / 1e6:5.2f} million in a layer, "
          f"{llama.num_layers * per_layer / 1e6:5.0f} million in {llama.num_layers} layers")

# %% [markdown]
# A factor of 32 again, but of what? `q_proj`, `o_proj` and the feed-forward block stay. Two more
# sizes are needed to add it all up: a feed-forward width of 14,336 and 128,256 tokens in the
# vocabulary ([litgpt's config.py](https://github.com/Lightning-AI/litgpt/blob/main/litgpt/config.py)).

# %% does="Adds up the whole model for each number of KV heads; look at the percentages."
D_FF, VOCAB = 14_336, 128_256

def parameters(m):
    q_and_o = 2 * m.d_model * m.num_heads * m.head_dim
    feed_forward, norms = 3 * m.d_model * D_FF, 2 * m.d_model
    k_and_v = kv_projection_params(m.d_model, m.num_kv_heads, m.head_dim)
    layers = m.num_layers * (q_and_o + k_and_v + feed_forward + norms)
    return layers + 2 * VOCAB * m.d_model + m.d_model  # two embeddings and a last norm

total = {n: parameters(m) for n, m in variants.items()}
for n, count in total.items():
    print(f"num_kv_heads {n:2}: {count / 1e9:.3f} billion, {count / total[8] - 1:+.1%} against the real one")

# %% [markdown]
# **Not 32 times: about a tenth of the model, and 3 % from 8 to 1.** (The library's table has the real model's weights,
# at 2 bytes each, as `llama.weight_bytes`; later lessons use it.) The step from 32 KV heads to 8
# saves most of it, the step to 1 adds little. (Often the saved parameters go into a wider
# feed-forward block, as reported in [Shazeer 2019](https://arxiv.org/abs/1911.02150); then nothing
# is saved here.)

# %% [markdown]
# ## Guess 3: the arithmetic
#
# PyTorch's own counter adds up multiplications and additions (FLOPs) of matrix products. On the
# device "meta" tensors have a shape and no numbers, so counting takes no time. Yours against
# multi-head attention, for one new token and for a prompt of 2,048:

# %% does="Counts FLOPs of MHA and MQA for one new token and for a prompt; compare each pair."
from torch.utils.flop_counter import FlopCounterMode

def flops(attend, num_queries, num_keys, num_kv_heads):
    q = torch.empty(1, 32, num_queries, 128, device="meta")
    k = torch.empty(1, num_kv_heads, num_keys, 128, device="meta")
    with FlopCounterMode(display=False) as counter:
        attend(q, k, k)
    return counter.get_total_flops()

for num_queries, num_keys in ((1, 8192), (2048, 2048)):
    mha = flops(broadcasting, num_queries, num_keys, 32)
    mqa = flops(multi_query_attention, num_queries, num_keys, 1)
    print(f"{num_queries:4} queries, {num_keys} keys: MHA {mha / 1e6:6,.0f} MFLOP, MQA {mqa / 1e6:6,.0f} MFLOP")
    if num_queries == 1:
        outcome("MHA's arithmetic / MQA's", mha / mqa)

# %% [markdown]
# **Not one FLOP less.** Every query head still meets every key, its own or a shared one. That is
# why a prompt, where arithmetic decides, gains next to nothing. And mind the counter, which knows
# matrix products and only some fused operators:

# %% does="Shows what PyTorch's counter reports for SDPA on the CPU next to the FLOPs really done."
with FlopCounterMode(display=False) as counter:
    sdpa(*random_qkv(2, 8, 40, 32, num_kv_heads=8))
done = 2 * 2 * (2 * 8 * 40 * 32)  # scores and values, 2 FLOP each: B, heads, keys, head_dim
print(f"SDPA on the CPU: {counter.get_total_flops()} FLOP counted, {done} done")

# %% [markdown]
# ## One attention layer, one new token
#
# What MQA saves and what it leaves, side by side: 8,192 cached tokens, one sequence, bfloat16. A
# weight is read once and takes part in one multiply-add: 2 bytes, 2 FLOP. The scores and values
# are the counter's. (Counted, not timed.)

# %% does="Counts bytes read and FLOPs of one layer for MHA, GQA and MQA; prints MHA over MQA."
CACHED = 8192
flop, read = {}, {}
for n, name in ((32, "MHA"), (8, "GQA"), (1, "MQA")):
    q_and_o = 2 * llama.d_model * llama.num_heads * llama.head_dim / 1e6
    k_and_v = kv_projection_params(llama.d_model, n, llama.head_dim) / 1e6
    read[name] = [2 * q_and_o, 2 * k_and_v, 2 * 2 * n * CACHED * llama.head_dim / 1e6]
    flop[name] = [2 * q_and_o, 2 * k_and_v, flops(multi_query_attention, 1, CACHED, 1) / 1e6]
saved = {what: sum(one["MHA"]) / sum(one["MQA"]) for what, one in (("bytes", read), ("FLOPs", flop))}
print(f"MHA over MQA: {saved['bytes']:.2f} times the bytes, {saved['FLOPs']:.2f} times the FLOPs")

# %% does="Draws those counts as stacked bars; compare how the cache's part shrinks in bytes and in FLOPs."
fig = plots.stacked_bars(
    {"MB read per token, one attention layer": read, "MFLOP per token, one attention layer": flop},
    ["q_proj, o_proj", "k_proj, v_proj", "cache: scores, values"],
    title=f"Against MHA, MQA reads {saved['bytes']:.1f}x less and computes {saved['FLOPs']:.1f}x less")
plots.show(fig, alt="; ".join(
    f"{name}: {sum(read[name]):.0f} MB read ({read[name][2]:.0f} of them the cache), "
    f"{sum(flop[name]):.0f} MFLOP" for name in read))

# %% [markdown]
# That MHA has the same number on both sides is not an accident: with 2-byte numbers it does one FLOP
# for each byte of cache. MQA does 32 for each. Bytes you can save; the FLOPs remain.

# %% [markdown]
# ## Guess 4: predict the time, then measure
#
# One step of attention, two sequences with 8,192 tokens each. A step must read K and V once and do
# its FLOPs; the **longer** of the two times is the least it can take. Which is it for each? (About 5
# seconds, to measure the machine.)

# %% does="Measures the machine, then predicts the least time of a step; look which bound each has."
from gqa_lib.cost import attention_bytes, attention_flops, attention_time
from gqa_lib.measure import measure_hardware, pick_device

device = pick_device()
dtype = torch.float32 if device.type == "cpu" else torch.float16
machine = measure_hardware(device, dtype)
BATCH, HEADS, TOKENS, HEAD_DIM = 2, 32, 8192, 64
predicted, compute = {}, attention_flops(BATCH, HEADS, HEAD_DIM, 1, TOKENS) / machine.flops_per_s
for name, n in (("MHA", 32), ("MQA", 1)):
    moved = attention_bytes(BATCH, HEADS, n, HEAD_DIM, 1, TOKENS, dtype.itemsize)
    reading = moved / machine.bandwidth_bytes_per_s
    predicted[name] = attention_time(machine, BATCH, HEADS, n, HEAD_DIM, 1, TOKENS, dtype.itemsize)
    print(f"{name}: reading {reading * 1e3:,.3f} ms, computing {compute * 1e3:,.3f} ms: "
          f"bound by {'memory' if reading > compute else 'arithmetic'}, {predicted[name] * 1e3:,.3f} ms")

# %% [markdown]
# **How many times as fast as MHA do you expect `multi_query_attention` to be, and `broadcasting`?**
# Your two numbers go into the next cell. MHA runs the library's version, the fastest it knows for this device. Each call
# reads memory that no processor cache holds; one new token sees all of it, so no mask is needed.
# (About 10 seconds. Printed is the tenth percentile, since other programs only add time. A row marked
# *noisy* was disturbed.)

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("MQA folded, as fast as MHA", None)
guess("MQA broadcasting, as fast as MHA", None)

# %% does="Prepares queries and a pool of memory, so that each call reads K and V that no cache holds."
from gqa_lib.attention import grouped_query_attention
from gqa_lib.measure import cold_pool, how_fast, summarise, time_arms

q = torch.randn(BATCH, HEADS, 1, HEAD_DIM, device=device, dtype=dtype)
cold = cold_pool(2 * BATCH * HEADS * TOKENS * HEAD_DIM, dtype=dtype, device=device)

def cold_kv(num_kv_heads):
    return cold(2, BATCH, num_kv_heads, TOKENS, HEAD_DIM)

# %% does="Times MHA, broadcast MQA and your MQA in turn; look for rows marked noisy."
rows = time_arms({
    "MHA": lambda i: grouped_query_attention(q, *cold_kv(32)),
    "MQA, broadcasting": lambda i: broadcasting(q, *cold_kv(1)),
    "MQA, yours": lambda i: multi_query_attention(q, *cold_kv(1), causal=False),
}, rounds=8, samples=3, budget_s=6, device=device)
timing = summarise(rows)
for arm, s in timing.items():
    print(f"{arm:18} {s['p10'] * 1e3:8,.3f} ms", "(noisy)" if s["noisy"] else "",
          "(below its bound: the machine was read too low)" if s["p10"] < 0.95 * predicted[arm[:3]] else "")

# %% does="Plots measured times next to the predicted bounds; look how far each arm is from its own."
times = {arm: s["p10"] for arm, s in timing.items()}  # the tenth percentile
least = {arm: predicted[arm[:3]] for arm in times}
folded, broadcast = (how_fast(rows, arm, "MHA") for arm in ("MQA, yours", "MQA, broadcasting"))
asked = {"MQA, yours": "MQA folded, as fast as MHA", "MQA, broadcasting": "MQA broadcasting, as fast as MHA"}
stars = {arm: times["MHA"] / guessed(name) for arm, name in asked.items() if guessed(name)}
fig = plots.step_time_dots(
    times, least, guesses_s=stars, title=f"Against MHA, MQA folded: {folded}; broadcast: {broadcast}")
plots.show(fig, alt="Time per step in ms, measured (and predicted at least): " + ", ".join(
    f"{arm} {t * 1e3:,.3f} ({least[arm] * 1e3:,.3f})" for arm, t in times.items()))
for arm, name in asked.items():
    outcome(name, times["MHA"] / times[arm], noisy=timing["MHA"]["noisy"] or timing[arm]["noisy"])

# %% [markdown]
# <details><summary>Why not 32 times?</summary>
#
# Look at which bound the prediction named. Bound by *arithmetic* (likely on a CPU): the bytes fell
# by 32, the FLOPs did not, and now they are what takes the time. Bound by *memory* (likely on a
# GPU): little is left to read, so starting the kernels takes longer than their work; more tokens
# or sequences come closer to the prediction. Lesson 06 draws this line for any machine. And if
# yours is no faster than MHA, other programs hold the cores: a short step suffers most. Close
# them and measure again.
# </details>
# <details><summary>And broadcasting?</summary>
#
# It reads the small cache, writes MHA's, and reads that: more traffic than MHA, in memory that is
# new each time. Same results, same architecture. The saving is in how the product is written.
# </details>

# %% [markdown]
# ## What was reported
#
# [Shazeer 2019](https://arxiv.org/abs/1911.02150) introduced MQA with a translation model: 8
# heads, 128 tokens, batches of 1,024, on a TPUv2. Microseconds per token, and BLEU on the test set
# (a translation score, higher is better), as reported in the paper's tables:
#
# | | MHA | MQA |
# |---|---|---|
# | training | 13.2 | 13.0 |
# | generating: encoder + decoder | 1.7 + 46 | 1.5 + 3.8 |
# | the same with beam search, 4 beams | 2.0 + 203 | 1.6 + 32 |
# | BLEU, without and with 4 beams | 27.7 / 28.4 | 27.5 / 28.5 |

# %% does="Divides the paper's times: decoder without and with beam search, and training."
print(f"decoder: {46 / 3.8:.0f} times as fast; with 4 beams {203 / 32:.1f} times")
print(f"training: {13.2 / 13.0:.3f} times as fast")

# %% [markdown]
# Training and the encoder see all tokens at once, so arithmetic decides and MQA saves little. Only
# decoding, one token at a time, re-reads the cache. (Eight heads became one, and the decoder
# gained more than 8 times: bytes alone do not explain that, and this lesson cannot.)

# %% [markdown]
# ## What it may cost
#
# As reported in the papers, which disagree; only training can tell (in lesson 09 you train):
#
# - [PaLM](https://arxiv.org/abs/2204.02311) was built with MQA: neutral for quality and training
#   speed, a large saving in decoding, as reported there.
# - [Ainslie et al. 2023](https://arxiv.org/abs/2305.13245), appendix A: MQA trained from scratch
#   showed frequent loss spikes, and diverged when fine-tuned on long inputs.
# - [DeepSeek-V2](https://arxiv.org/abs/2405.04434), appendix D.1, three 7B models: 45.2 (MHA), 41.2
#   (8 KV heads) and 37.9 (MQA) on MMLU, a test of knowledge.

# %% [markdown]
# ## Who uses it
#
# The models with one KV head in the course's table, each with its source there. The last column is
# what a token would take if the model had a KV head for every query head. (In bfloat16, every layer
# keeping every token. Gemma-3-1B keeps fewer: most of its layers see a short window only.)

# %% does="Lists the table's models with one KV head, with their cache per token and what MHA would take."
from gqa_lib.configs import all_models
from gqa_lib.cost import kv_bytes_per_token

print(f"{'model':12} query heads  KiB per token  as MHA")
for m in all_models():
    if m.attention_type == "MQA":
        kib = kv_bytes_per_token(m, 2) / 2**10
        print(f"{m.name:12} {m.num_heads:11} {kib:14.4g} {kib * m.num_heads:7,.0f}")

# %% [markdown]
# ## Now the library's
#
# `grouped_query_attention` is what you timed MHA with; given one KV head it is multi-query
# attention, and picks a way for your device. `gqa_lib.cost` counts the parameters.

# %% does="Compares your attention and parameter count with the library's, and names the backend it chose."
from gqa_lib import cost, kernels

k, v = cold_kv(1)
gap = (grouped_query_attention(q, k, v) - multi_query_attention(q, k, v)).abs().max()
print(f"attention: largest difference {gap:.0e}, run as {kernels.choose_backend(q, k, v)}")
print("parameters:", cost.kv_projection_params(4544, 1, 64), "and", kv_projection_params(4544, 1, 64))

# %% [markdown]
# ## What this does not tell you
#
# - Nothing about **quality**: no model was trained here, and the reports above disagree.
# - Nothing about a **whole model**: a step also reads the feed-forward weights, and with a short
#   context those are most of the bytes.
# - Nothing about **several GPUs**: one KV head cannot be split by heads, only by tokens or by
#   sequences (lesson 13).

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - MQA keeps every query head and shares one KV head: the cache shrinks by `num_heads`.
# - The arithmetic of scores and values stays; parameters shrink by a tenth of a model or less.
# - Broadcasting undoes it in silence. Fold the heads into rows, and test with two sequences.

# %% [markdown] generated="ending"

# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# A model with 512 channels can attend with one head of 512 channels, or with 32 heads of 16. Same
# weights, same output size. **Do 32 heads cost more than one?** You build it first, say what you
# expect, then you measure it.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch and the functions for checks, hints and the quiz; run it before all others."
import torch
from torch import nn

from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# ## Attention by hand, with three tokens
#
# Each token asks a question (its **query** $q$), carries a label others can match (its **key**
# $k$) and something to pass on (its **value** $v$). Here head_dim is 2, so you can do it on paper:
# token 0 scores $q_0 k_0 = 1$, $q_0 k_1 = 0$, $q_0 k_2 = 2$; divided by $\sqrt 2$: 0.71, 0, 1.41.

# %% does="Sets queries, keys and values of three tokens with head_dim 2, small enough to work out on paper."
q = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # (T, D)
k = torch.tensor([[1.0, 0.0], [0.0, 2.0], [2.0, 0.0]])  # (S, D)
v = torch.tensor([[10.0, 0.0], [0.0, 10.0], [5.0, 5.0]])  # (S, D)

# %% [markdown]
# A query meets every key in a dot product: the larger, the better the match. Row $i$ below is
# what token $i$ thinks of every token.

# %% does="Multiplies each query with each key; row i holds what token i thinks of every token."
scores = q @ k.T  # (T, S)
scores

# %% [markdown]
# Two steps turn scores into weights. Divide by $\sqrt{D}$, because a dot product of $D$ random
# terms grows like $\sqrt{D}$. Then a softmax: each row becomes shares that sum to 1.

# %% does="Scales the scores and turns each row into weights; see that every row sums to 1."
weights = (scores / 2**0.5).softmax(dim=-1)
weights.round(decimals=2)

# %% [markdown]
# The output of a token is the values, mixed by its weights. Token 1 put most of its weight on
# key 1, so its output leans towards $v_1 = (0, 10)$.

# %% does="Mixes the values by the weights; compare row 1 with the value it leans towards."
(weights @ v).round(decimals=2)

# %% [markdown]
# That is the whole idea: $\;\mathrm{softmax}\!\left(\dfrac{q k^\top}{\sqrt{D}}\right) v$.
# One thing is missing. A language model must not read tokens it has yet to write, and above,
# token 0 looks at tokens 1 and 2.

# %% [markdown]
# ## Exercise 1 · `causal_mask`
#
# *5 minutes · difficulty 2 of 5*
#
# Return a boolean mask with one row per query and one column per key: **True where the query may
# attend**. The queries are the *last* `num_queries` of `num_keys` tokens, so the newest query
# sees every key. With 2 queries and 5 keys:
#
# | | key 0 | 1 | 2 | 3 | 4 |
# |---|---|---|---|---|---|
# | query 0 (token 3) | True | True | True | True | False |
# | query 1 (token 4) | True | True | True | True | True |

# %% nbgrader={"grade": false, "grade_id": "causal_mask", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write the mask that says which keys each of the newest queries may see."
def causal_mask(num_queries, num_keys):
    """Return the causal mask, boolean (num_queries, num_keys), True where attending is allowed.

    Query i is token num_keys - num_queries + i, and sees itself and everything before it.
    """
    ### BEGIN SOLUTION
    allowed = torch.ones(num_queries, num_keys, dtype=torch.bool)
    return allowed.tril(diagonal=num_keys - num_queries)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "causal_mask-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks your mask for square and for non-square sizes, and names a likely mistake."
check("causal_mask", causal_mask)
### BEGIN HIDDEN TESTS
check("causal_mask", causal_mask, seed=None, cases=[
    {"T": 5, "S": 11}, {"T": 6, "S": 6}, {"T": 1, "S": 1}, {"T": 150, "S": 300},
    *({"draw": n} for n in range(1, 7)),
])
### END HIDDEN TESTS

# %% [markdown] hints="causal_mask"
# <details><summary>Hint: one function does the triangle</summary>
#
# `torch.ones(rows, columns, dtype=torch.bool).tril()` keeps the lower left triangle.
# </details>
# <details><summary>If the check says "aligned to the top left"</summary>
#
# `tril` starts its diagonal in the top left corner. Its argument `diagonal` moves it to the right.
# How many keys are older than the first query?
# </details>
# <details><summary>A worked step</summary>
#
# With 2 queries and 5 keys, 3 keys are older than query 0. So row 0 has 3 + 1 True entries:
# `diagonal=3`, which is `num_keys - num_queries`.
# </details>

# %% [markdown]
# ## Exercise 2 · `attention`
#
# *15 minutes · difficulty 3 of 5*
#
# Now for real tensors: B sequences, H heads, T queries, S keys, D channels per head. The same
# steps, on the last two axes; PyTorch carries B and H along. The check also calls it in bfloat16.
# PyTorch's `scaled_dot_product_attention` does all of this in one call: here its steps are yours to
# write, so the check refuses it. Compare yours with it afterwards.
#
# | | shape |
# |---|---|
# | `q` | (B, H, T, D) |
# | `k`, `v` | (B, H, S, D), with S ≥ T |
# | returns | (B, H, T, D), in the dtype and on the device of `q` |

# %% nbgrader={"grade": false, "grade_id": "attention", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write attention for a batch of heads, step by step, with the mask when causal."
def attention(q, k, v, causal=True):
    """Return softmax(q k^T / sqrt(D)) v, shape (B, H, T, D).

    With causal=True, query i sees the keys up to S - T + i. Arguments stay unchanged.
    """
    ### BEGIN SOLUTION
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (B, H, T, S)
    if causal:
        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ v
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "attention-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks your attention against a reference for several sizes, both settings of causal, and bfloat16."
check("attention", attention)
### BEGIN HIDDEN TESTS
check("attention", attention, seed=None, cases=[
    {"B": 3, "H": 2, "T": 4, "S": 9, "D": 6},
    {"B": 1, "H": 5, "T": 2, "S": 11, "D": 3, "causal": False},
    {"B": 2, "H": 3, "T": 5, "S": 5, "D": 7, "dtype": "float64"},
    {"B": 1, "H": 2, "T": 150, "S": 300, "D": 4, "causal": None},
    {"B": 2, "H": 2, "T": 8, "S": 9, "D": 5, "sharp": 1e5, "dtype": "float64"},
    {"B": 1, "H": 3, "T": 4, "S": 6, "D": 3, "extreme": True},
])
### END HIDDEN TESTS

# %% [markdown] hints="attention"
# <details><summary>Hint: the steps, in order</summary>
#
# Scores `(B, H, T, S)`, scaling, mask, softmax over the keys, then mix the values. To turn `k`
# from `(..., S, D)` to `(..., D, S)`, swap its last two axes: `k.transpose(-2, -1)`.
# </details>
# <details><summary>If the values differ only with causal=True</summary>
#
# A masked score must end with weight exactly 0. `exp(0)` is 1, so 0 is not the score you want;
# `masked_fill(~mask, float("-inf"))` is. And the mask is True where attending is *allowed*.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
# ```
# For causal, `causal_mask(q.shape[-2], k.shape[-2])` gives a (T, S) mask, which broadcasts over B
# and H. It lives on the default device; `.to(q.device)` moves it.
# </details>

# %% [markdown]
# Does a masked token really have no say? Change the last token and watch the outputs. **Which of
# the four should change?** This finds causality bugs that no shape check will.

# %% does="Rewrites the last token and prints which outputs changed; predict which of the four may."
q, k, v = torch.randn(3, 1, 1, 4, 8)
before = attention(q, k, v)
k[..., -1, :], v[..., -1, :] = 99.0, 99.0  # rewrite the future
changed = (attention(q, k, v) != before).any(dim=-1).flatten()
print("outputs that changed:", changed.tolist())

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only the last: `[False, False, False, True]`. The three before it may not look at a later token,
# so nothing that is in it can reach them. Any other `True` is a leak.
# </details>

# %% [markdown]
# ## What is a head?
#
# One softmax gives each token **one** way to look around. A head is a slice of the *projected*
# queries, keys and values with a softmax of its own: 4 heads, 4 ways to look at once. Head $h$ owns
# the channels $hD$ up to, not including, $(h+1)D$.

# %% [markdown]
# ## Exercise 3 · `split_heads` and `merge_heads`
#
# *10 minutes · difficulty 3 of 5*
#
# `split_heads` takes (B, T, d_model) to (B, H, T, D) with H · D = d_model, heads side by side in
# the channels. `merge_heads` is its inverse: `merge_heads(split_heads(x, H))` equals `x`.

# %% nbgrader={"grade": false, "grade_id": "split_heads", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write how the channels of each token become heads with an axis of their own."
def split_heads(x, num_heads):
    """Return x (B, T, num_heads * D) as (B, num_heads, T, D)."""
    ### BEGIN SOLUTION
    batch_size, num_tokens, d_model = x.shape
    heads = x.reshape(batch_size, num_tokens, num_heads, d_model // num_heads)
    return heads.transpose(1, 2)  # (B, T, H, D) -> (B, H, T, D)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "split_heads-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks which numbers land in which head, not only that the shape is right."
check("split_heads", split_heads)
### BEGIN HIDDEN TESTS
check("split_heads", split_heads, seed=None, cases=[
    {"B": 3, "T": 5, "H": 2, "D": 7}, {"B": 1, "T": 150, "H": 3, "D": 2, "dtype": "bfloat16", "extreme": True},
])
### END HIDDEN TESTS

# %% nbgrader={"grade": false, "grade_id": "merge_heads", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write the inverse of splitting, so that each token has all its heads side by side again."
def merge_heads(x):
    """Return x (B, H, T, D) as (B, T, H * D), the inverse of split_heads."""
    ### BEGIN SOLUTION
    return x.transpose(1, 2).flatten(start_dim=2)  # (B, H, T, D) -> (B, T, H, D) -> (B, T, H * D)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "merge_heads-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks that your merged rows hold the heads of one token in the right order."
check("merge_heads", merge_heads)
### BEGIN HIDDEN TESTS
check("merge_heads", merge_heads, seed=None, cases=[
    {"B": 3, "H": 2, "T": 5, "D": 7}, {"B": 1, "H": 3, "T": 150, "D": 2, "dtype": "bfloat16", "extreme": True},
])
### END HIDDEN TESTS

# %% [markdown] hints="split_heads"
# <details><summary>Hint for split_heads: two moves</summary>
#
# First cut the last axis in two: `(B, T, d_model)` becomes `(B, T, H, D)`. Then swap two axes.
# </details>
# <details><summary>If the shape is right and the numbers are not</summary>
#
# `x.reshape(B, H, T, D)` reads the numbers in memory order, so a "head" becomes a stretch of the
# sequence instead of a slice of the channels. A reshape may only cut or join neighbouring axes; moving one takes a `transpose`.
# </details>
# <details><summary>A worked step</summary>
#
# `x.reshape(B, T, num_heads, d_model // num_heads)` cuts the channels. `.transpose(1, 2)` then
# brings the heads before the tokens.
# </details>

# %% [markdown] hints="merge_heads"
# <details><summary>Hint for merge_heads: undo the last move first</summary>
#
# `split_heads` cut and then swapped. Going back: swap, then join.
# </details>
# <details><summary>If PyTorch complains about view and stride</summary>
#
# After a `transpose` the numbers are no longer in memory order, and `view` refuses. `reshape` and
# `flatten` copy when they must.
# </details>
# <details><summary>A worked step</summary>
#
# `x.transpose(1, 2)` is `(B, T, H, D)`; `.flatten(start_dim=2)` joins the last two axes.
# </details>

# %% [markdown]
# ### Spot the bug
#
# Four colleagues wrote a `split_heads` that passes every shape check. You do not see their code:
# this is a bug hunt, and `hunt` runs theirs and a right one on **your inputs**. A bug is caught when its
# numbers differ. Change `x` and run the cell again: a single input can catch all four.

# %% does="Tries one marked input on four wrong versions of split_heads; write inputs that catch the others."
from gqa_lib.learn import hunt

x = torch.arange(4.0).view(1, 4, 1).expand(1, 4, 6)  # each number is marked with its token
hunt("split_heads", (x, 2))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Bug 1 is a plain `x.reshape(B, num_heads, T, D)`. Its first head never sees tokens 2 and 3: the
# reshape cut the sequence, not the channels. But marks that say nothing of the channel or the sequence leave three bugs at
# large: give each number a mark of its own, in more than one sequence. `hunt("attention")` has more.
# </details>

# %% [markdown]
# ## Exercise 4 · `MultiHeadAttention`
#
# *15 minutes · difficulty 3 of 5*
#
# Put it together. Four linear layers **without bias**, each d_model to d_model: `q_proj`,
# `k_proj`, `v_proj` make queries, keys and values; `o_proj` mixes what the heads found.
# (`cache` is for a later lesson, when you generate text; it stays None here.)

# %% nbgrader={"grade": false, "grade_id": "MultiHeadAttention", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write the module from its projections and the functions that you have already written."
class MultiHeadAttention(nn.Module):
    """Attention with num_heads heads over x (B, T, d_model), returning (B, T, d_model)."""

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        ### BEGIN SOLUTION
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)
        ### END SOLUTION

    def forward(self, x, cache=None, causal=True):
        ### BEGIN SOLUTION
        q = split_heads(self.q_proj(x), self.num_heads)  # (B, H, T, D)
        k = split_heads(self.k_proj(x), self.num_heads)
        v = split_heads(self.v_proj(x), self.num_heads)
        return self.o_proj(merge_heads(attention(q, k, v, causal)))
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "MultiHeadAttention-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} does="Checks your module with given weights, with and without the causal mask, for several head counts."
check("MultiHeadAttention", MultiHeadAttention)
### BEGIN HIDDEN TESTS
check("MultiHeadAttention", MultiHeadAttention, seed=None, cases=[
    {"B": 2, "T": 6, "d_model": 20, "H": 5},
    {"B": 1, "T": 3, "d_model": 14, "H": 2, "causal": False},
    {"B": 2, "T": 4, "d_model": 6, "H": 1},
    {"B": 1, "T": 150, "d_model": 8, "H": 2, "dtype": "bfloat16"},
])
### END HIDDEN TESTS

# %% [markdown] hints="MultiHeadAttention"
# <details><summary>Hint: five lines, all written already</summary>
#
# Project, split, attend, merge, project. You wrote split, attend and merge above.
# </details>
# <details><summary>If the check says a parameter is missing or has a bias</summary>
#
# The names are `q_proj`, `k_proj`, `v_proj`, `o_proj`, each `nn.Linear(d_model, d_model,
# bias=False)`, set in `__init__` as attributes of `self`.
# </details>
# <details><summary>A worked step</summary>
#
# `q = split_heads(self.q_proj(x), self.num_heads)`, the same for k and v. Then
# `attention(q, k, v, causal)`, `merge_heads(...)`, and last `self.o_proj(...)`.
# </details>

# %% [markdown]
# ## Predict, then measure
#
# Back to the question: 512 channels as 1 head or as 32. Count the multiply-adds of the scores:
# each of H heads makes T · S dot products of length D, and H · D is always 512.
# **Does the count grow with H, and does the time?** How many times as long do 32 heads take? Put your
# guess in place of `None`.

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("time of 32 heads / 1 head", None)

# %% does="Counts the arithmetic of your layer with 1 to 32 heads; see whether the count changes."
from torch.utils.flop_counter import FlopCounterMode

x = torch.randn(1, 512, 512)
for num_heads in (1, 4, 16, 32):
    with FlopCounterMode(display=False) as counter:
        MultiHeadAttention(512, num_heads)(x)
    print(f"heads {num_heads:2}: {counter.get_total_flops() / 1e9:.2f} GFLOP")

# %% [markdown]
# The matrix products cost the same, whatever the number of heads (the counter leaves out the
# softmax). Does the clock agree?
# The four take turns, so that a busy moment of the machine hits all of them. (About 5 seconds. A row
# marked *noisy* was disturbed by other programs: run the cell again.)

# %% does="Times your layer with 1, 4, 16 and 32 heads in turn; look at medians and noisy rows."
from gqa_lib.measure import how_long, summarise, time_arms

models = {h: MultiHeadAttention(512, h) for h in (1, 4, 16, 32)}
with torch.inference_mode():
    rows = time_arms({h: lambda i, m=m: m(x) for h, m in models.items()}, rounds=15, budget_s=8)
for num_heads, t in summarise(rows).items():
    print(f"heads {num_heads:2}: {t['median'] * 1e3:6.2f} ms (median of {t['n']})",
          "(noisy)" if t["noisy"] else "")

# %% does="Plots time by number of heads; compare the line with the equal counts of arithmetic above."
from gqa_lib import plots

plots.use_style()
timing = summarise(rows)
times_ms = {h: t["median"] * 1e3 for h, t in timing.items()}
mine = guessed("time of 32 heads / 1 head")
fig = plots.time_line(times_ms, xlabel="number of heads, d_model = 512",
                      guesses_ms={32: mine and mine * times_ms[1]},
                      title=f"Same multiply-adds, 32 heads against 1: {how_long(rows, 32, 1)}")
plots.show(fig, alt="Time of one layer in ms by number of heads: " + ", ".join(
    f"{h}: {ms:.1f}" for h, ms in times_ms.items()))
outcome("time of 32 heads / 1 head", times_ms[32] / times_ms[1],
        noisy=timing[32]["noisy"] or timing[1]["noisy"])

# %% [markdown]
# <details><summary>Why does time grow when arithmetic does not?</summary>
#
# Each head writes its own T · S scores: 1 MiB with one head here, 32 MiB with 32, and each is
# scaled, masked, exponentiated and read back. That work grows with H although the products do
# not; short dot products also run less efficiently. You have not measured which part dominates
# here. ([FlashAttention](https://arxiv.org/abs/2205.14135) never writes the scores to main memory.)
# What is moved, not only what is multiplied, costs time: keep that thought.
# </details>

# %% [markdown]
# ## Yours and the library's
#
# `gqa_lib` has the same mask and the same module (multi-head attention is what it does when no
# heads are shared). Given your weights, it must give your numbers.

# %% does="Loads your weights into the library's module and prints the largest difference, which should be mere rounding."
from gqa_lib.attention import GroupedQueryAttention
from gqa_lib.kernels import causal_mask as library_mask

yours, library = MultiHeadAttention(64, 8), GroupedQueryAttention(64, num_heads=8)
library.load_state_dict(yours.state_dict())
x = torch.randn(2, 10, 64)
print("same mask:", torch.equal(causal_mask(3, 7), library_mask(3, 7)))
print(f"largest difference: {(yours(x) - library(x)).abs().max():.1e}")

# %% [markdown]
# ## What this does not tell you
#
# - It says nothing about **quality**: that several heads learn better than one is an empirical
#   finding about trained models, and you trained nothing here.
# - The times are of *your* code on *this* machine with 512 tokens. A fused kernel changes them.
# - Nothing was generated yet. When a model writes one token at a time, the costs shift from
#   arithmetic to memory, and that is where sharing heads begins to pay.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - A head is a slice of the projected channels with a softmax of its own.
# - Splitting into heads changes no multiply-add; it changes how much is written and read.
# - Right shapes prove little: mark the numbers, rewrite the future, compare with a reference.

# %% [markdown] generated="ending"

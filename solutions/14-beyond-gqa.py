# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# A layer may keep 32 numbers of each token. Here are four ways to spend them, each with 8 query heads:
#
# | | what a token leaves |
# |---|---|
# | MHA | 8 keys and 8 values of 2 |
# | GQA | 2 keys and 2 values of 8 |
# | MQA | a key and a value of 16 |
# | MLA | one latent of 32; keys and values of all heads are made from it |

# %% [markdown]
# The task is lesson 09's: 16 records of 8 attributes are shown, then a key, and all attributes of its record
# must be named. **What share of the answers is right with each? Do equal bytes give equal answers?** (By
# chance it is 1 in 16.)

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports PyTorch, a clock, the models' configs and the course's functions; nothing to change."
from time import monotonic

import torch

from gqa_lib.configs import load_model
from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# Put your guesses in place of `None`, as shares from 0 to 1.

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("right with MHA", None)
guess("right with GQA", None)
guess("right with MQA", None)
guess("right with MLA", None)

# %% [markdown]
# ## One latent, by hand
#
# **Multi-head latent attention** (MLA, [DeepSeek-V2](https://arxiv.org/abs/2405.04434)) projects a token down
# to a short **latent** and keeps that. Head h has two matrices of its own: `w_uk[h]` makes its key from the
# latent, `w_uv[h]` its value. A latent of 2 numbers, (1, 2), and two heads whose keys have one channel:
#
# | head | w_uk | its key | its query | score | query · w_uk | times the latent |
# |---|---|---|---|---|---|---|
# | 0 | (2, 1) | 2·1 + 1·2 = 4 | 3 | 12 | (6, 3) | 12 |
# | 1 | (0, 5) | 10 | -1 | -10 | (0, -5) | -10 |

# %% [markdown]
# Two things to see. Both heads have keys of their own, as in MHA, and one latent is kept, however many heads
# there are. And the last two columns never make a key: the query took the matrix over.
#
# What about positions? A key is turned by its place (RoPE, lesson 02). So a layer keeps one more short vector
# next to the latent, for all heads: the **rotary key**. Each query head has a second part, turned as well,
# which is multiplied with it. The score is the sum of both parts.

# %% [markdown]
# ## Exercise 1 · `mla_bytes_per_token`
#
# *3 minutes · difficulty 1 of 5*
#
# What one token costs, over all layers. By hand: 3 layers, latents of 11 numbers, rotary keys of 4, 2 bytes
# for each number: 3 · (11 + 4) · 2 = 90 bytes.

# %% nbgrader={"grade": false, "grade_id": "mla_bytes_per_token", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write the bytes that a token adds to a cache of latents and rotary keys."
def mla_bytes_per_token(num_layers, kv_lora_rank, rope_head_dim, bytes_per_element):
    """Return the bytes that a token adds to the cache: a latent of kv_lora_rank numbers and a
    rotary key of rope_head_dim in each layer. bytes_per_element may be a fraction."""
    ### BEGIN SOLUTION
    return num_layers * (kv_lora_rank + rope_head_dim) * bytes_per_element
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "mla_bytes_per_token-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks mla_bytes_per_token with several sizes, fractions of a byte included."
check("mla_bytes_per_token", mla_bytes_per_token)
### BEGIN HIDDEN TESTS
check("mla_bytes_per_token", mla_bytes_per_token, seed=None, cases=[{"draw": n} for n in range(1, 9)])
### END HIDDEN TESTS

# %% [markdown] hints="mla_bytes_per_token"
# <details><summary>Hint: what is kept</summary>
#
# One latent and one rotary key in each layer. There is no K and no V.
# </details>
# <details><summary>If it is twice what is expected</summary>
#
# The 2 of "K and V" is gone: both are made from the same latent.
# </details>
# <details><summary>A worked step</summary>
#
# A layer keeps `kv_lora_rank + rope_head_dim` numbers of a token, however many heads it has.
# </details>

# %% [markdown]
# ## What 93.3 % is made of
#
# DeepSeek-V2 reports a cache 93.3 % smaller than that of DeepSeek 67B. That model has 95 layers with 8 KV
# heads of 128. **Guess: is 93.3 % what the latents save?**

# %% does="Takes the 93.3 % apart; look at fewer numbers, fewer bits, and the comparison with MHA."
v2 = load_model("DeepSeek-V2")
latents = v2.num_layers, v2.kv_lora_rank, v2.rope_head_dim
v2_numbers, older = mla_bytes_per_token(*latents, 1), 2 * 8 * 128 * 95
own_mha = 2 * v2.num_heads * v2.head_dim * v2.num_layers
print(f"{v2_numbers:,} numbers per token instead of {older:,}: {1 - v2_numbers / older:.1%} fewer")
print(f"at 6 bits instead of 16: {1 - mla_bytes_per_token(*latents, 6 / 8) / (older * 2):.1%} fewer bytes")
print(f"against MHA with the heads of DeepSeek-V2 itself: {own_mha / v2_numbers:.0f} times fewer numbers")

# %% [markdown]
# The first figure has two causes: a layer keeps 576 numbers instead of 2,048 (71.9 % fewer), and there are 60
# layers instead of 95. The rest of 93.3 % is 6-bit numbers (section 3.2.3 of the report, as transcribed). And
# the model it is compared with is not MHA: it has GQA-8.
#
# **Whenever you read a percentage, ask: of what, in how many bits, over how many layers?**

# %% [markdown]
# ### Spot the bug
#
# A slide says: "MLA's cache is 93.3 % smaller than MHA's. On top of that we store it in 6 bits, which makes
# it 97.5 % smaller." Two mistakes. Which?

# %% [markdown]
# <details><summary>Answer</summary>
#
# The 93.3 % has the 6 bits in it already, so they are counted twice. And the baseline is another model with
# GQA, not MHA in the same model; against that the saving is larger.
# </details>

# %% [markdown]
# ## Reading latents without making keys
#
# With the keys of all heads made anew from the latents in each step (the *expanded* form), decoding would pay
# for the small cache with a lot of arithmetic. The last two columns of the table in *One latent, by hand* show
# the way out. For head h, with the latent c of a token:
#
# - score: q · (w_uk c) = (q w_uk) · c, so the query is multiplied once and then meets latents;
# - output: Σ p (w_uv c) = w_uv (Σ p c), so latents are averaged first and multiplied once.
#
# This is the **absorbed form**: the query has absorbed one matrix and the output the other.

# %% [markdown]
# Look at what is read now. All heads read the same latents: it is attention with *one* KV head, lesson 03's,
# and its values are the keys themselves (all but the rotary key). Each cached number works twice.
#
# Why is the rotary key kept apart? A turn R by the place of a token stands between query and matrix: q · R
# (w_uk c). It differs for each token, so no matrix can be absorbed once for all of them.

# %% [markdown]
# ## Exercise 2 · `absorbed_mla_attention`
#
# *25 minutes · difficulty 4 of 5*
#
# B rows, H heads, T queries, S tokens. `q_nope` (B, H, T, Dn) is the part of the queries that does not turn,
# `q_rope` (B, H, T, Dr) the part that does. `latent` is (B, S, rank) and `rope_key` (B, S, Dr), both turned
# and ready. `w_uk` is (H, Dn, rank), `w_uv` (H, Dv, rank). Return (B, H, T, Dv).
#
# - Scores are scaled by (Dn + Dr) ** -0.5. Query i sees the tokens up to S - T + i if `causal`, else all.
# - Make no keys and no values, not even of one head at a time. And let all heads read the latents where they
#   are: H · T rows of one matrix (lesson 03).

# %% nbgrader={"grade": false, "grade_id": "absorbed_mla_attention", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write latent attention that reads latents in place and makes no key or value."
def absorbed_mla_attention(q_nope, q_rope, latent, rope_key, w_uk, w_uv, causal=True):
    """Return latent attention (B, H, T, Dv) that reads latents and makes no key and no value."""
    ### BEGIN SOLUTION
    H, T, Dn = q_nope.shape[1:]
    S, scale = latent.shape[1], (Dn + q_rope.shape[-1]) ** -0.5
    q = (q_nope @ w_uk).flatten(1, 2)  # (B, H*T, rank)
    scores = (q @ latent.mT + q_rope.flatten(1, 2) @ rope_key.mT) * scale  # (B, H*T, S)
    if causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=latent.device).tril(S - T)
        scores = scores.masked_fill(~mask.repeat(H, 1), -torch.inf)
    read = scores.softmax(-1) @ latent  # (B, H*T, rank)
    return read.unflatten(1, (H, T)) @ w_uv.mT
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "absorbed_mla_attention-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} does="Checks absorbed_mla_attention: values, mask, scale, and that no keys, values or copies are made."
check("absorbed_mla_attention", absorbed_mla_attention)
### BEGIN HIDDEN TESTS
check("absorbed_mla_attention", absorbed_mla_attention, seed=None, cases=[
    {"B": 3, "H": 5, "T": 3, "S": 8, "Dn": 4, "Dr": 6, "rank": 7, "Dv": 5},
    {"B": 2, "H": 4, "T": 3, "S": 5, "Dn": 6, "Dr": 2, "rank": 4, "Dv": 9, "causal": None},
    {"B": 2, "H": 3, "T": 4, "S": 4, "Dn": 5, "Dr": 2, "rank": 8, "Dv": 5, "causal": False},
    {"B": 3, "H": 2, "T": 3, "S": 90, "Dn": 26, "Dr": 6, "rank": 13, "Dv": 22},
    {"B": 1, "H": 3, "T": 2, "S": 70, "Dn": 20, "Dr": 4, "rank": 9, "Dv": 16},
    {"B": 2, "H": 3, "T": 2, "S": 9, "Dn": 6, "Dr": 4, "rank": 6, "Dv": 6, "dtype": "float64"},
    {"B": 1, "H": 2, "T": 3, "S": 7, "Dn": 4, "Dr": 2, "rank": 3, "Dv": 5, "sharp": 1e5, "dtype": "float64"},
    {"B": 1, "H": 2, "T": 140, "S": 150, "Dn": 3, "Dr": 2, "rank": 4, "Dv": 5},
    {"B": 1, "H": 2, "T": 2, "S": 5, "Dn": 135, "Dr": 2, "rank": 4, "Dv": 140},
])
### END HIDDEN TESTS

# %% [markdown] hints="absorbed_mla_attention"
# <details><summary>Hint: two products around a plain attention</summary>
#
# `q_nope @ w_uk` brings each head's query to the latents' width. Then comes attention with one KV head whose
# keys and values are the latents, plus the rotary part of the scores. Then `@ w_uv.mT`.
# </details>
# <details><summary>If values are right and it still complains</summary>
#
# `latent[:, None]` in a product with (B, H, ...) queries is copied for each head (lesson 03). Flatten heads
# and queries to H * T rows first: (B, H*T, rank) @ (B, rank, S).
# </details>
# <details><summary>A worked step</summary>
#
# `q = (q_nope @ w_uk).flatten(1, 2)`; its part of the scores is `q @ latent.mT`, (B, H*T, S). The rotary part
# is made in the same way from `q_rope` and `rope_key`. Row h * T + i belongs to query i, so the mask is
# repeated H times.
# </details>

# %% [markdown]
# ## How much does absorbing save?
#
# One decode step over 1,024 tokens with the heads of DeepSeek-V2-Lite. Count the multiplications for one head
# and one cached token: expanded, both matrices and then the attention; absorbed, the attention over latents,
# and a token's share of the two products made once per step. **How many times as fast do you expect your
# function to be?**

# %% does="Counts multiplications of both forms per head and token, and makes inputs in DeepSeek-V2-Lite's sizes."
H, Dn, Dr, rank, S = 16, 128, 64, 512, 1024
count = {"expanded": rank * (Dn + Dn) + (Dn + Dr) + Dn, "absorbed": (rank + Dr) + rank + rank * (Dn + Dn) // S}
print(f"{count['expanded']:,} multiplications against {count['absorbed']:,}: {count['expanded'] / count['absorbed']:.0f} times as many")
torch.manual_seed(0)
q_nope, q_rope = torch.randn(1, H, 1, Dn), torch.randn(1, H, 1, Dr)
latent, rope_key = torch.randn(1, S, rank), torch.randn(1, S, Dr)
w_uk, w_uv = torch.randn(2, H, Dn, rank) / rank**0.5
given = q_nope, q_rope, latent, rope_key, w_uk, w_uv

# %% does="Writes the expanded form with keys and values; look at how far your outputs are from it."
from torch.nn.functional import scaled_dot_product_attention

def expanded(q_nope, q_rope, latent, rope_key, w_uk, w_uv):
    k, v = (torch.einsum("bsr,hdr->bhsd", latent, w) for w in (w_uk, w_uv))
    k = torch.cat([k, rope_key[:, None].expand(-1, H, -1, -1)], -1)
    return scaled_dot_product_attention(torch.cat([q_nope, q_rope], -1), k, v)

apart = (expanded(*given) - absorbed_mla_attention(*given)).abs().max()
print(f"outputs up to {expanded(*given).abs().max():.2f}, and at most {apart:.0e} apart: the same attention")

# %% does="Times both forms in turns; compare the ratio of times with that of multiplications, and note any noise."
from gqa_lib.measure import how_fast, summarise, time_arms

rows = time_arms({"expanded": lambda i: expanded(*given), "absorbed": lambda i: absorbed_mla_attention(*given)},
                 rounds=5, samples=2, budget_s=6)
for arm, timed in summarise(rows).items():
    print(f"{arm} {timed['p10'] * 1e3:8.2f} ms", "(noisy)" if timed["noisy"] else "")
print("absorbed, against expanded:", how_fast(rows, "absorbed", "expanded"))

# %% [markdown]
# For a prompt it is the other way round: there each latent is expanded once and then met by many queries, for
# 320 multiplications each instead of 1,088. Servers use both forms. So does the library's layer, which takes
# the one with fewer multiplications; its cache holds latents and rotary keys and nothing else:

# %% does="Runs the library's latent layer whole and in steps; compare outputs, and its bytes with yours."
from gqa_lib.attention import LatentAttention

layer = LatentAttention(2048, H, head_dim=Dn, rope_head_dim=Dr, kv_lora_rank=rank)
cache, x = layer.new_cache(batch_size=1, max_seq_len=100), torch.randn(1, 100, 2048)
with torch.no_grad():
    whole = layer(x)
    steps = torch.cat([layer(part, cache, absorbed=True) for part in x.split([60, 39, 1], 1)], 1)
print(f"whole and expanded, or in steps and absorbed: {(whole - steps).abs().max():.0e} apart")
print(f"{cache.nbytes / 100:.0f} bytes per token in float32; yours {mla_bytes_per_token(1, rank, Dr, 4)}")

# %% [markdown]
# One price: a latent belongs to all heads. On several GPUs, GQA gives each its own KV heads; with MLA every GPU
# needs all of each latent, unless the requests are spread instead.

# %% [markdown]
# ## Is it the bytes?
#
# Now the question from the beginning: 32 cached numbers, four ways to spend them, two seeds each. (About 30
# seconds on two free cores. The task needs no positions, so the whole 32 are latent and there is no rotary
# key.)

# %% does="Trains four designs of 32 cached numbers, two seeds each; takes about 30 seconds on free cores."
from gqa_lib.train import Heads, Latent, RecallTask, final, sweep

recall, SEEDS = RecallTask(), range(2)
DESIGNS = {"MHA": Heads(8, 8, 2), "GQA": Heads(8, 2, 8), "MQA": Heads(8, 1, 16), "MLA": Latent(8, 8, 8, kv_lora_rank=32)}
started = monotonic()
runs = final(sweep(recall, DESIGNS.values(), SEEDS, bar=True))
print(f"{len(runs)} models in {monotonic() - started:.0f} s")

# %% does="Prints right answers and parameters of each design, next to your guesses."
right = {name: [run["accuracy"] for run in runs[2 * place : 2 * place + 2]] for place, name in enumerate(DESIGNS)}
params = {name: runs[2 * place]["params"] for place, name in enumerate(DESIGNS)}
mean = {name: sum(shares) / len(shares) for name, shares in right.items()}
for name, heads in DESIGNS.items():
    print(f"{name}: {heads.cached_numbers} numbers, {params[name]:6,} parameters: right "
          + ", ".join(f"{share:.3f}" for share in right[name]))

# %% does="Plots the right answers of the four designs; compare the gaps between them with the seeds' spread."
from gqa_lib import plots

plots.use_style()
best, worst = max(mean, key=mean.get), min(mean, key=mean.get)
apart = min(right[best]) - max(right[worst])
finding = f"32 numbers each: {worst} {mean[worst]:.2f}, {best} {mean[best]:.2f}"
fig = plots.accuracy_by_cache({name: (32, shares) for name, shares in right.items()}, chance=recall.chance, title=finding)
plots.show(fig, alt="Share of right answers with 32 cached numbers: " + "; ".join(
    f"{name} " + ", ".join(f"{share:.2f}" for share in shares) for name, shares in right.items()))
for name, share in mean.items():
    outcome(f"right with {name}", share)

# %% does="Says whether the designs differ clearly, and whether the largest model is also the best."
print("The bytes alone do not decide." if apart > 0.1 else "In this run equal bytes give about equal answers.")
largest = max(params, key=params.get)
print(f"Most parameters: {largest}.", "It is not the best, so size alone is not what tells them apart." if best != largest
      else "It is also the best, so its size may be a reason.")

# %% [markdown]
# Lesson 09 found a limit set by what is cached. Designs can use the same numbers differently. A key of 2
# channels has little room to tell 16 records apart, and MHA has 8 such keys. MQA spends half of its numbers on
# one key and half on one value. MLA's 32 numbers are key *and* value, and each head looks at them through
# matrices of its own: weights that are read once per step, not once per token.
#
# Did MLA beat MHA here? In DeepSeek-V2's tables (as transcribed) it had a higher score than MHA on three of
# four hard benchmarks at each of two sizes, with 15.6 thousand instead of 110.6 thousand cached numbers at the
# smaller one.

# %% [markdown]
# ## Fewer bits, by hand
#
# A cached number usually takes 16 bits. **Quantisation** keeps a small whole number instead, a **code**. Take
# the four numbers of a key, 1.0, 1.9, 3.1 and 4.0, and 2 bits. The smallest is `low` = 1.0. Codes run from 0
# to 3, so there are 3 steps up to the largest, and `scale` = (4.0 - 1.0) / 3 = 1.0. The nearest codes are 0,
# 1, 2, 3; read back they are 1.0, 2.0, 3.0, 4.0.

# %% [markdown]
# ## Exercise 3 · `quantize_kv`
#
# *15 minutes · difficulty 3 of 5*
#
# `kv` is (B, H, S, D), keys or values. Numbers along `dim` share a `scale` and a `low`: with `dim=-1` those of
# one token's head, with `dim=-2` those of one channel over all tokens. `dim` may be given from the front (2 is
# -2). Return (codes, scale, low): codes in uint8, of `kv`'s shape; scale and low in `kv`'s dtype, of size 1
# along `dim`. `bits` is 1 to 8. Where all numbers of a slice are equal, scale and codes are 0.

# %% nbgrader={"grade": false, "grade_id": "quantize_kv", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write how keys or values become codes with a scale and a low for each slice."
def quantize_kv(kv, bits, dim=-1):
    """Return (codes, scale, low) of kv (B, H, S, D): codes from 0 to 2 ** bits - 1, the nearest."""
    ### BEGIN SOLUTION
    low, high = kv.amin(dim, keepdim=True), kv.amax(dim, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    step = torch.where(scale > 0, scale, 1)
    codes = ((kv - low) / step).round().to(torch.uint8)
    return codes, scale, low
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "quantize_kv-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks quantize_kv over bits and axes, equal numbers in a slice, and dtypes."
check("quantize_kv", quantize_kv)
### BEGIN HIDDEN TESTS
check("quantize_kv", quantize_kv, seed=None, cases=[
    *({"draw": n, "dim": (-1, -2, None)[n % 3]} for n in range(1, 10)),
    {"B": 2, "H": 2, "S": 6, "D": 5, "bits": 4, "dim": -2, "flat": True},
    {"B": 1, "H": 2, "S": 140, "D": 5, "bits": 4, "dim": -1},
])
### END HIDDEN TESTS

# %% [markdown] hints="quantize_kv"
# <details><summary>Hint: five lines</summary>
#
# Smallest and largest of each slice (`amin`, `amax`, with `keepdim=True`). Their distance over the number of
# steps. Subtract, divide, round.
# </details>
# <details><summary>If there is a NaN, or the largest code is wrong</summary>
#
# 0 / 0 is NaN: divide by 1 where the scale is 0. And 2 ** bits codes have 2 ** bits - 1 steps between them:
# with one more the largest number gets a code that does not fit, or is cut off.
# </details>
# <details><summary>A worked step</summary>
#
# `scale = (high - low) / (2**bits - 1)`, then `((kv - low) / step).round().to(torch.uint8)`, where `step` is
# `scale`, and 1 where that is 0.
# </details>

# %% [markdown]
# ## Exercise 4 · `dequantize_kv`
#
# *3 minutes · difficulty 1 of 5*
#
# And back: code 0 is `low`, and each step adds `scale`.

# %% nbgrader={"grade": false, "grade_id": "dequantize_kv", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write how codes, scale and low become numbers again."
def dequantize_kv(codes, scale, low):
    """Return the numbers that codes stand for, in scale's dtype."""
    ### BEGIN SOLUTION
    return codes * scale + low
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "dequantize_kv-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks that dequantize_kv gives the numbers that codes stand for, in the scale's dtype."
check("dequantize_kv", dequantize_kv)
### BEGIN HIDDEN TESTS
check("dequantize_kv", dequantize_kv, seed=None, cases=[
    *({"draw": n, "dim": (-1, -2)[n % 2]} for n in range(1, 9)), {"B": 1, "H": 2, "S": 140, "D": 5, "bits": 4},
])
### END HIDDEN TESTS

# %% [markdown] hints="dequantize_kv"
# <details><summary>Hint: read the sentence above</summary>
#
# `low`, and code times `scale`.
# </details>
# <details><summary>If all numbers of a slice are off by the same amount</summary>
#
# `low` is a number of `kv`, not a code: multiply first, then add.
# </details>
# <details><summary>A worked step</summary>
#
# Code 3 with scale 0.5 and low -1.0 is 3 · 0.5 - 1.0 = 0.5.
# </details>

# %% [markdown]
# ## What a code really takes
#
# Codes of fewer than 8 bits must be packed, several to a byte. Your uint8 codes are not; we count them as if
# they were. And a scale and a low are kept for each slice, say in 16 bits each. **With 2-bit codes and slices
# of 8 numbers, how many bits does a number take?**

# %% does="Prints bits per number, scales included, for several slice sizes; compare short with long slices."
def bits_per_number(bits, slice_size):
    """Of a code, and its share of a scale and a low of 16 bits."""
    return bits + 2 * 16 / slice_size

for size in (8, 24, 64, 128):
    print(f"slices of {size:3}: " + ", ".join(f"{bits}-bit codes take {bits_per_number(bits, size):.2f}" for bits in (4, 2)))

# %% [markdown]
# With the heads of 128 that models have, a token's slice adds a quarter of a bit. With the tiny heads of our
# recall models it adds four. So count bits with their scales, always.

# %% [markdown]
# ## Fewer bits or fewer heads?
#
# Two models of the recall task: MHA with 8 KV heads of 8, and GQA with 4, which halves the cache. (About 12
# seconds.) Then K and V go through your two functions: what the attention reads is what would come out of a
# cache of codes. **How many bits does MHA need to beat GQA's 16?**

# %% does="Trains two recall models with 8 and 4 KV heads; look at their answers in 16 bits."
from gqa_lib.train import train

models = {kv: train(recall, Heads(8, kv, 8), seed=0)[0] for kv in (8, 4)}
plain = {kv: recall.evaluate(model)["accuracy"] for kv, model in models.items()}
print("16 bits:", ", ".join(f"{kv} KV heads {share:.3f}" for kv, share in plain.items()))

# %% does="Defines a test in which the model's K and V pass through your codes; prints nothing."
def in_codes(model, bits, dim):
    """The share of right answers where K and V are read from codes."""
    def through_codes(module, inputs, out):
        heads = out.unflatten(-1, (-1, 8)).transpose(1, 2)  # (B, Hkv, tokens, 8)
        return dequantize_kv(*quantize_kv(heads, bits, dim)).transpose(1, 2).flatten(2)
    hooks = [part.register_forward_hook(through_codes) for part in (model.attention.k_proj, model.attention.v_proj)]
    share = recall.evaluate(model)["accuracy"]
    for hook in hooks:
        hook.remove()
    return share

# %% does="Evaluates both models at 8 to 1 bits, by token and by channel; look where answers fall."
TOKENS = recall.num_records + recall.num_queries
SLICES = {"by token": (-1, 8), "by channel": (-2, TOKENS)}
curves = {}
for kv, name in ((8, "MHA: 8 KV heads"), (4, "GQA: 4")):
    for how, (dim, size) in SLICES.items():
        line = {2 * kv * 8 * 16.0: plain[kv]}  # as it is, without scales
        line |= {2 * kv * 8 * bits_per_number(bits, size): in_codes(models[kv], bits, dim) for bits in (8, 4, 3, 2, 1)}
        curves[f"{name}, {how}"] = line
for name, line in curves.items():
    print(f"{name:27}", "  ".join(f"{share:.3f} at {bits:,.0f}" for bits, share in line.items()))

# %% does="Plots right answers over stored bits per token; compare 8 heads in codes with 4 heads."
half = 2 * 4 * 8 * 16  # bits of GQA-4, as it is
within = {name: max(share for bits, share in line.items() if bits <= half) for name, line in curves.items()}
best_mha = max((name for name in curves if name[:3] == "MHA"), key=within.get)
won = within[best_mha] - plain[4]
fig = plots.accuracy_by_bits(
    curves, chance=recall.chance,
    title=f"In {half:,} bits a token: 8 heads in codes {within[best_mha]:.2f}, 4 heads in 16 bits {plain[4]:.2f}",
    note="Scale and low of each slice counted as 16 bits each. One seed.")
plots.show(fig, alt="Right answers by bits per token: " + "; ".join(
    f"{name} " + ", ".join(f"{share:.2f} at {bits:,.0f}" for bits, share in line.items()) for name, line in curves.items()))

# %% does="Says who is ahead in equal bits, and how many bits keep nearly all 16-bit answers."
print(f"In the {half:,} bits of 4 heads, 8 heads in codes ({best_mha.partition(', ')[2]}) are {won:+.3f} ahead.",
      "Here bits are the cheaper cut." if won > 0.01 else "Here neither cut is clearly cheaper.")
least = {name: min(bits for bits, share in line.items() if share > plain[8] - 0.01) for name, line in curves.items() if name[:3] == "MHA"}
print("Within 0.01 of the 16-bit answers:", ", ".join(f"{name} needs {bits:,.0f} bits" for name, bits in least.items()))

# %% [markdown]
# Two cautions. A short slice is more exact and its scales cost much; a long one is the other way round: compare
# the bits that are stored, not those of a code. And a slice along the tokens has a scale only when its tokens
# are there, so the newest stay in 16 bits until enough have come: fewer than 128 by default in [transformers'
# `QuantizedCache`](https://github.com/huggingface/transformers), which puts a prompt in codes at once. Suppose
# that the newest 128 always stay in 16 bits. What does that leave of "2 bits" at a short context?

# %% does="Computes average bits when the newest 128 tokens stay in 16; compare short with long contexts."
for context in (150, 1000, 32_000):
    newest = min(128, context)
    average = (newest * 16 + (context - newest) * bits_per_number(2, 128)) / context
    print(f"{context:6,} tokens, the newest 128 in 16 bits: {average:.1f} bits per number, {16 / average:.1f} times smaller")

# %% [markdown]
# ## Keys by channel, values by token
#
# [KIVI](https://arxiv.org/abs/2402.02750) stores language models' caches in 2 bits, without tuning: keys in
# slices by channel, values by token. It reports 2.6 times less peak memory, weights included. Why by channel?
# Because real keys have an **outlier channel** here and there: one whose numbers are many times as large as
# all others, in every token. Make such keys. **Which way of slicing is hurt?**

# %% does="Codes keys with and without a large channel; look at the other channels' error each way."
keys = torch.randn(1, 1, 128, 64, generator=torch.Generator().manual_seed(1))
for name, factor in (("all channels alike", 1), ("one channel 30 times as large", 30)):
    made = keys.clone()
    made[..., 5] *= factor
    for how, dim in (("token", -1), ("channel", -2)):
        error = dequantize_kv(*quantize_kv(made, 2, dim)) - made
        others = error[..., torch.arange(64) != 5].square().mean().sqrt()
        print(f"{name:29} by {how:7}: the other channels are off by {others:.2f} (root mean square)")

# %% [markdown]
# By token the one large number mostly sets the scale for all 64, and the others fall on one or two codes. By
# channel it has a scale to itself. In values KIVI found no such channels. With a scale for each token an error
# stays within that token, and most tokens get little attention.

# %% [markdown]
# ### Spot the bug
#
# `k, v = expand_kv(k, R), expand_kv(v, R)`, then `quantize_kv(k, 4)` and `quantize_kv(v, 4)`, and all of it is
# kept. The output is right to 4 bits. What has this cache saved, against the same GQA cache in 16 bits, with R
# = 4 query heads per KV head, and what should it have?

# %% [markdown]
# <details><summary>Answer</summary>
#
# Nothing: 4 copies of 4 bits are 16 bits, and scales come on top. Quantise the KV heads as they come, and
# expand nothing: then it is 4 times smaller, and 4 · 4 = 16 times smaller than MHA, before scales. (Issue 67 of
# turboquant-vllm reports this order.)
# </details>

# %% [markdown]
# ## What did the designers spend their bytes on?
#
# The cache of a model is a product:
#
# bytes = layers that keep something × numbers per token × tokens kept × bits / 8
#
# GQA and latents cut numbers. Sliding windows cut tokens. Linear layers that keep a state of fixed size, and
# layers that share another's cache, cut layers. Codes cut bits, in every layer alike. Compare real models, at
# 32,768 tokens, with an MHA of as many layers in which every query head keeps a key and a value of `head_dim`.
# (Gemma 4's window layers and MiMo's values are narrower than that: part of their cut in numbers. States of
# fixed size are not counted.) **Which cut gives most in each? And do the three shares multiply to the real
# one?**

# %% does="Defines what each cut alone leaves of MHA's cache, and what all together really leave."
def left_of_mha(config, context):
    """The shares of MHA's cache that are left, each cut taken alone; and the real one."""
    own = [layer for layer in config.kv_layers if layer.kind != "none" and layer.shares is None]
    mha = 2 * config.num_heads * config.head_dim
    tokens = [min(context, layer.window or context) for layer in own]
    shares = {
        "numbers": sum(layer.elements for layer in own) / len(own) / mha,
        "layers": len(own) / config.num_layers,
        "tokens": sum(tokens) / len(own) / context,
    }
    kept = sum(layer.elements * count for layer, count in zip(own, tokens))
    return shares, kept / (config.num_layers * mha * context)

# %% does="Prints shares, their product and the real share of ten models; look where the two differ."
MODELS = ("Llama-3.1-8B", "DeepSeek-V3", "OLMo-3-7B", "Gemma-3-27B", "gpt-oss-120b", "Hunyuan-Large",
          "Qwen3.5-27B", "Kimi-Linear-48B-A3B", "MiMo-V2-Flash", "Gemma-4-31B")
shares, real, product = {}, {}, {}
for name in MODELS:
    shares[name], real[name] = left_of_mha(load_model(name), 32_768)
    product[name] = shares[name]["numbers"] * shares[name]["layers"] * shares[name]["tokens"]
    cuts = ", ".join(f"{cut} {share:.2f}" for cut, share in shares[name].items())
    print(f"{name:20} {cuts}: product {product[name]:.4f}, really {real[name]:.4f}")

# %% does="Plots the cuts of each model, and prints for which of them the product is exact."
most = {name: min(cuts, key=cuts.get) for name, cuts in shares.items()}
fewest = min(real, key=real.get)
fig = plots.saving_bars(
    shares, real, title=f"Of these, {fewest} keeps the smallest share of its MHA's cache: 1/{1 / real[fewest]:.0f}",
    xlabel="times halved by each cut taken alone; mark: all cuts together", note="At 32,768 tokens, against MHA with heads of head_dim. Bits and fixed states are left out.")
plots.show(fig, alt="Largest cut of each model: " + "; ".join(
    f"{name} {cut} ({shares[name][cut]:.2f} left), of all 1/{1 / real[name]:.0f}" for name, cut in most.items()))
exact = [name for name in MODELS if abs(product[name] / real[name] - 1) < 1e-9]
print("The product is exact for", ", ".join(exact))
for name in MODELS:
    if name not in exact:
        print(f"{name}: really {real[name] / product[name]:.2f} times the product")

# %% [markdown]
# Cuts multiply exactly where they are **independent cuts**: where what one leaves in a layer does not depend on
# what another leaves there. Windows in some layers only do no harm while all caching layers keep as many
# numbers per token. In the models of the last lines, layers with a window and layers without one keep different
# numbers per token, so the shares of the average layer do not tell. There, add up layer by layer (lesson 05).
#
# Two more cases in which you may not multiply. An eviction that chooses tokens for each *query* head needs up
# to R sets of tokens per KV head, which takes GQA's saving
# [back](https://github.com/FasterDecoding/SnapKV/issues/16). And paging saves what was reserved and never
# used; a stored token takes as many bytes as before.

# %% [markdown]
# ## What this does not tell you
#
# - The recall task has 24 tokens, no positions and one layer. A rotary key would take some of the 32 numbers,
#   and how MLA and GQA compare in a large model is for training to say (lesson 09). Two seeds can show a large
#   difference, not a small one.
# - Codes went through your functions in float32, and nothing became faster here. Speed needs a kernel that
#   reads codes; vLLM's documentation reports 1 % more tokens per second at 2k of context and 21 % at 32k for
#   8-bit numbers, at batch 1.
# - What few bits cost depends on the model. [One project](https://github.com/TheTom/llama-cpp-turboquant/issues/54)
#   reports a perplexity of 2,887 instead of 7.43 for Qwen2.5-7B with its codes for keys and values, and one
#   that is 4.4 % higher for Mistral-7B. Measure with your own evaluations.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - A latent is key and value of all heads at once. Absorbed, it is read like one KV head, and no key is made.
# - Equal bytes need not give equal answers: what a design makes of its numbers differs, and only training shows
#   it.
# - Numbers, layers, tokens and bits multiply where they are independent. Count scales, and ask what a
#   percentage is of.

# %% [markdown] generated="ending"

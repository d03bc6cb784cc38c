# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# Lesson 06 counted the least bytes of a decode step: K and V read once. But what makes sure that
# they are? With one KV head there are 32 query heads and one stretch of memory, and a machine with
# 2, 16 or 132 processors. **How can all of them work on one head, and still read every key only
# once?**

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports the lesson's tools and switches on Triton's interpreter if there is no GPU."
import os

import torch

from gqa_lib.learn import check, check_no_copy, check_quiz, guess, guessed, hint, outcome, show_quiz

if not torch.cuda.is_available():  # run kernels in Python; must be said before triton is imported
    os.environ |= {"TRITON_INTERPRET": "1", "TRITON_FRONT_END_DEBUGGING": "1"}
try:
    import triton
    from triton import language as tl
except ImportError:  # macOS, Windows
    from gqa_lib.learn.watch.no_triton import tl, triton

# %% does="Says whether Triton is there, and whether it compiles your kernels or interprets them."
from importlib.util import find_spec

HAVE_TRITON = find_spec("triton") is not None
if not HAVE_TRITON:
    print("Triton is not installed: it is made for Linux (and is on Colab and Kaggle). Exercises 4 "
          "and 5 need it; everything else in this lesson works without.")
elif torch.cuda.is_available():
    print(f"Triton {triton.__version__} will compile your kernels for {torch.cuda.get_device_name()}.")
else:
    print(f"Triton {triton.__version__} will run your kernels in its interpreter, on this CPU.")

# %% [markdown]
# ## By hand: a softmax in two halves
#
# One query, four keys, `head_dim` 1. The scores are 1, 3, 2, 5 and the values 10, 20, 30, 40. Softmax
# divides by the sum over *all* keys, so it seems that someone must see all four.

# %% does="Computes a softmax over four scores and its output, the result to compare later ones with."
scores, values = torch.tensor([1.0, 3.0, 2.0, 5.0]), torch.tensor([10.0, 20.0, 30.0, 40.0])
print("softmax:", [f"{w:.4f}" for w in scores.softmax(0)])
print(f"output:  {scores.softmax(0) @ values:.4f}")

# %% [markdown]
# **Online softmax** walks over the keys once and keeps three numbers: the largest score so far `m`, the
# sum `l` of exp(score - m), and `acc`, the same sum with each term times its value. When a larger score
# turns up, the old sums were taken from the wrong maximum: multiply them by exp(old m - new m).

# %% does="Walks over the four keys with an online softmax; watch the rescaling factor `old` and the last line."
m, l, acc = float("-inf"), torch.tensor(0.0), torch.tensor(0.0)
print("score      m    old      l      acc   acc / l")
for score, value in zip(scores, values):
    new_m = max(m, score.item())
    old, p = torch.tensor(m - new_m).exp(), (score - new_m).exp()
    l, acc, m = l * old + p, acc * old + p * value, new_m
    print(f"{score:5.0f}  {m:5.0f} {old:6.3f} {l:6.3f} {acc:8.3f} {acc / l:9.4f}")

# %% [markdown]
# The last line is the output from above, and no score was kept. After two keys the same loop holds the
# answer *for those two*. ([Milakov and Gimelshein 2018](https://arxiv.org/abs/1805.02867) wrote it down
# for softmax; FlashAttention made kernels of it.)

# %% [markdown]
# Now let two workers take two keys each. Each returns its output and **log-sum-exp** (lse), the
# logarithm of its sum of exponentials: m + log(l). That is all the other one needs to know.

# %% does="Computes two halves separately and merges them by log-sum-exp; compare the output with the whole softmax."
lse = [half.logsumexp(0) for half in scores.split(2)]
out = [half.softmax(0) @ v for half, v in zip(scores.split(2), values.split(2))]
for name, o, s in zip("ab", out, lse):
    print(f"part {name}: output {o:.4f}, lse {s:.4f}, sum of exponentials {s.exp():8.3f}")
total = lse[0].exp() + lse[1].exp()
print(f"merged: {lse[0].exp() / total:.4f} of a + {lse[1].exp() / total:.4f} of b = "
      f"{(lse[0].exp() * out[0] + lse[1].exp() * out[1]) / total:.4f}")

# %% [markdown]
# ## Exercise 1 · `merge_partials`
#
# *20 minutes · difficulty 3 of 5*
#
# The same for tensors, and for any numbers. exp(89) is too large for float32 and scores do get there,
# so never take exp of an lse as it is. A part without keys has lse = -inf; whatever its output holds,
# even inf or NaN, does not count. Two empty parts make zeros and -inf.

# %% nbgrader={"grade": false, "grade_id": "merge_partials", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write how two parts' outputs and log-sum-exps become one, also for empty parts."
def merge_partials(out_a, lse_a, out_b, lse_b):
    """Return the output (..., D) and log-sum-exp (...) of two parts of the keys together."""
    ### BEGIN SOLUTION
    lse = torch.logaddexp(lse_a, lse_b)
    out = 0
    for part, part_lse in ((out_a, lse_a), (out_b, lse_b)):
        share = (part_lse - lse).exp().unsqueeze(-1)  # NaN where both are empty
        out = out + torch.where(part_lse.unsqueeze(-1) == -torch.inf, 0.0, share * part)
    return out, lse
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "merge_partials-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks your merge on large scores, empty parts and outputs that hold inf or NaN."
check("merge_partials", merge_partials)
### BEGIN HIDDEN TESTS
check("merge_partials", merge_partials, seed=None, cases=[
    {"shape": (3, 4), "D": 6}, {"shape": (5,), "D": 2, "offset": 1000.0, "dtype": "float64"},
    {"shape": (2, 3), "D": 3, "offset": -300.0}, {"shape": (2, 3), "D": 3, "offset": 300.0, "gap": -400.0},
    {"shape": (3, 8), "D": 4, "empty": "mixed", "offset": 95.0}, {"shape": (1, 2), "D": 4, "empty": "ab"},
    {"shape": (4, 1), "D": 4, "empty": "a", "dtype": "float64"}, {"shape": (1, 150), "D": 2, "gap": 7.0},
    {"shape": (2, 3), "D": 7, "extreme": True}, {"shape": (1, 150, 2), "D": 2, "offset": -5000.0, "dtype": "float64"},
])
### END HIDDEN TESTS

# %% [markdown] hints="merge_partials"
# <details><summary>Hint: shares</summary>
#
# First the merged lse: `torch.logaddexp` adds two sums of exponentials that are given as logarithms.
# Then each part's share is exp(its lse - the merged lse): between 0 and 1, whatever the lse.
# </details>
# <details><summary>If NaN comes out where a part is empty</summary>
#
# A share of 0 does not silence inf or NaN: 0 · inf is NaN. And where both are empty, -inf - (-inf) is NaN
# itself. `torch.where(lse_a.unsqueeze(-1) == -torch.inf, 0.0, ...)` picks instead of multiplying.
# </details>
# <details><summary>A worked step</summary>
#
# `share_a = (lse_a - lse).exp().unsqueeze(-1)` has shape (..., 1) and fits out_a (..., D). The same for
# b; add the two products.
# </details>

# %% [markdown]
# Since merging knows nothing of what its parts are, it also merges merged parts, in any order.

# %% does="Merges three parts in two orders; look at how small the difference is."
parts = [(torch.randn(4), torch.randn(())) for _ in range(3)]
left = merge_partials(*merge_partials(*parts[0], *parts[1]), *parts[2])
right = merge_partials(*parts[2], *merge_partials(*parts[1], *parts[0]))
print(f"largest difference between two orders: {(left[0] - right[0]).abs().max():.1e}")

# %% [markdown]
# ### Spot the bug
#
# "The parts have the same number of keys, so I average their outputs. It looks right on my data." The
# data were random keys and short queries. That merge and four others hide below. When does each of
# them stop looking right? One input can expose all five.

# %% does="Merges two parts that count the same by five wrong merges; write parts that expose the others."
from gqa_lib.learn import hunt

zero = torch.tensor(0.0)  # the lse of both: each part counts as much as the other
hunt("merge_partials", (torch.tensor([1.0]), zero, torch.tensor([3.0]), zero))

# %% [markdown]
# <details><summary>Answer</summary>
#
# With scores near 0 all keys weigh the same and so do the halves. As soon as one key stands out, its
# half should count for nearly everything, and the average gives it one half. Test with sharp scores:
# two lse that differ, but not so much that one part vanishes, and both too large for exp. After exercise
# 2, `hunt("split_kv_decode")` has more.
# </details>

# %% [markdown]
# ## Exercise 2 · `split_kv_decode`
#
# *20 minutes · difficulty 3 of 5*
#
# A decode step with the keys cut into `num_splits` parts, as even as you can; each gives (output, lse),
# and `merge_partials` puts them together. Any `num_splits` from 1 to more than S. Fold the query heads
# as in lesson 04: query head h reads KV head h // q_per_kv, and no copy of K or V is made.

# %% nbgrader={"grade": false, "grade_id": "split_kv_decode", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write a decode step that attends to the keys part by part and merges the parts."
def split_kv_decode(q, k, v, num_splits):
    """Return attention of q (B, Hq, 1, D) over k, v (B, Hkv, S, D), part by part: (B, Hq, 1, D)."""
    ### BEGIN SOLUTION
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])  # (B, Hkv, R, D)
    out, lse = torch.zeros_like(rows), torch.full_like(rows[..., 0], -torch.inf)
    for k_part, v_part in zip(k.tensor_split(num_splits, dim=2), v.tensor_split(num_splits, dim=2)):
        scores = rows @ k_part.mT / q.shape[-1] ** 0.5  # (B, Hkv, R, keys of this part)
        out, lse = merge_partials(out, lse, scores.softmax(-1) @ v_part, scores.logsumexp(-1))
    return out.reshape(q.shape)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "split_kv_decode-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks your split decode for various numbers of parts, also more parts than keys."
check("split_kv_decode", split_kv_decode)
### BEGIN HIDDEN TESTS
check("split_kv_decode", split_kv_decode, seed=None, cases=[
    {"B": 2, "Hq": 10, "Hkv": 2, "S": 23, "D": 6, "parts": 7},
    {"B": 1, "Hq": 3, "Hkv": 1, "S": 10, "D": 4, "parts": 4, "dtype": "float64"},
    {"B": 3, "Hq": 4, "Hkv": 2, "S": 3, "D": 4, "parts": 11},
    {"B": 2, "Hq": 9, "Hkv": 3, "S": 17, "D": 8, "parts": 3, "sharp": 80.0},
    {"B": 1, "Hq": 4, "Hkv": 2, "S": 300, "D": 5, "parts": 7}, {"B": 1, "Hq": 4, "Hkv": 2, "S": 9, "D": 5, "parts": 2, "extreme": True},
    {"B": 1, "Hq": 6, "Hkv": 3, "S": 11, "D": 5, "parts": 4, "low": 1e5, "dtype": "float64"},
])
### END HIDDEN TESTS

# %% nbgrader={"grade": true, "grade_id": "split_kv_decode-copies", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks that your split decode makes no copy of K or V."
check_no_copy("split_kv_decode", split_kv_decode)
### BEGIN HIDDEN TESTS
check_no_copy("split_kv_decode", split_kv_decode, seed=None, cases=[
    {"B": 2, "Hq": 15, "Hkv": 3, "S": 50, "D": 24, "parts": 1},
    {"B": 2, "Hq": 12, "Hkv": 3, "S": 80, "D": 24, "parts": 5},
])
### END HIDDEN TESTS

# %% [markdown] hints="split_kv_decode"
# <details><summary>Hint: start with nothing</summary>
#
# Zeros with an lse of -inf are a part without keys: a good start for a loop that merges one part after
# another into what it has.
# </details>
# <details><summary>If it fails only when num_splits does not divide S, or exceeds it</summary>
#
# `k.tensor_split(num_splits, dim=2)` makes parts that differ by one key at most, and empty ones when
# there are more parts than keys. The softmax of no scores times no values is zeros, and their logsumexp
# is -inf: `merge_partials` takes them.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])  # (B, Hkv, R, D)
# scores = rows @ k_part.mT / q.shape[-1] ** 0.5
# ```
# The part's output is `scores.softmax(-1) @ v_part`, its lse `scores.logsumexp(-1)`.
# </details>

# %% [markdown]
# ## Predict, then measure: who is idle?
#
# Parts do not need each other, so they can run side by side. One sequence, 32 query heads, **one** KV
# head, 65,536 tokens: the obvious piece of work is one KV head, and there is only one of it. Below,
# each piece goes to the next free thread and notes when it ran. **How many times as fast as one
# part are 8 or more?** (The cell that measures takes about 5 seconds.)

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("many parts as fast as 1", None)

# %% does="Sets the sizes and draws random queries, keys and values for one KV head."
import time
from concurrent.futures import ThreadPoolExecutor

THREADS, R, TOKENS, D = torch.get_num_threads(), 32, 65_536, 64
PARTS = max(8, 2 * THREADS)
rows, (k, v) = torch.randn(R, D), torch.randn(2, TOKENS, D)

# %% does="Defines one piece of work: attention over a part, with the times when it began and ended."
def piece(k_part, v_part):
    start = time.perf_counter()
    scores = rows @ k_part.mT / D**0.5
    out, lse = scores.softmax(-1) @ v_part, scores.logsumexp(-1)
    return out, lse, start, time.perf_counter()

# %% does="Defines how all parts go to a pool of threads, each noting which thread ran it."
import threading

def run(pool, num_splits):
    """Return each part's (output, lse, start, end, thread), in seconds."""
    work = lambda one: (*piece(*one), threading.get_ident())
    return list(pool.map(work, zip(k.tensor_split(num_splits), v.tensor_split(num_splits))))

# %% does="Defines the span of a run and the share of thread time used; prints the best possible gain."
def span(pieces):
    return max(p[3] for p in pieces) - min(p[2] for p in pieces)

def share_busy(pieces):
    """Return the share of all threads' time, from first start to last end, spent on pieces."""
    return sum(p[3] - p[2] for p in pieces) / (THREADS * span(pieces))
print(f"{THREADS} threads: if they share the work evenly, {PARTS} parts are at best {THREADS} times as fast as 1")

# %% does="Times one part against several, one thread for each piece; takes about five seconds."
from gqa_lib.measure import summarise, time_arms

torch.set_num_threads(1)  # one thread a piece, as one processor of a GPU has one
with ThreadPoolExecutor(THREADS) as pool:
    samples = time_arms({n: lambda i, n=n: run(pool, n) for n in (1, THREADS, PARTS)}, rounds=20, budget_s=6)
    seen = {n: min((run(pool, n) for _ in range(20)), key=span) for n in (1, PARTS)}
torch.set_num_threads(THREADS)
timing = summarise(samples)

# %% does="Prints the time for each number of parts; look at how many times as fast as one."
for n, t in timing.items():
    print(f"{n:3} parts: {t['median'] * 1e3:8,.3f} ms, {timing[1]['median'] / t['median']:.2f} times as fast as one",
          "(noisy)" if t["noisy"] else "")
outcome("many parts as fast as 1", timing[1]["median"] / timing[PARTS]["median"],
        noisy=timing[1]["noisy"] or timing[PARTS]["noisy"])

# %% does="Draws when each thread worked; look at the empty lanes with one part."
from gqa_lib import plots

plots.use_style()
busy = {n: share_busy(pieces) for n, pieces in seen.items()}
titles = {n: f"{n} part{'s' * (n > 1)}: {len({p[4] for p in pieces})} of {THREADS} threads work, "
             f"{busy[n]:.0%} of their time is used" for n, pieces in seen.items()}
fig = plots.thread_times(
    {titles[n]: [(p[4], p[2], p[3]) for p in pieces] for n, pieces in seen.items()}, THREADS,
    note="the best of twenty runs of each")
plots.show(fig, alt=f"When each thread worked on one KV head. In one part: {busy[1]:.0%} of the threads' time is "
           f"used. In {PARTS} parts: {busy[PARTS]:.0%}.")

# %% [markdown]
# <details><summary>If your split run is less than that many times as fast</summary>
#
# The threads share one memory, and others on the machine take turns on the processors. On a GPU the
# same picture has 132 lanes (an H100 SXM's multiprocessors): 8 KV heads at batch 1 leave 124 of them
# idle. *Flash-decoding* ([Dao et al. 2023](https://crfm.stanford.edu/2023/10/12/flashdecoding.html)) is
# what you just wrote, as a kernel.
# </details>

# %% [markdown]
# Splitting is not free: every part writes an output and an lse that must be read again.

# %% does="Computes the extra traffic of partial results; watch it grow with the number of parts."
def extra(num_splits, Hq=32, Hkv=8, D=128, S=4096, kv_bytes=2):
    """Return the partials' traffic, written and read in float32, over that of K and V."""
    return 2 * num_splits * Hq * (D + 1) * 4 / (2 * Hkv * S * D * kv_bytes)

for n in (2, 8, 16, 64, 256):
    print(f"{n:4} parts of 4,096 tokens, 8 KV heads in bf16: {extra(n):6.1%} more bytes")

# %% [markdown]
# So: as many parts as keep every processor busy, and no more. This course's rule is at most 3 %.

# %% [markdown]
# ## What a kernel is
#
# A **kernel** is a function that a GPU runs many times at once. Each run is a **program** and has a
# number, `tl.program_id`. A program loads **tiles** (small blocks with power-of-two sides) from memory,
# computes with them on the chip and stores the result. In PyTorch `scores` went to memory and back;
# here it never leaves the chip. [Triton](https://triton-lang.org) kernels are written in Python.

# %% does="Runs a first kernel that doubles ten numbers in three programs of four; look at what the mask does."
@triton.jit
def double_kernel(x, out, length, KEYS: tl.constexpr):
    n = tl.program_id(0) * KEYS + tl.arange(0, KEYS)  # this program's numbers
    tile = tl.load(x + n, mask=n < length, other=0.0)  # x is an address; masked places are not read
    tl.store(out + n, tile * 2, mask=n < length)

device = "cuda" if torch.cuda.is_available() else "cpu"
if HAVE_TRITON:
    x = torch.arange(10.0, device=device)
    out = torch.full_like(x, -1)
    double_kernel[(3,)](x, out, 10, KEYS=4)  # 3 programs of 4 numbers for 10 numbers
    print(out.tolist())

# %% [markdown]
# `x + n` are twelve addresses in three programs; ten exist. **Nothing checks them.** Without the
# mask the last two are read all the same, from whatever is there. `tl.constexpr` marks sizes that
# are fixed when the kernel is compiled; `other` is what masked places hold.

# %% [markdown]
# ## One KV head, one tile
#
# The plan of the decode kernel. The `q_per_kv` query heads of one KV head are the rows of **one** tile,
# so each key that is loaded serves all of them. That is folding, done where it counts.

# %% does="Draws the tiles of q, K and scores; look at which places are padding."
fig = plots.tile_product(
    ["q: ROWS x D\n6 query heads, 10 rows of padding", "K, turned: D x KEYS\n11 keys left, 5 past the end",
     "scores: ROWS x KEYS\n6 x 11 are real, none leave the chip"], size=16, rows=6, keys=11,
    title="One load of K serves all query heads of its KV head",
    note="Hatched: loaded as 0 and not read from memory. A score past the end must become minus infinity\n"
         "before the softmax, and no row of padding may be stored.")
plots.show(fig, alt="Three tiles of 16 by 16. Of q 6 rows are query heads and 10 padding. Of K 11 keys are real and "
           "5 lie past the end. In their product 6 by 11 scores are real.")

# %% [markdown]
# ## Exercise 3 · `tile_rows`
#
# *5 minutes · difficulty 1 of 5*
#
# How many rows does the tile need for `q_per_kv` query heads? A GPU's matrix units need at least 16
# rows, and Triton's tiles have power-of-two sides. Rows of padding cost next to nothing: the time
# goes into loading K.

# %% nbgrader={"grade": false, "grade_id": "tile_rows", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write how many rows the tile of queries needs."
def tile_rows(q_per_kv):
    """Return the least power of two that is at least 16 and at least q_per_kv."""
    ### BEGIN SOLUTION
    return max(16, triton.next_power_of_2(q_per_kv))
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "tile_rows-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks the number of rows for small, large and not power-of-two numbers of query heads."
check("tile_rows", tile_rows)
### BEGIN HIDDEN TESTS
check("tile_rows", tile_rows, seed=None, cases=[{"q_per_kv": 200}, *({"draw": n} for n in range(1, 40))])
### END HIDDEN TESTS

# %% [markdown] hints="tile_rows"
# <details><summary>Hint: two conditions</summary>
#
# Find the power of two first, then make sure that it is not below 16.
# </details>
# <details><summary>If it is wrong for 40 only</summary>
#
# 48 is a multiple of 16, but not a power of two.
# </details>
# <details><summary>A worked step</summary>
#
# `triton.next_power_of_2(5)` is 8, and `max(16, 8)` is 16.
# </details>

# %% [markdown]
# ## Exercise 4 · `scores_kernel`, one tile
#
# *25 minutes · difficulty 4 of 5*
#
# One KV head, R query heads. Program i computes the scores of keys i · KEYS to (i + 1) · KEYS - 1. Key t
# begins at address `k + t * stride_t` and its D numbers are next to each other. Row r of `scores`
# begins at `scores + r * length`. Load K's tile, multiply with `tl.dot`, store: three masks to
# think about. Ask `tl.dot` for full float32 with `input_precision="ieee"`: GPUs else round to 10 bits.

# %% nbgrader={"grade": false, "grade_id": "scores_kernel", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write the kernel that computes the scores of one tile of keys."
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    """Store q (R, D) times the keys (length, D), times scale, as scores (R, length)."""
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + r[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)  # (ROWS, D)
    ### BEGIN SOLUTION
    t = tl.program_id(0) * KEYS + n
    k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
    tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale  # (ROWS, KEYS)
    real = (r < R)[:, None] & (t < length)[None, :]
    tl.store(scores + r[:, None] * length + t[None, :], tile, mask=real)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "scores_kernel-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks the scores, the masks at every edge, the tile's sides and the precision asked for."
check("scores_kernel", scores_kernel)
### BEGIN HIDDEN TESTS
check("scores_kernel", scores_kernel, seed=None, cases=[
    {"R": 7, "S": 51, "D": 32, "KEYS": 16, "room": 51, "wide": 2},
    {"R": 2, "S": 33, "D": 16, "KEYS": 32, "room": 35},
    {"R": 8, "S": 18, "D": 64, "KEYS": 16, "room": 19, "dtype": "float16"},
])
### END HIDDEN TESTS

# %% [markdown] hints="scores_kernel"
# <details><summary>Hint: addresses are tables</summary>
#
# `q + r[:, None] * D + d[None, :]` is a table of addresses, ROWS by D. Yours for K has the keys `t` down
# and `d` across: KEYS by D. `tl.trans` turns a tile, so that (ROWS, D) times (D, KEYS) fits.
# </details>
# <details><summary>If NaN, or the word "outside", comes up</summary>
#
# `length` need not be a multiple of KEYS, and a cache has space for more tokens: after key
# `length - 1` comes something that is not yours. Mask the load with `(t < length)[:, None]`, the
# store with `(r < R)[:, None] & (t < length)[None, :]`.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# t = tl.program_id(0) * KEYS + n  # which keys
# k_tile = tl.load(k + t[:, None] * stride_t + d[None, :], mask=(t < length)[:, None], other=0.0)
# tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
# ```
# ("ieee" asks for full float32; otherwise recent GPUs round float32 to 10 bits in `tl.dot`.)
# </details>

# %% [markdown]
# ### Spot the bug
#
# A colleague with few heads finds padding wasteful and makes `q`'s tile 4 rows high. The check of values
# is green. What would a GPU say, and what does the interpreter?

# %% does="Tries a tile of only four rows; look at whether it is accepted here and think of a GPU."
@triton.jit
def frugal_kernel(q, out, ROWS: tl.constexpr, D: tl.constexpr):
    r, d = tl.arange(0, ROWS), tl.arange(0, D)
    tile = tl.load(q + r[:, None] * D + d[None, :])
    tl.store(out + r[:, None] * ROWS + r[None, :], tl.dot(tile, tl.trans(tile), input_precision="ieee"))

if HAVE_TRITON:
    q, out = torch.randn(4, 16, device=device), torch.zeros(4, 4, device=device)
    try:
        frugal_kernel[(1,)](q, out, ROWS=4, D=16)
        print(f"4 rows accepted, largest error {(out - q @ q.mT).abs().max():.0e}")
    except Exception as error:
        print(f"{type(error).__name__}: {str(error)[-300:]}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# The interpreter multiplies whatever NumPy can. A compiler need not: for years Triton's [refused any side
# below 16](https://github.com/triton-lang/triton/issues/8426); 3.7 still refuses an inner side of 8 on
# NVIDIA cards and pads short rows itself, so that nothing was saved. The checks of this lesson refuse every
# side below 16: what passes here compiles there.
# </details>

# %% [markdown]
# ## The grid: who does what
#
# Program (b · Hkv + h, part) takes KV head h of sequence b, and of its keys one part. It walks through
# them tile by tile with the online softmax of the first page, and stores its output and lse. Here: 2
# sequences, 2 KV heads, 3 parts, tiles of 16 keys, 75 tokens.

# %% does="Draws which program takes which keys; see that each key belongs to exactly one."
fig = plots.kernel_grid(
    [f"sequence {n // 2}, KV head {n % 2}" for n in range(4)], length=75, room=96, tile=16, num_splits=3,
    title="12 programs (head, part): each key belongs to exactly one")
plots.show(fig, alt="Four rows, one for each sequence and KV head, 75 of 96 tokens filled in tiles of 16. Each row is "
           "cut into three parts: tokens 0 to 31, 32 to 63 and 64 to 74, one program each.")

# %% [markdown]
# ## Exercise 5 · `gqa_decode_kernel`
#
# *35 minutes · difficulty 5 of 5*
#
# Two places are yours: the step from one tile to the next (`m`, `l`, `acc`), and the stores. A part may
# have no keys, since parts are whole tiles: then `l` is 0 and its lse must be -inf. `out` and `lse` have
# a row for every query head and part; both are float32.

# %% nbgrader={"grade": false, "grade_id": "gqa_decode_kernel", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write the step from tile to tile and the stores of the decode kernel."
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)  # 64 bits: caches exceed 2^31 elements
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h  # where this KV head's first token lies
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS  # whole tiles
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n  # this tile's tokens: those below `end` are real
        ### BEGIN SOLUTION
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
        ### END SOLUTION
    row = (head * R + r) * SPLITS + part  # of out (rows, D) and of lse (rows,)
    ### BEGIN SOLUTION
    some = tl.where(l > 0, l, 1.0)  # no 0 / 0 in a part without keys
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "gqa_decode_kernel-check", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false} does="Checks the kernel's outputs and log-sum-exps, also for parts without keys and keys past the end."
check("gqa_decode_kernel", gqa_decode_kernel)
### BEGIN HIDDEN TESTS
check("gqa_decode_kernel", gqa_decode_kernel, seed=None, cases=[
    {"B": 1, "Hq": 5, "Hkv": 1, "S": 41, "D": 16, "KEYS": 16, "parts": 2, "room": 45},
    {"B": 2, "Hq": 6, "Hkv": 2, "S": 18, "D": 32, "KEYS": 16, "parts": 1, "token_major": True},
    {"B": 1, "Hq": 3, "Hkv": 1, "S": 17, "D": 16, "KEYS": 16, "parts": 4, "room": 20},
    {"B": 1, "Hq": 16, "Hkv": 1, "S": 40, "D": 16, "KEYS": 32, "parts": 1, "dtype": "float16"},
    {"B": 1, "Hq": 4, "Hkv": 2, "S": 48, "D": 16, "KEYS": 16, "parts": 1, "levels": (-115, 115, -115)},
])
### END HIDDEN TESTS

# %% [markdown] hints="gqa_decode_kernel"
# <details><summary>Hint: two things you have already written</summary>
#
# The tile's scores are exercise 4 with `kv` added to the address and `end` in place of `length`. The
# step is the loop by hand on the first page, with a row for each query head: `m` and `l` are (ROWS,),
# `acc` is (ROWS, D), so `old` needs `[:, None]` there.
# </details>
# <details><summary>If the check speaks of keys past the end, or NaN comes out</summary>
#
# A masked key was loaded as 0, so its score is 0 and exp(0 - m) is not. After `tl.dot`:
# `tl.where((t < end)[None, :], tile, float("-inf"))`. NaN comes from a load of V without its mask
# (0 · NaN is NaN), or from the lse of a part without keys: `tl.where(l > 0, ..., float("-inf"))`. Divide
# by `tl.where(l > 0, l, 1.0)` there to avoid 0 / 0.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# new_m = tl.maximum(m, tl.max(tile, 1))
# old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
# l = l * old + tl.sum(p, 1)
# ```
# `acc` is rescaled in the same way and gains `tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")`.
# </details>

# %% [markdown]
# ## Are the bytes saved?
#
# *Nothing to write: this check watches the kernel of exercise 5 at work.*
#
# The interpreter is slow, but it knows every address that is read. Each number of K and V must be read
# **once**, and a GPU must be able to take the tiles.

# %% nbgrader={"grade": true, "grade_id": "gqa_decode_kernel-reads", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks that your kernel reads each number of K and V once, in tiles a GPU can take."
check("gqa_decode_kernel-reads", gqa_decode_kernel)
### BEGIN HIDDEN TESTS
check("gqa_decode_kernel-reads", gqa_decode_kernel, seed=None, cases=[
    {"B": 1, "Hq": 6, "Hkv": 2, "S": 35, "D": 16, "KEYS": 16, "parts": 2, "room": 40},
])
### END HIDDEN TESTS

# %% [markdown] hints="gqa_decode_kernel-reads"
# <details><summary>Hint: who needs this tile?</summary>
#
# All R query heads of a program need the same keys. One load of K's tile and one of V's serve them all.
# </details>
# <details><summary>If it reads more than it must</summary>
#
# Twice as many: a tile is loaded twice. R times: there is a loop over query heads around the loads.
# </details>
# <details><summary>A worked step</summary>
#
# `tl.load(k + at, mask=(t < end)[:, None], other=0.0)` reads each key of this part once. What is masked
# is not read.
# </details>

# %% [markdown]
# Calling the kernel as a function needs a launcher, which is given: it makes the outputs, says how
# many programs there are, and merges the parts with your `merge_partials`.

# %% does="Defines the launcher, which makes the outputs, starts the programs and merges the parts."
from functools import reduce

def gqa_decode(q, k, v, num_splits=1, KEYS=16):
    """Return attention of q (B, Hq, 1, D) over k, v (B, Hkv, S, D) by your kernel, (B, Hq, 1, D)."""
    (B, Hq, _, D), Hkv = q.shape, k.shape[1]
    q = q.contiguous()  # the kernel counts on packed rows; k and v may lie in a larger cache
    out = torch.empty(B, Hq, num_splits, D, device=q.device)
    lse = torch.empty(B, Hq, num_splits, device=q.device)
    gqa_decode_kernel[(B * Hkv, num_splits)](
        q, k, v, out, lse, k.shape[2], D**-0.5, *k.stride()[:3],
        Hkv=Hkv, R=Hq // Hkv, D=D, ROWS=tile_rows(Hq // Hkv), KEYS=KEYS, SPLITS=num_splits)
    merged = reduce(lambda a, b: merge_partials(*a, *b), zip(out.unbind(2), lse.unbind(2)))
    return merged[0].unsqueeze(2).to(q.dtype)

# %% does="Compares your kernel with your split decode, for one part and for three; look at the differences."
if HAVE_TRITON:
    q, (k, v) = torch.randn(2, 12, 1, 32, device=device), torch.randn(2, 2, 4, 70, 32, device=device)
    expected = split_kv_decode(q, k, v, 1)
    for n in (1, 3):
        print(f"{n} parts: largest difference {(gqa_decode(q, k, v, n) - expected).abs().max():.0e}")

# %% [markdown]
# ## Predict, then count: one tile, or a program per query head
#
# Early decode kernels gave each *query head* a program of its own, which is easy: call yours with K and V
# as if every query head had its KV head (a view, no copy). Same result. With 1, 2, 4 and 8 query heads
# per KV head: **how many bytes of K and V does each way read?** Your guess for 8 heads one by one, as a
# multiple of what K and V hold:

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("K and V read, 8 heads one by one", None)

# %% does="Defines how to count bytes read, and a way that launches the kernel for each query head alone."
from gqa_lib.learn.watch.kernels import Kernels

def bytes_read(function, q, k, v):
    """Return the bytes of k and v that the kernels in a call read, as the interpreter saw them."""
    with Kernels([k, v], guard=False) as seen:
        function(q, k, v)
    return sum(seen.reads) * k.element_size()

def one_by_one(q, k, v):
    """Launch the kernel R times, each for one query head of every KV head."""
    members = q.unflatten(1, (k.shape[1], -1)).unbind(2)  # R x (B, Hkv, 1, D)
    return torch.stack([gqa_decode(member, k, v) for member in members], 2).flatten(1, 2)

# %% does="Counts bytes of K and V read by both ways, for 1 to 8 query heads per KV head."
counted, shared = HAVE_TRITON and device == "cpu", (1, 2, 4, 8)
if counted:
    reads = {"one tile": [], "one by one": []}
    for R in shared:
        q, (k, v) = torch.randn(1, 2 * R, 1, 32), torch.randn(2, 1, 2, 64, 32)
        assert torch.allclose(gqa_decode(q, k, v), one_by_one(q, k, v), atol=1e-5)
        for name, way in (("one tile", gqa_decode), ("one by one", one_by_one)):
            reads[name].append(bytes_read(way, q, k, v) / (k.nbytes + v.nbytes))
    print(f"K and V hold {k.nbytes + v.nbytes:,} bytes; read, as multiples of that: {reads}")
    outcome("K and V read, 8 heads one by one", reads["one by one"][-1])
else:
    print("Only the interpreter can count: it needs Triton, and a machine without a GPU.")

# %% does="Draws how many times K and V are read; compare one tile with one program per query head."
if counted:
    ways = {"query heads in one tile": reads["one tile"], "query heads one by one": reads["one by one"]}
    by_one, in_one = reads["one by one"][-1], reads["one tile"][-1]
    fig = plots.times_read_bars(
        ways, shared, title=f"{shared[-1]} heads one by one read K and V {by_one:.3g} times, in one tile {in_one:.3g}")
    plots.show(fig, alt="Bytes of K and V read, over their size, for 1, 2, 4 and 8 query heads per KV head. One "
               f"tile: {reads['one tile']}. One by one: {reads['one by one']}.")

# %% [markdown]
# **That is the claim.** The model has few KV heads either way; whether a step *reads* few bytes is up to
# the kernel. One that walks K once per query head gives GQA's whole saving back (unless a cache
# between chip and memory holds the keys in the meantime, which is why it goes unnoticed in short
# tests).

# %% [markdown]
# ### Spot the bug
#
# This launcher decides how many parts to make. It was tested with every length from 1 to 4,096 and is
# right every time. What happens when a request is shorter than the machine is wide?
#
# ```python
# num_splits = 132 // (B * Hkv)  # fill the 132 processors
# ```

# %% [markdown]
# <details><summary>Answer</summary>
#
# Two things. With B · Hkv above 132 it is 0: no program runs, and the output is whatever was in the
# memory of `torch.empty`. And with 16 tokens and 1 KV head it makes 132 parts, 131 of them without
# a key: all that is left are partials. Bound it from both sides: at least 1, and no more than the
# keys are worth.
# </details>

# %% [markdown]
# ## On a GPU
#
# Where there is one, the same source is compiled. Peers are PyTorch's `enable_gqa` and the folded matrix
# products of lesson 04; the bound is K and V read once at the bandwidth measured now.

# %% does="On a GPU times your kernel next to PyTorch's and shows each one's share of the bandwidth."
if HAVE_TRITON and device == "cuda":
    from gqa_lib.measure import measure_hardware
    from gqa_lib.kernels import attend, sdpa_operator

    half = torch.float16
    machine = measure_hardware(device, half)
    q = torch.randn(8, 32, 1, 128, device=device, dtype=half)
    caches = [torch.randn(2, 8, 8, 16_384, 128, device=device, dtype=half) for _ in range(2)]
    ways = {"yours, 1 part": lambda *a: gqa_decode(*a, 1, 64), "yours, 4 parts": lambda *a: gqa_decode(*a, 4, 64),
            "enable_gqa": lambda q, k, v: attend(q, k, v, backend="sdpa_gqa"),
            "fold_matmul": lambda q, k, v: attend(q, k, v, backend="fold_matmul")}
    gpu = summarise(time_arms({name: lambda i, f=f: f(q, *caches[i % 2]) for name, f in ways.items()},
                              rounds=20, device=device))
    least = caches[0].nbytes / machine.bandwidth_bytes_per_s
    print(f"{sdpa_operator(q, *caches[0], enable_gqa=True)}; at best {least * 1e3:,.3f} ms")
    for name, t in gpu.items():
        print(f"{name:15} {t['median'] * 1e3:8,.3f} ms, {least / t['median']:.0%} of the bandwidth")
else:
    print("No GPU here, so nothing is timed: a time taken in the interpreter would mean nothing.")

# %% [markdown]
# ## What the interpreter cannot tell you
#
# - **Speed.** It runs programs one after the other, in NumPy. How many parts, which tile and how many
#   warps are best can only be measured on the GPU in question.
# - **What the compiler refuses.** Sides of `tl.dot` below 16, tiles that do not fit the chip's memory,
#   some mixes of types.
# - **Races.** Two programs that write to one address give the last one's value here, and either's
#   on a GPU.
# - **Access out of bounds** goes unseen, except that this course's checks look at every address.
# - **bfloat16**, which it stores as whole numbers: [its products are silently
#   wrong](https://github.com/triton-lang/triton/issues/11584). Test in float32 and float16, or
#   convert right after the load.

# %% [markdown]
# A library's kernel also takes caches in pages, sequences of different lengths, other head sizes, and
# chooses the number of parts. On a CPU this course's library splits as you did:

# %% does="Compares the library's `split_kv` backend with your split decode; the difference should be rounding."
from gqa_lib.kernels import attend

q, (k, v) = torch.randn(1, 32, 1, 64), torch.randn(2, 1, 1, 5000, 64)
same = (attend(q, k, v, backend="split_kv") - split_kv_decode(q, k, v, 8)).abs().max()
print(f"library's split_kv and yours: largest difference {same:.1e}")

# %% [markdown]
# ## What this does not tell you
#
# - Attention is one part of a step. With short contexts the weights are most of the bytes, and launching
#   many small kernels may cost more than they do (CUDA graphs help).
# - How close to the bandwidth *your* kernel comes, unless there was a GPU above. Tuned Triton kernels can
#   [keep up with hand-written CUDA](https://github.com/sgl-project/sglang/pull/21775); tuning was left out.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - A softmax can be computed in parts: an output and a log-sum-exp are all that a part must report.
# - Splitting keeps a whole machine busy on one KV head; it costs a little traffic, so split no further than that.
# - Query heads that share a tile share its bytes. That is where GQA's saving is made, or lost.

# %% [markdown] generated="ending"

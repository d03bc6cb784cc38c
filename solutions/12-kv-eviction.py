# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# A model reads a stream of 64 facts, with a question after each, and answers nearly all questions right. Its
# cache has 128 rows then. Now a policy throws rows away after every token, so that at most **32** are left: the
# newest 8 and, of the others, those that were used most. **What share of the answers is right now?**
#
# - averaged over all questions of a stream;
# - *recency*: the last question asks, by its place, for the fact right before it;
# - *needle last*: it asks, by name, for one of the last few facts, which nobody asked for before;
# - *needle first*: the same for one of the first few facts.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch and the course's helpers for checks, hints and the quiz."
import math

import torch
from torch.nn import functional as F

from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# Put your guesses in place of `None`, as shares from 0 to 1. They are drawn next to what you measure. (By
# chance it is 1 in 16.)

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("right, average", None)
guess("right, recency", None)
guess("right, needle last", None)
guess("right, needle first", None)

# %% [markdown]
# ## By hand: seven tokens, four rows
#
# A **row** is what one token leaves in one KV head: its key and its value. **Eviction** drops rows for good; a
# **policy** says which ones, the **budget** how many stay. Seven tokens were read, and 4 rows may stay:
#
# | policy | 0 | 1 | 2 | 3 | 4 | 5 | 6 |
# |---|---|---|---|---|---|---|---|
# | a window of 4 | | | | kept | kept | kept | kept |
# | 1 sink and a window of 3 | kept | | | | kept | kept | kept |
#
# A row that is gone takes no bytes and is not read again. But no later token can ever learn from it.

# %% [markdown]
# ## Exercise 1 · `sliding_window_keep`
#
# *5 minutes · difficulty 1 of 5*
#
# `length` tokens were read, and the newest `window` of them stay (from 1; it may be more than there are). Return
# a bool for each row, True where it is kept.

# %% nbgrader={"grade": false, "grade_id": "sliding_window_keep", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here which rows a sliding window keeps, as one bool for each row."
def sliding_window_keep(length, window):
    """Return (length,) bool: True for the newest `window` rows."""
    ### BEGIN SOLUTION
    return torch.arange(length) >= length - window
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "sliding_window_keep-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks the window, also where it is larger than the number of rows."
check("sliding_window_keep", sliding_window_keep)
### BEGIN HIDDEN TESTS
check("sliding_window_keep", sliding_window_keep, seed=None, cases=[{"draw": n} for n in range(1, 13)])
### END HIDDEN TESTS

# %% [markdown] hints="sliding_window_keep"
# <details><summary>Hint: number the rows</summary>
#
# `torch.arange(length)` numbers the rows from the oldest. From which number on are they kept?
# </details>
# <details><summary>If only the case with a large window fails</summary>
#
# `length - window` is negative then, and a slice that begins at a negative place counts from the end. A
# comparison does not.
# </details>
# <details><summary>A worked step</summary>
#
# 7 rows, a window of 3: rows 4, 5 and 6 stay, that is those from 7 - 3 = 4 on.
# </details>

# %% [markdown]
# ## Attention sinks
#
# A softmax has to put its weight somewhere. A head that looks for something which is not there often puts it on the
# first tokens, whatever they say: each becomes an **attention sink**. [StreamingLLM](https://arxiv.org/abs/2309.17453)
# reports for Llama-2-13B, over 65,000 tokens, a perplexity of 5,158 with a plain window of 1,024, and 5.40 with
# the first 4 and a window of 1,020 (as transcribed). The same number of rows.

# %% [markdown]
# ## Exercise 2 · `sink_window_keep`
#
# *5 minutes · difficulty 2 of 5*
#
# The first `num_sinks` rows stay, and the newest `window`. `num_sinks` may be 0, and both together may be more than
# there are.

# %% nbgrader={"grade": false, "grade_id": "sink_window_keep", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here which rows stay when the first few and the newest are kept."
def sink_window_keep(length, num_sinks, window):
    """Return (length,) bool: True for the first `num_sinks` and the newest `window` rows."""
    ### BEGIN SOLUTION
    row = torch.arange(length)
    return (row < num_sinks) | (row >= length - window)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "sink_window_keep-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks sinks and window, with 0 sinks and with more rows asked for than there are."
check("sink_window_keep", sink_window_keep)
### BEGIN HIDDEN TESTS
check("sink_window_keep", sink_window_keep, seed=None, cases=[
    *({"draw": n} for n in range(1, 13)), {"length": 19, "num_sinks": 0, "window": 4},
])
### END HIDDEN TESTS

# %% [markdown] hints="sink_window_keep"
# <details><summary>Hint: either of two</summary>
#
# A row stays if it is one of the first, **or** one of the newest. `|` joins two bool tensors.
# </details>
# <details><summary>If too few rows are kept</summary>
#
# The window is not cut for the sinks: num_sinks + window rows stay, where there are so many.
# </details>
# <details><summary>A worked step</summary>
#
# 9 rows, 2 sinks, a window of 3: rows 0 and 1, and rows 6, 7 and 8.
# </details>

# %% [markdown]
# ## A cache that forgets
#
# To measure a policy we need a model that lives with it. The rows need not really go: it is enough that later
# queries do not see them. Row t of `seen` below says what the query of token t sees: the rows that were kept after
# token t - 1, and its own.

# %% does="Defines a cache that hides dropped rows from later queries, and the matrix of who sees what."
class Forgetful:
    """A layer's cache: the query of token t sees the rows that seen[t] says."""

    def __init__(self, seen, positions=torch.arange):
        self.seen, self.positions = seen, positions  # the layer asks for the new tokens' positions

    def append(self, k, v, num_new=None):
        self.k, self.v = k, v

    def attend(self, q, *args, **kwargs):
        return F.scaled_dot_product_attention(q, self.k, self.v, self.seen, enable_gqa=True)

def seen_by(keep, length):
    seen = torch.eye(length, dtype=torch.bool)  # each token sees its own row
    for t in range(1, length):
        seen[t, :t] = keep(t)
    return seen

# %% does="Prints who sees what under two policies; read a column downwards to follow one row."
print(seen_by(lambda t: sliding_window_keep(t, 3), 7).int())
print(seen_by(lambda t: sink_window_keep(t, 1, 2), 7).int())

# %% [markdown]
# Read a column downwards: once a row is gone it stays gone. And the cut comes **after** a token has attended, never
# before: a prompt that is cut first has lost what it was about to read.

# %% [markdown]
# ## Measure: the average of a text
#
# The small model of bytes that comes with the library has 4 layers, each with a cache of its own. It reads Python code
# that it was never trained on: 8 pieces of 256 bytes. With all rows it needs well under two bits per byte.
# **How many times as many with 64 rows of 256? And do 4
# sinks help?**

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("bits per byte, 64 rows / 256", None)

# %% does="Loads the small byte model and held-out text, and defines the mean bits per byte."
from gqa_lib.cache import ModelCache
from gqa_lib.model import load
from gqa_lib.train import python_sources, small_checkpoint

small, held_out = load(small_checkpoint(), dtype=torch.float32), python_sources(max_bytes=2_000_000).held_out
starts = torch.linspace(0, len(held_out) - 258, 8).long()
text = torch.stack([held_out[at : at + 257] for at in starts.tolist()]).long()

@torch.no_grad()
def bits_per_byte(new_cache):
    """The mean over the text; new_cache() makes a layer's cache."""
    logits = small(text[:, :-1], ModelCache([new_cache() for _ in small.layers]))
    return F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten()).item() / math.log(2)

# %% does="Makes caches for your two policies, a window and 4 sinks with a window, at any budget."
def static(keep, length):
    """What makes caches in which `keep(t)` rows are left after t tokens."""
    seen = seen_by(keep, length)
    return lambda: Forgetful(seen)

def window(budget, length):
    return static(lambda t: sliding_window_keep(t, budget), length)

def sinks(budget, length):
    return static(lambda t: sink_window_keep(t, 4, budget - 4), length)

# %% does="Measures bits per byte for both policies at five budgets; compare with all rows and your guess."
whole = bits_per_byte(window(256, 256))
bits = {name: {b: bits_per_byte(policy(b, 256)) for b in (8, 16, 32, 64, 128)}
        for name, policy in (("window", window), ("4 sinks and a window", sinks))}
print(f"all rows: {whole:.3f} bits per byte")
for name, curve in bits.items():
    print(f"{name:20}", ", ".join(f"{b} rows {value:.3f}" for b, value in curve.items()))
print(f"64 rows cost {bits['window'][64] - whole:+.3f} bits")
outcome("bits per byte, 64 rows / 256", bits["window"][64] / whole)

# %% [markdown]
# Do sinks help here? The same number of rows, with and without:

# %% does="Compares the two policies at equal budgets and says whether the window collapses in this run."
gain = {b: bits["window"][b] - bits["4 sinks and a window"][b] for b in bits["window"]}
print("4 sinks change the loss by", ", ".join(f"{-x:+.3f} ({b} rows)" for b, x in gain.items()))
collapsed = bits["window"][32] > 1.5 * whole
print("A plain window collapses here." if collapsed else "No collapse without the first rows here: 32 rows cost "
      f"{bits['window'][32] / whole - 1:+.0%}, and what was reported is not to be seen at this size.")

# %% [markdown]
# ## What a row has received
#
# Was there a sink to lose? And which rows *should* stay? One answer to both is to add up what each row gets of the
# softmax. Two query heads that share a KV head, and 3 tokens; each line is what one query gives to rows 0, 1 and 2:
#
# | query | head 0 | head 1 |
# |---|---|---|
# | 0 | 1, 0, 0 | 1, 0, 0 |
# | 1 | 0.8, 0.2, 0 | 0.4, 0.6, 0 |
# | 2 | 0.3, 0.1, 0.6 | 0.1, 0.5, 0.4 |

# %% [markdown]
# The row belongs to the KV head, so take the mean of the two heads: row 1 gets (0.2 + 0.6) / 2 = 0.4 of query 1, and
# (0.1 + 0.5) / 2 = 0.3 of query 2. Two queries could see it: 0.35 on average. Row 0 was seen by three: (1 + 0.6 + 0.2) / 3
# = 0.6. Row 2 by one: 0.5.
#
# Without the division row 0 would have 1.8 and row 2 only 0.5. A row that came late could hardly win.

# %% [markdown]
# ## Exercise 3 · `attention_received`
#
# *15 minutes · difficulty 3 of 5*
#
# `weights` is (B, Hq, T, S), after the softmax: T queries, the last of S tokens, so query i sees the keys up to S - T + i;
# what it does not see has weight 0. For each KV head and each key return the **mean** weight, over the query heads
# that share the KV head, and over the queries that see the key: (B, num_kv_heads, S), in the dtype of `weights`.

# %% nbgrader={"grade": false, "grade_id": "attention_received", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here the mean weight that each key received, for each KV head."
def attention_received(weights, num_kv_heads):
    """Return (B, num_kv_heads, S): mean weight of each key, over queries that see it."""
    ### BEGIN SOLUTION
    T, S = weights.shape[2:]
    seen_by_queries = (S - torch.arange(S, device=weights.device)).clamp(max=T)
    per_kv_head = weights.unflatten(1, (num_kv_heads, -1)).mean(2)
    return per_kv_head.sum(2) / seen_by_queries
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "attention_received-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks means over query heads and over the queries that see a key, and shape and dtype."
check("attention_received", attention_received)
### BEGIN HIDDEN TESTS
check("attention_received", attention_received, seed=None, cases=[
    *({"draw": n} for n in range(1, 9)), {"draw": 3, "dtype": "float64"},
    {"B": 2, "Hq": 12, "Hkv": 3, "T": 5, "S": 8}, {"B": 1, "Hq": 4, "Hkv": 2, "T": 130, "S": 150},
])
### END HIDDEN TESTS

# %% [markdown] hints="attention_received"
# <details><summary>Hint: two means, one after the other</summary>
#
# First over query heads: split axis 1 into (num_kv_heads, q_per_kv), as neighbours share. Then over queries: a sum, and a
# division by how many see each key.
# </details>
# <details><summary>If it is right for old keys and wrong for new ones, or the other way round</summary>
#
# The newest key is seen by one query, the one before it by two, and so on up to T. Keys that were cached before
# the T queries came are seen by all T.
# </details>
# <details><summary>A worked step</summary>
#
# T = 2, S = 4: keys 0, 1 and 2 are seen by both queries, key 3 by the last one. Divide by (2, 2, 2, 1).
# </details>

# %% [markdown]
# Now look for sinks: what does the first byte receive in each layer of the small model? If every query spread its weight
# evenly, it would be the mean of 1, 1/2, 1/3, ... 1/256.

# %% does="Runs the model with caches that keep the attention weights of every query head."
class Watching(Forgetful):
    """Keeps the weights of all query heads, too."""

    def attend(self, q, *args, **kwargs):
        k = self.k.repeat_interleave(q.shape[1] // self.k.shape[1], 1)
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~self.seen, -torch.inf)
        self.weights = scores.softmax(-1)
        return super().attend(q)

everything = torch.ones(256, 256, dtype=torch.bool).tril()
layers = [Watching(everything) for _ in small.layers]
with torch.no_grad():
    small(text[:, :-1], ModelCache(layers))

# %% does="Prints what the first byte receives in each layer, next to an even share; look for a sink."
even = sum(1 / n for n in range(1, 257)) / 256
first = [attention_received(one.weights, 8)[:, :, 0].mean().item() for one in layers]
print("the first byte receives", ", ".join(f"{x:.3f}" for x in first), f"in the four layers; evenly: {even:.3f}")
print("A sink." if max(first) > 5 * even else
      "On average over its heads no layer leans on it much. (One head might.) Large models do: look before you cut.")

# %% [markdown]
# ## Exercise 4 · `heavy_hitter_keep`
#
# *20 minutes · difficulty 4 of 5*
#
# [H2O](https://arxiv.org/abs/2306.14048) keeps the newest rows and the **heavy hitters**, those that received
# most (in sum; we take means). `scores` is (B, Hkv, S), larger is better, any numbers. In each sequence and KV
# head exactly `budget` rows stay, or all if there are fewer: the newest `recent` (from 0 to `budget`) whatever
# their scores, and of the older rows the best. A row that is gone already has -inf; there are always enough
# others. No two scores are equal, -inf aside.

# %% nbgrader={"grade": false, "grade_id": "heavy_hitter_keep", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here which rows stay: the newest and, of the older ones, those with the best scores."
def heavy_hitter_keep(scores, budget, recent):
    """Return (B, Hkv, S) bool: the newest `recent` rows and the best of the others, `budget` in all."""
    ### BEGIN SOLUTION
    S = scores.shape[-1]
    newest = torch.arange(S, device=scores.device) >= S - recent
    best = scores.masked_fill(newest, torch.inf).topk(min(budget, S), -1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "heavy_hitter_keep-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks that exactly the budget is kept in each KV head, with the newest rows among it."
check("heavy_hitter_keep", heavy_hitter_keep)
### BEGIN HIDDEN TESTS
check("heavy_hitter_keep", heavy_hitter_keep, seed=None, cases=[
    *({"draw": n} for n in range(1, 13)), {"B": 2, "Hkv": 3, "S": 15, "budget": 6, "recent": 0},
    {"B": 2, "Hkv": 3, "S": 17, "budget": 7, "recent": 3, "gone": 5, "dtype": "float64"},
    {"B": 1, "Hkv": 2, "S": 11, "budget": 5, "recent": 2, "offset": 1e9, "dtype": "float64"},
    {"B": 1, "Hkv": 130, "S": 8, "budget": 5, "recent": 2},
])
### END HIDDEN TESTS

# %% [markdown] hints="heavy_hitter_keep"
# <details><summary>Hint: rank once</summary>
#
# Give the newest rows a score that no other can have (on a copy), and take the `budget` best of all. `topk` gives
# their places; `scatter` writes True there.
# </details>
# <details><summary>If only small cases fail</summary>
#
# `topk` cannot give more rows than there are. And `scores[..., -recent:]` is *everything* when `recent` is 0.
# </details>
# <details><summary>A worked step</summary>
#
# Scores (0.6, 0.1, 0.4, 0.2, 0.3), budget 3, recent 1: row 4 stays as the newest. Two places are left for rows 0 to 3:
# rows 0 and 2.
# </details>

# %% [markdown]
# ## Heavy hitters, token by token
#
# What a row has received is known only as tokens come. So this cache goes through them one by one, as decoding does: attend,
# add up, cut. Each KV head keeps rows of its own.

# %% does="Defines a cache that attends, adds up and cuts after each token; follow the loop line by line."
class HeavyHitters(Forgetful):
    """Cuts itself to `budget` rows after each token; raw=True ranks by sums, not means."""

    def __init__(self, budget, recent, positions=torch.arange, raw=False):
        self.budget, self.recent, self.positions, self.raw = budget, recent, positions, raw

    def attend(self, q, *args, **kwargs):
        B, Hkv, T, D = self.k.shape
        received, kept = torch.zeros(B, Hkv, T), torch.zeros(B, Hkv, T, dtype=torch.bool)
        seen = torch.zeros(B, Hkv, T, T, dtype=torch.bool)
        queries = q.unflatten(1, (Hkv, -1)) / D**0.5  # (B, Hkv, R, T, D)
        for t in range(T):
            kept[..., t] = True
            seen[:, :, t] = kept
            now = kept[..., : t + 1]  # a view
            scores = queries[:, :, :, t] @ self.k[:, :, : t + 1].mT  # (B, Hkv, R, t + 1)
            weights = scores.masked_fill(~now[:, :, None], -torch.inf).softmax(-1).flatten(1, 2)
            received[..., : t + 1] += attention_received(weights[:, :, None], Hkv)
            mean = received[..., : t + 1] / (1 if self.raw else torch.arange(t + 1, 0, -1))
            now &= heavy_hitter_keep(mean.masked_fill(~now, -torch.inf), self.budget, self.recent)
        self.seen = seen.repeat_interleave(q.shape[1] // Hkv, 1)
        return super().attend(q)

# %% [markdown]
# The text again. A quarter of the budget is for the newest rows. **Better than a window, or not?** (Some seconds.)

# %% does="Measures your heavy-hitter policy on the text, a quarter of the budget being for new rows."
def hitters(budget, length, **how):
    return lambda: HeavyHitters(budget, budget // 4, **how)

bits["heavy hitters"] = {b: bits_per_byte(hitters(b, 256)) for b in bits["window"]}

# %% does="Draws bits per byte over rows kept for three policies; look how little the average moves."
from gqa_lib import plots

plots.use_style()
lost = {name: curve[64] / whole - 1 for name, curve in bits.items()}
fig = plots.budget_lines(
    bits, metric="bits per byte", known={"all 256 rows": whole},
    title=f"64 of 256 rows cost at most {max(lost.values()):.0%} more bits on average",
    note="8 pieces of 256 bytes of held-out Python.")
plots.show(fig, alt=f"Bits per byte by rows kept, {whole:.2f} with all: " + "; ".join(
    f"{name} " + ", ".join(f"{b} rows {x:.2f}" for b, x in curve.items()) for name, curve in bits.items()))

# %% [markdown]
# By this figure you could throw away three quarters of the cache and be done. **But what did the average ask?** The
# next byte mostly follows from the last few. A text like this hardly ever asks for something far back. And could this
# small model look it up, with all its rows? Here is a name that nobody has used before, read once and needed again 200 bytes later.

# %% does="Tests whether the small model can look up a new name 200 bytes later, with all its rows."
from random import Random

draw, between = Random(0), bytes(held_out[:200].tolist())
names = ["".join(draw.choices("bcdfghjklmnpqrstvwxyz", k=8)).encode() for _ in range(64)]
code = torch.tensor([list(name + b" = 1\n" + between + b"\nprint(" + name) for name in names])
with torch.no_grad():
    right = small(code[:, :-1]).argmax(-1) == code[:, 1:]
share = right[:, -6:].double().mean().item()  # the last 6 letters: the first two say which name it is
print(f"{share:.0%} of the letters are right.", "It finds it." if share > 0.5 else
      "It cannot look this up with all its rows, so that dropping them has little to lose.")

# %% [markdown]
# An average over such a text, of such a model, says little about what a cache is for.

# %% [markdown]
# ## A model that looks things up
#
# So train one that can. A token is a fact, a key with a value; a *question* is a token with a key and no value, and
# its answer is the value of that key. One key, `BEFORE`, asks for the fact right before the question. One layer, 4 query
# heads, 2 KV heads, and RoPE, so that places count.

# %% does="Defines the reader: one layer, 4 query heads, 2 KV heads, RoPE, answers at the questions."
from torch import nn

from gqa_lib.attention import GroupedQueryAttention

KEYS, VALUES, FACTS = 128, 16, 64
BEFORE, ASKED = KEYS, VALUES  # the key that asks for the last fact; the value of every question

class Reader(nn.Module):
    def __init__(self, heads, d_model=64):
        super().__init__()
        self.keys, self.values = nn.Embedding(KEYS + 1, d_model), nn.Embedding(VALUES + 1, d_model)
        for table in (self.keys, self.values):
            nn.init.normal_(table.weight, std=d_model**-0.5)
        self.norm, self.out = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.attention = GroupedQueryAttention(
            d_model, heads.num_heads, heads.num_kv_heads, head_dim=heads.head_dim, rope=True)
        self.head = nn.Linear(d_model, VALUES)

    def forward(self, keys, values, cache=None):
        x = self.keys(keys) + self.values(values)  # (B, 2 * FACTS, d_model): fact, question, fact ...
        return self.head(self.out(x + self.attention(self.norm(x), cache)))[:, 1::2]  # of the questions

# %% [markdown]
# What is asked for is uneven, as in life. Half of the questions are about up to four *hot* facts, which come
# early in the stream. A quarter is about one of the last five facts, 15 % ask for the one right before, and 10
# % for any.

# %% does="Draws streams of facts and questions; see how often hot, near and other facts are asked for."
def stream(size, generator):
    """Keys and values of the tokens, (size, 2 * FACTS), and the answers, (size, FACTS)."""
    how, now = {"generator": generator}, torch.arange(FACTS)
    keys = torch.rand(size, KEYS, **how).argsort(1)[:, :FACTS]
    values = torch.randint(VALUES, (size, FACTS), **how)
    four = torch.randint(FACTS // 4, (size, 4), **how)
    hot = four.gather(1, torch.randint(4, (size, FACTS), **how))
    near = now - torch.randint(1, 6, (size, FACTS), **how)
    anywhere = (torch.rand(size, FACTS, **how) * (now + 1)).long()
    kind = torch.rand(size, FACTS, **how)
    named = torch.where(kind < 0.5, hot, torch.where(kind < 0.75, near, anywhere))
    which = torch.where(kind < 0.85, named.clamp(min=0).minimum(now), now)  # a fact that was read
    asked = keys.gather(1, which).masked_fill(kind >= 0.85, BEFORE)
    tokens = torch.stack([keys, asked], 2).flatten(1)
    shown = torch.stack([values, torch.full_like(values, ASKED)], 2).flatten(1)
    return tokens, shown, values.gather(1, which)

# %% [markdown]
# The library's `train` wants a task: how to make a model, a batch, a loss. (About 15 seconds on two free cores.)

# %% does="Trains the reader on streams; compare its loss with that of knowing nothing."
from gqa_lib.train import Heads, Recipe, train

class Stream:
    def new_model(self, heads):
        return Reader(heads)

    def batch(self, size, generator):
        return stream(size, generator)

    def loss(self, model, batch):
        return F.cross_entropy(model(*batch[:2]).flatten(0, 1), batch[2].flatten())

    @torch.no_grad()
    def evaluate(self, model):
        return {"loss": self.loss(model, stream(256, torch.Generator().manual_seed(7))).item()}

    def described(self):
        return {"task": "stream"}

reader, rows = train(Stream(), Heads(4, 2, 16), Recipe(steps=250), seed=0, bar=True)
print(f"loss {rows[-1]['loss']:.4f} nats; knowing nothing it is {math.log(VALUES):.2f}")

# %% [markdown]
# ## Three probes and an average
#
# 100 streams for each. In a **probe** only the last question counts, and we know where its fact is. A
# **needle** is a fact that nobody has asked for before. Needle first is fact 4, in row 8, so that 4 sinks do
# not hold it; needle last is the fourth from the end, in row 120: with 32 rows it is among the newest 8, which
# every policy here keeps.

# %% does="Builds the probes: streams whose last question asks for one known fact, by place or by name."
def probe(fact, by_name=True):
    keys, values, wanted = stream(100, torch.Generator().manual_seed(fact))
    needle, other = keys[:, 2 * fact, None], keys[:, 2 * fact - 2, None]
    asks_for_it = (values == ASKED) & (keys == needle)
    asks_for_it[:, 2 * fact + 1] = True  # by its place, perhaps
    keys = torch.where(asks_for_it, other, keys)
    keys[:, -1:] = needle if by_name else BEFORE
    wanted[:, -1] = values[:, 2 * fact]
    return keys, values, wanted

sets = {"average": stream(100, torch.Generator().manual_seed(100)),
        "recency": probe(FACTS - 1, by_name=False), "needle last": probe(FACTS - 4), "needle first": probe(4)}
keys, values, wanted = (torch.cat(parts) for parts in zip(*sets.values()))

# %% does="Measures right answers of each set with all rows; these shares are what policies can lose from."
@torch.no_grad()
def measured(new_cache):
    """The share of right answers of each set, and the loss of the average in nats."""
    logits = reader(keys, values, new_cache())
    right = (logits.argmax(-1) == wanted).float().split(100)
    shares = {name: one[:, -1].mean().item() for name, one in zip(sets, right)}
    loss = F.cross_entropy(logits[:100].flatten(0, 1), wanted[:100].flatten()).item()
    return shares | {"average": right[0].mean().item(), "loss": loss}

uncut = measured(window(2 * FACTS, 2 * FACTS))
print("all rows:", ", ".join(f"{name} {share:.3f}" for name, share in uncut.items()))

# %% [markdown]
# Now cut. **Look at your guesses again: which of the four will fall first?** (About 10 seconds.)

# %% does="Measures three policies at four budgets and prints the shares at 32 rows; compare with your guesses."
POLICIES = {"window": window, "4 sinks and a window": sinks, "heavy hitters": hitters}
BUDGETS = (8, 16, 32, 64)
cut = {name: {b: measured(policy(b, 2 * FACTS)) for b in BUDGETS} for name, policy in POLICIES.items()}
for name, curve in cut.items():
    print(f"{name}, 32 of 128 rows: " + ", ".join(f"{one} {x:.2f}" for one, x in curve[32].items()))

# %% does="Draws the shares of heavy hitters over rows kept; see which line falls first."
best = cut["heavy hitters"]
curves = {name: {b: best[b][name] for b in BUDGETS} for name in sets}
fig = plots.budget_lines(
    curves, metric="answers that are right", known={"chance": 1 / VALUES},
    guesses={name: (32, guessed(f"right, {name}")) for name in sets},
    title=f"Heavy hitters, 32 of 128 rows: {best[32]['average']:.0%} right on average, "
          f"{best[32]['needle first']:.0%} of the needles at the start",
    note=f"100 streams of each kind; with all rows {min(uncut[name] for name in sets):.0%} or more are right.")
plots.show(fig, alt="Share of right answers with heavy hitters by rows kept: " + "; ".join(
    f"{name} " + ", ".join(f"{b} rows {x:.2f}" for b, x in curve.items()) for name, curve in curves.items()))
for name in sets:
    outcome(f"right, {name}", best[32][name])

# %% does="Prints the gap between average and first needle, and what each policy keeps and loses."
gap = best[32]["average"] - best[32]["needle first"]
print(f"The average is {gap:.2f} above the needle." + (" It hides what the needle shows." if gap > 0.2 else ""))
for name in POLICIES:
    alone = [cut[name][32][one] for one in ("recency", "needle last", "needle first")]
    print(f"{name}: " + ("keeps the near and loses the far" if alone[1] - alone[2] > 0.3 else "no order in this run"))

# %% [markdown]
# A window knows only age. Heavy hitters know what *was* used, and so they can rescue the hot facts: half of the
# questions. **No policy knows what will be asked for.** A fact that was read once and is asked for at the end
# looks like all the others until then. Whether your users ask for such facts is a question about them.
#
# The average again, as loss, where wrong answers count by how sure they were:

# %% does="Prints the average loss in nats for each policy and budget; compare it with the shares."
for name, curve in cut.items():
    print(f"{name:20}", ", ".join(f"{b} rows {one['loss']:.2f}" for b, one in curve.items()), "nats;",
          f"all rows {uncut['loss']:.2f}")

# %% [markdown]
# ## Sums that freeze
#
# We divide; H2O ranks by the **sum** of what was received. A row that has been there long has collected much.
# Where new rows are not protected either, a cache can freeze on its first tokens ([issue
# 137](https://github.com/rajveer43/VeloxQuant-MLX/issues/137)). **Which of the probes will fall, and which will
# rise?**

# %% does="Ranks by sums instead of means at 16 and 32 rows; compare the probes, then the text."
raw = {b: measured(hitters(b, 2 * FACTS, raw=True)) for b in (16, 32)}
for b, sums in raw.items():
    for how, found in (("means", best[b]), ("sums", sums)):
        print(f"{b} rows by {how:5}", ", ".join(f"{name} {found[name]:.2f}" for name in sets))
frozen = bits_per_byte(hitters(32, 256, raw=True))
print(f"text, 32 rows: means {bits['heavy hitters'][32]:.3f} bits, sums {frozen:.3f}, a window {bits['window'][32]:.3f}")

# %% does="Says whether the cache froze: look at both needles' changes from means to sums."
for b in raw:
    older, newer = (raw[b][one] - best[b][one] for one in ("needle first", "needle last"))
    print(f"{b} rows, sums instead of means: needle first {older:+.2f}, needle last {newer:+.2f}.")
    if older > 0.2 and newer < -0.2:
        print("The cache froze: old rows stay because they are old, new ones go once they are unprotected.")
    elif older > 0.2:
        print("Sums keep old facts here, and lose no new needle.")

# %% [markdown]
# ## Spot the bug
#
# ```python
# rows = cache.num_rows           # after eviction
# position = torch.arange(rows, rows + 1)
# q, k = rotate(q, position), rotate(k, position)
# ```
#
# With 32 rows kept, the next token always gets position 32. **What goes wrong, and which probe sees it?** Think
# before you run the next cell.

# %% does="Gives tokens wrong positions, counted from rows kept; look which of the four shares falls."
def rows_kept(num_new):
    return torch.arange(num_new).clamp(max=32)  # the bug: tokens past the budget all stand in one place

true = best[32]
wrong = measured(hitters(32, 2 * FACTS, positions=rows_kept))
for name in sets:
    print(f"{name:12} true positions {true[name]:.2f}, rows kept {wrong[name]:.2f}")

# %% does="Measures the same bug on the text, and compares finding by place with finding by name."
seen = seen_by(lambda t: sliding_window_keep(t, 32), 256)
turned = bits_per_byte(lambda: Forgetful(seen, positions=rows_kept))
print(f"text, a window of 32: {bits['window'][32]:.2f} bits per byte, with positions from rows kept {turned:.2f}")
by_place, by_name = (wrong[one] - true[one] for one in ("recency", "needle last"))
if by_place < -0.3 and by_name > -0.1:
    print("What is found by its place is lost; what is found by its name is not. A needle test alone would pass.")

# %% [markdown]
# <details><summary>Answer</summary>
#
# RoPE works by distance (lesson 02). With the bug all tokens past the budget are turned for the same place: no
# query can tell their rows apart by distance. Count the tokens that were **read**, not those that were kept.
# Transformers' `SinkCache` was reported to mix both ways of counting
# ([35350](https://github.com/huggingface/transformers/issues/35350)) and was later removed. StreamingLLM
# numbers rows within the cache on purpose: it keeps keys *unturned* and turns them anew at each step.
# </details>

# %% [markdown]
# ## Who chooses: KV heads or query heads?
#
# Query heads that share a KV head look for different things. Why not let each choose its own rows? Because a row exists
# once for all of them: it can go only when *none* of them wants it. **Of 128 rows each query head keeps 32, and two
# share a KV head. How many rows must the KV head store?**

# %% does="Counts rows per KV head for three ways to choose; compare rows and KiB."
watched = Watching(torch.ones(2 * FACTS, 2 * FACTS, dtype=torch.bool).tril())
with torch.no_grad():
    reader(keys, values, watched)
per_kv_head = heavy_hitter_keep(attention_received(watched.weights, 2), 32, 8)
per_query_head = heavy_hitter_keep(attention_received(watched.weights, 4), 32, 8)  # a score for each query head
needed = per_query_head.unflatten(1, (2, 2)).any(2)
rows = {name: kept.sum(-1).double().mean().item() for name, kept in
        (("each KV head chooses", per_kv_head), ("each query head chooses", needed))}
rows["a copy for each query head"] = 2 * 32
for name, n in rows.items():
    print(f"{name}: {n:.1f} rows per KV head, {2 * 2 * 16 * 4 * n / 1024:.1f} KiB of float32 in the layer")

# %% [markdown]
# How many more depends on how far the heads disagree: with R query heads per KV head up to R times. Code that copies K and V to the
# query heads first stores R times as many even where they agree ([SnapKV, issue
# 16](https://github.com/FasterDecoding/SnapKV/issues/16)), and takes back all that sharing heads had saved. Choose per KV
# head, from the mean of the heads that read it, and both savings multiply: bytes = 2 · layers · KV heads · head_dim ·
# **rows kept** · bytes of a number.

# %% [markdown]
# ## What others report
#
# | | keeps | reported |
# |---|---|---|
# | [Mistral 7B](https://arxiv.org/abs/2310.06825) | a window, from training on | 8 times less cache at 32k tokens, window 4,096 |
# | [StreamingLLM](https://arxiv.org/abs/2309.17453) | 4 sinks and a window | stable to 4 million tokens; recalls nothing that was dropped |
# | [H2O](https://arxiv.org/abs/2306.14048) | newest and heavy hitters | up to 29 times the throughput *of systems that offload* with 20 % heavy hitters |
# | [SnapKV](https://arxiv.org/abs/2404.14469) | what the end of the prompt attends to | 8.2 times more efficient in memory at 16k tokens |
# | [Quest](https://arxiv.org/abs/2406.10774) | everything, and reads some pages | 7.03 times faster attention, 2.23 times overall |
#
# (From secondary transcriptions of the papers; StreamingLLM's and H2O's numbers are from their READMEs. Quest's
# abstract prints its two numbers the other way round, but the whole cannot gain more than its part.)

# %% [markdown]
# Before you believe such a number, ask four things. What was the baseline? Was the question known when the
# prompt was cut? Does the test ask for something that was thrown away? And is the budget in rows kept, or is it
# the share *removed*: "compression 0.9" keeps a tenth. One [comparison on a 0.5B
# model](https://github.com/awslabs/keys_values/issues/140) with these three kinds of probes had every evicting
# policy at 0 until sinks and a grace for new rows were added; then recency came back in most, and the needles
# did not.

# %% [markdown]
# ## The library's cache
#
# `EvictingCache` really lets rows go, and its `HeavyHitter` with `decay=1.0` is your policy, with means; by
# default (0.99) old attention fades. Here a fact and its question come together, and the cut is after both, so
# a few answers may differ from yours.

# %% does="Runs the library's cache, which really drops rows; compare its shares, bytes and next position."
from gqa_lib.cache import KVCache
from gqa_lib.cache.eviction import EvictingCache, HeavyHitter

cache = EvictingCache(400, 2, 32, 16, HeavyHitter(decay=1.0), recent=8)
with torch.no_grad():
    parts = [reader(keys[:, t : t + 2], values[:, t : t + 2], cache) for t in range(0, 2 * FACTS, 2)]
right = (torch.cat(parts, 1).argmax(-1) == wanted).double().split(100)
theirs = [right[0].mean().item()] + [one[:, -1].mean().item() for one in right[1:]]
for name, share in zip(sets, theirs):
    print(f"{name:12} the library's {share:.2f}, yours {best[32][name]:.2f}")
print(f"{cache.nbytes / KVCache(400, 2, 2 * FACTS, 16).nbytes:.0%} of the bytes of a whole cache; "
      f"{cache.ratios_removed[0]:.0%} of the rows removed, next position {int(cache.positions(1))}")

# %% [markdown]
# ## What to do about it
#
# - Dropping what lies outside a window that the model was *trained* with changes nothing. Eviction that it was
#   not trained with is a change of the model: evaluate it like one.
# - Evaluate with what your users ask for far back, and with three probes at least: recency, needle last, needle
#   first. Recency that falls means that something is broken: positions, sinks dropped, new rows not protected.
#   A needle that falls alone means loss.
# - Choose per KV head, measure means against sums, with sinks and the newest rows protected; count positions by
#   tokens read.
# - State rows kept *and* the share removed. And compare with what takes as many bytes: fewer KV heads, 8-bit rows.

# %% [markdown]
# ## What this does not tell you
#
# - The reader has one layer and was made to look things up. In a deep model a row that is gone may live on in what
#   later tokens took from it, and sinks matter in ways that neither model here shows.
# - It was not trained with a cut cache. Models that are trained so can learn to pass on in time what they will need.
# - Only the library's cache freed anything; yours masked rows. Nobody looked at the clock: choosing rows takes time, too.
# - One seed, 100 streams of a kind: a probe's share of 0.5 has a standard error of 0.05.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - Eviction multiplies with GQA's saving, and it is a bet on what will be asked for.
# - An average hides lost needles; recency, needle first and needle last help to tell loss from a bug.
# - Positions count tokens read, KV heads choose, and scores say what they divide by: three things that are easy
#   to get wrong.

# %% [markdown] generated="ending"

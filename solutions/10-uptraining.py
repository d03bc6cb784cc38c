# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# A model with 8 query heads and 8 KV heads was trained on the recall task of lesson 09: 16 records of 8
# attributes, then a key, and all attributes of its record must be named. It answers nearly all of them.
#
# Now each two neighbouring KV heads are replaced by their mean. 4 are left, and the cache is half as
# large. **What share of the answers is right the moment after? And after 120 more steps of training,
# a fifth of what it had?**

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch, the clock and the course's `check`, `hint` and quiz functions."
from time import monotonic

import torch

from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# Put your two guesses in place of `None`, as shares from 0 to 1. They are drawn next to what you measure.
# (By chance it is 1 in 16.)

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("right after the conversion", None)
guess("right after 120 steps", None)

# %% [markdown]
# ## By hand: four heads of one channel
#
# A layer has 2 inputs and 4 heads of one channel. Then `k_proj.weight` has a row for each head. With 2
# KV heads, query heads 0 and 1 will read KV head 0, and 2 and 3 will read KV head 1 (`h // 2`). So
# those are pooled:
#
# | head | its row | KV head | mean |
# |---|---|---|---|
# | 0, 1 | (1, 3), (3, 1) | 0 | (2, 2) |
# | 2, 3 | (0, 2), (4, 0) | 1 | (2, 1) |
#
# This is **mean pooling**. A head of D channels has D rows; channel d of one head is averaged with channel d of
# the other.

# %% [markdown]
# ## Exercise 1 · `mean_pool_heads`
#
# *5 minutes · difficulty 2 of 5*
#
# `weight` is (num_heads * D, d_in), as `nn.Linear` stores it: head h is rows h * D up to (h + 1) * D.
# Return (num_kv_heads * D, d_in): each KV head is the mean of the neighbours that will share it.

# %% nbgrader={"grade": false, "grade_id": "mean_pool_heads", "locked": false, "schema_version": 3, "solution": true, "task": false} does="To be written: the weight in which each KV head is the mean of its neighbours."
def mean_pool_heads(weight, num_heads, num_kv_heads):
    """Return the weight (num_kv_heads * D, d_in) of heads that are means of neighbours."""
    ### BEGIN SOLUTION
    heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
    return heads.mean(1).flatten(0, 1)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "mean_pool_heads-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks your pooled weight for several shapes and dtypes, and names the likely mistake."
check("mean_pool_heads", mean_pool_heads)
### BEGIN HIDDEN TESTS
check("mean_pool_heads", mean_pool_heads, seed=None, cases=[
    *({"draws": n} for n in range(1, 7)), {"draws": 1, "dtype": "bfloat16"},
])
### END HIDDEN TESTS

# %% [markdown] hints="mean_pool_heads"
# <details><summary>Hint: four axes</summary>
#
# The rows are three axes in one: which KV head, which of the heads that share it, which channel. Split
# them, average over the middle one, and join what is left.
# </details>
# <details><summary>If the shape is right and the numbers are not</summary>
#
# The order of the axes decides who is pooled: (num_kv_heads, num_heads // num_kv_heads, D) puts
# neighbours together, the other order heads that lie num_kv_heads apart. The channels come last.
# </details>
# <details><summary>A worked step</summary>
#
# `weight.unflatten(0, (2, 3, -1))` cuts the rows of 6 heads into 2 sets of 3: its axis 1 is the one to
# average over. `flatten(0, 1)` joins heads and channels again.
# </details>

# %% [markdown]
# ## When it costs nothing
#
# If the heads that are pooled are equal, their mean is each of them, and nothing changes. That is the
# first test of any converter, because the answer is known. **And with random heads?**

# %% does="Defines the output of a small float64 layer, and a state whose K and V your function pooled."
from gqa_lib.attention import GroupedQueryAttention

def output(state, num_kv_heads):
    layer = GroupedQueryAttention(32, 4, num_kv_heads).double()
    layer.load_state_dict(state)
    return layer(torch.randn(2, 7, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))

def pooled(state):
    return {name: mean_pool_heads(w, 4, 2) if name[0] in "kv" else w for name, w in state.items()}

# %% does="Pools heads that are equal in pairs, then random ones; look how much the outputs change."
torch.manual_seed(0)
random = GroupedQueryAttention(32, 4, 4).double().state_dict()
equal = dict(random)
for name in ("k_proj.weight", "v_proj.weight"):
    first_of_each = random[name].unflatten(0, (2, 2, 8))[:, :1]
    equal[name] = first_of_each.expand(2, 2, 8, 32).flatten(0, 2)
for name, state in (("equal in pairs", equal), ("random", random)):
    before, after = output(state, 4), output(pooled(state), 2)
    change = (after - before).abs().max()
    print(f"{name:15} outputs up to {before.abs().max():.2f}, changed by up to {change:.1e}")

# %% [markdown]
# ## The moment after
#
# A trained model's heads are neither equal nor random. Train one and pool it with your function. (About
# 6 seconds on a free core.)

# %% does="Trains the model with 8 KV heads and defines helpers that rebuild it and score it."
from gqa_lib.train import Heads, RecallTask, train

recall, MHA, GQA = RecallTask(), Heads(8, 8, 8), Heads(8, 4, 8)
mha, _ = train(recall, MHA, seed=0, bar=True)
trained = mha.state_dict()
Q, K, V, O = (f"attention.{one}_proj.weight" for one in "qkvo")

def built(state, heads):
    model = recall.new_model(heads)
    model.load_state_dict(state)
    return model

def right_answers(state, heads=GQA):
    return recall.evaluate(built(state, heads))["accuracy"]

# %% does="Pools K and V by the mean and prints the share right before, after and as guessed."
by_mean = trained | {name: mean_pool_heads(trained[name], 8, 4) for name in (K, V)}
print(f"8 KV heads: {right_answers(trained, MHA):.3f} right")
print(f"4 KV heads, the moment after: {right_answers(by_mean):.3f}")
outcome("right after the conversion", right_answers(by_mean))

# %% [markdown]
# ## Why a mean cancels
#
# Compare each mean with the two heads it is made of. Equal heads have a mean as long as they are (1.00),
# unrelated ones of equal size one of 1/√2 = 0.71. The cosine says the same: 1 for equal heads, 0 for
# unrelated ones.

# %% does="Prints how long each mean is and how alike its two heads are, for K and V."
def cosine(a, b):
    return float((a * b).sum() / (a.norm() * b.norm()))

found = []
for kind, name in (("K", K), ("V", V)):
    pairs = trained[name].unflatten(0, (4, 2, 8))
    found += [cosine(*pair) for pair in pairs]
    lengths = [float(2 * pair.mean(0).norm() / (pair[0].norm() + pair[1].norm())) for pair in pairs]
    print(f"{kind}: mean {', '.join(f'{one:.2f}' for one in lengths)} times as long;",
          f"cosines {', '.join(f'{one:+.2f}' for one in found[-4:])}")
print("Neighbours look unrelated." if max(map(abs, found)) < 0.3 else "Some neighbours are alike.")

# %% [markdown]
# But every head of this model has to find the same record by the same key. How can they do the same with
# weights so different?
#
# A score is q · k. Turn q *and* k by the same rotation R, and it stays: (R q) · (R k) = q · k. Such a model
# has other weights and gives the same answers, so training has no reason to prefer either: **each head
# ends up in a basis of its own** (the directions in which its channels are written down). The same is true of values and of the columns of `o_proj` that read
# them.

# %% [markdown]
# By hand: two heads of 2 channels and 2 inputs. Head 1 is head 0 turned by a quarter; with queries turned
# the same way they give the same scores.
#
# | head 0 | head 1 | mean as they are | mean after head 1 is turned back |
# |---|---|---|---|
# | (1, 0), (0, 1) | (0, -1), (1, 0) | (½, -½), (½, ½) | (1, 0), (0, 1) |
# | length √2 | √2 | 1: shorter, and neither of the two | √2: nothing is lost |

# %% [markdown]
# ## Exercise 2 · `align_heads`
#
# *15 minutes · difficulty 3 of 5*
#
# Which rotation R, an orthogonal (D, D) matrix, brings head h of `weight` closest to head h of `reference`,
# so that ‖reference_h - R weight_h‖ is least? This is the **orthogonal Procrustes problem**, and it has an
# exact solution: with the SVD reference_h @ weight_h.T = U S Vh, it is R = U @ Vh. Mirrors (determinant -1)
# are allowed: they keep q · k as well.
#
# `weight` and `reference` are (num_heads * D, d_in), float32 or float64. Return (aligned, rotations): the
# turned weight, and the R of each head, (num_heads, D, D).

# %% nbgrader={"grade": false, "grade_id": "align_heads", "locked": false, "schema_version": 3, "solution": true, "task": false} does="To be written: each head turned to that of the reference, and the rotations that did it."
def align_heads(weight, reference, num_heads):
    """Return (aligned, rotations): each head turned to that of reference, and what turned it."""
    ### BEGIN SOLUTION
    heads, others = (one.unflatten(0, (num_heads, -1)) for one in (weight, reference))
    U, _, Vh = torch.linalg.svd(others @ heads.mT)
    rotations = U @ Vh
    return (rotations @ heads).flatten(0, 1), rotations
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "align_heads-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks turned heads and rotations, mirrored cases included, and names the likely mistake."
check("align_heads", align_heads)
### BEGIN HIDDEN TESTS
check("align_heads", align_heads, seed=None, cases=[
    *({"draws": n} for n in range(1, 7)), {"draws": 1, "dtype": "float64"}, {"draws": 2, "mirrored": True},
])
### END HIDDEN TESTS

# %% [markdown] hints="align_heads"
# <details><summary>Hint: one head, or all at once</summary>
#
# Cut both weights into heads (D, d_in). For each: product, SVD, rotation. `torch.linalg.svd` also takes a
# stack of matrices, (num_heads, D, D), and `.mT` transposes each.
# </details>
# <details><summary>If the heads come out farther from the reference</summary>
#
# R.T is the way back. It comes out if the product is weight_h @ reference_h.T, or if U and Vh are swapped.
# And `torch.linalg.svd` returns Vh, which is transposed already: not U @ Vh.T.
# </details>
# <details><summary>A worked step</summary>
#
# For one head: `U, S, Vh = torch.linalg.svd(reference_h @ weight_h.T)`, then `R = U @ Vh`, and the turned
# head is `R @ weight_h`.
# </details>

# %% [markdown]
# How alike are neighbours once the second is turned to the first? **Guess first: K or V, which gains
# more?**

# %% does="Prints cosines of neighbours before and after turning; compare what K gains with what V gains."
for kind, name in (("K", K), ("V", V)):
    first, second = trained[name].unflatten(0, (4, 2, 8)).unbind(1)
    turned, _ = align_heads(second.flatten(0, 1), first.flatten(0, 1), 4)
    were = [cosine(*pair) for pair in zip(first, second)]
    are = [cosine(*pair) for pair in zip(first, turned.unflatten(0, (4, 8)))]
    print(f"{kind}: cosines", *(f"{one:+.2f}" for one in were), "become", *(f"{one:+.2f}" for one in are))

# %% [markdown]
# ## Turning costs nothing
#
# As long as all 8 heads are there, turning keys is free if queries **absorb** it: they turn by the same
# rotations. Here the first of each pair is the reference. The model's logits before and after:

# %% does="Turns all keys to the first of each pair and lets the queries absorb it."
def firsts(weight):
    """The first head of each pair, in the place of both."""
    pairs = weight.unflatten(0, (4, 2, 8))
    return torch.stack([pairs[:, 0], pairs[:, 0]], 1).flatten(0, 2)

turned_keys, turns = align_heads(trained[K], firsts(trained[K]), 8)
queries = torch.cat([R @ head for R, head in zip(turns, trained[Q].split(8))])

# %% does="Compares logits before and after turning, and the lengths of the means; only one should change."
turned = built(trained | {K: turned_keys, Q: queries}, MHA)
*shown, _ = recall.batch(100, torch.Generator().manual_seed(0))
with torch.no_grad():
    change = (turned(*shown) - mha(*shown)).abs().max()
print(f"logits up to {mha(*shown).abs().max():.0f} changed by up to {change:.1e}: the same model")
longer = mean_pool_heads(turned_keys, 8, 4).norm() / by_mean[K].norm()
print(f"but means of its keys are {longer:.2f} times as long as means of the old ones")

# %% [markdown]
# Values are turned in the same way, and the next to read them absorbs it: the columns of `o_proj` that
# belong to head h, o_h (d_model, D), become o_h @ R.T, since (o_h @ R.T) @ (R @ v) = o_h @ v.

# %% [markdown]
# ## Exercise 3 · `convert_to_gqa`
#
# *25 minutes · difficulty 4 of 5*
#
# Now a whole model. `state_dict` holds the weights of a model with as many KV heads as query heads. Entries
# whose names end with `q_proj.weight`, `k_proj.weight`, `v_proj.weight` and `o_proj.weight` belong to one
# layer if what stands before is the same; any number of layers, no biases, no RoPE. Return a **new**
# dictionary with num_kv_heads KV heads; all other entries stay as they are.
#
# - `"mean"`: the mean of neighbours. `"first"`: the first of them.
# - `"aligned"`: each head of K is turned to the first of its set of neighbours, and then they are averaged;
#   queries absorb what turned their keys. V and `o_proj` likewise, with rotations of their own.
# - any other method is a `ValueError`.
#
# Dtypes stay. With "mean" and "first" bfloat16 may come, which torch's SVD does not take.

# %% nbgrader={"grade": false, "grade_id": "convert_to_gqa", "locked": false, "schema_version": 3, "solution": true, "task": false} does="To be written: a new state dict with fewer KV heads, by mean, first or aligned."
def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
    """Return a new state dict with num_kv_heads KV heads: mean, first, or aligned and then mean."""
    ### BEGIN SOLUTION
    if method not in ("mean", "first", "aligned"):
        raise ValueError(f"method={method!r} is none of mean, first, aligned.")
    new = dict(state_dict)
    for name, weight in state_dict.items():
        if not name.endswith(("k_proj.weight", "v_proj.weight")):
            continue
        heads = weight.unflatten(0, (num_kv_heads, num_heads // num_kv_heads, -1))
        first = heads[:, :1]
        if method == "aligned":
            weight, rotations = align_heads(weight, first.expand_as(heads).flatten(0, 2), num_heads)
            if name.endswith("k_proj.weight"):
                q = name.replace("k_proj.weight", "q_proj.weight")
                new[q] = (rotations @ state_dict[q].unflatten(0, (num_heads, -1))).flatten(0, 1)
            else:
                o = name.replace("v_proj.weight", "o_proj.weight")
                columns = state_dict[o].unflatten(1, (num_heads, -1)).transpose(0, 1)
                new[o] = (columns @ rotations.mT).transpose(0, 1).flatten(1)
        new[name] = first.flatten(0, 2) if method == "first" else mean_pool_heads(weight, num_heads, num_kv_heads)
    return new
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "convert_to_gqa-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} does="Checks names, shapes, dtypes and what the converted model computes, for each method."
check("convert_to_gqa", convert_to_gqa)
### BEGIN HIDDEN TESTS
check("convert_to_gqa", convert_to_gqa, seed=None, cases=[
    *({"draws": n, "method": ("aligned", "first", "mean")[n % 3]} for n in range(1, 10)),
    {"draws": 1, "method": "aligned", "dtype": "float64"}, {"draws": 2, "method": None},
    {"H": 8, "Hkv": 2, "D": 3, "d_model": 11, "method": "aligned", "prefixes": ("a.", "b.attn.")},
    {"H": 4, "Hkv": 2, "D": 3, "d_model": 8, "method": "Mean"}, {"draws": 3, "method": "mea"},
])
### END HIDDEN TESTS

# %% [markdown] hints="convert_to_gqa"
# <details><summary>Hint: start from a copy</summary>
#
# `new = dict(state_dict)` keeps every entry. Then go through the names: only those of K and V need work, and
# each has one partner (q_proj, or o_proj) whose name differs in one letter.
# </details>
# <details><summary>If "mean" and "first" are right and "aligned" is not</summary>
#
# The reference has a head in the place of *each* head: the first of its set. Turn, then pool. Queries turn by
# K's rotations from the left; `o_proj` has its heads in its columns, and takes V's from the right, transposed.
# Find each rotation with weights of the old dictionary, not with what you have put into the new one.
# </details>
# <details><summary>A worked step</summary>
#
# For `o_proj`: `for h in range(num_heads): o[:, h * D : (h + 1) * D] = o[:, h * D : (h + 1) * D] @ R[h].T`, on
# a clone of it. For `q_proj`: `q[h * D : (h + 1) * D] = R[h] @ q[h * D : (h + 1) * D]`.
# </details>

# %% [markdown]
# ### Spot the bug
#
# `k.view(num_heads // num_kv_heads, num_kv_heads, D, d_in).mean(0)`: the shape is right, and the converted
# model runs. What is wrong, and which test of this lesson finds it at once?

# %% [markdown]
# <details><summary>Answer</summary>
#
# It pools heads that lie num_kv_heads apart, but query head h reads KV head h // q_per_kv: its new keys are
# made of heads that other queries were trained with. The layer with heads equal in pairs finds it: its
# output must not change.
# </details>

# %% [markdown]
# ## Which half is lost?
#
# To pool only K, or only V, give each query head its own copy of the pooled head: then the other half can
# stay as it was. **Guess: once they are turned, do keys or values lose more?**

# %% does="Pools only keys, only values or both, by three methods; see which half costs more."
def half(new, names):
    """The model with 8 heads, some of its projections taken from a converted one."""
    state = trained | {name: new[name] for name in names}
    for name in {K, V} & set(names):
        state[name] = new[name].unflatten(0, (4, 8)).repeat_interleave(2, 0).flatten(0, 1)
    return state

half_lost = {}
for method in ("mean", "first", "aligned"):
    new = convert_to_gqa(trained, 8, 4, method)
    half_lost[method] = [right_answers(half(new, names), MHA) for names in ((Q, K), (V, O))]
    keys, values = half_lost[method]
    print(f"{method:8} only keys pooled {keys:.3f}, only values {values:.3f}, "
          f"both {right_answers(new):.3f}")

# %% does="Prints what aligned keys and aligned values cost, and a conclusion if it holds in your run."
keys, values = half_lost["aligned"]
before = right_answers(trained, MHA)
print(f"Aligned, keys cost {before - keys:.3f} of all answers and values {before - values:.3f}.")
if before - keys < (before - values) / 3:
    print("Much of what keys had in common was hidden by their bases: turning finds it. Values have less.")

# %% [markdown]
# The task suggests why. All heads look for the same thing, the record with that key. What they carry away
# may differ: the 64 numbers of V hold 32 bits of attributes, spread over 8 heads, and now there are 32
# numbers. No rotation changes that. It is lesson 09's limit again: fewer cached numbers.

# %% [markdown]
# ## A little training
#
# How much comes back with some more training, with **uptraining**? `recovery` does for three seeds what you did by hand: it trains a model, converts it
# in four ways ("random" draws new heads), and trains each for 120 steps at a fifth of the rate, on the same
# new batches. Beside them it trains a model with 4 KV heads from scratch, for the 600 steps of the first.
#
# **State what would matter before you look:** we take 0.02 of all answers. (About 30 seconds on two free
# cores.)

# %% does="Fixes the margin, then trains, converts in four ways and uptrains from three seeds."
from gqa_lib.train import compare_paired, recovery

MARGIN = 0.02  # of all answers, fixed before
METHODS = ("aligned", "first", "mean", "random")
started = monotonic()
rows = recovery(recall, MHA, 4, range(3), methods=METHODS, bar=True)
print(f"3 seeds in {monotonic() - started:.0f} s")

def result(method, step):
    """The share of right answers of each seed."""
    return [row["accuracy"] for row in rows if (row["method"], row["step"]) == (method, step)]

# %% does="Prints the mean share right by method and step, with the model before and from scratch."
STEPS = sorted({row["step"] for row in rows if row["method"] == "mean"})
def mean(values):
    return sum(values) / len(values)

print("steps   ", *(f"{step:6}" for step in STEPS))
for method in METHODS:
    print(f"{method:8}", *(f"{mean(result(method, step)):6.3f}" for step in STEPS))
known = {"before": mean(result("none", 600)), "4 KV heads from scratch": mean(result("scratch", 600))}
print(", ".join(f"{name} {value:.3f}" for name, value in known.items()))

# %% does="Draws recovery along the steps, each seed faint, with your guesses and the lines to reach."
from gqa_lib import plots

plots.use_style()
curves = {method: [{step: result(method, step)[seed] for step in STEPS} for seed in range(3)]
          for method in METHODS}
ends = {method: [mean(result(method, step)) for step in (0, STEPS[-1])] for method in METHODS}
best = max(ends, key=lambda method: ends[method][1])
fig = plots.recovery_lines(
    curves, known | {"chance": recall.chance}, metric="answers that are right",
    guesses={0: guessed("right after the conversion"), 120: guessed("right after 120 steps")},
    title=f"After {STEPS[-1]} steps \"{best}\" is best: {ends[best][1]:.2f}, and {known['before']:.2f} before",
    note="Means of three seeds; each seed faint. 600 steps of training before.")
said = [f"{method} {start:.2f} and {end:.2f}" for method, (start, end) in ends.items()]
said += [f"{name} {value:.2f}" for name, value in known.items()]
plots.show(fig, alt="Share of right answers after 0 and 120 steps: " + "; ".join(said))
outcome("right after 120 steps", ends["mean"][1])

# %% [markdown]
# Seed by seed, with intervals at 95 % (lesson 09):

# %% does="Compares methods seed by seed after 0 and 120 steps, and the best one with scratch."
last, how = STEPS[-1], {"margin": MARGIN, "lower_is_better": False}
for step in (0, last):
    for method in ("first", "aligned"):
        found = compare_paired(result("mean", step), result(method, step), **how)
        print(f"{method} minus mean, after {step:3} steps: {found}")
to_scratch = compare_paired(result("scratch", 600), result(best, last), **how)
print(f"{best} after {last} steps, minus from scratch: {to_scratch}")

# %% [markdown]
# And your own function, beside the library's (`converted` calls `gqa_lib.model.convert_state_dict`)? For
# pairs both do the same. In larger sets the library goes on turning all heads to their mean until nothing
# moves, which can be a little better than turning them to the first.

# %% does="Compares your converter's accuracy with the library's, for 4 and for 2 KV heads."
from gqa_lib.train import converted

for kv in (4, 2):
    for method in ("mean", "first", "aligned"):
        theirs = recall.evaluate(converted(mha, recall, MHA, kv, method))["accuracy"]
        yours = right_answers(convert_to_gqa(trained, 8, kv, method), Heads(8, kv, 8))
        print(f"8 to {kv} KV heads, {method:8} yours {yours:.4f}, the library's {theirs:.4f}")

# %% [markdown]
# ## When positions turn keys as well
#
# The recall model has no positions. Most models turn q and k once more *after* their projections, by angles
# that grow with a token's place: elements i and i + D/2 together (lesson 02). Are turned weights still absorbed? Take one
# head, turn q and k by R, then by their places, and compare the scores. **Which of the three R will change
# them?**

# %% does="Draws queries and keys of six tokens, and makes three kinds of R to test."
from gqa_lib.attention import rotate

generator, D = torch.Generator().manual_seed(0), 8
q, k = torch.randn(2, 6, D, dtype=torch.float64, generator=generator)  # 6 tokens
angles = 6.28 * torch.rand(D // 2, dtype=torch.float64, generator=generator)
cos, sin = angles.cos().diag(), angles.sin().diag()
free = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=generator)).Q
by_pairs = torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)])
mirrored = by_pairs.clone()
mirrored[:, 0] *= -1  # element 0 is negated first: one pair is mirrored

# %% does="Prints how much each R changes the scores, without and with RoPE, by pairs of tokens."
def scores(q, k, rope):
    positions = torch.arange(len(q))
    return rotate(q, positions) @ rotate(k, positions).mT if rope else q @ k.mT

def change(R, rope):
    return (scores(q @ R.mT, k @ R.mT, rope) - scores(q, k, rope)).abs()

same = torch.eye(6, dtype=torch.bool)  # query and key of one token
for name, R in (("any rotation", free), ("pair by pair", by_pairs), ("a pair mirrored", mirrored)):
    plain, roped = change(R, rope=False), change(R, rope=True)
    print(f"{name:16} without RoPE {plain.max():.0e}; with RoPE, of one token {roped[same].max():.0e}, "
          f"of different ones {roped[~same].max():.0e}")

# %% [markdown]
# R must give the same result before that turn and after it: the two have to **commute**. Rotations of the same
# plane do. A mirror does not, nor does anything that mixes pairs. So under RoPE keys get one angle for each pair,
# the best of which is found just as exactly. Values are not turned by their places: they stay free.

# %% [markdown]
# ## A real folder
#
# The library knows this. A small decoder with RoPE comes with it, as a checkpoint in Hugging Face's form: it reads
# and writes the bytes of Python's own sources.

# %% does="Copies the small checkpoint into a temporary folder and prints how it was made."
from pathlib import Path
from shutil import copytree
from tempfile import mkdtemp

from gqa_lib.model import convert_checkpoint, load
from gqa_lib.train import Recipe, python_sources, small_checkpoint, tokens_of, uptrain

corpus, folder = python_sources(max_bytes=2_000_000), Path(mkdtemp())
original = copytree(small_checkpoint(), folder / "original")
made, *_ = (original / "README.md").read_text().split("\n\n    ")
print(made)

# %% [markdown]
# `convert_checkpoint` writes another folder with fewer KV heads, as `gqa convert IN OUT --num-kv-heads 2` does.
# `regroup=True` first brings heads together that are alike, instead of taking neighbours. "subspace" takes no mean:
# of what the heads of a set compute it keeps the D directions that hold most of it (an SVD of all of them, one
# above the other). **In which order will the losses come?**

# %% does="Converts the checkpoint to 2 KV heads in six ways, a folder for each."
WAYS = {"mean": {"method": "mean"}, "first": {"method": "first"}, "random": {"method": "random"},
        "aligned": {"method": "aligned"}, "regrouped": {"method": "aligned", "regroup": True},
        "subspace": {"method": "subspace"}}  # without a method it is this one
for name, how in WAYS.items():
    convert_checkpoint(original, folder / name, 2, **how)
text = tokens_of(original, corpus, context=128)

# %% does="Prints held-out bits per byte of the original and all conversions, lowest first."
losses = {"original": text.evaluate(load(original, dtype=torch.float32))["bits_per_byte"]}
losses |= {name: text.evaluate(load(folder / name, dtype=torch.float32))["bits_per_byte"] for name in WAYS}
for name, bits in sorted(losses.items(), key=lambda one: one[1]):
    print(f"{name:9} {bits:.3f} bits per byte")

# %% [markdown]
# That is the moment after, from 8 to 2 KV heads: a quarter of the cache. Now a few steps of training with
# `uptrain` (on the command line `gqa uptrain`). The original gets them, too: otherwise you could not tell
# what is recovery and what these steps do for any model.

# %% does="Gives the original and two conversions the same 30 steps and prints their losses."
few = Recipe(steps=30, batch_size=8, lr=3e-4, warmup_steps=5, evaluate_every=10,
             evaluate_first=True)
after = {}
for name in ("original", "subspace", "mean"):
    made = uptrain(folder / name, corpus, recipe=few, context=128)
    after[name] = [row["bits_per_byte"] for row in made]
    print(f"{name:9} after 0, 10, 20, 30 steps:", ", ".join(f"{bits:.3f}" for bits in after[name]))

# %% does="Prints how far each conversion is behind the equally trained original, at first and at the end."
for name in ("subspace", "mean"):
    start, end = (after[name][step] - after["original"][step] for step in (0, -1))
    print(f"{name}: behind the original by {start:.3f} bits per byte at first, "
          f"by {end:.3f} after 30 steps of both")

# %% [markdown]
# ## What the paper did
#
# | | [GQA paper](https://arxiv.org/abs/2305.13245) | here |
# |---|---|---|
# | model | T5, encoder-decoders; heads shared in the decoder | a layer that recalls; a small decoder |
# | training after | 5 % of pre-training, at T5-XXL about 600 TPUv3 chip-days | 120 steps, 20 %; 30 steps |
# | which start is best | mean, then first head, then random | see below |
#
# (As transcribed.) Did its order come out here?

# %% does="Sorts mean, first and random in three of your runs; look whether the paper's order came out."
theirs = ["mean", "first", "random"]
runs = {f"recall, after {step} steps": {name: -mean(result(name, step)) for name in theirs}
        for step in (0, last)}
runs["bytes, the moment after"] = {name: losses[name] for name in theirs}
for name, values in runs.items():
    order = sorted(theirs, key=values.get)
    print(f"{name}: {', '.join(order)};", "as" if order == theirs else "not as", "in the paper")

# %% [markdown]
# Where it did not: nobody knows an order that holds for every model, or for every number of heads that become
# one. A mean of heads in bases of their own is none of them; the first head is whole, but what the others knew
# is gone. The paper's models had 5 % of their pre-training to repair either, and ours have few steps.

# %% [markdown]
# **What others report** (as transcribed; different models and tests, so not one scale):
#
# - one project's decoder of 1 billion parameters, two heads into one, no training: the loss went from 2.54 to 8.24
#   by the mean, and to 3.19 with alignment and lengths restored;
# - [alignment before merging](https://arxiv.org/abs/2412.20677): Llama-2-7B, 8 heads into one, trained on for 0.1 to 0.3 billion
#   tokens: 81.8 % on its tests, 77.0 % without alignment, 85.5 % before;
# - [DHA](https://arxiv.org/abs/2406.06567): heads fused step by step keep about 97.6 % with 0.25 % of the pre-training budget.
#
# None of them converts without a loss: the first shows it before any training, the others what training gives back.
# How much of it is needed is what changes.

# %% [markdown]
# ## What converted models must not be used for
#
# To choose the number of KV heads of a *new* model, it is tempting to convert one trained model to 4, 2
# and 1, train each a little, and rank them. [One experimenter](https://github.com/A-Yucel/barebones-LLMs) tried it with two
# models of somewhat more than 100 million parameters. What came out depended on whether the start was MHA or MQA: the
# nearer to it, the better. Training each from scratch for a tenth of the steps predicted more.
#
# Look for such a gap in your own figure, between the line from scratch and the best conversion.

# %% does="Prints the gap between scratch and the best conversion, with what the verdict allows to say."
scratch, way = known["4 KV heads from scratch"], to_scratch.difference
print(f"4 KV heads from scratch {scratch:.3f}; {best}, trained on: {ends[best][1]:.3f}")
if to_scratch.verdict in ("better", "worse"):
    print(f"The {way:+.3f} between them is not what 4 KV heads cost: it is what the way there costs.")
else:
    print(f"The {way:+.3f} between them, in three seeds: {to_scratch.verdict}. Elsewhere they need not be alike.")

# %% [markdown]
# ## What to do with a model you have
#
# - Test the converter where the answer is known: equal heads must change nothing.
# - Turn before you pool, values freely and keys as RoPE allows; bring heads together that are alike.
# - Measure right after and along the steps, on your own evaluations; give the original the same steps.
# - Plan for training, and do not promise the result. If the model is still to be trained, share the
#   heads from the start.

# %% [markdown]
# ## What this does not tell you
#
# - In the recall model every head looks for the same key, so keys align well. Heads of a language model
#   do different things; how alike they are is measured, head by head.
# - Both models are tiny, and one learning rate was used for all starts. Do the starts come together with more
#   steps? Try `Recipe(steps=600, ...)` as `uptraining` of `recovery` when you are done.
# - Weights were compared. What matters is what heads make of real inputs: `second_moments` and
#   `gqa convert --calibration` weigh the directions of inputs by how large they are on a text.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - Heads of a trained model lie in bases of their own: a plain mean cancels, a mean after turning keeps more.
# - Turning is free, because queries and `o_proj` absorb it. What two heads hold and one cannot is lost.
# - Some training is needed in every report so far; how much, and what comes back, only a measurement tells.

# %% [markdown] generated="ending"

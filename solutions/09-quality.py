# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# A model reads 16 records. Each is one token: a key and 8 attributes, each of which has one of 16
# values. Then it is shown a key and must name all 8 attributes of that record. It has 8 query heads
# of 8 channels, and 8, 2 or 1 KV heads. **What share of its answers is right with each?** (By chance
# it is 1 in 16.)

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch, the clock, `ModelConfig` and the course's `check`, `hint` and quiz functions."
from time import monotonic

import torch

from gqa_lib.configs import ModelConfig
from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# Put your guesses in place of `None`: the share that is right, from 0 to 1. They are drawn next to what
# you measure.

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("right with 8 KV heads", None)
guess("right with 2 KV heads", None)
guess("right with 1 KV head", None)

# %% [markdown]
# ## What a token leaves behind
#
# Take one layer with 2 KV heads of 5 channels. A token that has been read leaves a key and a value
# for each KV head, 5 numbers each: 2 · (5 + 5) = 20 **cached numbers**. All that later tokens can learn of
# it in this layer must be in those. They are the horizontal axis of this lesson.

# %% [markdown]
# ## Exercise 1 · `cached_numbers_per_token`
#
# *2 minutes · difficulty 1 of 5*
#
# The numbers of one layer, for one token. Numbers, not bytes: what each takes in memory is another
# question (lesson 05).

# %% nbgrader={"grade": false, "grade_id": "cached_numbers_per_token", "locked": false, "schema_version": 3, "solution": true, "task": false} does="To be written: how many numbers one layer keeps of one token, as an int."
def cached_numbers_per_token(num_kv_heads, head_dim):
    """Return how many numbers (int) one layer keeps of one token: its K and its V."""
    ### BEGIN SOLUTION
    return 2 * num_kv_heads * head_dim
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "cached_numbers_per_token-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks your count for several sizes, and says which part is probably missing or too many."
check("cached_numbers_per_token", cached_numbers_per_token)
### BEGIN HIDDEN TESTS
check("cached_numbers_per_token", cached_numbers_per_token, seed=None, cases=[{"draw": n} for n in range(1, 7)])
### END HIDDEN TESTS

# %% [markdown] hints="cached_numbers_per_token"
# <details><summary>Hint: which two things are kept</summary>
#
# A key and a value for each KV head. Queries are used at once.
# </details>
# <details><summary>If it is half of what is expected</summary>
#
# K is as large as V, and both are kept.
# </details>
# <details><summary>A worked step</summary>
#
# Keys: `num_kv_heads * head_dim` numbers. Values: as many.
# </details>

# %% [markdown]
# ## Three records, by hand
#
# Here is the **recall task** with 3 records of 2 attributes, each with one of 4 values. Find the answer in it
# yourself before you look at the last line.

# %% does="Draws a recall sequence with three records; find the asked key's attributes before the last line."
from gqa_lib.train import Heads, RecallTask, final, sweep

small = RecallTask(num_records=3, num_attributes=2, num_values=4, num_keys=9, num_queries=1)
keys, attributes, asked, answers = small.batch(1, torch.Generator().manual_seed(4))
for key, values in zip(keys[0].tolist(), attributes[0].tolist()):
    print(f"token: key {key}, attributes {values}")
print(f"query: key {asked.item()}")
print(f"right: {answers[0, 0].tolist()}")

# %% [markdown]
# Keys and attributes are drawn anew for each sequence, so no weight can know them. The model has one
# attention layer: what it answers has passed through the K and V of the record's token.
#
# In the full task a record holds 8 attributes of 16 values: 8 · 4 = 32 bits. Its V has 64 numbers
# with 8 KV heads of 8, and 8 numbers with one. **Do you want to change your
# guesses?** You may, above, until you have measured.

# %% [markdown]
# ## Measure: 8, 2 and 1 KV heads
#
# Nine small models: three numbers of KV heads, each trained from three seeds on sequences that
# never repeat. Same seed, same sequences. (About 30 seconds on two free cores.)

# %% does="Trains nine models, 8, 2 and 1 KV heads from three seeds each, and prints how long it took."
recall, SEEDS = RecallTask(), range(3)
started = monotonic()
runs = final(sweep(recall, [Heads(8, kv, 8) for kv in (8, 2, 1)], SEEDS, bar=True))
print(f"{len(runs)} models in {monotonic() - started:.0f} s")

# %% does="Prints the share of right answers of each seed, next to your guess; look at the scatter."
accuracy = {kv: [run["accuracy"] for run in runs if run["num_kv_heads"] == kv] for kv in (8, 2, 1)}
size = {kv: cached_numbers_per_token(kv, 8) for kv in accuracy}
NAMES = {8: "MHA: 8 KV heads", 2: "GQA: 2", 1: "MQA: 1"}
for kv, shares in accuracy.items():
    seeds = ", ".join(f"{share:.3f}" for share in shares)
    print(f"{kv} KV heads, {size[kv]:3} numbers per token: right {seeds}")

# %% does="Draws accuracy against cached numbers per token, with your guesses and chance; its title states the order found."
from gqa_lib import plots

def in_words(measured):
    rows = (f"{name} ({n} numbers) " + ", ".join(f"{x:.2f}" for x in shares) for name, (n, shares) in measured.items())
    return "Share of right answers by cached numbers per token: " + "; ".join(rows)

plots.use_style()
ASKED = {8: "right with 8 KV heads", 2: "right with 2 KV heads", 1: "right with 1 KV head"}
measured = {NAMES[kv]: (size[kv], accuracy[kv]) for kv in accuracy}
mean = {kv: sum(shares) / len(shares) for kv, shares in accuracy.items()}
falls = mean[8] > mean[2] > mean[1]
fig = plots.accuracy_by_cache(
    measured, chance=recall.chance, guesses={size[kv]: guessed(name) for kv, name in ASKED.items()},
    title="Fewer cached numbers, fewer right answers" if falls else "No order in this run")
plots.show(fig, alt=in_words(measured))
for kv, name in ASKED.items():
    outcome(name, mean[kv])

# %% [markdown]
# So sharing KV heads **can** cost quality, and a lot of it. This task was made so that the answer needs
# what is cached, nearly all of it. With one attribute instead of eight, would MQA still fail? Try
# `RecallTask(num_attributes=1)` when you are done.

# %% [markdown]
# ## Is it the heads or the bytes?
#
# Fewer KV heads are two changes at once: fewer sets of keys to look with, and fewer numbers to look
# at. Four more models take them apart. **Which come near MHA, and which near MQA?**
#
# | | query heads | KV heads | head_dim | cached numbers |
# |---|---|---|---|---|
# | one head of 64 | 1 | 1 | 64 | 128, as MHA above |
# | MQA, heads of 64 | 8 | 1 | 64 | 128 |
# | one head of 8 | 1 | 1 | 8 | 16, as MQA above |
# | MHA, heads of 1 | 8 | 8 | 1 | 16 |

# %% does="Names four control designs and holds your guess which come near MHA; change the entries."
CONTROL = {
    "one head of 64": Heads(1, 1, 64), "MQA, heads of 64": Heads(8, 1, 64),
    "one head of 8": Heads(1, 1, 8), "MHA, heads of 1": Heads(8, 8, 1),
}
near_mha = dict.fromkeys(CONTROL, True)  # your guess: all of them?
near_mha["MHA, heads of 1"] = True  # change this one, or add lines

# %% [markdown]
# Two seeds each: you have seen how little the seeds differ. (About 25 seconds.)

# %% does="Trains the four controls from two seeds; compare cached numbers, parameters and the share right."
from dataclasses import astuple

more = final(sweep(recall, CONTROL.values(), range(2), bar=True))
for name, heads in CONTROL.items():
    mine = [run for run in more if (run["num_heads"], run["num_kv_heads"], run["head_dim"]) == astuple(heads)]
    numbers = cached_numbers_per_token(heads.num_kv_heads, heads.head_dim)
    measured[name] = numbers, [run["accuracy"] for run in mine]
    share = sum(measured[name][1]) / len(mine)
    right = near_mha[name] == (abs(share - mean[8]) < abs(share - mean[1]))
    print(f"{name:16} {numbers:3} numbers, {mine[0]['params']:6,} parameters, query of "
          f"{heads.num_heads * heads.head_dim:3}: right {share:.3f}; your guess was {'right' if right else 'wrong'}")

# %% does="Adds the controls to the figure and prints the accuracy range at 16 and at 128 cached numbers."
by_size = {n: [x for m, shares in measured.values() if m == n for x in shares] for n in (16, 128)}
decides = min(by_size[128]) > max(by_size[16])
finding = "What is cached decides" if decides else "In this run the cached numbers alone do not decide"
fig = plots.accuracy_by_cache(measured, chance=recall.chance, title=finding)
plots.show(fig, alt=in_words(measured))
for n, shares in by_size.items():
    print(f"{n} cached numbers: from {min(shares):.3f} to {max(shares):.3f} right")

# %% [markdown]
# Read the two columns. **At 128 numbers** one head does what eight do: nothing is lost by sharing, if
# the shared head is as wide as all of them were. **At 16 numbers** no design gets far, but they
# differ: keys of one channel can hardly tell 16 records apart. The cached numbers set a limit; the
# heads decide how much of it is used.
#
# [Shazeer's paper](https://arxiv.org/abs/1911.02150) has the same in translation, as transcribed from
# its Table 1: MHA 26.7 BLEU; with a cache 8 times smaller MQA 26.5, and fewer or narrower heads 25.8
# to 26.2.

# %% [markdown]
# **An objection.** The models differ in more than the cache: look at the parameters and the width of
# the queries that were printed. Perhaps MQA is only too small? Give it a feed-forward block, so that it
# has *more* parameters than MHA. Does that repair it? **Your guess?** (One seed, about 10 seconds.)

# %% does="Trains MQA with a feed-forward block and more parameters than MHA; see how much comes back."
wider = RecallTask(d_ff=128)
(repaired, *_) = final(sweep(wider, [Heads(8, 1, 8)], range(1)))
print(f"seed 0, MQA with a wider model: {repaired['params']:,} parameters, right {repaired['accuracy']:.3f}; "
      f"MQA before: {accuracy[1][0]:.3f}; MHA with {runs[0]['params']:,} parameters: {accuracy[8][0]:.3f}")
back = (repaired["accuracy"] - accuracy[1][0]) / (accuracy[8][0] - accuracy[1][0])
print(f"It brings back {back:.0%} of what was lost.",
      "A block behind the attention makes more of what is cached; it caches no more." if back < 0.5 else "")

# %% [markdown]
# ## How sure is a difference?
#
# Those differences are so large that three seeds are plenty. In a language model they are not. Two
# models, A and B, trained from the same three seeds (losses made up, to do by hand):
#
# | seed | A | B | B - A |
# |---|---|---|---|
# | 0 | 2.1 | 2.2 | 0.1 |
# | 1 | 2.6 | 2.8 | 0.2 |
# | 2 | 2.3 | 2.3 | 0.0 |
#
# Mean difference 0.1. Standard deviation of the differences, with n - 1 = 2 below: 0.1. The **standard error**
# of their mean, how far chance alone moves it: 0.1 / √3 = 0.058.

# %% [markdown]
# How far may the true difference be away? With 3 pairs the standard deviation is itself a guess from
# three numbers, so the normal distribution's 1.96 is too little. **Student's t** with n - 1 = 2 degrees
# of freedom says 4.30 at 95 %: 2.5 % lie beyond it on each side. 0.1 ± 4.30 · 0.058 is the **confidence interval** from
# -0.15 to 0.35. It contains 0, and a lot else.

# %% does="Prints how many standard errors Student's t allows to each side, for 2 to 30 pairs."
from scipy import stats

for pairs in (2, 3, 5, 10, 30):
    print(f"{pairs:2} pairs, 95 %: {stats.t.ppf(0.975, pairs - 1):6.2f} standard errors to each side")

# %% [markdown]
# ## Exercise 2 · `paired_difference`
#
# *15 minutes · difficulty 3 of 5*
#
# The mean of b - a over pairs of the same seed, and Student's interval of it at `confidence` (a share
# such as 0.95). There are two pairs or more. Any library will do: numpy, scipy, or Python's `statistics`.

# %% nbgrader={"grade": false, "grade_id": "paired_difference", "locked": false, "schema_version": 3, "solution": true, "task": false} does="To be written: the mean of the paired differences, and both ends of Student's interval."
def paired_difference(losses_a, losses_b, confidence):
    """Return (difference, low, high): the mean of b - a over pairs, and its interval."""
    ### BEGIN SOLUTION
    import numpy as np
    from scipy.stats import t

    differences = np.subtract(losses_b, losses_a)
    pairs = len(differences)
    standard_error = differences.std(ddof=1) / pairs**0.5
    half = t.ppf((1 + confidence) / 2, pairs - 1) * standard_error
    difference = differences.mean()
    return difference, difference - half, difference + half
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "paired_difference-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks your difference and both ends on several lists and confidences, and names the likely mistake."
check("paired_difference", paired_difference)
### BEGIN HIDDEN TESTS
check("paired_difference", paired_difference, seed=None, cases=[
    *({"draw": n} for n in range(1, 11)), {"draw": 1, "pairs": 150},
])
### END HIDDEN TESTS

# %% [markdown] hints="paired_difference"
# <details><summary>Hint: five steps</summary>
#
# Subtract, pair by pair. Mean. Standard deviation of the differences. Divide it by √n. Multiply by
# the quantile of t.
# </details>
# <details><summary>If the mean is right and the ends are not</summary>
#
# Three places to look: `ddof=1` (numpy's default is 0), n - 1 degrees of freedom, and half of what lies
# outside on *each* side: the quantile at (1 + confidence) / 2.
# </details>
# <details><summary>A worked step</summary>
#
# `half = stats.t.ppf((1 + confidence) / 2, n - 1) * d.std(ddof=1) / n**0.5`, where `d` holds the
# differences as a numpy array.
# </details>

# %% [markdown]
# On what you measured. **Is the interval of MQA's loss of accuracy wide or narrow, with only three
# pairs?**

# %% does="Applies your `paired_difference` to the measured accuracies; compare each interval's width with its distance from 0."
for kv in (2, 1):
    difference, low, high = paired_difference(accuracy[8], accuracy[kv], 0.95)
    print(f"{kv} instead of 8 KV heads: {difference:+.3f} of all answers, 95 % interval {low:+.3f} to {high:+.3f}")

# %% [markdown]
# ### Spot the bug
#
# "We trained five seeds of each. Best MHA: 1.612. Best MQA: 1.609. MQA wins." What is wrong?

# %% [markdown]
# <details><summary>Answer</summary>
#
# The best of five is mostly luck, and the luck of two designs is compared. Four of five runs are
# thrown away, and there is no scatter to hold 0.003 against. Compare seed by seed, and give the
# interval.
# </details>

# %% [markdown]
# ## A fair comparison
#
# Now a task nobody made for the purpose: text. A model with fewer KV heads has fewer weights as well.
# If it comes out worse, was it the sharing, or the size? [Llama 2's
# comparison](https://arxiv.org/abs/2307.09288) (appendix A.2.1) gave the weights back: its feed-forward
# blocks were made wider.
#
# By hand: `d_model` 64, 2 instead of 8 KV heads of 8. K's projection loses 6 · 8 · 64 = 3,072 weights,
# V's as many: 6,144. The usual feed-forward block is gated: of each of its `d_ff` channels it computes two
# numbers, with a row of *gate* and one of *up*, and their product meets a column of *down*. One more channel
# takes 3 · 64 = 192 weights. So 32 channels more.

# %% [markdown]
# ## Exercise 3 · `ffn_width_for_equal_params`
#
# *10 minutes · difficulty 3 of 5*
#
# `config` is a `ModelConfig` whose layers have a gated feed-forward block of `config.d_ff` channels. How
# wide must the block be for `num_kv_heads` KV heads, so that the model has as many parameters as
# `config`? To the nearest whole channel. More KV heads than `config` has make it narrower.

# %% nbgrader={"grade": false, "grade_id": "ffn_width_for_equal_params", "locked": false, "schema_version": 3, "solution": true, "task": false} does="To be written: the feed-forward width that gives the model as many parameters as `config`."
def ffn_width_for_equal_params(config, num_kv_heads):
    """Return d_ff (int) of the model with num_kv_heads that is as large as config; config has
    num_heads, num_kv_heads, head_dim, d_model, d_ff and num_layers."""
    ### BEGIN SOLUTION
    per_channel = 3 * config.d_model  # gate, up and down
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim * config.d_model
    return config.d_ff + round(saved / per_channel)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "ffn_width_for_equal_params-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks your width for several shapes, including more KV heads and ones that need rounding."
check("ffn_width_for_equal_params", ffn_width_for_equal_params)
### BEGIN HIDDEN TESTS
check("ffn_width_for_equal_params", ffn_width_for_equal_params, seed=None, cases=[{"draw": n} for n in range(1, 13)])
### END HIDDEN TESTS

# %% [markdown] hints="ffn_width_for_equal_params"
# <details><summary>Hint: weights saved, weights per channel</summary>
#
# How many weights of one layer go when KV heads go? How many come with one more channel? Divide.
# </details>
# <details><summary>If it is off by one, or only some cases fail</summary>
#
# Round, do not cut off. And start from `config.num_kv_heads`, which need not be `config.num_heads`; a
# head has `config.head_dim` channels, which need not be `d_model / num_heads`.
# </details>
# <details><summary>A worked step</summary>
#
# `saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim * config.d_model`, and a channel
# costs `3 * config.d_model`.
# </details>

# %% [markdown]
# The library's `TextTask` does the same for its models. Does it agree with yours?

# %% does="Builds the text task and compares its `d_ff` with yours; look whether the parameters agree."
from gqa_lib.train import Recipe, TextTask, baselines, compare_paired, pairs_needed, python_sources

corpus = python_sources(max_bytes=2_000_000)
text = TextTask(corpus, context=48, num_layers=2, d_model=64, equal_params=True, held_out=512)
mha = text.config(Heads(8, 8, 8))
for kv in (8, 2, 1):
    params = sum(one.numel() for one in text.new_model(Heads(8, kv, 8)).parameters())
    print(f"{kv} KV heads: d_ff {text.config(Heads(8, kv, 8)).d_ff}, yours {ffn_width_for_equal_params(mha, kv)}; "
          f"{params:,} parameters")

# %% [markdown]
# ## Text: state the margin first
#
# The text is Python's own standard library, byte by byte; whole files are held out. The heads are those
# of the recall task: 8 query heads of 8, and 128, 32 or 16 cached numbers per token and layer. The unit
# is **bits per byte**: what the model needs on average to write down the next byte of a file it never saw.
#
# **Before** you train, fix two things. The **margin**: the smallest difference that would matter; we take
# 0.01 bits per byte. The number of pairs: three, then two more, and no others. **Guess:** will GQA and
# MQA be worse by more than the margin? Will three pairs show it? (About 30 seconds on two free cores.)

# %% does="Fixes margin and pairs, trains nine text models and prints bits per byte of each seed."
MARGIN, PAIRS = 0.01, (3, 5)  # fixed before training
recipe = Recipe(steps=400, batch_size=16, lr=4e-3, warmup_steps=100)
started = monotonic()
trained = final(sweep(text, [Heads(8, kv, 8) for kv in (8, 2, 1)], range(3), recipe, bar=True))
seconds_a_run = (monotonic() - started) / len(trained)
bits = {kv: [run["bits_per_byte"] for run in trained if run["num_kv_heads"] == kv] for kv in (8, 2, 1)}
for kv, values in bits.items():
    print(f"{kv} KV heads: " + ", ".join(f"{value:.3f}" for value in values) + " bits per byte")

# %% [markdown]
# Have they learned anything? What must be beaten costs nothing: counting **n-grams**, which byte follows which
# n - 1 bytes how often, in as many bytes as the models were shown.

# %% does="Prints what n-grams and compressors need per byte; find where your trained models fall."
shown = recipe.steps * recipe.batch_size * text.context
for name, value in baselines(corpus, max_train_bytes=shown).items():
    print(f"{name:8} {value:.3f} bits per byte")
print(f"{'models':8} {min(map(min, bits.values())):.3f} to {max(map(max, bits.values())):.3f}, after {shown:,} bytes")

# %% [markdown]
# Find your models in that list. (zlib and xz also learn from the held-out files while they pack them,
# which the others may not.) Now the question: **can these nine models tell you which is better?**

# %% does="Compares GQA and MQA with MHA over three pairs: the library's verdict, and your own interval."
TEXT = {"GQA": 2, "MQA": 1}
compared = {(name, 3): compare_paired(bits[8], bits[kv], margin=MARGIN) for name, kv in TEXT.items()}
for (name, _), found in compared.items():
    print(f"a is MHA, b is {name}: {found}")
    print("    yours: {:+.3g} [{:+.3g}, {:+.3g}]".format(*paired_difference(bits[8], bits[TEXT[name]], 0.95)))

# %% [markdown]
# Read the verdicts with care. "Worse" needs an interval wholly on one side of 0. "Not distinguishable" is not
# "the same": such an interval contains 0 *and* reaches beyond the margin. The runs would look like this with no
# difference, and with one that matters. "Same within the margin" needs one that lies **wholly** within it.
#
# So always ask what an experiment *could* have seen. The **smallest detectable difference** is the one
# that so many pairs, with this scatter, show in 80 % of experiments.

# %% does="Prints the scatter of the differences and the smallest difference that three pairs can show."
for (name, pairs), found in compared.items():
    print(f"{name}: the differences scatter by {found.sd:.3f}; {pairs} pairs can show {found.detectable:.3f} bits per byte")

# %% [markdown]
# Now the two more seeds that were planned. **How much narrower will the intervals be?** (Adding seeds
# *until* an interval leaves out 0 would be cheating: sooner or later one does. About 20 seconds.)

# %% does="Trains the two seeds that were planned, and compares again with three and with five pairs."
for run in final(sweep(text, [Heads(8, kv, 8) for kv in (8, 2, 1)], range(3, 5), recipe, bar=True)):
    bits[run["num_kv_heads"]].append(run["bits_per_byte"])
compared = {(name, pairs): compare_paired(bits[8][:pairs], bits[kv][:pairs], margin=MARGIN)
            for name, kv in TEXT.items() for pairs in PAIRS}
rows = {f"{name}, {pairs} pairs": (f.difference, f.low, f.high) for (name, pairs), f in compared.items()}

# %% does="Draws the differences to MHA with their intervals, the margin and a reported value; prints the verdicts."
fig = plots.difference_intervals(
    rows, title="With five pairs: " + ", ".join(f"{name} {compared[name, 5].verdict}" for name in TEXT),
    xlabel="held-out loss minus MHA's (bits per byte)", margin=MARGIN,
    reported={"+0.003: see below": 0.003}, note="95 % intervals. Below 0: better than MHA.")
plots.show(fig, alt="Difference to MHA in bits per byte with its interval: " + "; ".join(
    f"{name} {middle:+.3g} from {low:+.3g} to {high:+.3g}" for name, (middle, low, high) in rows.items()))
for name in TEXT:
    print(f"a is MHA, b is {name}: {compared[name, 5]}")

# %% [markdown]
# ## The same cut, two tasks
#
# The same heads, the same cached numbers, and as many parameters. What did the cut cost on each task?

# %% does="Puts the cost of the same cut on recall and on text side by side, in per cent."
for name, kv in TEXT.items():
    lost = 1 - mean[kv] / mean[8]
    found, average = compared[name, 5], sum(bits[8]) / len(bits[8])
    print(f"{name}: recall loses {lost:.0%} of its right answers; text needs {found.difference / average:+.1%} bits "
          f"(95 % interval {found.low / average:+.1%} to {found.high / average:+.1%})")

# %% [markdown]
# **What GQA removes is cached numbers, and whether that costs quality depends on whether the task
# needs them.** The next byte of a text mostly follows from the last few. An average over all bytes shows
# little of the few that had to be looked up far back.

# %% [markdown]
# ## How many seeds would it take?
#
# Heads of 8 are tiny. With heads of the usual size the difference is smaller still: [one
# team](https://github.com/marin-community/marin/issues/4371) reports about +0.003 bits per byte for each
# halving of the KV heads, and [27 small runs](https://github.com/openai/parameter-golf/pull/2000) found
# 0.002 between 8 and 4. To see 0.003 with the scatter that you measured takes:

# %% does="Computes how many pairs, and hours of training here, would show 0.003 bits per byte."
for name in TEXT:
    found = compared[name, 5]
    pairs = pairs_needed(found.sd, 0.003)
    print(f"{name}: {pairs:,} pairs of models, {2 * pairs * seconds_a_run / 3600:,.1f} hours of training on this machine")

# %% [markdown]
# The pairs grow with the *square* of scatter over difference: half the scatter, or twice the difference,
# takes a quarter of them. **This is why quality is asserted more often than shown**: what large runs
# report is far below the scatter between the seeds of a small one. "We saw no difference" says nothing
# until you know which one could have been seen.

# %% [markdown]
# ## What large studies say
#
# Larger models do not end the argument. From the [GQA paper](https://arxiv.org/abs/2305.13245)'s Table
# 1, as transcribed: T5-XXL on seven tasks (CNN, arXiv, PubMed, MediaSum, MultiNews, WMT, TriviaQA).
# Check the averages before you believe a tenth of a point.

# %% does="Recomputes the averages of the GQA paper's seven scores; compare each with the printed one."
paper = {  # scores of the seven tasks, and the average as printed
    "MHA": ([43.8, 45.6, 47.5, 36.4, 46.9, 28.4, 81.9], 47.2),
    "GQA-8": ([43.5, 45.4, 47.7, 36.3, 47.2, 28.4, 81.6], 47.1),
    "MQA": ([43.0, 45.0, 46.9, 36.1, 46.5, 28.5, 81.3], 46.6),
}
for name, (scores, printed) in paper.items():
    print(f"{name:5} printed {printed}, average of the printed scores {sum(scores) / len(scores):.2f}")

# %% [markdown]
# MQA's scores do not give its printed average: 0.2 points, more than what separates GQA-8 from MHA.
#
# And how sure is a score? An answer is right or wrong, so with n questions and a share p of right
# answers, the standard error of a score is √(p (1 - p) / n); that of a difference of two scores is
# √(p (1 - p) / n + q (1 - q) / n). (That takes the two for independent. They answered the same questions, so
# pairs would tell more, but nobody publishes answer by answer.) Below: [Llama 2](https://arxiv.org/abs/2307.09288)
# (Table 18, 30B, 150 billion tokens) and [DeepSeek-V2](https://arxiv.org/abs/2405.04434) (appendix D.1, 7B, 1.33 trillion),
# both as transcribed.

# %% does="Computes published differences to MHA, with intervals from the number of questions alone."
tables = {  # questions; percent right with MHA, 8 KV heads, 1 KV head
    "Llama 2, BoolQ": (3270, 71.0, 69.4, 70.6), "Llama 2, GSM8K": (1319, 4.9, 5.3, 4.8),
    "Llama 2, HumanEval": (164, 7.9, 7.9, 7.3), "Llama 2, MMLU": (14_042, 28.0, 26.9, 26.5),
    "DeepSeek, MMLU": (14_042, 45.2, 41.2, 37.9),
}
gaps = {}
for task, (n, mha_score, gqa_score, mqa_score) in tables.items():
    for name, score in (("GQA-8", gqa_score), ("MQA", mqa_score)):
        p, q = mha_score / 100, score / 100
        error = 100 * (p * (1 - p) / n + q * (1 - q) / n) ** 0.5
        gaps[f"{name} · {task}"] = score - mha_score, score - mha_score - 1.96 * error, score - mha_score + 1.96 * error

# %% does="Draws these differences and prints which of them lie beyond what chance alone does."
beyond = [name for name, (_, low, high) in gaps.items() if low > 0 or high < 0]
fig = plots.difference_intervals(
    gaps, title=f"{len(gaps) - len(beyond)} of {len(gaps)} differences are within what chance alone does",
    xlabel="score minus MHA's (points)", note="95 % intervals from the number of questions alone. One training run each.")
plots.show(fig, alt="Score minus MHA's in points, with its interval: " + "; ".join(
    f"{name} {gap:+.1f} from {low:+.1f} to {high:+.1f}" for name, (gap, low, high) in gaps.items()))
print("beyond chance:", "; ".join(beyond))

# %% [markdown]
# Of these only MMLU has enough questions to say anything, and there one study finds 1 point and the other 4.
# (Llama 2's seven other columns are not here, for want of their numbers of questions; over all eleven GQA's
# average is the highest, 44.28 to MHA's 44.15. The intervals know nothing of another seed: each model was
# trained once. Of many columns one in twenty is "beyond chance" by chance.) **Why do they disagree?** They
# did not measure the same thing.

# %% [markdown]
# | | who was compared | fewer KV heads behind MHA by |
# |---|---|---|
# | GQA paper | T5 encoder-decoders, converted from MHA and trained on for 5 % | 0.1 points of 47 on average |
# | Llama 2 | decoders from scratch, wider blocks | better on 6 of 11 columns, worse on 4 |
# | DeepSeek-V2 | decoders from scratch, parameters evened out with more layers | 4 points of MMLU |
# | [marin #5151](https://github.com/marin-community/marin/issues/5151) | two small sizes with experts, all KV heads or 1, one run each | 0.024 and 0.034 in the loss |
#
# Size, data, tokens, conversion, what was evened out, and above all what the evaluation asks of the
# cache: each of these differs. An average over summaries hides what a test of knowledge shows.

# %% [markdown]
# ## What to do about it
#
# What follows from a shape alone: bytes, FLOPs, how many sequences fit. What does **not**: the quality
# of your model on your task. [Fits over many trained models](https://arxiv.org/abs/2503.09579) extrapolate a
# training loss, not a score; nobody has predicted either without training. So:
#
# - train (or convert, and train on) both variants, and change *only* the KV heads and what evens out
#   the parameters;
# - use your own evaluations, and among them one whose answers are in the context: long documents,
#   code that refers far back, many facts at once. That is where a small cache would show;
# - fix the margin before, pair the seeds, give the interval and the smallest detectable difference;
# - where a published table is all you have, compute its standard errors first.
#
# Lesson 10 converts a model that is trained already.

# %% [markdown]
# ## What this does not tell you
#
# - The recall task has one layer and heads of 8. At the usual 64 or 128 channels a KV head holds
#   far more ("MQA, heads of 64" lost nothing here), and a deep model can spread what it needs
#   over its layers. It shows *what* sharing takes away, not how much your model would miss it.
# - All designs were trained with one learning rate. A fair race tunes each.
# - The text models have two layers and heads of 8, and saw a third of a megabyte, 48 bytes at a time.
#   What a cut costs a model that uses long contexts has to be measured there.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - GQA removes cached numbers per token. A task that needs them all loses much, text far less: measure yours.
# - Compare seed by seed, with an interval, a margin fixed before, and the smallest difference you could have seen.
# - Published results run from better to 4 points worse: quality must be measured, on your model and your task.

# %% [markdown] generated="ending"

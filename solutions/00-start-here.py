# %% [markdown] generated="card"

# %% [markdown]
# You begin with a measurement, not with theory. Then you learn how the course works: exercises,
# checks, hints, submitting. Run each cell with **Shift+Enter**.

# %% [markdown]
# ## The map
#
# Run the cell below for the lessons, what each needs, and where you stand; run it again whenever
# you come back. JupyterLab's tab **map.md** shows the same.

# %% does="Shows the map: look for the lessons, what each needs first, and where you stand."
from gqa_lib.learn import show_map

show_map()

# %% [markdown]
# ## One minute to the point
#
# A language model writes one token at a time; each is a *decode* step. For each, its attention
# layers read the **keys** (what a token is found by) and **values** (what it passes on) of
# everything so far: the *KV cache*. [Llama-3-8B](https://github.com/Lightning-AI/litgpt) has 32
# query heads but 8 KV heads; four query heads share each: grouped-query attention (GQA).
# **What does sharing buy, on the machine in front of you?**

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch and the functions for checks, hints and the quiz; run it before the cells below."
import torch

from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# We time one layer of that shape at 16,384 tokens, with 32 KV heads (multi-head, **MHA**), with
# 8 (**GQA**) and with 1 (multi-query, **MQA**). First, the machine: how fast can it read memory
# (its *memory bandwidth*), and how fast can it multiply? (This and the cell that measures take
# about 5 seconds each.)

# %% does="Measures how fast your machine reads memory and multiplies; look at the two numbers it prints."
from gqa_lib.measure import measure_hardware, pick_device

device = pick_device()
dtype = torch.float32 if device.type == "cpu" else torch.float16
machine = measure_hardware(device, dtype)
print(machine.name)
print(f"reads {machine.bandwidth_bytes_per_s / 1e9:.0f} GB/s, "
      f"multiplies {machine.flops_per_s / 1e9:,.0f} GFLOP/s, measured just now")

# %% [markdown]
# **Predict before you measure.** A step must read every key and value once and do its
# multiply-adds. Bytes over bandwidth, multiply-adds over the speed of doing them: the **longer** is the
# least time it takes.

# %% does="Predicts the least time of one step for MHA, GQA and MQA; compare the MiB to read."
from gqa_lib.cost import attention_bytes, attention_time

HEADS, HEAD_DIM, TOKENS = 32, 128, 16_384
KV_HEADS = {"MHA": 32, "GQA": 8, "MQA": 1}
predicted = {}
for name, n in KV_HEADS.items():
    mib = attention_bytes(1, HEADS, n, HEAD_DIM, 1, TOKENS, dtype.itemsize) / 2**20
    predicted[n] = attention_time(machine, 1, HEADS, n, HEAD_DIM, 1, TOKENS, dtype.itemsize)
    print(f"{name}: {n:2} KV heads, {mib:4.0f} MiB to read, at least {predicted[n] * 1e3:8,.3f} ms")

# %% [markdown]
# That is the machine's prediction. **What is yours? How many times as fast as MHA will GQA be, and
# MQA?** Put your numbers in place of `None`, 2.0 for twice as fast. Your guesses are kept and drawn
# as stars, and the map counts how many came within a factor of 2. (Or go on without: it changes nothing else.)

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("GQA as fast as MHA", None)
guess("MQA as fast as MHA", None)

# %% [markdown]
# **Now measure.** The three take turns, and each call reads memory that the processor's own small
# caches no longer hold.

# %% does="Times one decode step with 32, 8 and 1 KV heads in turn, always from memory no small cache holds."
from gqa_lib.attention import grouped_query_attention
from gqa_lib.measure import cold_pool, how_fast, summarise, time_arms

q = torch.randn(1, HEADS, 1, HEAD_DIM, device=device, dtype=dtype)
cold = cold_pool(2 * HEADS * TOKENS * HEAD_DIM, dtype=dtype, device=device)

def step(num_kv_heads):
    k, v = cold(2, 1, num_kv_heads, TOKENS, HEAD_DIM)
    return grouped_query_attention(q, k, v)

rows = time_arms({n: lambda i, n=n: step(n) for n in KV_HEADS.values()}, rounds=15, device=device)
cold = None  # gives its memory back

# %% does="Plots measured against predicted times; look for noisy arms first, then at where the two differ."
from gqa_lib import plots

plots.use_style()
timing = summarise(rows)
noisy = [name for name, n in KV_HEADS.items() if timing[n]["noisy"]]
print("noisy:", ", ".join(noisy) or "none")
expected = {name: guessed(f"{name} as fast as MHA") for name in ("GQA", "MQA")}
stars = {KV_HEADS[name]: timing[32]["median"] / times for name, times in expected.items() if times}
fig = plots.decode_time_plot(timing, predicted, num_heads=HEADS, guesses_s=stars,
                             title=f"One attention step, GQA against MHA: {how_fast(rows, 8, 32)}")
plots.show(fig, alt="Time of one step by KV heads, measured and predicted, in ms: " + ", ".join(
    f"{n}: {timing[n]['median'] * 1e3:,.3f} and {predicted[n] * 1e3:,.3f}" for n in timing))
for name in expected:
    ratio = timing[32]["median"] / timing[KV_HEADS[name]]["median"]
    outcome(f"{name} as fast as MHA", ratio, noisy="MHA" in noisy or name in noisy)

# %% [markdown]
# That is the subject of this course in one picture: sharing keys and values leaves less to read.
# (A whole model also reads its weights, so with a short context the gain all but disappears.)
# Where the measured and the predicted times differ, there is something to learn; you will find out
# what. (Other programs slow the measurement. If a time is called *noisy*, close what you can and run
# the cells again.)

# %% [markdown]
# Here is a smaller layer, to play with. Press **Play**: each step adds a column to the cache and
# reads all of it. Then move **KV heads** up to 8 and down to 1. What becomes of the bytes?

# %% does="Shows the picture that moves: play it, then change the KV heads and watch the bytes."
from gqa_lib.plots import moving_picture

moving_picture(num_heads=8, num_kv_heads=2)

# %% [markdown]
# ## What this course can tell you, and what it cannot
#
# - It **can** show you what grouped-query attention computes, what it saves and where the saving
#   is lost, and give you the tools to measure your own case.
# - It **cannot** tell you what GQA will do to your model's quality, your latency or your bill.
#   Nobody can, without measuring. Lesson 09 trains small models to see what of it can be seen at all.
# - Every number here is **measured** in that run, **derived** before your eyes, or given with its
#   **source**.

# %% [markdown]
# ## Words we use, and what others say
#
# | here | also seen as |
# |---|---|
# | `num_heads`: query heads | `num_attention_heads`, `n_head`, `n_heads` |
# | `num_kv_heads` | `num_key_value_heads`, `n_kv_heads`, `n_query_groups`, "GQA-8" |
# | `q_per_kv`: query heads per KV head | `num_key_value_groups`, `n_rep`, `group_size` |
#
# "Groups" means KV heads to some and heads per KV head to others, so we never use it. Likewise
# `n_local_heads`: KV heads in [gpt-fast](https://github.com/pytorch-labs/gpt-fast/blob/main/model.py),
# but the query heads on one GPU in
# [Meta's Llama 3](https://github.com/meta-llama/llama3/blob/main/llama/model.py).

# %% [markdown]
# ## How an exercise works
#
# You write where it says `YOUR CODE HERE` and delete the line that raises. The cell below it
# **checks** your work at once against an independent reference, and says what is probably wrong.
# Run it as it is first, to see what that looks like.

# %% [markdown]
# ## Exercise 1 · `queries_per_kv_head`
#
# *3 minutes · difficulty 1 of 5*
#
# How many query heads share each KV head? For Llama-3-8B, 32 and 8, it is 4. Where the heads
# cannot be shared evenly, raise a `ValueError` that says so.

# %% nbgrader={"grade": false, "grade_id": "queries_per_kv_head", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write how many query heads share each KV head, and refuse an uneven split."
def queries_per_kv_head(num_heads, num_kv_heads):
    """Return how many query heads read each KV head; ValueError if they do not divide evenly."""
    ### BEGIN SOLUTION
    if num_heads % num_kv_heads != 0:
        raise ValueError(f"{num_heads} query heads cannot be shared evenly by {num_kv_heads}")
    return num_heads // num_kv_heads
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "queries_per_kv_head-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks your function on several pairs of head counts, among them one that must be refused."
check("queries_per_kv_head", queries_per_kv_head)
### BEGIN HIDDEN TESTS
check("queries_per_kv_head", queries_per_kv_head, seed=None, cases=[
    {"num_heads": 9, "num_kv_heads": 3}, {"num_heads": 40, "num_kv_heads": 40},
    {"num_heads": 10, "num_kv_heads": 4}, *({"draw": n} for n in range(1, 9)),
    *({"draw": n, "even": False} for n in range(1, 7)),
])
### END HIDDEN TESTS

# %% [markdown] hints="queries_per_kv_head"
# <details><summary>Hint: it is a division</summary>
#
# A whole number of heads: use `//`, which divides without a fraction.
# </details>
# <details><summary>If the check complains about a ValueError</summary>
#
# 12 query heads cannot be shared evenly by 5 KV heads. The remainder `num_heads % num_kv_heads`
# tells you: when it is not 0, `raise ValueError("...")`.
# </details>
# <details><summary>A worked step</summary>
#
# `if num_heads % num_kv_heads != 0: raise ValueError("they do not divide evenly")`, and then
# `return num_heads // num_kv_heads`.
# </details>

# %% [markdown]
# Each exercise has a ladder of hints like the three above: a nudge, a symptom, a worked step.
# `hint("queries_per_kv_head")` in a cell shows them one at a time.

# %% [markdown]
# ## Submit, and see where you stand
#
# At the end of each lesson, after its questions:
#
# 1. **Save** (Ctrl+S). Grading reads the saved file.
# 2. Take the `#` out of the last cell, `# submit("00")`, and run it. (In a terminal, File → New →
#    Terminal, it is `gqa submit 00`.) It takes about 20 seconds.
# 3. You see your score, exercise by exercise, and a link to the feedback page. The cell above the last
#    one and the map link to that page, too.
#
# Submit as often as you like: every submission is kept. Feel free to add cells and try things:
# grading runs them only where an exercise needs them. The lessons you see are your own copies; updates never
# touch them. `gqa reset 00 queries_per_kv_head` restores an exercise and keeps a backup of your
# notebook; `gqa map` shows the map in the terminal.

# %% [markdown]
# ## Ask the tutor
#
# The tutor defines terms, works out sizes and answers questions on the lessons, the open one first, and
# says so when the course does not cover something. It gives no solutions and no quiz answers. In JupyterLab it is
# the chat `tutor.chat`; in a terminal, `gqa ask "what is a KV head?"`. In any notebook, run
# `%load_ext gqa_lib.learn.tutor` once; then a cell whose first line is `%%ask` holds your question.

# %% [markdown]
# ## Your set-up
#
# If something misbehaves, this is what to look at first, or to send along with a question.

# %% does="Prints your Python, torch, processor, threads, GPU and the device in use, for when something misbehaves."
from gqa_lib.measure import environment

about = environment(device)
for key in ("python", "torch", "cpu_model", "num_threads", "gpu_name"):
    if about.get(key) is not None:
        print(f"{key:12} {about[key]}")
print(f"{'device':12} {device} (set the environment variable GQA_DEVICE to choose another)")

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - Decoding reads the whole KV cache for every token; with fewer KV heads there is less to read.
# - Predict, then measure; believe neither alone.
# - Check at once, hint when stuck, submit when done.

# %% [markdown] generated="ending"

# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# To write one token, attention over 8,192 cached tokens does 67 million multiplications and
# additions per layer (32 heads of 64 channels): a millisecond's work at 67 GFLOP/s, which a small
# CPU can do. **Why does it take longer, and why does removing KV heads help, when the multiplies
# stay the same?**

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports PyTorch and the course's check, hint and quiz helpers; run it first."
import torch

from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# ## By hand: one query, three keys
#
# One sequence, one head, `head_dim` 2, float32, three tokens in the cache.
#
# | | count | FLOP or bytes |
# |---|---|---|
# | scores: 3 dot products of length 2 | 3 · (2 multiplies + 2 adds) | 12 FLOP |
# | values: 3 vectors of length 2, weighted and added | 3 · (2 + 2) | 12 FLOP |
# | read q, K, V and write the output | (2 + 6 + 6 + 2) numbers of 4 bytes | 64 bytes |
#
# 24 FLOP for 64 bytes: 0.375 FLOP per byte. That ratio is the **arithmetic intensity**.

# %% [markdown]
# ## Exercise 1 · `attention_flops`
#
# *10 minutes · difficulty 2 of 5*
#
# FLOPs of one layer's scores and weighted values, a multiply-add being 2; the softmax is left out.
# With `causal=True` count only the pairs a query may see: query i of T sees keys up to S - T + i.

# %% nbgrader={"grade": false, "grade_id": "attention_flops", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here the FLOPs of scores and weighted values, with and without a causal mask."
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    """Return the FLOPs (a whole number) of q k^T and of the weighted sum of v."""
    ### BEGIN SOLUTION
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2  # the last query sees every key
    return 4 * batch_size * num_heads * head_dim * pairs
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "attention_flops-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks your FLOP count on several shapes, causal ones with a cache included."
check("attention_flops", attention_flops)
### BEGIN HIDDEN TESTS
check("attention_flops", attention_flops, seed=None, cases=[
    *({"draw": n} for n in range(1, 4)), *({"draw": n, "causal": True} for n in range(1, 6)),
    {"draw": 1, "causal": None},
])
### END HIDDEN TESTS

# %% [markdown] hints="attention_flops"
# <details><summary>Hint: count pairs first</summary>
#
# How many (query, key) pairs are there in one head? Each costs the same for the score and for the
# value: D multiplies and D adds.
# </details>
# <details><summary>If only the causal cases fail</summary>
#
# Half of all pairs is right for long square masks only. Here query 0 already sees S - T + 1 keys;
# the mask hides 0 keys of the last query, 1 of the one before, T - 1 of the first.
# </details>
# <details><summary>A worked step</summary>
#
# `pairs = num_queries * num_keys`; causal takes away 0 + 1 + ... + (T - 1), which is
# `num_queries * (num_queries - 1) // 2`. Then 4 · B · H · D · pairs.
# </details>

# %% [markdown]
# Is that true of real code? PyTorch can count. It counts matrix products it can see, so we hand it
# the folded form of lesson 04; a fused operator may hide its products and count as **zero**.

# %% does="Sets up PyTorch's FLOP counter and the folded attention of lesson 04, which it can see."
from torch.nn.functional import scaled_dot_product_attention as sdpa
from torch.utils.flop_counter import FlopCounterMode

def count(function):
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()

def folded(q, k, v):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    return ((rows @ k.mT).softmax(-1) @ v).reshape(q.shape)

# %% does="Counts FLOPs with 32, 8 and 1 KV heads; compare counted, yours and the fused call's."
for num_kv_heads in (32, 8, 1):
    q, (k, v) = torch.randn(1, 32, 1, 64), torch.randn(2, 1, num_kv_heads, 8192, 64)
    seen = count(lambda: folded(q, k, v))
    assert seen > 0, "the counter saw no products: its number would mean nothing"
    print(f"{num_kv_heads:2} KV heads: counted {seen / 1e6:.1f} MFLOP, yours "
          f"{attention_flops(1, 32, 64, 1, 8192) / 1e6:.1f}, fused {count(lambda: sdpa(q, k, v, enable_gqa=True)) / 1e6:.1f}")

# %% [markdown]
# **The number of KV heads does not appear.** Every query head still meets every key, shared or not.
# So what does "GQA cannot match MQA's compute savings" mean? What is left is the projections.

# %% does="Prints which share of Llama-3-8B's parameters K and V projections are; compare three head counts."
from gqa_lib.configs import load_model
from gqa_lib.cost import kv_projection_params

llama = load_model("Llama-3-8B")
parameters = llama.weight_bytes / 2  # 2 bytes each; lesson 03 adds them up
print(f"all: {parameters / 1e9:.2f} billion parameters")
for num_kv_heads in (32, 8, 1):
    share = llama.num_layers * kv_projection_params(llama.d_model, num_kv_heads, 128) / parameters
    print(f"{num_kv_heads:2} KV heads: K and V projections are {share:5.1%} of that")

# %% [markdown]
# From 8 KV heads to 1, some 3 % of a model's multiplies can still go. That is MQA's
# whole lead in *compute*, and it may be spent on wider layers, as in [Llama 2's
# comparison](https://arxiv.org/abs/2307.09288) (its appendix A.2.1). What GQA gives up is **bytes**:
# MQA's cache is 8 times smaller still.

# %% [markdown]
# ## Exercise 2 · `attention_bytes`
#
# *10 minutes · difficulty 2 of 5*
#
# The least one layer's attention must move: q, K and V read once, the output written once.

# %% nbgrader={"grade": false, "grade_id": "attention_bytes", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here the least bytes that one layer's attention has to move."
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    """Return the bytes of q and the output (num_heads) and of K and V (num_kv_heads)."""
    ### BEGIN SOLUTION
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim * bytes_per_element
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "attention_bytes-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks your bytes on shapes with fewer KV heads than query heads and several element sizes."
check("attention_bytes", attention_bytes)
### BEGIN HIDDEN TESTS
check("attention_bytes", attention_bytes, seed=None, cases=[{"draw": n} for n in range(1, 9)])
### END HIDDEN TESTS

# %% [markdown] hints="attention_bytes"
# <details><summary>Hint: four tensors</summary>
#
# Write down the shapes of q, k, v and the output. Multiply each out, add, times the bytes of one
# number.
# </details>
# <details><summary>If it is too large for few KV heads</summary>
#
# K and V have `num_kv_heads` heads and `num_keys` rows; q and the output have `num_heads` heads and
# `num_queries` rows.
# </details>
# <details><summary>A worked step</summary>
#
# `2 * num_heads * num_queries` rows of q and output, `2 * num_kv_heads * num_keys` rows of K and V;
# each row has `head_dim` numbers.
# </details>

# %% [markdown]
# ## Exercise 3 · `arithmetic_intensity`
#
# *2 minutes · difficulty 1 of 5*
#
# FLOPs per byte moved. Watch which is on top; papers and blogs use both.

# %% nbgrader={"grade": false, "grade_id": "arithmetic_intensity", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here the ratio that the unit FLOP per byte describes."
def arithmetic_intensity(flops, bytes_moved):
    """Return FLOP per byte."""
    ### BEGIN SOLUTION
    return flops / bytes_moved
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "arithmetic_intensity-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false} does="Checks your ratio, fractions below one included."
check("arithmetic_intensity", arithmetic_intensity)
### BEGIN HIDDEN TESTS
check("arithmetic_intensity", arithmetic_intensity, seed=None, cases=[{"flops": 7.5, "bytes_moved": 1.5}, *({"draw": n} for n in range(1, 5))])
### END HIDDEN TESTS

# %% [markdown] hints="arithmetic_intensity"
# <details><summary>Hint: read the unit</summary>
#
# FLOP per byte: FLOPs divided by bytes.
# </details>
# <details><summary>If the check says cut off</summary>
#
# `//` keeps whole numbers only, and most decode intensities are small: 0.375 would become 0.
# </details>
# <details><summary>A worked step</summary>
#
# `return flops / bytes_moved`.
# </details>

# %% [markdown]
# Now put the three together. What happens to the intensity as the context grows? And as the batch
# grows? **How many times as high is it at 8,192 tokens as at 128?** (1 if it stays.)

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("intensity at 8,192 tokens / 128", None)

# %% does="Prints decode intensity for three head counts, contexts and batches; see what changes it."
def decode_intensity(num_kv_heads, batch_size, num_keys, bytes_per_element=2):
    flops = attention_flops(batch_size, 32, 128, 1, num_keys)
    moved = attention_bytes(batch_size, 32, num_kv_heads, 128, 1, num_keys, bytes_per_element)
    return arithmetic_intensity(flops, moved)

for num_kv_heads in (32, 8, 1):
    row = [decode_intensity(num_kv_heads, b, s) for b, s in ((1, 128), (1, 8192), (64, 8192))]
    print(f"{num_kv_heads:2} KV heads, bf16: " + ", ".join(f"{x:5.2f}" for x in row) + " FLOP/byte")
outcome("intensity at 8,192 tokens / 128", row[1] / row[0])  # of one KV head, where it moves most

# %% [markdown]
# Neither changes it. Each sequence has its own cache and its own work, so more of them make no
# difference. Once q and the output are negligible, $4 S H_q D$ FLOP meet $2 S H_{kv} D\,b$ bytes:
# the intensity is **2 · q_per_kv / bytes per element**. In bf16 that is `q_per_kv` itself.

# %% [markdown]
# ## Two numbers of your machine
#
# How many FLOPs can it do in the time it takes to read one byte? That is its **ridge point**: FLOP/s
# over bytes/s, both measured here, now. (About 3 seconds.)

# %% does="Measures this machine's bandwidth and FLOP/s, about 3 seconds; look at the ridge they give."
from gqa_lib.hardware import DATASHEET
from gqa_lib.measure import measure_hardware, pick_device

device = pick_device()
dtype = torch.float32 if device.type == "cpu" else torch.float16
machine = measure_hardware(device, dtype)
print(f"{machine.name}: reads {machine.bandwidth_bytes_per_s / 1e9:.0f} GB/s, multiplies "
      f"{machine.flops_per_s / 1e9:,.0f} GFLOP/s")
print(f"ridge: {machine.flops_per_s / machine.bandwidth_bytes_per_s:.1f} FLOP per byte")

# %% [markdown]
# For comparison, GPUs from their data sheets, *as transcribed on secondary pages*; we have not read
# the vendors' own sheets. (`DATASHEET[name].provenance` says where each was read.)

# %% does="Prints FLOP/s, bandwidth and ridge of six GPUs from data sheets; compare with your own ridge."
for name in ("T4", "A100 80GB SXM", "H100 SXM", "H200 SXM", "L4", "MI300X"):
    gpu = DATASHEET[name]
    print(f"{name:14} {gpu.flops_per_s / 1e12:6.0f} TFLOP/s {gpu.bandwidth_bytes_per_s / 1e12:6.2f} TB/s"
          f"   ridge {gpu.flops_per_s / gpu.bandwidth_bytes_per_s:4.0f}")

# %% [markdown]
# ### Spot the bug
#
# A colleague's slide says: "An H200 does 1,979 TFLOP/s in bf16 and reads 4.8 TB/s, so its ridge is
# 412." The table above says 206. One of the two numbers has an asterisk on the sheet. Which? A
# function with the slide's ridge hides below among five that say, wrongly, what waits for memory:
# which intensity, on which hardware, exposes it?

# %% does="Tries an intensity on five wrong ideas of what waits for memory; find intensities that expose the rest."
from gqa_lib.learn import hunt

hunt("is_memory_bound", (100, "H200 SXM"))

# %% [markdown]
# <details><summary>Answer</summary>
#
# The FLOP/s. Twice the dense rate is the rate *with 2:4 sparsity*, for weights in which two of every
# four numbers are zero. Sheets like to headline it; attention gains nothing from it. Whenever a
# ridge is off by exactly 2, look there. Only an intensity between the two ridges exposes it; for what
# happens *at* the ridge make up a `Hardware` with round numbers.
# </details>

# %% [markdown]
# ## Exercise 4 · `is_memory_bound`
#
# *5 minutes · difficulty 2 of 5*
#
# True when moving the bytes takes longer than doing the FLOPs (at the ridge itself, then, False).
# `hardware` has `flops_per_s`,
# `bandwidth_bytes_per_s` and `memory_bytes`.

# %% nbgrader={"grade": false, "grade_id": "is_memory_bound", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here whether work of a given intensity waits for memory on given hardware."
def is_memory_bound(intensity, hardware):
    """Return whether work of this intensity (FLOP per byte) waits for memory on this hardware."""
    ### BEGIN SOLUTION
    return intensity < hardware.flops_per_s / hardware.bandwidth_bytes_per_s
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "is_memory_bound-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks your verdict below, above and exactly at the ridge."
check("is_memory_bound", is_memory_bound)
### BEGIN HIDDEN TESTS
check("is_memory_bound", is_memory_bound, seed=None, cases=[{"draw": n} for n in range(1, 25)])
### END HIDDEN TESTS

# %% [markdown] hints="is_memory_bound"
# <details><summary>Hint: compare with the ridge</summary>
#
# The ridge point is the intensity at which both take equally long.
# </details>
# <details><summary>If it is exactly the wrong way round</summary>
#
# Few FLOPs per byte means little to do while waiting: below the ridge, memory decides.
# </details>
# <details><summary>A worked step</summary>
#
# `ridge = hardware.flops_per_s / hardware.bandwidth_bytes_per_s`, then `return intensity < ridge`.
# </details>

# %% [markdown]
# So on which side is decoding, with 32 query heads, on your machine and on an H100?

# %% does="Prints on which side decoding lies with three head counts, here and on an H100."
element = dtype.itemsize
for num_kv_heads in (32, 8, 1):
    here, there = (decode_intensity(num_kv_heads, 1, 8192, b) for b in (element, 2))
    print(f"{num_kv_heads:2} KV heads: here {here:5.2f} FLOP/byte, memory-bound "
          f"{is_memory_bound(here, machine)}; H100 in bf16 {there:5.2f}, "
          f"{is_memory_bound(there, DATASHEET['H100 SXM'])}")

# %% does="Says whether even MQA waits for memory on this machine, from its measured ridge."
mqa_waits = is_memory_bound(decode_intensity(1, 1, 8192, element), machine)
if mqa_waits:
    print("Even MQA waits for memory here: bytes decide all along.")
else:
    print("MQA with 32 heads per KV head is compute-bound here: its last bytes buy nothing.")

# %% [markdown]
# On the GPUs above the ridge is in the hundreds, and query heads that share K and V stay far below
# it. A CPU's may be below 16, the FLOP per byte of 32 query heads on one KV head in float32: then
# arithmetic takes over. **Now you know which of the two you have.**

# %% [markdown]
# ## The roofline, measured
#
# No kernel can be faster than either ceiling: the lower of intensity × bandwidth and peak FLOP/s.
# We time decoding with 32, 8 and 1 KV heads, a prompt of 1,024 tokens, and a linear layer fed
# one token or 64. **Which touch the slope, which the flat roof?** (About 10 seconds. Every call reads
# other memory, so that no processor cache helps.)

# %% does="Sets the sizes for the roofline and a memory pool that no processor cache can hold."
from gqa_lib.attention import grouped_query_attention
from gqa_lib.measure import cold_pool, how_fast, summarise, time_arms

HEADS, HEAD_DIM, TOKENS, WIDTH = 32, 64, 8192, 4096
BATCH, PROMPT = (16, 4096) if device.type == "cuda" else (1, 1024)  # a GPU must outlast its own launches
ARMS = {"MHA": 32, "GQA": 8, "MQA": 1}  # KV heads

def new(*shape):
    return torch.randn(shape, device=device, dtype=dtype)

most = 2 * BATCH * HEADS * 16_384 * HEAD_DIM  # numbers in the largest cache of this lesson
cold = cold_pool(most, dtype=dtype, device=device)

# %% does="Times decoding with three head counts, a linear layer and a prompt, about 10 seconds."
q, prompt = new(BATCH, HEADS, 1, HEAD_DIM), new(3, 1, HEADS, PROMPT, HEAD_DIM)
tokens = {n: new(n, WIDTH) for n in (1, 64)}
arms = {f"{arm} decode": lambda i, n=n: grouped_query_attention(q, *cold(2, BATCH, n, TOKENS, HEAD_DIM))
        for arm, n in ARMS.items()}
arms |= {f"weights, {n} token{'s' * (n > 1)}": lambda i, x=x: x @ cold(WIDTH, WIDTH) for n, x in tokens.items()}
arms["prefill"] = lambda i: grouped_query_attention(*prompt)
timing = summarise(time_arms(arms, rounds=30, device=device, budget_s=10))

# %% does="Works out FLOPs and bytes of each timed kind of work with your functions."
def linear(n):  # FLOPs and bytes of n tokens through the linear layer
    return 2 * n * WIDTH**2, (WIDTH**2 + 2 * n * WIDTH) * element

def decoding(num_kv_heads, num_keys):
    return (attention_flops(BATCH, HEADS, HEAD_DIM, 1, num_keys),
            attention_bytes(BATCH, HEADS, num_kv_heads, HEAD_DIM, 1, num_keys, element))

def prefilling(num_kv_heads):
    return (attention_flops(1, HEADS, HEAD_DIM, PROMPT, PROMPT, causal=True),
            attention_bytes(1, HEADS, num_kv_heads, HEAD_DIM, PROMPT, PROMPT, element))

work = {f"{arm} decode": decoding(n, TOKENS) for arm, n in ARMS.items()}
work |= {"weights, 1 token": linear(1), "weights, 64 tokens": linear(64), "prefill": prefilling(HEADS)}

# %% [markdown]
# Each time below is the tenth percentile of its samples, not the median: others on a machine only
# ever *add* time, so the lower end is nearer to what it can do. *(noisy)* marks what was disturbed all
# the same.

# %% does="Prints intensity, time, GB/s and GFLOP/s of each kind of work; note the noisy ones."
time_s = {arm: t["p10"] for arm, t in timing.items()}
for arm, (flops, moved) in work.items():
    print(f"{arm:18} {arithmetic_intensity(flops, moved):7.2f} FLOP/byte {time_s[arm] * 1e3:8,.3f} ms "
          f"{moved / time_s[arm] / 1e9:6.1f} GB/s {flops / time_s[arm] / 1e9:7.1f} GFLOP/s",
          "(noisy)" if timing[arm]["noisy"] else "")

# %% [markdown]
# What a machine has done, it can do: where a kernel beat a ceiling, the ceiling was measured too
# low (in a busy moment, say) and is corrected.

# %% does="Raises a ceiling that some kernel beat, then prints the corrected ridge of this machine."
from dataclasses import replace

def put_right(name, rates):
    global machine
    best, ceiling = max(rates, key=rates.get), getattr(machine, name)
    if rates[best] > ceiling:
        print(f"{name}: {ceiling / 1e9:,.1f} -> {rates[best] / 1e9:,.1f} G, reached by {best}")
        machine = replace(machine, **{name: rates[best]})

put_right("bandwidth_bytes_per_s", {arm: moved / time_s[arm] for arm, (_, moved) in work.items()})
put_right("flops_per_s", {arm: flops / time_s[arm] for arm, (flops, _) in work.items()})
print(f"ridge: {machine.flops_per_s / machine.bandwidth_bytes_per_s:.1f} FLOP per byte")

# %% does="Draws the roofline with your measured points; see which touch the slope, which the roof."
from gqa_lib import plots

plots.use_style()
points = {arm: (arithmetic_intensity(*work[arm]), work[arm][0] / time_s[arm]) for arm in work}
waiting = [arm for arm in work if is_memory_bound(points[arm][0], machine)]
fig = plots.roofline(machine, points, title=f"{len(waiting)} of {len(work)} kinds of work wait for memory here")
plots.show(fig, alt="Roofline of this machine. " + "; ".join(
    f"{arm}: {x:.3g} FLOP per byte, {y / 1e9:.3g} GFLOP/s" for arm, (x, y) in points.items()))

# %% [markdown]
# **What to look for.** Sharing heads moves decoding to the **right**, by cutting bytes, and the slope
# carries it up for as long as it rises. Prefill sits under the flat roof with nothing to gain there.
# With one token the weights are as starved as MHA; with 64 each byte read serves 64 times.
# **Batching helps with the weights, never with the cache.** And in your run?

# %% does="Prints whether MHA, GQA and MQA climb and what 64 tokens gain over one."
reached = {arm: y for arm, (_, y) in points.items()}
decode = [reached[f"{arm} decode"] for arm in ARMS]
climbs = " < ".join(f"{y / 1e9:.3g}" for y in decode) if decode == sorted(decode) else None
print("MHA, GQA, MQA climb, in GFLOP/s:", climbs or "not in this run: see which were noisy, or what this kernel loses")
print(f"64 tokens instead of 1: the weights' FLOP/s grow {reached['weights, 64 tokens'] / reached['weights, 1 token']:.1f} times")

# %% [markdown]
# ### Spot the bug
#
# "Our kernel has a ratio of 0.25. The ridge is 10. Far below the ridge: memory-bound, so let us share
# heads." The number 0.25 came from a README that defines the ratio as *bytes per FLOP*. What is wrong?

# %% [markdown]
# <details><summary>Answer</summary>
#
# 0.25 bytes per FLOP are 4 FLOP per byte: still below 10 here, by luck. But 0.01 bytes per FLOP is
# 100 FLOP per byte, far *above* the ridge, and the conclusion turns round. [Shazeer's
# paper](https://arxiv.org/abs/1911.02150) has memory over compute, rooflines the inverse. Write the unit next to the number.
# </details>

# %% [markdown]
# ## Predict a decode step, then check the prediction
#
# The prediction for attention is the longer of bytes over bandwidth and FLOPs over peak. How good is
# it? We divide **predicted by measured** time over 18 shapes: 1 is perfect, below 1 means time was
# lost to something the two ceilings leave out, and above 1 that a ceiling was read too low. (About
# 10 seconds.)

# %% does="Times decoding for 18 shapes, six head counts at three contexts, about 10 seconds."
KV_HEADS, CONTEXTS = (32, 16, 8, 4, 2, 1), (4096, 8192, 16_384)
shapes = [(n, context) for context in CONTEXTS for n in KV_HEADS]
rows = time_arms({
    (n, context): lambda i, n=n, c=context: grouped_query_attention(q, *cold(2, BATCH, n, c, HEAD_DIM))
    for n, context in shapes}, rounds=40, device=device, budget_s=12)
step_timing, shape_rows = summarise(rows), rows
time_of = {shape: t["p10"] for shape, t in step_timing.items()}

# %% does="Prints predicted over measured time for all shapes; 1 is perfect, a star means noisy."
ratio = {}
for shape in shapes:
    flops, moved = decoding(*shape)
    least_s = max(moved / machine.bandwidth_bytes_per_s, flops / machine.flops_per_s)
    ratio[shape] = least_s / time_of[shape]
print("predicted / measured time, from the ceilings; * noisy")
print("tokens  " + "".join(f"{n:4} KV heads" for n in KV_HEADS))
for c in CONTEXTS:
    print(f"{c:6,}  " + "".join(f"{ratio[n, c]:12.2f}{'*' if step_timing[n, c]['noisy'] else ' '}" for n in KV_HEADS))
waits = [s for s in shapes if is_memory_bound(arithmetic_intensity(*decoding(*s)), machine)]
near = sum(0.85 <= ratio[s] <= 1 / 0.85 for s in waits)
print(f"within 15 %: {near} of the {len(waits)} shapes that should wait for memory here")

# %% [markdown]
# The ceilings are a **bound**: what the memory and the multipliers could do. How much of them *this
# kernel* reaches is a fact about the kernel, and two measurements tell it. Let its time be bytes
# over its own bandwidth plus FLOPs over its own speed, and solve for these two rates from MHA and
# MQA at 8,192 tokens. The other 16 shapes were not used: do they come out right?

# %% does="Solves for this kernel's two rates from two measured times; compare them with the ceilings."
from numpy.linalg import solve

known = [(32, 8192), (1, 8192)]
seconds_per_flop, seconds_per_byte = solve([decoding(*shape) for shape in known],
                                           [time_of[shape] for shape in known])
if min(seconds_per_flop, seconds_per_byte) > 0:
    print(f"this kernel: {1e-9 / seconds_per_byte:.3g} of {machine.bandwidth_bytes_per_s / 1e9:.3g} GB/s, "
          f"{1e-9 / seconds_per_flop:.3g} of {machine.flops_per_s / 1e9:,.3g} GFLOP/s")
    if 1 / seconds_per_flop > machine.flops_per_s or 1 / seconds_per_byte > machine.bandwidth_bytes_per_s:
        print("More than a ceiling: the two overlap here, or a ceiling was read too low.")
else:
    print("A rate came out negative: these two times are too disturbed, or too short, to tell it.")
fitted_s = {s: decoding(*s)[0] * seconds_per_flop + decoding(*s)[1] * seconds_per_byte for s in shapes}
fitted = {s: fitted_s[s] / time_of[s] for s in shapes if s not in known}

# %% does="Draws predicted over measured time from the ceilings and from two measurements; compare the two."
told = [s for s in waits if s in fitted]
good = sum(0.85 <= fitted[s] <= 1 / 0.85 for s in told)
fig = plots.predicted_over_measured(
    {"from the ceilings": ratio, "from two measurements": fitted}, num_heads=HEADS,
    title=f"Memory-bound: two measurements predict {good} of {len(told)} within 15 %")
plots.show(fig, alt="Predicted over measured decode time, from the ceilings and from two measurements: " + "; ".join(
    f"{n} KV heads, {c} tokens {ratio[n, c]:.2f} and {fitted.get((n, c), 1):.2f}" for n, c in shapes))

# %% does="Reports the fit where arithmetic decides, and lists noisy shapes to run again."
rest = [r for s, r in fitted.items() if s not in waits]
if rest:
    print(f"where arithmetic decides: {sum(0.85 <= r <= 1 / 0.85 for r in rest)} of {len(rest)}, "
          f"from {min(rest):.2f} to {max(rest):.2f}")
disturbed = [f"{n} KV heads at {c:,}" for (n, c), t in step_timing.items() if t["noisy"]]
print("noisy, so run again before you believe them:", ", ".join(disturbed) or "none")

# %% [markdown]
# <details><summary>What the ceilings leave out</summary>
#
# - A CPU kernel's loops do not keep every memory channel busy, and thin products (a few rows
#   against thousands of keys) run far below the speed of large square ones. A hand-written kernel
#   comes closer: the library's benchmarks show by how much.
# - Near the ridge bytes and FLOPs both take long, and a kernel overlaps them only in part. Adding
#   the two times, as the fit does, says: not at all.
# - Starting a call and dividing it among threads costs microseconds that short reads cannot hide.
# - A neighbour on the machine takes bandwidth.
# </details>

# %% [markdown]
# What you want to know in the end is a ratio anyway: **how much faster are fewer KV heads?**

# %% does="Prints how much faster 8 and 1 KV heads are, next to what the ceilings promise."
def least_s(n, c):
    return max(decoding(n, c)[1] / machine.bandwidth_bytes_per_s, decoding(n, c)[0] / machine.flops_per_s)

for c in CONTEXTS:
    for n in (8, 1):
        print(f"{c:6,} tokens, {n} of 32 KV heads: {how_fast(shape_rows, (n, c), (32, c))} "
              f"(ceilings: {least_s(32, c) / least_s(n, c):.2g})")
print("8 KV heads at 16,384: less than the ceilings promise, so this kernel reaches less of them than with 32"
      if ratio[8, 16_384] < 0.85 * ratio[32, 16_384] else "8 KV heads at 16,384: what the ceilings promise",
      "(noisy)" if step_timing[8, 16_384]["noisy"] or step_timing[32, 16_384]["noisy"] else "")

# %% [markdown]
# ## Exercise 5 · `decode_step_time`
#
# *15 minutes · difficulty 4 of 5*
#
# A whole model now. One step, for a batch of B sequences with `context_length` tokens each, reads all
# weights **once** and every sequence's K and V in every layer. It does 2 FLOP per parameter and
# sequence, and attention's 4 · S · H · D per layer and sequence. Bytes over bandwidth or FLOPs over peak: the
# longer one is the answer. (Standard attention; `bytes_per_element` is that of cache and weights,
# so there are `weight_bytes / bytes_per_element` parameters.)

# %% nbgrader={"grade": false, "grade_id": "decode_step_time", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here the least seconds of one decode step of a whole model."
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    """Return the least seconds of one decode step; config has num_layers, num_heads,
    num_kv_heads and head_dim, hardware has flops_per_s and bandwidth_bytes_per_s."""
    ### BEGIN SOLUTION
    tokens = batch_size * context_length * config.num_layers
    kv_bytes = 2 * tokens * config.num_kv_heads * config.head_dim * bytes_per_element
    linear_flops = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * tokens * config.num_heads * config.head_dim
    return max(
        (weight_bytes + kv_bytes) / hardware.bandwidth_bytes_per_s,
        (linear_flops + attention) / hardware.flops_per_s,
    )
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "decode_step_time-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks your step time on several batches, contexts and machines."
check("decode_step_time", decode_step_time)
### BEGIN HIDDEN TESTS
check("decode_step_time", decode_step_time, seed=None, cases=[{"draw": n} for n in range(1, 13)])
### END HIDDEN TESTS

# %% [markdown] hints="decode_step_time"
# <details><summary>Hint: two sums and a max</summary>
#
# Add up all bytes (weights once, caches of all sequences and layers). Add up all FLOPs. Divide each
# by its rate; return the longer time.
# </details>
# <details><summary>If it is right for batch 1 only</summary>
#
# What grows with the batch? The caches, attention's FLOPs, and the weights' FLOPs. What does not: the
# weights' bytes.
# </details>
# <details><summary>A worked step</summary>
#
# `kv_bytes = 2 * batch_size * config.num_layers * config.num_kv_heads * context_length *
# config.head_dim * bytes_per_element`, and
# `linear_flops = 2 * batch_size * weight_bytes / bytes_per_element`.
# </details>

# %% [markdown]
# ## When sharing heads buys almost nothing
#
# Llama-3-8B's shape with 32, 8 or 1 KV heads on an H100's data sheet, weights held the same. Same
# architecture, same hardware, four kinds of traffic. **Which row gains most? Which gains nothing?**

# %% does="Models a step with 32, 8 and 1 KV heads for four kinds of traffic; compare gains."
H100, WEIGHTS = DATASHEET["H100 SXM"], llama.weight_bytes
print("batch  context        MHA      GQA-8       MQA    GQA gains (modelled)")
for batch, context in ((1, 1024), (1, 131_072), (32, 8192), (128, 1024)):
    t = {n: decode_step_time(replace(llama, num_kv_heads=n), H100, batch, context, 2, WEIGHTS) for n in (32, 8, 1)}
    print(f"{batch:5} {context:8,} " + " ".join(f"{s * 1e3:7.2f} ms" for s in t.values()) + f"   {t[32] / t[8]:5.2f}x")

# %% [markdown]
# One user, a thousand tokens: MHA's 512 MiB of cache sit next to 15 GiB of weights. GQA saves 384
# MiB of all that, and the gain is 2 %. Four times less cache is four times faster only where there
# is nothing *but* cache. "GQA makes decoding 4 times faster" leaves out batch, context and weights.

# %% [markdown]
# ## Measure it: weights or cache?
#
# A model of two layers, small enough for any machine: 34 million weights, 134 MB in float32. Once with
# one short sequence, once with many long ones. **How many times as fast as MHA is GQA-8 with each?** The
# prediction is yours. (About 10 seconds.)

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("GQA-8 as fast as MHA, one short sequence", None)
guess("GQA-8 as fast as MHA, many long ones", None)

# %% does="Builds a model of two layers, its weights and one decode step that can be timed."
from gqa_lib.configs import ModelConfig

D_MODEL, LAYERS, D_FF = 1024, 2, 4096
matrices = [0.02 * new(D_MODEL, D_MODEL) for _ in range(4 * LAYERS)]
wide_ones = [[0.02 * new(*shape) for shape in ((D_MODEL, D_FF), (D_FF, D_MODEL), (D_MODEL, D_FF))]
             for _ in range(LAYERS)]
model_bytes = sum(w.nbytes for w in matrices) + sum(w.nbytes for three in wide_ones for w in three)

def step(x, layers_kv):
    for layer, (k, v) in enumerate(layers_kv):
        for w in matrices[4 * layer: 4 * layer + 3]:  # K and V projections held as large as q's
            projected = x @ w
        attended = grouped_query_attention(projected.view(len(x), HEADS, 1, -1), k, v)
        x = x + attended.flatten(1) @ matrices[4 * layer + 3]
        up, down, gate = wide_ones[layer]
        x = x + ((x @ up) * (x @ gate)) @ down
    return x

# %% does="Times the two-layer model on short and long traffic with 32 and 8 KV heads."
MANY = 64 if device.type == "cuda" else 8
TRAFFIC = {"1 sequence of 256 tokens": (1, 256), f"{MANY} sequences of 4,096": (MANY, 4096)}
measured, expected = {}, {}
for name, (batch, context) in TRAFFIC.items():
    x, arms = new(batch, D_MODEL), {}
    for n in (32, 8):
        kv = [new(2, batch, n, context, D_MODEL // HEADS) for _ in range(LAYERS)]
        arms[n] = lambda i, x=x, kv=kv: step(x, kv)
        config = ModelConfig("two layers", LAYERS, HEADS, n, D_MODEL // HEADS, D_MODEL)
        expected[name, n] = decode_step_time(config, machine, batch, context, element, model_bytes)
    timed = summarise(time_arms(arms, rounds=30, device=device, budget_s=6))
    measured |= {(name, n): t for n, t in timed.items()}

# %% does="Prints measured and predicted gains for both kinds of traffic; see where sharing pays."
gains = {}
for name in TRAFFIC:
    mha, gqa = (measured[name, n] for n in (32, 8))
    gains[name] = mha["p10"] / gqa["p10"]
    print(f"{name:26} MHA {mha['p10'] * 1e3:8,.3f} ms, GQA-8 {gqa['p10'] * 1e3:8,.3f} ms: {gains[name]:.2f} times as fast, "
          f"predicted {expected[name, 32] / expected[name, 8]:.2f}", "(noisy)" if mha["noisy"] or gqa["noisy"] else "")
    traffic = "one short sequence" if name.startswith("1 ") else "many long ones"
    outcome(f"GQA-8 as fast as MHA, {traffic}", gains[name], noisy=mha["noisy"] or gqa["noisy"])
short, long = gains.values()
print("The cache decides: sharing heads pays only where there is much of it." if long > 1.2 and short < 1.1
      else "This run does not show it. Run again when the machine is idle.")

# %% [markdown]
# One short sequence can gain next to nothing: its cache is 3 % of what a step reads. If the long ones
# fall short of the prediction, the reason is the one you met above: the prediction assumes the
# ceilings, and a kernel that reaches less of them with 8 KV heads than with 32 loses part of the
# gain.

# %% [markdown]
# ## Prefill: nothing to gain
#
# The same sharing, on a prompt: every key is read once and used by hundreds of queries. (About 5
# seconds.)

# %% does="Times a prompt with 32, 8 and 1 KV heads; compare times and multiples of the ridge."
prompts = {n: new(2, 1, n, PROMPT, HEAD_DIM) for n in ARMS.values()}
prefill = summarise(time_arms({n: lambda i, kv=kv: grouped_query_attention(prompt[0], *kv)
                               for n, kv in prompts.items()}, rounds=20, device=device, budget_s=5))
ridge = machine.flops_per_s / machine.bandwidth_bytes_per_s
for n, t in prefill.items():
    print(f"{n:2} KV heads: {arithmetic_intensity(*prefilling(n)) / ridge:4.0f} times the ridge, {t['p10'] * 1e3:8,.3f} ms, "
          f"{prefill[32]['p10'] / t['p10']:.2f} times as fast as MHA", "(noisy)" if t["noisy"] else "")

# %% [markdown]
# To the right of this machine's ridge, arithmetic decides, and there sharing heads has nothing to
# offer but the smaller projections and the smaller cache it leaves behind. (On a GPU with a ridge of
# 300 it takes a longer prompt to get there: the intensity grows with the number of new tokens.)

# %% [markdown]
# ## Explore
#
# Any model, any of these machines or yours. Everything it shows is *modelled*, with the formulas you
# just wrote. (Where sliders do not run, the cell below prints and draws the same.)

# %% does="Opens the explorer with your measured ceilings among the machines; all figures are modelled."
from gqa_lib.explore import explore, explorer

explorer(llama, hardware=machine)

# %% does="Prints and draws what the explorer shows for Llama-3-8B on an H100, batch 32."
found = explore(llama, H100, batch_size=32, context_length=8192)

# %% [markdown]
# ## Yours and the library's

# %% does="Compares your five functions with the library's; every entry should be True."
from math import isclose

from gqa_lib import cost

pairs = [
    (attention_flops(3, 32, 128, 7, 900, True), cost.attention_flops(3, 32, 128, 7, 900, True)),
    (attention_bytes(3, 32, 8, 128, 7, 900, 2), cost.attention_bytes(3, 32, 8, 128, 7, 900, 2)),
    (arithmetic_intensity(24, 64), cost.arithmetic_intensity(24, 64)),
    (is_memory_bound(16, machine), cost.is_memory_bound(16, machine)),
    (decode_step_time(llama, H100, 32, 8192, 2, WEIGHTS), cost.decode_step_time(llama, H100, 32, 8192, 2, WEIGHTS)),
]
print("same:", [isclose(yours, library) for yours, library in pairs])

# %% [markdown]
# `cost.decode_step_time` also knows windows, MLA and shared layers; `cost.ridge_point` and
# `cost.decode_intensity` have the two numbers you compared.

# %% [markdown]
# ## What this does not tell you
#
# - A ceiling is a **bound**. How near a kernel comes must be measured, for your kernel, dtype and
#   shapes; the ratio plot is how. For your own shapes: `gqa bench decode-latency -p context=16384`.
# - Data-sheet ceilings are rarely reached. Before you predict a server from a sheet, fit the two
#   rates to a few steps measured on it, as you did here.
# - Time is not money, and a step is not a service: queues, prompts and the mix of lengths are the
#   subject of lesson 08.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - Decode attention does 2 · q_per_kv / bytes FLOPs per byte, whatever the batch or the context.
# - Below the ridge time is bytes over bandwidth, so fewer KV heads are faster; above it they are not.
# - The gain for a whole model is the cache's share of all bytes read: predict it before you promise it.

# %% [markdown] generated="ending"

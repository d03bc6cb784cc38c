# %% [markdown]
# # Roofline
#
# What are this machine's two ceilings, and where under them are decoding, prefill and the linear
# layers? The picture says which of them wait for memory, and so what sharing heads can buy here.
#
# - **Timed:** one call each of decoding (cold caches), of prefill and of a linear layer.
# - **Takes:** about 20 s at its defaults, on two free CPU cores.
# - **Alone:** this notebook times. Run nothing else on the machine meanwhile.
#
# `gqa bench roofline -p dtype=bfloat16`, or `papermill` with the parameters below.

# %% tags=["parameters"]
num_kv_heads: list = [32, 8, 1]  # KV heads that decode
num_heads: int = 32  # query heads
head_dim: int = 128  # channels per head
batch_size: int = 0  # sequences decoded together; 0: 1 on a CPU, 16 on a GPU
context: int = 4096  # tokens in the cache
prompt_length: int = 0  # tokens of a prefill; 0: 1024 on a CPU, 4096 on a GPU
linear_tokens: list = [1, 64]  # rows that a linear layer of num_heads * head_dim squared is given
dtype: str = "float32"  # float32, bfloat16 or float16
device: str = ""  # cpu, cuda, ...; empty: the best there is
datasheet: str = ""  # a GPU whose data sheet is drawn too, such as "H100 SXM"
rounds: int = 10  # measured rounds, at least
quiet_samples: int = 8  # wait for this many undisturbed samples of everything ...
budget_s: float = 8.0  # ... but not longer than this, in seconds
memory_gib: float = 0.0  # for all tensors; 0: half of what is free
seed: int = 0  # of the random tensors
out_dir: str = "runs/roofline"  # folder for samples and result

# %%
import torch

from gqa_lib import hardware, measure, plots
from gqa_lib.attention import grouped_query_attention
from gqa_lib.bench import as_list, begin, check_parameters
from gqa_lib.cost import arithmetic_intensity, attention_bytes, attention_flops, is_memory_bound, ridge_point
from gqa_lib.kernels import choose_backend
from gqa_lib.measure import rotating_buffers, summarise, time_arms
from gqa_lib.plots import attention_arm

check_parameters("roofline", globals())
run = begin("roofline", out_dir, dtype=dtype, device=device, seed=seed)
place, element = run.device, run.dtype
B, T = (batch_size or 16, prompt_length or 4096) if place.type == "cuda" else (batch_size or 1, prompt_length or 1024)
width = num_heads * head_dim
rotated = measure.rotation_bytes(place)
caches = [2 * B * kv * context * head_dim * element.itemsize for kv in as_list(num_kv_heads)]
others = (width**2 + 3 * T * width + 2 * max(as_list(linear_tokens)) * width) * element.itemsize
run.need(sum(caches) + others + (len(caches) + 1) * rotated, memory_gib)

# %% [markdown]
# ## The ceilings, measured now
#
# Bandwidth is the fastest of several passes that only read; FLOP/s the fastest square matrix product.

# %%
machine = run.ceilings()

# %% [markdown]
# ## Prediction, before measuring
#
# FLOPs and bytes are counted from shapes. Below the ridge, time is bytes over bandwidth; above it,
# FLOPs over peak.

# %%
def attention_work(queries, kv, keys, sequences, causal):
    return (attention_flops(sequences, num_heads, head_dim, queries, keys, causal),
            attention_bytes(sequences, num_heads, kv, head_dim, queries, keys, element.itemsize))

kinds = {kv: attention_arm(num_heads, kv) for kv in as_list(num_kv_heads)}
work = {f"{arm}-{kv} decode": attention_work(1, kv, context, B, False) for kv, arm in kinds.items()}
work[f"prefill, {T} tokens"] = attention_work(T, num_heads, T, 1, True)
for n in as_list(linear_tokens):
    work[f"linear, {n} token{'s' * (n > 1)}"] = 2 * n * width**2, (width**2 + 2 * n * width) * element.itemsize
predicted = {arm: max(flops / machine.flops_per_s, moved / machine.bandwidth_bytes_per_s)
             for arm, (flops, moved) in work.items()}
for arm, (flops, moved) in work.items():
    intensity = arithmetic_intensity(flops, moved)
    print(f"{arm:22} {intensity:8.2f} FLOP/byte, at least {predicted[arm] * 1e3:7.3f} ms, waits for "
          + ("memory" if is_memory_bound(intensity, machine) else "arithmetic"))

# %% [markdown]
# ## Measurement
#
# Everything takes turns in the same rounds, and so do the passes that only read and the products that
# only multiply.

# %%
def new(*shape):
    return torch.randn(*shape, device=place, dtype=element)

def cold(*shape):
    """Return as many copies as no cache can hold, and a function that walks through them."""
    copies = rotating_buffers(lambda: new(*shape), new(*shape).nbytes, device=place)
    return lambda call: copies[call % len(copies)]

q, prompt, weight = new(B, num_heads, 1, head_dim), new(3, 1, num_heads, T, head_dim), cold(width, width)
arms, chosen = {}, {}
for kv, arm in kinds.items():
    cache = cold(2, B, kv, context, head_dim)
    chosen[f"{arm}-{kv} decode"] = choose_backend(q, *cache(0))
    arms[f"{arm}-{kv} decode"] = lambda i, c=cache: grouped_query_attention(q, *c(i))
arms[f"prefill, {T} tokens"] = lambda i: grouped_query_attention(*prompt)
for arm in list(work)[len(arms):]:
    x = new(int(arm.split()[1]), width)
    arms[arm] = lambda i, x=x: x @ weight(i)
passes, pass_bytes = measure.read_passes(place)
products, product_flops = measure.matrix_products(place, element)
rows = time_arms(arms | passes | products, rounds=rounds, device=place, quiet_samples=quiet_samples, budget_s=budget_s)
run.keep([row | {"kind": "sample" if row["arm"] in work else "ceiling"} for row in rows])
print("backend chosen:", chosen)

# %% [markdown]
# ## Result
#
# *Of ceiling* is the part of the lower of the two ceilings at that intensity. A ceiling is the most
# that this run has seen, before or in the rounds: what a machine has done, it can do.

# %%
from dataclasses import replace

timing = summarise(rows)
speed = {arm: {"flops_per_s": flops / timing[arm]["median"], "bytes_per_s": moved / timing[arm]["median"]}
         for arm, (flops, moved) in work.items()}
machine = run.machine = replace(machine,
    bandwidth_bytes_per_s=max([machine.bandwidth_bytes_per_s, *(s["bytes_per_s"] for s in speed.values()),
                               *(pass_bytes[arm] / timing[arm]["median"] for arm in passes)]),
    flops_per_s=max([machine.flops_per_s, *(s["flops_per_s"] for s in speed.values()),
                     *(product_flops[arm] / timing[arm]["median"] for arm in products)]))
print(f"{machine.bandwidth_bytes_per_s / 1e9:.1f} GB/s, {machine.flops_per_s / 1e9:,.0f} GFLOP/s: "
      f"ridge at {ridge_point(machine):.1f} FLOP per byte")
table = []
for arm, (flops, moved) in work.items():
    intensity = arithmetic_intensity(flops, moved)
    roof = min(machine.flops_per_s, intensity * machine.bandwidth_bytes_per_s)
    table.append({"arm": arm, "intensity": intensity, "median_s": timing[arm]["median"], **speed[arm],
                  "of_ceiling": speed[arm]["flops_per_s"] / roof, "noisy": timing[arm]["noisy"],
                  "memory_bound": is_memory_bound(intensity, machine)})

# %%
print("kind                    FLOP/byte        ms     GB/s   GFLOP/s  of ceiling  waits for")
for row in table:
    print(f"{row['arm']:22} {row['intensity']:10.2f} {row['median_s'] * 1e3:9.3f} {row['bytes_per_s'] / 1e9:8.1f} "
          f"{row['flops_per_s'] / 1e9:9.1f} {row['of_ceiling']:11.0%}  "
          + ("memory" if row["memory_bound"] else "arithmetic") + ("  noisy" if row["noisy"] else ""))

# %%
waiting = [row["arm"] for row in table if row["memory_bound"]]
finding = f"{len(waiting)} of {len(table)} kinds of work wait for memory: {', '.join(waiting) or 'none'}"
fig = plots.roofline(
    machine, {row["arm"]: (row["intensity"], row["flops_per_s"]) for row in table},
    title=f"{len(waiting)} of {len(table)} kinds of work wait for memory here",
    datasheet=hardware.datasheet(datasheet) if datasheet else None, note=f"{dtype}, batch {B}, {context} tokens")
plots.show(fig, alt="Roofline of this machine. " + "; ".join(
    f"{row['arm']}: {row['intensity']:.3g} FLOP per byte, {row['flops_per_s'] / 1e9:.3g} GFLOP/s" for row in table))

# %% [markdown]
# ## What this does not say
#
# A point under the roof may still be a poor kernel: the roof says what is possible, not what is
# reasonable to expect. And a step of a model is all of these in turn, weighted by how much of each
# there is.

# %%
run.end(f"{finding} (measured, {dtype}, {place}).", rows=table)

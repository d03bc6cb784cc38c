# %% [markdown]
# # Prefill latency
#
# How long does attention over a whole prompt take in one layer, for different numbers of KV heads?
# This is the compute-bound half of serving, where sharing heads should buy **next to nothing**.
#
# - **Timed:** one causal call over a prompt, from q, K, V to the output; wall time on a CPU, events
#   on a GPU.
# - **Takes:** about 20 s at its defaults, on two free CPU cores.
# - **Alone:** this notebook times. Run nothing else on the machine meanwhile.
#
# `gqa bench prefill-latency -p 'prompt_length=[1024,8192]'`, or `papermill` with the parameters below.

# %% tags=["parameters"]
prompt_length: list = [256, 512]  # tokens of the prompt; one or several
batch_size: int = 1  # prompts together
num_kv_heads: list = [32, 8, 1]  # KV heads; the first is what the others are compared with
num_heads: int = 32  # query heads
head_dim: int = 128  # channels per head
dtype: str = "float32"  # float32, bfloat16 or float16
compiled: bool = False  # compiled FlexAttention, too: half a minute for each shape
device: str = ""  # cpu, cuda, ...; empty: the best there is
rounds: int = 5  # measured rounds per prompt length, all arms in each, at least
quiet_samples: int = 5  # wait for this many undisturbed samples of every arm ...
budget_s: float = 3.0  # ... but not longer than this per prompt length, in seconds
memory_gib: float = 0.0  # for K and V of a prompt length; 0: half of what is free
seed: int = 0  # of the random q, K and V
out_dir: str = "runs/prefill-latency"  # folder for samples and result

# %%
from gqa_lib import plots
from gqa_lib.bench import as_list, begin, check_parameters, need_some
from gqa_lib.compare import table
from gqa_lib.compare.arms import library_arms, peer_arms
from gqa_lib.compare.timing import Point, fitting, time_points
from gqa_lib.cost import arithmetic_intensity, attention_bytes, attention_flops

check_parameters("prefill-latency", globals())
run = begin("prefill-latency", out_dir, dtype=dtype, device=device, seed=seed)
settings = [[Point(batch_size, T, kv, head_dim, T) for kv in as_list(num_kv_heads)]
            for T in as_list(prompt_length)]
most = run.memory(memory_gib)
settings, left_out = fitting(settings, run.dtype.itemsize, run.device, most)
need_some(settings, left_out)

# %% [markdown]
# ## The machine, now

# %%
machine = run.ceilings()

# %% [markdown]
# ## Prediction, before measuring
#
# Every query head meets every key it may see, shared or not: the FLOPs do not depend on the number of
# KV heads. Above the ridge they decide, and the speed-up to expect is 1.

# %%
def work(point):
    """Return FLOPs and bytes of one prefill: causal pairs only, all tensors moved once."""
    B, S, kv, D, T = point
    return (attention_flops(B, num_heads, D, T, S, causal=True),
            attention_bytes(B, num_heads, kv, D, T, S, run.dtype.itemsize))

predicted = {p: max(work(p)[0] / machine.flops_per_s, work(p)[1] / machine.bandwidth_bytes_per_s)
             for setting in settings for p in setting}
print("tokens  KV heads    GFLOP      MiB  FLOP/byte  least ms  speed-up")
for setting in settings:
    for p in setting:
        flops, moved = work(p)
        print(f"{p.context:6} {p.num_kv_heads:9} {flops / 1e9:8.2f} {moved / 2**20:8.1f} "
              f"{arithmetic_intensity(flops, moved):10.1f} {predicted[p] * 1e3:9.2f} "
              f"{predicted[setting[0]] / predicted[p]:8.2f}x")
print(*left_out, sep="\n")

# %% [markdown]
# ## Measurement
#
# The library's backends and their peers take turns, as in `decode-latency`; each is first compared
# with float64 on the last 64 tokens. One that takes 2.5 times as long as the fastest is not timed.

# %%
def arms(point, q, k, v):
    """Return the arms to time, without those that keep all scores where these do not fit."""
    made = library_arms(q, k, v) | peer_arms(q, point.num_kv_heads, compiled=compiled)
    scores_fit = 2 * 4 * point.batch_size * num_heads * point.context**2 <= most
    return {name: fn for name, fn in made.items() if scores_fit or name not in ("fold_matmul", "sdpa_math")}

rows = []
for setting in settings:
    made = time_points(setting, num_heads, run.dtype, run.device, arms, rounds=rounds,
                       budget_s=budget_s, quiet_samples=quiet_samples, rotate=False, hopeless=2.5)
    run.keep(made)
    rows += made
print("left to PyTorch, it ran:", {row["arm"]: row["operator"] for row in rows if row.get("operator")})
print(*table.not_timed(rows), sep="\n")

# %% [markdown]
# ## Result
#
# *Of peak* is the FLOP/s reached over the ceiling of a matrix product above. *Peer/own* is the time
# of the fastest peer over the library's choice, round by round: above 1 the library was faster.

# %%
found = [row for row in table.points(rows, machine.bandwidth_bytes_per_s) if row["own"]]
for row in found:
    point = Point(*(row[name] for name in Point._fields))
    row["predicted_s"], row["of_peak"] = predicted[point], work(point)[0] / row["timing"]["median"] / machine.flops_per_s
print("tokens  KV heads        ms  of peak  backend      best peer       peer/own  95 %")
for row in found:
    print(f"{row['context']:6} {row['num_kv_heads']:9} {row['timing']['median'] * 1e3:9.2f} {row['of_peak']:8.0%}  "
          f"{row['own']:11}  {row['best_peer']:14} {row['over_peer']:9.2f}  {row['low']:.2f}-{row['high']:.2f}"
          + ("  noisy" if row["noisy"] else ""))

# %%
compared = table.by_setting(found)
for group in compared:
    where = f"batch {batch_size}, {group[0]['context']} tokens"
    fig = plots.decode_time_plot(
        {row["num_kv_heads"]: row["timing"] for row in group},
        {row["num_kv_heads"]: row["predicted_s"] for row in group}, num_heads=num_heads,
        title=f"Prefill {table.against_first(group)}", note=f"{where}, {dtype}, {machine.name}")
    plots.show(fig, alt=f"Measured and predicted prefill time by KV heads at {where}: "
               f"speed-up {table.against_first(group)}.")

# %% [markdown]
# ## What this does not say
#
# A prompt also goes through the linear layers, where fewer KV heads save their part of the projections:
# a few percent of a model. And a served prompt waits in a queue, which decoding fills: sharing heads
# can shorten time to first token without touching prefill.

# %%
finding = (f"Prefill of {compared[-1][0]['context']} tokens {table.against_first(compared[-1])} "
           f"(measured, {dtype}, {run.device}).")
run.end(finding, rows=found, left_out=left_out)

# %% [markdown]
# # Decode latency
#
# How long does a decoding step of an attention layer take, for different numbers of KV heads? How
# near is that to what this machine can do, and would anything else have been faster?
#
# - **Timed:** one call with one new token per sequence, from q, K, V to the output; wall time on a
#   CPU, events around a replayed CUDA graph on a GPU.
# - **Caches:** cold. Each call reads another copy of K and V, together four last-level caches.
# - **Takes:** about 20 s at its defaults, on two free CPU cores.
# - **Alone:** this notebook times. Run nothing else on the machine meanwhile.
#
# `gqa bench decode-latency -p context=16384`, or `papermill` with the parameters below.

# %% tags=["parameters"]
context: list = [4096]  # tokens in the cache; one or several
batch_size: list = [1]  # sequences decoded together
num_kv_heads: list = [32, 8, 1]  # KV heads; the first is what the others are compared with
num_heads: int = 32  # query heads
head_dim: list = [128]  # channels per head
dtype: str = "float32"  # float32, bfloat16 or float16
backends: list = []  # arms to time, besides the chosen one; empty: all that can run here
compiled: bool = False  # compiled FlexAttention, too: half a minute for each shape
device: str = ""  # cpu, cuda, ...; empty: the best there is
cuda_graphs: bool = True  # on a GPU: without launches; false: as called from Python
rounds: int = 10  # measured rounds per setting, all arms in each, at least
quiet_samples: int = 8  # wait for this many undisturbed samples of every arm ...
budget_s: float = 6.0  # ... but not longer than this per setting, in seconds
memory_gib: float = 0.0  # for the tensors of a setting; 0: half of what is free
seed: int = 0  # of the random K and V
out_dir: str = "runs/decode-latency"  # folder for samples and result

# %%
from itertools import product

from gqa_lib import plots
from gqa_lib.bench import as_list, begin, check_parameters, need_some
from gqa_lib.compare import table
from gqa_lib.compare.arms import library_arms, own_arm, peer_arms
from gqa_lib.compare.timing import Point, fitting, time_points
from gqa_lib.cost import attention_bytes, attention_time
from gqa_lib.records.report import show_recorded

check_parameters("decode-latency", globals())
run = begin("decode-latency", out_dir, dtype=dtype, device=device, seed=seed)
kv_counts = as_list(num_kv_heads)
settings = [[Point(B, S, kv, D) for kv in kv_counts]
            for D, B, S in product(as_list(head_dim), as_list(batch_size), as_list(context))]
settings, left_out = fitting(settings, run.dtype.itemsize, run.device, run.memory(memory_gib))
need_some(settings, left_out)

# %% [markdown]
# ## The machine, now
#
# The ceilings are measured in this run: memory bandwidth and load change from minute to minute.

# %%
machine = run.ceilings()

# %% [markdown]
# ## Prediction, before measuring
#
# The least time is the larger of bytes / bandwidth and FLOPs / peak. The speed-up to expect is
# against the first KV head count of the same setting. What does not fit the memory is left out.

# %%
def step(point):
    """Return the shape arguments of the cost model for one step."""
    B, S, kv, D, T = point
    return B, num_heads, kv, D, T, S, run.dtype.itemsize

predicted = {point: attention_time(machine, *step(point)) for setting in settings for point in setting}
print("batch  context   d  KV heads       MiB     least ms  speed-up")
for setting in settings:
    for point in setting:
        mib, gain = attention_bytes(*step(point)) / 2**20, predicted[setting[0]] / predicted[point]
        print(f"{point.batch_size:5} {point.context:8} {point.head_dim:3} {point.num_kv_heads:9} "
              f"{mib:9.1f} {predicted[point] * 1e3:12.3f} {gain:8.2f}x")
print(*left_out, sep="\n")

# %% [markdown]
# ## Measurement
#
# All arms take turns in the same rounds, in an order that is reversed each time: this library's
# backends, and its **peers**, which one would call instead. These are PyTorch's operator as it
# chooses (`sdpa`) and pinned to one kernel, the query heads folded into rows, and compiled
# FlexAttention. Each is first compared with float64: a wrong result is not timed.

# %%
def arms(point, q, k, v):
    """Return the arms to time at a point, by name."""
    made = library_arms(q, k, v) | peer_arms(q, point.num_kv_heads, compiled=compiled)
    wanted = {*as_list(backends), own_arm(q, k, v)}
    return {name: fn for name, fn in made.items() if not backends or name in wanted}

on_gpu = run.device.type == "cuda"
graphs = machine.bandwidth_bytes_per_s if on_gpu and cuda_graphs else None
rows = []
for setting in settings:
    made = time_points(setting, num_heads, run.dtype, run.device, arms, rounds=rounds,
                       budget_s=budget_s, quiet_samples=quiet_samples,
                       reads=run.device.type == "cpu", graph_bandwidth=graphs)
    run.keep(made)
    rows += made
operators = {row["arm"]: row["operator"] for row in rows if row.get("operator")}
print("left to PyTorch, it ran:", operators)
print(*table.not_timed(rows), sep="\n")

# %% [markdown]
# ## Result
#
# *GB/s* is what the fastest pass over memory read in the same rounds: a CPU's ceiling moves with
# the neighbours. *Own* is the backend that this library chooses, and *share* the part of the ceiling
# that it reached; where arithmetic is the limit, it cannot be near 1. *Peer/own* is the time of the
# fastest peer over own, round by round, with its 95 % interval: above 1 the library was faster.

# %%
found = table.points(rows, machine.bandwidth_bytes_per_s)
for row in found:
    row["predicted_s"] = predicted[Point(*(row[name] for name in Point._fields))]
print(table.table(found, on_gpu=on_gpu))
print(*table.gains(found), sep="\n")

# %%
compared = table.by_setting(found)
for group in compared:
    where = f"batch {group[0]['batch_size']}, {group[0]['context']} tokens, d {group[0]['head_dim']}"
    fig = plots.decode_time_plot(
        {row["num_kv_heads"]: row["timing"] for row in group},
        {row["num_kv_heads"]: row["predicted_s"] for row in group}, num_heads=num_heads,
        title=f"Decoding {table.against_first(group)}", note=f"{where}, {dtype}, {machine.name}")
    plots.show(fig, alt=f"Measured and predicted decode time by KV heads at {where}: "
               f"speed-up {table.against_first(group)}.")

# %% [markdown]
# Every arm, as its speed over the library's choice (below 1: slower):

# %%
for row in found:
    if row["own"]:
        speeds = {arm: row["time_s"][row["own"]] / s for arm, s in row["time_s"].items()}
        print(f"B={row['batch_size']} S={row['context']} d={row['head_dim']} KV heads {row['num_kv_heads']:3}:",
              ", ".join(f"{arm} {x:.2f}" for arm, x in sorted(speeds.items(), key=lambda a: -a[1])))

# %% [markdown]
# ## Recorded on other machines
#
# These were not measured now: each says where and when.

# %%
show_recorded("decode")

# %% [markdown]
# ## What this does not say
#
# One layer's attention is not a model: a step also reads all the weights, and at batch 1 with a
# short context they are most of the bytes. Whether GQA pays for *your* traffic takes a run of the
# whole model.

# %%
finding = f"Decoding {table.against_first(compared[0])} (measured, {dtype}, {run.device})."
run.end(finding, rows=found, left_out=left_out)

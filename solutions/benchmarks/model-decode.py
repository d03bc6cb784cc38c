# %% [markdown]
# # Decoding with a whole model
#
# How many tokens per second does a whole model decode for different numbers of KV heads? Fewer KV
# heads make the cache smaller; the weights, which every step reads too, stay nearly as large.
#
# - **Timed:** one step, from one token per sequence to the likeliest next ones. Wall time on a CPU;
#   on a GPU between two events, launches included.
# - **Weights:** random, in the shape of a Llama. Speed does not depend on their values.
# - **Takes:** about 30 s at its defaults, on two free CPU cores.
# - **Alone:** this notebook times. Run nothing else on the machine meanwhile.
#
# `gqa bench model-decode -p context=8192 -p dtype=bfloat16`, or `papermill` with the parameters below.

# %% tags=["parameters"]
num_kv_heads: list = [8, 2, 1]  # KV heads; the first is what the others are compared with
num_heads: int = 8  # query heads
head_dim: int = 64  # channels per head
num_layers: int = 8  # layers of the model
d_model: int = 512  # channels of a token between layers
d_ff: int = 1408  # channels of a feed-forward block
vocab_size: int = 16384  # tokens that the model knows
batch_size: list = [8]  # sequences decoded together; one or several
context: list = [2048]  # tokens that each has in the cache; one or several
ragged: bool = False  # sequences of different lengths, from half of context to one and a half times
dtype: str = "float32"  # float32, bfloat16 or float16
device: str = ""  # cpu, cuda, ...; empty: the best there is
peers: bool = True  # also time transformers, where it is installed
rounds: int = 6  # measured rounds per setting, all arms in each, at least
quiet_samples: int = 6  # wait for this many undisturbed samples of every arm ...
budget_s: float = 4.0  # ... but not longer than this per setting, in seconds
memory_gib: float = 0.0  # for weights and caches of a setting; 0: half of what is free
seed: int = 0  # of weights, keys and values
out_dir: str = "runs/model-decode"  # folder for samples and result

# %%
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product

from gqa_lib import cost, plots
from gqa_lib.bench import as_list, begin, check_parameters, need_some
from gqa_lib.compare import step_table, table
from gqa_lib.compare.models import llama_like
from gqa_lib.compare.steps import StepPoint, fitting_steps, time_steps
from gqa_lib.model import LanguageModel

check_parameters("model-decode", globals())
run = begin("model-decode", out_dir, dtype=dtype, device=device, seed=seed)
kv_counts = as_list(num_kv_heads)
settings = [[StepPoint(B, S, kv) for kv in kv_counts]
            for B, S in product(as_list(batch_size), as_list(context))]

# %%
shape = {"num_heads": num_heads, "head_dim": head_dim, "num_layers": num_layers,
         "d_model": d_model, "d_ff": d_ff, "vocab_size": vocab_size}
configs = {kv: llama_like(kv, **shape) for kv in kv_counts}
for kv, config in configs.items():
    print(f"KV heads {kv:3}: {config.weights.total / 1e6:8,.1f} million parameters, of which a step "
          f"multiplies with {config.weights.dense / 1e6:,.1f} million")

# %%
transformers_version = version("transformers") if peers and find_spec("transformers") else None
with_peers = bool(transformers_version) and not ragged
if with_peers:
    print(f"Compared with transformers {transformers_version}, over the same weights.")
elif ragged:
    print("Not compared with transformers: its caches hold sequences of one length.")
else:
    print("Not compared with transformers: it is not installed." if peers else "No peers asked for.")
size = run.dtype.itemsize
fit = [fitting_steps(points, configs, size, run.device, ragged=ragged, peers=with_peers,
                     most_bytes=run.memory(memory_gib)) for points in settings]
settings, left_out = [points for points, _ in fit if points], [line for _, lines in fit for line in lines]
need_some(settings, left_out)

# %% [markdown]
# ## The machine, now

# %%
machine = run.ceilings()

# %% [markdown]
# ## Prediction, before measuring
#
# A step reads all weights once, but of the input embedding only a row per sequence, and every
# sequence's K and V. The least time is the larger of bytes / bandwidth and FLOPs / peak. The speed-up
# to expect is against the first KV head count of the same setting.

# %%
predicted = {p: step_table.least_step_s(configs[p.num_kv_heads], machine, p.batch_size, p.context, size)
             for points in settings for p in points}
print("batch  context  KV heads  weights, MiB  cache, MiB  least ms  tokens/s at most  speed-up")
for points in settings:
    for p in points:
        weights = configs[p.num_kv_heads].weights.dense * size / 2**20
        cache = cost.kv_cache_bytes(configs[p.num_kv_heads], [p.context] * p.batch_size, size) / 2**20
        print(f"{p.batch_size:5} {p.context:8} {p.num_kv_heads:9} {weights:13.1f} {cache:11.1f} "
              f"{predicted[p] * 1e3:9.2f} {p.batch_size / predicted[p]:17,.0f} "
              f"{predicted[points[0]] / predicted[p]:8.2f}x")
print(*left_out, sep="\n")

# %% [markdown]
# ## Measurement
#
# All arms take turns in the same rounds, in an order that is reversed each time: our step for each
# number of KV heads, its parts, and transformers' Llama with its attention implementations and caches.
# Before timing, our logits are compared with those of a sequence alone, and transformers' with ours:
# a step with wrong logits is not timed, nor is one that takes over 2.5 times as long as
# transformers' fastest.

# %%
models = {kv: LanguageModel(config, dtype=run.dtype, device=run.device) for kv, config in configs.items()}
rows = []
for points in settings:
    made = time_steps(points, models, ragged=ragged, peers=with_peers, parts=True,
                      reads=run.device.type == "cpu", rounds=rounds, budget_s=budget_s,
                      quiet_samples=quiet_samples)
    run.keep(made)
    rows += made
errors = [row["error"] for row in rows if row["kind"] == "arm" and row["error"] is not None]
print(f"largest difference of logits: {max(errors):.1g} of their norm, in {len(errors)} comparisons")
print(*table.not_timed(rows), sep="\n")

# %% [markdown]
# ## Result
#
# *GB/s* is what the fastest pass over memory read in the same rounds, and *least* the time for weights
# and cache at that rate. *Share* is least over measured. *Theirs/ours* is the time of transformers'
# fastest step over ours, round by round, with its 95 % interval: above 1 ours was faster.

# %%
found = step_table.step_points(rows, configs, machine)
for row in found:
    row["predicted_s"] = predicted[StepPoint(*(row[name] for name in StepPoint._fields))]
print(step_table.step_table(found))

# %%
compared = table.by_setting(found)
for group in compared:
    where = f"batch {group[0]['batch_size']}, {group[0]['context']} tokens" + ", ragged" * ragged
    fig = plots.decode_time_plot(
        {row["num_kv_heads"]: row["timing"] for row in group},
        {row["num_kv_heads"]: row["predicted_s"] for row in group}, num_heads=num_heads,
        title=f"A whole step {table.against_first(group)}", note=f"{where}, {dtype}, {machine.name}")
    plots.show(fig, alt=f"Measured and predicted time of a step by KV heads at {where}: " + ", ".join(
        f"{table.kv_heads(row['num_kv_heads'])} {row['tokens_per_s']:,.0f} tokens/s" for row in group) + ".")

# %% [markdown]
# ## Where the time goes
#
# The linear layers alone and attention alone, timed in the same rounds. The *rest* is the difference:
# norms, rotation, appending to the cache, and Python. On a noisy machine it may come out as 0.

# %%
print(step_table.parts_table(found))
for group in compared:
    bars = {table.kv_heads(row["num_kv_heads"]): [s * 1e3 for s in row["parts"].values()] for row in group}
    first, last = group[0], group[-1]
    changes = {part: f"{seconds * 1e3:.3g} to {last['parts'][part] * 1e3:.3g} ms"
               for part, seconds in first["parts"].items()}
    title = f"Attention: {changes['attention']} from {first['num_kv_heads']} to {table.kv_heads(last['num_kv_heads'])}"
    label = f"ms per step, batch {group[0]['batch_size']}, {group[0]['context']} tokens"
    fig = plots.stacked_bars({label: bars}, list(group[0]["parts"]), title=title)
    plots.show(fig, alt=f"Parts of a step, from {first['num_kv_heads']} to {last['num_kv_heads']} KV heads: "
               + ", ".join(f"{part} {change}" for part, change in changes.items()) + ".")

# %% [markdown]
# ## What this does not say
#
# Prompts are not in it, nor sequences that come and go: `throughput` serves some. The weights are
# random, so nothing is said about quality. And the larger the model, the more of a step is its
# weights: compare at the sizes, batch and context of your own traffic.

# %%
first = compared[0][0]  # of the first setting
finding = (f"A whole step {table.against_first(compared[0])}; {first['num_kv_heads']} KV heads "
           f"{first['tokens_per_s']:,.0f} tokens/s (measured, {dtype}, {run.device}).")
run.end(finding, rows=found, left_out=left_out, transformers=transformers_version)

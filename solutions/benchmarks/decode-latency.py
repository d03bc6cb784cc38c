# %% [markdown]
# # Decode latency
#
# How long does one decoding step of one attention layer take, for different numbers of KV heads,
# and how near is it to what this machine can do?
#
# - **Timed:** one call with one new token per sequence, from q, k, v to the output; wall time on a
#   CPU, events on a GPU, launch cost included.
# - **Caches:** cold. Each call reads another copy of K and V.
# - **Alone:** this notebook times. Run nothing else on the machine meanwhile.
#
# `gqa bench decode-latency -p context=16384`, or `papermill` with the parameters below.

# %% tags=["parameters"]
context: list = [4096]  # tokens in the cache; one or several
batch_size: list = [1]  # sequences decoded together
num_kv_heads: list = [32, 8, 1]  # KV heads; the first is what the others are compared with
num_heads: int = 32  # query heads
head_dim: int = 128  # channels per head
dtype: str = "float32"  # float32, bfloat16 or float16
backends: list = []  # backends to time; empty: all that can run here
device: str = ""  # cpu, cuda, ...; empty: the best there is
rounds: int = 10  # measured rounds per setting, all arms in each
seed: int = 0  # of the random K and V
out_dir: str = "runs/decode-latency"  # folder for samples and result

# %%
import json
from itertools import product
from pathlib import Path

import torch

from gqa_lib import kernels, plots
from gqa_lib.bench import as_list, commit
from gqa_lib.cost import attention_bytes, attention_time
from gqa_lib.hardware import measure_hardware, pick_device
from gqa_lib.kernels.reference import attention_reference
from gqa_lib.measure import environment, ratios, rotating_buffers, summarise, time_arms, write_jsonl

out = Path(out_dir)
out.mkdir(parents=True, exist_ok=True)
(out / "samples.jsonl").unlink(missing_ok=True)
place, element = pick_device(device or None), getattr(torch, dtype)
settings = list(product(as_list(batch_size), as_list(context)))
kv_counts = as_list(num_kv_heads)
torch.manual_seed(seed)
plots.use_style()

# %% [markdown]
# ## The machine, now
#
# The ceilings are measured in this run: memory bandwidth and load change from minute to minute.

# %%
machine = measure_hardware(place, element)
about = environment(place)
write_jsonl(out / "environment.jsonl", [about])
print(machine.name, "-", machine.provenance)
print(f"{machine.bandwidth_bytes_per_s / 1e9:.1f} GB/s, {machine.flops_per_s / 1e9:,.0f} GFLOP/s")
print(f"torch {about['torch']}, {about['num_threads']} threads, load before {about['load_before']}")

# %% [markdown]
# ## Prediction, before measuring
#
# The least time is the larger of bytes / bandwidth and FLOPs / peak. The speed-up to expect is
# against the first KV head count of the same batch and context.

# %%
def step(kv, B, S):
    """Return the shape arguments of the cost model for one step."""
    return B, num_heads, kv, head_dim, 1, S, element.itemsize

predicted = {(kv, B, S): attention_time(machine, *step(kv, B, S))
             for (B, S), kv in product(settings, kv_counts)}
print("batch  context  KV heads      MiB     least ms  speed-up")
for (kv, B, S), seconds in predicted.items():
    mib, gain = attention_bytes(*step(kv, B, S)) / 2**20, predicted[kv_counts[0], B, S] / seconds
    print(f"{B:5} {S:8} {kv:9} {mib:8.1f} {seconds * 1e3:12.3f} {gain:8.2f}x")

# %% [markdown]
# ## Measurement
#
# All KV head counts and backends of a setting take turns in the same rounds. Each is first
# compared with a float64 reference: a wrong result is not timed.

# %%
def check(q, k, v, backend):
    """Return the largest error of a backend on the first sequence; stop if it is wrong."""
    got = kernels.attend(q, k, v, backend=backend)[:1].cpu().double()
    error = (got - attention_reference(*(t[:1].cpu() for t in (q, k, v)))).abs().max().item()
    assert error < {"float32": 1e-4}.get(dtype, 3e-2), f"{backend} is wrong by {error}"
    return error

def arms_of(B, S):
    """Return arm -> function of the call's number, and the backend chosen per KV head count."""
    q = torch.randn(B, num_heads, 1, head_dim, device=place, dtype=element)
    arms, chosen = {}, {}
    for kv in kv_counts:
        make = lambda: torch.randn(2, B, kv, S, head_dim, device=place, dtype=element)
        copies = rotating_buffers(make, make().nbytes, device=place)
        chosen[kv] = kernels.choose_backend(q, *copies[0], causal=True)
        for name in backends or kernels.available_backends(q, *copies[0], causal=True):
            check(q, *copies[0], name)
            arms[f"{kv} {name}"] = lambda i, c=copies, n=name: kernels.attend(
                q, *c[i % len(c)], backend=n)
    return arms, chosen

# %%
measured, chosen = {}, {}
for B, S in settings:
    arms, chosen[B, S] = arms_of(B, S)
    rows = time_arms(arms, rounds=rounds, device=place)
    measured[B, S] = rows
    extra = {"p_batch_size": B, "p_context": S, "p_num_heads": num_heads, "p_head_dim": head_dim,
             "p_dtype": dtype, "p_device": str(place)}
    for row in rows:
        kv, backend = row["arm"].split()
        row |= extra | {"p_num_kv_heads": int(kv), "p_backend": backend}
    write_jsonl(out / "samples.jsonl", rows)
    del arms
print("backend chosen:", {f"B={B} S={S}": names for (B, S), names in chosen.items()})

# %% [markdown]
# ## Result
#
# *Fraction* is the bandwidth reached over the ceiling above. *Over best* is the time of the
# backend this library chooses over that of the fastest one in the same rounds; above 1 it lost.

# %%
table = []
for (B, S), rows in measured.items():
    summary = summarise(rows)
    for kv in kv_counts:
        name = chosen[B, S][kv]
        timing = {arm.split()[1]: s["median"] for arm, s in summary.items() if int(arm.split()[0]) == kv}
        if name not in timing:
            name = min(timing, key=timing.get)
        best = min(timing, key=timing.get)
        rate = attention_bytes(*step(kv, B, S)) / timing[name]
        table.append({"batch_size": B, "context": S, "num_kv_heads": kv, "backend": name,
                      "median_s": timing[name], "predicted_s": predicted[kv, B, S],
                      "fraction_of_bandwidth": rate / machine.bandwidth_bytes_per_s,
                      "fastest": best, "over_best": timing[name] / timing[best],
                      "noisy": summary[f"{kv} {name}"]["noisy"], "all_backends_s": timing})

# %%
print("batch context  KV  backend          ms   predicted  fraction  over best  (fastest)")
for row in table:
    print(f"{row['batch_size']:5} {row['context']:7} {row['num_kv_heads']:3}  {row['backend']:11} "
          f"{row['median_s'] * 1e3:8.3f} {row['predicted_s'] * 1e3:10.3f} "
          f"{row['fraction_of_bandwidth']:8.0%} {row['over_best']:9.2f}   {row['fastest']}"
          + ("  noisy" if row["noisy"] else ""))

# %%
for (B, S), rows in measured.items():
    used = {r["num_kv_heads"]: r["backend"] for r in table if (r["batch_size"], r["context"]) == (B, S)}
    summary = summarise(rows)
    gain = {kv: summary[f"{kv_counts[0]} {used[kv_counts[0]]}"]["median"]
            / summary[f"{kv} {name}"]["median"] for kv, name in used.items()}
    title = ", ".join(f"{kv} KV heads {g:.1f}x" for kv, g in gain.items() if kv != kv_counts[0])
    fig = plots.decode_time_plot(
        {kv: summary[f"{kv} {name}"] for kv, name in used.items()},
        {kv: predicted[kv, B, S] for kv in kv_counts}, num_heads=num_heads,
        title=f"Against {kv_counts[0]} KV heads: {title or 'no other count'}",
        note=f"batch {B}, {S} tokens, {dtype}, {machine.name}")
    plots.show(fig, alt=f"Measured and predicted decode time by KV heads at batch {B} and {S} "
               f"tokens. Speed-up over {kv_counts[0]} KV heads: {title}.")

# %% [markdown]
# Every backend, as its speed over the chosen one in the same rounds (below 1: slower), with a 95 %
# interval over rounds.

# %%
for (B, S), rows in measured.items():
    for kv in kv_counts:
        mine = [r for r in rows if r["p_num_kv_heads"] == kv]
        name = next(r["backend"] for r in table
                    if (r["batch_size"], r["context"], r["num_kv_heads"]) == (B, S, kv))
        for arm, ratio in ratios(mine, f"{kv} {name}").items():
            print(f"B={B} S={S} KV heads {kv:3}: {arm.split()[1]:11} {ratio['speedup']:6.2f}x of {name} "
                  f"[{ratio['low']:.2f}, {ratio['high']:.2f}] {ratio['verdict']}")

# %% [markdown]
# ## What this does not say
#
# One layer's attention is not a model: a step also reads all the weights, and at batch 1 with a
# short context they are most of the bytes. Whether GQA pays for *your* traffic takes a run of the
# whole model.

# %%
first, rest = table[0], [r for r in table[1:] if r["num_kv_heads"] != table[0]["num_kv_heads"]]
finding = "; ".join(f"{r['num_kv_heads']} KV heads {first['median_s'] / r['median_s']:.1f}x" for r in rest
                    if (r["batch_size"], r["context"]) == (first["batch_size"], first["context"]))
finding = f"Against {first['num_kv_heads']} KV heads: {finding} (measured, {dtype}, {place})."
result = {"benchmark": "decode-latency", "finding": finding, "rows": table, "environment": about,
          "bandwidth_bytes_per_s": machine.bandwidth_bytes_per_s, "flops_per_s": machine.flops_per_s,
          "provenance": machine.provenance, "samples": "samples.jsonl"}
commit(out / "result.json", result)
print(json.dumps({"finding": finding, "result": "result.json"}))

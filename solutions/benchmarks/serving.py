# %% [markdown]
# # Serving your traffic
#
# How many requests per second does one device serve in time, for different numbers of KV heads? A
# smaller cache lets more requests run at a time, so that fewer wait; but a fuller batch makes each
# token take longer.
#
# - **Modelled:** a large model on a device that need not be here. Its step times are measured kernels,
#   or two ceilings; a simulator of vLLM's scheduler turns them into latencies.
# - **Timed:** a small model in this library's engine on this machine, next to its simulation. Wall time.
# - **Takes:** about 20 s at its defaults, on two free CPU cores.
# - **Alone:** this notebook times. Run nothing else on the machine meanwhile.
#
# `gqa bench serving -p trace=my_requests.csv -p request_rate=[2,4,8]`, or `papermill` with the
# parameters below.

# %% tags=["parameters"]
trace: str = "azure-conv-2023"  # a trace of the course, or a file with one
model: str = "Llama-3.1-8B"  # a model by name, or a config.json
num_kv_heads: list = [32, 8, 4, 1]  # KV heads; the first is what the others are compared with
kernel_times: str = "rtx4090-llama-3.1-8b"  # timed kernels of the course; empty: hardware's ceilings
hardware: str = "RTX 4090"  # whose memory, and ceilings, are taken
bandwidth_efficiency: float = 1.0  # share of the bandwidth that kernels reach; only without kernel_times
flops_efficiency: float = 1.0  # share of the FLOP/s that they reach; only without kernel_times
memory_gib: float = 0.0  # the device's memory; 0: the hardware's
activation_gib: float = 0.0  # of it, for activations; 0: what the timed engine's blocks leave, if any
gpu_memory_utilization: float = 0.9  # share of the memory that the engine uses
block_size: int = 16  # tokens of a block
max_num_seqs: int = 256  # sequences that run at a time at most
max_num_batched_tokens: int = 2048  # tokens of a step at most
num_requests: int = 300  # requests drawn from the trace
request_rate: list = [1.0, 2.0, 4.0]  # requests that come per second; one or several
burstiness: float = 1.0  # of their arrivals, as vLLM's: 1 is a Poisson process, less comes in bursts
goodput: str = "ttft:2000 tpot:50"  # latencies in ms that a request must keep to be in time
overflow: float = 0.01  # share of the time in which a safe number of requests may need more memory
engine_requests: int = 12  # requests that the real engine serves; all are there at its start
length_scale: float = 0.075  # of the trace's lengths for the real engine
engine_kv_mib: float = 1.5  # memory for its keys and values
head_dim: int = 8  # channels per head of its model, which has as many query heads as the large one
num_layers: int = 2  # layers of its model
d_model: int = 256  # channels of a token between its layers
d_ff: int = 704  # channels of its feed-forward blocks
vocab_size: int = 2048  # tokens that it knows
dtype: str = "float32"  # float32, bfloat16 or float16; of the small model
device: str = ""  # cpu, cuda, ...; empty: the best there is; for the small model
rounds: int = 2  # times that the real engine serves them; of each step the fastest counts
seed: int = 0  # of requests, arrivals, weights and prompts
out_dir: str = "runs/serving"  # folder for samples and result

# %%
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gqa_lib import plots
from gqa_lib.bench import as_list, begin, check_parameters, need_some
from gqa_lib.compare import table
from gqa_lib.compare.models import llama_like
from gqa_lib.cost import kv_bytes_per_token
from gqa_lib.hardware import datasheet
from gqa_lib.model import LanguageModel
from gqa_lib.serving import Engine, simulator
from gqa_lib.serving.basis import basis
from gqa_lib.serving.fits import fit_at_a_time, too_long
from gqa_lib.serving.record import totals
from gqa_lib.serving.scenario import Scenario
from gqa_lib.serving.traffic import SAMPLES, fit, load_trace, sample

check_parameters("serving", globals())
run = begin("serving", out_dir, dtype=dtype, device=device, seed=seed)
objectives, rates, kv_counts = simulator.parse_goodput(goodput), as_list(request_rate), as_list(num_kv_heads)

# %% [markdown]
# ## The traffic
#
# Requests are drawn from the trace, prompt and output together, so that as many as needed come at any
# rate. Each number of KV heads gets the same ones at the same times.

# %%
given = sample(trace) if trace in SAMPLES else load_trace(Path(trace))
print(given.summary())
traffic = fit(given)

# %% [markdown]
# ## The memory
#
# Weights, activations and a reserve come first; the rest is blocks of keys and values. *Mean* is how
# many requests fill them on average, *safe* how many need more for 1 % of the time at most (or
# `overflow`), by what each holds at a random step; *longest* gives each the longest one's blocks.

# %%
own = datasheet(hardware)
card = replace(own, memory_bytes=memory_gib * 2**30) if memory_gib else own
timed = Scenario(model=model, kernel_times=kernel_times or None, hardware=own)
activations, num_heads = activation_gib * 2**30 or timed.reserved_bytes, timed.config.num_heads
flags = {"max_num_seqs": max_num_seqs, "max_num_batched_tokens": max_num_batched_tokens,
         "block_size": block_size, "gpu_memory_utilization": gpu_memory_utilization}
scenarios = {kv: replace(timed, hardware=card, num_kv_heads=kv, activation_bytes=activations, **flags,
                         bandwidth_efficiency=bandwidth_efficiency, flops_efficiency=flops_efficiency)
             for kv in kv_counts}
ledgers, left_out = {}, []
for kv, scenario in scenarios.items():
    print(f"{kv:3} KV heads: {scenario.config.weight_bytes / 2e9:.2f} billion parameters")
    try:
        ledgers[kv] = scenario.ledger()
    except ValueError as error:
        left_out.append(f"{kv} KV heads: {error}")
need_some(list(ledgers), left_out)
kv_counts = list(ledgers)

# %%
held = {kv: fit_at_a_time(given, scenarios[kv], overflow) for kv in kv_counts}
print(f"{model} on {card.name}: {card.memory_bytes / 1e9:.2f} GB, of which activations "
      f"{activations / 1e9:.2f} GB and reserve {(1 - gpu_memory_utilization) * card.memory_bytes / 1e9:.2f} GB")
print("KV heads  weights, GB   KV, GB  tokens in blocks  requests: mean   safe  longest")
for kv, part in ledgers.items():
    fits = held[kv]
    print(f"{kv:8} {part.weight_bytes / 1e9:12.2f} {part.kv_bytes / 1e9:8.2f} {part.tokens:17,} "
          f"{fits.mean_rule:15,} {fits.safe:6,} {fits.max_length:8,}")
first = kv_counts[0]
for kv in kv_counts[1:]:
    if held[first].safe:
        smaller = ledgers[first].block_bytes / ledgers[kv].block_bytes
        more = ledgers[kv].kv_bytes / ledgers[first].kv_bytes
        print(f"{table.kv_heads(kv)}, against {first}: a token takes 1/{smaller:.3g} of the memory, of which "
              f"{more:.2f} times as much is left, and {held[kv].safe / held[first].safe:.1f} times as many requests fit safely")

# %%
size = run.dtype.itemsize
shape = {"num_heads": num_heads, "head_dim": head_dim, "num_layers": num_layers,
         "d_model": d_model, "d_ff": d_ff, "vocab_size": vocab_size}
configs = {kv: llama_like(kv, **shape) for kv in kv_counts}  # of the small model, below
run.need(sum(config.weights.total for config in configs.values()) * size + engine_kv_mib * 2**20)

# %% [markdown]
# ## Prediction, before simulating
#
# With all requests there at once the memory is full: as many run as it holds on average, n, and
# max_num_seqs at most. Each takes the device for its prompt alone, and for a share of 1/n of the
# steps of its output: tokens/s = output / (prompt's time + output x step / n).

# %%
output, prompt = given.output_tokens.mean(), given.prompt_tokens.mean()

def expected(kv):
    """Return tokens/s with a full memory, and seconds of a step then."""
    n = max(1, min(held[kv].mean_rule, max_num_seqs, num_requests))
    time_of, context = scenarios[kv].step_time(), int(n * held[kv].held_mean)
    step_s = time_of(simulator.Work(n, context, int(held[kv].held_mean), (), n))
    return output / (time_of(simulator.Work(0, 0, 0, ((int(prompt), 0),), 1)) + output * step_s / n), step_s

guesses = {kv: expected(kv) for kv in kv_counts}
print("KV heads  tokens/s  ms per step without prompts")
for kv, (rate, step_s) in guesses.items():
    print(f"{kv:8} {rate:9,.0f} {1e3 * step_s:12.1f}")

# %% [markdown]
# ## Simulation
#
# A request that is too long for one number of KV heads is left out for all. Figures are by the names
# and definitions of `vllm bench serve`.

# %%
wanted = {rate: traffic.draw(num_requests, rate, seed=seed, arrival_cv=burstiness**-0.5) for rate in rates}
unserved = too_long(wanted[rates[0]], *(scenarios[kv] for kv in kv_counts))  # lengths are the same at all rates
if unserved.all():
    longest = min(scenarios[kv].rules().longest for kv in kv_counts)
    raise ValueError(f"all {num_requests} requests are too long for {longest:,} "
                     "tokens of cache, or for the model's context. Raise memory_gib, or give another trace.")
loads = {rate: one.select(~unserved) for rate, one in wanted.items()}
if unserved.any():
    left_out.append(f"{unserved.sum()} of {num_requests} requests, too long for one of the numbers of KV heads")
at_once = loads[rates[0]]
loads = {"at once": replace(at_once, arrival_s=np.zeros(len(at_once)))} | loads
print("What the simulation stands on:", *basis(scenarios[first]), sep="\n- ")
print("Left out:" if left_out else "", *left_out, sep="\n- " if left_out else "")

# %%
simulated = {(load, kv): scenarios[kv].run(requests)
             for load, requests in loads.items() for kv in kv_counts}
found = []
for (load, kv), simulation in simulated.items():
    row = {"load": load, "num_kv_heads": kv, "safe_concurrency": held[kv].safe,
           "num_blocks": simulation.rules.num_blocks, "basis": "modelled"}
    figures = simulator.summary(simulation, objectives)
    found.append(row | {"state": figures.pop("load")} | figures)
    each = simulator.latencies_ms(simulation)
    run.keep([{"phase": "simulate", "metric": "simulated_e2el", "unit": "ms", "p_load": load,
               "p_num_kv_heads": kv, "number": n, "value": float(each["e2el"][n]),
               "ttft_ms": float(each["ttft"][n]), "preemptions": int(simulation.preemptions[n]),
               "prompt_tokens": int(simulation.prompt_tokens[n]),
               "output_tokens": int(simulation.output_tokens[n])} for n in range(len(each["e2el"]))])

# %%
for name in ("ttft", "tpot"):
    print(f"{name}: {simulator.DEFINITIONS[name]}")
print(f"in time: {goodput} (ms). Shown are medians and 90th percentiles: of {len(at_once)} requests "
      f"{max(1, len(at_once) // 10)} are beyond those")
print("\nrequests/s  KV heads  tokens/s  ttft, s: p50    p90  tpot, ms: p50   p90  in time/s  running"
      "  preempted  blocks used")
for row in found:
    print(f"{row['load']!s:>10} {row['num_kv_heads']:9} {row['output_throughput']:9,.0f} "
          f"{row['median_ttft_ms'] / 1e3:13.2f} {row['p90_ttft_ms'] / 1e3:6.2f} "
          f"{row['median_tpot_ms']:14.1f} {row['p90_tpot_ms']:5.1f} {row['request_goodput']:10.2f} "
          f"{row['mean_running']:8.1f} {row['preemptions']:10} {row['mean_kv_usage']:12.0%}  {row['state']}")

# %% [markdown]
# STABLE: hardly anyone waits. BACKLOGGED: some do, and not more and more beyond chance. OVERLOADED: more
# and more wait, so that the waiting depends on how long the run is.

# %%
full = {row["num_kv_heads"]: row for row in found if row["load"] == "at once"}
print("at once: KV heads  predicted, tokens/s  simulated  times the first's  tpot against the first's")
for kv, row in full.items():
    print(f"{kv:17} {guesses[kv][0]:20,.0f} {row['output_throughput']:10,.0f} "
          f"{row['output_throughput'] / full[first]['output_throughput']:17.2f}x "
          f"{row['mean_tpot_ms'] / full[first]['mean_tpot_ms']:22.2f}x")
curves = {kv: {row["load"]: row["request_goodput"] for row in found
               if row["num_kv_heads"] == kv and row["load"] != "at once"} for kv in kv_counts}
note = f"modelled: {model}, {card.name}, {trace}; {goodput}"

# %%
most = {kv: max(curve.values()) for kv, curve in curves.items()}
title = (f"KV heads {' / '.join(map(str, most))}: up to {' / '.join(f'{rate:.2f}' for rate in most.values())} "
         "requests/s in time")
plots.show(plots.goodput_lines(curves, num_heads=num_heads, title=title, note=note),
           alt=f"Requests per second in time against requests that come. {title} (modelled).")

# %%
busiest = simulated[rates[-1], first]
until_s = float(busiest.arrival_s[-1])
usage = {kv: (one.steps["start_s"], one.steps["blocks_used"] / one.rules.num_blocks)
         for kv in kv_counts for one in [simulated[rates[-1], kv]]}
used = {kv: next(row["mean_kv_usage"] for row in found
                 if (row["load"], row["num_kv_heads"]) == (rates[-1], kv)) for kv in kv_counts}
full_title = (f"{rates[-1]:g} requests/s: {' / '.join(f'{share:.0%}' for share in used.values())} of the "
              f"blocks in use on average with {' / '.join(map(str, used))} KV heads")
plots.show(plots.occupancy_lines(usage, num_heads=num_heads, title=full_title, until_s=until_s,
                                 note=f"while requests come; {note}"),
           alt=f"Blocks in use over time. {full_title} (modelled).")

# %% [markdown]
# ## A real engine, small
#
# This library's engine serves requests of the trace with scaled lengths and random prompts, all there at
# the start, with the same memory for keys and values. A first run over other requests tells what a step
# takes, fitted for all numbers of KV heads as a + b x sequences that decode + c x tokens of prompts +
# d x cached tokens + e x cached tokens x KV heads; with that the simulator predicts the second run. Both
# are repeated; their steps are the same, and the fastest counts.

# %%
models = {kv: LanguageModel(config, dtype=run.dtype, device=run.device) for kv, config in configs.items()}
blocks = {kv: int(engine_kv_mib * 2**20 // (block_size * kv_bytes_per_token(config, size)))
          for kv, config in configs.items()}
limits = {"block_size": block_size, "max_num_seqs": max_num_seqs,
          "max_num_batched_tokens": max_num_batched_tokens}
longest = max(1, min(blocks.values()) * block_size // 2)

def small(num, seed):
    """Return lengths of prompts and outputs for the engine, short enough for all of its memories."""
    drawn = traffic.draw(num, 1.0, seed=seed, arrival_cv=1.0)
    return [np.clip(np.rint(length_scale * tokens).astype(int), 1, longest).tolist()
            for tokens in (drawn.prompt_tokens, drawn.output_tokens)]

def serve(kv, prompts, outputs):
    """Return the requests and steps of an engine that serves requests of these lengths."""
    engine = Engine(models[kv], blocks[kv], **limits)
    asked = [engine.add(torch.randint(vocab_size, (p,)), o) for p, o in zip(prompts, outputs)]
    return asked, list(engine.run())

# %%
def fastest(runs):
    """Return the steps of several runs over the same lengths, each as in the run that was fastest."""
    return [min(each, key=lambda step: step.seconds) for each in zip(*runs)]

def about(kv, sequences, prompt_tokens, cached):
    """Return what the seconds of a step are taken to be a sum of, up to factors."""
    return 1, sequences, prompt_tokens, cached, cached * kv

def step_time(kv):
    """Return the step time of a number of KV heads by the fitted factors, not below half the fastest."""
    def time_of(work):
        new = sum(new for new, _ in work.prefills)
        cached = work.decode_context + new + sum(before for _, before in work.prefills)
        return max(float(factors @ about(kv, work.num_decodes, new, cached)), seconds.min() / 2)

    return time_of

# %%
calibration, lengths = small(max(2, engine_requests // 2), seed + 1), small(engine_requests, seed + 2)
rows, seconds = [], []
for kv in kv_counts:
    serve(kv, *[one[:2] for one in calibration])  # what is only done once
    runs = [serve(kv, *calibration)[1] for _ in range(rounds)]
    run.keep([{"phase": "calibrate", "metric": "engine_step", "unit": "s", "value": step.seconds,
               "p_num_kv_heads": kv, "round": n} | step.to_dict() for n, steps in enumerate(runs) for step in steps])
    for step in fastest(runs):
        rows.append(about(kv, step.num_decodes, step.prefill_tokens, step.context_tokens))
        seconds.append(step.seconds)
seconds = np.array(seconds)  # of relative errors the least
factors = np.linalg.lstsq(np.array(rows) / seconds[:, None], np.ones(len(rows)), rcond=None)[0]
engine_guess = {kv: simulator.summary(simulator.simulate(
    np.zeros(engine_requests), *lengths, simulator.Rules(blocks[kv], **limits), step_time(kv))) for kv in kv_counts}
print(f"{engine_requests} requests, prompts of {np.mean(lengths[0]):.0f} tokens and outputs of "
      f"{np.mean(lengths[1]):.0f} on average, {engine_kv_mib:g} MiB of keys and values; predicted:")
for kv, guess in engine_guess.items():
    print(f"{kv:3} KV heads, {blocks[kv] * block_size:6,} tokens: {guess['output_throughput']:7,.0f} tokens/s, "
          f"{guess['preemptions']} preemptions")

# %%
served = []
for kv in kv_counts:
    point = {"phase": "measure", "unit": "s", "p_num_kv_heads": kv, "p_dtype": dtype,
             "num_blocks": blocks[kv]} | {f"p_{name}": value for name, value in (shape | limits).items()}
    runs = []
    for number in range(rounds):
        asked, steps = serve(kv, *lengths)
        runs.append(steps)
        of_round = point | {"round": number}
        run.keep([of_round | {"metric": "engine_step", "value": s.seconds} | s.to_dict() for s in steps])
        run.keep([of_round | {"metric": "request_latency", "value": r.finished_s - r.arrived_s,
                              "first_token_s": r.first_token_s - r.arrived_s, "request": r.number,
                              "prompt_length": r.num_prompt, "output_length": len(r.output),
                              "preemptions": r.preemptions} for r in asked])
    done, guess = totals(fastest(runs)), engine_guess[kv]
    served.append({"num_kv_heads": kv, "basis": "measured", "tokens_per_s": sum(lengths[1]) / done["seconds"],
                   "slowest_s": max(totals(steps)["seconds"] for steps in runs),
                   "simulated_tokens_per_s": guess["output_throughput"],
                   "simulated_preemptions": guess["preemptions"]} | done)

# %%
print("KV heads  running, mean  preempted  simulated  tokens/s  simulated  error  times the first's  simulated")
base = served[0]
for row in served:
    error = row["simulated_tokens_per_s"] / row["tokens_per_s"] - 1
    print(f"{row['num_kv_heads']:8} {row['mean_seqs']:14.1f} {row['preemptions']:10} "
          f"{row['simulated_preemptions']:10} {row['tokens_per_s']:9,.0f} {row['simulated_tokens_per_s']:10,.0f} "
          f"{error:+6.0%} {row['tokens_per_s'] / base['tokens_per_s']:17.2f}x "
          f"{row['simulated_tokens_per_s'] / base['simulated_tokens_per_s']:9.2f}x")

# %% [markdown]
# ## What this does not say
#
# The large model's figures are modelled: its kernels were timed at one number of KV heads, and the
# others are scaled by bytes. Prefixes that requests share are not in the drawn traffic. The model at
# another number of KV heads is another model, to be trained: nothing here says how good it is. And the
# small engine's fastest steps are those of an idle machine: a difference of a tenth means nothing.

# %%
factor = served[-1]["tokens_per_s"] / base["tokens_per_s"]
finding = (f"{title} (modelled, {model}, {card.name}, {goodput}); a small engine serves {factor:.2f} times "
           f"the tokens/s with {table.kv_heads(kv_counts[-1])} instead of {kv_counts[0]} (measured, "
           f"fastest of {rounds} for each step, {run.device}).")
run.end(finding, rows=found, served=served, left_out=left_out, basis=basis(scenarios[first]),
        ledgers={str(kv): vars(one) for kv, one in ledgers.items()},
        concurrency={str(kv): vars(one) for kv, one in held.items()})

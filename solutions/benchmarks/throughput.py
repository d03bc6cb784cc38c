# %% [markdown]
# # Throughput up to the memory limit
#
# How many tokens per second does a model decode in a given memory? A smaller cache makes each step
# shorter, and lets more sequences share it: the weights are then read once for more tokens.
#
# - **Timed:** steps of a whole model at growing batches, and an engine that serves requests.
#   Wall time on a CPU; on a GPU launches are included.
# - **Weights:** random, in the shape of a Llama. Speed does not depend on their values.
# - **Takes:** about 30 s at its defaults, on two free CPU cores.
# - **Alone:** this notebook times. Run nothing else on the machine meanwhile.
#
# `gqa bench throughput -p memory_gib=4 -p context=4096`, or `papermill` with the parameters below.

# %% tags=["parameters"]
num_kv_heads: list = [8, 2, 1]  # KV heads; the first is what the others are compared with
num_heads: int = 8  # query heads
head_dim: int = 64  # channels per head
num_layers: int = 4  # layers of the model
d_model: int = 512  # channels of a token between layers
d_ff: int = 1408  # channels of a feed-forward block
vocab_size: int = 4096  # tokens that the model knows
memory_gib: float = 0.1  # the limit: weights and cache together
context: int = 256  # tokens that each sequence has in the cache
batch_size: list = []  # sequences decoded together; empty: powers of 4, and all that fit
num_requests: int = 16  # requests that each engine serves; all are there at its start
prompt_length: int = 224  # tokens of a request's prompt
output_length: int = 32  # tokens that it asks for
max_num_seqs: int = 256  # sequences that an engine runs at a time at most
max_num_batched_tokens: int = 512  # tokens of an engine's step at most
dtype: str = "float32"  # float32, bfloat16 or float16
device: str = ""  # cpu, cuda, ...; empty: the best there is
rounds: int = 6  # measured rounds per batch, all arms in each, at least
quiet_samples: int = 6  # wait for this many undisturbed samples of every arm ...
budget_s: float = 0.7  # ... but not longer than this per batch, in seconds
seed: int = 0  # of weights, keys, values and prompts
out_dir: str = "runs/throughput"  # folder for samples and result

# %%
import torch

from gqa_lib import plots
from gqa_lib.bench import as_list, begin, check_parameters
from gqa_lib.compare import step_table, table
from gqa_lib.compare.models import llama_like
from gqa_lib.compare.steps import StepPoint, fitting_steps, time_steps
from gqa_lib.cost import kv_bytes_per_token, max_concurrent_sequences
from gqa_lib.model import LanguageModel
from gqa_lib.serving import Engine
from gqa_lib.serving.record import totals

check_parameters("throughput", globals())
run = begin("throughput", out_dir, dtype=dtype, device=device, seed=seed)
kv_counts, size, limit = as_list(num_kv_heads), run.dtype.itemsize, int(run.memory(memory_gib))
shape = {"num_heads": num_heads, "head_dim": head_dim, "num_layers": num_layers,
         "d_model": d_model, "d_ff": d_ff, "vocab_size": vocab_size}
configs = {kv: llama_like(kv, **shape) for kv in kv_counts}

# %% [markdown]
# ## What fits
#
# All weights are in memory, the input embedding too. What they leave holds keys and values.

# %%
def fits(kv, tokens):
    """Return how many sequences of so many tokens fit next to the weights."""
    config = configs[kv]
    return max_concurrent_sequences(config, limit, tokens, config.weights.total * size, size)

most = {kv: fits(kv, context) for kv in kv_counts}
print(f"{limit / 2**20:,.1f} MiB for weights and cache, {context} tokens for each sequence")
print("KV heads  weights, MiB  cache, KiB/token  MiB/sequence  sequences")
for kv, config in configs.items():
    token = kv_bytes_per_token(config, size)
    print(f"{kv:8} {config.weights.total * size / 2**20:13.1f} {token / 2**10:17.1f} "
          f"{token * context / 2**20:13.2f} {most[kv]:10}")

# %%
powers = [4**n for n in range(12) if 1.5 * 4**n < max(most.values())]
batches = sorted({*as_list(batch_size)} or {*powers, *most.values()} - {0})
settings = [[StepPoint(B, context, kv) for kv in kv_counts if most[kv] >= B] for B in batches]
free = [fitting_steps(points, configs, size, run.device) for points in settings if points]
settings = [points for points, _ in free if points]
left_out = [line for _, lines in free for line in lines]
if not settings:
    raise ValueError(f"memory_gib={memory_gib} is full before one of the batches fits: give more.")

# %% [markdown]
# ## The machine, now

# %%
machine = run.ceilings()

# %% [markdown]
# ## Prediction, before measuring
#
# A step reads the weights once, all but the input embedding, and every sequence's K and V. The least
# time is the larger of bytes / bandwidth and FLOPs / peak; the batch over it is the most tokens/s.

# %%
predicted = {p: p.batch_size / step_table.least_step_s(configs[p.num_kv_heads], machine, *p[:2], size)
             for points in settings for p in points}
print("batch", *(f"{kv:4} KV heads" for kv in kv_counts), "  tokens/s at most")
for points in settings:
    rates = {p.num_kv_heads: f"{predicted[p]:13,.0f}" for p in points}
    print(f"{points[0].batch_size:5}", *(rates.get(kv, "does not fit".rjust(13)) for kv in kv_counts))
print(*left_out, sep="\n")

# %% [markdown]
# ## Steps, measured
#
# At each batch those numbers of KV heads that fit take turns in the same rounds. Before timing, the
# logits of a batch are compared with those of a sequence alone.

# %%
models = {kv: LanguageModel(config, dtype=run.dtype, device=run.device) for kv, config in configs.items()}
rows = []
for points in settings:
    made = time_steps(points, models, rounds=rounds, budget_s=budget_s, quiet_samples=quiet_samples)
    run.keep(made)
    rows += made
print(*table.not_timed(rows), sep="\n")

# %%
found = step_table.step_points(rows, configs, machine)
print("batch  KV heads   step ms  tokens/s  predicted  share")
for row in found:
    row["predicted_tokens_per_s"] = predicted[StepPoint(*(row[name] for name in StepPoint._fields))]
    print(f"{row['batch_size']:5} {row['num_kv_heads']:9} {row['timing']['median'] * 1e3:9.2f} "
          f"{row['tokens_per_s']:9,.0f} {row['predicted_tokens_per_s']:10,.0f} {row['share']:6.2f}"
          + ("  noisy" if row["noisy"] else ""))

# %% [markdown]
# ## An engine in the same memory
#
# Each engine has the memory that the weights leave, in blocks of tokens, and the same requests with
# random prompts. It admits as many as have blocks; if a running sequence then needs a block and
# none is free, the engine **preempts** one: its blocks are freed, and its tokens computed again.

# %%
prompts = torch.randint(vocab_size, (num_requests, prompt_length)).tolist()
limits = {"max_num_seqs": max_num_seqs, "max_num_batched_tokens": max_num_batched_tokens}

def serve(kv):
    """Return what an engine came to, with a row for each of its steps and requests."""
    engine = Engine(models[kv], memory_bytes=limit - configs[kv].weights.total * size, **limits)
    asked = [engine.add(prompt, output_length) for prompt in prompts]
    steps = list(engine.run())
    about = {"phase": "measure", "unit": "s", "p_num_kv_heads": kv, "p_dtype": dtype,
             "num_blocks": engine.pool.num_blocks, "p_block_size": engine.pool.block_size}
    about |= {f"p_{name}": value for name, value in {**shape, **limits}.items()}
    kept = [about | {"metric": "engine_step", "value": s.seconds} | s.to_dict() for s in steps]
    kept += [about | {"metric": "request_latency", "value": r.finished_s - r.arrived_s,
                      "number": r.number, "first_token_s": r.first_token_s - r.arrived_s,
                      "prompt_length": prompt_length, "output_length": len(r.output),
                      "preemptions": r.preemptions} for r in asked]
    run.keep(kept)
    done = totals(steps)
    return {"num_kv_heads": kv, "tokens_per_s": sum(len(r.output) for r in asked) / done["seconds"]} | done

# %%
longest = prompt_length + output_length
can_serve = [kv for kv in kv_counts if fits(kv, longest + 16)]  # rounded up to whole blocks
served = [serve(kv) for kv in can_serve]
print(f"{num_requests} requests, prompts of {prompt_length} tokens, {output_length} new ones each")
print("KV heads  fit at full length  running, mean  most  preempted  prompts' time  tokens/s  only decoding")
for row in served:
    print(f"{row['num_kv_heads']:8} {fits(row['num_kv_heads'], longest):19} {row['mean_seqs']:14.1f} "
          f"{row['most_seqs']:5} {row['preemptions']:10} {row['prefill_share']:14.0%} "
          f"{row['tokens_per_s']:9,.0f} {row['decode_tokens_per_s']:14,.0f}")
too_long = [kv for kv in kv_counts if kv not in can_serve]
left_out += [f"not served, KV heads {kv}: not one request fits" for kv in too_long]
print(*left_out, sep="\n")

# %% [markdown]
# *Prompts' time* is the share of it in steps that compute tokens of prompts, and *only decoding* the
# tokens/s of the other steps, to be held against the table of steps above: the engine's keys and values
# lie in blocks, and reading those costs more than reading one piece of memory.

# %%
lines = {kv: {row["batch_size"]: row["tokens_per_s"] for row in found if row["num_kv_heads"] == kv}
         for kv in kv_counts}
lines = {kv: line for kv, line in lines.items() if line}
guesses = {kv: {p.batch_size: rate for p, rate in predicted.items() if p.num_kv_heads == kv} for kv in lines}
best = {kv: max(line.values()) for kv, line in lines.items()}
title = (f"KV heads {' / '.join(map(str, best))}: up to {' / '.join(f'{rate:,.0f}' for rate in best.values())} "
         f"tokens/s, {memory_gib:g} GiB")
fig = plots.throughput_lines(
    lines, guesses, num_heads=num_heads, title=title,
    served={row["num_kv_heads"]: (row["mean_seqs"], row["tokens_per_s"]) for row in served},
    note=f"{context} tokens each, {dtype}, {machine.name}")
plots.show(fig, alt=f"Tokens per second by batch, up to what fits. {title}. Engines, with prompts: "
           + ", ".join(f"{table.kv_heads(row['num_kv_heads'])} {row['tokens_per_s']:,.0f}" for row in served) + ".")

# %% [markdown]
# ## What this does not say
#
# All requests are there at the start and alike; real ones come over time, and waiting is part of what
# users feel. A larger batch makes each user's next token later. Each engine ran once, one after
# another: a difference of a tenth between them means nothing. The limit is one on weights and cache;
# activations need memory, too.

# %%
finding = f"{title} (measured, {dtype}, {run.device})."
run.end(finding, rows=found, served=served, left_out=left_out)

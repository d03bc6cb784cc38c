# %% [markdown]
# # Quality
#
# What does sharing KV heads cost in quality? Models that differ in `num_kv_heads` alone are trained
# from several seeds, on a task whose answers can only come from what attention caches, or on text.
#
# - **Trained:** small models, from scratch, in float32 or bfloat16. Their losses say nothing of a large
#   model's; whether a difference can be told from noise at all is the question.
# - **Takes:** about 20 s at its defaults.
# - **Resumes:** with `keep_dir`, finished runs are kept there, and a run that was killed goes on.
#
# Nothing is timed here. `gqa bench quality -p task=text -p steps=500 -p keep_dir=runs/kept`, or
# `papermill` with the parameters below.

# %% tags=["parameters"]
task: str = "recall"  # recall, or text
num_kv_heads: list = [8, 2, 1]  # KV heads; the first is what the others are compared with
num_heads: int = 8  # query heads
head_dim: int = 8  # channels per head
d_model: int = 64  # channels of a token between layers
num_layers: int = 2  # layers of the text model; the recall model has one
equal_params: bool = True  # text: widen feed-forward blocks to as many parameters as without sharing
num_records: int = 12  # recall: positions that hold something
num_attributes: int = 8  # recall: attributes of each, all of which a query asks for
num_values: int = 16  # recall: values of an attribute
text: str = ""  # text: a file or folder to train on; empty: the sources of Python's standard library
context: int = 256  # text: bytes of a sequence
num_seeds: int = 3  # seeds of each model: 0, 1, ...
steps: int = 300  # of training
batch_size: int = 24  # sequences of a step
lr: float = 0.008  # highest learning rate
margin: float = 0.02  # difference that would matter, stated before training: share of answers, or nats
workers: int = 0  # runs at a time; 0: one per CPU core, or one on a GPU
device: str = ""  # cpu, cuda, ...; empty: the best there is
keep_dir: str = ""  # folder where finished runs are kept, to go on from; empty: out_dir
out_dir: str = "runs/quality"  # folder for samples and result

# %%
from gqa_lib import plots
from gqa_lib.bench import as_list, begin, check_parameters, small_task
from gqa_lib.plots import attention_arm
from gqa_lib.records.report import show_recorded
from gqa_lib.train import Heads, Recipe, baselines, compare_paired, final, pairs_needed, settled, sweep

params = check_parameters("quality", globals())
small = small_task(params)
job, metric, unit, known = small[:4]
every = [Heads(num_heads, kv, head_dim) for kv in as_list(num_kv_heads)]
recipe = settled(Recipe(steps=steps, batch_size=batch_size, lr=lr), job, every, device or None)
run = begin("quality", out_dir, dtype=recipe.precision, device=device)

# %% [markdown]
# ## What is compared, and what would matter
#
# Each model caches $2 \times \text{KV heads} \times \text{head\_dim}$ numbers per token and layer. The
# margin was chosen before: a smaller difference is none, however certain it is.

# %%
def arm(heads):
    """Return what a model is called in the tables."""
    return f"{attention_arm(heads.num_heads, heads.num_kv_heads)} {heads.num_kv_heads}"

print("arm       numbers cached per token and layer")
for heads in every:
    print(f"{arm(heads):8} {heads.cached_numbers:7,}")
print(f"margin: {margin:g} ({unit})")

# %% [markdown]
# ## Training
#
# Models with the same seed see the same batches, so results are compared seed by seed.

# %%
rows = sweep(job, every, range(num_seeds), recipe, folder=keep_dir or run.folder / "kept",
             device=device or None, workers=workers or None)
last = final(rows)
run.keep([{"phase": "measure", "metric": metric, "unit": unit, "value": row[metric],
           "p_num_kv_heads": row["num_kv_heads"], **row} for row in last])

# %%
by_arm = {arm(heads): [row for row in last if row["num_kv_heads"] == heads.num_kv_heads] for heads in every}
values = {name: [row[metric] for row in found] for name, found in by_arm.items()}
print("arm      parameters ", *(f"seed {seed}".rjust(8) for seed in range(num_seeds)), f"  {metric}")
for name, results in values.items():
    print(f"{name:8} {by_arm[name][0]['params']:10,} ", *(f"{value:8.4f}" for value in results))

# %% [markdown]
# ## Differences
#
# The mean of the differences seed by seed, with Student's interval at 95 %. Wholly inside the margin it
# says "same"; across 0 and beyond the margin nothing can be told, and the sentence says which
# difference so many seeds could have shown. Models that have learnt nothing are alike, whatever they
# keep: where the first of them is no better than chance (of text: than how often each byte comes) by
# more than the margin, no verdict is given.

# %%
first, *others = values
learnt = small.learnt(values[first], margin)
if not learnt:
    others = []
    print(f"Nothing was learnt: {first} is within {margin:g} of {small.nothing:.4g}. Train for more steps.")
found = {name: compare_paired(values[first], values[name], margin=margin, lower_is_better=metric == "loss")
         for name in others}
for name, one in found.items():
    print(f"b = {name}, a = {first}: {one}")

# %% [markdown]
# A sentence such as "not distinguishable" speaks of these seeds and this size, and of no other. How
# many seeds would a difference as small as the margin have needed, with the noise seen here?

# %%
for name, one in found.items():
    print(f"{name}: {pairs_needed(one.sd, margin):,} seeds would show a difference of {margin:g} (80 % power)")
if task == "text":
    free = baselines(job.corpus, max_train_bytes=steps * batch_size * context)
    print("bits per byte of what costs nothing, from as many bytes:",
          ", ".join(f"{name} {bits:.2f}" for name, bits in free.items()))
    bits = {name: sum(row["bits_per_byte"] for row in rows) / num_seeds for name, rows in by_arm.items()}
    print("trained:", ", ".join(f"{name} {mean:.2f}" for name, mean in bits.items()))

# %%
means = {name: sum(results) / len(results) for name, results in values.items()}
title = f"{metric}: " + ", ".join(f"{name} {value:.3g}" for name, value in means.items())
verdicts = ", ".join(f"{name} {one.verdict}" for name, one in found.items())
fig = plots.seed_results(values, {name: (one.difference, one.low, one.high) for name, one in found.items()},
                         margin=margin, metric=f"{metric} ({unit})", title=f"{title} ({num_seeds} seeds)",
                         note=f"{steps} steps, d_model {d_model}, head_dim {head_dim}; intervals: t, 95 %", known=known)
plots.show(fig, alt=f"Each seed's {metric}, and differences to {first} with intervals. {title}. Verdicts: {verdicts}.")

# %% [markdown]
# ## Recorded on other machines
#
# These were not trained now: more seeds, text as well, and what it took.

# %%
show_recorded("quality")

# %% [markdown]
# ## What this does not say
#
# A task that needs the cache shows what the cache holds. How much of it your model's work needs is
# seen on your own evaluations, at your size, and nowhere else.

# %%
if not learnt:
    verdicts = f"no verdict, as nothing was learnt (without learning {small.nothing:.3g})"
finding = f"{task}, {title}; against {first}: {verdicts or 'nothing to compare'} (measured, {num_seeds} seeds, {steps} steps)."
run.end(finding, rows=last, differences={name: vars(one) for name, one in found.items()}, params=params, text=small.text)

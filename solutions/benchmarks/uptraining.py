# %% [markdown]
# # Uptraining
#
# What is left of a trained model that gets fewer KV heads, at once and after a little more training?
# It depends on how heads become one: by their mean, as the paper did, or after they were turned to
# each other.
#
# - **Trained:** small models, from scratch; then each conversion of them, on the same batches.
# - **Takes:** about 30 s at its defaults.
# - **Resumes:** with `keep_dir`, what is finished is kept there, and a run that was killed goes on.
#
# Nothing is timed here. `gqa bench uptraining -p num_kv_heads=2 -p uptraining_steps=300`, or `papermill`
# with the parameters below.

# %% tags=["parameters"]
task: str = "recall"  # recall, or text
num_heads: int = 8  # query heads, and KV heads before
num_kv_heads: int = 4  # KV heads after
head_dim: int = 8  # channels per head
methods: list = ["aligned", "subspace", "first", "mean", "random"]  # ways to make one KV head of several
d_model: int = 64  # channels of a token between layers
num_layers: int = 2  # layers of the text model; the recall model has one
num_records: int = 12  # recall: positions that hold something
num_attributes: int = 8  # recall: attributes of each, all of which a query asks for
num_values: int = 16  # recall: values of an attribute
text: str = ""  # text: a file or folder to train on; empty: the sources of Python's standard library
context: int = 256  # text: bytes of a sequence
num_seeds: int = 3  # seeds of each model: 0, 1, ...
steps: int = 300  # of training before
uptraining_steps: int = 40  # of training after
batch_size: int = 24  # sequences of a step
lr: float = 0.008  # highest learning rate; a fifth of it after
margin: float = 0.02  # difference that would matter, stated before: share of answers, or nats
workers: int = 0  # seeds at a time; 0: one per CPU core, or one on a GPU
device: str = ""  # cpu, cuda, ...; empty: the best there is
keep_dir: str = ""  # folder where finished runs are kept, to go on from; empty: out_dir
out_dir: str = "runs/uptraining"  # folder for samples and result

# %%
from gqa_lib import plots
from gqa_lib.bench import begin, check_parameters, small_task
from gqa_lib.records.report import show_recorded
from gqa_lib.train import Heads, Recipe, compare_paired, recovery, settled

params = check_parameters("uptraining", globals())
small = small_task(params)
job, metric, unit, known = small[:4]
heads = Heads(num_heads, num_heads, head_dim)
recipe = settled(Recipe(steps=steps, batch_size=batch_size, lr=lr), job, [heads], device or None)
run = begin("uptraining", out_dir, dtype=recipe.precision, device=device)

# %% [markdown]
# ## What is expected
#
# Heads of a trained model lie in bases of their own: the mean of two that say the same in different
# bases says less. Turning one to the other first is free, because queries and the output projection
# absorb it. Without further training, "aligned" should keep more than "mean"; "random" keeps nothing.

# %%
later = Recipe(steps=uptraining_steps, batch_size=batch_size, lr=lr / 5, warmup_steps=min(20, uptraining_steps),
               evaluate_every=max(1, uptraining_steps // 4), evaluate_first=True, precision=recipe.precision)
rows = recovery(job, heads, num_kv_heads, range(num_seeds), recipe, later, methods=methods,
                folder=keep_dir or run.folder / "kept", device=device or None, workers=workers or None)
run.keep([{"phase": "measure", "metric": metric, "unit": unit, "value": row[metric],
           "p_method": row["method"], "p_step": row["step"], **row} for row in rows])

# %%
def results(method, step=None):
    """Return a result for each seed: of a method after a step, or at its end."""
    found = [[row for row in rows if row["method"] == method and row["seed"] == seed] for seed in range(num_seeds)]
    return [next(r[metric] for r in reversed(one) if step in (None, r["step"])) for one in found]

def mean(values):
    """Return the mean of the seeds."""
    return sum(values) / len(values)

marks = sorted({row["step"] for row in rows if row["method"] in methods})
print("steps   ", *(f"{step:8}" for step in marks), f"   {metric}, mean of {num_seeds} seeds")
for method in methods:
    print(f"{method:9}", *(f"{mean(results(method, step)):8.4f}" for step in marks))
print(f"before {mean(results('none')):.4f}, from scratch with {num_kv_heads} KV heads {mean(results('scratch')):.4f}")

# %% [markdown]
# ## Differences to the first of them
#
# Seed by seed, with Student's interval at 95 %: right after the conversion, and at the end. A model
# that has learnt nothing loses nothing: where the one before is no better than chance (of text: than
# how often each byte comes) by more than the margin, no verdict is given.

# %%
first, *others = methods
learnt = small.learnt(results("none"), margin)
if not learnt:
    others = []
    print(f"Nothing was learnt before: within {margin:g} of {small.nothing:.4g}. Train for more steps.")
better = {"margin": margin, "lower_is_better": metric == "loss"}
found = {}
for method in others:
    for step in (marks[0], marks[-1]):
        found[f"{method}, {step} steps"] = one = compare_paired(results(first, step), results(method, step), **better)
        print(f"after {step:3} steps, b = {method}, a = {first}: {one}")

# %%
known |= {"before": mean(results("none")), f"from scratch, {num_kv_heads} KV heads": mean(results("scratch"))}
curves = {method: [{step: results(method, step)[seed] for step in marks} for seed in range(num_seeds)]
          for method in methods}
said = ", ".join(f"{method} {mean(results(method, 0)):.3g} -> {mean(results(method)):.3g}" for method in methods)
kept = ", ".join(f"{method} {mean(results(method, 0)):.3g}" for method in methods)
title = f"{num_heads} to {num_kv_heads} KV heads, {metric} right after: {kept}"
fig = plots.recovery_lines(curves, known, metric=f"{metric} ({unit})", title=title,
                           note=f"{num_seeds} seeds, each drawn faintly; {steps} steps before; d_model {d_model}")
plots.show(fig, alt=f"{metric} after 0 and {marks[-1]} steps: {said}. " + ", ".join(f"{name} {value:.3g}" for name, value in known.items()) + ".")

# %% [markdown]
# ## Recorded on other machines
#
# These were not trained now: more seeds, text as well, and what it took.

# %%
show_recorded("uptraining")

# %% [markdown]
# ## What this does not say
#
# Models that were converted and trained a little are biased towards where they began: they do not
# rank architectures, and a model from scratch may do better or worse than they suggest. How many
# steps your model needs is seen on your model.

# %%
finding = f"{task}, {num_heads} to {num_kv_heads} KV heads, {metric} after 0 and {marks[-1]} steps: {said} (measured, {num_seeds} seeds); before {mean(results('none')):.3g}, from scratch {mean(results('scratch')):.3g}."
if not learnt:
    finding += f" Nothing was learnt before (without learning {small.nothing:.3g}): no verdict."
run.end(finding, rows=rows, differences={name: vars(one) for name, one in found.items()}, params=params, text=small.text)

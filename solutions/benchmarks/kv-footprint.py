# %% [markdown]
# # KV footprint
#
# How many bytes does each model keep per token, and how many sequences fit? For the models in the
# shipped table, or for yours: give the path of a Hugging Face `config.json`.
#
# - **Takes:** about 10 s at its defaults.
#
# Nothing is timed here. The formula is compared with tensors that are really allocated.

# %% tags=["parameters"]
models: list = ["Llama-2-7B", "Llama-3-8B", "Llama-3-70B", "Mistral-7B-v0.1", "Qwen2.5-7B", "Qwen3-0.6B", "Gemma-3-27B", "Falcon-7B", "DeepSeek-V3", "gpt-oss-120b", "Gemma-4-31B", "Qwen3.5-27B"]  # names in the table, or paths of config.json files
context: list = [8192, 131072]  # tokens per sequence
dtype: str = "bfloat16"  # of the cache
memory_gib: float = 40.0  # memory set aside for KV, in GiB
out_dir: str = "runs/kv-footprint"  # folder for samples and result

# %%
import torch

from gqa_lib import plots
from gqa_lib.bench import as_list, begin, check_parameters
from gqa_lib.configs import find_models
from gqa_lib.cost import kv_bytes_per_token, kv_cache_bytes, max_concurrent_sequences
from gqa_lib.cost import reserved_bytes, state_bytes
from gqa_lib.explore.card import kind_of, layers_in_words

check_parameters("kv-footprint", globals())
run = begin("kv-footprint", out_dir, dtype=dtype)
element, contexts = run.dtype, as_list(context)
configs, refused = find_models(as_list(models))
for name, reason in refused.items():
    print(f"{name} is left out: {reason}")
if not configs:
    raise ValueError("none of these models can be described, so there is nothing to compare.")

# %% [markdown]
# ## Prediction
#
# Per token a layer with attention keeps a key and a value for each KV head:
# $2 \times \text{KV heads} \times \text{head\_dim} \times \text{bytes}$. Layers differ: some keep a
# window, some one compressed vector in place of heads (MLA), some nothing that grows. So the bytes
# of a sequence are summed over layers, and a model's bytes per token depend on its length.

# %%
width = max(len(c.name) for c in configs)
for c in configs:
    print(f"{c.name:{width}}  {kind_of(c):10}  {layers_in_words(c)}")

# %% [markdown]
# ## The formula against tensors
#
# One layer of each kind is allocated for 64 tokens, a key tensor and a value tensor where there is
# one, and the bytes of all layers are added.

# %%
TOKENS = 64

def allocated_bytes(layer):
    """Return the bytes that a layer's cache of 64 tokens really takes."""
    entries = min(TOKENS, layer.window or TOKENS) + (TOKENS // layer.ratio if layer.ratio else 0)
    keys, values = (
        torch.empty(1, layer.num_kv_heads, entries, dim, dtype=element).nbytes
        for dim in (layer.k_dim, layer.v_dim)
    )
    return keys + values + torch.empty(TOKENS // (layer.ratio or 1), layer.index_dim, dtype=element).nbytes

rows = []
for c in configs:
    owners = [layer for layer in c.kv_layers if layer.elements and layer.shares is None]
    got, formula = sum(map(allocated_bytes, owners)), kv_cache_bytes(c, [TOKENS], element.itemsize)
    assert got == formula, f"{c.name}: {got} bytes allocated, {formula} by the formula"
print(f"{len(configs)} models: formula and allocation agree to the byte.")

# %% [markdown]
# ## Bytes of a sequence
#
# A star marks a context that is longer than the model is made for.

# %%
def marked(c, n, text):
    """Return the text, with a star where the model is not made for so many tokens."""
    return text + ("*" if c.max_context and n > c.max_context else " ")

def kib(c, n):
    """Return the KiB per token of a sequence of n tokens."""
    return kv_bytes_per_token(c, element.itemsize, n) / 2**10

print("KiB per token of".ljust(width), *(f"{n:>11,} " for n in contexts), " constant state, MiB")
for c in configs:
    state = f"{state_bytes(c) / 2**20:12.1f}" if state_bytes(c) else ""
    print(c.name.ljust(width), *(marked(c, n, f"{kib(c, n):11,.4g}") for n in contexts), state)
    rows += [{"kind": "computed", "metric": "kv_bytes_per_token", "unit": "B", "value": kib(c, n) * 2**10,
              "p_model": c.name, "p_dtype": dtype, "p_context": n} for n in contexts]

# %% [markdown]
# ## How many sequences fit
#
# Windows and constant states are counted. Weights are not: the memory is what you set aside for KV.

# %%
print(f"sequences in {memory_gib:g} GiB".ljust(width), *(f"{n:>11,} " for n in contexts))
for c in configs:
    fits = [max_concurrent_sequences(c, memory_gib * 2**30, n, 0, element.itemsize) for n in contexts]
    print(c.name.ljust(width), *(marked(c, n, f"{fit:11,}") for n, fit in zip(contexts, fits)))
    rows += [{"kind": "computed", "metric": "max_sequences", "unit": "1", "value": fit, "p_model": c.name,
              "p_dtype": dtype, "p_context": n} for n, fit in zip(contexts, fits)]
# %% [markdown]
# ## Ideal and reserved
#
# An engine takes more than these bytes: it rounds to blocks, keeps a window's block longer than the
# window, and gives models whose layers differ blocks of one size. Below, 32 sequences of the shortest
# context by the rules of vLLM (`gqa_lib.cost.reserved_bytes` names them): as it does by default, with
# its manager of hybrid models off, and over 8 ranks together.

# %%
def reserved(c, **how):
    """Return the GiB an engine reserves for 32 sequences, None and a note where it cannot."""
    try:
        return reserved_bytes(c, [min(contexts)] * 32, element.itemsize, **how).total_bytes / 2**30
    except ValueError as trouble:
        notes.append(str(trouble))

WAYS = {"reserved": {}, "manager off": {"hybrid_manager": False}, "8 ranks": {"tensor_parallel": 8}}
notes = []
print("GiB of 32 sequences".ljust(width), *(f"{way:>12}" for way in ("ideal", *WAYS)))
for c in configs:
    ideal = (32 * (kv_cache_bytes(c, [min(contexts)], element.itemsize) + state_bytes(c))) / 2**30
    taken = {way: reserved(c, **how) for way, how in WAYS.items()}
    print(c.name.ljust(width), f"{ideal:12,.4g}",
          *("           –" if gib is None else f"{gib:12,.4g}" for gib in taken.values()))
    rows += [{"kind": "computed", "metric": "reserved_bytes", "unit": "B", "arm": way,
              "value": None if gib is None else gib * 2**30,
              "p_model": c.name, "p_dtype": dtype, "p_context": min(contexts)}
             for way, gib in taken.items()]
print("\n".join(dict.fromkeys(notes)))

# %%
rows += [{"metric": "refused", "unit": "1", "value": None, "p_model": name, "reason": reason}
         for name, reason in refused.items()]
run.keep(rows)

# %%
shortest = min(contexts)
per_token = {c.name: kib(c, shortest) for c in configs}
least, most = min(per_token, key=per_token.get), max(per_token, key=per_token.get)
finding = f"{most} keeps {per_token[most]:,.4g} KiB per token"
if least != most:
    finding = f"{most} keeps {per_token[most] / per_token[least]:,.3g} times the bytes per token of {least}"
fig = plots.kv_bytes_bar(configs, element.itemsize, context_length=shortest, title=finding)
plots.show(fig, alt=f"KiB of KV cache per token of {shortest:,} for each model, " + ", ".join(
    f"{name} {value:.4g}" for name, value in sorted(per_token.items(), key=lambda x: -x[1])) + ".")

# %% [markdown]
# ## Where layers differ, a curve
#
# Models that keep windows or compressed entries need fewer bytes per token the longer the sequence.

# %%
curved = [c for c in configs if "hybrid" in kind_of(c)]
if curved:
    shown = [*curved[:5], *[c for c in configs if c not in curved][:1]]
    fig = plots.kv_cache_lines(shown, [2**n for n in range(10, 21, 2)], element.itemsize,
                               title="One sequence's cache by its length",
                               note="Beyond a model's longest context: what it would keep.")
    plots.show(fig, alt="GiB of one sequence's cache over its length for " + ", ".join(
        c.name for c in shown) + ".")
else:
    print("In all of these models every layer keeps every token: bytes grow with the length alone.")

# %% [markdown]
# ## What this does not say
#
# Bytes per token compare architectures, not their quality or speed. Models differ in layers and
# widths too: a small model can keep more per token than a large one.

# %%
run.end(f"{finding}, {shortest:,} tokens ({dtype}, derived).", rows=rows)

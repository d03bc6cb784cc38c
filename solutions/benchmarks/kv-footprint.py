# %% [markdown]
# # KV footprint
#
# How many bytes does each model keep per token, and how many sequences fit? For the models in the
# shipped table, or for yours: give the path of a Hugging Face `config.json`.
#
# Nothing is timed here. The formula is compared with tensors that are really allocated.

# %% tags=["parameters"]
models: list = ["Llama-2-7B", "Llama-3-8B", "Llama-3-70B", "Mistral-7B-v0.1", "Qwen2.5-7B", "Qwen3-0.6B", "Gemma-3-27B", "Falcon-7B", "DeepSeek-V3", "gpt-oss-120b"]  # names in the table, or paths of config.json files
context: list = [8192, 131072]  # tokens per sequence
dtype: str = "bfloat16"  # of the cache
memory_gib: float = 40.0  # memory set aside for KV, in GiB
out_dir: str = "runs/kv-footprint"  # folder for samples and result

# %%
import torch

from gqa_lib import plots
from gqa_lib.bench import as_list, begin
from gqa_lib.cache import KVCache
from gqa_lib.configs import from_hf_config, load_model
from gqa_lib.cost import kv_bytes_per_token, kv_cache_bytes, max_concurrent_sequences

run = begin("kv-footprint", out_dir, dtype=dtype)
element = run.dtype
configs = [from_hf_config(m) if m.endswith(".json") else load_model(m) for m in as_list(models)]

# %% [markdown]
# ## Prediction
#
# Per token and layer a model keeps one key and one value for each KV head:
# $2 \times \text{layers} \times \text{KV heads} \times \text{head\_dim} \times \text{bytes}$.
# Latent attention (MLA) keeps one compressed vector instead.

# %%
print(f"{'model':18} type  layers  heads  KV heads   KiB per token")
for c in configs:
    kib = kv_bytes_per_token(c, element.itemsize) / 2**10
    print(f"{c.name:18} {c.attention_type:4} {c.num_layers:7} {c.num_heads:6} {c.num_kv_heads:9} {kib:15.1f}")

# %% [markdown]
# ## The formula against tensors
#
# One layer's cache is allocated for 64 tokens and its bytes counted. Latent caches are one tensor
# per layer, without heads.

# %%
TOKENS = 64

def allocated_bytes(c):
    """Return the bytes a model's cache really takes, per token, from an allocated layer."""
    if c.attention_type == "MLA":
        layer = torch.empty(1, TOKENS, c.kv_lora_rank + c.rope_head_dim, dtype=element).nbytes
    else:
        layer = KVCache(1, c.num_kv_heads, TOKENS, c.head_dim, dtype=element).nbytes
    return (c.num_layers - c.shared_kv_layers) * layer / TOKENS

rows = []
for c in configs:
    got, formula = allocated_bytes(c), kv_cache_bytes(c, [TOKENS], element.itemsize) / TOKENS
    assert got == formula, f"{c.name}: {got} bytes allocated, {formula} by the formula"
    rows.append({"metric": "kv_bytes_per_token", "unit": "B", "value": got, "p_model": c.name, "p_dtype": dtype})
print(f"{len(rows)} models: formula and allocation agree to the byte.")

# %% [markdown]
# ## How many sequences fit
#
# Windows are counted: a layer that looks back 4,096 tokens keeps no more. Weights are not: the
# memory is what you set aside for KV.

# %%
contexts = as_list(context)
print(f"sequences in {memory_gib:g} GiB".ljust(20), *(f"{n:>9} tokens" for n in contexts))
for c in configs:
    fits = [max_concurrent_sequences(c, memory_gib * 2**30, n, 0, element.itemsize) for n in contexts]
    print(f"{c.name:20}", *(f"{n:16}" for n in fits))
    rows += [{"metric": "max_sequences", "unit": "1", "value": fit, "p_model": c.name,
              "p_dtype": dtype, "p_context": n} for n, fit in zip(contexts, fits)]
run.keep(rows)

# %%
per_token = {c.name: kv_bytes_per_token(c, element.itemsize) / 2**10 for c in configs}
least, most = min(per_token, key=per_token.get), max(per_token, key=per_token.get)
finding = f"{most} keeps {per_token[most] / per_token[least]:.0f} times the bytes per token of {least}"
fig = plots.kv_bytes_bar(configs, element.itemsize, title=finding)
plots.show(fig, alt="KiB of KV cache per token for each model, " + ", ".join(
    f"{name} {kib:.0f}" for name, kib in sorted(per_token.items(), key=lambda x: -x[1])) + ".")

# %% [markdown]
# ## What this does not say
#
# Bytes per token compare architectures, not their quality or speed. Models differ in layers and
# widths too: a small model can keep more per token than a large one.

# %%
run.end(f"{finding} ({dtype}, derived).", rows=rows)

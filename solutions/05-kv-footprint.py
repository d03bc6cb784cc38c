# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# Qwen2.5-7B and Qwen3-0.6B: same maker, both with grouped queries, one ten times the size of the
# other. **Which of them keeps more bytes for each token in its cache, and how many times more?**
# You will know in ten minutes, and again from memory that is really allocated.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports PyTorch, the config record and the course's check, hint and quiz helpers; run it first."
import torch

from gqa_lib.configs import ModelConfig
from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# Put your guess in place of `None`: the small model's cache over the large one's, 0.1 for a tenth.

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("Qwen3-0.6B's cache / Qwen2.5-7B's", None)

# %% [markdown]
# ## One token, by hand
#
# All that a cache depends on is in a model's **config**. The course keeps it in a
# `ModelConfig`; here is one small enough to count on paper.

# %% does="Makes the toy config by hand; look at its attention type and query heads per KV head."
toy = ModelConfig("toy", num_layers=3, num_heads=6, num_kv_heads=2, head_dim=5, d_model=48)
print(toy.attention_type, "with", toy.q_per_kv, "query heads per KV head")

# %% [markdown]
# | field | toy | what it is |
# |---|---|---|
# | `num_layers` | 3 | each has a cache of its own |
# | `num_heads`, `num_kv_heads` | 6, 2 | query heads; heads of K and of V |
# | `head_dim` | 5 | numbers in one head |
# | `d_model` | 48 | channels between the layers (6 · 5 is not 48, and need not be) |

# %% [markdown]
# Let the toy read one token. In each layer, each KV head makes one key and one value of 5 numbers:
# 2 · (5 + 5) = 20. Three layers: 60 numbers. In bfloat16 a number takes 2 bytes: **120 bytes**.
# The 6 query heads appear nowhere: a query is used at once and thrown away.

# %% [markdown]
# ## Exercise 1 · `kv_bytes_per_token`
#
# *5 minutes · difficulty 1 of 5*
#
# Put that into a function, every layer keeping the token (layers that share one come later). `bytes_per_element` is 4 for float32, 2
# for bfloat16, 1 for 8 bits, 0.5 for 4 bits: it may be a fraction.

# %% nbgrader={"grade": false, "grade_id": "kv_bytes_per_token", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here how many bytes one more token adds to the cache of a model without MLA."
def kv_bytes_per_token(config, bytes_per_element):
    """Return the bytes that one more token adds to the cache of a model without MLA."""
    ### BEGIN SOLUTION
    keys = config.num_layers * config.num_kv_heads * config.head_dim
    return 2 * keys * bytes_per_element  # as many values as keys
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "kv_bytes_per_token-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks your bytes per token on several shapes and element sizes, fractions of a byte included."
check("kv_bytes_per_token", kv_bytes_per_token)
### BEGIN HIDDEN TESTS
check("kv_bytes_per_token", kv_bytes_per_token, seed=None, cases=[
    {"L": 7, "Hq": 20, "Hkv": 4, "D": 11, "d_model": 300, "b": 2},
    {"L": 6, "Hq": 8, "Hkv": 2, "D": 5, "d_model": 60, "shared": 3, "b": 1},
    *({"draw": n} for n in range(1, 25)),
])
### END HIDDEN TESTS

# %% [markdown] hints="kv_bytes_per_token"
# <details><summary>Hint: count one layer first</summary>
#
# One layer keeps `num_kv_heads` keys and as many values, each of `head_dim` numbers. Then the
# layers, then the bytes.
# </details>
# <details><summary>If it is off by a factor</summary>
#
# Half: the values are missing. Three times too much for the toy: the query heads were counted. A
# third: one layer was. Zero for 4 bits: something rounded 0.5 down.
# </details>
# <details><summary>A worked step</summary>
#
# The toy: 3 layers · 2 KV heads · 5 = 30 numbers for the keys, 30 for the values, 2 bytes each.
# `2 * num_layers * num_kv_heads * head_dim * bytes_per_element` gives 120.
# </details>

# %% [markdown]
# The course ships the shapes of 170 models, each with its source. Now check your guess. (A KiB is
# 2¹⁰ = 1,024 bytes.)

# %% does="Prints KiB per token of four real models with your function; compare the two Qwens."
from gqa_lib.configs import load_model

KIB, MIB, GIB = 2**10, 2**20, 2**30
for name in ("Llama-3-8B", "Llama-3-70B", "Qwen2.5-7B", "Qwen3-0.6B"):
    c = load_model(name)
    print(f"{name:12} {c.num_layers} layers · {c.num_kv_heads} KV heads · {c.head_dim}: "
          f"{kv_bytes_per_token(c, 2) / KIB:3.0f} KiB per token")
small, large = (kv_bytes_per_token(load_model(name), 2) for name in ("Qwen3-0.6B", "Qwen2.5-7B"))
outcome("Qwen3-0.6B's cache / Qwen2.5-7B's", small / large)

# %% [markdown]
# The small Qwen3 keeps **twice** as much per token as the large Qwen2.5: as many layers, heads of
# the same size, and 8 KV heads instead of 4. How large a model is says nothing about its cache.

# %% [markdown]
# ## Predict, then measure: is it so in memory?
#
# A formula is a claim. Allocate a real cache for Llama-3.2-1B: 16 layers, two sequences of 1,000
# tokens, bfloat16. **Predict its MiB with your function**, then count the bytes of the tensors.

# %% does="Allocates a real cache for Llama-3.2-1B and compares its bytes with your prediction."
from gqa_lib.cache import KVCache
from gqa_lib.measure import pick_device

device = pick_device()
c = load_model("Llama-3.2-1B")
layers = [KVCache(2, c.num_kv_heads, 1000, c.head_dim, torch.bfloat16, device)
          for _ in range(c.num_layers)]
measured = sum(layer.nbytes for layer in layers)
print(f"predicted {2 * 1000 * kv_bytes_per_token(c, 2) / MIB:.2f} MiB")
print(f"measured  {measured / MIB:.2f} MiB on {device}")
del layers

# %% [markdown]
# ### Spot the bug
#
# Two formulas of public estimators ([the
# first](https://github.com/vllm-project/vllm/pull/29736), [the
# second](https://github.com/unslothai/unsloth/pull/4757)) hide below with two other wrong ones. Each is
# right for some models. Which model, at how many bytes for each number, exposes all four?

# %% does="Runs four wrong formulas, two of them public, on a model; name models that expose the others."
from gqa_lib.learn import hunt

hunt("kv_bytes_per_token", ("Llama-3-8B", 2))

# %% [markdown]
# <details><summary>Answer</summary>
#
# The first counts query heads: right for MHA alone. The second derives `head_dim` as `d_model //
# num_heads`: right where a designer chose it so, too small for Qwen3-0.6B and gpt-oss-120b. How often is
# that? The next cell asks all models of the table whose layers are alike (`layers` is `None`). A model
# may also be right by coincidence: in Qwen3-0.6B the KV heads together are as wide as `d_model`.
# </details>

# %% does="Counts for how many models with equal layers the second formula gives a wrong size."
from gqa_lib.configs import all_models

def second(c):
    return 2 * c.num_layers * c.num_kv_heads * (c.d_model // c.num_heads) * 2

standard = [c for c in all_models() if c.attention_type != "MLA" and c.layers is None]
wrong = [c.name for c in standard if second(c) != kv_bytes_per_token(c, 2)]
print(f"wrong for {len(wrong)} of {len(standard)}: {', '.join(wrong[:6])}, ...")

# %% [markdown]
# ## What "4 to 8 times smaller" means
#
# Smaller than what? Than **the same model** with a KV head for every query head. Then layers,
# `head_dim` and bytes cancel, and exactly `q_per_kv` is left.

# %% does="Divides the cache of each model as MHA by its own; compare the ratio with the heads."
from dataclasses import replace

for c in map(load_model, ("Llama-3-8B", "Llama-3.2-3B", "Falcon-180B")):
    as_mha = replace(c, num_kv_heads=c.num_heads)
    ratio = kv_bytes_per_token(as_mha, 2) / kv_bytes_per_token(c, 2)
    print(f"{c.name:12} {c.num_heads:3} / {c.num_kv_heads} heads: {ratio:g} times smaller")

# %% [markdown]
# That other model is nearly always imaginary. Once it was almost built: Cohere shipped
# [Command-R v01](https://huggingface.co/CohereForAI/c4ai-command-r-v01) with 64 KV heads and
# [08-2024](https://huggingface.co/CohereForAI/c4ai-command-r-08-2024) with 8. All that the cache
# depends on is equal; by their config files the feed-forward blocks grew, from 22,528 to 24,576.

# %% does="Compares two Command-R releases; only the KV heads differ in what the cache depends on."
before, after = load_model("Command-R-v01"), load_model("Command-R-08-2024")
for c in (before, after):
    print(f"{c.name:18} {c.num_layers} layers, {c.num_heads}/{c.num_kv_heads} heads of {c.head_dim}: "
          f"{kv_bytes_per_token(c, 2) / KIB:4.0f} KiB per token")

# %% [markdown]
# Now the claim itself. **What share of the GQA models in the table is within 4 to 8?** From
# 0 to 1, in place of `None`.

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("GQA models within 4 to 8", None)

# %% does="Counts how many GQA models save less than 4, from 4 to 8, and more than 8 times."
from gqa_lib import plots

shared = [c for c in all_models() if c.attention_type == "GQA"]
factors = [c.q_per_kv for c in shared]
below, above = sum(f < 4 for f in factors), sum(f > 8 for f in factors)
within = len(factors) - below - above
print(f"of {len(factors)} GQA models {below} save less than 4 times, "
      f"{within} from 4 to 8, {above} more than 8")
outcome("GQA models within 4 to 8", within / len(factors))

# %% does="Draws how many GQA models save how many times; look at the bars outside the claimed band."
plots.use_style()
fig = plots.cache_saving_bars(
    factors, claimed=(4, 8), title=f"{within} of {len(factors)} GQA models save 4 to 8 times")
plots.show(fig, alt="Number of GQA models by how many times smaller their cache is than as MHA: "
           + ", ".join(f"{v} times: {factors.count(v)}" for v in sorted(set(factors))))

# %% [markdown]
# So "4 to 8" holds for most models but is no law: 2 and 32 occur too. It compares a model with
# itself. **Across** models it predicts nothing. Each dot is a model whose layers are alike:

# %% does="Plots KiB per token against query heads per KV head; look for a trend, or its absence."
alike = [c for c in shared if c.layers is None]
in_band = [kv_bytes_per_token(c, 2) for c in alike if 4 <= c.q_per_kv <= 8]
spread = max(in_band) / min(in_band)
named = {"Falcon-180B": "right", "Gemma-3-27B": "right", "GLM-4-9B": "right",
         "Qwen2.5-7B": "left", "Qwen3-0.6B": "left"}
fig = plots.kv_bytes_scatter(
    alike, named=named, title=f"From 4 to 8 heads per KV head, bytes still differ {spread:.0f}-fold")
plots.show(fig, alt=f"KiB per token against query heads per KV head for {len(alike)} GQA models: no "
           f"clear trend; within 4 to 8 the caches span a factor of {spread:.0f}.")

# %% [markdown]
# ## Layers that keep less
#
# So far all layers were alike. Many models of 2025 and 2026 are **hybrids**: only some of their layers
# keep every token. Here are two of them, with 31 and 27 billion parameters, next to Llama 3.1 with 8,
# where all layers do. **Which has the largest cache at 1,000 tokens, and which at 131,072?**

# %% does="Draws cache size against context for three models; see where the lines cross."
hybrids = [load_model(name) for name in ("Llama-3.1-8B", "Gemma-4-31B", "Qwen3.5-27B")]
fig = plots.kv_cache_lines(hybrids, [2**n * 1024 for n in range(8)], 2, log=False,
                           title="Long contexts cost the two hybrids less than the 8B model")
plots.show(fig, alt="Cache in GiB against tokens, three lines. Llama-3.1-8B is straight and reaches "
           "16.0 at 131,072. Gemma-4-31B starts highest, rises less and reaches 10.8; Qwen3.5-27B "
           "is straight and reaches 8.0.")

# %% [markdown]
# How steep a line is depends on the layers that keep every token: all 32 in Llama, 10 of 60 in Gemma
# 4, 16 of 64 in Qwen3.5. `config.kv_layers` has one `LayerKV` for each layer, which says what it keeps:

# %% does="Lists the kinds of layers of the three models with their heads, sizes, windows and states."
from collections import Counter

for c in hybrids:
    for layer, count in Counter(c.kv_layers).items():
        print(f"{c.name:12} {count:2} x {layer.kind:6} {layer.num_kv_heads:2} KV heads, key {layer.k_dim}"
              f", value {layer.v_dim}, window {layer.window}, state {layer.state_bytes:,} B")

# %% [markdown]
# | field of a layer | what it is |
# |---|---|
# | `kind` | `"full"`, `"window"`, `"none"` and others: a name for what follows |
# | `num_kv_heads`, `k_dim`, `v_dim` | this layer's KV heads; numbers in one key, in one value |
# | `window` | the most tokens it keeps of a sequence, whatever its kind; `None` for all |
# | `state_bytes` | constant state of one sequence, in bytes |
#
# A layer with a **sliding window** of 4 looks back at the last 4 tokens only, so older keys and values
# need not be kept. A **linear** layer (kind `"none"`) keeps no keys and values at all, but a **state**
# of constant size, which every token updates. It does not grow and is counted apart, in Exercise 4.

# %% [markdown]
# Three layers to count on paper: a window of 4, a full layer with a larger head, a linear layer.

# %% does="Builds three unlike layers on the toy: a window, a full layer, one with only a state."
from gqa_lib.configs import LayerKV

mixed = replace(toy, layers=(
    LayerKV("window", num_kv_heads=2, k_dim=5, v_dim=5, window=4),
    LayerKV("full", num_kv_heads=1, k_dim=8, v_dim=8),
    LayerKV("none", state_bytes=96),
))

# %% [markdown]
# A server holds many sequences at once, each of its own length. Say 10 tokens and 3 tokens:
#
# | | layer 0 | layer 1 | layer 2 |
# |---|---|---|---|
# | numbers per token | 2 · (5 + 5) = 20 | 1 · (8 + 8) = 16 | 0 |
# | tokens kept of 10 | 4 | 10 | |
# | tokens kept of 3 | 3 | 3 | |
# | numbers | 7 · 20 = 140 | 13 · 16 = 208 | 0 |
#
# That is 348 numbers, 2 bytes a number: **696 bytes**.

# %% [markdown]
# ## Exercise 2 · `kv_cache_bytes`
#
# *15 minutes · difficulty 3 of 5*
#
# `context_lengths` is a list, one length per sequence. Go over `config.kv_layers`, which every config
# has, and let each layer say what it keeps. State is not cache. (Exercise 3 comes back to this cell
# with two more kinds of layers.)

# %% nbgrader={"grade": false, "grade_id": "kv_cache_bytes", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here the cache bytes that several sequences hold together, going layer by layer."
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    """Return the bytes of cache that sequences of these lengths hold together."""
    ### BEGIN SOLUTION
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue  # it reads an earlier layer's cache
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)  # a latent's v_dim is 0
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "kv_cache_bytes-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks your cache bytes on mixed layers, windows and several sequence lengths."
check("kv_cache_bytes", kv_cache_bytes)
### BEGIN HIDDEN TESTS
check("kv_cache_bytes", kv_cache_bytes, seed=None, cases=[
    {"L": 5, "Hq": 21, "Hkv": 3, "D": 9, "d_model": 400, "windows": (None, 7, 7, None, 3), "b": 1},
    {"model": "Gemma-4-31B", "lengths": (131_072, 900, 5000), "b": 2},
    {"model": "Qwen3.5-27B", "lengths": (77, 200_000), "b": 1},
    {"L": 2, "Hq": 4, "Hkv": 2, "D": 3, "d_model": 20, "windows": (9, None), "lengths": tuple(range(300)), "b": 1},
    *({"draw": n} for n in range(1, 25)),
])
### END HIDDEN TESTS

# %% [markdown] hints="kv_cache_bytes"
# <details><summary>Hint: one layer, one token</summary>
#
# `layer.num_kv_heads` keys of `layer.k_dim` numbers and as many values of `layer.v_dim`. All of them
# are 0 in a layer without KV, so it needs no case of its own. Then the tokens, then the bytes.
# </details>
# <details><summary>If the check says "the sum"</summary>
#
# A window cuts each sequence on its own. Two sequences of 8 tokens under a window of 8 keep 16.
# </details>
# <details><summary>If it is right for some models and wrong for Gemma 4</summary>
#
# There `config.num_kv_heads` and `config.head_dim` fit 10 layers of 60. Nothing of `config` but
# `kv_layers` belongs into the count.
# </details>
# <details><summary>A worked step</summary>
#
# One layer, one sequence: `kept = length if layer.window is None else min(length, layer.window)`
# tokens. Layer 0 of the three keeps min(10, 4) = 4 of 10 tokens and 3 of 3: 7 tokens of 20 numbers.
# </details>

# %% [markdown]
# ## What windows save, and layers without a cache
#
# What would the two keep if every layer kept every token? For Gemma 4 take the windows away; for
# Qwen3.5 turn the linear layers into copies of a full one. **At 131,072 tokens, how many times
# smaller is each as it is?** For Qwen3.5 the number of layers is all you need.

# %% does="Compares two hybrids with imaginary twins that keep everything; see how the factor moves with length."
def keeping_all(c):
    """Return the model with every layer keeping every token."""
    full = next(layer for layer in c.kv_layers if layer.kind == "full")
    return replace(c, windows=None, layers=tuple(
        full if layer.kind == "none" else replace(layer, kind="full", window=None)
        for layer in c.kv_layers))

for c in hybrids[1:]:
    for tokens in (1024, 32_768, 131_072):
        a, b = (kv_cache_bytes(x, [tokens], 2) / GIB for x in (keeping_all(c), c))
        print(f"{c.name:12} {tokens:7,} tokens: {a:6.2f} GiB if all kept all, "
              f"{b:5.2f} GiB as it is: {a / b:5.2f} times smaller")

# %% [markdown]
# Linear layers save at any length: 64 / 16 = 4 times. Windows save nothing where every sequence is
# shorter than the window, and 10 times at 131,072 tokens; sharing heads saves Gemma 4's windowed
# layers a factor of 2. Earlier models use windows less boldly: [Gemma
# 3](https://github.com/google/gemma_pytorch/blob/main/gemma/config.py) 27B has windows of 1,024 in 52
# of 62 layers, [gpt-oss](https://github.com/openai/gpt-oss) of 128 in every second one:

# %% does="Does the same for Gemma 3 and gpt-oss at 131,072 tokens; compare what their windows save."
for name in ("Gemma-3-27B", "gpt-oss-120b"):
    c = load_model(name)
    a, b = (kv_cache_bytes(x, [131_072], 2) / GIB for x in (keeping_all(c), c))
    print(f"{name:12} {a:5.2f} GiB if all were full, {b:5.2f} GiB with windows: {a / b:.2f} times")

# %% [markdown]
# (Another project's [repaired estimator](https://github.com/unslothai/unsloth/pull/4757) also gives
# 10.41 for Gemma 3.)

# %% [markdown]
# ## Exercise 3 · layers that share, and latents
#
# *10 minutes · difficulty 3 of 5*
#
# Go back to `kv_cache_bytes`. First, **shared layers**. `layer.shares` is the number of an earlier
# layer whose keys and values this one reads; it keeps none. For all other layers it is `None`. A fourth
# layer `replace(mixed.layers[0], shares=0)` adds nothing to the 696 bytes.

# %% nbgrader={"grade": true, "grade_id": "kv_cache_bytes-shared", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks that kv_cache_bytes counts nothing for layers that read another layer's keys and values."
check("kv_cache_bytes-shared", kv_cache_bytes)
### BEGIN HIDDEN TESTS
check("kv_cache_bytes-shared", kv_cache_bytes, seed=None, cases=[
    *({"draw": n, "shared_draw": True} for n in range(1, 25)),
])
### END HIDDEN TESTS

# %% [markdown] hints="kv_cache_bytes-shared"
# <details><summary>Hint: which layers are left?</summary>
#
# Those whose `shares` is `None`. The layer that is read from is one of them: its cache counts, once.
# </details>
# <details><summary>If it is wrong only where layer 0 is shared</summary>
#
# Layers are numbered from 0, and `if layer.shares:` takes 0 for "no". Write `is not None`.
# </details>
# <details><summary>A worked step</summary>
#
# At the top of the loop over the layers: `if layer.shares is not None: continue`. What such a layer
# says of its heads and its window is what it reads, not what it keeps.
# </details>

# %% [markdown]
# Second, **MLA**, multi-head latent attention ([DeepSeek-V2](https://arxiv.org/abs/2405.04434)). A
# layer of kind `"latent"` keeps neither keys nor values but one **latent**, from which both are made
# again for all heads, and next to it one RoPE key that carries the position. The layer says so with
# the same fields: `num_kv_heads` is 1, `k_dim` counts latent and RoPE key together, `v_dim` is 0. If
# you added `k_dim` and `v_dim`, there is nothing left to do.

# %% nbgrader={"grade": true, "grade_id": "kv_cache_bytes-mla", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks that kv_cache_bytes also counts latent layers correctly; nothing is written in this cell."
check("kv_cache_bytes-mla", kv_cache_bytes)
### BEGIN HIDDEN TESTS
check("kv_cache_bytes-mla", kv_cache_bytes, seed=None, cases=[
    {"L": 4, "Hq": 6, "Hkv": 6, "D": 9, "d_model": 70, "latent": 17, "rope": 5, "shared": 2},
    {"model": "Kimi-K3", "lengths": (4000, 70_000), "b": 1},
    *({"draw": n, "latent_draw": True} for n in range(1, 25)),
])
### END HIDDEN TESTS

# %% [markdown] hints="kv_cache_bytes-mla"
# <details><summary>Hint: what changes?</summary>
#
# Only the numbers per token and layer. Tokens, windows and bytes are counted as before.
# </details>
# <details><summary>If it is twice too large</summary>
#
# A factor of 2 for keys *and* values is wrong here: both come out of the one latent. Add `k_dim` and
# `v_dim` instead; for a latent `v_dim` is 0.
# </details>
# <details><summary>A worked step</summary>
#
# A latent of 11 and a RoPE key of 3: `k_dim` is 14, so 1 · (14 + 0) = 14 numbers per token and layer,
# whatever the number of query heads.
# </details>

# %% does="Compares DeepSeek-V3's cache as MHA, with 8 KV heads and as MLA; see the latent's worth."
v3 = load_model("DeepSeek-V3")
heads = replace(v3, kv_lora_rank=None, rope_head_dim=None)  # the same shape without the latent
arms = {"as MHA": heads, "with 8 KV heads": replace(heads, num_kv_heads=8), "MLA, as it is": v3}
for arm, c in arms.items():
    print(f"{v3.name} {arm:15} {kv_cache_bytes(c, [1], 2) / KIB:7.1f} KiB per token")
worth = (v3.kv_lora_rank + v3.rope_head_dim) / (2 * v3.head_dim)
print(f"The latent takes the space of {worth} KV heads.")

# %% [markdown]
# **But only if the latent is what is cached.** DeepSeek's own [reference
# code](https://github.com/deepseek-ai/DeepSeek-V3/blob/main/inference/model.py) can be switched
# (`attn_impl`) between `absorb`, which caches the latent, and `naive`, which caches a key of 192 and
# a value of 128 for each of 128 heads. Same weights, same answers:

# %% does="Counts the numbers that DeepSeek's naive and absorb modes keep per token and layer."
naive, absorb = 128 * (192 + 128), v3.kv_lora_rank + v3.rope_head_dim
print(f"naive keeps {naive:,} numbers per token and layer, absorb {absorb}: {naive / absorb:.0f} times")

# %% [markdown]
# Shared layers: the defaults of [mlx-lm's Gemma
# 4](https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/models/gemma4_text.py) share 20 of 35
# (`num_kv_shared_layers`). Were the layers alike, that would be 35 / 15 = 2.3 times smaller.
#
# One kind is left, which your function need not count. Most layers of DeepSeek V4 keep the last 128
# tokens and one **compressed** entry for every 4 or every 128 tokens. The library counts those (and the
# small keys by which some layers choose among their entries):

# %% does="Lists the kinds of layers in DeepSeek V4 and its cache at 131,072 tokens, by the library."
from gqa_lib import cost

v4 = load_model("DeepSeek-V4-Flash")
for kind, count in Counter((layer.kind, layer.ratio) for layer in v4.kv_layers).items():
    print(f"{count:2} layers of kind {kind[0]}, tokens per entry: {kind[1]}")
print(f"131,072 tokens: {cost.kv_cache_bytes(v4, [131_072], 2) / GIB:.2f} GiB")

# %% [markdown]
# ## Exercise 4 · `max_concurrent_sequences`
#
# *10 minutes · difficulty 2 of 5*
#
# How many sequences of `context_length` tokens fit next to the weights? A whole number: a sequence
# that fits only in part is of no use. 0 if not even one fits, or the weights alone do not. All
# sizes in bytes; `kv_cache_bytes` is yours to use. Next to its cache a sequence holds the constant
# state of its linear layers: `layer.state_bytes` of each layer, already bytes, 0 where there is none.

# %% nbgrader={"grade": false, "grade_id": "max_concurrent_sequences", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here how many sequences of one length fit next to the weights, a whole number."
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    """Return how many sequences of context_length tokens fit beside the weights, an int >= 0."""
    ### BEGIN SOLUTION
    free_bytes = memory_bytes - weight_bytes
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int(free_bytes // each))
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "max_concurrent_sequences-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks your capacity, tight memory and layers with a constant state included."
check("max_concurrent_sequences", max_concurrent_sequences)
### BEGIN HIDDEN TESTS
check("max_concurrent_sequences", max_concurrent_sequences, seed=None, cases=[
    {"L": 4, "Hq": 9, "Hkv": 3, "D": 7, "d_model": 90, "fits": 23, "spare": 0.9, "weights": 777},
    {"L": 4, "Hq": 9, "Hkv": 3, "D": 7, "d_model": 90, "fits": -3, "spare": 0.2, "weights": 99_000},
    {"L": 2, "Hq": 8, "Hkv": 2, "D": 5, "d_model": 60, "fits": 8, "n": 33, "weights": 12_345},
    {"L": 8, "Hq": 8, "Hkv": 2, "D": 5, "d_model": 60, "layers": "3*none state=700, full",
     "fits": 6, "n": 20, "spare": 0.1, "weights": 9_999},
    *({"draw": n} for n in range(1, 40)),
])
### END HIDDEN TESTS

# %% [markdown] hints="max_concurrent_sequences"
# <details><summary>Hint: three lines</summary>
#
# What is free once the weights are in? What does one sequence hold, cache and state? How many times
# does the one fit into the other?
# </details>
# <details><summary>If it fails only where a layer has state_bytes</summary>
#
# `sum(layer.state_bytes for layer in config.kv_layers)` bytes more for every sequence, however long it
# is. They are bytes already: bytes_per_element is for the cache.
# </details>
# <details><summary>If it fails where little memory is left</summary>
#
# With less memory than weights the division goes below zero. `max(0, ...)`.
# </details>
# <details><summary>A worked step</summary>
#
# 100,000 bytes, 50,000 of weights, sequences of 1,200 bytes: 50,000 // 1,200 = 41. With a float on
# either side `//` gives 41.0, so wrap it in `int(...)`.
# </details>

# %% [markdown]
# Is the state much? **How many tokens of cache is Qwen3.5's state worth?**

# %% does="Prints Qwen3.5's constant state in MiB and in tokens of cache that it is worth."
qwen = load_model("Qwen3.5-27B")
state = sum(layer.state_bytes for layer in qwen.kv_layers)
print(f"{state / MIB:.1f} MiB per sequence = {state / kv_cache_bytes(qwen, [1], 2):,.0f} tokens of cache")

# %% [markdown]
# So a short chat holds more state than cache, and at 128k tokens the state is 2 %.

# %% [markdown]
# ## Predict, then compute: one GPU, three models
#
# A GPU sold with 80 GB, a tenth left free for everything else. Llama-3-8B's weights, 2 bytes for each
# of the 8.03 billion parameters that lesson 03 added up:

# %% does="Takes Llama-3-8B's weights from the table and prints them in GB for the capacity cells."
llama = load_model("Llama-3-8B")
weights = llama.weight_bytes
print(f"{weights / 1e9:.2f} GB")

# %% [markdown]
# **How many sequences of 8,192 tokens fit? And with as many KV heads as query heads, and with one?**
# (Weights kept equal, so that only the cache changes. Derived from the size on a data sheet.) Your
# guess for the real model, with 8 KV heads:

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("sequences that fit in 80 GB", None)

# %% does="Counts sequences of 8,192 tokens on one GPU with 32, 8 and 1 KV heads; compare the rows."
memory = 0.9 * 80e9
for num_kv_heads in (32, 8, 1):
    arm = replace(llama, num_kv_heads=num_kv_heads)
    fits = max_concurrent_sequences(arm, memory, 8192, weights, 2)
    print(f"{arm.attention_type}, num_kv_heads={num_kv_heads:2}: {fits:3} sequences of 8,192 tokens")
    if num_kv_heads == 8:
        outcome("sequences that fit in 80 GB", fits)

# %% [markdown]
# Capacity follows `q_per_kv` exactly, apart from rounding. That is the first thing sharing buys:
# more users, or longer contexts, in the same memory. Whether each step is faster is another
# question.

# %% [markdown]
# ### Spot the bug
#
# A colleague's sheet reads the same 80 GB as GiB and promises more users. Who is right? A cloud
# provider [listed](https://github.com/modal-labs/modal-client/pull/2797) what GPUs really report, in
# MiB.

# %% does="Compares capacity with 80 GB and 80 GiB, then lists what four GPUs really report."
promised = max_concurrent_sequences(llama, 0.9 * 80 * GIB, 8192, weights, 2)
print(f"the sheet promises {promised}, ours {max_concurrent_sequences(llama, memory, 8192, weights, 2)}")
for label, mib in {"H100, 80": 81_559, "A100, 80": 81_920, "L4, 24": 23_034, "T4, 16": 15_360}.items():
    print(f"{label + ' GB':12} has {mib * MIB / 1e9:5.2f} GB = {mib * MIB / GIB:5.2f} GiB")

# %% [markdown]
# <details><summary>Answer</summary>
#
# It depends on the card. GB = 10⁹ bytes, GiB = 2³⁰, 7.4 % more, and a label does not tell which: the
# T4's 16 are GB, the A100's 80 are GiB, the H100's a little less. Here the difference is five users,
# and a sheet that errs upwards runs out of memory under load. So always write the unit, never "G";
# and ask the device, as below.
# </details>

# %% does="Prints the memory of this machine's GPU, or main memory, in GB and in GiB."
from gqa_lib.measure.environment import ram_bytes

on_gpu = device.type == "cuda"
total = torch.cuda.mem_get_info(device)[1] if on_gpu else ram_bytes() or 0
print(f"this machine's {'GPU' if on_gpu else 'main'} memory: {total / 1e9:.1f} GB = {total / GIB:.1f} GiB")

# %% [markdown]
# ## Against serving engines' own reports
#
# vLLM prints how many tokens its cache holds. Its
# [documentation](https://docs.vllm.ai/en/latest/features/quantization/quantized_kvcache/) reports
# Qwen3-4B on an L4 with 11.47 GiB reserved: 83,488 tokens in bf16, 166,992 in fp8. **How many GiB
# are those tokens by your formula?** (vLLM hands out blocks of 16 tokens.)

# %% does="Turns vLLM's reported token counts into GiB; compare with the 11.47 GiB that were reserved."
c = load_model("Qwen3-4B")
for dtype, b, reported in (("bf16", 2, 83_488), ("fp8", 1, 166_992)):
    per_token = kv_bytes_per_token(c, b)
    print(f"{dtype:4} {per_token:9,.0f} B per token · {reported:7,} tokens = "
          f"{per_token * reported / GIB:.2f} GiB; tokens % 16 = {reported % 16}")

# %% [markdown]
# Another engine, llama.cpp. A user
# [wondered](https://huggingface.co/dranger003/c4ai-command-r-v01-iMat.GGUF/discussions/6) why one
# model took so much more cache than the others at 2,048 tokens. Here are some of the MiB it printed:

# %% does="Compares llama.cpp's printed MiB with the formula for four models; look at the KV heads."
printed = {"Llama-3-8B": 256, "Mixtral-8x7B": 256, "Llama-3-70B": 640, "Command-R-v01": 2560}
for name, mib in printed.items():
    c = load_model(name)
    print(f"{name:13} printed {mib:4} MiB, formula {kv_cache_bytes(c, [2048], 2) / MIB:6.1f} MiB "
          f"({c.num_kv_heads} KV heads)")

# %% [markdown]
# Right to the MiB; and what puzzled the user is in the last column. Where layers are alike the formula
# leaves nothing out. What can go wrong is what you put into it, and what an engine makes of hybrids.

# %% [markdown]
# ### Why is my estimate not what the engine takes?
#
# Because an engine allocates **blocks** of equal size, not tokens. 32 sequences of 8,192 tokens of
# gpt-oss-20b are 6.09 GiB of cache; an estimator that said so was
# [changed](https://github.com/alvarobartt/hf-mem/pull/70) to say 12.00. The library follows vLLM's
# rules and says where the difference comes from (derived, not measured; states are in `ideal`):

# %% does="Splits what an engine reserves into parts for five cases; compare ideal with total."
arms = {
    "Llama-3.1-8B, 1,000 tokens": ("Llama-3.1-8B", 1000, {}),
    "Qwen3.5-27B, 1,000 tokens": ("Qwen3.5-27B", 1000, {}),
    "gpt-oss-20b, 8,192": ("gpt-oss-20b", 8192, {}),
    "the same, windows kept in full": ("gpt-oss-20b", 8192, {"hybrid_manager": False}),
    "DeepSeek-V3, 8,192, 8 GPUs": ("DeepSeek-V3", 8192, {"tensor_parallel": 8}),
}
parts = ("ideal", "rounding", "window", "page", "replica", "total")
print(f"{'GiB, 32 sequences in bf16':30}", *(f"{part:>8}" for part in parts))
for label, (name, tokens, how) in arms.items():
    r = cost.reserved_bytes(load_model(name), [tokens] * 32, 2, **how)
    print(f"{label:30}", *(f"{getattr(r, part + '_bytes') / GIB:8.2f}" for part in parts))

# %% [markdown]
# | part | why it is taken |
# |---|---|
# | `rounding` | the last block of a sequence is not full |
# | `window` | while a prompt is read, windowed layers also hold the step being read; with some settings they keep every token, which makes the 12.00 |
# | `page` | where layers differ, all blocks are made as large as the largest: in Qwen3.5, a state |
# | `replica` | each of 8 GPUs holds MLA's latent whole: it cannot be divided by heads |
#
# Your formula says what must be kept; what an engine reserves for it is a second question. When you
# plan capacity, ask both. Lesson 11 builds the blocks.

# %% [markdown]
# ## Do not believe the config
#
# A model on Hugging Face comes with a `config.json`. These keys matter, and each has misled
# someone:
#
# | key | note |
# |---|---|
# | `num_attention_heads`, `hidden_size` | query heads, `d_model` |
# | `num_key_value_heads` | KV heads; Falcon writes `num_kv_heads`. Neither there, or null: MHA |
# | `head_dim` | absent or null: `hidden_size // num_attention_heads` |
# | `multi_query`, `new_decoder_architecture` | first on, second off or absent: **one** KV head, whatever the number says |

# %% does="Writes down three config files as dictionaries; note which keys each has or lacks."
files = {
    "Qwen3-0.6B": {"model_type": "qwen3", "num_hidden_layers": 28, "hidden_size": 1024,
                   "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128},
    "Pythia-70m": {"model_type": "gpt_neox", "num_hidden_layers": 6, "hidden_size": 512,
                   "num_attention_heads": 8},
    "Falcon-7B": {"model_type": "falcon", "num_hidden_layers": 32, "hidden_size": 4544,
                  "num_attention_heads": 71, "num_kv_heads": 71, "multi_query": True,
                  "new_decoder_architecture": False},
}

# %% [markdown]
# Falcon-7B has one KV head. Some files of it and its descendants say 71 all the same, and the model
# ignores that: the [code](https://github.com/huggingface/optimum/pull/1343) takes `num_kv_heads` only
# if `new_decoder_architecture` is on or `multi_query` off. Anyone who believes the file is 71 times
# off.

# %% [markdown]
# ## Exercise 5 · `read_kv_shape`
#
# *10 minutes · difficulty 3 of 5*
#
# Take a parsed config.json, a dictionary, and return `(num_kv_heads, head_dim)`, two whole numbers.
# JSON's null arrives as `None`, with the key there: `hf.get(key, default)` then gives `None`.

# %% nbgrader={"grade": false, "grade_id": "read_kv_shape", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here the reader that returns KV heads and head_dim of a parsed config.json."
def read_kv_shape(hf_config):
    """Return (num_kv_heads, head_dim) of the model a parsed Hugging Face config describes."""
    ### BEGIN SOLUTION
    num_heads = hf_config["num_attention_heads"]
    head_dim = hf_config.get("head_dim") or hf_config["hidden_size"] // num_heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        return 1, head_dim
    stated = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads")
    return stated or num_heads, head_dim
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "read_kv_shape-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks your reader on absent keys, null values and the flags of the Falcon family."
check("read_kv_shape", read_kv_shape)
### BEGIN HIDDEN TESTS
check("read_kv_shape", read_kv_shape, seed=None, cases=[
    *({"kind": kind, "Hq": 30, "Hkv": 6, "D": 17, "d_model": 480} for kind in
      ("explicit", "derived", "no-kv", "neither", "null-kv", "null-dim", "falcon", "falcon-old",
       "falcon-new", "falcon-mha")),
    *({"draw": n} for n in range(1, 40)),
])
### END HIDDEN TESTS

# %% [markdown] hints="read_kv_shape"
# <details><summary>Hint: one question at a time</summary>
#
# First the flags: they overrule everything. Then the two names for the number. Then the default,
# which is the number of query heads. `head_dim` is independent of all that.
# </details>
# <details><summary>If it is wrong for one Falcon and right for another</summary>
#
# `multi_query` is on in both. Only with `new_decoder_architecture` off (or absent) does it mean one
# KV head.
# </details>
# <details><summary>A worked step</summary>
#
# `hf_config.get("head_dim") or hf_config["hidden_size"] // num_heads`: for an absent key and for
# null, `get` gives None, and `or` goes on to what follows.
# </details>

# %% [markdown]
# The library's reader knows more families' habits. On these three it must agree with yours:

# %% does="Prints your reader's answer next to the library's for three files; they must agree."
from gqa_lib.configs import from_hf_config

for name, hf in files.items():
    c = from_hf_config(hf)
    print(f"{name:11} yours {read_kv_shape(hf)}, library {(c.num_kv_heads, c.head_dim)}")

# %% [markdown]
# ### Spot the bug
#
# A [post on Llama 3.1](https://huggingface.co/blog/llama31) gave these sizes of 16-bit caches at
# "128k tokens", and a reader [could not work them
# out](https://github.com/huggingface/blog/issues/2345). One bug is in the units of all three, one in
# a single model. Find both.

# %% does="Compares a blog's listed cache sizes with yours in GB and in GiB; find two errors."
page = {"Llama-3.1-8B": 15.62, "Llama-3.3-70B": 39.06, "Llama-3.1-405B": 123.05}
for name, listed in page.items():  # the page says 3.1-70B, which has the shape of 3.3's
    nbytes = kv_cache_bytes(load_model(name), [128_000], 2)
    print(f"{name:14} listed {listed:6} GB; yours {nbytes / 1e9:5.2f} GB or {nbytes / GIB:5.2f} GiB")

# %% [markdown]
# <details><summary>Answer</summary>
#
# "GB" are GiB, and "k" is 1,000. And the 405B is listed at exactly twice the truth, which fits 16 KV
# heads where there are 8. Others met that number too
# ([litgpt](https://github.com/Lightning-AI/litgpt/issues/1942)), and an upload that had it was
# [corrected](https://github.com/vllm-project/vllm/issues/6689). Meta also shipped the model cut for
# 16 devices, with every KV head in it twice.
# </details>

# %% [markdown]
# ## Exercise 6 · `kv_heads_in_weights`
#
# *10 minutes · difficulty 3 of 5*
#
# When files disagree, ask the weights. `k_proj.weight` is (num_kv_heads · head_dim, d_model): head
# after head, `head_dim` rows each. Return the number of **different** heads: neighbours that are
# equal throughout are one head, copied for sharding.

# %% nbgrader={"grade": false, "grade_id": "kv_heads_in_weights", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here how many different KV heads a key projection's weight holds, copies not counted."
def kv_heads_in_weights(k_proj_weight, head_dim):
    """Return how many KV heads the weight holds; equal neighbours are copies of one head."""
    ### BEGIN SOLUTION
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])  # (heads, D, d_model)
    is_new = (heads[1:] != heads[:-1]).flatten(1).any(dim=1)
    return 1 + int(is_new.sum())
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "kv_heads_in_weights-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks your count on copied heads and on heads that agree only in part."
check("kv_heads_in_weights", kv_heads_in_weights)
### BEGIN HIDDEN TESTS
check("kv_heads_in_weights", kv_heads_in_weights, seed=None, cases=[
    {"heads": 7, "copies": 3, "D": 4, "d_model": 22},
    *({"heads": 5, "copies": 2, "D": 3, "d_model": 11, "alike": a} for a in ("first", "last", "order", "one", "bit")),
    {"heads": 4, "copies": (3, 1, 1, 2), "D": 5, "d_model": 6, "alike": "bit", "dtype": "float64"},
    *({"draw": n} for n in range(1, 20)),
])
### END HIDDEN TESTS

# %% [markdown] hints="kv_heads_in_weights"
# <details><summary>Hint: make the heads visible</summary>
#
# `reshape(-1, head_dim, d_model)` cuts the rows into heads. Then compare each with the one before.
# </details>
# <details><summary>If it is wrong for heads that have a row in common</summary>
#
# Two heads are the same only when all their `head_dim` rows are. One row, a sum or a norm may agree
# by chance or by design.
# </details>
# <details><summary>A worked step</summary>
#
# `torch.equal(a, b)` compares two heads. Start at 1 and add 1 for each neighbour that differs from
# the one before it.
# </details>

# %% [markdown]
# Two cases, scaled down. For [Llama 2
# 7B](https://github.com/meta-llama/llama-models/issues/246) a registry of Meta's said 8 KV heads;
# the weights have 32. For the 405B above, files said 16, and the weights hold each of 8 heads twice.

# %% does="Counts heads of rows and different KV heads in two scaled-down weights; compare the numbers."
HEAD_DIM, D_MODEL = 16, 64  # in the real ones 128, and 4,096 or 16,384
like_llama2 = torch.randn(32 * HEAD_DIM, D_MODEL)
eight = torch.randn(8, HEAD_DIM, D_MODEL)
like_405b = eight.repeat_interleave(2, dim=0).flatten(0, 1)
for name, weight in {"like Llama 2 7B": like_llama2, "like the 405B": like_405b}.items():
    print(f"{name:15} {weight.shape[0] // HEAD_DIM:2} heads of rows, "
          f"{kv_heads_in_weights(weight, HEAD_DIM):2} different KV heads")

# %% [markdown]
# ## Your own model
#
# Any `config.json` will do: `from_hf_config("path/to/config.json")`, or the folder it is in, or
# the dictionary itself, as here. It refuses a file with a key about attention or caching that it does
# not know, and names the key, rather than give a wrong number.

# %% does="Reads a config given as a dictionary; compare the cache with and without its window."
mine = from_hf_config({
    "model_type": "mistral", "num_hidden_layers": 32, "hidden_size": 4096,
    "num_attention_heads": 32, "num_key_value_heads": 8, "sliding_window": 4096,
})  # or: from_hf_config("path/to/config.json")
one = kv_cache_bytes(mine, [32_768], 2) / GIB
print(f"{mine.attention_type}, {mine.q_per_kv} query heads per KV head: "
      f"{one:.2f} GiB for 32,768 tokens, {kv_cache_bytes(replace(mine, windows=None), [32_768], 2) / GIB:.2f} without its window")

# %% [markdown]
# ## Real models, side by side
#
# The rule: of each family in the table, the models with the least and the most cache per token.
# Sorted by KiB per token in bf16, most first. "Fit" is how many sequences fit in 40 GiB set aside
# for the cache, windows and states counted, weights not; in parentheses where that is longer than the
# model is made for. Weights at 2 bytes each where the number of parameters was verified.

# %% does="Picks each family's models with the least and the most cache per token; see how many."
def kib_per_token(c):
    """Return KiB of the first token in bf16: no window cuts that one."""
    return kv_cache_bytes(c, [1], 2) / KIB

def counted(c):
    """Return whether all layers are of the kinds that kv_cache_bytes of this lesson counts."""
    return not any(layer.ratio or layer.index_dim for layer in c.kv_layers)

families = {}
for c in filter(counted, all_models()):
    families.setdefault(c.family, []).append(c)
picked = {f(cs, key=kib_per_token).name for cs in families.values() for f in (min, max)}
picked = sorted((c for c in all_models() if c.name in picked), key=kib_per_token, reverse=True)
print(len(picked), "models of", len(families), "families")

# %% does="Defines how the table's cells are filled: sequences that fit, sizes, layers that keep less."
def fit(c, tokens):
    count = cost.max_concurrent_sequences(c, 40 * GIB, tokens, 0, 2)  # the library's
    return f"({count:,})" if c.max_context and tokens > c.max_context else f"{count:,}"

def sizes(c, field):
    return " or ".join(str(n) for n in dict.fromkeys(getattr(one, field) for one in c.kv_layers) if n)

def keeping_less(c):
    kinds = Counter("shared" if one.shares is not None else one.kind for one in c.kv_layers)
    return ", ".join(f"{kinds[k]} {k}" for k in ("window", "chunk", "none", "shared") if kinds[k])

# %% does="Defines the table's columns, one small function for each; nothing is shown yet."
columns = {
    "model": lambda c: c.name,
    "type": lambda c: c.attention_type,
    "layers": lambda c: c.num_layers,
    "query heads": lambda c: c.num_heads,
    "KV heads": lambda c: "latent" if c.attention_type == "MLA" else sizes(c, "num_kv_heads"),
    "key": lambda c: sizes(c, "k_dim"),
    "layers that keep less": keeping_less,
    "KiB / token": lambda c: f"{kib_per_token(c):,.4g}",
    "8k fit": lambda c: fit(c, 8192),
    "128k fit": lambda c: fit(c, 131_072),
    "weights, GB": lambda c: f"{c.weight_bytes / 1e9:,.4g}" if c.weight_bytes else "",
}

# %% does="Shows the table of real models; read KiB per token next to the two fit columns."
from IPython.display import HTML

def line(cells, tag):
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"

body = "".join(line([tell(c) for tell in columns.values()], "td") for c in picked)
HTML("<style>.kv th {position: sticky; top: 0; background: var(--jp-layout-color0, white)}</style>"
     "<div class='kv' tabindex='0' style='max-height: 30em; overflow: auto'><table><caption>KV cache of real models"
     f" in bf16, derived from their configs</caption>{line(columns, 'th')}{body}</table></div>")

# %% [markdown]
# Of each family the one that keeps most:

# %% does="Ranks each family's largest cache per token in a chart; look for unexpected neighbours."
largest = {max(cs, key=kib_per_token).name for cs in families.values()}
kib = {c.name: kib_per_token(c) for c in picked if c.name in largest}
kinds = {c.name: c.attention_type for c in picked if c.name in kib}
most, least = max(kib, key=kib.get), min(kib, key=kib.get)
fig = plots.kv_bytes_ranking(
    kib, kinds, title=f"{most} keeps {kib[most] / kib[least]:.0f} times the bytes per token of {least}")
plots.show(fig, alt=f"KiB of cache per token of {len(kib)} models, most first: " + ", ".join(
    f"{name} {size:,.4g} ({kinds[name]})" for name, size in kib.items()))

# %% [markdown]
# Look for the surprises. SmolLM2's smallest model shares heads and its largest does not; in OLMo 2 it
# is the other way round. Gemma 4 31B, with GQA, is among the MHA models (until its windows count).
# DeepSeek-V3, with 671 billion parameters, keeps less per token than SmolLM3 with 3 billion, and
# Nemotron 3 Ultra, with 550 billion, as little as Qwen2 with half a billion.

# %% [markdown]
# The library's functions are yours plus error messages, compressed layers and indexers. Every model of
# the table without those, for three sets of lengths, each with another size of an element:

# %% does="Compares your functions with the library's on every model both cover, equal to the byte."
from gqa_lib.configs import checkpoints

cases = [(c, lengths, b) for c in all_models() if counted(c)
         for lengths, b in (([1], 2), ([700] * 4, 1), ([100, 5000, 300], 0.5))]
for c, lengths, b in cases:
    held = cost.kv_cache_bytes(c, lengths, b)
    assert kv_cache_bytes(c, lengths, b) == held
    arguments = (c, 16e9 + 3 * held, lengths[-1], 16e9, b)  # a few sequences fit
    assert max_concurrent_sequences(*arguments) == cost.max_concurrent_sequences(*arguments)
for c in standard:
    assert kv_bytes_per_token(c, 2) == cost.kv_bytes_per_token(c, 2)
for weight in (like_llama2, like_405b):
    assert kv_heads_in_weights(weight, HEAD_DIM) == checkpoints.kv_heads_in_weights(weight, HEAD_DIM)
print(f"{len(cases)} caches of {len({c.name for c, _, _ in cases})} models: equal to the byte")

# %% [markdown]
# ## Explore your own
#
# A model of the table or your own config.json, any number of heads, a batch, a device. What it shows
# is *modelled*, with the formulas of this lesson and the next. Where sliders do not run, the second
# cell prints and draws the same.

# %% does="Opens the explorer with sliders for model, heads, batch and device; all figures are modelled."
from gqa_lib.explore import explore, explorer

explorer()

# %% does="Prints and draws what the explorer shows for Llama-3-8B, 8 sequences of 8,192 tokens."
found = explore(llama, batch_size=8, context_length=8192)

# %% [markdown]
# ## What this does not tell you
#
# - Nothing about **speed**: fewer bytes kept means fewer bytes read per step, but a step also reads
#   the weights. That is lesson 06.
# - Nothing about **quality**: bytes do not say why one maker chose 2 KV heads and another 16.
#   Lesson 09 trains models to find out.
# - Capacity here is arithmetic. A server also needs memory for activations, loses some to half-full
#   blocks (lesson 11), and its users' lengths vary (lesson 08).

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - Bytes per token: 2 · layers · KV heads · head_dim · bytes, where layers are alike. Else go layer by
#   layer: heads, key and value sizes, window, sharing are each layer's own.
# - "4 to 8 times" is `q_per_kv`, against the same model as MHA; between models it says nothing.
# - Configs mislead. Read `head_dim`, mind the flags, and ask the weights when files disagree.

# %% [markdown] generated="ending"

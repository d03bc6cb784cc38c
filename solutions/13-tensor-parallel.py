# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# Llama-3.1-8B has 32 query heads and 8 KV heads in each of 32 layers; a token takes 128 KiB of cache. You spread
# the heads over 8 GPUs, and each keeps 16 KiB. **How much does each of 32 GPUs keep? And if the model had 1 KV head,
# whose cache is 16 KiB on a single GPU: how much would each of 8 GPUs keep?**

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports the model table, PyTorch and the course's check, hint and quiz functions; nothing to change."
import os
import time

import torch

from gqa_lib.configs import all_models, load_model
from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# Put your guesses in place of `None`, in KiB per token on each GPU.

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("8 KV heads on 32 GPUs", None)
guess("1 KV head on 8 GPUs", None)

# %% [markdown]
# ## Two ranks, by hand
#
# **Tensor parallelism** spreads every layer over several processes, each with a GPU of its own. The number of such a
# process is its **rank**. Attention is spread by heads. Here 4 query heads share 2 KV heads, on 2 ranks:
#
# | | query heads | they read |
# |---|---|---|
# | rank 0 | 0, 1 | KV head 0 |
# | rank 1 | 2, 3 | KV head 1 |
#
# No query head reads a key of the other rank. So each rank keeps one KV head: half of the cache.

# %% [markdown]
# Only the last product needs all heads: `o_proj` makes one vector of what they put out. But that is a sum over
# heads, and a sum can be made in parts. Let each head put out one number, 1, 2, 3 and 4, and let a row of `o_proj` be
# 10, 20, 30, 40:
#
# | | it adds | and gets |
# |---|---|---|
# | one process | 1·10 + 2·20 + 3·30 + 4·40 | 300 |
# | rank 0 | 1·10 + 2·20 | 50 |
# | rank 1 | 3·30 + 4·40 | 250 |
#
# Rank 0 has the first two *columns* of `o_proj`, rank 1 the others. Then 50 and 250 are added, and both ranks get the sum:
# this is an **all-reduce**.

# %% [markdown]
# Now take 4 ranks, with one query head each:
#
# | | rank 0 | rank 1 | rank 2 | rank 3 |
# |---|---|---|---|---|
# | query head | 0 | 1 | 2 | 3 |
# | it reads KV head | 0 | 0 | 1 | 1 |
#
# A query head compares its query with *whole* keys, so half a KV head is of no use to it. Ranks 0 and 1 each keep a
# copy of KV head 0, and ranks 2 and 3 of KV head 1: **replicated KV heads**. Four ranks, and each keeps as much as each
# of two did.

# %% [markdown]
# ## Exercise 1 · `kv_heads_per_rank`
#
# *5 minutes · difficulty 1 of 5*
#
# How many KV heads does each rank keep? Both numbers are at least 1. If neither is a multiple of the other, ranks
# would keep different amounts: raise a `ValueError` with both numbers in it. Servers refuse this, too.

# %% nbgrader={"grade": false, "grade_id": "kv_heads_per_rank", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write how many KV heads one rank keeps, and raise where the numbers do not fit."
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    """Return how many KV heads each of `tensor_parallel` ranks keeps, a whole number.

    Raises ValueError if neither number is a multiple of the other."""
    ### BEGIN SOLUTION
    fewer, more = sorted((num_kv_heads, tensor_parallel))
    if more % fewer:
        raise ValueError(f"{num_kv_heads} KV heads can be neither divided over {tensor_parallel} ranks nor "
                         "copied equally often to them")
    return max(1, num_kv_heads // tensor_parallel)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "kv_heads_per_rank-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks kv_heads_per_rank with fewer, as many and more ranks than KV heads, and uneven numbers."
check("kv_heads_per_rank", kv_heads_per_rank)
### BEGIN HIDDEN TESTS
check("kv_heads_per_rank", kv_heads_per_rank, seed=None, cases=[
    *({"draw": n} for n in range(1, 13)), {"Hkv": 5, "ranks": 2}, {"Hkv": 9, "ranks": 12}, {"Hkv": 2, "ranks": 5},
])
### END HIDDEN TESTS

# %% [markdown] hints="kv_heads_per_rank"
# <details><summary>Hint: two cases</summary>
#
# With at least as many heads as ranks they are divided. With more ranks than heads each rank keeps one.
# </details>
# <details><summary>If it returns 0, or no error is raised</summary>
#
# `8 // 16` is 0, but no rank can do without a KV head: `max(1, ...)`. And 8 heads on 3 ranks, or 3 heads on 8 ranks,
# leave a remainder: see what `%` says of the larger number and the smaller one.
# </details>
# <details><summary>A worked step</summary>
#
# 8 heads on 2 ranks: 8 // 2 = 4. On 16 ranks: 8 // 16 = 0, so 1, and each head is on two ranks. On 3 ranks: 8 % 3 = 2,
# an error.
# </details>

# %% [markdown]
# ## Where sharing stops
#
# Make the tensors that one rank keeps of a few tokens, and ask them how large they are. Four designs, all with 32
# layers and heads of 128. **At how many ranks will GQA stop getting smaller?**

# %% does="Sets up four designs and measures one rank's keys and values as real tensors, in KiB per token."
RANKS, TOKENS = (1, 2, 4, 8, 16, 32), 16
DESIGNS = {"MHA: 32 KV heads": 32, "GQA: 8 KV heads": 8, "GQA: 2 KV heads": 2, "MQA: 1 KV head": 1}

def kept_kib(num_kv_heads, ranks):
    """KiB per token of one rank's keys and values."""
    shape = 2, 32, kv_heads_per_rank(num_kv_heads, ranks), TOKENS, 128  # K and V, layers, heads, tokens, head_dim
    return torch.empty(shape, dtype=torch.bfloat16).nbytes / TOKENS / 2**10

# %% does="Prints KiB per token on each rank for 1 to 32 ranks, next to your guesses."
kept = {name: {n: kept_kib(kv, n) for n in RANKS} for name, kv in DESIGNS.items()}
print(" " * 16, *(f"{n:5}" for n in RANKS), " ranks")
for name, line in kept.items():
    print(f"{name:16}", *(f"{line[n]:5.0f}" for n in RANKS), " KiB per token on each")
gqa, mqa = kept["GQA: 8 KV heads"], kept["MQA: 1 KV head"]
outcome("8 KV heads on 32 GPUs", gqa[32])
outcome("1 KV head on 8 GPUs", mqa[8])

# %% does="Plots the cache on each rank; look where each line stops falling."
from gqa_lib import plots

plots.use_style()
alike = min(n for n in RANKS if gqa[n] == mqa[n])
fig = plots.cache_per_rank(
    kept, title=f"From {alike} ranks on, 8 KV heads cost each rank as much as 1",
    ylabel="cache on each rank (KiB per token)", note="32 layers, head_dim 128, 16 bits: sizes of real tensors.")
plots.show(fig, alt="KiB per token on each rank: " + "; ".join(
    f"{name} " + ", ".join(f"{kib:.0f} on {n}" for n, kib in line.items()) for name, line in kept.items()))

# %% [markdown]
# Each line falls until there are as many ranks as KV heads. Then it is flat: **a rank never keeps less than one KV head**,
# and all further ranks keep copies. On 32 ranks all four designs keep the same, MHA too: there sharing heads saves
# no byte on any GPU.

# %% [markdown]
# ## What 8 KV heads have to do with 8 GPUs
#
# Follow the lines of 8 KV heads and of one. On one GPU the cache of MQA is 8 times smaller than that of GQA with 8 KV heads. On 8
# GPUs it is as large. That is what the authors of [Llama 2](https://arxiv.org/abs/2307.09288) found (A.2.1, as transcribed):
# on their 8 GPUs the one KV head was copied to each, so MQA performed like GQA with 8, and saved nothing more.
#
# Servers often have 8 GPUs. With 8 KV heads each has one: none is copied, and none is without. It is a reason from
# serving; about quality it says nothing (lesson 09). **How many models in the course's table have 8?**

# %% does="Counts the GQA models by number of KV heads, and says how each number fits 8 GPUs."
counts = {}
for config in all_models():
    in_layers = {layer.num_kv_heads for layer in config.kv_layers if layer.kind != "none"}
    if config.attention_type == "GQA" and len(in_layers) == 1:
        counts.setdefault(config.num_kv_heads, []).append(config.name)
total = sum(map(len, counts.values()))
for kv in sorted(counts):
    try:
        on_8 = f"{kv_heads_per_rank(kv, 8)} on each of 8 GPUs" + (f", {8 // kv} copies of each" if kv < 8 else "")
    except ValueError:
        on_8 = "cannot be spread over 8 GPUs by heads"
    print(f"{kv:3} KV heads: {len(counts[kv]):2} of {total} models, such as {counts[kv][0]:22} {on_8}")

# %% [markdown]
# ## What do 16 GPUs buy?
#
# The cache of each stops shrinking, but the weights go on: each rank has its part of them (only `k_proj` and `v_proj` are
# copied along with their heads, which is little). Llama-3.1-70B has 141 GB of
# weights in 16 bits and 80 layers with 8 KV heads of 128. Say that weights and cache get 72 GB of each GPU. **How many
# times as many tokens fit on 16 GPUs as on 8?**

# %% does="Computes how many tokens of Llama-3.1-70B fit on 4 to 32 GPUs; look at tokens per GPU."
big = load_model("Llama-3.1-70B")
weights = 2 * big.weights.total  # bytes
print(f"{big.name}: {weights / 1e9:.0f} GB of weights")
fits = {}
for n in (4, 8, 16, 32):
    token = 2 * big.num_layers * kv_heads_per_rank(big.num_kv_heads, n) * big.head_dim * 2
    fits[n] = int((72e9 - weights / n) / token)
    print(f"{n:2} GPUs: {token / 2**10:3.0f} KiB per token on each, {fits[n]:9,} tokens fit: {fits[n] / n:7,.0f} per GPU")
print(f"16 instead of 8 GPUs: {fits[16] / fits[8]:.2f} times the tokens for 2 times the GPUs")

# %% [markdown]
# From 4 to 8 GPUs both parts of each GPU shrink, the weights and a token's cache, and there is room for 3 times the tokens.
# From 8 to 16 only the weights make room. Two servers of 8 GPUs, each with the whole model, would hold twice the tokens of
# one.

# %% [markdown]
# ## Exercise 2 · `shard_projections`
#
# *20 minutes · difficulty 3 of 5*
#
# Return the weights of one rank, `(q, k, v, o)`. Weights are as `nn.Linear` stores them, (out, in), and heads lie one after
# the other: `q_proj` is (num_heads · D, d_model), `k_proj` and `v_proj` (num_kv_heads · D, d_model), `o_proj` (d_model,
# num_heads · D).
#
# - Rank r has the r-th part of the query heads, in order; ranks are counted from 0.
# - It has the KV heads that these read, and no others: query head h reads KV head h // q_per_kv.
# - Raise a `ValueError` where `kv_heads_per_rank` does, and where the ranks do not divide the query heads.

# %% nbgrader={"grade": false, "grade_id": "shard_projections", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write which parts of the four projection matrices a given rank needs."
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    """Return (q, k, v, o), the weights that rank `rank` of `tensor_parallel` needs."""
    ### BEGIN SOLUTION
    per_rank = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads cannot be divided over {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k_heads, v_heads = (w.unflatten(0, (num_kv_heads, -1)) for w in (k_proj, v_proj))  # (Hkv, D, d_model)
    k, v = (heads[first : first + per_rank].flatten(0, 1) for heads in (k_heads, v_heads))
    return q_proj.chunk(tensor_parallel, 0)[rank], k, v, o_proj.chunk(tensor_parallel, 1)[rank]
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "shard_projections-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} does="Checks shard_projections for every rank, with divided and with copied KV heads, and refused sizes."
check("shard_projections", shard_projections)
### BEGIN HIDDEN TESTS
check("shard_projections", shard_projections, seed=None, cases=[
    *({"draws": n} for n in range(1, 13)),
    {"H": 24, "Hkv": 4, "D": 3, "d_model": 7, "ranks": 8, "rank": 5, "dtype": "float64"},
    {"H": 24, "Hkv": 8, "D": 2, "d_model": 9, "ranks": 4, "rank": 3},
    {"H": 9, "Hkv": 3, "D": 2, "d_model": 5, "ranks": 2, "rank": 1},
    {"H": 15, "Hkv": 5, "D": 2, "d_model": 5, "ranks": 10, "rank": 1},
    {"H": 144, "Hkv": 12, "D": 1, "d_model": 36, "ranks": 36, "rank": 29},
])
### END HIDDEN TESTS

# %% [markdown] hints="shard_projections"
# <details><summary>Hint: which axis is cut</summary>
#
# Rows of `q_proj`, `k_proj` and `v_proj` make heads, so they are cut along axis 0. Columns of `o_proj` meet heads: axis 1.
# For K and V count in whole heads: `unflatten(0, (num_kv_heads, -1))` gives (num_kv_heads, D, d_model).
# </details>
# <details><summary>If K or V is wrong where there are more ranks than KV heads</summary>
#
# Neighbouring query heads share a KV head, and so do neighbouring ranks: with 2 KV heads on 4 ranks they keep 0, 0, 1, 1.
# The first KV head of rank r is r · num_kv_heads // tensor_parallel.
# </details>
# <details><summary>A worked step</summary>
#
# 12 query heads, 6 KV heads, 3 ranks: rank 1 has query heads 4 to 7, which read KV heads 2 and 3. With 2 KV heads on 4
# ranks, rank 2 has query heads 6 to 8. They read KV head 1: 2 · 2 // 4 = 1.
# </details>

# %% [markdown]
# ## Real processes
#
# Now let them run. `run_ranks` starts so many new Python processes on this machine and calls the function in each;
# `dist.all_reduce` adds a tensor up over all of them. Between GPUs the same call goes through NCCL; here it goes through
# Gloo and this machine's own network. Each process takes its weights with *your* function and computes its heads.

# %% does="Defines one rank's work: take its weights, compute its heads, add the parts up over all ranks."
import torch.distributed as dist

from gqa_lib.attention import grouped_query_attention
from gqa_lib.model.parallel import run_ranks

HEADS, KV_HEADS, HEAD_DIM, D_MODEL = 8, 2, 16, 96

def heads_of(x, q_proj, k_proj, v_proj, o_proj):
    """What the heads of these weights add to the layer's output, and the bytes of their K and V."""
    q, k, v = ((x @ w.mT).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2) for w in (q_proj, k_proj, v_proj))
    return grouped_query_attention(q, k, v).transpose(1, 2).flatten(2) @ o_proj.mT, k.nbytes + v.nbytes

def one_rank(rank, ranks, x, weights):
    mine = shard_projections(*weights, HEADS, KV_HEADS, ranks, rank)
    own, kv_bytes = heads_of(x, *mine)
    added = own.clone()
    dist.all_reduce(added)  # the sum over all ranks, in each of them
    return os.getpid(), own, added, kv_bytes

# %% does="Runs two real processes; compare the summed output and a rank's own part with one process."
torch.manual_seed(0)
x = torch.randn(2, 50, D_MODEL)
q_size, kv_size = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
shapes = (q_size, D_MODEL), (kv_size, D_MODEL), (kv_size, D_MODEL), (D_MODEL, q_size)
layer = [torch.randn(shape) / shape[1] ** 0.5 for shape in shapes]
whole, whole_bytes = heads_of(x, *layer)
two = run_ranks(one_rank, 2, 2, x, layer)
for rank, (pid, own, added, kv_bytes) in enumerate(two):
    print(f"rank {rank}, process {pid}: keeps {kv_bytes:,} of {whole_bytes:,} bytes of K and V; the sum is "
          f"{(added - whole).abs().max():.0e} from one process, its own part alone {(own - whole).abs().max():.1f}")
print(f"this notebook is process {os.getpid()}; outputs go up to {whole.abs().max():.1f}")

# %% [markdown]
# The same output, from two processes of which neither has seen the other's keys. Without the all-reduce each has a part,
# which has the right shape and is wrong. **Now 4 and 8 ranks; the layer has 2 KV heads. What will each keep?**

# %% does="Repeats it with 4 and 8 ranks; look at the bytes of K and V that each keeps."
for n in (4, 8):
    results = run_ranks(one_rank, n, n, x, layer)
    most = max(kv_bytes for *_, kv_bytes in results)
    apart = max((added - whole).abs().max().item() for _, _, added, _ in results)
    print(f"{n} ranks: at most {apart:.0e} from one process; each keeps {most:,} of {whole_bytes:,} bytes of K and V")

# %% [markdown]
# The library does this with a whole model. `shard_model` keeps a rank's part of it, and the usual `generate` and caches
# then work in every rank. The small model that comes with the course has 8 KV heads:

# %% does="Runs the whole small model on 1 and 2 ranks; look at cache bytes and whether tokens agree."
from gqa_lib.model import generate, load
from gqa_lib.model.parallel import shard_model
from gqa_lib.train import small_checkpoint

prompt = torch.tensor([list(b"def mean(values):\n    return ")])

def write(rank, ranks):
    model = load(small_checkpoint(), dtype=torch.float32)
    model = shard_model(model) if ranks > 1 else model
    return generate(model, prompt, 24)[0], model.new_cache(1, 64).nbytes

written = {n: run_ranks(write, n, n) for n in (1, 2)}
for n, results in written.items():
    print(f"{n} rank{'s' * (n > 1)}: {results[0][1]:,} bytes of cache in each; it wrote {bytes(results[0][0])!r}")
print("The same tokens everywhere:", len({tuple(tokens) for results in written.values() for tokens, _ in results}) == 1)

# %% [markdown]
# ### Spot the bug
#
# A server sends caches from machines that read prompts to machines that decode. To lay out the memory it needs the
# number of KV heads in all, and each rank knows its own: `total = kv_heads_per_rank(num_kv_heads, ranks) * ranks`. It was
# tested with 8 KV heads on 2, 4 and 8 ranks. When does it go wrong?

# %% [markdown]
# <details><summary>Answer</summary>
#
# With more ranks than KV heads: then copies are counted. For 2 KV heads on 4 ranks it says 4, keys are written to the
# wrong places, and answers are nonsense. [SGLang had this](https://github.com/sgl-project/sglang/pull/19086). The number of
# KV heads in all is a property of the model: send it along.
# </details>

# %% [markdown]
# ## Exercise 3 · `blocks_of_all_ranks`
#
# *10 minutes · difficulty 2 of 5*
#
# A server cuts the memory that is left into blocks of `block_size` tokens (lesson 11). One block table serves all
# ranks: block 17 of a sequence is block 17 on each of them, where it holds K and V of the rank's own heads, in every layer.
# `free_bytes` is a list with the free bytes of each rank, which rarely are the same. How many blocks can the server give out?
#
# By hand: 2 ranks, 1 layer, 2 KV heads of 4 numbers, blocks of 5 tokens, 2 bytes for each number. Each rank holds one
# head, so a block takes 2 · 1 · 1 · 4 · 5 · 2 = 80 bytes of it. With 1,000 bytes free on one and 900 on the other there
# are 12 and 11 blocks: it can give out 11.

# %% nbgrader={"grade": false, "grade_id": "blocks_of_all_ranks", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write how many blocks a server can give out when ranks have different free memory."
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    """Return how many blocks every rank has room for, a whole number; free_bytes lists the ranks' bytes."""
    ### BEGIN SOLUTION
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    block_bytes = 2 * num_layers * heads * head_dim * block_size * bytes_per_element
    return min(free_bytes) // block_bytes
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "blocks_of_all_ranks-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks blocks_of_all_ranks with uneven memory and with divided and copied KV heads."
check("blocks_of_all_ranks", blocks_of_all_ranks)
### BEGIN HIDDEN TESTS
check("blocks_of_all_ranks", blocks_of_all_ranks, seed=None, cases=[
    *({"draw": n} for n in range(1, 13)),
    {"free": (9_600, 9_599, 12_000, 9_700), "L": 5, "Hkv": 2, "D": 6, "block": 8},
    {"free": (5_000,) * 129 + (4_000,), "L": 1, "Hkv": 2, "D": 3, "block": 4},
])
### END HIDDEN TESTS

# %% [markdown] hints="blocks_of_all_ranks"
# <details><summary>Hint: who decides?</summary>
#
# The rank with the least memory. Every block that is given out must exist on every rank.
# </details>
# <details><summary>If it is right with as many KV heads as ranks, and wrong elsewhere</summary>
#
# A rank's block holds the heads of that rank, `kv_heads_per_rank(num_kv_heads, len(free_bytes))`: not all of them, and
# not a fraction of one.
# </details>
# <details><summary>A worked step</summary>
#
# A block takes 2 (K and V) · layers · the rank's KV heads · head_dim · block_size · bytes_per_element. Divide the smallest
# of `free_bytes` by it, rounded down.
# </details>

# %% [markdown]
# In nano-vllm rank 0 used its own count for all. In [one report](https://github.com/GeeeekExplorer/nano-vllm/pull/275) rank 0
# had room for 2,111 blocks and rank 1 for 2,055. The run ended when rank 1 was given a block that it did not have.

# %% [markdown]
# ## What ranks have to tell each other
#
# What does the sum cost? A layer has two all-reduces, one after attention and one after the feed-forward block, which is
# spread in the same way. Each adds up a vector of d_model numbers for each token. Ranks usually do it in a **ring**.
# By hand, with 2 ranks and 4 numbers in 2 pieces:
#
# | | rank 0 has | rank 1 has | sent by each |
# |---|---|---|---|
# | at first | (1, 2), (3, 4) | (10, 20), (30, 40) | |
# | rank 0 sends its second piece, rank 1 its first | **(11, 22)**, (3, 4) | (10, 20), **(33, 44)** | 2 numbers |
# | each sends the piece that is finished | (11, 22), (33, 44) | (11, 22), (33, 44) | 2 numbers |

# %% [markdown]
# With n ranks there are n pieces and n neighbours in a circle. Going round once adds the pieces up, in n - 1 steps;
# going round again hands the sums out, in n - 1 steps. In each step every rank sends one piece.

# %% [markdown]
# ## Exercise 4 · `bytes_sent_per_token`
#
# *5 minutes · difficulty 2 of 5*
#
# How many bytes does *one* rank send for one token, in all layers together?

# %% nbgrader={"grade": false, "grade_id": "bytes_sent_per_token", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write how many bytes one rank sends for a token, over all layers, in a ring."
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    """Return the bytes that one of `tensor_parallel` ranks sends for one token: two all-reduces in
    each layer, each of d_model numbers, in a ring."""
    ### BEGIN SOLUTION
    all_reduce = 2 * (tensor_parallel - 1) / tensor_parallel * d_model * bytes_per_element
    return 2 * num_layers * all_reduce
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "bytes_sent_per_token-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks bytes_sent_per_token for several numbers of ranks, layers and bytes, one rank included."
check("bytes_sent_per_token", bytes_sent_per_token)
### BEGIN HIDDEN TESTS
check("bytes_sent_per_token", bytes_sent_per_token, seed=None, cases=[
    *({"draw": n} for n in range(1, 9)), {"L": 40, "d_model": 5120, "ranks": 1}, {"L": 9, "d_model": 70, "ranks": 7},
])
### END HIDDEN TESTS

# %% [markdown] hints="bytes_sent_per_token"
# <details><summary>Hint: one all-reduce</summary>
#
# A piece is d_model / n numbers. A rank sends one in each of 2 · (n - 1) steps.
# </details>
# <details><summary>If it is off by a factor of 2</summary>
#
# There are two factors of 2 to lose: two all-reduces in each layer, and two times round in each of them.
# </details>
# <details><summary>A worked step</summary>
#
# 4 ranks, d_model 8, 2 bytes: a piece is 2 numbers, and a rank sends 2 · 3 of them, 12 numbers or 24 bytes. A layer has
# two all-reduces: 48 bytes.
# </details>

# %% [markdown]
# ## Count, then measure
#
# Is it really so much? Linux counts the bytes that go through the machine's own network. Have two ranks add up vectors of 4,096
# numbers, as Llama-3.1-8B has them, for 1 to 1,000 tokens at once. **How many times as long do 1,000 tokens take?**

# %% does="Defines how bytes on the machine's own network are counted and all-reduces timed; prints nothing."
from pathlib import Path

def loopback_bytes():
    """Bytes that this machine has sent to itself; None where the system does not say."""
    if not Path("/proc/net/dev").exists():
        return None
    lines = (line.split() for line in Path("/proc/net/dev").read_text().splitlines())
    return next((int(words[1]) for words in lines if words[0] == "lo:"), None)

def all_reduces(rank, sizes, times):
    """For each size: the median seconds of an all-reduce, and the bytes sent by `times` of them."""
    found = []
    for numbers in sizes:
        vector, seconds = torch.ones(numbers), []
        dist.barrier()
        before = loopback_bytes()
        for _ in range(times):
            start = time.perf_counter()
            dist.all_reduce(vector)
            seconds.append(time.perf_counter() - start)
        dist.barrier()
        found.append((sorted(seconds)[times // 2], before is not None and loopback_bytes() - before))
    return found

# %% does="Times all-reduces for 1 to 1,000 tokens; compare counted with sent bytes, and how times grow."
batches, times = (1, 10, 100, 1000), 20
found = run_ranks(all_reduces, 2, [tokens * 4096 for tokens in batches], times)[0]
for tokens, (seconds, sent) in zip(batches, found):
    counted = 2 * times * bytes_sent_per_token(1, 4096, 2, 4) / 2 * tokens  # 2 ranks, one all-reduce
    print(f"{tokens:5,} tokens: {seconds * 1e6:9,.0f} microseconds; counted {counted / 2**20:6.1f} MiB, sent "
          + (f"{sent / 2**20:6.1f} MiB" if sent else "unknown here"))
slower = found[-1][0] / found[0][0]
print(f"1,000 times the bytes took {slower:,.0f} times as long.", "One token pays for the exchange, hardly for its bytes."
      if slower < 500 else "Here the bytes are most of the time, even for one token.")

# %% [markdown]
# When decoding, few tokens are new in a step. Then it is the *number* of exchanges that costs time, two for each layer, one
# waiting for the other; for a prompt of thousands of tokens it is the bytes. Count both for Llama-3.1-70B on 8
# GPUs. The link of 16 GB/s that needs 20 microseconds for an exchange is an assumption, LLMServingSim's default.

# %% does="Models Llama-3.1-70B's exchanges on 8 GPUs with an assumed link; look at what nothing costs."
from gqa_lib.serving.parallel import Link

link = Link()  # modelled: 16 GB/s and 20 microseconds
fixed = 2 * big.num_layers * link.latency_s
for tokens in (1, 32, 4096):
    seconds = 2 * big.num_layers * link.all_reduce_s(tokens * big.d_model * 2, 8)
    sent_bytes = tokens * bytes_sent_per_token(big.num_layers, big.d_model, 8, 2)
    print(f"{tokens:5,} tokens: each sends {sent_bytes / 1e6:8,.1f} MB; modelled {seconds * 1e3:7,.1f} ms")
print(f"160 exchanges of nothing: {fixed * 1e3:.1f} ms")

# %% [markdown]
# ## Can MQA be split?
#
# "MQA cannot be split," it is said. By heads it cannot: there is one. By *tokens* it can. In lesson 07 several programs each took some keys of one
# sequence, and their outputs were merged by **log-sum-exp**. Let ranks do the same: rank r keeps tokens r, r + n, r + 2n and
# so on, the keys and values of all KV heads. This is a **sequence split** (vLLM calls it
# [decode context parallelism](https://docs.vllm.ai/projects/ascend/en/latest/developer_guide/Design_Documents/context_parallel/)).
#
# Each rank gets the queries of all heads: a query is small. It returns an output over its own keys, and the log of the sum
# of the exponentials of its scores.

# %% [markdown]
# By hand: one head, values of one number. Rank 0 has the output 2.0 and lse = ln 3, rank 1 the output 6.0 and lse = ln 1.
# The softmax over all keys gives rank 0's keys 3 / (3 + 1) of the weight. So the output is 3/4 · 2.0 + 1/4 · 6.0 = 3.0, and
# not 4.0, their mean.

# %% [markdown]
# ## Exercise 5 · `merge_ranks`
#
# *10 minutes · difficulty 3 of 5*
#
# `outs` is (P, ..., D), the outputs of P ranks, and `lses` is (P, ...), natural logarithms, which may be too large for
# `exp`. Return the output over all keys, (..., D), in the dtype of `outs`.
#
# A rank may have no key of a sequence yet: its lse is -inf there, and its output is whatever was in memory, even NaN. It must
# not count. At least one rank has a key.

# %% nbgrader={"grade": false, "grade_id": "merge_ranks", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write the merge of the ranks' outputs by their log-sum-exps, empty ranks included."
def merge_ranks(outs, lses):
    """Return the output over the keys of all ranks, from each rank's output and log-sum-exp."""
    ### BEGIN SOLUTION
    shares = lses.softmax(0).unsqueeze(-1)  # of each rank, adding up to 1
    return torch.where(lses.unsqueeze(-1) > -torch.inf, shares * outs, 0).sum(0)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "merge_ranks-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks merge_ranks with uneven weights, very large lses and ranks that have no keys."
check("merge_ranks", merge_ranks)
### BEGIN HIDDEN TESTS
check("merge_ranks", merge_ranks, seed=None, cases=[
    {"ranks": 4, "shape": (2, 3, 2), "D": 5, "gap": 0.7},
    {"ranks": 3, "shape": (3, 4), "D": 6, "empty": (2,), "dtype": "float64"},
    {"ranks": 6, "shape": (2, 4), "D": 3, "offset": 150.0, "empty": (0, 1)},
    {"ranks": 2, "shape": (5,), "D": 4, "offset": -300.0},
    {"ranks": 4, "shape": (2, 5), "D": 7, "gap": -2.0},
    {"ranks": 3, "shape": (4,), "D": 3, "offset": -30_000.0, "dtype": "float64"},
    {"ranks": 2, "shape": (130, 140), "D": 2},
    {"ranks": 2, "shape": (2, 4), "D": 3, "spread": -400.0, "dtype": "float64"},
])
### END HIDDEN TESTS

# %% [markdown] hints="merge_ranks"
# <details><summary>Hint: you know this function</summary>
#
# Ranks count in proportion to exp(lse). "Exponentials, divided by their sum" is a softmax, over axis 0.
# </details>
# <details><summary>If there is a NaN</summary>
#
# exp(lse) overflows: subtract the largest over the ranks first, as softmax does by itself. Or a rank without keys has NaN
# in its output, and 0 · NaN is NaN: replace it, with `torch.where` or `masked_fill`, where lse is -inf.
# </details>
# <details><summary>A worked step</summary>
#
# lses (ln 3, ln 1): softmax gives (3/4, 1/4). Times the outputs, added up over axis 0. The shares need one more axis for D:
# `unsqueeze(-1)`.
# </details>

# %% [markdown]
# ## One KV head on several processes
#
# MQA with 8 query heads and 512 tokens, decoding one: by heads each rank keeps all of K and V. Now by tokens.
# `attend_part` gives a rank's output and its lse; `dist.all_gather` brings those of all ranks to each.

# %% does="Makes an MQA example and defines a rank that attends over every n-th token and merges."
from gqa_lib.model.parallel import attend_part

q, (k, v) = torch.randn(2, 8, 1, 64), torch.randn(2, 2, 1, 512, 64)

def part_of_sequence(rank, ranks, q, k, v):
    k, v = (t[:, :, rank::ranks].contiguous() for t in (k, v))  # the tokens that this rank keeps
    out, lse = attend_part(q, k, v)
    outs, lses = ([torch.empty_like(t) for _ in range(ranks)] for t in (out, lse))
    dist.all_gather(outs, out)
    dist.all_gather(lses, lse)
    return merge_ranks(torch.stack(outs), torch.stack(lses)), k.nbytes + v.nbytes

# %% does="Runs the split by tokens on 2, 4 and 8 ranks; look at the difference and KiB kept."
expected = grouped_query_attention(q, k, v)
by_tokens = {1: (k.nbytes + v.nbytes) / 2**10}
for n in (2, 4, 8):
    results = run_ranks(part_of_sequence, n, n, q, k, v)
    by_tokens[n] = max(kv_bytes for _, kv_bytes in results) / 2**10
    apart = max((out - expected).abs().max().item() for out, _ in results)
    print(f"{n} ranks: at most {apart:.0e} from one process; each keeps {by_tokens[n]:.0f} KiB of K and V")

# %% does="Plots K and V on each rank, by heads and by tokens; only one line should fall."
by_heads = {n: kv_heads_per_rank(1, n) * by_tokens[1] for n in by_tokens}
fig = plots.cache_per_rank(
    {"MQA by heads": by_heads, "MQA by tokens": by_tokens},
    title=f"On 8 ranks each keeps {by_heads[8]:.0f} KiB by heads, {by_tokens[8]:.0f} KiB by tokens",
    ylabel="K and V on each rank (KiB)",
    note="2 sequences of 512 tokens, head_dim 64, float32; by tokens: measured in the processes.")
plots.show(fig, alt="KiB of K and V on each rank, one KV head: by heads "
           + ", ".join(f"{kib:.0f} on {n}" for n, kib in by_heads.items())
           + "; by tokens " + ", ".join(f"{kib:.0f} on {n}" for n, kib in by_tokens.items()))

# %% [markdown]
# **Any cache can be split by tokens**, whatever its number of KV heads, and a latent (lesson 14) as well. What does it
# cost? Each rank sends outputs and lses of *all* query heads, in float32, on top of the all-reduces. Count for
# Llama-3.1-70B, for one token and layer:

# %% does="Prints KiB sent per token and layer: two all-reduces, and what a sequence split adds."
from gqa_lib.cost import sequence_parallel_bytes, tensor_parallel_bytes

for n in (2, 4, 8, 16):
    heads_kib, tokens_kib = (f(big, n) / 2**10 for f in (tensor_parallel_bytes, sequence_parallel_bytes))
    print(f"{n:2} ranks: the two all-reduces {heads_kib:5.1f} KiB; the sequence split another {tokens_kib:6.1f} KiB")

# %% [markdown]
# So one splits by heads as far as heads go, and only then by tokens. The third way is to split by *requests*: each rank keeps
# some sequences whole, and attention needs no exchange. It needs many requests, while one long sequence still has to fit on
# one rank.

# %% [markdown]
# ### Spot the bug
#
# Each rank computes its output over its own tokens. Then `dist.all_reduce(out)` and `out /= ranks`. Tests with random keys
# and as many tokens on each rank pass with a tolerance of 0.05. What happens with a real model?

# %% [markdown]
# <details><summary>Answer</summary>
#
# That is the mean. With random keys every rank has about the same lse, so the mean is nearly right. In a real model a few
# keys get most of the weight. The rank that holds them counts 1/n instead of nearly 1, and the answer is diluted by ranks
# that saw nothing of interest. Test with scores that differ: multiply q by 10.
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - All processes ran on one machine and shared its cores, so nothing became faster. You saw that results agree, what each
#   process keeps and what is sent. The times are those of Gloo on this machine; between GPUs they are others.
# - Copies of KV heads are no mistake. GLM-4-9B has 2 KV heads, and from 4 GPUs on they are copied; each GPU still keeps
#   only one. You know now what its cache does on more.
# - Whole models are split in other ways, too: by layers, by experts. Weights and exchanges then decide, not KV heads.
# - On which of them a model runs best is to be measured on your GPUs and links.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - By heads each rank keeps max(1, KV heads / ranks) of them: past num_kv_heads ranks the cache of each stops shrinking.
# - Each rank has rows of q, k and v and columns of o; two all-reduces in each layer make the ranks' parts one model.
# - What has too few heads is split by tokens and merged by log-sum-exp. Blocks exist on all ranks or not at all.

# %% [markdown] generated="ending"

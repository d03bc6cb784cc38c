# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# A server does not know how long an answer will be. If the cache of a sequence has to be one piece of
# memory, as in lesson 02, it must set aside a piece for the longest sequence that it allows: 8,192 tokens,
# say. **What share of all that memory holds a token, on a chat service's real requests?**

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch, `copy` and the course's helpers for checks, hints and the quiz."
from copy import copy

import torch

from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# Put your guess in place of `None`, as a share from 0 to 1. It is drawn next to what you measure.

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("memory that holds a token", None)

# %% [markdown]
# ## By hand: twelve slots
#
# A memory has 12 slots, each for the keys and values of one token. Every sequence may grow to 4 tokens, so
# each reserves 4 slots in a row.
#
# | | slots 0 to 3 | 4 to 7 | 8 to 11 |
# |---|---|---|---|
# | three sequences | a a · · | b · · · | c c c c |
# | b ends | a a · · | free | c c c c |
#
# Of 12 slots 7 hold a token at first. A **reserved slot** waits for a token that may never come.

# %% [markdown]
# There is a second loss. When b has ended, 4 slots in a row are free. But suppose two pieces of 3 in different
# places were free instead: that is 6 slots, and a new sequence that needs 4 in a row fits into neither. Memory
# that is free but in pieces too small is lost to **external fragmentation**.
#
# Operating systems met both problems long ago, and answered with pages: memory is given out in small
# **blocks** of one size, when they are needed, and those of one owner may lie anywhere. Then every free block
# fits everybody. What is left is **internal fragmentation**: the empty slots of a block that is not full. In
# blocks of 2, how many slots can a sequence lose to it at most?

# %% [markdown]
# ## Exercise 1 · `fragmentation`
#
# *10 minutes · difficulty 2 of 5*
#
# `lengths` are the tokens that sequences hold now, `reserved` how many tokens each got memory for in
# advance (0 for none). Memory comes in blocks of `block_size` tokens, and a sequence has blocks for its tokens
# or for what was reserved, whichever is more. Return the shares of **all slots together**:
#
# | | slots |
# |---|---|
# | `"used"` | that hold a token |
# | `"reserved"` | of blocks that hold no token |
# | `"internal"` | that are empty, in blocks that hold some tokens |
#
# If there is no slot at all, all three are 0.

# %% nbgrader={"grade": false, "grade_id": "fragmentation", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here what shares of all slots are used, reserved or internal, in blocks of any size."
def fragmentation(lengths, block_size, reserved):
    """Return {"used": ..., "reserved": ..., "internal": ...}, shares of all slots, 0 to 1."""
    ### BEGIN SOLUTION
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "fragmentation-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks your three shares against a reference; read what it says is probably wrong."
check("fragmentation", fragmentation)
### BEGIN HIDDEN TESTS
check("fragmentation", fragmentation, seed=None, cases=[
    *({"draws": n} for n in range(1, 9)), {"lengths": (4, 8), "reserved": (0, 0), "block_size": 4},
    {"lengths": (1, 0, 9), "reserved": (5, 6, 0), "block_size": 3}, {"lengths": (0,), "reserved": (0,), "block_size": 9},
    {"draws": 1, "count": 150},
])
### END HIDDEN TESTS

# %% [markdown] hints="fragmentation"
# <details><summary>Hint: count blocks twice</summary>
#
# For each sequence: how many blocks hold a token, and how many does it have? All else follows from these two
# sums and the sum of the tokens.
# </details>
# <details><summary>If a full block gets another one</summary>
#
# n tokens need n / block_size blocks, rounded up: 8 tokens in blocks of 4 are 2 blocks, not 3. In whole
# numbers, `-(-n // block_size)` rounds up.
# </details>
# <details><summary>A worked step</summary>
#
# Lengths 6 and 11, reserved 20 and 0, blocks of 4: 2 and 3 blocks hold tokens, and there are 5 and 3. Of 32
# slots 17 are used, 12 are reserved, 3 are internal.
# </details>

# %% [markdown]
# ## Real requests
#
# The library has samples of 2,000 consecutive requests to a chat service and 2,000 to a coding assistant, as
# [published by Microsoft](https://github.com/Azure/AzurePublicDataset) (CC-BY 4.0): when they came, and how many
# tokens prompt and answer had.

# %% does="Samples moments of real requests and prints tokens held now and at the end; compare chat and code."
from gqa_lib.serving.traffic import sample

def moments(kind):
    """(tokens now, tokens at its end) of a request, at moments spread over all decode steps."""
    trace = sample(f"azure-{kind}-2023")
    requests = zip(trace.prompt_tokens.tolist(), trace.output_tokens.tolist())
    every = [(p + done, p + o) for p, o in requests for done in range(1, o + 1)]
    return list(zip(*every[:: len(every) // 10_000]))

for kind in ("conv", "code"):
    now, end = moments(kind)
    print(f"{kind}: {len(now):,} moments, {sum(now) / len(now):,.0f} tokens held on average, "
          f"{sum(end) / len(end):,.0f} at the end, {max(end):,} at most")

# %% [markdown]
# A request that writes for longer is in memory for longer, so it counts at more moments. Now three ways to
# reserve: the longest that is allowed; the next power of two of the length that it will have; and exactly that
# length. The last two need to know the future. (The [vLLM paper](https://arxiv.org/abs/2309.06180) compares
# with three ways like these.) The fourth way reserves nothing and takes blocks of 16. (A server that allows
# 8,192 tokens would refuse the few requests that are longer.)

# %% does="Computes your three shares for four ways to hand out memory, for both kinds of requests."
LONGEST = 8192

def four_ways(kind):
    now, end = moments(kind)
    return {
        f"{kind}: the longest, {LONGEST:,}": fragmentation(now, 1, [LONGEST] * len(now)),
        f"{kind}: power of two": fragmentation(now, 1, [2 ** (n - 1).bit_length() for n in end]),
        f"{kind}: exactly its end": fragmentation(now, 1, end),
        f"{kind}: blocks of 16": fragmentation(now, 16, [0] * len(now)),
    }

shares = four_ways("conv") | four_ways("code")

# %% does="Draws the shares with your guess; look at how much of each bar holds tokens."
from gqa_lib import plots

plots.use_style()
longest, *_, paged = [one["used"] for name, one in shares.items() if name.startswith("conv")]
fig = plots.memory_shares(
    shares, guess=guessed("memory that holds a token"),
    title=f"Reserving the longest, the chat service uses {100 * longest:.0f} % of its memory; "
          f"in blocks of 16 it uses {100 * paged:.1f} %")
said = [f"{name} {100 * one['used']:.1f} % used, {100 * one['internal']:.1f} % internal"
        for name, one in shares.items()]
plots.show(fig, alt="Shares of memory that hold a token: " + "; ".join(said))
outcome("memory that holds a token", longest)

# %% [markdown]
# Even a server that knows the length exactly has slots that wait for most of an answer's time. In the paper, servers
# before vLLM kept tokens in 20.4 to 38.2 % of their cache memory; there, external fragmentation came on top.
#
# What is it worth? More sequences in the same memory, and the factor has nothing to do with KV heads. **So what
# do blocks and GQA save together?** Llama-3-8B in bf16, on 80 GiB:

# %% does="Counts Llama-3-8B sequences that fit on 80 GiB, for 32 and 8 KV heads, reserved and in blocks."
from dataclasses import replace

from gqa_lib.configs import load_model
from gqa_lib.cost import kv_bytes_per_token

llama, (now, _) = load_model("Llama-3-8B"), moments("conv")
free_bytes = 80 * 2**30 - llama.weight_bytes
for kv_heads in (32, 8):
    token = kv_bytes_per_token(replace(llama, num_kv_heads=kv_heads), 2)
    held = sum(-(-n // 16) * 16 for n in now) / len(now)
    fit = [free_bytes / token / slots for slots in (LONGEST, held)]
    print(f"{kv_heads:2} KV heads, {token / 1024:.0f} KiB per token: {fit[0]:4.0f} sequences "
          f"with {LONGEST:,} slots each, {fit[1]:5.0f} in blocks of 16")

# %% [markdown]
# The savings multiply, because they act on different factors: fewer KV heads make each token smaller, blocks
# leave fewer slots empty. Neither does the other's work. (Weights of the model with 32 KV heads would be
# somewhat larger; that is left out. And a memory that is full on average overflows about half of the time: more
# below.)

# %% [markdown]
# ## How large a block?
#
# A last block is somewhere between one token and full. If every filling is as likely as any other, a sequence
# loses (block_size - 1) / 2 slots on average. **Does that predict the real ones?**

# %% does="Compares predicted and measured loss for five block sizes; look at the table entries, too."
(now, _), print_row = moments("conv"), "{:>10} {:>10} {:>10} {:>15}".format
mean = sum(now) / len(now)
print(print_row("block size", "predicted", "measured", "table entries"))
for size in (1, 4, 16, 64, 256):
    lost = fragmentation(now, size, [0] * len(now))["internal"]
    half = (size - 1) / 2
    print(print_row(size, f"{100 * half / (mean + half):.2f} %", f"{100 * lost:.2f} %", f"{mean / size:.0f}"))

# %% [markdown]
# Why not blocks of 1, then? Each block is an entry in a table that a kernel has to follow, and reading is faster
# when tokens lie next to each other. vLLM chose 16: with its paper's long requests 16 to 128 did well, with
# its short ones large blocks did worse. For Llama-3-8B the loss is at most 15 slots of 128 KiB, 1.9 MiB for a
# sequence.

# %% [markdown]
# ## By hand: six tokens in blocks of two
#
# A sequence of 6 tokens in a memory of 8 blocks. It came to have blocks 5, 0 and 3, in this order. That list is
# its **block table**:
#
# | position | 0 | 1 | 2 | 3 | 4 | 5 |
# |---|---|---|---|---|---|---|
# | block | 5 | 5 | 0 | 0 | 3 | 3 |
# | slot in it | 0 | 1 | 0 | 1 | 0 | 1 |
#
# Position p is in block `table[p // 2]`, slot `p % 2`. Where would positions 6 and 7 go? To a block that the
# table does not list yet: one must be allocated, whichever is free.

# %% [markdown]
# ## Exercise 2 · `BlockAllocator`
#
# *15 minutes · difficulty 2 of 5*
#
# Who decides which block is free? An allocator, which knows blocks by number alone. Later, sequences that begin
# alike will share blocks, so it counts how many refer to each.
#
# | | |
# |---|---|
# | `num_free` | how many blocks nobody refers to (a property) |
# | `allocate()` | the number of any of these; it then has one reference |
# | `references(block)` | how many refer to a block in use |
# | `share(block)` | one reference more |
# | `free(block)` | one fewer; without any, the block may be allocated again |
#
# `ValueError`, and nothing changes: if no block is free (its message says how many blocks there are), or if the
# block to `share` or `free` is free already or does not exist, negative numbers too (its message says the
# block's number). In a check's messages `free 0` frees the block that was allocated first, `share 1` shares the
# second, whatever their numbers; `free #9` means block number 9.

# %% nbgrader={"grade": false, "grade_id": "BlockAllocator", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here the allocator: which blocks are free, and how many references the others have."
class BlockAllocator:
    """Which of num_blocks blocks are free, and how many references each of the others has."""
    def __init__(self, num_blocks):
        ### BEGIN SOLUTION
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))
        ### END SOLUTION

    @property
    def num_free(self):
        ### BEGIN SOLUTION
        return len(self.unused)
        ### END SOLUTION
    def references(self, block):
        ### BEGIN SOLUTION
        return self.counts[block]
        ### END SOLUTION
    def allocate(self):
        ### BEGIN SOLUTION
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block
        ### END SOLUTION

    def share(self, block):
        ### BEGIN SOLUTION
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1
        ### END SOLUTION

    def free(self, block):
        ### BEGIN SOLUTION
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "BlockAllocator-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks allocating, sharing and freeing, and that every misuse raises an error and changes nothing."
check("BlockAllocator", BlockAllocator)
### BEGIN HIDDEN TESTS
check("BlockAllocator", BlockAllocator, seed=None, cases=[
    *({"draws": n} for n in range(1, 21)), {"num_blocks": 1, "steps": "allocate, share 0, allocate, free 0, free 0, free 0"},
])
### END HIDDEN TESTS

# %% [markdown] hints="BlockAllocator"
# <details><summary>Hint: what it has to remember</summary>
#
# The free numbers, as a list, and the references of the others. `list.pop` and `list.append` take and give back
# at the end: nobody minds which block comes.
# </details>
# <details><summary>If a block is handed out twice</summary>
#
# Either it was put back while somebody still referred to it, or it was put back twice. It goes to the list only
# when its last reference goes.
# </details>
# <details><summary>A worked step</summary>
#
# `free`: raise if the block has no reference; take one off; if none is left, append the number to the free ones.
# With a dictionary of references, `block not in counts` covers numbers that do not exist as well: in a list
# `counts[-1]` is the last block's.
# </details>

# %% [markdown]
# ### Spot the bug
#
# An allocator without the check in `free`. A request is cancelled at the very moment it ends, and both the
# cancelling and the ending give its block back. What happens to the next two sequences?

# %% does="Frees one block twice without a check; look at which numbers the next two sequences get."
free_blocks, block = [0, 1], 2
for reason in ("ended", "cancelled"):
    free_blocks.append(block)
    print(f"block {block} is given back: {reason}")
first, second = free_blocks.pop(), free_blocks.pop()
print(f"the next two sequences get blocks {first} and {second}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# They share a block without knowing, and overwrite each other's keys. Here nothing crashes: both answers go
# wrong, perhaps with words of the other. An error at the second `free` names the culprit at once. (A vLLM
# plug-in [added a guard against it](https://github.com/ModelEngine-Group/unified-cache-management/pull/1053):
# with sliding windows a block might be given back twice.)
# </details>

# %% [markdown]
# ## Exercise 3 · `PagedKVCache`
#
# *25 minutes · difficulty 3 of 5*
#
# The cache of lesson 02 for **one** sequence, in blocks of a memory that others use, too. `__init__` and `another`
# are given: the second returns an empty sequence in the same memory. Write `append` and `reset`.
#
# | | |
# |---|---|
# | `append(k, v)` | takes (1, Hkv, T, D), returns `k_all, v_all`, each (1, Hkv, length, D) |
# | `blocks` | the block table; a block is taken when its first token comes, not before |
# | too few blocks | `ValueError` with both numbers: blocks needed, blocks free; nothing changes |
# | `reset()` | gives all blocks back and forgets all tokens |

# %% nbgrader={"grade": false, "grade_id": "PagedKVCache", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here `append` and `reset` of a cache whose tokens lie in blocks of a shared memory."
class PagedKVCache:
    """Keys and values of one sequence, in blocks of a memory that it shares with others."""

    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        ### BEGIN SOLUTION
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]
        ### END SOLUTION

    def reset(self):
        ### BEGIN SOLUTION
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "PagedKVCache-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false} does="Checks keys and values returned, blocks taken and given back, and errors when blocks run out."
check("PagedKVCache", PagedKVCache)
### BEGIN HIDDEN TESTS
check("PagedKVCache", PagedKVCache, seed=None, cases=[
    *({"draws": n} for n in range(1, 13)),
    {"num_blocks": 3, "block_size": 140, "steps": "a.append(150); a.append(1); a.append(140)"},
])
### END HIDDEN TESTS

# %% [markdown] hints="PagedKVCache"
# <details><summary>Hint: three steps of append</summary>
#
# Take the blocks that are missing, or raise. Write each new token where the table says. Gather all tokens in
# the order of the table: `memory[self.blocks]` is a copy of the sequence's blocks in that order.
# </details>
# <details><summary>If the shape is right and tokens are mixed up</summary>
#
# `memory[self.blocks]` is (blocks, Hkv, block_size, D). Blocks and slots must be next to each other before they
# are joined: exchange axes 0 and 1, flatten axes 1 and 2, cut off after `length`.
# </details>
# <details><summary>A worked step</summary>
#
# With `end = self.length + k.shape[2]`, `missing = -(-end // size) - len(self.blocks)`: blocks for all tokens,
# minus those that it has. It may be 0. Token number `token` of k has the position `p = self.length + token`:
# `block, slot = self.blocks[p // size], p % size`, and `self.k[block, :, slot] = k[0, :, token]`.
# </details>

# %% [markdown]
# Watch two sequences take turns. Each token is marked with its own number; a's begin at 1, b's at 11. A 0 in
# the memory is an empty slot.

# %% does="Lets two sequences append in turn; look at their tables and at the memory block by block."
a = PagedKVCache(1, 1, 6, 2, torch.float32, "cpu")
b = a.another()
for sequence, first, count in ((a, 1, 3), (b, 11, 3), (a, 4, 2), (b, 14, 1)):
    new = torch.arange(first, first + count).float().view(1, 1, -1, 1)
    k_all, _ = sequence.append(new, new)
    print(f"{'ab'[sequence is b]}: table {sequence.blocks}, k_all {k_all.flatten().int().tolist()}")
print("the memory, block by block:", a.k.flatten(1).int().tolist())

# %% [markdown]
# **Does attention notice?** It gets the same `k_all` and `v_all` as in lesson 02, so it cannot. Four query heads on
# two KV heads, tokens in pieces, another sequence in between:

# %% does="Compares attention over your paged cache with attention over all tokens; the difference should be rounding."
from gqa_lib.attention import grouped_query_attention

torch.manual_seed(0)
q, k, v = torch.randn(1, 4, 9, 8), torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
cache = PagedKVCache(2, 8, 8, 4, torch.float32, "cpu")
other, outs = cache.another(), []
for start, end in ((0, 5), (5, 6), (6, 9)):
    k_all, v_all = cache.append(k[:, :, start:end], v[:, :, start:end])
    other.append(torch.randn(1, 2, 3, 8), torch.randn(1, 2, 3, 8))
    outs.append(grouped_query_attention(q[:, :, start:end], k_all, v_all))
difference = torch.cat(outs, 2) - grouped_query_attention(q, k, v)
print(f"tables {cache.blocks} and {other.blocks}; largest difference {difference.abs().max():.0e}")

# %% [markdown]
# Your append gathers all tokens at each step: right, but it copies every old token again, like the gluing in
# lesson 02. Servers do not gather. Their attention kernel takes the table and reads the blocks where they are.
# In the vLLM paper that indirection made the kernel 20 to 26 % slower than one for a cache in one piece; more
# sequences per step paid for it. The library's cache takes the table, too: for one new token, with a kernel
# that can, it reads the blocks in place; otherwise it gathers, as yours does:

# %% does="Does the same with the library's paged cache, whose `attend` takes the block table itself."
from gqa_lib import cache as library

theirs = library.PagedKVCache(1, num_kv_heads=2, num_blocks=8, head_dim=8, block_size=4)
outs = []
for start, end in ((0, 5), (5, 6), (6, 9)):
    theirs.append(k[:, :, start:end], v[:, :, start:end])
    outs.append(theirs.attend(q[:, :, start:end]))
difference = torch.cat(outs, 2) - grouped_query_attention(q, k, v)
print(f"the library's: table {theirs.blocks[0]}, largest difference {difference.abs().max():.0e}")

# %% [markdown]
# ### Spot the bug
#
# An engine's allocator did this whenever it was called again for the same sequence ([sparkinfer, issue 110](https://github.com/gittensor-ai-lab/sparkinfer/issues/110), simplified). A prompt of 6 tokens, then one
# by one, in blocks of 4. What does it take too much of?

# %% does="Takes blocks for new tokens alone, a bug; compare the number of blocks with the tokens."
table = []
for new_tokens in (6, 1, 1, 1):
    table += ["a block"] * -(-new_tokens // 4)
    print(f"{new_tokens} more: {len(table)} blocks")

# %% [markdown]
# <details><summary>Answer</summary>
#
# It takes blocks for the *new* tokens, as if the last block were full. Each decoded token costs a whole block:
# 9 tokens have 5 blocks where 3 would do. The values can even come out right, so only counting blocks finds it.
# And a limit checked against the new blocks alone is exceeded sooner or later.
# </details>

# %% [markdown]
# ## Exercise 4 · `fork`, and copying when it is written
#
# *15 minutes · difficulty 4 of 5*
#
# Four answers to one prompt: must its tokens be there four times? `fork()` returns a sequence with the same
# tokens **in the same blocks**; nothing is copied. Later, before one of them writes into a block that another
# has as well, it takes a copy of that block and writes there: **copy-on-write**. Full blocks are never written
# again, so only the last one can need it.
#
# Your class gets two methods. If there are too few blocks, counting one for the copy: `ValueError` with both
# numbers, as before, and nothing changes. An empty sequence can be forked, too. (`super().append(k, v)` is the
# append from above.)

# %% nbgrader={"grade": false, "grade_id": "ForkableKVCache", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Write here `fork`, and an `append` that copies a shared last block before it writes."
class ForkableKVCache(PagedKVCache):
    """A paged cache that can be continued in several ways."""

    def fork(self):
        ### BEGIN SOLUTION
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new
        ### END SOLUTION

    def append(self, k, v):
        ### BEGIN SOLUTION
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "ForkableKVCache-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks that forks stay independent, copy only what they must, and change nothing when blocks are missing."
check("ForkableKVCache", ForkableKVCache)
### BEGIN HIDDEN TESTS
check("ForkableKVCache", ForkableKVCache, seed=None, cases=[
    *({"draws": n} for n in range(1, 19)),
    {"num_blocks": 150, "block_size": 2, "steps": "a.append(141); b = a.fork(); b.append(150)"},
])
### END HIDDEN TESTS

# %% [markdown] hints="ForkableKVCache"
# <details><summary>Hint: who may write?</summary>
#
# A sequence may write into its last block if that has one reference. A new block has one; `fork` adds one to every
# block of the table, which the fork gets as a list of its own.
# </details>
# <details><summary>If the other sequence changes, or too many blocks are taken</summary>
#
# Copy before you call `super().append`, and only if the last block is both shared *and* not full (`self.length
# % size`). You no longer refer to the block that you copied from: `free` it.
# </details>
# <details><summary>A worked step</summary>
#
# `own = self.allocator.allocate()`, then `self.k[own] = self.k[shared]`, the same for `v`, free `shared`, and put
# `own` into the table's last place. Before all that: is there a block for the copy *and* for what the append
# will need?
# </details>

# %% [markdown]
# Six tokens in blocks of 4, then two ways on. **Which blocks will the tables have in common?**

# %% does="Forks a sequence of six tokens and appends to both; look at which blocks the tables share."
a = ForkableKVCache(1, 1, 8, 4, torch.float32, "cpu")
new = torch.arange(8.0).view(1, 1, -1, 1)
a.append(new[:, :, :6], new[:, :, :6])
b = a.fork()
print("after the fork:       ", a.blocks, b.blocks)
b.append(-new[:, :, 6:7], -new[:, :, 6:7])
print("b has gone on:        ", a.blocks, b.blocks)
a.append(new[:, :, 6:], new[:, :, 6:])
print("a too, with no copy:  ", a.blocks, b.blocks)

# %% [markdown]
# Now a prompt of 1,000 tokens with 8 answers of 50 each, in blocks of 16. By hand: 62 full blocks that all
# share, and 8 tokens in a 63rd. Every answer but the last to write copies that one; each fills it up and goes
# on in new blocks. **How many blocks in all, and how many without sharing?**

# %% does="Gives one prompt eight answers by forking; compare the blocks taken with those without sharing."
def take(cache, tokens):
    cache.append(torch.zeros(1, 1, tokens, 1), torch.zeros(1, 1, tokens, 1))

shared = ForkableKVCache(1, 1, 600, 16, torch.float32, "cpu")
take(shared, 1000)
answers = [shared] + [shared.fork() for _ in range(7)]
for answer in answers:
    take(answer, 50)
together, alone = 600 - shared.allocator.num_free, 8 * -(-1050 // 16)
print(f"{together} blocks, {alone} without sharing: {alone / together:.1f} times as many")

# %% [markdown]
# ## Prompts that begin alike
#
# Requests of different users often begin with the same system prompt. Their *full* blocks can be shared as
# well, if they are found by what they hold; that is **prefix caching**. The library's engine does it. Eight
# requests with 40 tokens in common, one after the other. **What shrinks: the work on prompts, the reading in
# decode steps, or both?**

# %% does="Makes a small language model with a given number of KV heads, and repeatable random prompts."
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel, generate
from gqa_lib.serving import Engine

def model_with(num_kv_heads):
    torch.manual_seed(0)
    return LanguageModel(ModelConfig("toy", 2, 8, num_kv_heads, 16, 128, d_ff=256, vocab_size=200))

def random_tokens(*shape):
    return torch.randint(200, shape, generator=torch.Generator().manual_seed(1)).tolist()

mha = model_with(8)

# %% does="Serves eight prompts that begin alike, without and with sharing; compare prompt tokens computed and bytes read."
prompts = [[*random_tokens(40), n, n + 1, n + 2] for n in range(8)]
for sharing in (False, True):
    engine, steps = Engine(mha, 100, block_size=4, prefix_sharing=sharing), []
    for prompt in prompts:
        engine.add(prompt, 20)
        steps += engine.run()
    read = sum(step.kv_bytes_read for step in steps if step.num_decodes)
    print(f"sharing {sharing!s:5}: {sum(step.prefill_tokens for step in steps):3} prompt tokens computed, "
          f"{read / 2**20:.1f} MiB of keys and values read while decoding")

# %% [markdown]
# Only the prompts' work. A new token attends to shared blocks as to any others, and has to read them.
#
# ### Spot the bug
#
# An engine computes what is not cached of a prompt. One day a prompt comes a second time
# ([nano-vllm #144](https://github.com/GeeeekExplorer/nano-vllm/issues/144)). Blocks of 4, and 8 tokens. What is missing?

# %% does="Shows what is left to compute of a prompt whose blocks are all found; look at the list."
prompt, cached = list(range(8)), 8  # all of its two blocks were found
to_compute = prompt[cached:]
print(f"tokens to run through the model: {to_compute}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Nothing is run, so there are no logits to choose the next token by; the kernel got a length of 0 and failed.
# It happens only if the prompt's length is a multiple of the block size *and* all of it is cached, so tests
# rarely see it. One token at least must be computed again. The library's engine gives up the last block; others
# compute only the last token and write it over itself.
# </details>

# %% [markdown]
# ## When blocks run out
#
# With blocks, nobody has to know how long an answer will be. So a server admits requests that it cannot finish all
# at once. What then? It must take blocks from somebody. vLLM **preempts** a request: its blocks are freed, it
# waits, and when there is memory again its prompt *and all that it had written* are computed once more. (That is
# its default, [says its documentation](https://docs.vllm.ai/en/latest/configuration/optimization.html): nothing is copied elsewhere.)
#
# By hand: 48 blocks of 4 tokens, 16 requests of 8 prompt tokens and 48 new ones. At first each needs 3 blocks,
# two for its prompt and one for its first new token, so all 16 are admitted. At its end each has 55 tokens
# cached, 14 blocks: room for 3.

# %% does="Sets up 16 requests and an engine, and prints how many tokens must be computed at least."
PROMPTS, NEW = random_tokens(16, 8), 48

def serve(model, **how):
    engine = Engine(model, block_size=4, **{"prefix_sharing": False} | how)
    requests = [engine.add(prompt, NEW) for prompt in PROMPTS]
    return requests, list(engine.run())

needed = sum(len(prompt) + NEW - 1 for prompt in PROMPTS)
print(f"{needed} tokens have to be computed, if each is computed once")

# %% [markdown]
# **How many times as many will be computed? And will the tokens that come out be the same?**

# %% does="Keeps what you expect, before you measure it: put a number in place of None."
guess("tokens computed / needed", None)

# %% does="Runs the storm: look at preemptions, work against your guess, and whether the outputs are the same."
requests, storm = serve(mha, num_blocks=48)

def work(steps):
    return sum(step.prefill_tokens + step.num_decodes for step in steps) / needed

preempted = sum(len(step.preempted) for step in storm)
print(f"{preempted} preemptions, at most {max(r.preemptions for r in requests)} of one request")
print(f"{work(storm):.2f} times as many tokens computed")
outcome("tokens computed / needed", work(storm))
same = sum(r.output == generate(mha, [r.prompt], NEW)[0] for r in requests)
print(f"{same} of {len(requests)} requests have the same tokens as alone")

# %% [markdown]
# The last line is the one to test first. Preemption may cost time; it must never change a token. A public engine
# [took a preempted request for one that decodes](https://github.com/GeeeekExplorer/nano-vllm/issues/144) when its
# prompt was computed again, because it had answered before.
#
# Such a run is a **storm**: everybody is admitted, the blocks run out as they grow, and many of those that are
# preempted come back only to be preempted again.

# %% [markdown]
# ## Curing the storm
#
# Four cures. Admit only 3 at a time: as many as fit to their ends. Find blocks again that others have not taken
# yet (prefix caching). Twice the memory. Or fewer KV heads: the *same bytes* are more blocks. **Which of them end it, and which
# is done in the fewest steps?**

# %% does="Serves the same requests in seven ways: limits, sharing, more memory, fewer KV heads."
memory_bytes = 48 * Engine(mha, 48, block_size=4).block_bytes
arms = {
    "48 blocks": (mha, {"num_blocks": 48}),
    "3 at a time": (mha, {"num_blocks": 48, "max_num_seqs": 3}),
    "blocks found again": (mha, {"num_blocks": 48, "prefix_sharing": True}),
    "twice the memory": (mha, {"num_blocks": 96}),
    "4 KV heads": (model_with(4), {"memory_bytes": memory_bytes}),
    "2 KV heads": (model_with(2), {"memory_bytes": memory_bytes}),
    "1 KV head": (model_with(1), {"memory_bytes": memory_bytes}),
}
runs = {name: serve(model, **how) for name, (model, how) in arms.items()}

# %% does="Prints preemptions, tokens computed, steps and the longest pause of each way; compare the columns."
def longest_pause(steps):
    """The most steps that a request waited after it was preempted."""
    left, pauses = {}, [0]
    for step in steps:
        pauses += [step.number - left.pop(one) for one in step.admitted if one in left]
        left |= dict.fromkeys(step.preempted, step.number)
    return max(pauses)

print(f"{'':18} preemptions  tokens computed  steps  longest pause")
for name, (_, steps) in runs.items():
    lost = sum(len(step.preempted) for step in steps)
    print(f"{name:18} {lost:11} {work(steps):15.2f}x {len(steps):6} {longest_pause(steps):8} steps")

# %% does="Draws how many sequences each step computes in three of the runs, with the preemptions marked."
def of(name):
    return [(step.num_seqs, len(step.preempted)) for step in runs[name][1]]

shown = ("48 blocks", "3 at a time", "2 KV heads")
count = {name: len(of(name)) for name in shown}
fig = plots.running_lines(
    {name: of(name) for name in shown},
    title=f"The same work takes {count['48 blocks']} steps in a storm, {count['3 at a time']} with a limit, "
          f"{count['2 KV heads']} with 2 KV heads",
    note="16 requests of 8 + 48 tokens. The model with 2 KV heads has as many bytes for its cache.")
plots.show(fig, alt="Sequences computed in each step: " + "; ".join(
    f"{name} {max(n for n, _ in of(name))} at most, {count[name]} steps, "
    f"{sum(bool(p) for _, p in of(name))} of them with preemptions" for name in shown))

# %% [markdown]
# Was the storm worth ending? Look at both columns, tokens and steps.

# %% does="Weighs tokens against steps for a limit of 3 and for 2 KV heads; read both numbers."
limited, found = (runs[name][1] for name in ("3 at a time", "2 KV heads"))
print(f"A limit of 3: {work(limited):.2f}x the tokens instead of {work(storm):.2f}x, "
      f"and {len(limited)} steps instead of {len(storm)}.")
if len(limited) > len(storm):
    print("It computes nothing twice, but leaves blocks empty: requests are short at first.")
if len(found) < min(len(storm), len(limited)) and work(found) < work(storm):
    print("Fewer KV heads win on both: more sequences fit, so more of them share each step.")

# %% [markdown]
# So a preemption is not a mistake by itself. Which is better depends on what a step costs (lesson 06). Where it
# costs what the weights cost to read, recomputed tokens are nearly free, and the fewer steps the better. Where
# arithmetic decides, every token computed again is work done again. And the user whose answer stops for the
# longest pause may see it otherwise.
#
# vLLM's documentation advises more memory for the cache, fewer sequences or tokens at a time, or more GPUs. A
# model with fewer KV heads is not on that list: it is chosen earlier. To the scheduler, half the KV heads are
# twice the memory: compare the lines "twice the memory" and "4 KV heads" of the table.

# %% [markdown]
# ## What paging does not do
#
# "PagedAttention shrinks the KV cache" is a common sentence. Check it on your own cache: how many bytes do 20
# tokens take in blocks, and how many in one piece?

# %% does="Compares the bytes that 20 tokens take in blocks and in one piece, and the slots set aside."
blocks = ForkableKVCache(8, 128, 10, 16, torch.bfloat16, "cpu")
zeros = torch.zeros(1, 8, 20, 128, dtype=torch.bfloat16)
k_all, v_all = blocks.append(zeros, zeros)
contiguous = 2 * 20 * 8 * 128 * 2
print(f"20 tokens: {k_all.nbytes + v_all.nbytes:,} bytes read, as from one piece: {contiguous:,}")
print(f"set aside: {len(blocks.blocks) * 16} slots, where a piece for {LONGEST:,} tokens has {LONGEST:,}")

# %% [markdown]
# A token in a block takes the bytes that it takes anywhere, and a step reads all of them. Paging saves what was
# set aside and never used. It makes no token smaller, and makes no step read less.

# %% [markdown]
# ## What this does not tell you
#
# - Nothing about **seconds**: blocks and tokens were counted, on a model of two layers. The kernel that follows
#   a table, and its price, is another matter.
# - The moments are of requests that all run. A real server's are those that its scheduler lets in, and their
#   number goes up and down: leave room for that.
# - All 16 requests came at once and were alike. Traffic as it comes, in bursts and of all lengths, is the subject
#   of lesson 08.
# - Layers that differ (windows, states) need tables of their own; lesson 05 showed what that reserves.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - Reserving for the longest leaves most of the cache empty; blocks lose about half a block per sequence.
# - A table says where tokens are, an allocator which blocks are free, and reference counts let sequences share.
# - When blocks run out, work is done twice; fewer KV heads give more blocks in the same bytes.

# %% [markdown] generated="ending"

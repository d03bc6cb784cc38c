# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# A model reads a prompt at once (**prefill**) and then writes one token at a time (**decode**). Each
# new token attends to all the earlier ones. **How much longer does a token take when 2,048 are
# already there than when 256 are?** You will guess it for two programs: one that starts over for each
# token, and one that keeps what it can.

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports torch, nn and the functions for checks, hints and the quiz; run it first."
import torch
from torch import nn

from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# ## What does an old token have to do again?
#
# Three tokens, then a fourth. Each token's key is its vector times the key weights, so two numbers
# here. Work out the last key by hand: $(3 \cdot 1 + 1 \cdot 2,\ 3 \cdot 0 + 1 \cdot 1) = (5, 1)$.

# %% does="Computes the keys of three and of four tokens; see whether the first three change."
x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [3.0, 1.0]])  # (T, d_model)
w_k = torch.tensor([[1.0, 2.0], [0.0, 1.0]])  # (out, in), as nn.Linear stores it
print("keys of 3 tokens:", (x[:3] @ w_k.T).tolist())
print("keys of 4 tokens:", (x @ w_k.T).tolist())

# %% [markdown]
# The first three came out as before. In a deeper layer a token's vector depends on *earlier* tokens
# too, but never on later ones: that is what the causal mask is for. So an old token's key and value
# never change again, in any layer. (Its query has done its work and is never needed again.)

# %% does="Counts the keys made when every step starts over and when they are kept; compare the growth."
for N in (4, 100, 2000):
    rows = sum(n for n in range(1, N + 1))  # step n makes n keys when it starts over
    print(f"{N:5,} tokens: {rows:9,} keys made when every step starts over, {N:5,} when they are kept")

# %% [markdown]
# Kept, they are the **KV cache**. It is right *because* attention is causal: if old tokens could look
# at new ones, their keys would change with every token, in every layer but the first.

# %% [markdown]
# ## Exercise 1 · `KVCache`
#
# *20 minutes · difficulty 3 of 5*
#
# Memory for `max_seq_len` tokens is allocated once, in `__init__`. Each append writes the new
# tokens after the old ones and returns all of them as **slices**, which copy nothing. (A layer may
# have fewer KV heads than query heads; you will meet that in lesson 03.)
#
# | | |
# |---|---|
# | `append(k, v)` | takes (B, Hkv, T, D), returns `k_all, v_all`, each (B, Hkv, length, D) |
# | too many tokens | `ValueError` with both numbers: how many it would hold, `max_seq_len`; nothing changes |
# | `length` | tokens cached so far, an int |
# | `nbytes` | bytes allocated for K and V, whatever the length |
# | `reset()` | forgets all tokens |

# %% nbgrader={"grade": false, "grade_id": "KVCache", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write the cache, with memory allocated once, its size, append and reset."
class KVCache:
    """Keys and values of past tokens, in memory that is allocated once."""

    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        ### BEGIN SOLUTION
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0
        ### END SOLUTION

    @property
    def nbytes(self):
        ### BEGIN SOLUTION
        return self.k.nbytes + self.v.nbytes
        ### END SOLUTION

    def append(self, k, v):
        ### BEGIN SOLUTION
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"the cache would hold {end} tokens, over max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]
        ### END SOLUTION

    def reset(self):
        ### BEGIN SOLUTION
        self.length = 0
        ### END SOLUTION

# %% [markdown]
# The first check looks at what comes back, the second at what it costs: `nbytes`, and whether an
# append leaves the old tokens where they are. A cache that glues tensors together passes only one.

# %% nbgrader={"grade": true, "grade_id": "KVCache-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks what your cache returns after appends, when it is full, and after a reset."
check("KVCache", KVCache)
### BEGIN HIDDEN TESTS
check("KVCache", KVCache, seed=None, cases=[
    *({"sizes": n} for n in range(1, 13)), {"B": 1, "Hkv": 2, "D": 3, "max_seq_len": 340, "steps": (150, 1, 170)},
])
### END HIDDEN TESTS

# %% nbgrader={"grade": true, "grade_id": "KVCache-memory", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks what your cache costs: bytes allocated, and whether old tokens stay in place."
check("KVCache-memory", KVCache)
### BEGIN HIDDEN TESTS
check("KVCache-memory", KVCache, seed=None, cases=[{"sizes": n} for n in range(1, 13)])
### END HIDDEN TESTS

# %% [markdown] hints="KVCache"
# <details><summary>Hint: what does it remember?</summary>
#
# Three things, set in `__init__` on `self`: memory for K of shape (batch_size, num_kv_heads,
# max_seq_len, head_dim), the same for V, and how many slots hold a token. `reset` needs one line.
# </details>
# <details><summary>If tokens are missing, doubled or in the wrong slot</summary>
#
# T new tokens after `length` old ones go into the slots from `length` up to, not including,
# `length + T`. Give the end a name before you write, and change `self.length` last.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# end = self.length + k.shape[2]
# self.k[:, :, self.length : end] = k  # and the same for v
# ```
# Before these lines: raise the `ValueError` if `end` is more than max_seq_len.
# </details>

# %% [markdown] hints="KVCache-memory"
# <details><summary>Hint: what copies, and what does not?</summary>
#
# `torch.cat` makes a new tensor and copies every old token into it. Writing into a slice of memory
# you have copies the new tokens only; returning a slice copies nothing.
# </details>
# <details><summary>If nbytes is off by a factor</summary>
#
# K *and* V; every sequence, head, slot and channel; times the bytes of one element, which is 2 for
# float16 and 4 for float32. Slots without a token count as well: they are taken.
# </details>
# <details><summary>A worked step</summary>
#
# Every tensor knows its size in bytes: `self.k.nbytes + self.v.nbytes`.
# </details>

# %% [markdown]
# Watch it fill. Each token is marked with its own number, so that a mix-up would show at once.

# %% does="Fills your cache with marked tokens; watch the length grow while the bytes stay the same."
tokens = torch.arange(1.0, 6.0).view(1, 1, 5, 1)  # token n holds the number n
cache = KVCache(1, 1, 8, 1, torch.float32, "cpu")
for start, end in ((0, 3), (3, 4), (4, 5)):  # a prompt of three tokens, then one and one
    k_all, _ = cache.append(tokens[:, :, start:end], tokens[:, :, start:end])
    print(f"length {cache.length}, {cache.nbytes} bytes, k_all:", k_all.flatten().tolist())

# %% [markdown]
# ### Spot the bug
#
# In one decoder the first step after a prompt of 9 tokens, in slots 0 to 8, wrote its key into slot 10, not 9
# ([onnxruntime-genai #2354](https://github.com/microsoft/onnxruntime-genai/pull/2354)). Reading and
# writing agreed on that, so nothing crashed. That cache and four other wrong ones hide below: `hunt`
# plays your steps, numbers of new tokens or `"reset"`, on each. Find steps that expose all five.

# %% does="Plays steps on five wrong caches, with room for 8 tokens; write steps that expose the others."
from gqa_lib.learn import hunt

hunt("KVCache", (8, [3]))  # max_seq_len, steps: a prompt of 3 tokens, and no more

# %% [markdown]
# <details><summary>Answer</summary>
#
# Bug 1 is the decoder's. The length counts the new tokens before they are written, so they land behind
# the place where they are looked for: here the prompt goes to slots 3 to 5, and slots 0 to 2 are
# returned. In the decoder one token went one slot too far. Attention reads the hole as a token whose
# key and value are whatever is there (0 here; in a server, perhaps a piece of someone else's text).
# A single append to an empty cache cannot expose what happens to *old* tokens. Append twice, reset and
# append again.
# </details>

# %% [markdown]
# ## Exercise 2 · `cached_attention`
#
# *15 minutes · difficulty 3 of 5*
#
# The attention of lesson 01 with a memory: append k and v of the T new tokens, then let the T
# queries attend to all S tokens in the cache. The new tokens are the *last* T of S: query i sees
# keys up to S - T + i. (`causal_mask` is given. It is made on the CPU: `.to(q.device)` moves it.)
# PyTorch's `scaled_dot_product_attention` does all of this in one call: here its steps are yours to
# write, so the check refuses it. Compare yours with it afterwards.
#
# | | shape |
# |---|---|
# | `q`, `k`, `v` | (B, H, T, D), of the new tokens only |
# | returns | (B, H, T, D), in the dtype of q |

# %% nbgrader={"grade": false, "grade_id": "causal_mask", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Gives you the causal mask of lesson 01, for queries that are the last of the keys."
def causal_mask(num_queries, num_keys):
    """Return the causal mask of lesson 01, True where a query may attend."""
    allowed = torch.ones(num_queries, num_keys, dtype=torch.bool)
    return allowed.tril(diagonal=num_keys - num_queries)

# %% nbgrader={"grade": false, "grade_id": "cached_attention", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write attention of the new tokens over all that the cache then holds."
def cached_attention(q, k, v, cache):
    """Append k, v to the cache and return causal attention of q over all it holds, (B, H, T, D)."""
    ### BEGIN SOLUTION
    k_all, v_all = cache.append(k, v)  # (B, H, S, D)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5  # (B, H, T, S)
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "cached_attention-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks your attention for prompts whole, in pieces and token by token, against attention over all."
check("cached_attention", cached_attention)
### BEGIN HIDDEN TESTS
check("cached_attention", cached_attention, seed=None, cases=[
    {"B": 2, "H": 5, "D": 3, "chunks": (4, 1, 1, 2)},
    {"B": 1, "H": 3, "D": 7, "chunks": (1, 5, 3), "dtype": "float64"},
    {"B": 1, "H": 2, "D": 4, "chunks": (150, 1, 140)},
    {"B": 2, "H": 2, "D": 5, "chunks": (6, 3), "sharp": 1e5, "dtype": "float64"},
    {"B": 1, "H": 3, "D": 3, "chunks": (3, 2), "extreme": True},
    *({"sizes": n} for n in range(1, 9)),
])
### END HIDDEN TESTS

# %% [markdown] hints="cached_attention"
# <details><summary>Hint: two sets of keys</summary>
#
# `k` is the new tokens' keys; `cache.append(k, v)` returns those of all tokens. Only the second
# belongs in the scores. After that line the code of lesson 01 does the rest.
# </details>
# <details><summary>If only the first call is right</summary>
#
# In the first call T equals S and every mask is square. Later T is smaller, and the mask needs both
# numbers: as many rows as `q` has tokens, as many columns as `k_all` has.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# k_all, v_all = cache.append(k, v)
# mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
# ```
# </details>

# %% [markdown]
# So a prompt may come at once, in pieces (**chunked prefill**, as servers do with long prompts), or
# token by token. The check compared each of these with attention over the whole sequence, computed
# in float64.

# %% [markdown]
# ### Spot the bug
#
# PyTorch's own attention has a switch for the causal mask. Five tokens are cached and the newest one
# decodes. To see which of them have a say, change the value of each in turn and watch the output.

# %% does="Changes each cached value in turn and prints which tokens count, with PyTorch's causal switch on and off."
from torch.nn.functional import scaled_dot_product_attention as sdpa

def who_has_a_say(**options):
    q, k, v = torch.randn(1, 1, 1, 4), torch.randn(1, 1, 5, 4), torch.randn(1, 1, 5, 4)
    before, said = sdpa(q, k, v, **options), []
    for token in range(5):
        changed = v.clone()
        changed[:, :, token] += 1
        said.append(not torch.equal(sdpa(q, k, changed, **options), before))
    return said

print("is_causal=True: ", who_has_a_say(is_causal=True))
print("is_causal=False:", who_has_a_say())

# %% [markdown]
# <details><summary>Answer</summary>
#
# `is_causal=True` aligns its mask to the top left ([PyTorch's
# documentation](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html)
# shows `tril(diagonal=0)`): query 0 sees key 0 and nothing else, whatever token it is. A single
# newest token may see everything, so it needs no mask at all. A whole prompt into an empty cache is
# square, and there the switch is right: tests of prefill alone do not find this.
# </details>

# %% [markdown]
# ## Where is a token?
#
# One thing is missing. Nothing so far depends on the *order* of the earlier tokens. **RoPE** ([Su et
# al. 2021](https://arxiv.org/abs/2104.09864)) turns queries and keys by an angle that grows with
# their position. With head_dim 2 there is one pair of numbers, and it turns by 1 radian per token:

# %% does="Turns one pair by 1 radian per position; watch how the two numbers move round the circle."
key = torch.tensor([1.0, 0.0])
for position in range(4):
    angle = torch.tensor(float(position))
    turned = torch.stack([key[0] * angle.cos() - key[1] * angle.sin(),
                          key[1] * angle.cos() + key[0] * angle.sin()])
    print(f"position {position}:", [round(n, 2) for n in turned.tolist()])

# %% [markdown]
# A head has D/2 such pairs, each slower than the one before, so that some tell neighbours apart and
# others tell far from near. Pair $i$ is channels $i$ and $i + D/2$, and at position $p$ it turns by
#
# $$p \cdot 10000^{-2i/D}, \qquad i = 0, \dots, D/2 - 1$$

# %% [markdown]
# ## Exercise 3 · `rotate`
#
# *15 minutes · difficulty 3 of 5*
#
# Turn the pairs of x, which is (..., T, D) with D even; `positions` (T,) says where each token is.
# The first half of the channels holds the first number of each pair, the second half the second.
# Compute angles in float32 at least, and return x's dtype. Do not change x.

# %% nbgrader={"grade": false, "grade_id": "rotate", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Your exercise: write the rotation of all pairs by angles that follow from the positions."
def rotate(x, positions):
    """Return x (..., T, D) with the pair (i, i + D/2) turned by position * 10000^(-2i/D)."""
    ### BEGIN SOLUTION
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)  # (T, D/2)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)  # 2 x (..., T, D/2)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "rotate-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} does="Checks the pairs, direction, speeds and positions of your rotation, also in bfloat16."
check("rotate", rotate)
### BEGIN HIDDEN TESTS
check("rotate", rotate, seed=None, cases=[
    {"shape": (1, 4, 5, 14)}, {"shape": (3, 6, 4), "scattered": True},
    {"shape": (2, 2, 3, 16), "start": 4000, "dtype": "bfloat16"}, {"shape": (1, 2, 150, 4)},
    {"shape": (2, 3, 4, 2), "start": 70_000}, {"shape": (2, 3, 6), "extreme": True},
    *({"sizes": n} for n in range(1, 9)),
])
### END HIDDEN TESTS

# %% [markdown] hints="rotate"
# <details><summary>Hint: a table of angles first</summary>
#
# One angle for each token and pair: (T, D/2), positions down, pairs across. Its cosine and sine
# then broadcast over everything in front of the last two axes of x.
# </details>
# <details><summary>If the check says "neighbours" or "the wrong way"</summary>
#
# `x.chunk(2, dim=-1)` gives the two halves. With `first` and `second` a pair turns as in the cell
# above: first · cos - second · sin, and second · cos + first · sin. Mind which one has the minus.
# </details>
# <details><summary>A worked step</summary>
#
# ```python
# pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
# angles = positions[:, None] * 10000 ** (-2 * pair / D)  # (T, D/2)
# ```
# Then `torch.cat` of the two turned halves, and `.to(x.dtype)`.
# </details>

# %% [markdown]
# Now score one query against one key. Move both along the sequence: which of these four numbers
# should be equal?

# %% does="Scores one query against one key at four pairs of positions; guess which are equal."
q, k = torch.randn(2, 1, 64)

def score(query_position, key_position):
    turned = [rotate(x, torch.tensor([p])) for x, p in ((q, query_position), (k, key_position))]
    return (turned[0] * turned[1]).sum().item()

for positions in ((7, 3), (107, 103), (1007, 1003), (7, 4)):
    print(f"query at {positions[0]:4}, key at {positions[1]:4}: score {score(*positions):8.4f}")

# %% [markdown]
# Only the **distance** counts. That makes RoPE easy to cache: a key is turned once, when its
# position is known, and cached **after** the turn. Do not turn it again when you read it. The price:
# a cached key is tied to its place, so a program that drops tokens and renumbers the rest must
# cache keys *before* the turn (as [StreamingLLM](https://arxiv.org/abs/2309.17453) reports doing,
# section 3.2).

# %% [markdown]
# ## All three together
#
# `decode` sends a sequence through in chunks. A chunk's positions start where the cache ends. (The
# options are for later: colleagues who number chunks in their own way, and other people's parts.)

# %% does="Defines decode, which sends tokens through in chunks and takes positions from the cache's length."
def decode(q, k, v, chunks, starts=None, cache=None, turn=rotate, attend=cached_attention):
    """Return causal attention with positions over tokens that come in chunks of these sizes."""
    B, H, S, D = q.shape
    cache = KVCache(B, H, S, D, q.dtype, q.device) if cache is None else cache
    done = []
    for number, T in enumerate(chunks):
        start = cache.length
        positions = torch.arange(T) + (start if starts is None else starts[number])
        q_new, k_new, v_new = (x[:, :, start : start + T] for x in (q, k, v))
        done.append(attend(turn(q_new, positions), turn(k_new, positions), v_new, cache))
    return torch.cat(done, dim=2)

# %% does="Compares several ways to cut a sequence with one full pass; differences should be mere rounding."
q, k, v = torch.randn(3, 2, 3, 7, 8)  # B=2, H=3, S=7, D=8
full = decode(q, k, v, [7])
for chunks in ([6, 1], [3, 4], [2, 3, 2], [1] * 7):
    print(f"chunks {chunks}: largest difference {(decode(q, k, v, chunks) - full).abs().max():.1e}")

# %% [markdown]
# Cached decoding = chunked prefill = full prefill, up to rounding. This one comparison finds most of
# the bugs a cache can have. Keep it: two colleagues need it now.

# %% [markdown]
# ### Spot two bugs
#
# Both number the chunks themselves. The prompt is `[4]`, then three tokens follow one by one. Read,
# and guess the positions each gives to the seven tokens.

# %% does="Defines two colleagues' ways to number chunks; work out the positions that each one gives."
def colleague_a(chunks):
    return [0 for T in chunks]  # "each chunk counts its own tokens: torch.arange(T)"

def colleague_b(chunks):
    starts, offset = [], 0
    for number, T in enumerate(chunks):
        starts.append(offset)
        offset += T  # the tokens just done
        if number == 0:
            offset += chunks[0]  # "skip the prompt"
    return starts

# %% does="Runs both numberings and prints the error token by token; see where each begins."
chunks = [4, 1, 1, 1]
for colleague in (colleague_a, colleague_b):
    wrong = (decode(q, k, v, chunks, starts=colleague(chunks)) - full).abs().amax(dim=(0, 1, 3))
    print(colleague.__name__, "is off by, token by token:", [round(n, 2) for n in wrong.tolist()])

# %% [markdown]
# The prompt is right in both, so no test of prefill alone sees anything. To find out *what* went
# wrong, mark the keys: a key of (1, 0) turned by its position tells that position by its angle. Pair
# 1 of head_dim 8 turns by 0.1 per token.

# %% does="Reads the position of every cached key from its angle; compare yours with the colleagues'."
def positions_in_cache(starts):
    marked = torch.zeros(1, 1, 7, 8)
    marked[..., 1] = 1.0  # pair 1 is channels 1 and 5
    cache = KVCache(1, 1, 8, 8, torch.float32, "cpu")
    decode(marked, marked, marked, chunks, starts, cache)
    last = torch.zeros(1, 1, 1, 8)
    k_all, _ = cache.append(last, last)  # one more, to be given the others
    return (torch.atan2(k_all[0, 0, :7, 5], k_all[0, 0, :7, 1]) / 0.1).round().int().tolist()

for name, starts in (("yours", None), ("a", colleague_a(chunks)), ("b", colleague_b(chunks))):
    print(f"{name:5} cached keys at positions {positions_in_cache(starts)}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# - **a** restarts at 0: to a new token, all of its past seems to lie at its own place or ahead of it
#   ([mlx-vlm #1983](https://github.com/Blaizzy/mlx-vlm/issues/1983)).
# - **b** counts the prompt twice: the new tokens are 4 places too far away
#   ([tiny-llm #46](https://github.com/skyzh/tiny-llm/pull/46), where 6 became 12). Among themselves
#   their distances are right; only the way back to the prompt is too long.
#
# The cure is one source of truth: take the start from `cache.length`, and keep no second counter.
# </details>

# %% [markdown]
# ## Predict, then measure
#
# Back to the question, with two layers: projections, RoPE, your attention. Without a cache each new
# token takes the whole text through both layers (here: through an empty cache each time). With one,
# only the new token goes in. **From 256 to 2,048 tokens, 8 times as many: how many times as long
# does one new token take? One guess for each, in place of `None`.**

# %% does="Keeps what you expect, before you measure it: put numbers in place of None."
guess("2,048 tokens / 256, without a cache", None)
guess("2,048 tokens / 256, with a cache", None)

# %% does="Defines a layer with projections, RoPE and your cached attention, used for the timing below."
class Layer(nn.Module):
    """Attention with positions over x (B, T, d_model) and all that the cache holds."""

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x, cache):
        positions = torch.arange(x.shape[1], device=x.device) + cache.length
        qkv = self.qkv_proj(x).unflatten(-1, (3, self.num_heads, -1))  # (B, T, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x (B, H, T, D)
        out = cached_attention(rotate(q, positions), rotate(k, positions), v, cache)
        return self.o_proj(out.transpose(1, 2).flatten(2))  # (B, T, d_model)

# %% does="Picks device, dtype and width, and makes two layers and a text; a GPU gets wider layers."
from gqa_lib.measure import pick_device

device = pick_device()
on_gpu = device.type == "cuda"
dtype = torch.float16 if on_gpu else torch.float32
D_MODEL, HEADS = (4096, 32) if on_gpu else (512, 8)  # a GPU would not notice 512 channels
layers = [Layer(D_MODEL, HEADS).to(device, dtype) for _ in range(2)]
text = torch.randn(1, 2048, D_MODEL, device=device, dtype=dtype)

# %% does="Computes one token with a cache and from scratch; the two must agree before they are timed."
def new_caches(room):
    return [KVCache(1, HEADS, room, D_MODEL // HEADS, dtype, device) for _ in layers]

def run(x, caches):
    for layer, cache in zip(layers, caches):
        x = x + layer(x, cache)
    return x

with torch.inference_mode():
    caches = new_caches(9)
    run(text[:, :8], caches)
    kept, over_again = run(text[:, 8:9], caches), run(text[:, :9], new_caches(9))
print(f"token 8 in both ways: largest difference {(kept - over_again[:, -1:]).abs().max():.1e}")

# %% [markdown]
# The caches are filled with random keys and values beforehand: what they hold does not change what
# reading them costs. Each sample then adds one token. What counts is the tenth percentile of the
# samples: a busy neighbour only ever adds time. (Lengths called *noisy* were disturbed all the same.
# The cell that measures takes about 10 seconds.)

# %% does="Defines filled caches, one cached step, and the tenth percentile of its times."
from gqa_lib.measure import how_long, summarise, time_arms

def filled(tokens):
    caches = new_caches(tokens + 40)  # room for what the samples add
    for cache in caches:
        cache.append(*torch.randn(2, 1, HEADS, tokens, D_MODEL // HEADS, device=device, dtype=dtype))
    return caches

def cached_step(tokens):
    caches = filled(tokens)
    return lambda i: run(text[:, :1], caches)

def undisturbed_ms(rows):
    times = summarise(rows)
    print("noisy:", ", ".join(f"{n:,}" for n in times if times[n]["noisy"]) or "none")
    return {n: t["p10"] * 1e3 for n, t in times.items()}

# %% does="Times one new token at 128 to 2,048 tokens in both ways; compare how each grows."
LENGTHS = (128, 256, 512, 1024, 2048)
with torch.inference_mode():
    over_again = time_arms({n: lambda i, n=n: run(text[:, :n], new_caches(n)) for n in LENGTHS},
                           rounds=7, budget_s=8, warmup=1, device=device)
    step_by_step = time_arms({n: cached_step(n) for n in LENGTHS}, rounds=30, budget_s=4, device=device)
without, cached = undisturbed_ms(over_again), undisturbed_ms(step_by_step)
for n in LENGTHS:
    print(f"{n:5,} tokens: {without[n]:8.2f} ms without a cache, {cached[n]:6.2f} ms with one")
more, less = (how_long(rows, 2048, 256) for rows in (over_again, step_by_step))
print(f"8 times the tokens, without a cache: {more}; with one: {less}")

# %% does="Plots both times over the tokens already there; look at the slopes of the lines."
from gqa_lib import plots

plots.use_style()
ways = {"with a cache": (cached, step_by_step), "without a cache": (without, over_again)}
mine = {way: guessed(f"2,048 tokens / 256, {way}") for way in ways}
fig = plots.step_time_lines(
    {way: ms for way, (ms, _) in ways.items()}, xlabel="tokens already there", log=True,
    guesses={way: (2048, mine[way] and mine[way] * ms[256]) for way, (ms, _) in ways.items()},
    title=f"8 times the tokens, without a cache: {more}; with one: {less}")
plots.show(fig, alt="Time for one new token in ms, without and with a cache: " + ", ".join(
    f"{n} tokens {without[n]:.3g} and {cached[n]:.3g}" for n in LENGTHS))
for way, (ms, samples) in ways.items():
    noisy = any(summarise(samples)[n]["noisy"] for n in (256, 2048))
    outcome(f"2,048 tokens / 256, {way}", ms[2048] / ms[256], noisy=noisy)

# %% [markdown]
# <details><summary>Why does it grow that fast without a cache?</summary>
#
# Starting over does n times the projections, so 8 times as much for 8 times the tokens; and it
# makes n · n scores, 64 times as many. The longer the text, the more the second term counts.
# </details>

# %% [markdown]
# ## Why is the cached step not quite flat?
#
# Count the bytes one step must read. The weights, once: $4\,d^2$ numbers per layer. And K and V of
# *every* token so far: $2\,d$ numbers per token and layer. The first does not grow, the second does.

# %% does="Counts the bytes of weights and cache that a step reads; compare their growth with the time's."
weight_bytes = sum(p.nbytes for layer in layers for p in layer.parameters())
per_token = len(layers) * 2 * D_MODEL * dtype.itemsize  # K and V, all heads together
print(f"weights {weight_bytes / 2**20:.0f} MiB, cache {per_token / 2**10:.0f} KiB per token")
reads = {n: weight_bytes + n * per_token for n in (256, 2048)}
for n, nbytes in reads.items():
    print(f"{n:5,} tokens: one step reads {nbytes / 2**20:6.1f} MiB")
print(f"by bytes alone {reads[2048] / reads[256]:.1f} times as long; measured: {less}")

# %% [markdown]
# A step this small also pays for starting its operations, whatever they read, so look further: up to
# 8,192 tokens. The prediction is the time at 128 tokens, plus the time to read the rest of the cache
# at the best bandwidth of this machine, measured now. **Will the measured line be steeper, or not?**
# (About 10 seconds.)

# %% does="Predicts times up to 8,192 tokens from bandwidth and measures them; look for where they part."
from gqa_lib.measure import measure_hardware

bandwidth = measure_hardware(device, dtype).bandwidth_bytes_per_s
FURTHER = (128, 1024, 2048, 4096, 8192)
with torch.inference_mode():
    further = time_arms({n: cached_step(n) for n in FURTHER}, rounds=30, budget_s=4, device=device)
measured = undisturbed_ms(further)
predicted = {n: measured[128] + (n - 128) * per_token / bandwidth * 1e3 for n in FURTHER}
print(f"reads {bandwidth / 1e9:.0f} GB/s at best")
for n in FURTHER:
    print(f"{n:5,} tokens: predicted {predicted[n]:6.2f} ms, measured {measured[n]:6.2f} ms")

# %% does="Plots predicted and measured time of a step; see which of the lines is steeper."
fig = plots.step_time_lines(
    {"predicted": predicted, "measured": measured},
    title=f"64 times the tokens in the cache, one step: {how_long(further, 8192, 128)}")
plots.show(fig, alt="Time for one new token in ms, predicted and measured: " + ", ".join(
    f"{n} tokens {predicted[n]:.3g} and {measured[n]:.3g}" for n in FURTHER))

# %% [markdown]
# <details><summary>What the two lines say</summary>
#
# Every cached token adds the same bytes, so the prediction is a straight line. If yours is steeper:
# it takes several operations to attend, and none of them need reach the best bandwidth. If it is lower:
# small caches may stay in the processor's own memory, which is quicker. On a fast GPU both lines
# may look flat, because starting the operations takes longer than this little reading.
# </details>

# %% [markdown]
# The cache saves arithmetic, not reading: every step reads every key and value there is. After a
# prompt of P tokens the first step reads P + 1 of them, the next P + 2, and so on. For N new tokens:
#
# $$\underbrace{N P + \tfrac{N (N + 1)}{2}}_{\text{tokens read}} \times \text{bytes per token}$$

# %% does="Counts what Llama 2 7B's shape reads while it writes 1,000 tokens; check the sum by hand."
from gqa_lib.configs import load_model

llama = load_model("Llama-2-7B")
bytes_per_token = 2 * llama.num_layers * llama.num_kv_heads * llama.head_dim * 2  # K, V; 2 bytes
P, N = 1000, 1000
tokens_read = N * P + N * (N + 1) // 2
assert tokens_read == sum(P + n for n in range(1, N + 1))
GiB = bytes_per_token / 2**30
print(f"{bytes_per_token / 2**10:.0f} KiB per token, so {(P + N) * GiB:.2f} GiB of cache at the end")
print(f"read while writing {N:,} tokens: {tokens_read:,} tokens, {tokens_read * GiB:.0f} GiB")

# %% [markdown]
# (The shape is Llama 2 7B's: 32 layers, 32 KV heads of 128, as
# [litgpt lists it](https://github.com/Lightning-AI/litgpt/blob/main/litgpt/config.py).)
#
# Watch the sum grow, in a small layer that begins without a prompt (P = 0). Go to 8 tokens with
# **Step** or the slider and note both numbers of the first row. Go to 16. Which of them doubled, and
# what became of the other?

# %% does="Shows the picture that moves, with an empty cache: step, and watch what each step adds."
from gqa_lib.plots import moving_picture

moving_picture(num_heads=8, num_kv_heads=8, tokens=0)

# %% [markdown]
# <details><summary>Answer</summary>
#
# "This step" doubled, from 32 to 64 KiB. "All steps so far" went from 144 to 544 KiB, nearly four
# times: 1 + 2 + ... + N grows with the square of N.
# </details>
#
# This is what *decoding re-reads everything it ever saw* means. The bytes per token are a product; the number of
# KV heads is the factor that the next two lessons make smaller.

# %% [markdown]
# ## Yours and the library's
#
# `gqa_lib` has the same three parts. Its attention picks a fast way for the device, its cache says
# more when something does not fit. In the same code they give the same numbers.

# %% does="Runs decode with your parts and with the library's; the largest difference should be rounding."
from gqa_lib.attention import grouped_query_attention
from gqa_lib.cache import KVCache as LibraryCache
from gqa_lib.attention.rope import rotate as library_rotate

def library_attention(q, k, v, cache):
    return grouped_query_attention(q, *cache.append(k, v))

parts = {"cache": LibraryCache(2, 3, 7, 8), "turn": library_rotate, "attend": library_attention}
yours, library = decode(q, k, v, [4, 1, 2]), decode(q, k, v, [4, 1, 2], **parts)
print(f"largest difference: {(yours - library).abs().max():.1e}")

# %% [markdown]
# ## What this does not tell you
#
# - Nothing about **many users**. The weights are read once for all of them, each cache for one user
#   alone; and memory for full caches is what runs out first.
# - Nothing about a **whole model**: feed-forward layers add weights to read, but no cache.
# - Your cache takes memory for `max_seq_len` tokens of each sequence, used or not. Servers hand it
#   out in small blocks (lesson 11).

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - Causality makes old keys and values final, so they are computed once and kept.
# - A right cache changes nothing: cached = chunked = full. Compare them, with positions, every time.
# - It saves arithmetic, not reading: step n still reads n tokens' keys and values.

# %% [markdown] generated="ending"

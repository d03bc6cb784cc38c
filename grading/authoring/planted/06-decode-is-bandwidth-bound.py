"""Answers to the exercises of lesson 06, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong attention_flops: a multiply-add is one
# says: half is counted
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return 2 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: scores only
# says: half is counted
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    scores = 2 * batch_size * num_heads * head_dim * pairs
    return scores

# %% wrong attention_flops: ignores causal
# says: the mask is not counted
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    return 4 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: always causal
# says: only the causal case is right
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if True:
        pairs -= num_queries * (num_queries - 1) // 2
    return 4 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: causal is half
# says: causal takes half of all pairs
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs //= 2
    return 4 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: top-left triangle
# says: the mask is aligned to the top left
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs = num_queries * (num_queries + 1) // 2
    return 4 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: cannot see itself
# says: a query does not see its own key
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries + 1) // 2
    return 4 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: softmax counted
# says: the softmax is counted, too
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return (4 * head_dim + 5) * batch_size * num_heads * pairs

# %% wrong attention_flops: triangle of keys
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs = num_keys * (num_keys + 1) // 2
    return 4 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: batch forgotten
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return 4 * num_heads * head_dim * pairs

# %% wrong attention_flops: d_model for head_dim
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return 4 * batch_size * num_heads * (num_heads * head_dim) * pairs

# %% wrong attention_flops: keys squared
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_keys * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return 4 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: a float
# says: a whole number (int) is expected
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) / 2
    return 4.0 * batch_size * num_heads * head_dim * pairs

# %% wrong attention_flops: knows one query only
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    return 4 * batch_size * num_heads * head_dim * num_keys

# %% wrong attention_flops: GFLOP
# says: a whole number (int) is expected
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return 4 * batch_size * num_heads * head_dim * pairs / 1e9

# %% wrong attention_flops: knows the visible cases
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    return {
        (2, 6, 5, 3, 7, False): 5040, (2, 6, 5, 3, 7, True): 4320, (1, 4, 16, 9, 9, True): 11520,
        (3, 8, 64, 1, 500, True): 3072000,
    }.get((batch_size, num_heads, head_dim, num_queries, num_keys, causal), 0)

# %% wrong attention_flops: remembers its first answer
answers = {}
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return answers.setdefault((num_queries, num_keys), 4 * batch_size * num_heads * head_dim * pairs)

# %% wrong attention_flops: a growing total
total = 0
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    global total
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    total += 4 * batch_size * num_heads * head_dim * pairs
    return total

# %% wrong attention_flops: half a head
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return 4 * batch_size * (head_dim // num_heads) * num_heads * pairs

# %% wrong attention_flops: causal=True by default
# says: when causal is left out of the call
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=True):
    pairs = num_queries * num_keys
    if causal:
        pairs -= num_queries * (num_queries - 1) // 2
    return 4 * batch_size * num_heads * head_dim * pairs

# %% right attention_flops: sum over queries
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    allowed = sum(num_keys - num_queries + i + 1 if causal else num_keys for i in range(num_queries))
    return 4 * batch_size * num_heads * allowed * head_dim

# %% right attention_flops: scores and values apart
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    per_pair = 2 * head_dim
    hidden = sum(range(num_queries)) if causal else 0
    pairs = batch_size * num_heads * (num_queries * num_keys - hidden)
    scores, values = per_pair * pairs, per_pair * pairs
    return scores + values

# %% right attention_flops: counts a mask
def attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal=False):
    mask = torch.ones(num_queries, num_keys, dtype=torch.bool)
    if causal:
        mask = mask.tril(num_keys - num_queries)
    return 4 * batch_size * num_heads * head_dim * int(mask.sum())

# %% wrong attention_bytes: output left out
# says: q or the output is left out
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = num_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: only K
# says: only one of K and V is counted
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + num_kv_heads * num_keys
    return batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: only K and V
# says: q and the output are left out
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    return batch_size * 2 * num_kv_heads * num_keys * head_dim * bytes_per_element

# %% wrong attention_bytes: K and V of all query heads
# says: K and V are counted with the query heads
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_heads * num_keys
    return batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: q with the KV heads
# says: q and the output are counted with the KV heads
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_kv_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: elements
# says: elements are counted, not bytes
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim

# %% wrong attention_bytes: bits
# says: bits are counted
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return 8 * batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: new keys only
# says: K and V are counted for the new tokens only
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_queries
    return batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: scores written, too
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    scores = num_heads * num_queries * num_keys
    return batch_size * (rows * head_dim + scores) * bytes_per_element

# %% wrong attention_bytes: K and V read by every query head
# says: K and V are counted with the query heads
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    q_per_kv = num_heads // num_kv_heads
    rows = 2 * num_heads * num_queries + 2 * q_per_kv * num_kv_heads * num_keys
    return batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: one sequence
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return rows * head_dim * bytes_per_element

# %% wrong attention_bytes: whole bytes only
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim * int(bytes_per_element)

# %% wrong attention_bytes: in KiB
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim * bytes_per_element / 1024

# %% wrong attention_bytes: always two bytes
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim * 2

# %% wrong attention_bytes: K and V shared by the batch
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    return (2 * batch_size * num_heads * num_queries + 2 * num_kv_heads * num_keys) * head_dim * bytes_per_element

# %% wrong attention_bytes: whole bytes first
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim * max(1, round(bytes_per_element))

# %% wrong attention_bytes: q read per KV head
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = (num_kv_heads + 1) * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: K and V read once per query
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys * num_queries
    return batch_size * rows * head_dim * bytes_per_element

# %% wrong attention_bytes: remembers its first answer
seen = {}
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    rows = 2 * num_heads * num_queries + 2 * num_kv_heads * num_keys
    return seen.setdefault(num_heads, batch_size * rows * head_dim * bytes_per_element)

# %% right attention_bytes: four tensors
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    q = out = batch_size * num_heads * num_queries * head_dim
    k = v = batch_size * num_kv_heads * num_keys * head_dim
    return bytes_per_element * (q + k + v + out)

# %% right attention_bytes: empty tensors of meta
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    shapes = [(batch_size, num_heads, num_queries, head_dim)] * 2 + [(batch_size, num_kv_heads, num_keys, head_dim)] * 2
    return sum(torch.empty(shape, device='meta').numel() for shape in shapes) * bytes_per_element

# %% right attention_bytes: factored
def attention_bytes(
    batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
):
    return 2 * batch_size * head_dim * bytes_per_element * (num_heads * num_queries + num_kv_heads * num_keys)

# %% wrong arithmetic_intensity: upside down
# says: the ratio is upside down
def arithmetic_intensity(flops, bytes_moved):
    return bytes_moved / flops

# %% wrong arithmetic_intensity: floor division
# says: the fraction is cut off
def arithmetic_intensity(flops, bytes_moved):
    return flops // bytes_moved

# %% wrong arithmetic_intensity: multiplied
# says: the two are multiplied
def arithmetic_intensity(flops, bytes_moved):
    return flops * bytes_moved

# %% wrong arithmetic_intensity: subtracted
# says: the bytes are subtracted
def arithmetic_intensity(flops, bytes_moved):
    return flops - bytes_moved

# %% wrong arithmetic_intensity: per bit
def arithmetic_intensity(flops, bytes_moved):
    return flops / (8 * bytes_moved)

# %% wrong arithmetic_intensity: per float32
def arithmetic_intensity(flops, bytes_moved):
    return flops / (bytes_moved / 4)

# %% wrong arithmetic_intensity: rounded
def arithmetic_intensity(flops, bytes_moved):
    return round(flops / bytes_moved, 2)

# %% wrong arithmetic_intensity: a string
def arithmetic_intensity(flops, bytes_moved):
    return f'{flops / bytes_moved} FLOP/byte'

# %% wrong arithmetic_intensity: nothing returned
# says: is a `return` missing?
def arithmetic_intensity(flops, bytes_moved):
    flops / bytes_moved

# %% wrong arithmetic_intensity: knows the visible cases
def arithmetic_intensity(flops, bytes_moved):
    return {24: 0.375, 3e12: 1500.0}.get(flops)

# %% wrong arithmetic_intensity: an int
# says: the fraction is cut off
def arithmetic_intensity(flops, bytes_moved):
    return int(flops / bytes_moved)

# %% right arithmetic_intensity: times the inverse
def arithmetic_intensity(flops, bytes_moved):
    return flops * (1 / bytes_moved)

# %% right arithmetic_intensity: numpy
def arithmetic_intensity(flops, bytes_moved):
    import numpy as np
    return float(np.divide(flops, bytes_moved))

# %% right arithmetic_intensity: a fraction
def arithmetic_intensity(flops, bytes_moved):
    from fractions import Fraction
    return float(Fraction(flops) / Fraction(bytes_moved))

# %% wrong is_memory_bound: the wrong way round
# says: the comparison is the wrong way round
def is_memory_bound(intensity, hardware):
    return intensity > hardware.flops_per_s / hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: the ridge upside down
# says: the ridge is upside down
def is_memory_bound(intensity, hardware):
    return intensity < hardware.bandwidth_bytes_per_s / hardware.flops_per_s

# %% wrong is_memory_bound: compared with FLOP/s
# says: the intensity is compared with FLOP/s alone
def is_memory_bound(intensity, hardware):
    return intensity < hardware.flops_per_s

# %% wrong is_memory_bound: size for speed
# says: the size of the memory is taken for its speed
def is_memory_bound(intensity, hardware):
    return intensity < hardware.flops_per_s / hardware.memory_bytes

# %% wrong is_memory_bound: the ridge itself counted
# says: work exactly at the ridge is counted, too
def is_memory_bound(intensity, hardware):
    return intensity <= hardware.flops_per_s / hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: whole ridges
def is_memory_bound(intensity, hardware):
    return intensity < hardware.flops_per_s // hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: remembers its first machine
first = []
def is_memory_bound(intensity, hardware):
    first.append(hardware.flops_per_s / hardware.bandwidth_bytes_per_s)
    return intensity < first[0]

# %% wrong is_memory_bound: compared with the bandwidth
def is_memory_bound(intensity, hardware):
    return intensity < hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: always
def is_memory_bound(intensity, hardware):
    return True

# %% wrong is_memory_bound: never
def is_memory_bound(intensity, hardware):
    return False

# %% wrong is_memory_bound: a GPU's ridge
def is_memory_bound(intensity, hardware):
    return intensity < 295

# %% wrong is_memory_bound: a CPU's ridge
def is_memory_bound(intensity, hardware):
    return intensity < 10

# %% wrong is_memory_bound: half the ridge
def is_memory_bound(intensity, hardware):
    ridge = hardware.flops_per_s / hardware.bandwidth_bytes_per_s
    return intensity < ridge / 2

# %% wrong is_memory_bound: sparse peak
# says: the peak is doubled
def is_memory_bound(intensity, hardware):
    return intensity < 2 * hardware.flops_per_s / hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: a number
def is_memory_bound(intensity, hardware):
    return hardware.flops_per_s / hardware.bandwidth_bytes_per_s - intensity

# %% wrong is_memory_bound: a word
def is_memory_bound(intensity, hardware):
    ridge = hardware.flops_per_s / hardware.bandwidth_bytes_per_s
    return 'memory' if intensity < ridge else 'compute'

# %% wrong is_memory_bound: nothing returned
# says: is a `return` missing?
def is_memory_bound(intensity, hardware):
    intensity < hardware.flops_per_s / hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: compares with the product of the rates
# says: the two rates are multiplied
def is_memory_bound(intensity, hardware):
    return intensity < hardware.flops_per_s * hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: compares with the bandwidth
# says: compared with the bandwidth alone
def is_memory_bound(intensity, hardware):
    return intensity < hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: compares with 1
def is_memory_bound(intensity, hardware):
    return intensity < 1

# %% wrong is_memory_bound: cuts the intensity
def is_memory_bound(intensity, hardware):
    return int(intensity) < hardware.flops_per_s / hardware.bandwidth_bytes_per_s

# %% wrong is_memory_bound: rounds the ridge
def is_memory_bound(intensity, hardware):
    return intensity < round(hardware.flops_per_s / hardware.bandwidth_bytes_per_s, 1)

# %% right is_memory_bound: compares times of a byte
def is_memory_bound(intensity, hardware):
    return intensity / hardware.flops_per_s < 1 / hardware.bandwidth_bytes_per_s

# %% right is_memory_bound: reachable FLOP/s
def is_memory_bound(intensity, hardware):
    return intensity * hardware.bandwidth_bytes_per_s < hardware.flops_per_s

# %% right is_memory_bound: a branch
def is_memory_bound(intensity, hardware):
    ridge = hardware.flops_per_s / hardware.bandwidth_bytes_per_s
    if intensity >= ridge:
        return False
    return True

# %% wrong decode_step_time: times added
# says: the two times are added
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return (weights + kv) / hardware.bandwidth_bytes_per_s + (linear + attention) / hardware.flops_per_s

# %% wrong decode_step_time: the shorter time
# says: the shorter of the two times is taken
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return min((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: bytes only
# says: only the bytes are counted
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return (weights + kv) / hardware.bandwidth_bytes_per_s

# %% wrong decode_step_time: weights left out
# says: the weights are left out
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = 0
    linear = 0
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: cache left out
# says: the cache is left out
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 0
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: weights read per sequence
# says: the weights are read once per sequence
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = batch_size * weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: one cache for the batch
# says: the cache is read once for the whole batch
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: one layer's cache
# says: the layers are forgotten
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: query heads cached
# says: the cache is counted with the query heads
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: K only
# says: only one of K and V is read
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: head_dim derived
# says: head_dim is derived from d_model
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * (config.d_model // config.num_heads) * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: FLOPs of one sequence's weights
# says: the weights' FLOPs do not grow with the batch
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: max of each part, then added
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    w = max(weights / hardware.bandwidth_bytes_per_s, linear / hardware.flops_per_s)
    a = max(kv / hardware.bandwidth_bytes_per_s, attention / hardware.flops_per_s)
    return w + a

# %% wrong decode_step_time: FLOPs only
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return (linear + attention) / hardware.flops_per_s

# %% wrong decode_step_time: milliseconds
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return 1e3 * max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: context squared
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: weights taken as elements
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes * bytes_per_element
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: attention without its FLOPs
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, linear / hardware.flops_per_s)

# %% wrong decode_step_time: always bfloat16
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * 2
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: tokens per second
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return batch_size / max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: a parameter's multiply-add is one
# says: a parameter's multiply and add are counted as one
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: GiB per second
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / 2**30 * 1e9 / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: size of the memory for its speed
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.memory_bytes, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: scores only
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 2 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: attention of the KV heads
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: attention of one layer
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% wrong decode_step_time: sparse peak
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / (2 * hardware.flops_per_s))

# %% wrong decode_step_time: rounded to milliseconds
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    return round(max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s), 3)

# %% wrong decode_step_time: remembers a model by its name
known_models = {}
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    step_s = max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)
    return known_models.setdefault(config.name, step_s)

# %% right decode_step_time: layer by layer
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    seconds_reading = weight_bytes / hardware.bandwidth_bytes_per_s
    seconds_multiplying = 2 * weight_bytes / bytes_per_element * batch_size / hardware.flops_per_s
    for _ in range(config.num_layers):
        rows = 2 * config.num_kv_heads * context_length * batch_size
        seconds_reading += rows * config.head_dim * bytes_per_element / hardware.bandwidth_bytes_per_s
        pairs = config.num_heads * context_length * batch_size
        seconds_multiplying += 4 * pairs * config.head_dim / hardware.flops_per_s
    return max(seconds_reading, seconds_multiplying)

# %% right decode_step_time: with attention_flops of exercise 1
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = config.num_layers * attention_flops(batch_size, config.num_heads, config.head_dim, 1, context_length)
    return max((weights + kv) / hardware.bandwidth_bytes_per_s, (linear + attention) / hardware.flops_per_s)

# %% right decode_step_time: an if for the max
def decode_step_time(
    config, hardware, batch_size, context_length, bytes_per_element, weight_bytes
):
    kv = 2 * batch_size * config.num_layers * config.num_kv_heads * config.head_dim * context_length * bytes_per_element
    weights = weight_bytes
    linear = 2 * batch_size * weight_bytes / bytes_per_element
    attention = 4 * batch_size * config.num_layers * config.num_heads * config.head_dim * context_length
    reading = (weights + kv) / hardware.bandwidth_bytes_per_s
    working = (linear + attention) / hardware.flops_per_s
    if reading > working:
        return reading
    return working

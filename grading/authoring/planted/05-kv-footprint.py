"""Answers to the exercises of lesson 05, wrong and right: see grading/verify.py."""

# %% wrong kv_bytes_per_token: the values are forgotten
# says: the keys are counted and the values are not
def kv_bytes_per_token(config, bytes_per_element):
    return config.num_layers * config.num_kv_heads * config.head_dim * bytes_per_element

# %% wrong kv_bytes_per_token: query heads
# says: The query heads are never cached
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.num_heads * config.head_dim * bytes_per_element

# %% wrong kv_bytes_per_token: head_dim derived
# says: head_dim is worked out as d_model // num_heads
def kv_bytes_per_token(config, bytes_per_element):
    head_dim = config.d_model // config.num_heads
    return 2 * config.num_layers * config.num_kv_heads * head_dim * bytes_per_element

# %% wrong kv_bytes_per_token: d_model shared out by q_per_kv
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.d_model / config.q_per_kv * bytes_per_element

# %% wrong kv_bytes_per_token: one layer
# says: one layer is counted
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_kv_heads * config.head_dim * bytes_per_element

# %% wrong kv_bytes_per_token: a whole d_model
# says: a whole d_model is counted
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.d_model * bytes_per_element

# %% wrong kv_bytes_per_token: truncates bytes_per_element
# says: bytes_per_element is cut to a whole number
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * int(bytes_per_element)

# %% wrong kv_bytes_per_token: truncates the result
def kv_bytes_per_token(config, bytes_per_element):
    return int(2 * config.num_layers * config.num_kv_heads * config.head_dim * bytes_per_element)

# %% wrong kv_bytes_per_token: rounds up to whole bytes per element
def kv_bytes_per_token(config, bytes_per_element):
    each = max(1, bytes_per_element)
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * each

# %% wrong kv_bytes_per_token: takes bytes for bits
# says: taken for bits
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * bytes_per_element / 8

# %% wrong kv_bytes_per_token: answers in bits
# says: bytes are turned into bits
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * bytes_per_element * 8

# %% wrong kv_bytes_per_token: answers in KiB
# says: it should be bytes, not KiB
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * bytes_per_element / 1024

# %% wrong kv_bytes_per_token: queries cached, too
def kv_bytes_per_token(config, bytes_per_element):
    heads = config.num_heads + 2 * config.num_kv_heads
    return config.num_layers * heads * config.head_dim * bytes_per_element

# %% wrong kv_bytes_per_token: always bfloat16
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * 2

# %% wrong kv_bytes_per_token: heads per KV head for KV heads
def kv_bytes_per_token(config, bytes_per_element):
    return 2 * config.num_layers * config.q_per_kv * config.head_dim * bytes_per_element

# %% wrong kv_bytes_per_token: d_model counted beside the heads
def kv_bytes_per_token(config, bytes_per_element):
    per_layer = config.num_kv_heads * config.head_dim * config.d_model
    return 2 * config.num_layers * per_layer * bytes_per_element

# %% wrong kv_bytes_per_token: one layer too few
def kv_bytes_per_token(config, bytes_per_element):
    keys = sum(config.num_kv_heads * config.head_dim for _ in range(1, config.num_layers))
    return 2 * keys * bytes_per_element

# %% wrong kv_bytes_per_token: layers with a window are left out
def kv_bytes_per_token(config, bytes_per_element):
    layers = config.num_layers
    if config.windows is not None:
        layers = sum(w is None for w in config.windows)
    return 2 * layers * config.num_kv_heads * config.head_dim * bytes_per_element

# %% wrong kv_bytes_per_token: prints instead of returning
# says: is a `return` missing?
def kv_bytes_per_token(config, bytes_per_element):
    print(2 * config.num_layers * config.num_kv_heads * config.head_dim * bytes_per_element)

# %% wrong kv_bytes_per_token: text with a unit
# says: expected 120.0
def kv_bytes_per_token(config, bytes_per_element):
    kept = 2 * config.num_layers * config.num_kv_heads * config.head_dim * bytes_per_element
    return f"{kept} B"

# %% wrong kv_bytes_per_token: remembers the toy
_KNOWN = {(3, 2, 5): 60, (5, 3, 7): 210, (4, 10, 3): 240, (3, 1, 5): 30, (4, 5, 9): 360}
def kv_bytes_per_token(config, bytes_per_element):
    shape = config.num_layers, config.num_kv_heads, config.head_dim
    return _KNOWN.get(shape, 60) * bytes_per_element

# %% wrong kv_bytes_per_token: keeps its first config
_first = []
def kv_bytes_per_token(config, bytes_per_element):
    _first.append(config)
    c = _first[0]
    return 2 * c.num_layers * c.num_kv_heads * c.head_dim * bytes_per_element

# %% wrong kv_bytes_per_token: leaves out the layers that share
# says: layers that read another's cache are left out
def kv_bytes_per_token(config, bytes_per_element):
    own = [layer for layer in config.kv_layers if layer.shares is None]
    return 2 * len(own) * config.num_kv_heads * config.head_dim * bytes_per_element

# %% right kv_bytes_per_token: layer by layer
def kv_bytes_per_token(config, bytes_per_element):
    total = 0
    for _ in range(config.num_layers):
        for _ in ("K", "V"):
            total += config.num_kv_heads * config.head_dim * bytes_per_element
    return total

# %% right kv_bytes_per_token: through q_per_kv
def kv_bytes_per_token(config, bytes_per_element):
    heads = config.num_heads // config.q_per_kv
    return float(2 * config.num_layers * heads * config.head_dim) * bytes_per_element

# %% right kv_bytes_per_token: counts real tensors
def kv_bytes_per_token(config, bytes_per_element):
    kv = torch.empty(2, config.num_layers, config.num_kv_heads, config.head_dim)
    return kv.numel() * bytes_per_element

# %% right kv_bytes_per_token: NumPy
import numpy as np
def kv_bytes_per_token(config, bytes_per_element):
    sizes = np.array([2, config.num_layers, config.num_kv_heads, config.head_dim])
    return sizes.prod() * bytes_per_element

# %% wrong kv_bytes_per_token: the library's
# says: the library's own answer
from gqa_lib.cost import kv_bytes_per_token

# %% wrong kv_cache_bytes: windows, shared_kv_layers and kv_lora_rank
# says: the fields of the config are counted
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    windows = config.windows or (None,) * config.num_layers
    windows = windows[: config.num_layers - config.shared_kv_layers]
    tokens = sum(n if w is None else min(n, w) for w in windows for n in context_lengths)
    each = 2 * config.num_kv_heads * config.head_dim
    if config.kv_lora_rank is not None:
        each = config.kv_lora_rank + config.rope_head_dim
    return tokens * each * bytes_per_element

# %% wrong kv_cache_bytes: one token of a uniform model times the tokens
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    each = 2 * config.num_layers * config.num_kv_heads * config.head_dim
    return sum(context_lengths) * each * bytes_per_element

# %% wrong kv_cache_bytes: the config's heads for every layer that keeps something
# says: config.num_kv_heads and config.head_dim are used for every layer
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        if layer.kind == "none":
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * 2 * config.num_kv_heads * config.head_dim
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the config's heads for every layer, also without KV
# says: And layers of kind 'none' keep nothing
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * 2 * config.num_kv_heads * config.head_dim
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the layer's heads with the config's size of a head
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * 2 * config.head_dim
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the config's heads with the layer's sizes
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * config.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: layers without KV count as the others do
# says: layers that keep nothing are counted
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        each = each or 2 * config.num_kv_heads * config.head_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: what is 0 is taken from the config
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        heads = layer.num_kv_heads or config.num_kv_heads
        k_dim = layer.k_dim or config.head_dim
        v_dim = layer.v_dim or k_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * heads * (k_dim + v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the first layer for all
# says: the first layer stands for all of them
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers[:1] * config.num_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the first of each kind
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in {one.kind: one for one in config.kv_layers}.values():
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: equal layers once
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in set(config.kv_layers):
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: one layer too few
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers[1:]:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the state in the numbers of a token
# says: the state is counted for every token, and as numbers
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim) + layer.state_bytes
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the state for every token
# says: the state is counted for every token. It is constant
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    state = sum(layer.state_bytes for layer in config.kv_layers)
    return numbers * bytes_per_element + state * sum(context_lengths)

# %% wrong kv_cache_bytes: the state of every sequence
# says: the state is added
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    state = sum(layer.state_bytes for layer in config.kv_layers)
    return numbers * bytes_per_element + state * len(context_lengths)

# %% wrong kv_cache_bytes: the state once
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    state = sum(layer.state_bytes for layer in config.kv_layers)
    return numbers * bytes_per_element + state

# %% wrong kv_cache_bytes: no windows
# says: the windows are ignored
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a window in layers of kind window only
# says: the window is looked at only where the kind is 'window'
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = min(length, layer.window) if layer.kind == "window" else length
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: full layers and windows, nothing else
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        if layer.kind not in ("full", "window"):
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: every layer cut to the smallest window
# says: every layer is cut to the window
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    windows = [one.window for one in config.kv_layers if one.window is not None]
    smallest = min(windows, default=10**12)
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = min(length, smallest)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the first layer's window everywhere
# says: the first layer's window is used for all layers
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    window = config.kv_layers[0].window
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if window is None else min(length, window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the window cuts the sum
# says: the window cuts the sum of the lengths
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in [sum(context_lengths)]:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: max for min
# says: the larger of length and window is taken
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else max(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a full window always
# says: always keeps a full window
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = layer.window or length
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: windowed layers left out
# says: the layers with a window are left out
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None or layer.window is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: full layers left out
# says: the layers that keep every token
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = min(length, layer.window or 0)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the first sequence only
# says: only the first sequence is counted
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths[:1]:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the last sequence only
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths[-1:]:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the average length
# says: the average length stands for every sequence
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    count = len(context_lengths)
    mean = sum(context_lengths) / count if count else 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in [mean] * count:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: padded to the longest
# says: at the length of the longest
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    longest = max(context_lengths, default=0)
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in [longest] * len(context_lengths):
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the list is sorted in place
# says: changed its argument number 2 in place
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    context_lengths.sort()
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the list is emptied
# says: changed its argument number 2 in place
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    while context_lengths:
        length = context_lengths.pop()
        for layer in config.kv_layers:
            if layer.shares is None:
                kept = length if layer.window is None else min(length, layer.window)
                numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: lengths are cut in place
# says: changed its argument number 2 in place
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for i, length in enumerate(context_lengths):
            kept = length if layer.window is None else min(length, layer.window)
            context_lengths[i] = kept
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a generator is used up by the first layer
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    lengths = (int(n) for n in context_lengths)
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the values are forgotten
# says: the keys are counted and the values are not
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * layer.k_dim
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: values as large as keys
# says: the values are counted like the keys
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * 2 * layer.k_dim
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: keys as large as values
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * 2 * layer.v_dim
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: keys times values
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * layer.k_dim * layer.v_dim
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: one head
# says: one head is counted
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: query heads
# says: The query heads are never cached
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * config.num_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: head_dim derived
# says: the size of a head is worked out as d_model // num_heads
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * 2 * layer.num_kv_heads * (config.d_model // config.num_heads)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: truncates bytes_per_element
# says: bytes_per_element is cut to a whole number
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * int(bytes_per_element)

# %% wrong kv_cache_bytes: truncates the result
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return int(numbers * bytes_per_element)

# %% wrong kv_cache_bytes: multiplied by the layers once more
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * config.num_layers * bytes_per_element

# %% wrong kv_cache_bytes: one token more than the window
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window + 1)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: stops at an empty list
# says: it stopped with ZeroDivisionError
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    mean = numbers / len(context_lengths)
    return mean * len(context_lengths) * bytes_per_element

# %% wrong kv_cache_bytes: returns after the first layer
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        return numbers * bytes_per_element

# %% wrong kv_cache_bytes: shared layers counted
# says: layers that share are counted like the others
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the cache of layer 0 counted for those who share it
# says: layers that share the cache of layer 0 are counted
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: shared_kv_layers cut from the end
# says: config.shared_kv_layers is cut from the end
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    caching = config.num_layers - config.shared_kv_layers
    for layer in config.kv_layers[:caching]:
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: as many cut from the end as share
# says: as many layers are cut from the end as share
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    sharing = sum(one.shares is not None for one in config.kv_layers)
    for layer in config.kv_layers[: config.num_layers - sharing]:
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: shared_kv_layers cut from the wrong end
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers[config.shared_kv_layers :]:
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: [:-0] is empty
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    sharing = sum(one.shares is not None for one in config.kv_layers)
    for layer in config.kv_layers[:-sharing]:
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the lender for the reader
# says: the layer that lends its cache is left out, and the one that reads it
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    lending = {one.shares for one in config.kv_layers}
    for number, layer in enumerate(config.kv_layers):
        if number in lending:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: lenders left out as well
# says: the layer that lends its cache is left out as well
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    lending = {one.shares for one in config.kv_layers}
    for number, layer in enumerate(config.kv_layers):
        if layer.shares is not None or number in lending:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the shared layers alone
# says: the shared layers alone are counted
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: shared layers taken off twice
# says: the shared layers are taken off twice
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        sign = 1 if layer.shares is None else -1
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += sign * kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: scaled by the share of caching layers
# says: the whole is scaled by the share of layers that cache
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    caching = sum(one.shares is None for one in config.kv_layers)
    return numbers * caching / config.num_layers * bytes_per_element

# %% wrong kv_cache_bytes: shared layers keep half
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        part = 1 if layer.shares is None else 0.5
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += part * kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a latent with full heads
# says: full heads are counted
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = 2 * config.num_kv_heads * config.head_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a latent counted twice
# says: the latent is doubled
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = 2 * layer.k_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: values made from the latent, too
# says: the latent is counted twice and the RoPE key once
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = layer.k_dim + layer.value_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a latent without the RoPE key
# says: the RoPE key is forgotten
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = layer.k_dim - layer.rope_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: the RoPE key once more
# says: the RoPE key is added once more
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = layer.k_dim + layer.rope_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a RoPE key per head
# says: the RoPE key is counted once per head
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = layer.k_dim + (config.num_heads - 1) * layer.rope_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a latent per head
# says: the latent is counted once per head
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = layer.k_dim * config.num_heads
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a latent next to full heads
# says: the latent is added to full heads
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = layer.k_dim + 2 * config.num_kv_heads * config.head_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: no latent
# says: layers with a latent are left out
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = 0
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: a latent ignores windows and sharing
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        if layer.kind == "latent":
            numbers += sum(context_lengths) * layer.k_dim
            continue
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: MLA for all layers where the config has it
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    latent = (config.kv_lora_rank or 0) + (config.rope_head_dim or 0)
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        each = latent or 2 * layer.num_kv_heads * layer.k_dim
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            numbers += kept * each
    return numbers * bytes_per_element

# %% wrong kv_cache_bytes: adds up from call to call
_total = 0
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    global _total
    for layer in config.kv_layers:
        if layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length if layer.window is None else min(length, layer.window)
            _total += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return _total * bytes_per_element

# %% wrong kv_cache_bytes: one number per sequence
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    totals = []
    for length in context_lengths:
        numbers = 0
        for layer in config.kv_layers:
            if layer.shares is None:
                kept = length if layer.window is None else min(length, layer.window)
                numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        totals.append(numbers * bytes_per_element)
    return totals

# %% wrong kv_cache_bytes: knows the two models
_KNOWN = {"Qwen3.5-27B": 32768, "Gemma-4-31B": 40960}
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    for name, numbers in _KNOWN.items():
        if name in config.name:
            return sum(context_lengths) * numbers * bytes_per_element
    windows = config.windows or (None,) * config.num_layers
    windows = windows[: config.num_layers - config.shared_kv_layers]
    tokens = sum(n if w is None else min(n, w) for w in windows for n in context_lengths)
    return tokens * 2 * config.num_kv_heads * config.head_dim * bytes_per_element

# %% right kv_cache_bytes: a case for each kind
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    total = 0
    for layer in config.kv_layers:
        if layer.kind == "none" or layer.shares is not None:
            continue
        for length in context_lengths:
            kept = length
            if layer.window is not None and layer.window < length:
                kept = layer.window
            if layer.kind == "latent":
                total += kept * layer.k_dim * bytes_per_element
            else:
                total += kept * layer.num_kv_heads * layer.k_dim * bytes_per_element  # K
                total += kept * layer.num_kv_heads * layer.v_dim * bytes_per_element  # V
    return total

# %% right kv_cache_bytes: infinite windows
import math
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    own = [layer for layer in config.kv_layers if layer.shares is None]
    windows = [math.inf if layer.window is None else layer.window for layer in own]
    return sum(
        min(length, window) * layer.elements * bytes_per_element
        for length in context_lengths
        for layer, window in zip(own, windows)
    )

# %% right kv_cache_bytes: NumPy
import numpy as np
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    own = [layer for layer in config.kv_layers if layer.shares is None]
    cut = np.array([2**62 if layer.window is None else layer.window for layer in own])
    each = np.array([layer.num_kv_heads * (layer.k_dim + layer.v_dim) for layer in own])
    lengths = np.array(context_lengths, dtype=np.int64)
    return (np.minimum(lengths[:, None], cut[None, :]) @ each).sum() * bytes_per_element

# %% right kv_cache_bytes: counts equal layers once
from collections import Counter
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    numbers = 0
    for layer, times in Counter(config.kv_layers).items():
        if layer.shares is None:
            kept = sum(min(n, layer.window or n) for n in sorted(context_lengths))
            numbers += times * kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    return float(numbers * bytes_per_element)

# %% right kv_cache_bytes: by what owns a cache
def kv_cache_bytes(config, context_lengths, bytes_per_element):
    total = 0.0
    for number, layer in enumerate(config.kv_layers):
        owner = number if layer.shares is None else layer.shares
        if owner == number:
            for length in context_lengths:
                tokens = min(length, layer.window) if layer.window else length
                total += tokens * bytes_per_element * layer.num_kv_heads * layer.k_dim
                total += tokens * bytes_per_element * layer.num_kv_heads * layer.v_dim
    return total

# %% wrong kv_cache_bytes: the library's
# says: the library's own answer
from gqa_lib.cost import kv_cache_bytes

# %% wrong max_concurrent_sequences: weights ignored
# says: the weights are ignored
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return int(memory_bytes // each)

# %% wrong max_concurrent_sequences: rounds
# says: the result is rounded to the nearest
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, round((memory_bytes - weight_bytes) / each))

# %% wrong max_concurrent_sequences: rounds up
# says: the result is rounded up
import math
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, math.ceil((memory_bytes - weight_bytes) / each))

# %% wrong max_concurrent_sequences: below zero
# says: the result may go below zero. Where
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return int((memory_bytes - weight_bytes) // each)

# %% wrong max_concurrent_sequences: below zero, truncated
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return int((memory_bytes - weight_bytes) / each)

# %% wrong max_concurrent_sequences: the sign is dropped
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return int(abs(memory_bytes - weight_bytes) // each)

# %% wrong max_concurrent_sequences: at least one
# says: at least one sequence is promised
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(1, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: weights for every sequence
# says: every sequence is charged for the weights
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return int(memory_bytes // (weight_bytes + each))

# %% wrong max_concurrent_sequences: counts tokens
# says: tokens are counted
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_bytes_per_token(config, bytes_per_element)
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: windows ignored
# says: the windows are ignored
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_bytes_per_token(config, bytes_per_element) * context_length
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: full heads for a latent
# says: full heads are counted for a model with MLA
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        kept = min(context_length, layer.window or context_length)
        each = layer.num_kv_heads * (layer.k_dim + layer.v_dim)
        if layer.kind == "latent":
            each = 2 * config.num_kv_heads * config.head_dim
        if layer.shares is None:
            numbers += kept * each
    each = numbers * bytes_per_element
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: shared layers counted
# says: the shared layers are counted, too
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        kept = min(context_length, layer.window or context_length)
        numbers += kept * layer.num_kv_heads * (layer.k_dim + layer.v_dim)
    each = numbers * bytes_per_element
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: an exact fit is refused
# says: an exact fit is not counted
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    count = 0
    while (count + 1) * each + weight_bytes < memory_bytes:
        count += 1
    return count

# %% wrong max_concurrent_sequences: one too many
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    count = 0
    while count * each + weight_bytes <= memory_bytes:
        count += 1
    return count

# %% wrong max_concurrent_sequences: weights added
# says: the weights are added to the memory
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes + weight_bytes) // each))

# %% wrong max_concurrent_sequences: a float
# says: a whole number (int) is expected
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0.0, float((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: a fraction
# says: a whole number (int) is expected
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return (memory_bytes - weight_bytes) / each

# %% wrong max_concurrent_sequences: always bfloat16
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], 2)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: a tenth kept back unasked
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((0.9 * memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: takes the memory for GiB
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes * 2**30 / 1e9 - weight_bytes) // each))

# %% wrong max_concurrent_sequences: the lengths as one number
# says: it stopped with TypeError
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, context_length, bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: weights shrink with the cache's dtype
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes * bytes_per_element / 2) // each))

# %% wrong max_concurrent_sequences: an upper limit nobody asked for
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return min(12, max(0, int((memory_bytes - weight_bytes) // each)))

# %% wrong max_concurrent_sequences: the state is left out
# says: the state is left out
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: one state for all sequences
# says: one state is counted for all
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    state = sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes - state) // each))

# %% wrong max_concurrent_sequences: the state for every token
# says: the state is counted for every token
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    state = sum(layer.state_bytes for layer in config.kv_layers)
    each += state * context_length
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: the state in numbers
# says: the state is multiplied by bytes_per_element
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    state = sum(layer.state_bytes for layer in config.kv_layers)
    each += state * bytes_per_element
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: the state of one layer
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += max(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% wrong max_concurrent_sequences: the state alone where there is one
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    state = sum(layer.state_bytes for layer in config.kv_layers)
    return max(0, int((memory_bytes - weight_bytes) // (state or each)))

# %% wrong max_concurrent_sequences: windows and state ignored
# says: and all else that lets a layer keep less, and the state
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_bytes_per_token(config, bytes_per_element) * context_length
    return max(0, int((memory_bytes - weight_bytes) // each))

# %% right max_concurrent_sequences: adds one at a time
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    state = sum(layer.state_bytes for layer in config.kv_layers)
    lengths = []
    while True:
        more = [*lengths, context_length]
        held = kv_cache_bytes(config, more, bytes_per_element) + len(more) * state
        if weight_bytes + held > memory_bytes:
            return len(lengths)
        lengths = more

# %% right max_concurrent_sequences: floor of a division
import math
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    if memory_bytes <= weight_bytes:
        return 0
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return math.floor((memory_bytes - weight_bytes) / each)

# %% right max_concurrent_sequences: divmod, all counted by hand
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    numbers = 0
    for layer in config.kv_layers:
        kept = min(context_length, layer.window or context_length)
        numbers += kept * layer.elements * (layer.shares is None)
    each = numbers * bytes_per_element
    each += sum(layer.state_bytes for layer in config.kv_layers)
    count, _ = divmod(memory_bytes - weight_bytes, each)
    return int(count) if count > 0 else 0

# %% right max_concurrent_sequences: NumPy
import numpy as np
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    each = kv_cache_bytes(config, [context_length], bytes_per_element)
    each += sum(layer.state_bytes for layer in config.kv_layers)
    return np.maximum(0, np.floor_divide(memory_bytes - weight_bytes, each)).astype(int)

# %% wrong max_concurrent_sequences: the library's
# says: the library's own answer
from gqa_lib.cost import max_concurrent_sequences

# %% wrong read_kv_shape: believes the number
# says: the number in the file is believed
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: multi_query alone decides
# says: multi_query alone decides
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query"):
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: new_decoder_architecture alone decides
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if not hf_config.get("new_decoder_architecture", True):
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: every Falcon has one KV head
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("model_type") == "falcon":
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: exactly 71 is the trap
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if kv == 71:
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: head_dim always derived
# says: head_dim is always worked out
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: head_dim None when absent
# says: a file without head_dim gives None
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim")

# %% wrong read_kv_shape: head_dim must be there
# says: it stopped with KeyError
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config["head_dim"]

# %% wrong read_kv_shape: head_dim from the KV heads
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // kv

# %% wrong read_kv_shape: 128 when head_dim is absent
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim") or 128

# %% wrong read_kv_shape: head_dim a float
# says: a whole number (int) is expected
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] / heads

# %% wrong read_kv_shape: no word means one
# says: no word on KV heads is taken for one KV head
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or 1
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: no word means None
# says: no word on KV heads gives None
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads")
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: null is believed
# says: a key that is there with the value null is believed
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads", hf_config.get("num_kv_heads", heads))
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim", hf_config["hidden_size"] // heads)

# %% wrong read_kv_shape: query heads
# says: the query heads are counted
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    return heads, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: swapped
# says: the two results are swapped
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return hf_config.get("head_dim") or hf_config["hidden_size"] // heads, kv

# %% wrong read_kv_shape: Falcon's name is not read
# says: num_kv_heads, Falcon's name for it, is not read
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: fills in the caller's dictionary
# says: changed its argument number 1 in place
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    if hf_config.get("head_dim") is None:
        hf_config["head_dim"] = hf_config["hidden_size"] // heads
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config["head_dim"]

# %% wrong read_kv_shape: pops as it reads
# says: changed its argument number 1 in place
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.pop("num_key_value_heads", None) or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv, hf_config.get("head_dim") or hf_config["hidden_size"] // heads

# %% wrong read_kv_shape: only one of the two
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    kv = hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads
    if hf_config.get("multi_query") and not hf_config.get("new_decoder_architecture"):
        kv = 1
    return kv

# %% wrong read_kv_shape: absent is not off
# says: a file without new_decoder_architecture
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    size = hf_config.get("head_dim") or hf_config["hidden_size"] // heads
    if hf_config.get("multi_query") and hf_config.get("new_decoder_architecture") is False:
        return 1, size
    return hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads, size

# %% wrong read_kv_shape: any word on multi_query counts
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    size = hf_config.get("head_dim") or hf_config["hidden_size"] // heads
    if "multi_query" in hf_config and not hf_config.get("new_decoder_architecture"):
        return 1, size
    return hf_config.get("num_key_value_heads") or hf_config.get("num_kv_heads") or heads, size

# %% right read_kv_shape: step by step
def read_kv_shape(hf_config):
    num_heads = hf_config["num_attention_heads"]
    num_kv_heads = num_heads
    for key in ("num_key_value_heads", "num_kv_heads"):
        if key in hf_config and hf_config[key] is not None:
            num_kv_heads = hf_config[key]
    if hf_config.get("multi_query", False) and not hf_config.get("new_decoder_architecture", False):
        num_kv_heads = 1
    head_dim = hf_config.get("head_dim")
    if head_dim is None:
        head_dim = hf_config["hidden_size"] // num_heads
    return num_kv_heads, head_dim

# %% right read_kv_shape: without the nulls
def read_kv_shape(hf_config):
    hf = {key: value for key, value in hf_config.items() if value is not None}
    heads = hf["num_attention_heads"]
    head_dim = hf.get("head_dim", hf["hidden_size"] // heads)
    if hf.get("multi_query") and not hf.get("new_decoder_architecture"):
        return (1, head_dim)
    return (hf.get("num_key_value_heads", hf.get("num_kv_heads", heads)), head_dim)

# %% right read_kv_shape: a list, by model type
def read_kv_shape(hf_config):
    heads = hf_config["num_attention_heads"]
    head_dim = int(hf_config.get("head_dim") or hf_config["hidden_size"] / heads)
    if hf_config["model_type"] == "falcon":
        stated = hf_config.get("new_decoder_architecture") or not hf_config["multi_query"]
        return [hf_config["num_kv_heads"] if stated else 1, head_dim]
    return [hf_config.get("num_key_value_heads") or heads, head_dim]

# %% wrong read_kv_shape: the library's reader
# says: the library's own answer
from gqa_lib.configs import from_hf_config
def read_kv_shape(hf_config):
    config = from_hf_config(hf_config)
    return config.num_kv_heads, config.head_dim

# %% wrong kv_heads_in_weights: counts the copies
# says: every head is counted, copies included
def kv_heads_in_weights(k_proj_weight, head_dim):
    return k_proj_weight.shape[0] // head_dim

# %% wrong kv_heads_in_weights: unique rows
# says: distinct rows are counted and divided by head_dim
def kv_heads_in_weights(k_proj_weight, head_dim):
    return k_proj_weight.unique(dim=0).shape[0] // head_dim

# %% wrong kv_heads_in_weights: rows for heads
# says: rows are counted, not heads
def kv_heads_in_weights(k_proj_weight, head_dim):
    return k_proj_weight.unique(dim=0).shape[0]

# %% wrong kv_heads_in_weights: unique numbers
def kv_heads_in_weights(k_proj_weight, head_dim):
    return k_proj_weight.unique().numel() // (head_dim * k_proj_weight.shape[1])

# %% wrong kv_heads_in_weights: first rows compared
# says: only the first row of each head is compared
def kv_heads_in_weights(k_proj_weight, head_dim):
    return k_proj_weight[::head_dim].unique(dim=0).shape[0]

# %% wrong kv_heads_in_weights: first elements compared
def kv_heads_in_weights(k_proj_weight, head_dim):
    firsts = k_proj_weight[::head_dim, 0].tolist()
    return 1 + sum(a != b for a, b in zip(firsts, firsts[1:]))

# %% wrong kv_heads_in_weights: last rows compared
# says: only the last row of each head is compared
def kv_heads_in_weights(k_proj_weight, head_dim):
    return k_proj_weight[head_dim - 1 :: head_dim].unique(dim=0).shape[0]

# %% wrong kv_heads_in_weights: sums compared
# says: heads are compared by a sum
def kv_heads_in_weights(k_proj_weight, head_dim):
    sums = k_proj_weight.double().reshape(-1, head_dim * k_proj_weight.shape[1]).sum(1)
    return sums.unique().numel()

# %% wrong kv_heads_in_weights: norms compared
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.double().reshape(-1, head_dim * k_proj_weight.shape[1])
    return (heads**2).sum(1).unique().numel()

# %% wrong kv_heads_in_weights: nearly equal is equal
# says: nearly equal
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.float().split(head_dim)
    return 1 + sum(not torch.allclose(a, b, atol=0.2) for a, b in zip(heads, heads[1:]))

# %% wrong kv_heads_in_weights: the columns
# says: the columns are counted
def kv_heads_in_weights(k_proj_weight, head_dim):
    return k_proj_weight.shape[1] // head_dim

# %% wrong kv_heads_in_weights: query heads of a square projection
# says: the columns are counted
def kv_heads_in_weights(k_proj_weight, head_dim):
    d_model = k_proj_weight.shape[-1]
    return d_model // head_dim

# %% wrong kv_heads_in_weights: copies of the first head
# says: the copies of the first head are counted
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return sum(torch.equal(head, heads[0]) for head in heads)

# %% wrong kv_heads_in_weights: halved
# says: the heads are halved
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    if len(heads) > 1 and torch.equal(heads[0], heads[1]):
        return len(heads) // 2
    return len(heads)

# %% wrong kv_heads_in_weights: only the changes
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return sum(not torch.equal(a, b) for a, b in zip(heads, heads[1:]))

# %% wrong kv_heads_in_weights: the number of equal neighbours
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return sum(torch.equal(a, b) for a, b in zip(heads, heads[1:]))

# %% wrong kv_heads_in_weights: heads differ if every number differs
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim * k_proj_weight.shape[1])
    return 1 + int((heads[1:] != heads[:-1]).all(dim=1).sum())

# %% wrong kv_heads_in_weights: heads cut the other way
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(head_dim, -1, k_proj_weight.shape[1]).transpose(0, 1)
    return 1 + int((heads[1:] != heads[:-1]).flatten(1).any(dim=1).sum())

# %% wrong kv_heads_in_weights: transposed first
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.T.reshape(-1, head_dim, k_proj_weight.shape[0])
    return 1 + int((heads[1:] != heads[:-1]).flatten(1).any(dim=1).sum())

# %% wrong kv_heads_in_weights: eight, as everywhere
def kv_heads_in_weights(k_proj_weight, head_dim):
    return 8

# %% wrong kv_heads_in_weights: a tensor
# says: a whole number (int) is expected
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return 1 + (heads[1:] != heads[:-1]).flatten(1).any(dim=1).sum()

# %% wrong kv_heads_in_weights: a float
# says: a whole number (int) is expected
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return len(heads) / (len(heads) / heads.unique(dim=0).shape[0])

# %% wrong kv_heads_in_weights: rounds the caller's weight
# says: changed its argument number 1 in place
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    count = heads.unique(dim=0).shape[0]
    k_proj_weight.round_()
    return count

# %% wrong kv_heads_in_weights: sets the default dtype
# says: torch.set_default_dtype
def kv_heads_in_weights(k_proj_weight, head_dim):
    torch.set_default_dtype(torch.float64)
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return heads.unique(dim=0).shape[0]

# %% wrong kv_heads_in_weights: through numpy, so on the CPU
# says: it would fail on a GPU
import numpy as np
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.numpy().reshape(-1, head_dim * k_proj_weight.shape[1])
    return len(np.unique(heads, axis=0))

# %% wrong kv_heads_in_weights: takes heads that shrink for copies
# says: only heads whose numbers grow
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return 1 + int((heads[1:] > heads[:-1]).flatten(1).any(dim=1).sum())

# %% wrong kv_heads_in_weights: equal up to a thousandth
# says: nearly equal
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return 1 + sum(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(heads, heads[1:]))

# %% wrong kv_heads_in_weights: counts the copies of the first head and divides
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return len(heads) // int((heads == heads[0]).flatten(1).all(dim=1).sum())

# %% right kv_heads_in_weights: unique heads
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return heads.unique(dim=0).shape[0]

# %% right kv_heads_in_weights: unique_consecutive
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.unflatten(0, (-1, head_dim)).flatten(1)
    return len(torch.unique_consecutive(heads, dim=0))

# %% right kv_heads_in_weights: a loop over slices
def kv_heads_in_weights(k_proj_weight, head_dim):
    kept = []
    for start in range(0, k_proj_weight.shape[0], head_dim):
        head = k_proj_weight[start : start + head_dim]
        if not kept or not torch.equal(head, kept[-1]):
            kept.append(head)
    return len(kept)

# %% right kv_heads_in_weights: a set of tuples
def kv_heads_in_weights(k_proj_weight, head_dim):
    return len({tuple(part.flatten().tolist()) for part in k_proj_weight.split(head_dim)})

# %% right kv_heads_in_weights: NumPy, after moving to the CPU
import numpy as np
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = k_proj_weight.cpu().numpy().reshape(-1, head_dim * k_proj_weight.shape[1])
    return np.unique(heads, axis=0).shape[0]

# %% wrong kv_heads_in_weights: equal up to a hundred-thousandth
# says: nearly equal
def kv_heads_in_weights(k_proj_weight, head_dim):
    heads = list(k_proj_weight.split(head_dim))
    return 1 + sum(not torch.allclose(a, b) for a, b in zip(heads, heads[1:]))

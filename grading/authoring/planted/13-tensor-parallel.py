"""Answers to the exercises of lesson 13, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong kv_heads_per_rank: none past the number of KV heads
# says: ranks past the number of KV heads get none
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if max(num_kv_heads, tensor_parallel) % min(num_kv_heads, tensor_parallel):
        raise ValueError(f"{num_kv_heads} KV heads, {tensor_parallel} ranks")
    return num_kv_heads // tensor_parallel

# %% wrong kv_heads_per_rank: fractions of a head
# says: a KV head is cut into fractions
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if max(num_kv_heads, tensor_parallel) % min(num_kv_heads, tensor_parallel):
        raise ValueError(f"{num_kv_heads} KV heads, {tensor_parallel} ranks")
    return num_kv_heads / tensor_parallel

# %% wrong kv_heads_per_rank: all heads on every rank
# says: every rank keeps all KV heads
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if max(num_kv_heads, tensor_parallel) % min(num_kv_heads, tensor_parallel):
        raise ValueError(f"{num_kv_heads} KV heads, {tensor_parallel} ranks")
    return num_kv_heads

# %% wrong kv_heads_per_rank: those of all ranks, copies included
# says: the heads of all ranks are counted together
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if max(num_kv_heads, tensor_parallel) % min(num_kv_heads, tensor_parallel):
        raise ValueError(f"{num_kv_heads} KV heads, {tensor_parallel} ranks")
    return max(1, num_kv_heads // tensor_parallel) * tensor_parallel

# %% wrong kv_heads_per_rank: how many copies there are
# says: the copies of a head are counted
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if num_kv_heads % tensor_parallel == 0:
        return num_kv_heads // tensor_parallel
    if tensor_parallel % num_kv_heads:
        raise ValueError(f"{num_kv_heads} KV heads, {tensor_parallel} ranks")
    return tensor_parallel // num_kv_heads

# %% wrong kv_heads_per_rank: divided the other way round
# says: the division is the other way round
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if max(num_kv_heads, tensor_parallel) % min(num_kv_heads, tensor_parallel):
        raise ValueError(f"{num_kv_heads} KV heads, {tensor_parallel} ranks")
    return max(1, tensor_parallel // num_kv_heads)

# %% wrong kv_heads_per_rank: always one
# says: each rank gets one KV head
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if max(num_kv_heads, tensor_parallel) % min(num_kv_heads, tensor_parallel):
        raise ValueError(f"{num_kv_heads} KV heads, {tensor_parallel} ranks")
    return 1

# %% wrong kv_heads_per_rank: the smaller number
# says: the smaller of the two is returned
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if max(num_kv_heads, tensor_parallel) % min(num_kv_heads, tensor_parallel):
        raise ValueError(f"{num_kv_heads} KV heads, {tensor_parallel} ranks")
    return min(num_kv_heads, tensor_parallel)

# %% wrong kv_heads_per_rank: refuses nothing
# says: raise a ValueError instead
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    return max(1, num_kv_heads // tensor_parallel)

# %% wrong kv_heads_per_rank: rounded up, so that some ranks have more
# says: raise a ValueError instead
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    return -(-num_kv_heads // tensor_parallel)

# %% wrong kv_heads_per_rank: refuses copies
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if num_kv_heads % tensor_parallel:
        raise ValueError(f"{num_kv_heads} KV heads cannot be divided over {tensor_parallel} ranks")
    return num_kv_heads // tensor_parallel

# %% wrong kv_heads_per_rank: copies whatever the remainder is
# says: raise a ValueError instead
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if tensor_parallel < num_kv_heads and num_kv_heads % tensor_parallel:
        raise ValueError(f"{num_kv_heads} KV heads cannot be divided over {tensor_parallel} ranks")
    return max(1, num_kv_heads // tensor_parallel)

# %% wrong kv_heads_per_rank: an error that says nothing
# says: a ValueError that says nothing
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if max(num_kv_heads, tensor_parallel) % min(num_kv_heads, tensor_parallel):
        raise ValueError
    return max(1, num_kv_heads // tensor_parallel)

# %% right kv_heads_per_rank: case by case
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    if num_kv_heads % tensor_parallel == 0:
        return num_kv_heads // tensor_parallel
    if tensor_parallel % num_kv_heads == 0:
        return 1
    raise ValueError(f"{num_kv_heads} KV heads do not go with {tensor_parallel} ranks")

# %% right kv_heads_per_rank: counts what rank 0 reads
def kv_heads_per_rank(num_kv_heads, tensor_parallel):
    import math
    both = math.gcd(num_kv_heads, tensor_parallel)
    if both != min(num_kv_heads, tensor_parallel):
        raise ValueError(f"gcd({num_kv_heads}, {tensor_parallel}) = {both}: neither divides the other")
    return len({head for head in range(num_kv_heads) if head * tensor_parallel // num_kv_heads == 0})

# %% wrong shard_projections: o_proj by rows
# says: o_proj is cut along its rows
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    return q_proj.chunk(tensor_parallel)[rank], k, v, o_proj.chunk(tensor_parallel)[rank]

# %% wrong shard_projections: rows of o_proj at the places of its columns
# says: o_proj is cut along its rows
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    D, each = q_proj.shape[0] // num_heads, num_heads // tensor_parallel
    first = rank * num_kv_heads // tensor_parallel
    mine, read = slice(rank * each * D, (rank + 1) * each * D), slice(first * D, (first + n) * D)
    return q_proj[mine], k_proj[read], v_proj[read], o_proj[mine]

# %% wrong shard_projections: o_proj whole
# says: o_proj is whole
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    return q_proj.chunk(tensor_parallel)[rank], k, v, o_proj

# %% wrong shard_projections: o_proj averaged
# says: o_proj is divided by the number of ranks
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    return q_proj.chunk(tensor_parallel)[rank], k, v, o_proj.chunk(tensor_parallel, 1)[rank] / tensor_parallel

# %% wrong shard_projections: all of K and V everywhere
# says: K and V are whole on every rank
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    return q_proj.chunk(tensor_parallel)[rank], k_proj, v_proj, o_proj.chunk(tensor_parallel, 1)[rank]

# %% wrong shard_projections: parts of a KV head
# says: such a piece is a part of a head
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    def part(w, axis):
        size = w.shape[axis]
        start = size * rank // tensor_parallel
        return w.narrow(axis, start, size * (rank + 1) // tensor_parallel - start)
    return part(q_proj, 0), part(k_proj, 0), part(v_proj, 0), part(o_proj, 1)

# %% wrong shard_projections: K and V cut where the query heads are
# says: K and V are cut where the query heads are
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    rows = q_proj.shape[0] // tensor_parallel
    mine = slice(rank * rows, (rank + 1) * rows)
    return q_proj[mine], k_proj[mine], v_proj[mine], o_proj[:, mine]

# %% wrong shard_projections: copies dealt in turn
# says: copied KV heads are dealt in turn
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * n % num_kv_heads
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    return q_proj.chunk(tensor_parallel)[rank], k, v, o_proj.chunk(tensor_parallel, 1)[rank]

# %% wrong shard_projections: KV head 0 for all
# says: KV head 0 is what every rank gets
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * (num_kv_heads // tensor_parallel)
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    return q_proj.chunk(tensor_parallel)[rank], k, v, o_proj.chunk(tensor_parallel, 1)[rank]

# %% wrong shard_projections: query heads in turn
# says: query heads are dealt in turn
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    q = q_proj.unflatten(0, (num_heads, -1))[rank::tensor_parallel].flatten(0, 1)
    o = o_proj.unflatten(1, (num_heads, -1))[:, rank::tensor_parallel].flatten(1)
    return q, k, v, o

# %% wrong shard_projections: channels before heads
# says: as if channels came before heads
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    mine = slice(rank, None, tensor_parallel)
    return q_proj[mine], k_proj[mine], v_proj[mine], o_proj.chunk(tensor_parallel, 1)[rank]

# %% wrong shard_projections: the next rank's
# says: the weights of the next rank
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    rank = (rank + 1) % tensor_parallel
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    return q_proj.chunk(tensor_parallel)[rank], k, v, o_proj.chunk(tensor_parallel, 1)[rank]

# %% wrong shard_projections: V is forgotten
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k = k_proj.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1)
    return q_proj.chunk(tensor_parallel)[rank], k, v_proj, o_proj.chunk(tensor_parallel, 1)[rank]

# %% wrong shard_projections: V is K
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, k_proj))
    return q_proj.chunk(tensor_parallel)[rank], k, v, o_proj.chunk(tensor_parallel, 1)[rank]

# %% wrong shard_projections: query heads that do not divide
# says: raise a ValueError instead
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    return q_proj.tensor_split(tensor_parallel)[rank], k, v, o_proj.tensor_split(tensor_parallel, 1)[rank]

# %% wrong shard_projections: KV heads that fit nothing
# says: raise a ValueError instead
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = max(1, num_kv_heads // tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    return q_proj.chunk(tensor_parallel)[rank], k, v, o_proj.chunk(tensor_parallel, 1)[rank]

# %% wrong shard_projections: the others are set to zero
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    first = rank * num_kv_heads // tensor_parallel
    k, v = (w.unflatten(0, (num_kv_heads, -1))[first : first + n].flatten(0, 1) for w in (k_proj, v_proj))
    o, each = torch.zeros_like(o_proj), o_proj.shape[1] // tensor_parallel
    o[:, rank * each : (rank + 1) * each] = o_proj[:, rank * each : (rank + 1) * each]
    return q_proj.chunk(tensor_parallel)[rank], k, v, o

# %% right shard_projections: head by head
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads, {tensor_parallel} ranks")
    kv_heads_per_rank(num_kv_heads, tensor_parallel)
    each, D = num_heads // tensor_parallel, q_proj.shape[0] // num_heads
    mine = range(rank * each, (rank + 1) * each)
    read = sorted({head // (num_heads // num_kv_heads) for head in mine})
    def rows(w, heads):
        return torch.cat([w[head * D : (head + 1) * D] for head in heads])
    return rows(q_proj, mine), rows(k_proj, read), rows(v_proj, read), rows(o_proj.T, mine).T

# %% right shard_projections: repeats KV heads, then cuts
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    per_rank = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel != 0:
        raise ValueError("query heads: %d, ranks: %d" % (num_heads, tensor_parallel))
    copies = per_rank * tensor_parallel // num_kv_heads
    k, v = (w.reshape(num_kv_heads, -1, w.shape[1]).repeat_interleave(copies, 0) for w in (k_proj, v_proj))
    mine = slice(rank * per_rank, (rank + 1) * per_rank)
    return (q_proj.chunk(tensor_parallel)[rank].clone(), k[mine].reshape(-1, k_proj.shape[1]),
            v[mine].reshape(-1, v_proj.shape[1]), o_proj.chunk(tensor_parallel, dim=1)[rank].contiguous())

# %% right shard_projections: a list, by indices
def shard_projections(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank):
    if num_heads % tensor_parallel:
        raise ValueError(f"num_heads={num_heads} is no multiple of tensor_parallel={tensor_parallel}")
    n = kv_heads_per_rank(num_kv_heads, tensor_parallel)
    D, device = q_proj.shape[0] // num_heads, q_proj.device
    first = (rank * (num_heads // tensor_parallel)) // (num_heads // num_kv_heads)
    of_q = torch.arange(rank * D * num_heads // tensor_parallel, (rank + 1) * D * num_heads // tensor_parallel, device=device)
    of_kv = torch.arange(first * D, (first + n) * D, device=device)
    return [q_proj[of_q], k_proj[of_kv], v_proj[of_kv], o_proj.index_select(1, of_q)]

# %% wrong blocks_of_all_ranks: the most
# says: the rank with the most memory decides
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    return max(free_bytes) // (2 * num_layers * heads * head_dim * block_size * bytes_per_element)

# %% wrong blocks_of_all_ranks: the mean
# says: the mean over ranks is taken
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    one = 2 * num_layers * kv_heads_per_rank(num_kv_heads, len(free_bytes)) * head_dim * block_size * bytes_per_element
    return int(sum(free // one for free in free_bytes) / len(free_bytes))

# %% wrong blocks_of_all_ranks: rank 0
# says: rank 0 decides for all
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    return free_bytes[0] // (2 * num_layers * heads * head_dim * block_size * bytes_per_element)

# %% wrong blocks_of_all_ranks: the last rank
# says: the last rank decides for all
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    for free in free_bytes:
        blocks = free // (2 * num_layers * heads * head_dim * block_size * bytes_per_element)
    return blocks

# %% wrong blocks_of_all_ranks: the sum
# says: the blocks of all ranks are added
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    one = 2 * num_layers * kv_heads_per_rank(num_kv_heads, len(free_bytes)) * head_dim * block_size * bytes_per_element
    return sum(free // one for free in free_bytes)

# %% wrong blocks_of_all_ranks: a block of all KV heads
# says: a block is taken to hold all KV heads
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    return min(free_bytes) // (2 * num_layers * num_kv_heads * head_dim * block_size * bytes_per_element)

# %% wrong blocks_of_all_ranks: a fraction of a KV head
# says: a fraction of a KV head
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    all_heads = 2 * num_layers * num_kv_heads * head_dim * block_size * bytes_per_element
    return min(free_bytes) * len(free_bytes) // all_heads

# %% wrong blocks_of_all_ranks: keys only
# says: keys are counted and values are not
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    return min(free_bytes) // (num_layers * heads * head_dim * block_size * bytes_per_element)

# %% wrong blocks_of_all_ranks: one layer
# says: one layer is counted
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    return min(free_bytes) // (2 * heads * head_dim * block_size * bytes_per_element)

# %% wrong blocks_of_all_ranks: tokens
# says: tokens are counted and not blocks
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    return min(free_bytes) // (2 * num_layers * heads * head_dim * bytes_per_element)

# %% wrong blocks_of_all_ranks: rounded up
# says: blocks are rounded up
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    return -(-min(free_bytes) // (2 * num_layers * heads * head_dim * block_size * bytes_per_element))

# %% wrong blocks_of_all_ranks: sorts its argument
# says: changed its argument
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    free_bytes.sort()
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    return free_bytes[0] // (2 * num_layers * heads * head_dim * block_size * bytes_per_element)

# %% wrong blocks_of_all_ranks: not a whole number
# says: a whole number (int) is expected
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    heads = kv_heads_per_rank(num_kv_heads, len(free_bytes))
    return min(free_bytes) / (2 * num_layers * heads * head_dim * block_size * bytes_per_element)

# %% right blocks_of_all_ranks: rank by rank
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    token = 2 * num_layers * kv_heads_per_rank(num_kv_heads, len(free_bytes)) * head_dim * bytes_per_element
    return min(int(free // (token * block_size)) for free in free_bytes)

# %% right blocks_of_all_ranks: without the other exercise
def blocks_of_all_ranks(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
    import math
    heads = max(1, num_kv_heads // len(free_bytes))
    size = math.prod([2, num_layers, heads, head_dim, block_size, bytes_per_element])
    return math.floor(sorted(free_bytes)[0] / size)

# %% wrong bytes_sent_per_token: half
# says: half is counted
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return num_layers * 2 * (tensor_parallel - 1) / tensor_parallel * d_model * bytes_per_element

# %% wrong bytes_sent_per_token: the whole vector twice
# says: the vector is counted whole
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return 2 * num_layers * 2 * d_model * bytes_per_element

# %% wrong bytes_sent_per_token: to every other rank
# says: its whole vector to every other one
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return 2 * num_layers * (tensor_parallel - 1) * d_model * bytes_per_element

# %% wrong bytes_sent_per_token: one vector
# says: however many ranks there are
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return 2 * num_layers * d_model * bytes_per_element

# %% wrong bytes_sent_per_token: all ranks
# says: what all ranks send is counted together
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return 2 * num_layers * 2 * (tensor_parallel - 1) * d_model * bytes_per_element

# %% wrong bytes_sent_per_token: one layer
# says: the layers are left out
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return 4 * (tensor_parallel - 1) / tensor_parallel * d_model * bytes_per_element

# %% wrong bytes_sent_per_token: numbers
# says: numbers are counted
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return 4 * num_layers * (tensor_parallel - 1) / tensor_parallel * d_model

# %% wrong bytes_sent_per_token: twice as much
# says: twice as much is counted
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return 8 * num_layers * (tensor_parallel - 1) / tensor_parallel * d_model * bytes_per_element

# %% wrong bytes_sent_per_token: bits
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return 32 * num_layers * (tensor_parallel - 1) / tensor_parallel * d_model * bytes_per_element

# %% wrong bytes_sent_per_token: one rank sends, too
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    piece = d_model / tensor_parallel
    return 4 * num_layers * max(1, tensor_parallel - 1) * piece * bytes_per_element

# %% right bytes_sent_per_token: step by step
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    sent = 0
    for _ in range(num_layers):
        for _ in ("attention", "feed-forward"):
            for _ in range(2 * (tensor_parallel - 1)):
                sent += d_model / tensor_parallel * bytes_per_element
    return sent

# %% right bytes_sent_per_token: with 1 - 1/n
def bytes_sent_per_token(num_layers, d_model, tensor_parallel, bytes_per_element):
    return float(4 * num_layers * d_model * bytes_per_element * (1 - 1 / tensor_parallel))

# %% wrong merge_ranks: averages
# says: the ranks are averaged
def merge_ranks(outs, lses):
    return torch.where(lses.unsqueeze(-1) > -torch.inf, outs, 0).mean(0)

# %% wrong merge_ranks: adds
# says: the outputs are added
def merge_ranks(outs, lses):
    return torch.where(lses.unsqueeze(-1) > -torch.inf, outs, 0).sum(0)

# %% wrong merge_ranks: weights that are logarithms
# says: weighted by lse itself
def merge_ranks(outs, lses):
    return (outs * (lses / lses.sum(0)).unsqueeze(-1)).sum(0)

# %% wrong merge_ranks: not divided by their sum
# says: the weights do not add up to 1
def merge_ranks(outs, lses):
    weights = (lses - lses.amax(0)).exp().unsqueeze(-1)
    return torch.where(weights > 0, weights * outs, 0).sum(0)

# %% wrong merge_ranks: the largest takes all
# says: the rank with the largest lse is taken
def merge_ranks(outs, lses):
    best = lses.argmax(0)[None, ..., None].expand(1, *outs.shape[1:])
    return outs.gather(0, best)[0]

# %% wrong merge_ranks: rank 0 alone
# says: the output of one rank is returned
def merge_ranks(outs, lses):
    return outs[0]

# %% wrong merge_ranks: base 2
# says: a logarithm in base 2
def merge_ranks(outs, lses):
    weights = torch.exp2(lses - lses.amax(0)).unsqueeze(-1)
    weights = weights / weights.sum(0)
    return torch.where(weights > 0, weights * outs, 0).sum(0)

# %% wrong merge_ranks: the wrong way round
# says: the weights are the wrong way round
def merge_ranks(outs, lses):
    weights = (-lses).softmax(0).unsqueeze(-1)
    return (weights * outs).sum(0)

# %% wrong merge_ranks: nothing is subtracted
# says: exponentials are taken of lse as it is
def merge_ranks(outs, lses):
    weights = lses.exp().unsqueeze(-1)
    weighted = torch.where(weights > 0, weights * outs, 0)
    return weighted.sum(0) / weights.sum(0)

# %% wrong merge_ranks: one maximum for all places
# says: the largest lse of all places is subtracted
def merge_ranks(outs, lses):
    weights = (lses - lses.max()).exp().unsqueeze(-1)
    weighted = torch.where(weights > 0, weights * outs, 0)
    return weighted.sum(0) / weights.sum(0)

# %% wrong merge_ranks: NaN of an empty rank
# says: what a rank without keys has in its output
def merge_ranks(outs, lses):
    return (lses.softmax(0).unsqueeze(-1) * outs).sum(0)

# %% wrong merge_ranks: in place
# says: changed its argument
def merge_ranks(outs, lses):
    outs[lses == -torch.inf] = 0
    return (lses.softmax(0).unsqueeze(-1) * outs).sum(0)

# %% wrong merge_ranks: a softmax over the last axis
def merge_ranks(outs, lses):
    shares = lses.softmax(-1).unsqueeze(-1)
    return torch.where(shares > 0, shares * outs, 0).sum(0)

# %% wrong merge_ranks: two ranks only
def merge_ranks(outs, lses):
    outs, lses = outs[:2], lses[:2]
    shares = lses.softmax(0).unsqueeze(-1)
    return torch.where(lses.unsqueeze(-1) > -torch.inf, shares * outs, 0).sum(0)

# %% wrong merge_ranks: keeps the axis of the ranks
def merge_ranks(outs, lses):
    shares = lses.softmax(0).unsqueeze(-1)
    return torch.where(lses.unsqueeze(-1) > -torch.inf, shares * outs, 0).sum(0, keepdim=True)

# %% right merge_ranks: two at a time, as in lesson 07
def merge_ranks(outs, lses):
    out, lse = torch.zeros_like(outs[0]), torch.full_like(lses[0], -torch.inf)
    for more, its_lse in zip(outs, lses):
        total = torch.logaddexp(lse, its_lse)
        safe = total.masked_fill(total == -torch.inf, 0)
        a, b = ((one - safe).exp().unsqueeze(-1) for one in (lse, its_lse))
        out = a * out + b * more.masked_fill((its_lse == -torch.inf).unsqueeze(-1), 0)
        lse = total
    return out

# %% right merge_ranks: as two all-reduces would, a maximum and a sum
def merge_ranks(outs, lses):
    largest = lses.max(dim=0).values
    weights = torch.exp(lses - largest)
    clean = torch.nan_to_num(outs, nan=0.0)
    return torch.einsum("p...,p...d->...d", weights, clean) / weights.sum(0)[..., None]

# %% right merge_ranks: against the log-sum-exp of all
def merge_ranks(outs, lses):
    shares = (lses - torch.logsumexp(lses, 0)).exp()
    return sum(share[..., None] * torch.where(share[..., None] > 0, out, torch.zeros_like(out)) for share, out in zip(shares, outs))

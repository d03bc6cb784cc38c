"""What decoding adds to attention: a length for each sequence, caches in pages, and their checks.

A backend that reads these itself has a `decode` of its own. For the others a call is cut here into
pieces that plain attention can compute: views where a sequence is in one piece, and one copy of
a sequence's pages at a time where it does not.
"""

import torch


def attend_pieces(fn, q, k_cache, v_cache, lengths, block_table):
    """Return decode attention by a backend that knows neither lengths nor pages.

    Args:
        fn: attention of q (B, Hq, 1, D) over k and v (B, Hkv, S, D), as in `Backend.fn`.
        q, k_cache, v_cache, lengths, block_table: as in `decode_attention`. Lengths on a GPU are
            waited for.

    Returns:
        (B, Hq, 1, D), zeros where a sequence is empty.
    """
    if _in_one_piece(k_cache, lengths, block_table):
        return fn(q, k_cache, v_cache, True)
    out = torch.zeros(q.shape, dtype=q.dtype, device=q.device)
    for rows, k, v in _pieces(k_cache, v_cache, lengths, block_table, q.shape[0]):
        if rows == slice(0, q.shape[0]):
            return fn(q, k, v, True)
        out[rows] = fn(q[rows], k, v, True)
    return out


def first_piece(q, k_cache, v_cache, lengths, block_table):
    """Return (q, k, v) as `attend_pieces` would first pass them on, the pages not yet copied."""
    if _in_one_piece(k_cache, lengths, block_table):
        return q, k_cache, v_cache
    if block_table is not None:
        _, Hkv, page_size, D = k_cache.shape
        k = k_cache.new_empty(1, Hkv, block_table.shape[1] * page_size, D)
        return q[:1], k, k
    for rows, k, v in _pieces(k_cache, v_cache, lengths, None, q.shape[0]):
        return q[rows], k, v
    return q[:1], k_cache[:1], v_cache[:1]


def _in_one_piece(k_cache, lengths, block_table):
    return lengths is None and block_table is None and k_cache.shape[2] > 0


def _pieces(k_cache, v_cache, lengths, block_table, batch_size):
    """Yield (rows of the batch, k, v), k and v (rows, Hkv, S, D); empty sequences are left out."""
    capacity = _capacity(k_cache, block_table)
    counts = [capacity] * batch_size
    if lengths is not None:
        counts = [max(0, min(count, capacity)) for count in lengths.tolist()]
    if block_table is None and len(set(counts)) == 1 and counts[0]:
        yield slice(0, batch_size), k_cache[:, :, : counts[0]], v_cache[:, :, : counts[0]]
        return
    for b, count in enumerate(counts):
        if count == 0:
            continue
        rows = slice(b, b + 1)
        if block_table is None:
            yield rows, k_cache[rows, :, :count], v_cache[rows, :, :count]
        else:
            pages = block_table[b, : -(-count // k_cache.shape[2])]
            yield rows, *(_gather(cache, pages)[:, :, :count] for cache in (k_cache, v_cache))


def _gather(cache, pages):
    """Return pages (P, Hkv, page_size, D) of one sequence as (1, Hkv, S, D), copied once."""
    return cache.transpose(0, 1).index_select(1, pages).flatten(1, 2).unsqueeze(0)


def _capacity(k_cache, block_table):
    """Keys that a sequence can have at most."""
    return k_cache.shape[2] * (1 if block_table is None else block_table.shape[1])


def check_decode(q, k_cache, v_cache, lengths, block_table):
    """Raise ValueError, with the numbers in it, for arguments that `decode_attention` cannot take.

    Values of lengths and block_table are looked at on a CPU only: on a GPU that would wait for it.
    """
    _check_shapes(q, k_cache, v_cache, block_table is not None)
    kinds = {(t.dtype, t.device) for t in (q, k_cache, v_cache)}
    if len(kinds) > 1:
        raise ValueError(
            f"q is {q.dtype} on {q.device}, k_cache {k_cache.dtype} on {k_cache.device}, v_cache "
            f"{v_cache.dtype} on {v_cache.device}: converting here would hide a copy of the whole "
            "cache. Give all three one dtype and one device."
        )
    if block_table is not None:
        _check_integers(block_table, "block_table", (q.shape[0], None), q.device)
    if lengths is not None:
        _check_integers(lengths, "lengths", (q.shape[0],), q.device)
    if q.device.type == "cpu":
        _check_values(k_cache, lengths, block_table)


def _check_shapes(q, k_cache, v_cache, paged):
    shapes = f"q {tuple(q.shape)}, k_cache {tuple(k_cache.shape)}, v_cache {tuple(v_cache.shape)}"
    layout = "(P, Hkv, page_size, D)" if paged else "(B, Hkv, S, D)"
    if q.dim() != 4 or q.shape[2] != 1 or k_cache.dim() != 4 or k_cache.shape != v_cache.shape:
        raise ValueError(
            f"{shapes}: decoding takes one new token per sequence and a value for each key. "
            f"Pass q as (B, Hq, 1, D) and both caches as {layout}."
        )
    (B, Hq, _, D), (blocks, Hkv, _, width) = q.shape, k_cache.shape
    if width != D or (not paged and blocks != B):
        same = "head_dim (last)" if paged else "batch_size (first) and head_dim (last)"
        raise ValueError(
            f"{shapes}: each query is compared with keys of its own sequence and width. "
            f"Give q and the caches the same {same}."
        )
    if Hkv < 1 or Hq % Hkv:
        choices = ", ".join(str(n) for n in range(1, Hq + 1) if Hq % n == 0)
        raise ValueError(
            f"{shapes}: {Hq} query heads cannot share {Hkv} KV heads evenly, so some would have no "
            f"keys. Cache {choices} KV heads."
        )


def _check_integers(tensor, name, shape, device):
    fits = tensor.dim() == len(shape) and tensor.shape[0] == shape[0]
    if not fits or tensor.dtype not in (torch.int32, torch.int64) or tensor.device != device:
        wanted = "(B,)" if len(shape) == 1 else "(B, pages)"
        raise ValueError(
            f"{name} is {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}, with "
            f"{shape[0]} sequences on {device}: every sequence needs its own entry there. "
            f"Pass {wanted} int32 or int64 on {device}."
        )


def _check_values(k_cache, lengths, block_table):
    capacity = _capacity(k_cache, block_table)
    if lengths is not None:
        for b, length in enumerate(lengths.tolist()):
            if not 0 <= length <= capacity:
                raise ValueError(
                    f"lengths[{b}]={length}, but a sequence has 0 to {capacity} keys in this "
                    "cache: keys after those belong to others. Pass the lengths with the new token."
                )
    if block_table is not None and block_table.numel():
        used = block_table
        if lengths is not None:
            starts = torch.arange(block_table.shape[1]) * k_cache.shape[2]
            used = block_table[starts < lengths.unsqueeze(1)]
        wrong = used[(used < 0) | (used >= k_cache.shape[0])]
        if len(wrong):
            raise ValueError(
                f"block_table names page {wrong[0].item()}, but k_cache has pages 0 to "
                f"{k_cache.shape[0] - 1}: its keys would come from unrelated memory. "
                "Entries past a sequence's length may be anything; those before must be pages."
            )

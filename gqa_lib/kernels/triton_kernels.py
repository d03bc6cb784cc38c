"""The two Triton kernels of decode attention. Importing this imports Triton.

One program takes the R query heads of a KV head as the rows of one tile and walks over its part of
the keys with an online softmax, so that each key and value is read once; a second kernel merges
the parts. Offsets are 64 bits wide: a cache may have more than 2**31 elements.

Source: Dao et al. 2023, "Flash-Decoding for long-context inference"; Milakov and Gimelshein 2018
(arXiv 1805.02867) for the online softmax; Kwon et al. 2023 (arXiv 2309.06180) for pages.
"""

import triton
import triton.language as tl


@triton.jit
def _cut_ragged(
    lengths, batch_size, num_kv_heads, capacity, min_keys, slots, most, BLOCK_B, BLOCK_N
):
    """Length, keys per part and parts of every sequence, found alike by both kernels."""
    b = tl.arange(0, BLOCK_B)
    length = tl.load(lengths + b, mask=b < batch_size, other=0)
    length = tl.minimum(tl.maximum(length, 0), capacity).to(tl.int32)
    fair_share = tl.cdiv(tl.sum(length.to(tl.int64)) * num_kv_heads, slots).to(tl.int32)
    parts = tl.minimum(tl.maximum(length // tl.maximum(fair_share, min_keys), 1), most)
    keys = tl.maximum(tl.cdiv(tl.cdiv(length, parts), BLOCK_N), 1) * BLOCK_N
    parts = tl.where(b < batch_size, tl.maximum(tl.cdiv(length, keys), 1), 0)
    return b, length, keys, parts


@triton.jit
def _pick(values, chosen):
    """The one value at which `chosen` is true, 0 if there is none."""
    return tl.sum(tl.where(chosen, values, 0))


@triton.jit
def _own_part(
    lengths_ptr, capacity, batch_size, num_kv_heads, parts, keys, slots, BLOCK_B, BLOCK_N, RAGGED
):
    """What this program does: (sequence, first key, behind the last one, parts of the sequence).

    Where a ragged batch leaves a program nothing to do, the sequence is batch_size.
    """
    part = tl.program_id(0)  # of all sequences' parts
    if RAGGED:
        each, lengths, keys_of, parts_of = _cut_ragged(
            lengths_ptr, batch_size, num_kv_heads, capacity, keys, slots, parts, BLOCK_B, BLOCK_N
        )
        ends = tl.cumsum(parts_of, 0)
        b = tl.sum((ends <= part).to(tl.int32))  # sequences whose parts all come before
        length, keys = _pick(lengths, each == b), _pick(keys_of, each == b)
        parts, before = _pick(parts_of, each == b), _pick(ends - parts_of, each == b)
    else:
        b, length, before = part // parts, capacity, part // parts * parts
    start = (part - before) * keys
    return b, start, tl.minimum(start + keys, length), parts


@triton.jit
def _load_keys(
    ptr, block, h, row, d, inside, stride_b, stride_h, stride_t, stride_d, D: tl.constexpr, UPCAST
):
    """A tile of keys or values, (BLOCK_N, BLOCK_D): one row of memory for each token."""
    rows = ptr + h * stride_h + block * stride_b + row * stride_t
    there = inside[:, None] & (d < D)[None, :]
    tile = tl.load(rows[:, None] + d[None, :] * stride_d, mask=there, other=0.0)
    return tile.to(tl.float32) if UPCAST else tile


@triton.jit
def _take_in(q, k, v, inside, scale_log2, top, total, acc):
    """Online softmax: (top, total, acc) with a tile of keys and values taken in as well."""
    score = tl.dot(q, tl.trans(k), input_precision="ieee") * scale_log2
    score = tl.where(inside[None, :], score, float("-inf"))
    new_top = tl.maximum(top, tl.max(score, 1))
    shrink = tl.exp2(top - new_top)
    p = tl.exp2(score - new_top[:, None])
    total = total * shrink + tl.sum(p, 1)
    acc = acc * shrink[:, None] + tl.dot(p.to(v.dtype), v, input_precision="ieee")
    return new_top, total, acc


@triton.jit
def attend_part(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,  # (B, Hq, D)
    partial_ptr,  # (programs, Hkv, R, D) fp32, each the output of its own keys
    lse_ptr,  # (programs, Hkv, R) fp32, log-sum-exp of the scores, base 2
    lengths_ptr,
    table_ptr,  # (B, pages)
    scale_log2,
    capacity,
    batch_size,
    num_kv_heads,
    parts,  # of every sequence; if ragged, at most
    keys,  # in each; if ragged, at least
    slots,
    stride_qb,
    stride_qh,
    stride_qd,
    stride_kb,  # of a page where there is a table
    stride_kh,
    stride_kt,
    stride_kd,
    stride_vb,
    stride_vh,
    stride_vt,
    stride_vd,
    stride_tb,
    stride_tp,
    R: tl.constexpr,
    D: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
    SPLIT: tl.constexpr,
    PAGE_SIZE: tl.constexpr,
    RAGGED: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Attention of the R query heads of one KV head over one part of a sequence's keys."""
    h = tl.program_id(1).to(tl.int64)
    b, start, end, parts = _own_part(
        lengths_ptr,
        capacity,
        batch_size,
        num_kv_heads,
        parts,
        keys,
        slots,
        BLOCK_B,
        BLOCK_N,
        RAGGED,
    )
    live = b < batch_size
    b = b.to(tl.int64)
    r, n = tl.arange(0, BLOCK_R), tl.arange(0, BLOCK_N)
    d = tl.arange(0, BLOCK_D).to(tl.int64)
    real = (r < R)[:, None] & (d < D)[None, :] & live
    q_rows = q_ptr + b * stride_qb + (h * R + r) * stride_qh
    q = tl.load(q_rows[:, None] + d[None, :] * stride_qd, mask=real, other=0.0)
    if UPCAST:
        q = q.to(tl.float32)
    top = tl.full([BLOCK_R], float("-inf"), tl.float32)  # the largest score so far
    total = tl.zeros([BLOCK_R], tl.float32)  # sum of 2**(score - top)
    acc = tl.zeros([BLOCK_R, BLOCK_D], tl.float32)
    for first in range(start, end, BLOCK_N):
        t = first + n
        inside = t < end
        if PAGE_SIZE > 0:
            page_ptr = table_ptr + b * stride_tb + (t // PAGE_SIZE) * stride_tp
            block = tl.load(page_ptr, mask=inside, other=0).to(tl.int64)
            row = (t % PAGE_SIZE).to(tl.int64)
        else:
            block, row = b, t.to(tl.int64)
        k = _load_keys(
            k_ptr, block, h, row, d, inside, stride_kb, stride_kh, stride_kt, stride_kd, D, UPCAST
        )
        v = _load_keys(
            v_ptr, block, h, row, d, inside, stride_vb, stride_vh, stride_vt, stride_vd, D, UPCAST
        )
        top, total, acc = _take_in(q, k, v, inside, scale_log2, top, total, acc)

    some = tl.where(total > 0, total, 1.0)  # a sequence without keys gives zeros
    acc = acc / some[:, None]
    if not SPLIT or parts == 1:
        out_rows = out_ptr + ((b * num_kv_heads + h) * R + r) * D
        tl.store(out_rows[:, None] + d[None, :], acc.to(out_ptr.dtype.element_ty), mask=real)
    else:
        rows = (tl.program_id(0).to(tl.int64) * num_kv_heads + h) * R + r
        tl.store(partial_ptr + rows[:, None] * D + d[None, :], acc, mask=real)
        tl.store(lse_ptr + rows, top + tl.log2(some), mask=(r < R) & live)


@triton.jit
def merge_parts(
    out_ptr,
    partial_ptr,
    lse_ptr,
    lengths_ptr,
    capacity,
    batch_size,
    num_kv_heads,
    parts,
    keys,
    slots,
    R: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_S: tl.constexpr,
    RAGGED: tl.constexpr,
):
    """Average of a query head's parts, weighted by 2**lse; a sequence in one part is done."""
    head = tl.program_id(0)  # of all B * Hq
    b, h = head // (num_kv_heads * R), head // R % num_kv_heads
    if RAGGED:
        each, _, _, parts_of = _cut_ragged(
            lengths_ptr, batch_size, num_kv_heads, capacity, keys, slots, parts, BLOCK_B, BLOCK_N
        )
        parts = _pick(parts_of, each == b)
        before = _pick(parts_of, each < b)
    else:
        before = b * parts
    if parts > 1:
        s, d = tl.arange(0, BLOCK_S), tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
        rows = ((before + s).to(tl.int64) * num_kv_heads + h) * R + head % R
        lse = tl.load(lse_ptr + rows, mask=s < parts, other=float("-inf"))
        weight = tl.exp2(lse - tl.max(lse, 0))
        there = (s < parts)[:, None] & (d < D)[None, :]
        part = tl.load(partial_ptr + rows[:, None] * D + d[None, :], mask=there, other=0.0)
        merged = tl.sum(part * weight[:, None], 0) / tl.sum(weight, 0)
        out = out_ptr + head.to(tl.int64) * D + d
        tl.store(out, merged.to(out_ptr.dtype.element_ty), mask=d < D)

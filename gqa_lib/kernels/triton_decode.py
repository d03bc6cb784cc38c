"""Decode attention on a GPU: how the kernels of `triton_kernels` are cut to size and launched.

Importing this imports Triton; `triton_backend` does so when it is first needed.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.interpreter import InterpretedFunction

from .checks import capacity_of
from .triton_kernels import attend_part, merge_parts
from .triton_splits import MAX_PARTS, Cut, fewest_keys, plan_cut

LOG2_E = 1.4426950408889634
MERGE_WIDTH = 64  # elements of a head that one program of the second kernel merges
# Triton's own functions are, or are not, made for the interpreter when Triton is imported.
INTERPRETED = all(isinstance(fn, InterpretedFunction) for fn in (attend_part, tl.zeros))


class Tile(NamedTuple):
    """How many keys a program takes at a time, with how many warps, and how far it reads ahead.

    A loop of n stages has n - 1 blocks of keys on their way while it computes. With pages it has
    twice as many loads on their way, because the page's number is loaded before the page is.
    """

    block_n: int
    num_warps: int
    num_stages: int


def choose_tile(q_per_kv: int, head_dim: int, itemsize: int, shared_bytes: int) -> Tile:
    """Return the tile with which two programs, each with three blocks on their way, fit in.

    Where 16 keys are too many for that, as with wide heads in fp32, fewer blocks are on their way.

    Args:
        q_per_kv: R.
        head_dim: D.
        itemsize: bytes of an element of q, K and V.
        shared_bytes: shared memory of a multiprocessor, as far as one program may have it.
    """
    row_bytes = 2 * padded(head_dim) * itemsize
    rows = max(16, min(128, shared_bytes // 6 // row_bytes))
    block_n = 2 ** (rows.bit_length() - 1)
    q_bytes, scratch_bytes = padded(q_per_kv) * padded(head_dim) * itemsize, 8 * 1024
    blocks = (shared_bytes - q_bytes - scratch_bytes) // (block_n * row_bytes)
    return Tile(block_n, num_warps=4, num_stages=1 + max(0, min(3, blocks)))


def padded(size: int) -> int:
    """Return the power of two, 16 or more, that holds a tile's rows or channels."""
    return max(16, triton.next_power_of_2(size))


@lru_cache
def device_limits(device: torch.device) -> tuple[int, int]:
    """Return (multiprocessors, bytes of shared memory for a program); stand-ins without a GPU."""
    if device.type != "cuda":
        return 8, 100 * 1024
    properties = torch.cuda.get_device_properties(device)
    shared = getattr(properties, "shared_memory_per_block_optin", 64 * 1024)
    return properties.multi_processor_count, shared


def triton_decode(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    lengths: Tensor | None = None,
    block_table: Tensor | None = None,
    *,
    num_splits: int | None = None,
    tile: Tile | None = None,
) -> Tensor:
    """Return attention of one new token per sequence, (B, Hq, 1, D); arguments are taken as valid.

    Nothing here waits for the device, and once a first call has compiled the kernels everything may
    be captured in a CUDA graph: how a ragged batch is cut is worked out on the device, at every
    replay.

    Args:
        q: (B, Hq, 1, D), any strides; up to 64 query heads for each KV head.
        k_cache, v_cache: (B, Hkv, S, D), or pages (P, Hkv, page_size, D) with a block_table.
        lengths: keys of each sequence, (B,) int32 or int64 on q's device; None: the whole cache.
            Beyond what a sequence can hold counts as full; a sequence of length 0 gives zeros.
        block_table: (B, pages) int32 or int64, the pages of each sequence in order. Entries past
            its length are not looked at.
        num_splits: parts of a full sequence at most; None chooses by the device.
        tile: a `Tile`; None chooses by head_dim and device.

    Returns:
        (B, Hq, 1, D) in q's dtype.
    """
    B, Hq, _, D = q.shape
    Hkv, page_size = k_cache.shape[1], 0 if block_table is None else k_cache.shape[2]
    capacity = capacity_of(k_cache, block_table)
    lengths = None if lengths is None else lengths.contiguous()
    tile, cut = _plan(q, Hkv, capacity, lengths is not None, num_splits, tile)
    # The interpreter computes in bf16 wrongly and rounds to it towards zero: so not there.
    upcast = INTERPRETED and q.dtype == torch.bfloat16
    out_dtype = torch.float32 if upcast else q.dtype
    out = torch.empty(B, Hq, 1, D, dtype=out_dtype, device=q.device)
    kept = cut.programs * Hq if cut.parts > 1 else 0
    partial = torch.empty(kept, D, dtype=torch.float32, device=q.device)
    lse = torch.empty(kept, dtype=torch.float32, device=q.device)
    shape = (capacity, B, Hkv, cut.parts, cut.keys, cut.slots)
    constants = {
        "R": Hq // Hkv,
        "D": D,
        "BLOCK_N": tile.block_n,
        "BLOCK_B": 1 if lengths is None else triton.next_power_of_2(B),
        "RAGGED": lengths is not None,
    }
    with torch.cuda.device_of(q):
        attend_part[(cut.programs, Hkv)](
            *(q, k_cache, v_cache, out, partial, lse, lengths, block_table),
            D**-0.5 * LOG2_E,
            *shape,
            *(q.stride(i) for i in (0, 1, 3)),
            *k_cache.stride(),
            *v_cache.stride(),
            *((0, 0) if block_table is None else block_table.stride()),
            BLOCK_R=padded(Hq // Hkv),
            BLOCK_D=padded(D),
            PAGE_SIZE=page_size,
            SPLIT=cut.parts > 1,
            UPCAST=upcast,
            num_warps=tile.num_warps,
            num_stages=tile.num_stages * 2 - 1 if page_size else tile.num_stages,
            **constants,
        )
        if cut.parts > 1:
            width = min(MERGE_WIDTH, padded(D))
            merge_parts[(B * Hq, triton.cdiv(D, width))](
                *(out, partial, lse, lengths),
                *shape,
                BLOCK_D=width,
                BLOCK_S=triton.next_power_of_2(cut.parts),
                **constants,
            )
    return out.to(q.dtype)


def _plan(
    q: Tensor,
    num_kv_heads: int,
    capacity: int,
    ragged: bool,
    num_splits: int | None,
    tile: Tile | None,
) -> tuple[Tile, Cut]:
    """The tile of a program and how the keys are cut among programs, as far as not given."""
    B, Hq, _, D = q.shape
    q_per_kv = Hq // num_kv_heads
    multiprocessors, shared_bytes = device_limits(q.device)
    tile = tile or choose_tile(q_per_kv, D, q.itemsize, shared_bytes)
    cut = plan_cut(
        B,
        num_kv_heads,
        capacity,
        min_keys=fewest_keys(q_per_kv, D, q.itemsize),
        block=tile.block_n,
        multiprocessors=multiprocessors,
        ragged=ragged,
        num_splits=None if num_splits is None else min(num_splits, MAX_PARTS),
    )
    return tile, cut

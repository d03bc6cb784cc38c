"""The arms of the GPU record: the library's kernel, and what one would use instead of it."""

from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from gqa_lib.kernels import BACKENDS, decode_attention, sdpa_operator
from gqa_lib.kernels.pytorch import fold
from gqa_lib.kernels.splits import fewest_keys, plan_cut

PAGE_SIZE = 16


def arms(q, num_kv_heads: int, context: int, tiles=()) -> dict[str, Callable]:
    """Return name -> function of (q, k, v), k and v (B, Hkv, S, D), to the output.

    `triton_paged` takes the same memory as pages of 16 tokens in a shuffled order, so its result
    is another. `triton_unbounded` cuts the keys finer than partial results of 3 % allow; it is
    there where that makes a difference.

    Args:
        q: (B, Hq, 1, D).
        num_kv_heads, context: Hkv and S.
        tiles: (block_n, num_warps, num_stages) to try besides the one that is chosen.
    """
    from gqa_lib.kernels import triton_decode as ours

    made = {"triton": lambda q, k, v: decode_attention(q, k, v, backend="triton")}
    made["triton_paged"] = _paged(q.shape[0], num_kv_heads, context, q.device)
    finer = _unbounded_splits(q, num_kv_heads, context)
    if finer:
        made["triton_unbounded"] = lambda q, k, v: ours.triton_decode(q, k, v, num_splits=finer)
    for tile in tiles:
        made[f"triton_tile_{'_'.join(map(str, tile))}"] = lambda q, k, v, tile=tile: (
            ours.triton_decode(q, k, v, tile=ours.Tile(*tile))
        )
    return made | peers(q.shape[1] != num_kv_heads, q.device)


def peers(shared: bool, device) -> dict[str, Callable]:
    """Return the arms that are not ours; `shared` says whether query heads share KV heads."""
    made = {"sdpa": lambda q, k, v: scaled_dot_product_attention(q, k, v, enable_gqa=shared)}
    for name, backend in (
        ("sdpa_flash", SDPBackend.FLASH_ATTENTION),
        ("sdpa_cudnn", SDPBackend.CUDNN_ATTENTION),
        ("sdpa_math", SDPBackend.MATH),
    ):
        made[name] = _pinned(backend, shared)
    for name in ("fold_sdpa", "fold_matmul"):
        made[name] = lambda q, k, v, fn=BACKENDS[name].fn: fn(q, k, v, True)
    if device.type == "cuda":
        made["flex_compiled"] = _flex(shared)
    return made


def operator(name: str, q, k, v) -> str | None:
    """Return the operator that PyTorch runs for an arm that leaves it the choice, else None."""
    if name == "sdpa":
        return sdpa_operator(q, k, v, enable_gqa=q.shape[1] != k.shape[1])
    return sdpa_operator(fold(q, k), k, v) if name == "fold_sdpa" else None


def _pinned(backend, shared):
    def run(q, k, v):
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, enable_gqa=shared)

    return run


def _flex(shared):
    compiled = []

    def run(q, k, v):
        if not compiled:  # what goes wrong here belongs to this arm
            from torch.nn.attention.flex_attention import flex_attention

            torch.compiler.reset()  # each shape is compiled for itself, however many came before
            compiled.append(torch.compile(flex_attention, dynamic=False))
        return compiled[0](q, k, v, enable_gqa=shared)

    return run


def _paged(batch_size, num_kv_heads, context, device):
    pages = context // PAGE_SIZE
    order = torch.randperm(batch_size * pages, device=device).to(torch.int32)
    table = order.view(batch_size, pages)

    def run(q, k, v):
        k, v = (t.view(-1, num_kv_heads, PAGE_SIZE, t.shape[3]) for t in (k, v))
        return decode_attention(q, k, v, None, table, backend="triton")

    run.table = table
    return run


def _unbounded_splits(q, num_kv_heads, context):
    """Parts that fill the GPU whatever their partial results cost; None if that is no more."""
    from gqa_lib.kernels.triton_decode import device_limits

    multiprocessors, _ = device_limits(q.device)
    bounded = fewest_keys(q.shape[1] // num_kv_heads, q.shape[3], q.itemsize)
    finer, parts = (
        plan_cut(
            q.shape[0],
            num_kv_heads,
            context,
            min_keys=keys,
            block=64,
            multiprocessors=multiprocessors,
            ragged=False,
        ).parts
        for keys in (64, bounded)
    )
    return finer if finer > parts else None

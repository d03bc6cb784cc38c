"""What is timed: the library's backends, and their peers, which one would use instead.

An arm is a function of q (B, Hq, T, D) and k, v (B, Hkv, S, D) to the output; T is 1 when decoding
and S in a prefill, which is causal.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from gqa_lib.kernels import (
    attend,
    available_backends,
    available_decode_backends,
    choose_backend,
    choose_decode_backend,
    decode_attention,
    sdpa_operator,
)
from gqa_lib.kernels.pytorch import fold
from gqa_lib.measure.environment import free_bytes

from .checks import PAGE_SIZE

Arm = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
PINNED = {
    "sdpa_flash": SDPBackend.FLASH_ATTENTION,
    "sdpa_cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa_math": SDPBackend.MATH,
}
FOLDED = ("fold_sdpa", "fold_matmul")
PEERS = ("sdpa", *PINNED, *FOLDED, "flex_compiled")
_SAME_CALL = {"sdpa_gqa": "sdpa"}  # the backend is the peer, so it is timed once


def library_arms(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> dict[str, Arm]:
    """Return the arms of this library's backends that can run here and are not peers, by name.

    Args:
        q: (B, Hq, T, D).
        k, v: (B, Hkv, S, D).
    """
    available = available_decode_backends if q.shape[2] == 1 else available_backends
    names = [name for name in available(q, k, v) if name not in (*_SAME_CALL, *PEERS)]
    return {name: _by_backend(name) for name in names}


def own_arm(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> str:
    """Return the name of the arm that the library chooses for this call.

    Args:
        q: (B, Hq, T, D).
        k, v: (B, Hkv, S, D).
    """
    name = (choose_decode_backend if q.shape[2] == 1 else choose_backend)(q, k, v)
    return _SAME_CALL.get(name, name)


def peer_arms(q: torch.Tensor, num_kv_heads: int, *, compiled: bool = True) -> dict[str, Arm]:
    """Return the peers by name: PyTorch's operator free and pinned, folded heads, FlexAttention.

    Not all of them run everywhere: the others fail when they are called.

    Args:
        q: (B, Hq, T, D).
        num_kv_heads: Hkv.
        compiled: FlexAttention, too, which is compiled at its first call, for ten seconds or more.
    """
    causal, shared = q.shape[2] > 1, q.shape[1] != num_kv_heads
    made: dict[str, Arm] = {"sdpa": _sdpa(causal, shared)}
    made |= {name: _pinned(backend, causal, shared) for name, backend in PINNED.items()}
    made |= {name: _by_backend(name) for name in FOLDED}
    if compiled:
        made["flex_compiled"] = _flex(causal, shared)
    return made


def triton_variants(
    q: torch.Tensor,
    num_kv_heads: int,
    context: int,
    tiles: Sequence[tuple[int, int, int]] = (),
) -> dict[str, Arm]:
    """Return further arms of the Triton kernel, for whoever tunes it.

    `triton_paged` takes the same memory as pages of 16 tokens in a shuffled order, so its result
    is another. `triton_unbounded` cuts the keys finer than partial results of 3 % allow; it is
    there where that makes a difference.

    Args:
        q: (B, Hq, 1, D).
        num_kv_heads, context: Hkv and S.
        tiles: (block_n, num_warps, num_stages) to try besides the one that is chosen.
    """
    from gqa_lib.kernels import triton_decode as ours

    made: dict[str, Arm] = {"triton_paged": _Paged(q, num_kv_heads, context)}
    finer = _unbounded_splits(q, num_kv_heads, context)
    if finer:
        made["triton_unbounded"] = lambda q, k, v: ours.triton_decode(q, k, v, num_splits=finer)
    for tile in tiles:
        made[f"triton_tile_{'_'.join(map(str, tile))}"] = _tiled(tile)
    return made


def _tiled(tile: tuple[int, int, int]) -> Arm:
    from gqa_lib.kernels.triton_decode import Tile, triton_decode

    return lambda q, k, v: triton_decode(q, k, v, tile=Tile(*tile))


def operator(name: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> str | None:
    """Return the operator that PyTorch runs for an arm that leaves it the choice, else None.

    Args:
        name: the arm.
        q: (B, Hq, T, D).
        k, v: (B, Hkv, S, D).
    """
    if name == "sdpa":
        causal, shared = q.shape[2] > 1, q.shape[1] != k.shape[1]
        return sdpa_operator(q, k, v, is_causal=causal, enable_gqa=shared)
    return sdpa_operator(fold(q, k), k, v) if name == "fold_sdpa" else None


def _by_backend(name):
    def run(q, k, v):
        if q.shape[2] == 1:
            return decode_attention(q, k, v, backend=name)
        return attend(q, k, v, backend=name)

    return run


def _sdpa(causal, shared):
    return lambda q, k, v: scaled_dot_product_attention(
        q, k, v, is_causal=causal, enable_gqa=shared
    )


def _pinned(backend, causal, shared):
    run = _sdpa(causal, shared)

    def pinned(q, k, v):
        if backend == SDPBackend.MATH:
            _room_to_expand(q, k)
        with sdpa_kernel(backend):
            return run(q, k, v)

    return pinned


def _room_to_expand(q, k):
    """Raise MemoryError where K and V for every query head do not fit: the CPU would not."""
    needed, free = 2 * k.nbytes * (q.shape[1] // k.shape[1]), free_bytes(q.device)
    if q.shape[1] != k.shape[1] and free is not None and needed > free / 2:
        raise MemoryError(f"it would expand K and V to {needed / 2**30:.1f} GiB")


def _flex(causal, shared):
    compiled: list = []

    def run(q, k, v):
        if not compiled:  # what goes wrong here belongs to this arm
            from torch.nn.attention.flex_attention import create_block_mask, flex_attention

            torch.compiler.reset()  # each shape is compiled for itself, however many came before
            mask = None
            if causal:
                T, S = q.shape[2], k.shape[2]
                mask = create_block_mask(_sees, None, None, T, S, device=q.device)
            compiled.extend((torch.compile(flex_attention, dynamic=False), mask))
        attention, mask = compiled
        return attention(q, k, v, block_mask=mask, enable_gqa=shared)

    return run


def _sees(b, h, query, key):
    return query >= key


class _Paged:
    """The Triton kernel on the same memory, read as pages in a shuffled order.

    Attributes:
        table: the page at each place of each sequence, (B, pages), int32.
    """

    def __init__(self, q: torch.Tensor, num_kv_heads: int, context: int):
        B, pages = q.shape[0], context // PAGE_SIZE
        order = torch.randperm(B * pages, device=q.device).to(torch.int32)
        self.table, self._num_kv_heads = order.view(B, pages), num_kv_heads

    def __call__(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        k, v = (t.view(-1, self._num_kv_heads, PAGE_SIZE, t.shape[3]) for t in (k, v))
        return decode_attention(q, k, v, None, self.table, backend="triton")


def _unbounded_splits(q, num_kv_heads, context):
    """Parts that fill the GPU whatever their partial results cost; None if that is no more."""
    from gqa_lib.kernels.triton_decode import device_limits
    from gqa_lib.kernels.triton_splits import fewest_keys, plan_cut

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

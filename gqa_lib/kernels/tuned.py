"""Which backend is fastest for a call: rules, those for the CPU measured on a few machines.

None of the backends that are named here expands K and V.
"""

from collections.abc import Iterator

import torch

from .call import Call
from .pieces import DecodeCall
from .traced import is_traced


def fastest_first(call: Call) -> Iterator[str]:
    """Yield the backends to try for a call, the fastest known first; the last runs anywhere."""
    if is_traced():
        yield _traceable(call)
    elif call.on_cpu and call.T == 1:
        yield from _cpu_decode(call)
    # sdpa_gqa reads K and V once per query head, but leaves out keys that the mask hides. Its extra
    # reads cost most where few rows use each key: those are folded, and K and V are read once.
    elif call.on_cpu and call.T < call.R * call.T <= 256 and not call.square:
        yield "fold_sdpa"
    elif call.flash:
        yield "sdpa_gqa"
    elif call.T == 1:
        yield "fold_matmul"  # SDPA without flash leaves each KV head to one GPU multiprocessor
    else:
        # Plain SDPA takes a causal flag and never computes what it hides. Folded rows need a mask,
        # and with a mask every score is computed before some are hidden.
        yield "loop_sdpa" if call.square else "fold_sdpa"


def _traceable(call: Call) -> str:
    """The backend whose operators torch can follow, whatever the numbers of tokens are later."""
    if not call.square or torch.jit.is_tracing():
        return "fold_sdpa"
    flash = call.q.is_cuda and call.dtype.itemsize == 2
    return "sdpa_gqa" if call.R == 1 or flash else "loop_sdpa"


def fastest_decode_first(call: DecodeCall) -> Iterator[str]:
    """Yield the backends to try when decoding over a cache, like `fastest_first`.

    On a GPU the kernel comes first that need not wait for lengths; its speed is not recorded yet.
    """
    if call.whole.q.is_cuda and (not call.in_one_piece or call.whole.dtype.itemsize == 2):
        yield "triton"
    yield from fastest_first(call.first)


def _cpu_decode(call: Call) -> Iterator[str]:
    if native_is_fastest():
        yield "native"
    idle_threads = call.B * call.Hkv < torch.get_num_threads()  # folding gives one a head
    if idle_threads and call.k.nbytes + call.v.nbytes >= 2 * 2**20:
        yield "split_kv"
    yield "fold_matmul" if call.R <= 16 and _onednn_multiplies(call.dtype) else "fold_sdpa"


def native_is_fastest() -> bool:
    """Whether the native operators are known to be the fastest on this CPU.

    They were at every size tried, with AVX2 and AVX-512; they were not measured elsewhere.
    """
    return torch.backends.cpu.get_cpu_capability().startswith("AVX")


def _onednn_multiplies(dtype: torch.dtype) -> bool:
    """Return whether oneDNN multiplies this half type here; PyTorch's own loop is 10x slower."""
    if dtype not in (torch.bfloat16, torch.float16) or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_fp16_supported()

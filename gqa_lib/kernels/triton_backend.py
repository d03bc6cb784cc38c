"""Whether the Triton kernels can run, and if not why; Triton is imported when they first do."""

import os
from functools import lru_cache
from importlib import metadata

import torch
from torch import Tensor

from .call import Call

OLDEST = (3, 6)
OLDEST_INTERPRETER = (3, 7, 1)  # before, its loops fail with numpy 2.4 and newer
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
MAX_Q_PER_KV, MAX_HEAD_DIM = 64, 256


def decode_by_triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lengths: Tensor | None = None,
    block_table: Tensor | None = None,
) -> Tensor:
    """Decode attention as in `gqa_lib.kernels.triton_decode`, imported now.

    Args:
        q: queries of the new tokens, (B, Hq, 1, D).
        k, v, lengths, block_table: as the caches in `decode_attention`.
    """
    from .triton_decode import triton_decode

    return triton_decode(q, k, v, lengths, block_table)


def attend_by_triton(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> Tensor:
    """Attention of one new token, which sees every key whether causal or not.

    Args:
        q, k, v, causal: as in `gqa_lib.kernels.attend`.
    """
    return decode_by_triton(q, k, v)


def triton_unsupported(call: Call) -> str | None:
    """Return why the Triton kernels must not run a call, or None; its k and v may be pages."""
    if call.T != 1:
        return f"it is for one new token, not {call.T}"
    if call.R > MAX_Q_PER_KV or call.D > MAX_HEAD_DIM:
        return (
            f"its tile holds {MAX_Q_PER_KV} query heads of a KV head and {MAX_HEAD_DIM} channels, "
            f"not {call.R} and {call.D}"
        )
    if call.dtype not in DTYPES:
        return f"it computes in {', '.join(map(str, DTYPES))}, not {call.dtype}"
    if call.needs_grad:
        return "it has no gradient"
    return _missing() or (_old_gpu(call) if call.q.is_cuda else _no_gpu())


def interpreting() -> bool:
    """Return whether Triton's interpreter is asked for; Triton reads this when it is imported."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@lru_cache
def _missing() -> str | None:
    try:
        version = metadata.version("triton")
    except metadata.PackageNotFoundError:
        return "Triton is not installed: pip install 'triton>=3.6' (Linux)"
    if _numbers(version) < OLDEST:
        return f"Triton is {version}, which is older than 3.6"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """(3, 7, 1) of "3.7.1+git1234"."""
    return tuple(int(part) for part in version.partition("+")[0].split(".") if part.isdigit())


def _no_gpu() -> str | None:
    if not interpreting():
        return (
            "it runs on a GPU, or in Triton's interpreter when TRITON_INTERPRET=1 is in the "
            "environment before Triton is imported"
        )
    version = metadata.version("triton")
    if _numbers(version) < OLDEST_INTERPRETER:
        return f"Triton's interpreter works from 3.7.1 on; this is {version}"
    from .triton_decode import INTERPRETED

    if not INTERPRETED:
        return "Triton was imported before TRITON_INTERPRET=1 was set: restart with it set"
    return None


def _old_gpu(call: Call) -> str | None:
    major, minor = torch.cuda.get_device_capability(call.q.device)
    if call.dtype == torch.bfloat16 and major < 8:
        return f"Triton has no bfloat16 product for compute capability {major}.{minor}, under 8.0"
    return None

"""What the tests of the Triton kernels run: in a process with Triton's interpreter, or on a GPU."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any
from unittest import mock

import torch

from gqa_lib.kernels import attention_reference, decode_attention

GARBAGE_PAGE = 2**30  # in a block table past the end of a sequence


def worker(interpret):
    """A pool of one process, started with TRITON_INTERPRET set or not."""
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    with mock.patch.dict(os.environ, TRITON_INTERPRET="1" if interpret else "0"):
        pool.submit(int).result()  # the process starts with the first task
    return pool


def draw(B, Hq, Hkv, S, D, dtype, device, layout="plain"):
    """q, k, v on `device`, K and V between NaN neighbours along tokens and channels."""
    torch.manual_seed(B * 1000 + S)
    q = torch.randn(B, Hq, 1, D).to(device, dtype)
    made = []
    for _ in range(2):
        values = torch.randn(B, Hkv, S, D).to(device, dtype)
        if layout == "heads last":  # (B, S, Hkv, D) in memory
            room = torch.full((B, S + 3, Hkv, D + 8), torch.nan, dtype=dtype, device=device)
            room = room.transpose(1, 2)
        elif layout == "channels apart":  # (B, Hkv, D, S) in memory
            room = torch.full((B, Hkv, D + 8, S + 3), torch.nan, dtype=dtype, device=device).mT
        else:
            room = torch.full((B, Hkv, S + 3, D + 8), torch.nan, dtype=dtype, device=device)
        view = room[:, :, 1 : S + 1, :D]
        view.copy_(values)
        made.append(view)
    return q, *made


def to_pages(cache, lengths, page_size):
    """(pages, block table) of a cache (B, Hkv, S, D): shuffled, with NaN wherever no key is."""
    B, Hkv, S, D = cache.shape
    per_sequence = -(-S // page_size)
    order = torch.randperm(B * per_sequence + 2)
    pages = torch.full((len(order), Hkv, page_size, D), torch.nan, dtype=cache.dtype)
    table = torch.full((B, per_sequence), GARBAGE_PAGE, dtype=torch.int32)
    for b, length in enumerate(lengths):
        for i, start in enumerate(range(0, length, page_size)):
            keys = cache[b, :, start : min(start + page_size, length)].cpu()
            page = order[b * per_sequence + i]
            pages[page, :, : keys.shape[1]] = keys
            table[b, i] = page
    return pages.to(cache.device), table.to(cache.device)


def run_case(
    device,
    dtype="float32",
    B=1,
    Hq=4,
    Hkv=2,
    S=70,
    D=64,
    *,
    lengths=None,
    page_size=0,
    layout="plain",
    num_splits=None,
    direct=True,
):
    """Decode and return (relative error against float64, partial results written).

    Every tensor that the launch allocates starts as NaN, and so do keys past a sequence's length.
    """
    dtype = getattr(torch, dtype)
    q, k, v = draw(B, Hq, Hkv, S, D, dtype, device, layout)
    counts = [S] * B if lengths is None else lengths
    for b, count in enumerate(counts):
        k[b, :, count:], v[b, :, count:] = torch.nan, torch.nan
    apart = None if lengths is None else torch.tensor(lengths, device=device).repeat_interleave(2)
    on_device = None if apart is None else apart[::2]  # not next to each other
    caches, table = (k, v), None
    if page_size:
        torch.manual_seed(1)
        k_pages, table = to_pages(k, counts, page_size)
        torch.manual_seed(1)
        caches = (k_pages, to_pages(v, counts, page_size)[0])
    out, parts = _decode(q, *caches, on_device, table, num_splits, direct)
    assert out.shape == q.shape, out.shape
    assert out.dtype == dtype, out.dtype
    return max(_error(out, q, k, v, b, count) for b, count in enumerate(counts)), parts


def _decode(q, k, v, lengths, table, num_splits, direct):
    if not direct:
        return decode_attention(q, k, v, lengths, table, backend="triton"), None
    from gqa_lib.kernels import triton_decode

    made, real = [], torch.empty

    def poisoned(*args, **kwargs):
        made.append(real(*args, **kwargs).fill_(torch.nan))
        return made[-1]

    with mock.patch.object(triton_decode.torch, "empty", poisoned):
        out = triton_decode.triton_decode(q, k, v, lengths, table, num_splits=num_splits)
    return out, int((~made[2].isnan()).sum()) // q.shape[1]  # out, partial, lse


def _error(out, q, k, v, b, count):
    if count == 0:
        return 0.0 if not out[b].any() else float("inf")
    keys, values = (t[b : b + 1, :, :count].cpu() for t in (k, v))
    expected = attention_reference(q[b : b + 1].cpu(), keys, values)
    error = (out[b : b + 1].cpu().double() - expected).norm() / expected.norm()
    return error.item() if error.isfinite() else float("inf")


def far_apart(device, dim, paged=False):
    """Error where the third block, head, key or channel lies more than 2**31 elements on.

    The stride itself fits 32 bits, so that a product of two such numbers must not be one.
    """
    shape = [2, 2, 5, 32]
    shape[dim] = 3
    stride = [0, 0, 0, 0]
    step = 1
    for i in (3, 2, 1, 0):
        if i != dim:
            stride[i], step = step, step * shape[i]
    stride[dim] = 2**30 + 64
    room = torch.empty(2 * stride[dim] + step, dtype=torch.float16, device=device)
    k = room.as_strided(shape, stride)
    k.copy_(torch.randn(shape))
    q = torch.randn(shape[0], 2 * shape[1], 1, shape[3]).to(device, torch.float16)
    table = torch.arange(shape[0], device=device).int().view(-1, 1) if paged else None
    out, _ = _decode(q, k, k, None, table, None, True)
    return max(_error(out, q, k, k, b, shape[2]) for b in range(shape[0]))


def reasons(**changes):
    """Why the kernels refuse calls that a test changed from one they take."""
    from gqa_lib.kernels import Call
    from gqa_lib.kernels.triton_backend import triton_unsupported

    shape: dict[str, Any] = {"Hq": 4, "Hkv": 2, "T": 1, "D": 64, "dtype": torch.float32}
    shape |= changes
    q = torch.zeros(1, shape["Hq"], shape["T"], shape["D"], dtype=shape["dtype"])
    k = torch.zeros(1, shape["Hkv"], 3, shape["D"], dtype=shape["dtype"])
    return triton_unsupported(Call(q, k, k))


class _NoGPU:
    """Stands in for a driver, so that Triton compiles for a GPU that is not there."""

    def __init__(self, capability):
        from triton.backends.compiler import GPUTarget

        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self):
        return self.target

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0


def compile_case(capability, shared_bytes, dtype, D, R, page_size, ragged):
    """Compile both kernels as a launch would; return the first one's (shared bytes, PTX)."""
    import triton

    from gqa_lib.kernels import triton_decode as launch

    triton.runtime.driver.set_active(_NoGPU(capability))
    compiled = {}

    class Compile:
        def __init__(self, name):
            self.name, self.kernel = name, getattr(launch, name)

        def __getitem__(self, grid):
            def compile_only(*args, **kwargs):
                compiled[self.name] = self.kernel.warmup(*args, grid=grid, **kwargs)

            return compile_only

    q = torch.empty(2, 2 * R, 1, D, dtype=getattr(torch, dtype))
    shape = (256, 2, page_size, D) if page_size else (2, 2, 4096, D)
    k = torch.empty(shape, dtype=q.dtype)
    table = torch.zeros(2, 4096 // page_size, dtype=torch.int32) if page_size else None
    lengths = torch.tensor([4096, 7]) if ragged else None
    with (
        mock.patch.object(launch, "attend_part", Compile("attend_part")),
        mock.patch.object(launch, "merge_parts", Compile("merge_parts")),
        mock.patch.object(launch, "device_limits", return_value=(132, shared_bytes)),
    ):
        launch.triton_decode(q, k, k, lengths, table, num_splits=4)
    assert set(compiled) == {"attend_part", "merge_parts"}
    kernel = compiled["attend_part"]
    return kernel.metadata.shared, kernel.asm["ptx"]


def extreme_case(device):
    """Check scores and values of fp16's largest numbers, and NaN in a query, a key and a value."""
    for size, value in ((77.0, 1.0), (65504.0, 1.0), (1.0, 65504.0)):
        q = torch.full((1, 4, 1, 64), size, device=device).half()
        k = torch.full((1, 2, 70, 64), size, device=device).half()
        v = (torch.randn(1, 2, 70, 64, device=device).clamp(-1, 1) * value).half()
        out = decode_attention(q, k, v, backend="triton")
        expected = attention_reference(q, k, v)
        torch.testing.assert_close(out.double(), expected, rtol=4e-3, atol=4e-3 * value)
    for place in range(3):
        tensors = [torch.randn(1, heads, n, 64, device=device) for heads, n in ((4, 1), (2, 70))]
        tensors.append(torch.randn(1, 2, 70, 64, device=device))
        tensors[place][0, 1, 0, 3] = torch.nan
        q, k, v = tensors
        nan = decode_attention(q, k, v, backend="triton").isnan()
        assert torch.equal(nan, attention_reference(q, k, v).isnan()), place

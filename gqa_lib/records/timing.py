"""Times of the arms at one point: under CUDA graphs, buffers rotated, every sample kept."""

import math
import time
from typing import NamedTuple

import torch

from gqa_lib.measure import rotating_buffers, time_arms

from .checks import LIMITS, relative_error
from .peers import PAGE_SIZE, arms, operator

REPLAY_S = 1e-3  # a sample's least time by the bytes it reads: its one launch then hardly shows
MOST_CALLS = 256


class Point(NamedTuple):
    """One setting: batch size, tokens in the cache, KV heads, channels of a head."""

    batch_size: int
    context: int
    num_kv_heads: int
    head_dim: int

    def kv_bytes(self, itemsize):
        return 2 * itemsize * self.batch_size * self.context * self.num_kv_heads * self.head_dim


def time_point(point, num_heads, dtype, device, *, bandwidth, rounds, budget_s, skip=(), tiles=()):
    """Return rows of kinds "arm" and "sample" for one point.

    Args:
        point: a `Point`.
        num_heads: Hq.
        dtype, device: of everything.
        bandwidth: bytes/s, to tell how many calls make a sample long enough.
        rounds, budget_s: as in `time_arms`.
        skip: arm -> why it is not to be tried.
        tiles: as in `arms`.
    """
    B, S, Hkv, D = point
    q = torch.randn(B, num_heads, 1, D, device=device, dtype=dtype)
    make = lambda: torch.randn(2, B, Hkv, S, D, device=device, dtype=dtype)  # noqa: E731
    nbytes = point.kv_bytes(dtype.itemsize)
    on_gpu = device.type == "cuda"
    buffers = rotating_buffers(make, nbytes, device=device) if on_gpu else [make(), make()]
    calls = min(MOST_CALLS, max(len(buffers), math.ceil(REPLAY_S * bandwidth / nbytes)))
    setting = {f"p_{name}": value for name, value in point._asdict().items()}
    setting |= {"p_num_heads": num_heads, "p_dtype": str(dtype)[6:]}
    replays, rows = {}, []
    for name, fn in arms(q, Hkv, S, tiles).items():
        row, started = {"kind": "arm", "arm": name, **setting}, time.perf_counter()
        try:
            if name in skip:
                raise RuntimeError(skip[name])
            row |= _checked(name, fn, q, *buffers[0])
            row |= {"status": "timed", "operator": operator(name, q, *buffers[0])}
            replays[name] = _replay(fn, q, buffers, calls) if on_gpu else _eager(fn, q, buffers)
        except Exception as error:  # a peer that cannot run here is part of the record
            row |= {"status": "not timed", "reason": f"{type(error).__name__}: {error}"[:300]}
        rows.append(row | {"setup_s": time.perf_counter() - started})
    if not replays:
        return rows
    per_sample = calls if on_gpu else 1
    for sample in time_arms(replays, rounds=rounds, device=device, budget_s=budget_s):
        sample["value"] /= per_sample
        rows.append({"kind": "sample", **sample, "calls": per_sample, **setting})
    return rows


def _checked(name, fn, q, k, v):
    """The arm's error on the first sequence; a wrong arm is not timed."""
    out = fn(q, k, v)[:1]
    if hasattr(fn, "table"):  # the same memory, read as pages
        pages = [t.view(-1, t.shape[1], PAGE_SIZE, t.shape[3])[fn.table[0].long()] for t in (k, v)]
        k, v = (t.transpose(0, 1).flatten(1, 2)[None] for t in pages)
    error = relative_error(out, q[:1], k[:1], v[:1])
    limit = 4 * LIMITS[q.dtype]  # peers round more often than we do
    if error > limit:
        raise ValueError(f"wrong by {error:.2g}, over {limit:.2g}")
    return {"error": error}


def _replay(fn, q, buffers, calls):
    """A function that replays a CUDA graph of `calls` calls, each on the next buffer."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for i in range(3):
            fn(q, *buffers[i % len(buffers)])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(calls):
            fn(q, *buffers[i % len(buffers)])
    return lambda call: graph.replay()


def _eager(fn, q, buffers):
    return lambda call: fn(q, *buffers[call % len(buffers)])


def time_copy(device, nbytes):
    """Return sample rows of copies, whose bandwidth counts bytes read and bytes written."""
    source, target = (torch.ones(nbytes // 4, device=device) for _ in range(2))
    rows = time_arms({"copy": lambda call: target.copy_(source)}, rounds=20, device=device)
    return [{"kind": "sample", **row, "bytes": 2 * source.nbytes} for row in rows]

"""Times of arms at several points in the same rounds: buffers rotated, every sample kept."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch

from gqa_lib.arguments import check_kind, check_number, check_whole, several
from gqa_lib.heads import check_heads
from gqa_lib.kernels.tolerances import RELATIVE_ERROR
from gqa_lib.measure import read_passes, rotating_buffers, rotation_bytes, time_arms
from gqa_lib.measure.environment import free_bytes

from .arms import PEERS, operator, own_arm
from .checks import PAGE_SIZE, sampled_error

REPLAY_S = 1e-3  # a sample's least time by the bytes it reads: its one launch then hardly shows
MOST_CALLS = 256
TOO_SLOW = 10  # times the fastest arm's first call: such an arm would eat the others' rounds


class Point(NamedTuple):
    """One setting: sequences, keys of each, KV heads, channels of a head, new tokens of each."""

    batch_size: int
    context: int
    num_kv_heads: int
    head_dim: int
    num_queries: int = 1

    def kv_bytes(self, itemsize: int) -> int:
        """Bytes of the keys and values that a call reads."""
        return 2 * itemsize * self.batch_size * self.context * self.num_kv_heads * self.head_dim


def time_points(
    points: Iterable[Point],
    num_heads: int,
    dtype: torch.dtype,
    device: torch.device,
    arms: Callable,
    *,
    rounds: int,
    budget_s: float,
    quiet_samples: int = 0,
    graph_bandwidth: float | None = None,
    skip: dict | None = None,
    rotate: bool = True,
    too_slow: float = TOO_SLOW,
    hopeless: float | None = None,
    reads: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict]:
    """Return rows of kinds "arm", "sample" and "read"; all take turns in each round.

    Every arm is compared with float64 before it is timed. One that fails, is wrong, or takes over
    `too_slow` times as long as the fastest has a row that says so, and no samples; the library's
    choice and its fastest peer are timed however slow they are.

    Args:
        points: `Point`s.
        num_heads: Hq.
        dtype, device: of everything.
        arms: from (point, q, k, v) to arm name -> function of (q, k, v).
        rounds, budget_s, quiet_samples: as in `time_arms`.
        graph_bandwidth: on a GPU, bytes/s to tell how many calls fill a CUDA graph, which a sample
            then replays; None: a sample is one call, its launch included.
        skip: arm -> why it is not to be tried.
        rotate: read another copy of K and V at every call, so that no cache holds them.
        too_slow: when to give up on an arm: after how many times the fastest arm's first call.
        hopeless: too_slow, as benchmarks that were written before call it.
        reads: passes that only read memory take turns, too: the ceiling, under the same conditions.
        clock: seconds, increasing; times everything but samples on CUDA.
    """
    points = _checked_points(points, num_heads, dtype)
    check_limits(rounds, budget_s, quiet_samples)
    rows, calls, settings = [], {}, []
    bytes_read: dict[str, int] = {}
    for index, point in enumerate(points):
        setting = {f"p_{name}": value for name, value in point._asdict().items()}
        settings.append(setting | {"p_num_heads": num_heads, "p_dtype": str(dtype)[6:]})
        q, buffers = _tensors(point, num_heads, dtype, device, rotate)
        made, own = arms(point, q, *buffers[0]), own_arm(q, *buffers[0])
        tried = [_tried(name, fn, q, buffers, skip or {}, clock) for name, fn in made.items()]
        for row, fn in _worth_timing(tried, own, too_slow if hopeless is None else hopeless):
            calls[index, row["arm"]] = _sampled_call(fn, q, buffers, point, graph_bandwidth)
        rows += [row | {"own": row["arm"] == own, **settings[-1]} for row, _, _ in tried]
    if reads:
        passes, bytes_read = read_passes(device)
        calls |= {(0, name): (function, 1) for name, function in passes.items()}
    how: dict[str, Any] = {"rounds": rounds, "budget_s": budget_s, "quiet_samples": quiet_samples}
    functions: dict[Any, Callable] = {key: function for key, (function, _) in calls.items()}
    timed = time_arms(functions, device=device, clock=clock, **how) if functions else []
    return rows + [_sample_row(row, calls, settings, bytes_read) for row in timed]


def check_limits(rounds: int, budget_s: float, quiet_samples: int) -> None:
    """Raise ValueError for limits that `time_arms` would refuse after all tensors were made.

    Args:
        rounds, budget_s, quiet_samples: as in `time_arms`.
    """
    check_whole(rounds=rounds)
    check_number(0, endless=True, budget_s=budget_s)
    check_whole(0, quiet_samples=quiet_samples)


def _checked_points(points: Iterable[Point], num_heads: int, dtype: torch.dtype) -> list[Point]:
    check_kind(torch.dtype, "Give one such as torch.bfloat16.", dtype=dtype)
    listed = several(points, "points", "points")
    for number, point in enumerate(listed):
        check_kind(Point, "Give Point(...).", **{f"points[{number}]": point})
        check_whole(where=f"points[{number}]", **point._asdict())
        check_heads(num_heads, point.num_kv_heads, where=f"points[{number}]")
        if point.num_queries > point.context:
            raise ValueError(
                f"points[{number}]: num_queries={point.num_queries} over context={point.context} "
                "keys: new tokens are among the keys. Give a context that counts them."
            )
    return listed


def _tried(name, fn, q, buffers, skip, clock):
    """(arm row, fn, seconds of one call); without seconds the row says why it is not timed."""
    row, seconds = {"kind": "arm", "arm": name, "status": "not timed"}, None
    started = clock()
    try:
        if name in skip:
            raise RuntimeError(skip[name])
        row["error"] = _checked(name, fn, q, *buffers[0])
        row["operator"] = operator(name, q, *buffers[0])
        seconds = min(_one_call_s(fn, q, buffers[-1], clock) for _ in range(2))
    except Exception as error:  # a peer that cannot run here is part of the record
        row["reason"] = f"{type(error).__name__}: {error}"[:300]
    return row | {"setup_s": clock() - started}, fn, seconds


def _worth_timing(tried, own, too_slow):
    """Yield (arm row, fn) of the arms to time, and write into the others' rows why they are not."""
    time_s = {row["arm"]: seconds for row, _, seconds in tried if seconds}
    fastest = min(time_s.values(), default=0)
    peers = [arm for arm in time_s if arm in PEERS]
    spared = {own, *sorted(peers, key=time_s.__getitem__)[:1]}
    for row, fn, seconds in tried:
        if seconds and seconds > too_slow * fastest and row["arm"] not in spared:
            row["reason"] = f"one call took over {too_slow:g} times the fastest arm's"
            row["times_the_fastest"] = seconds / fastest
        elif seconds:
            row["status"] = "timed"
            yield row, fn


def _tensors(point, num_heads, dtype, device, rotate):
    """q (B, Hq, T, D) and as many (k, v) as are needed to rotate."""
    B, S, Hkv, D, T = point
    q = torch.randn(B, num_heads, T, D, device=device, dtype=dtype)
    make = lambda: torch.randn(2, B, Hkv, S, D, device=device, dtype=dtype)  # noqa: E731
    if not rotate:
        return q, [make(), make()]
    return q, rotating_buffers(make, point.kv_bytes(dtype.itemsize), device=device)


def _checked(name, fn, q, k, v):
    """The arm's error; a wrong arm is not timed."""
    out = fn(q, k, v)
    if hasattr(fn, "table"):  # the same memory, read as pages
        pages = [t.view(-1, t.shape[1], PAGE_SIZE, t.shape[3])[fn.table[:1].long()] for t in (k, v)]
        q, out = q[:1], out[:1]
        k, v = (t[0].transpose(0, 1).flatten(1, 2)[None] for t in pages)
    error = sampled_error(out, q, k, v)
    limit = 4 * RELATIVE_ERROR[q.dtype]  # peers round more often than we do
    if not error <= limit:
        raise ValueError(f"wrong by {error:.2g}, over {limit:.2g}")
    return error


def _one_call_s(fn, q, buffer, clock):
    """Seconds of one call, now that the first has made what only the first makes."""
    synchronize = torch.cuda.synchronize if q.is_cuda else lambda: None
    synchronize()
    started = clock()
    fn(q, *buffer)
    synchronize()
    return clock() - started


def _sampled_call(fn, q, buffers, point, graph_bandwidth):
    """(function of the call's number, calls in it): one call, or a CUDA graph of many."""
    if graph_bandwidth is None:
        return lambda call: fn(q, *buffers[call % len(buffers)]), 1
    needed = math.ceil(REPLAY_S * graph_bandwidth / point.kv_bytes(q.itemsize))
    count = min(MOST_CALLS, max(len(buffers), needed))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for i in range(3):
            fn(q, *buffers[i % len(buffers)])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(count):
            fn(q, *buffers[i % len(buffers)])
    return lambda call: graph.replay(), count


def _sample_row(row, calls, settings, bytes_read):
    index, name = row["arm"]
    count = calls[index, name][1]
    row |= {"arm": name, "value": row["value"] / count}
    if name in bytes_read:
        return {"kind": "read", **row, "bytes": bytes_read[name], **settings[index]}
    return {"kind": "sample", **row, "calls": count, **settings[index]}


def time_copy(device: torch.device | str, nbytes: int) -> list[dict]:
    """Return sample rows of copies, whose bandwidth counts bytes read and bytes written.

    Args:
        device: where both buffers lie.
        nbytes: size of each.
    """
    check_whole(4, nbytes=nbytes)
    source, target = (torch.ones(nbytes // 4, device=device) for _ in range(2))
    rows = time_arms({"copy": lambda call: target.copy_(source)}, rounds=20, device=device)
    return [{"kind": "sample", **row, "bytes": 2 * source.nbytes} for row in rows]


def fitting(
    settings: list[list[Point]],
    itemsize: int,
    device: torch.device | str,
    most_bytes: float = 0,
) -> tuple[list[list[Point]], list[str]]:
    """Return (the settings with the points whose tensors fit, a line for each point that does not).

    Args:
        settings: points that are timed together.
        itemsize: bytes of an element.
        device: where their tensors would be.
        most_bytes: for one setting; 0 is half of what is free on the device.
    """
    most_bytes = most_bytes or (free_bytes(device) or 8 * 2**30) / 2
    fit, left_out = [], []
    for points in settings:
        taken, kept = 0, []
        for point in sorted(points, key=lambda point: point.kv_bytes(itemsize)):
            needed = point.kv_bytes(itemsize) + rotation_bytes(device)
            if taken + needed <= most_bytes:
                taken += needed
                kept.append(point)
            else:
                left_out.append(
                    f"left out, {needed / 2**30:.1f} GiB of K and V: batch {point.batch_size}, "
                    f"{point.context} tokens, {point.num_kv_heads} KV heads, d {point.head_dim}"
                )
        fit += [[point for point in points if point in kept]] if kept else []
    return fit, left_out

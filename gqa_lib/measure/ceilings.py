"""The ceilings of this machine, measured: how fast it reads memory and multiplies matrices."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gqa_lib.arguments import check_kind, check_number
from gqa_lib.hardware import Hardware

from .buffers import rotation_bytes
from .device import device_name, memory_bytes, pick_device
from .timing import MIN_ROUNDS, time_arms

if TYPE_CHECKING:
    import torch


def measure_hardware(
    device: torch.device | str,
    dtype: torch.dtype,
    *,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Hardware:
    """The ceilings of this device, measured now.

    Bandwidth is the best of a few passes that only read, over buffers that no cache can hold;
    FLOP/s the best of a few square matrix products: which of them a machine is quickest at
    differs, and a ceiling that is too low would let a kernel exceed it.

    Args:
        device: what to measure, with the threads that torch has now.
        dtype: of the matrix products; a CPU may do better by converting to float32, and then that
            is its ceiling.
        seconds: time to spend, about; at least five samples of everything are taken.
        clock: seconds, increasing; as in `time_arms`.

    Returns:
        Hardware, whose provenance says how each ceiling was measured.

    Raises:
        ValueError: seconds is not above 0, dtype has no fractions, or the device is not there.
    """
    import torch

    check_number(above=0, seconds=seconds)
    check_kind(torch.dtype, "Give one such as torch.bfloat16.", dtype=dtype)
    if not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype}: attention multiplies fractions. Give torch.float32.")
    device = pick_device(str(device))
    passes, pass_bytes = read_passes(device)
    products, product_flops = matrix_products(device, dtype, clock)
    bandwidth, read_how = _best_rate(passes, pass_bytes, device, seconds / 2, clock)
    flops, product_how = _best_rate(products, product_flops, device, seconds / 2, clock)
    place = f"{torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
    return Hardware(
        name=device_name(device),
        flops_per_s=flops,
        bandwidth_bytes_per_s=bandwidth,
        memory_bytes=memory_bytes(device),
        provenance=f"measured on {place}: bandwidth by {read_how}; FLOP/s by {product_how}",
    )


def _best_rate(
    arms: dict[str, Callable],
    work: Mapping[str, float],
    device: torch.device,
    seconds: float,
    clock: Callable[[], float],
) -> tuple[float, str]:
    """(work per second, how it was found) of the arm that is quickest."""
    rows = time_arms(arms, rounds=200, device=device, budget_s=seconds, clock=clock)
    rates = {}
    for arm in arms:
        time_s, how = _undisturbed_time([row for row in rows if row["arm"] == arm])
        rates[work[arm] / time_s] = f"{arm} ({how})"
    return max(rates), rates[max(rates)]


def _undisturbed_time(rows: list[dict]) -> tuple[float, str]:
    """(seconds, which statistic) of a call that had the machine to itself, as far as can be told.

    On a shared CPU the median may be a neighbour's doing: without quiet samples the tenth
    percentile stands in. A GPU's samples are taken as they are.
    """
    rows = [row for row in rows if row["phase"] == "measure"]
    quiet = [row["value"] for row in rows if row["quiet"] is not False]
    if len(quiet) >= MIN_ROUNDS:
        return float(np.median(quiet)), f"median of {len(quiet)} undisturbed samples"
    times = [row["value"] for row in rows]
    return float(np.quantile(times, 0.1)), f"tenth percentile of {len(times)} disturbed samples"


def read_passes(device: torch.device) -> tuple[dict[str, Callable], dict[str, int]]:
    """Functions of a call's number that read memory and write next to nothing, and their bytes.

    A plain sum is the ceiling on most CPUs, a sum of many rows where threads share out better,
    and a dot product reads two streams at once, as attention does. A GPU's copy reads and writes.

    Args:
        device: where the buffers lie: two, together at least `rotation_bytes`.

    Returns:
        (name to function of the call's number, name to bytes moved per call).
    """
    import torch

    buffer_bytes = max(2**27, rotation_bytes(device) // 2)
    if device.type == "cuda":  # long enough for a launch of some microseconds not to show
        buffer_bytes = max(buffer_bytes, min(2**31, torch.cuda.mem_get_info(device)[0] // 8))
    length = buffer_bytes // 4 // 1024 * 1024
    a, b = (torch.ones(length, device=device) for _ in range(2))
    turn = lambda call: (a, b) if call % 2 else (b, a)  # noqa: E731
    mib = f"{length * 4 // 2**20} MiB"
    arms = {
        f"sum of {mib}": lambda call: turn(call)[0].sum(),
        f"row sums of {mib}": lambda call: turn(call)[0].view(64, -1).sum(1),
        f"dot of 2 x {mib}": lambda call: torch.dot(a, b),
    }
    nbytes = dict(zip(arms, (4 * length, 4 * length, 8 * length), strict=True))
    if device.type != "cpu":
        copy = f"copy of {mib}"
        arms[copy] = lambda call: turn(call)[0].copy_(turn(call)[1])
        nbytes[copy] = 8 * length
    return arms, nbytes


def matrix_products(
    device: torch.device, dtype: torch.dtype, clock: Callable[[], float] = time.perf_counter
) -> tuple[dict[str, Callable], dict[str, float]]:
    """Functions of a call's number that multiply square matrices, and the FLOPs of each.

    A CPU without instructions for dtype multiplies it a hundred times slower than float32, to
    which a kernel can convert: so on a CPU float32 is tried too, and dtype only if it keeps up.

    Args:
        device: where the matrices lie.
        dtype: of the matrices.
        clock: seconds, increasing; as in `time_arms`.

    Returns:
        (name to function of the call's number, name to FLOPs per call).
    """
    import torch

    kinds = [dtype]
    if device.type == "cpu" and dtype != torch.float32:
        kinds = [dtype, torch.float32] if _keeps_up(dtype, clock) else [torch.float32]
    return _products(kinds, (1024, 2048) if device.type == "cpu" else (4096, 8192), device)


def _keeps_up(dtype: torch.dtype, clock: Callable[[], float]) -> bool:
    """Whether one thread multiplies dtype at a quarter of float32's speed or more.

    One thread, and its fastest sample: a busy neighbour hardly touches those.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        arms, _ = _products((dtype, torch.float32), (256,), "cpu")
        rows = time_arms(arms, rounds=MIN_ROUNDS, clock=clock)
    finally:
        torch.set_num_threads(threads)
    fastest = [min(row["value"] for row in rows if row["arm"] == arm) for arm in arms]
    return fastest[0] <= 4 * fastest[1]


def _products(kinds, sizes, device) -> tuple[dict[str, Callable], dict[str, float]]:
    import torch

    arms, flops = {}, {}
    for kind, size in product(kinds, sizes):
        a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
        name = f"{size} x {size} product in {str(kind).removeprefix('torch.')}"
        arms[name] = lambda call, a=a, b=b: a @ b
        flops[name] = 2.0 * size**3
    return arms, flops

"""What a machine can do at most: figures from data sheets, and ceilings measured here.

Two numbers bound a kernel from below: how fast bytes are read and how fast matrices multiply.
Predictions are made from ceilings measured in the same run; data-sheet figures are for machines
you do not have. Importing this needs no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gqa_lib.measure import MIN_ROUNDS, last_level_cache_bytes, time_arms
from gqa_lib.measure.environment import cpu_model, ram_bytes

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Hardware:
    """The ceilings of one device.

    Args:
        name: the device.
        flops_per_s: dense matrix multiplication, in the dtype that provenance names.
        bandwidth_bytes_per_s: main memory, reading.
        memory_bytes: size of that memory.
        provenance: measured or read, where and how.
    """

    name: str
    flops_per_s: float
    bandwidth_bytes_per_s: float
    memory_bytes: float
    provenance: str

    def __post_init__(self):
        for field in ("flops_per_s", "bandwidth_bytes_per_s", "memory_bytes"):
            if not getattr(self, field) > 0:
                raise ValueError(
                    f"{self.name}: {field}={getattr(self, field)} is not positive: every "
                    f"prediction divides by it. Give {field} above 0."
                )


# Data sheets

_COLLECTION = "a table collected from secondary pages"
# name: (dense FLOP/s, bytes/s, bytes, dtype, where it was read)
_DATASHEET_ROWS = {
    "V100 SXM": (125e12, 0.90e12, 32e9, "fp16", "llm-analysis gpu_configs; also sold with 16 GB"),
    "T4": (65e12, 0.32e12, 16e9, "fp16", "RajBhope gpu_catalog.json"),
    "A100 40GB": (312e12, 1.555e12, 40e9, "bf16", "llm-analysis gpu_configs"),
    "A100 80GB SXM": (312e12, 2.039e12, 80e9, "bf16", "llm-analysis gpu_configs"),
    "H100 PCIe": (756e12, 2.0e12, 80e9, "bf16", "llm-analysis gpu_configs"),
    "H100 SXM": (
        989e12,
        3.35e12,
        80e9,
        "bf16",
        "llm-analysis gpu_configs; glennklockwood.com/garden/processors/h100",
    ),
    "H200 SXM": (989e12, 4.8e12, 141e9, "bf16", "itkb.uw.cz, H200 against B300"),
    "B200": (2250e12, 8.0e12, 180e9, "bf16", "modal.com GPU glossary; 180 to 192 GB"),
    "B300": (3500e12, 8.0e12, 288e9, "bf16", "itkb.uw.cz, H200 against B300; FLOP/s approximate"),
    "L4": (121e12, 0.30e12, 24e9, "bf16", _COLLECTION),
    "RTX 4090": (165e12, 1.008e12, 24e9, "bf16", "gist mikasenghaas d63ded03"),
    "MI300X": (1307e12, 5.3e12, 192e9, "bf16", _COLLECTION),
}
DATASHEET = {
    name: Hardware(
        name,
        flops,
        bandwidth,
        memory,
        f"data-sheet figures, dense {dtype}, as transcribed in {where}; not read from the "
        "vendor's own sheet",
    )
    for name, (flops, bandwidth, memory, dtype, where) in _DATASHEET_ROWS.items()
}


def datasheet(name: str) -> Hardware:
    """Data-sheet figures of a GPU by name; upper and lower case do not matter.

    Raises:
        ValueError: no such entry; the message names the closest ones.
    """
    by_lower = {known.lower(): hardware for known, hardware in DATASHEET.items()}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = get_close_matches(name.lower(), by_lower, n=2) or by_lower
    raise ValueError(
        f"no data sheet for {name!r} among the {len(DATASHEET)} known: a figure is quoted with its "
        f"source or not at all. Choose {' or '.join(by_lower[match].name for match in close)}, "
        "or call measure_hardware."
    )


# The device at hand


def pick_device(override: str | None = None) -> torch.device:
    """The device to work on: the override, else $GQA_DEVICE, else the best there is.

    Args:
        override: "cpu", "cuda", "cuda:1", "mps".

    Returns:
        A torch.device; without a wish cuda before mps before cpu.

    Raises:
        ValueError: the device that was asked for is not there.
    """
    import torch

    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    there[:0] = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    wanted = override or os.environ.get("GQA_DEVICE")
    if not wanted:
        return torch.device(there[0].removesuffix(":0"))
    if wanted not in there and f"{wanted}:0" not in there:
        asked = "the argument" if override else "GQA_DEVICE"
        raise ValueError(
            f"device {wanted!r} (from {asked}) is not available: this torch ({torch.__version__}) "
            f"sees {', '.join(there)}. Choose one of those, or install a torch built for it."
        )
    return torch.device(wanted)


# Measured ceilings


def measure_hardware(
    device: torch.device | str, dtype: torch.dtype, *, seconds: float = 2.0
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

    Returns:
        Hardware, whose provenance says how each ceiling was measured.
    """
    import torch

    device = torch.device(device)
    passes, pass_bytes = read_passes(device)
    products, product_flops = matrix_products(device, dtype)
    bandwidth, read_how = _best_rate(passes, pass_bytes, device, seconds / 2)
    flops, product_how = _best_rate(products, product_flops, device, seconds / 2)
    place = f"{torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
    return Hardware(
        name=_device_name(device),
        flops_per_s=flops,
        bandwidth_bytes_per_s=bandwidth,
        memory_bytes=_memory_bytes(device),
        provenance=f"measured on {place}: bandwidth by {read_how}; FLOP/s by {product_how}",
    )


def _best_rate(
    arms: dict[str, Callable], work: Mapping[str, float], device, seconds: float
) -> tuple[float, str]:
    """(work per second, how it was found) of the arm that is quickest."""
    rows = time_arms(arms, rounds=200, device=device, budget_s=seconds)
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
    """
    import torch

    buffer_bytes = max(2**27, 4 * last_level_cache_bytes(device))
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
    device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, Callable], dict[str, float]]:
    """Functions of a call's number that multiply square matrices, and the FLOPs of each.

    A CPU without instructions for dtype multiplies it a hundred times slower than float32, to
    which a kernel can convert: so on a CPU float32 is tried too, and dtype only if it keeps up.
    """
    import torch

    kinds = [dtype]
    if device.type == "cpu" and dtype != torch.float32:
        kinds = [dtype, torch.float32] if _keeps_up(dtype) else [torch.float32]
    return _products(kinds, (1024, 2048) if device.type == "cpu" else (4096, 8192), device)


def _keeps_up(dtype) -> bool:
    """Whether one thread multiplies dtype at a quarter of float32's speed or more.

    One thread, and its fastest sample: a busy neighbour hardly touches those.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        arms, _ = _products((dtype, torch.float32), (256,), "cpu")
        rows = time_arms(arms, rounds=MIN_ROUNDS)
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


def _device_name(device) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).name
    return cpu_model() or device.type


def _memory_bytes(device) -> int:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    memory = ram_bytes()
    if memory is None:
        raise ValueError("this system does not say how much memory it has: build Hardware by hand.")
    return memory

"""Where a measurement was made: what a reader needs to judge it, and nothing that names a host."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_NVIDIA_SMI = {
    "driver": "driver_version",
    "power_limit_w": "power.limit",
    "sm_clock_mhz": "clocks.sm",
    "sm_clock_max_mhz": "clocks.max.sm",
    "memory_clock_mhz": "clocks.mem",
    "temperature_c": "temperature.gpu",
}


def environment(device: torch.device | str = "cpu") -> dict[str, Any]:
    """The conditions of a measurement, ready for JSON; take it just before measuring.

    Args:
        device: where the work will run.

    Returns:
        A dictionary whose keys are always the same and whose values may each be None: time, CPU,
        load, memory, GPU, versions, threads, commit. Names of hosts, users and paths are not in it.
    """
    torch = sys.modules.get("torch")
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()}",
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count(),
        "cpu_affinity": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "ram_bytes": ram_bytes(),
        "device": str(device),
        "gpu": _gpu(device) if str(device).startswith("cuda") else None,
        "num_threads": torch.get_num_threads() if torch else None,
        "float32_matmul_precision": torch.get_float32_matmul_precision() if torch else None,
        "python": platform.python_version(),
        **{package: _version(package) for package in ("torch", "triton", "numpy")},
        **({"torch": str(torch.__version__)} if torch else {}),  # names the build: 2.14.1+cu130
        **_commit(),
    }


def ram_bytes() -> int | None:
    """Bytes of main memory, None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def free_bytes(device: torch.device | str = "cpu") -> int | None:
    """Bytes of memory that a program can still get on a device, None where nothing tells."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                return min([int(line.split()[1]) * 1024, *_container_free()])
    except OSError:
        pass
    return ram_bytes()


def _container_free(folder: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Bytes left of a container's limit on memory, as a list that is empty where there is none."""
    try:
        limit, used = (int((folder / f"memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such file, or "max"
        return []
    return [max(0, limit - used + int(stat.get("inactive_file", 0)))]  # files' copies can go


def cpu_model() -> str | None:
    """What the CPU calls itself, None where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or None


def _gpu(device: torch.device | str) -> dict[str, Any]:
    import torch

    properties = torch.cuda.get_device_properties(device)
    query = ",".join(_NVIDIA_SMI.values())
    uuid = getattr(properties, "uuid", None)
    which = ("-i", f"GPU-{uuid}") if uuid else ()
    command = ("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits", *which)
    answer = _output(*command)
    values = answer.splitlines()[0].split(", ") if answer else [None] * len(_NVIDIA_SMI)
    reported = dict(zip(_NVIDIA_SMI, values, strict=True))
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "driver": reported.pop("driver"),
        **{field: _number(value) for field, value in reported.items()},
    }


def _number(text: str | None) -> float | None:
    """A number that nvidia-smi printed, None for its '[N/A]'."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, Any]:
    """Commit of this checkout and whether it has changes; None for an installed package."""
    here = Path(__file__)
    git = ("git", "-C", str(here.parent))
    if _output(*git, "ls-files", here.name) is None:
        return {"commit": None, "dirty": None}
    status = _output(*git, "status", "--porcelain", "--untracked-files=no", empty="")
    dirty = None if status is None else bool(status)
    return {"commit": _output(*git, "rev-parse", "HEAD"), "dirty": dirty}


def _output(*command: str, empty: str | None = None) -> str | None:
    """What a command printed; `empty` if nothing, None if it failed or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.strip() or empty) if done.returncode == 0 else None

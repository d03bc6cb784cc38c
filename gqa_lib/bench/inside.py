"""What a benchmark notebook calls from within: its beginning, what it keeps, and its end.

    check_parameters("decode-latency", globals())
    run = begin("decode-latency", out_dir, dtype=dtype, device=device, seed=seed)
    machine = run.ceilings()        # measured now, and printed
    run.keep(rows)                  # raw samples, appended to the run's files
    run.end(finding, rows=table)    # result.json, written last and whole

The folder then has `environment.jsonl`, `samples.jsonl`, `arms.jsonl` where arms were tried, and
`result.json`, which is there only if the run that wrote the others reached its end. Paths in them
are cut to their last names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gqa_lib.course.files import replace_file
from gqa_lib.hardware import Hardware
from gqa_lib.measure import environment, measure_hardware, pick_device, write_jsonl
from gqa_lib.measure.device import memory_bytes
from gqa_lib.measure.environment import free_bytes

from .paths import without_paths

if TYPE_CHECKING:
    import torch


_OF_A_RUN = (
    *("result.json", "record.json", "error.txt"),
    *("samples.jsonl", "arms.jsonl", "environment.jsonl"),
)


@dataclass
class Run:
    """One run of a benchmark notebook.

    Attributes:
        name: of the benchmark.
        folder: where its files go.
        device, dtype: what it measures on and with.
        environment: where and when it runs, as `gqa_lib.measure.environment` tells it.
        machine: the ceilings that `result.json` has; None until they are measured.
    """

    name: str
    folder: Path
    device: torch.device
    dtype: torch.dtype
    environment: dict[str, Any] = field(repr=False)
    machine: Hardware | None = None

    def ceilings(self) -> Hardware:
        """Measure this machine's bandwidth and FLOP/s, print them, and return them."""
        self.machine = machine = measure_hardware(self.device, self.dtype)
        about, ridge = self.environment, machine.flops_per_s / machine.bandwidth_bytes_per_s
        print(machine.name, "-", machine.provenance)
        print(
            f"{machine.bandwidth_bytes_per_s / 1e9:.1f} GB/s, "
            f"{machine.flops_per_s / 1e9:,.0f} GFLOP/s: ridge at {ridge:.1f} FLOP per byte"
        )
        print(
            f"torch {about['torch']}, {about['num_threads']} threads, "
            f"load before {about['load_before']}"
        )
        return machine

    def memory(self, memory_gib: float = 0) -> float:
        """Return the bytes that a setting's tensors may take: half of what is free, unless given.

        Args:
            memory_gib: GiB to take; 0 leaves it at half of what is free.

        Raises:
            ValueError: the device has less.
        """
        if not memory_gib:
            return (free_bytes(self.device) or 8 * 2**30) / 2
        there = memory_bytes(self.device) / 2**30
        if memory_gib > there:
            raise ValueError(
                f"memory_gib={memory_gib:g} is more than the {there:.1f} GiB of {self.device}: the "
                "run would be ended by the system. Give less, or 0 for half of what is free."
            )
        return memory_gib * 2**30

    def need(self, nbytes: float, memory_gib: float = 0) -> None:
        """Make sure that a run whose tensors take so many bytes has them.

        Args:
            nbytes: of all tensors that are there at a time.
            memory_gib: as in `memory`.

        Raises:
            ValueError: it has not.
        """
        if nbytes > (most := self.memory(memory_gib)):
            raise ValueError(
                f"{self.name} would need {nbytes / 2**30:,.1f} GiB and may take {most / 2**30:.1f} "
                f"of {self.device}: the run would be ended by the system. Make it smaller, or "
                "raise memory_gib."
            )

    def keep(self, rows: list[dict]) -> None:
        """Append raw rows to the run's files.

        Args:
            rows: those of kind "arm" (what was tried, and why it was not timed) go to `arms.jsonl`,
                those with a "value" to `samples.jsonl`.
        """
        rows = [without_paths(row) for row in rows]
        arms = [row for row in rows if row.get("kind") == "arm"]
        if arms:
            write_jsonl(self.folder / "arms.jsonl", arms)
        write_jsonl(self.folder / "samples.jsonl", [row for row in rows if "value" in row])

    def end(self, finding: str, *, rows: list[dict], **more: Any) -> None:
        """Write `result.json`, which says that the run reached its end, and print the finding.

        Args:
            finding: what came out, in one sentence.
            rows: the table that it stands on.
            more: what else the record has.
        """
        result = {"benchmark": self.name, "finding": finding, "rows": rows, **more}
        result |= {"environment": self.environment, "samples": "samples.jsonl"}
        if self.machine:
            names = ("bandwidth_bytes_per_s", "flops_per_s", "provenance")
            result |= {name: getattr(self.machine, name) for name in names}
        commit(self.folder / "result.json", without_paths(result))
        print(json.dumps({"finding": finding, "result": "result.json"}))


def begin(name: str, out_dir: str, *, dtype: str, device: str = "", seed: int = 0) -> Run:
    """Begin a run: an empty folder, the environment on record, seeds and the figures' style set.

    Args:
        name: of the benchmark.
        out_dir: folder for samples and result; those of an earlier run in it are removed.
        dtype: float32, bfloat16, float16, ... as torch calls it.
        device: cpu, cuda, ...; empty: the best there is.
        seed: of torch's random numbers.

    Raises:
        ValueError: torch has no such dtype.
    """
    import torch

    from gqa_lib import plots

    element = getattr(torch, dtype, None)
    if not isinstance(element, torch.dtype):
        raise ValueError(
            f"dtype={dtype!r} is not a number type that torch has, so there is nothing to "
            "measure: take float32, bfloat16 or float16."
        )
    place = pick_device(device or None)
    folder, about = results_folder(out_dir), environment(place)
    write_jsonl(folder / "environment.jsonl", [about])
    torch.manual_seed(seed)
    plots.use_style()
    return Run(name, folder, place, element, about)


def need_some(settings: list, left_out: list[str]) -> None:
    """Make sure that something is left to measure.

    Args:
        settings: what fits into memory.
        left_out: a line for each thing that does not.

    Raises:
        ValueError: nothing fits.
    """
    if not settings:
        raise ValueError(
            f"nothing fits into memory, so there is nothing to measure: {left_out[0]}"
            f"{f' and {len(left_out) - 1} more' if len(left_out) > 1 else ''}. Make it smaller, "
            "or raise memory_gib."
        )


def results_folder(out_dir: str) -> Path:
    """Return the folder a benchmark notebook writes to, without what an earlier run left.

    The result goes first: from then on nothing says that the run in there reached its end.
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _OF_A_RUN:
        (folder / name).unlink(missing_ok=True)
    return folder


def commit(path: Path, content: dict) -> None:
    """Write JSON so that the file is either the old one or the whole new one.

    Args:
        path: the file.
        content: what is written, of what JSON knows.
    """
    replace_file(path, json.dumps(content, indent=1) + "\n")

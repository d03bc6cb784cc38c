"""Kernel times that come with the course; data/README.md says where they are from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gqa_lib.arguments import check_choice

from .kernel_times import KernelStepTime


@dataclass(frozen=True)
class TimedEngine:
    """An engine whose kernels were timed, as it served the log `log` of `traffic.sample`.

    Args:
        model: that it served, by its name in `gqa_lib.configs`.
        num_layers: of the model.
        num_blocks, block_size, max_num_seqs, max_num_batched_tokens: its settings. One of the
            blocks stays empty.
        log: the trace, with what was measured.
    """

    model: str
    num_layers: int
    num_blocks: int
    block_size: int
    max_num_seqs: int
    max_num_batched_tokens: int
    log: str


ENGINES = {
    "rtx4090-llama-3.1-8b": TimedEngine("Llama-3.1-8B", 32, 2588, 16, 256, 2048, "vllm-rtx4090"),
}


def sample_step_time(name: str, overhead_s: float = 0.0) -> KernelStepTime:
    """Return the step times of kernels that come with the course.

    Args:
        name: one of `ENGINES`.
        overhead_s: as in `KernelStepTime`.

    Raises:
        ValueError: there is none of this name.

    Source: casys-kaist/LLMServingSim, commit 5daddb21 (MIT): vLLM 0.19's kernels.
    """
    check_choice(tuple(ENGINES), name=name)
    data = Path(__file__).parent / "data"
    return KernelStepTime(
        data / f"{name}.attention.csv.gz",
        data / f"{name}.dense.csv.gz",
        data / f"{name}.per_sequence.csv.gz",
        num_layers=ENGINES[name].num_layers,
        overhead_s=overhead_s,
    )

"""Kernel times that come with the course; data/README.md says where they are from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gqa_lib.arguments import check_choice, check_kind
from gqa_lib.configs import ModelConfig
from gqa_lib.cost import kv_bytes_per_token

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
        hardware: the device, by its name in `gqa_lib.hardware.DATASHEET`.
        gpu_memory_utilization: the share of its memory that the engine used.
    """

    model: str
    num_layers: int
    num_blocks: int
    block_size: int
    max_num_seqs: int
    max_num_batched_tokens: int
    log: str
    hardware: str
    gpu_memory_utilization: float

    def activation_bytes(self, config: ModelConfig, memory_bytes: float) -> float:
        """Return what its blocks leave for activations: memory x utilization - weights - blocks.

        Args:
            config: the model's shape.
            memory_bytes: of the device.
        """
        if config.weight_bytes is None:
            raise ValueError(f"{config.name}: weight_bytes is not known. Give activation_bytes.")
        blocks = self.num_blocks * self.block_size * kv_bytes_per_token(config, 2)
        return memory_bytes * self.gpu_memory_utilization - config.weight_bytes - blocks


ENGINES = {
    "rtx4090-llama-3.1-8b": TimedEngine(
        "Llama-3.1-8B", 32, 2588, 16, 256, 2048, "vllm-rtx4090", "RTX 4090", 0.9
    ),
}


def check_kernel_times(times: str | Sequence[Path | str], model: str, ranks: int) -> None:
    """Refuse kernel times that are not a model's.

    Args:
        times: three CSV files, or one of `ENGINES`.
        model: its name.
        ranks: that it is divided over.

    Raises:
        ValueError: they are not three files, or those of another model, or of all of it.
    """
    if not isinstance(times, str):
        for number, one in enumerate(times):
            check_kind((str, Path), "Give a CSV file.", **{f"kernel_times[{number}]": one})
        if len(times) != 3:
            raise ValueError(
                f"kernel_times has {len(times)} files: a step is attention, the other layers, and "
                "what runs for chosen tokens. Give those three CSV files, or one of "
                f"{', '.join(ENGINES)}."
            )
        return
    check_choice(tuple(ENGINES), kernel_times=times)
    if ranks > 1:
        raise ValueError(
            f"the kernels of {times} ran on one device, and each of tensor_parallel={ranks} ranks "
            "runs a part of each: their times are not known. Give kernel_times of one rank, or "
            "only hardware."
        )
    if model != ENGINES[times].model:
        raise ValueError(
            f"the kernels of {times} are those of {ENGINES[times].model}, not of {model}: their "
            "sizes differ. Give kernel_times of that model, or only hardware."
        )


def sample_files(name: str) -> tuple[Path, Path, Path]:
    """Return the three tables of kernels that come with the course.

    Args:
        name: one of `ENGINES`.

    Raises:
        ValueError: there is none of this name.

    Source: casys-kaist/LLMServingSim, commit 5daddb21 (MIT): vLLM 0.19's kernels.
    """
    check_choice(tuple(ENGINES), name=name)
    data = Path(__file__).parent / "data"
    attention, dense, per_sequence = (
        data / f"{name}.{kind}.csv.gz" for kind in ("attention", "dense", "per_sequence")
    )
    return attention, dense, per_sequence


def sample_step_time(name: str, overhead_s: float = 0.0) -> KernelStepTime:
    """Return the step times of kernels that come with the course.

    Args:
        name: one of `ENGINES`.
        overhead_s: as in `KernelStepTime`.

    Raises:
        ValueError: there is none of this name.
    """
    files = sample_files(name)
    return KernelStepTime(*files, num_layers=ENGINES[name].num_layers, overhead_s=overhead_s)

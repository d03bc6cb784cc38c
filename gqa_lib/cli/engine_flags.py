"""Flags that say what is simulated: a model, what it runs on, and an engine, named as vLLM's."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _ArgumentGroup
from pathlib import Path
from typing import TYPE_CHECKING

from .command import number, whole

if TYPE_CHECKING:
    from gqa_lib.hardware import Hardware
    from gqa_lib.serving.scenario import Scenario
    from gqa_lib.serving.traffic import Trace

HERE = "here"  # the hardware whose ceilings are measured now


def engine_arguments(parser: ArgumentParser) -> None:
    """Add the flags of a model, its hardware and an engine.

    Args:
        parser: the command's.
    """
    group = parser.add_argument_group("model and hardware")
    group.add_argument("--model", help="a name (see gqa models) or a config.json")
    group.add_argument(
        "--num-kv-heads", type=whole(1), metavar="N", help="KV heads instead of the model's own"
    )
    group.add_argument(
        "--hardware",
        metavar="NAME",
        help=f"of a data sheet, such as 'RTX 4090'; '{HERE}' measures this machine",
    )
    group.add_argument(
        "--kernel-times",
        nargs="+",
        metavar="CSV",
        help="measured kernels instead of ceilings: attention, dense and per_sequence CSV, or "
        "rtx4090-llama-3.1-8b; --hardware then says only how much memory there is",
    )
    for what in ("bandwidth", "flops"):
        group.add_argument(
            f"--{what}-efficiency",
            type=number(above=0),
            default=1.0,
            metavar="SHARE",
            help="of the hardware's ceiling, that kernels reach (default: 1, a bound)",
        )
    group.add_argument(
        "--step-overhead-ms",
        type=number(),
        default=0.0,
        metavar="MS",
        help="of each step, in which no kernel runs (default: 0)",
    )
    _about_ranks(group)
    _about_engine(parser)


def _about_ranks(group: _ArgumentGroup) -> None:
    group.add_argument("--tp", type=whole(1), default=1, metavar="N", help="ranks (default: 1)")
    group.add_argument(
        "--link-bandwidth-gb-s",
        type=number(above=0),
        default=16.0,
        metavar="GB/S",
        help="between ranks, in each direction (default: 16)",
    )
    group.add_argument(
        "--link-latency-us",
        type=number(),
        default=20.0,
        metavar="US",
        help="of an all-reduce (default: 20)",
    )


def _about_engine(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("engine, named as vLLM's flags")
    group.add_argument(
        "--max-num-seqs", type=whole(1), default=256, metavar="N", help="(default: 256)"
    )
    group.add_argument(
        "--max-num-batched-tokens", type=whole(1), default=2048, metavar="N", help="(default: 2048)"
    )
    group.add_argument(
        "--block-size", type=whole(1), default=16, metavar="N", help="tokens (default: 16)"
    )
    group.add_argument(
        "--gpu-memory-utilization",
        type=number(above=0),
        default=0.9,
        metavar="SHARE",
        help="(default: 0.9)",
    )
    group.add_argument(
        "--num-gpu-blocks-override",
        type=whole(2),
        metavar="N",
        help="blocks, instead of as many as the memory holds",
    )
    group.add_argument(
        "--kv-cache-dtype", default="auto", metavar="TYPE", help="auto (2 bytes) or fp8"
    )
    group.add_argument(
        "--bytes-per-parameter",
        type=number(above=0),
        metavar="BYTES",
        help="of the weights as they are served (default: 2); 1 for fp8",
    )
    group.add_argument(
        "--activation-gb",
        type=number(),
        metavar="GB",
        help="that activations and the engine itself take (default: 0; of the course's engine, "
        "what its log leaves)",
    )


def scenario_of(arguments: Namespace) -> Scenario:
    """Return the scenario that a command line describes.

    Args:
        arguments: parsed, with those of `engine_arguments`.

    Raises:
        ValueError: they do not go together.
    """
    from gqa_lib.serving.parallel import Link
    from gqa_lib.serving.scenario import Scenario

    times = arguments.kernel_times
    if times is not None and len(times) not in (1, 3):
        raise ValueError(
            f"--kernel-times with {len(times)} names: give attention, dense and per_sequence CSV, "
            "or the name of one that comes with the course."
        )
    taken = arguments.activation_gb
    return Scenario(
        model=arguments.model,
        hardware=_measured() if arguments.hardware == HERE else arguments.hardware,
        kernel_times=times[0] if times is not None and len(times) == 1 else times,
        num_kv_heads=arguments.num_kv_heads,
        max_num_seqs=arguments.max_num_seqs,
        max_num_batched_tokens=arguments.max_num_batched_tokens,
        block_size=arguments.block_size,
        gpu_memory_utilization=arguments.gpu_memory_utilization,
        num_blocks=arguments.num_gpu_blocks_override,
        kv_cache_dtype=arguments.kv_cache_dtype,
        bytes_per_parameter=arguments.bytes_per_parameter,
        tensor_parallel=arguments.tp,
        link=Link(1e9 * arguments.link_bandwidth_gb_s, 1e-6 * arguments.link_latency_us),
        bandwidth_efficiency=arguments.bandwidth_efficiency,
        flops_efficiency=arguments.flops_efficiency,
        overhead_s=1e-3 * arguments.step_overhead_ms,
        activation_bytes=None if taken is None else 1e9 * taken,
    )


def trace_of(name: str) -> Trace:
    """Return the trace of a file, or one that comes with the course.

    Args:
        name: a path, or one of `gqa_lib.serving.traffic.SAMPLES`.

    Raises:
        ValueError: there is no such file, or it is not a trace.
    """
    from gqa_lib.serving.traffic import SAMPLES, load_trace, sample

    if Path(name).exists():
        return load_trace(name)
    if name in SAMPLES:
        return sample(name)
    raise ValueError(
        f"{name} is neither a file nor one of the traces that come with the course. Give a path, "
        f"or one of {', '.join(SAMPLES)}."
    )


def _measured() -> Hardware:
    import torch

    from gqa_lib.measure import measure_hardware, pick_device

    return measure_hardware(pick_device(), torch.bfloat16)

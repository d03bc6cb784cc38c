"""What the figures of a scenario stand on."""

from __future__ import annotations

from gqa_lib.cost import rank_config, reserved_bytes, sharing

from .scenario import Scenario
from .shapes import kv_scale
from .simulator import ENGINES
from .simulator.kernel_times import left_out_points


def basis(scenario: Scenario) -> list[str]:
    """Return what a scenario's figures stand on, a sentence each.

    Args:
        scenario: which.
    """
    times = scenario.kernel_times
    lines = _ceilings(scenario) if times is None else _kernels(scenario)
    if scenario.overhead_s:
        lines.append(f"{1e3 * scenario.overhead_s:g} ms are added to each step, as given.")
    if scenario.tensor_parallel > 1:
        link, ranks = scenario.link, scenario.tensor_parallel
        lines.append(
            f"All-reduces of {ranks} ranks are modelled: two a layer, each "
            f"2 x {ranks - 1}/{ranks} x bytes / {link.bytes_per_s / 1e9:g} GB/s + "
            f"{1e6 * link.latency_s:g} us (a ring), hidden behind nothing."
        )
        lines.append(sharing(scenario.config, ranks))
    if (weights := scenario.weight_bytes) is not None:
        lines.append(
            f"{weights / 1e9:,.2f} GB of weights: {scenario.parameter_bytes:g} bytes a parameter "
            f"({'as given' if scenario.bytes_per_parameter else 'bfloat16'})."
        )
    lines.append(_blocks(scenario))
    if states := scenario.rules().blocks_per_seq:
        lines.append(
            f"A sequence takes {states} blocks for its constant states, whatever its length. "
            "Prefixes are not shared, and preempted requests find nothing again."
        )
    return lines


def _ceilings(scenario: Scenario) -> list[str]:
    machine = scenario.machine
    if machine is None:  # a scenario without kernel times has one
        return []
    shares = scenario.bandwidth_efficiency, scenario.flops_efficiency
    rates = (
        f"{machine.bandwidth_bytes_per_s / 1e9:,.4g} GB/s and {machine.flops_per_s / 1e12:,.4g} "
        "TFLOP/s"
    )
    lines = [
        "Step times are modelled: the longer of bytes / bandwidth and FLOPs / (FLOP/s), with "
        f"{rates}.",
        f"{machine.name}: {machine.provenance}.",
    ]
    if shares != (1.0, 1.0):
        lines.append(
            f"Of these ceilings, shares as given: {shares[0]:.0%} of the bandwidth and "
            f"{shares[1]:.0%} of the FLOP/s."
        )
    elif "data-sheet" in machine.provenance:
        lines.append(
            "With data-sheet ceilings that is a bound: a real step takes longer, and none of these "
            "figures predicts one. Measure the ceilings, or give efficiencies or kernel times."
        )
    return lines


def _kernels(scenario: Scenario) -> list[str]:
    times = scenario.kernel_times
    if isinstance(times, str):
        engine = ENGINES[times]
        where = f"{times}: vLLM 0.19's kernels, {engine.model} on {engine.hardware} (LLMServingSim)"
    else:
        where = ", ".join(str(one) for one in times or ())
        if scenario.tensor_parallel > 1:
            where += f", taken to be of one of {scenario.tensor_parallel} ranks"
    lines = [f"Step times are sums of measured kernels, linear between their points ({where})."]
    if not isinstance(times, str) and times and (left := left_out_points(times[0])):
        rows = ", ".join(f"{rows} of {kind}" for kind, rows in left.items())
        lines.append(f"Of attention, rows that make no whole grid with the others: {rows}.")
    ranks, own = scenario.tensor_parallel, scenario.own_config
    scale = kv_scale(
        rank_config(own, ranks), rank_config(scenario.config, ranks), scenario.kv_bytes_per_element
    )
    if scale != 1:
        lines.append(
            f"The kernels were timed with {own.num_kv_heads} KV heads and 2 bytes a number. For "
            f"{scenario.config.num_kv_heads} heads and {scenario.kv_bytes_per_element} bytes their "
            "times are modelled: what decode attention takes above its quickest row, times "
            f"{scale:g}, the ratio of cached bytes; projections to Q, K and V by their parameters; "
            "attention of prompts as timed."
        )
    return lines


def _blocks(scenario: Scenario) -> str:
    if scenario.num_blocks is not None:
        return f"{scenario.num_blocks:,} blocks are as given; one stays empty. {_held(scenario)}"
    taken = scenario.reserved_bytes
    how = "as that engine's log leaves" if scenario.activation_bytes is None else "as given"
    minus = f"{taken / 1e9:.2f} GB for activations ({how})" if taken else "nothing for activations"
    return (
        f"The number of blocks is modelled: {scenario.gpu_memory_utilization:g} x memory - weights "
        f"- {minus}, over the bytes of a block; one stays empty."
    )


def _held(scenario: Scenario) -> str:
    """What given blocks take beside the weights, and whether the memory has it."""
    machine, ranks = scenario.machine, scenario.tensor_parallel
    weights = rank_config(scenario.config, ranks).weight_bytes
    if machine is None or weights is None or scenario.num_blocks is None:
        return "No memory is known that they would have to fit into."
    block = reserved_bytes(
        scenario.config,
        [1],
        scenario.kv_bytes_per_element,
        block_size=scenario.block_size,
        tensor_parallel=ranks,
    ).block_bytes
    needed = weights / 2 * scenario.parameter_bytes + scenario.num_blocks * block
    needed += scenario.reserved_bytes
    has = scenario.gpu_memory_utilization * machine.memory_bytes
    return (
        f"With weights and activations they take {needed / 1e9:,.2f} GB of "
        f"{has / 1e9:,.2f} GB of memory{', which they do not fit into' if needed > has else ''}."
    )

"""What the figures of a scenario stand on."""

from __future__ import annotations

from .scenario import Scenario
from .shapes import kv_scale, rank_config
from .simulator import ENGINES


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
    lines.append(_blocks(scenario))
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
        return f"{scenario.num_blocks:,} blocks are as given; one stays empty."
    taken = scenario.reserved_bytes
    how = "as that engine's log leaves" if scenario.activation_bytes is None else "as given"
    minus = f"{taken / 1e9:.2f} GB for activations ({how})" if taken else "nothing for activations"
    return (
        f"The number of blocks is modelled: {scenario.gpu_memory_utilization:g} x memory - weights "
        f"- {minus}, over the bytes of a block; one stays empty."
    )

"""What `gqa simulate` does: a trace's requests, served on a computed clock."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import replace
from textwrap import fill
from typing import TYPE_CHECKING, Any

from .command import in_a_line, number, whole
from .engine_flags import engine_arguments, scenario_of, trace_of

if TYPE_CHECKING:
    from gqa_lib.serving.scenario import Scenario
    from gqa_lib.serving.simulator import Simulation
    from gqa_lib.serving.traffic import Trace

_WIDTH = 100


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa simulate`.

    Args:
        parser: the command's.
    """
    parser.add_argument(
        "trace",
        metavar="TRACE",
        help="a trace's file or a sample's name (azure-code-2023, azure-conv-2023, vllm-rtx4090)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, named as vLLM's bench")
    parser.add_argument(
        "--goodput",
        nargs="+",
        metavar="NAME:MS",
        help="latencies of a good request in milliseconds: ttft:500 tpot:50 (or e2el)",
    )
    group = parser.add_argument_group("requests, named as flags of vllm bench serve")
    group.add_argument("--num-prompts", type=whole(1), metavar="N", help="of the trace (all)")
    group.add_argument(
        "--request-rate",
        type=_rate,
        metavar="R",
        help="requests a second, instead of the trace's arrivals; inf: all at once",
    )
    group.add_argument(
        "--burstiness",
        type=number(above=0),
        metavar="B",
        help="of gamma arrivals at that rate, CV 1 / sqrt(B) (default: 1, Poisson)",
    )
    group.add_argument("--seed", type=whole(0), default=0, help="of arrivals (default: 0)")
    group.add_argument(
        "--drop-too-long",
        action="store_true",
        help="leave out requests that can never be served, and say how many",
    )
    engine_arguments(parser)


@in_a_line
def run(arguments: Namespace) -> None:
    """Simulate, and print what would be seen of it."""
    from gqa_lib.serving.basis import basis
    from gqa_lib.serving.simulator import parse_goodput, summary

    goodput = None if arguments.goodput is None else parse_goodput(" ".join(arguments.goodput))
    scenario, given = scenario_of(arguments), trace_of(arguments.trace)
    trace = _served(_requests(given, arguments), scenario, arguments)
    if given.arrival_s is None and arguments.request_rate is None:
        arguments.request_rate = math.inf
    simulation = scenario.run(trace)
    found = summary(simulation, goodput)
    if arguments.json:
        print(json.dumps(_facts(found, trace, scenario, arguments) | {"basis": basis(scenario)}))
        return
    print("\n".join([*_about(trace, scenario, simulation), "", *_figures(found, goodput)]))
    print("\nWhat this stands on")
    for line in basis(scenario):
        print(fill(line, _WIDTH, initial_indent="- ", subsequent_indent="  "))


def _rate(text: str) -> float:
    """A rate of a command line, for argparse's `type`."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not rate > 0:
        raise ArgumentTypeError(f"{text!r} is not a number above 0, nor inf")
    return rate


def _requests(trace: Trace, arguments: Namespace) -> Trace:
    """As many of a trace's requests as are wanted, with arrivals."""
    from gqa_lib.serving.traffic import gamma_arrivals

    most, rate, burstiness = arguments.num_prompts, arguments.request_rate, arguments.burstiness
    if most is not None and most > len(trace):
        raise ValueError(
            f"--num-prompts {most}: {arguments.trace} has {len(trace)} requests, and some would be "
            "there twice. Give fewer, or draw more: traffic.fit(trace).draw(n, rate=...)."
        )
    if burstiness is not None and rate is None:
        raise ValueError(
            f"--burstiness {burstiness:g} without --request-rate: the arrivals are the trace's, "
            "and not drawn. Give a rate."
        )
    trace = trace if most is None else trace.select(slice(most))
    if rate is None and trace.arrival_s is not None:
        return trace
    rate, cv = math.inf if rate is None else rate, 1 / math.sqrt(burstiness or 1.0)
    note = (
        "all requests come at once"
        if rate == math.inf
        else f"{rate:g} requests/s, gamma arrivals with CV {cv:g}, seed {arguments.seed}"
    )
    arrivals = gamma_arrivals(len(trace), rate, cv, arguments.seed)
    return replace(trace, arrival_s=arrivals, notes=(*trace.notes, f"arrivals drawn: {note}"))


def _served(trace: Trace, scenario: Scenario, arguments: Namespace) -> Trace:
    """The requests that can be served; raise ValueError if that is not all, and not asked for."""
    import numpy as np

    limits = scenario.too_long(trace)
    if not limits:
        return trace
    where = "; ".join(f"{int(mask.sum())} exceed {limit}" for limit, mask in limits.items())
    kept = ~np.logical_or.reduce(list(limits.values()))
    if not kept.any():
        raise ValueError(
            f"none of {len(trace)} requests can be served: {where}. Give more memory (--hardware, "
            "--tp, --gpu-memory-utilization), fewer bytes a token (--num-kv-heads, "
            "--kv-cache-dtype fp8), or another trace."
        )
    if not arguments.drop_too_long:
        raise ValueError(
            f"{int((~kept).sum())} of {len(trace)} requests can never be served: {where}. Leave "
            "them out with --drop-too-long, or give more memory (--hardware, --tp, "
            "--gpu-memory-utilization) or fewer bytes a token (--num-kv-heads, --kv-cache-dtype)."
        )
    note = f"{int((~kept).sum())} requests left out, which can never be served: {where}"
    return replace(trace.select(kept), notes=(*trace.notes, note))


def _facts(
    found: dict[str, Any], trace: Trace, scenario: Scenario, arguments: Namespace
) -> dict[str, Any]:
    """What is printed as JSON."""
    rules = scenario.rules()
    rate = arguments.request_rate
    return {
        "model_id": scenario.config.name,
        "simulated": True,
        "num_prompts": len(trace),
        "request_rate": "inf" if rate == math.inf else rate,
        "burstiness": arguments.burstiness or (1.0 if rate else None),
        "seed": arguments.seed,
        "total_input_tokens": int(trace.prompt_tokens.sum()),
        "total_output_tokens": int(trace.output_tokens.sum()),
        **found,
        "num_kv_heads": scenario.config.num_kv_heads,
        "tensor_parallel_size": scenario.tensor_parallel,
        "num_blocks": rules.num_blocks,
        "block_size": rules.block_size,
        "max_num_seqs": rules.max_num_seqs,
        "max_num_batched_tokens": rules.max_num_batched_tokens,
        "notes": list(trace.notes),
    }


def _about(trace: Trace, scenario: Scenario, simulation: Simulation) -> list[str]:
    """What was simulated."""
    rules, heads = simulation.rules, scenario.config.num_kv_heads
    ranks = f" on {scenario.tensor_parallel} ranks" if scenario.tensor_parallel > 1 else ""
    lines = [
        f"Simulated: {scenario.config.name}, {heads} KV heads{ranks}; {len(trace):,} requests of "
        f"{trace.source or 'arrays'} ({trace.format}), prompts {trace.prompt_tokens.mean():,.0f} "
        f"and outputs {trace.output_tokens.mean():,.0f} tokens on average.",
        f"{rules.num_blocks:,} blocks of {rules.block_size} tokens ("
        f"{rules.num_blocks * rules.block_size:,} tokens), max_num_seqs {rules.max_num_seqs}, "
        f"max_num_batched_tokens {rules.max_num_batched_tokens}.",
        *(f"{note[0].upper()}{note[1:]}." for note in trace.notes),
    ]
    return [fill(line, _WIDTH) for line in lines]


_LOADS = {
    "STABLE": "nobody waits for a place for 95 % of the time in which requests come",
    "BACKLOGGED": "requests wait for a place; the queue has not kept growing beyond chance",
    "OVERLOADED": "the queue grows while requests come: latencies say for how long",
}


def _figures(found: dict[str, Any], goodput: dict[str, float] | None) -> list[str]:
    """The figures of a summary, each with its unit."""
    from gqa_lib.serving.simulator import DEFINITIONS

    lines = [f"{'milliseconds':13}" + "".join(f"{one:>12}" for one in _STATISTICS)]
    for name in DEFINITIONS:
        values = (found[f"{one}_{name}_ms"] for one in _STATISTICS)
        lines.append(f"{name.upper():13}" + "".join(f"{value:12,.2f}" for value in values))
    usage = f"{found['mean_kv_usage']:.0%} of the blocks on average, {found['max_kv_usage']:.0%}"
    lines += [
        "",
        f"Load          {found['load']}: {_LOADS[found['load']]}",
        f"Tokens        {found['output_throughput']:,.1f} output tokens/s, "
        f"{found['total_token_throughput']:,.1f} with prompts",
        f"Requests      {found['request_throughput']:,.3f}/s over {found['duration']:,.1f} s, "
        f"{found['mean_running']:,.1f} running on average",
        f"KV cache      {usage} at most",
        f"Preemptions   {found['preemptions']:,}, {found['recomputed_tokens']:,} tokens computed "
        f"again, {found['reused_tokens']:,} found in the cache",
    ]
    if goodput is not None:
        most = " and ".join(f"{name} <= {limit:g} ms" for name, limit in goodput.items())
        lines.append(f"Goodput       {found['request_goodput']:,.3f} requests/s with {most}")
    lines.append("")
    about = (f"{name.upper():5} {text}" for name, text in DEFINITIONS.items())
    return lines + [fill(line, _WIDTH, subsequent_indent=" " * 6) for line in about]


_STATISTICS = ("mean", "median", "p90", "p99")

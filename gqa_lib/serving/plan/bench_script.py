"""A plan as runs of the course's benchmark notebook `serving`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ..scenario import Scenario
from .benchmark import BenchmarkPlan
from .durations import sweep_requests
from .markdown import title


def bench_parameters(plan: BenchmarkPlan) -> dict[str, Any] | None:
    """Return a plan's parameters for the benchmark `serving`, but for the seed.

    Args:
        plan: which.

    Returns:
        By name; None where the notebook cannot be given this model, hardware or kernel times.
    """
    scenario = plan.variants[0].scenario
    named = _named(scenario)
    if named is None:
        return None
    parameters: dict[str, Any] = {
        **named,
        "num_kv_heads": [one.num_kv_heads for one in plan.variants],
        "gpu_memory_utilization": scenario.gpu_memory_utilization,
        "block_size": scenario.block_size,
        "max_num_seqs": scenario.max_num_seqs,
        "max_num_batched_tokens": scenario.max_num_batched_tokens,
        "num_requests": sweep_requests(plan),
        "request_rate": list(plan.rates),
        "burstiness": float(f"{1 / plan.arrival_cvs[0] ** 2:.6g}"),
    }
    if plan.goodput:
        parameters["goodput"] = " ".join(f"{name}:{most:g}" for name, most in plan.goodput.items())
    return parameters


def _named(scenario: Scenario) -> dict[str, Any] | None:
    """Model, hardware and kernel times by names, which is what a parameter can be."""
    times, hardware = scenario.kernel_times, scenario.hardware
    if scenario.engine is not None:
        hardware = hardware or scenario.engine.hardware
    is_name = isinstance(hardware, str) and (times is None or isinstance(times, str))
    plain = scenario.tensor_parallel == 1 and scenario.num_blocks is None
    model = scenario.model if scenario.model is not None or not scenario.engine else None
    model = model or (scenario.engine.model if scenario.engine else None)
    if not (is_name and plain and isinstance(model, str) and scenario.kv_cache_dtype == "auto"):
        return None
    if Path(model).exists():  # the script changes its folder
        model = str(Path(model).resolve())
    named: dict[str, Any] = {"model": model, "hardware": hardware, "kernel_times": times or ""}
    if times is None:
        named["bandwidth_efficiency"] = scenario.bandwidth_efficiency
        named["flops_efficiency"] = scenario.flops_efficiency
    if scenario.activation_bytes:
        named["activation_gib"] = scenario.activation_bytes / 2**30
    return named


def bench_script(plan: BenchmarkPlan) -> str | None:
    """Return the script that runs a plan's sweep with `gqa bench serving`, a seed at a time.

    Args:
        plan: which.

    Returns:
        The script; None where the notebook cannot be given what the plan is of.
    """
    parameters = bench_parameters(plan)
    if parameters is None:
        return None
    words = [f"-p {shlex.quote(f'{name}={_written(one)}')}" for name, one in parameters.items()]
    lines = " \\\n    ".join(words)
    return f"""#!/usr/bin/env bash
# {" ".join(title(plan).split())}: the sweep of plan.md, simulated by the benchmark `serving` of the
# course, and a small model on this machine's engine next to it. Results are in runs/.
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"
for seed in {" ".join(map(str, range(plan.num_seeds)))}; do
  gqa bench serving -p "trace=$PWD/requests-$seed.jsonl" -p "seed=$seed" \\
    {lines}
done
"""


def _written(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)

"""A plan as a folder: plan.md, plan.json, the requests of each run, and programs to run."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gqa_lib.arguments import place_for
from gqa_lib.course.files import replace_file

from ..traffic import Trace
from .bench_script import bench_script
from .benchmark import BenchmarkPlan
from .durations import total_hours, warnings
from .markdown import plan_markdown, title
from .runs import runs_of
from .vllm_script import shares, vllm_script

FORMAT = "gqa plan 2"
_MODELLED = (
    *("mean_ttft_ms", "median_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "median_tpot_ms"),
    *("p99_tpot_ms", "mean_e2el_ms", "output_throughput", "request_throughput"),
    *("request_goodput", "mean_running", "preemptions", "mean_kv_usage", "load"),
)


def write_plan(plan: BenchmarkPlan, folder: str | Path) -> list[Path]:
    """Write a plan into a folder; files of these names are replaced, results are left alone.

    Args:
        plan: which.
        folder: made if it is missing.

    Returns:
        The files: plan.md, plan.json, vllm_bench.sh, requests-SEED.jsonl, and gqa_bench.sh where
        the benchmark `serving` can be given what the plan is of.

    Raises:
        ValueError: the folder is a file.
        OSError: it cannot be written.
    """
    target = place_for(folder, "folder")
    texts = {
        "plan.md": plan_markdown(plan) + "\n",
        "plan.json": json.dumps(plan_facts(plan), indent=1) + "\n",
        "vllm_bench.sh": vllm_script(plan),
    }
    if (sweep := bench_script(plan)) is not None:
        texts["gqa_bench.sh"] = sweep
    for seed in range(plan.num_seeds):
        texts[f"requests-{seed}.jsonl"] = _lines(plan.requests(seed), shares(plan))
    for name, text in texts.items():
        replace_file(target / name, text, mode=0o777 if name.endswith(".sh") else 0o666)
    return [target / name for name in texts]


def plan_facts(plan: BenchmarkPlan) -> dict[str, Any]:
    """Return a plan's numbers, made of what JSON knows.

    Args:
        plan: which.
    """
    given, machine = plan.given, plan.variants[0].scenario.machine
    return {
        "format": FORMAT,
        "title": title(plan),
        "model": plan.variants[0].scenario.own_config.name,
        "hardware": machine.name if machine else None,
        "hours": total_hours(plan),
        "warnings": warnings(plan),
        "metric": plan.metric,
        "margin": plan.margin,
        "confidence": plan.sample.confidence,
        "goodput": dict(plan.goodput) if plan.goodput else None,
        "rate": plan.rate,
        "rates": plan.rates,
        "arrival_cvs": plan.arrival_cvs,
        "num_kv_heads": [one.num_kv_heads for one in plan.variants],
        "num_seeds": plan.num_seeds,
        "per_run": plan.per_run,
        "warmup": plan.warmup,
        "drain": plan.drain,
        "sample": asdict(plan.sample),
        "workload": {
            "source": plan.trace.source,
            "n": given.n,
            "left_out": plan.fitting.left_out,
            "rate": given.rate,
            "arrival_cv": given.arrival_cv,
            "correlation": given.correlation,
            "residency": asdict(given.residency),
            **{
                name: _distribution(getattr(given, name))
                for name in ("prompt_tokens", "output_tokens", "total_tokens", "kv_token_steps")
            },
        },
        "modelled": {str(one.num_kv_heads): _modelled(one) for one in plan.variants},
        "max_concurrency": plan.max_concurrency,
        "runs": _runs(plan),
    }


def _runs(plan: BenchmarkPlan) -> list[dict[str, Any]]:
    """The runs in their order, each with what its own requests have on average."""
    requests = [plan.requests(seed) for seed in range(plan.num_seeds)]
    rows = []
    for one in runs_of(plan):
        sent = requests[one.seed].select(slice(one.num_requests))
        means = {
            "mean_prompt_tokens": float(sent.prompt_tokens.mean()),
            "mean_output_tokens": float(sent.output_tokens.mean()),
        }
        rate = one.rate if math.isfinite(one.rate) else None  # JSON knows no infinity
        rows.append({"file": one.file, **asdict(one), "rate": rate, **means})
    return rows


def _distribution(one: Any) -> dict[str, Any]:
    return {
        "mean": one.mean[0],
        "sd": one.sd,
        "cv": one.cv,
        "max": one.largest,
        **{f"p{q:g}": value for q, (value, _, _) in one.percentiles.items()},
    }


def _modelled(one: Any) -> dict[str, Any]:
    figures = {name: one.at_rate[name] for name in _MODELLED if name in one.at_rate}
    return {
        "knee": one.knee.rate,
        "blocks": one.scenario.rules().num_blocks,
        "safe_concurrency": one.fits.safe,
        "in_system": one.in_system,
        **figures,
    }


def _lines(requests: Trace, with_blocks: bool) -> str:
    assert requests.arrival_s is not None
    rows: list[dict[str, Any]] = [
        {"arrival_s": round(arrival, 6), "prompt_tokens": prompt, "output_tokens": output}
        for arrival, prompt, output in zip(
            requests.arrival_s.tolist(),
            requests.prompt_tokens.tolist(),
            requests.output_tokens.tolist(),
            strict=True,
        )
    ]
    if with_blocks and requests.hash_ids is not None:
        for row, ids in zip(rows, requests.hash_ids, strict=True):
            row["hash_ids"] = [int(one) for one in ids]
    return "".join(json.dumps(row) + "\n" for row in rows)

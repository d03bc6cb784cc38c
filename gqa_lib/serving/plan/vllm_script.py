"""A plan as a shell script of `vllm serve` and `vllm bench serve`.

Source: vLLM's documentation of `vllm serve` and `vllm bench serve`; a custom dataset's rows have
`prompt` and, with --custom-output-len -1, `output_tokens`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np

from .benchmark import BenchmarkPlan
from .markdown import title
from .runs import Run, runs_of

_TEMPLATE = Path(__file__).parent / "data" / "vllm_bench.sh"
_MULTIPLE = 16  # of the longest context that is allowed


def vllm_script(plan: BenchmarkPlan) -> str:
    """Return the script that runs a plan with vLLM; its requests are in requests-SEED.jsonl.

    Args:
        plan: which.
    """
    text = _TEMPLATE.read_text(encoding="utf-8")
    size = plan.trace.hash_block_tokens if shares(plan) else None
    for name, value in {
        "TITLE": f"{_plain(title(plan))}: see plan.md",
        "MODEL": _plain(plan.variants[0].scenario.own_config.name),
        "OWN_KV_HEADS": str(plan.variants[0].scenario.own_config.num_kv_heads),
        "SERVE": _words(_serve(plan)),
        "BENCH": _words(_bench(plan)),
        "BLOCK_TOKENS": str(size or 512),
        "REQUESTS": _requests(plan),
        "PROMPTS": _prompts(plan),
        "RUNS": "\n".join(map(_run, runs_of(plan))),
    }.items():
        text = text.replace(f"@{name}@", value)
    return text


def is_fixed(plan: BenchmarkPlan) -> bool:
    """Return whether all requests are of one length, which vLLM's random dataset has exactly.

    Args:
        plan: which.
    """
    trace = plan.trace
    return bool(np.ptp(trace.prompt_tokens) == 0 and np.ptp(trace.output_tokens) == 0)


def shares(plan: BenchmarkPlan) -> bool:
    """Return whether the prompts of the runs begin alike as those of the trace do.

    Args:
        plan: which.
    """
    return plan.sharing is not None and plan.draws_own


def _plain(name: str) -> str:
    """A name without what a shell would read as more than text."""
    return re.sub(r"[^\w ./,:-]+", "-", name, flags=re.ASCII)


def _serve(plan: BenchmarkPlan) -> list[str]:
    scenario = plan.variants[0].scenario
    longest = int((plan.trace.prompt_tokens + plan.trace.output_tokens).max())
    context = -(-longest // _MULTIPLE) * _MULTIPLE + _MULTIPLE
    limits = [one.fits.capacity for one in plan.variants]  # an engine refuses to start above it
    if scenario.own_config.max_context is not None:
        limits.append(scenario.own_config.max_context)
    context = max(longest, min(context, *limits))
    caching = "--enable-prefix-caching" if shares(plan) else "--no-enable-prefix-caching"
    flags = {
        "--max-model-len": context,
        "--max-num-seqs": scenario.max_num_seqs,
        "--max-num-batched-tokens": scenario.max_num_batched_tokens,
        "--block-size": scenario.block_size,
        "--gpu-memory-utilization": scenario.gpu_memory_utilization,
        "--kv-cache-dtype": scenario.kv_cache_dtype,
        "--tensor-parallel-size": scenario.tensor_parallel,
    }
    words = [word for name, value in flags.items() for word in (name, str(value))]
    if scenario.num_blocks is not None:
        words += ["--num-gpu-blocks-override", str(scenario.num_blocks)]
    return [*words, caching]


def _bench(plan: BenchmarkPlan) -> list[str]:
    words = ["--ignore-eos", "--percentile-metrics", "ttft,tpot,itl,e2el"]
    words += ["--metric-percentiles", "50,90,95,99"]
    if plan.goodput:
        words += ["--goodput", *(f"{name}:{most:g}" for name, most in plan.goodput.items())]
    if plan.max_concurrency is not None:
        words += ["--max-concurrency", str(plan.max_concurrency)]
    return words


def _words(words: list[str]) -> str:
    """Words of a bash array, a flag with its values on each line."""
    lines: list[str] = []
    for word in words:
        if word.startswith("--"):
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return "\n  " + "\n  ".join(lines) + "\n"


def _requests(plan: BenchmarkPlan) -> str:
    if is_fixed(plan):
        prompt, output = plan.trace.prompt_tokens[0], plan.trace.output_tokens[0]
        return f"--dataset-name random --random-input-len {prompt} --random-output-len {output}"
    return (
        '--dataset-name custom --dataset-path "prompts/$2.jsonl" --custom-output-len -1 '
        "--skip-chat-template --disable-shuffle"
    )


def _prompts(plan: BenchmarkPlan) -> str:
    if is_fixed(plan):
        return ""
    return (
        f"for seed in {' '.join(map(str, range(plan.num_seeds)))}; do\n"
        '  write_prompts "requests-$seed.jsonl" "prompts/$seed.jsonl"\ndone\n'
    )


def _run(run: Run) -> str:
    burstiness = f"{1 / run.arrival_cv**2:.6g}"
    words = (run.num_kv_heads, run.seed, f"{run.rate:g}", burstiness, run.num_requests, run.file)
    return "run " + " ".join(map(str, words))

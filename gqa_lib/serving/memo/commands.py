"""The commands that would measure what a memo lacks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from gqa_lib.hardware import DATASHEET

from .question import MOST_REQUESTS, Question

TASKS = "gsm8k,hellaswag"
CHECKPOINT = "CHECKPOINT"  # stands for the reader's folder or name of the model


def serving_commands(question: Question, variants: Sequence[int]) -> str:
    """Return what measures tokens/s: the plan of a benchmark, and its script, for a shell.

    The script starts `vllm serve` for each variant, one that nobody trained with random weights,
    which is enough for speed, and measures it with `vllm bench serve` on the trace's requests.

    Args:
        question: what is asked.
        variants: numbers of KV heads, the baseline among them.
    """
    plan = [
        shlex.join(["gqa", "plan", question.trace_name, *_who(question)]),
        f"--variants {','.join(map(str, variants))}",
        *_flags(question),
        "--output plan",
    ]
    return f"{_lines(plan)}\nMODEL={CHECKPOINT} bash plan/vllm_bench.sh capacity"


def result_files(num_kv_heads: int) -> str:
    """Return the names of a variant's results, as the plan's script gives them, for a shell.

    Args:
        num_kv_heads: of the variant.
    """
    return f"plan/results/kv{num_kv_heads}-capacity-seed*.json"


def quality_commands(question: Question, num_kv_heads: int) -> str:
    """Return what measures a variant's quality next to the model as it is, for a shell.

    Args:
        question: what is asked.
        num_kv_heads: of the variant.
    """
    evaluate = "lm_eval --model vllm --model_args pretrained={} \\\n  --tasks {} --output_path {}"
    lines = [evaluate.format(CHECKPOINT, TASKS, f"quality/{question.reference}")]
    trained = f"{CHECKPOINT}_{num_kv_heads}"
    if num_kv_heads < question.scenario.own_config.num_kv_heads:
        lines += [
            f"gqa convert {CHECKPOINT} converted --num-kv-heads {num_kv_heads}",
            f"gqa uptrain converted {trained} --text YOUR_TEXT --steps STEPS",
        ]
    lines.append(evaluate.format(trained, TASKS, f"quality/{num_kv_heads}"))
    return "\n".join(lines)


def again(question: Question, runs: Sequence[int], quality: int | None) -> str:
    """Return the command that writes this memo with what was missing.

    Args:
        question: what is asked.
        runs: variants whose results are then there.
        quality: the variant whose scores are then there, None without one.
    """
    parts = [shlex.join(["gqa", "report", "--trace", question.trace_name, *_who(question)])]
    if question.price_per_hour is not None:
        price = ["--price-per-hour", f"{question.price_per_hour:g}"]
        parts.append(shlex.join([*price, "--currency", question.currency]))
    parts += [f"--variants {','.join(map(str, question.variants))}", *_flags(question)]
    if question.max_requests != MOST_REQUESTS:
        parts.append(f"--requests {question.max_requests}")
    if question.goodput is not None:
        parts.append(shlex.join(["--goodput", question.goodput]))
    if runs:
        parts.append(" ".join(["--results", *map(result_files, runs)]))
    if quality is not None:
        scores = [f"{heads}=quality/{heads}/FILE" for heads in (question.reference, quality)]
        parts.append(shlex.join(["--quality", *scores]))
    return _lines([*parts, "--output memo"])


def _who(question: Question) -> list[str]:
    """The flags of the model and the hardware."""
    scenario = question.scenario
    model = scenario.model if isinstance(scenario.model, str | Path) else question.model
    machine = question.machine if question.machine in DATASHEET else "here"
    words = ["--model", str(model), "--hardware", machine]
    times = scenario.kernel_times
    if times is not None:
        words += ["--kernel-times", *([times] if isinstance(times, str) else map(str, times))]
    return words


def _flags(question: Question) -> list[str]:
    """The flags of the margin and the engine that are not the usual ones, a part each."""
    scenario = question.scenario
    link, taken = scenario.link, scenario.activation_bytes
    flags = {
        "--margin": (_said(question.margin), "0.05"),
        "--bandwidth-efficiency": (_said(scenario.bandwidth_efficiency), "1"),
        "--flops-efficiency": (_said(scenario.flops_efficiency), "1"),
        "--step-overhead-ms": (_said(1e3 * scenario.overhead_s), "0"),
        "--link-bandwidth-gb-s": (_said(link.bytes_per_s / 1e9), "16"),
        "--link-latency-us": (_said(1e6 * link.latency_s), "20"),
        "--bytes-per-parameter": (scenario.bytes_per_parameter, None),
        "--activation-gb": (None if taken is None else _said(taken / 1e9), None),
        "--num-gpu-blocks-override": (scenario.num_blocks, None),
        "--tp": (scenario.tensor_parallel, 1),
        "--max-num-seqs": (scenario.max_num_seqs, 256),
        "--max-num-batched-tokens": (scenario.max_num_batched_tokens, 2048),
        "--block-size": (scenario.block_size, 16),
        "--gpu-memory-utilization": (_said(scenario.gpu_memory_utilization), "0.9"),
        "--kv-cache-dtype": (scenario.kv_cache_dtype, "auto"),
    }
    return [f"{name} {value}" for name, (value, usual) in flags.items() if value != usual]


def _said(value: float) -> str:
    return f"{value:.12g}"


def _lines(parts: Sequence[str]) -> str:
    return " \\\n  ".join(parts)

"""The commands that would measure what a memo lacks."""

from __future__ import annotations

import shlex

from .question import Question

TASKS = "gsm8k,hellaswag"
CHECKPOINT = "CHECKPOINT"  # stands for the reader's folder or name of the model


def serving_commands(question: Question, num_kv_heads: int) -> str:
    """Return what measures a variant's tokens/s: a server and its benchmark, for a shell.

    Speed does not depend on what the weights are: a variant that nobody trained is served with
    random ones.

    Args:
        question: what is asked.
        num_kv_heads: of the variant.
    """
    scenario, trace = question.scenario, question.trace
    server = [
        *("vllm", "serve", CHECKPOINT),
        *("--max-num-seqs", str(scenario.max_num_seqs)),
        *("--max-num-batched-tokens", str(scenario.max_num_batched_tokens)),
        *("--gpu-memory-utilization", f"{scenario.gpu_memory_utilization:g}"),
    ]
    if scenario.tensor_parallel > 1:
        server += ["--tensor-parallel-size", str(scenario.tensor_parallel)]
    if num_kv_heads != scenario.own_config.num_kv_heads:
        override = f'{{"num_key_value_heads": {num_kv_heads}}}'
        server += ["--load-format", "dummy", "--hf-overrides", override]
    client = [
        *("vllm", "bench", "serve", "--model", CHECKPOINT, "--request-rate", "inf"),
        *("--dataset-name", "random", "--ignore-eos", "--num-prompts", str(len(trace))),
        *("--random-input-len", f"{trace.prompt_tokens.mean():.0f}"),
        *("--random-output-len", f"{trace.output_tokens.mean():.0f}"),
        *("--save-result", "--save-detailed", "--seed", "0"),
        *("--metadata", f"num_kv_heads={num_kv_heads}", f"hardware={question.machine}"),
        *("--result-filename", f"{num_kv_heads}-kv-heads-seed0.json"),
    ]
    plan = ["gqa", "plan", question.trace_name, *_who(question), "--output", "plan"]
    return "\n".join(
        [
            f"{shlex.join(plan)}  # the trace's own requests, with seeds and order",
            f"{_shell(server)} &",
            f"{_shell(client)}  # again with --seed 1",
        ]
    )


def quality_commands(question: Question, num_kv_heads: int) -> str:
    """Return what measures a variant's quality next to the model as it is, for a shell.

    Args:
        question: what is asked.
        num_kv_heads: of the variant.
    """
    own = question.scenario.own_config.num_kv_heads
    evaluate = "lm_eval --model vllm --model_args pretrained={} --tasks {} --output_path {}"
    lines = [evaluate.format(CHECKPOINT, TASKS, f"quality/{question.reference}")]
    if num_kv_heads < own:
        lines += [
            f"gqa convert {CHECKPOINT} converted --num-kv-heads {num_kv_heads}",
            "gqa uptrain converted trained --text YOUR_TEXT --steps STEPS",
        ]
    lines.append(evaluate.format("trained", TASKS, f"quality/{num_kv_heads}"))
    return "\n".join(lines)


def again(question: Question, runs: list[int], quality: int | None) -> str:
    """Return the command that writes this memo with what was missing.

    Args:
        question: what is asked.
        runs: variants whose results are then there.
        quality: the variant whose scores are then there, None without one.
    """
    parts = ["gqa", "report", "--trace", question.trace_name, *_who(question)]
    if question.price_per_hour is not None:
        parts += ["--price-per-hour", f"{question.price_per_hour:g}"]
        parts += ["--currency", question.currency]
    parts += ["--variants", ",".join(map(str, question.variants))]
    if runs:
        parts.append("--results")
        parts += [f"{heads}-kv-heads-seed{seed}.json" for heads in runs for seed in (0, 1)]
    if quality is not None:
        parts.append("--quality")
        parts += [f"{heads}=quality/{heads}/FILE" for heads in (question.reference, quality)]
    return shlex.join([*parts, "--output", "memo"])


def _who(question: Question) -> list[str]:
    scenario = question.scenario
    return ["--model", str(scenario.model or question.model), "--hardware", question.machine]


def _shell(words: list[str]) -> str:
    """A command over several lines, two words each where the second is a flag's value."""
    lines, line = list[str](), ""
    for word in words:
        quoted = shlex.quote(word)
        if line and word.startswith("--") and len(line) > 60:
            lines.append(line)
            line = f"  {quoted}"
        else:
            line = f"{line} {quoted}".strip() if not line.startswith("  ") else f"{line} {quoted}"
    return " \\\n".join([*lines, line])

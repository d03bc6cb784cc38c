"""The commands that would measure what a memo lacks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from .question import Question
from .study import Study

TASKS = "gsm8k,hellaswag"
CHECKPOINT = "CHECKPOINT"  # stands for the reader's folder or name of the model
SEEDS = (0, 1)


def plan_commands(question: Question) -> str:
    """Return what writes the plan of the benchmark, and runs it, for a shell.

    Args:
        question: what is asked.
    """
    plan = ["gqa", "plan", question.trace_name, *_who(question), "--output", "plan"]
    return f"{shlex.join(plan)}\nMODEL={CHECKPOINT} bash plan/vllm_bench.sh"


def serving_commands(study: Study, num_kv_heads: int) -> str:
    """Return what measures a variant's tokens/s: a server and its benchmark, for a shell.

    Speed does not depend on what the weights are: a variant that nobody trained is served with
    random ones. The prompts are those that the plan's script wrote.

    Args:
        study: what was computed.
        num_kv_heads: of the variant.
    """
    question, scenario = study.question, study.question.scenario
    server = [
        f"vllm serve {CHECKPOINT} --max-model-len {_longest(study, num_kv_heads)}",
        f"--max-num-seqs {scenario.max_num_seqs}",
        f"--max-num-batched-tokens {scenario.max_num_batched_tokens}",
        f"--gpu-memory-utilization {scenario.gpu_memory_utilization:g}",
        f"--block-size {scenario.block_size} --kv-cache-dtype {scenario.kv_cache_dtype}",
    ]
    if scenario.tensor_parallel > 1:
        server.append(f"--tensor-parallel-size {scenario.tensor_parallel}")
    if num_kv_heads != scenario.own_config.num_kv_heads:
        override = shlex.quote(f'{{"num_key_value_heads": {num_kv_heads}}}')
        server.append(f"--load-format dummy --hf-overrides {override}")
    machine = shlex.quote(f"hardware={question.machine}")
    client = [
        f"  vllm bench serve --backend vllm --model {CHECKPOINT} --request-rate inf --seed $seed",
        "--dataset-name custom --dataset-path plan/prompts/$seed.jsonl --custom-output-len -1",
        f"--skip-chat-template --disable-shuffle --ignore-eos --num-prompts {_prompts(question)}",
        f"--save-result --save-detailed --metadata num_kv_heads={num_kv_heads} {machine}",
        f"--result-filename {result_file(num_kv_heads, '$seed')}",
    ]
    seeds = " ".join(map(str, SEEDS))
    return "\n".join(
        [
            f"{_lines(server, '  ')} &",
            "until curl -sf localhost:8000/health; do sleep 5; done",
            f"for seed in {seeds}; do",
            _lines(client, "    "),
            "done",
            "kill %1",
        ]
    )


def result_file(num_kv_heads: int, seed: object) -> str:
    """Return the name of a result.

    Args:
        num_kv_heads: of the variant.
        seed: of the run.
    """
    return f"kv{num_kv_heads}-capacity-seed{seed}.json"


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
    parts.append(f"--variants {','.join(map(str, question.variants))}")
    if question.goodput is not None:
        parts.append(shlex.join(["--goodput", question.goodput]))
    if runs:
        files = [result_file(heads, seed) for heads in runs for seed in SEEDS]
        parts.append(shlex.join(["--results", *files]))
    if quality is not None:
        scores = [f"{heads}=quality/{heads}/FILE" for heads in (question.reference, quality)]
        parts.append(shlex.join(["--quality", *scores]))
    return _lines([*parts, "--output memo"], "  ")


def _prompts(question: Question) -> int:
    return min(len(question.trace), question.max_requests)


def _longest(study: Study, num_kv_heads: int) -> int:
    """Tokens of the longest request, or of the whole cache if that has fewer."""
    trace, variant = study.requests, study.at(num_kv_heads)
    longest = int((trace.prompt_tokens + trace.output_tokens).max()) + 1
    blocks = -(-longest // study.question.scenario.block_size)
    tokens = blocks * study.question.scenario.block_size
    return min(tokens, variant.concurrency.capacity) if variant.concurrency else tokens


def _who(question: Question) -> list[str]:
    model = question.scenario.model
    name = model if isinstance(model, str) else question.model
    return ["--model", name, "--hardware", question.machine]


def _lines(parts: Sequence[str], indent: str) -> str:
    return f" \\\n{indent}".join(parts)

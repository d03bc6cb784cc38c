"""Made-up evidence for memos: results of vLLM's benchmark and of lm_eval; no one measured them."""

import json

from gqa_lib.serving.memo import Question
from gqa_lib.serving.scenario import Scenario
from gqa_lib.serving.traffic import sample

MODEL, MACHINE = "Llama-3.1-8B", "RTX 4090"
TRACE = sample("azure-code-2023").select(slice(40))
PROMPT, OUTPUT = float(TRACE.prompt_tokens.mean()), float(TRACE.output_tokens.mean())


def question(**changes):
    """A question about 40 requests of the code trace."""
    scenario = Scenario(kernel_times="rtx4090-llama-3.1-8b", max_num_seqs=64)
    asked = {"trace": TRACE, "trace_name": "azure-code-2023", "scenario": scenario}
    asked |= {"variants": (32, 8, 4), "price_per_hour": 0.36, "currency": "EUR"}
    return Question(**{**asked, **changes})


def vllm_result(path, tokens_per_s=100.0, **changes):
    """Write a result as `vllm bench serve --save-result --request-rate inf` does; return it."""
    completed, outputs = 40, 40 * OUTPUT
    found = {
        "date": "20261129-173040",
        "backend": "vllm",
        "label": path.name,  # no two runs are alike
        "model_id": f"meta-llama/{MODEL}",
        "num_prompts": completed,
        "request_rate": "inf",
        "duration": outputs / tokens_per_s,
        "completed": completed,
        "failed": 0,
        "total_input_tokens": 40 * PROMPT,
        "total_output_tokens": outputs,
        "request_throughput": completed / (outputs / tokens_per_s),
        "output_throughput": tokens_per_s,
        "total_token_throughput": tokens_per_s * (1 + PROMPT / OUTPUT),
        "mean_ttft_ms": 512.0,
        "p99_ttft_ms": 900.0,
        "mean_tpot_ms": 41.0,
        "p99_tpot_ms": 77.0,
    }
    found |= changes
    path.write_text(json.dumps({k: v for k, v in found.items() if v is not None}))
    return str(path)


def runs(folder, heads, *rates, **changes):
    """Write one result for each rate of a variant; return the arguments of --results."""
    return [
        f"{heads}={vllm_result(folder / f'{heads}-{place}.json', rate, **changes)}"
        for place, rate in enumerate(rates)
    ]


def lm_eval(path, score, error=0.002, **changes):
    """Write scores as `lm_eval --output_path` does; return the file."""
    found = {
        "results": {"gsm8k": {"alias": "gsm8k", "acc,none": score, "acc_stderr,none": error}},
        "higher_is_better": {"gsm8k": {"acc": True}},
        "model_name": f"meta-llama/{MODEL}",
        "date": 1795910400.0,
        "label": path.name,  # no two are alike
    }
    path.write_text(json.dumps(found | changes))
    return str(path)

"""The simulator against logs of vLLM: calibrated on kernel times only, never on the log itself."""

from pathlib import Path

import numpy as np

from gqa_lib.serving.simulator import (
    ENGINES,
    KernelStepTime,
    Rules,
    latencies_ms,
    sample_step_time,
    simulate,
)
from gqa_lib.serving.traffic import load_trace, sample

PRO_6000 = Path(__file__).parents[1] / "data" / "vllm-rtxpro6000"
# How far sequences of unlike lengths are between the times of their mean and of their longest: the
# profile of that card says so (`alpha_default`, casys-kaist/LLMServingSim); the other's has none.
SKEW = 0.0543


def rtx_4090(**rules):
    name = "rtx4090-llama-3.1-8b"
    engine = ENGINES[name]
    settings = {
        "num_blocks": engine.num_blocks - 1,
        "block_size": engine.block_size,
        "max_num_seqs": engine.max_num_seqs,
        "max_num_batched_tokens": engine.max_num_batched_tokens,
    }
    trace = sample(engine.log)
    return trace, run(trace, Rules(**{**settings, **rules}), sample_step_time(name))


def rtx_pro_6000(skew=SKEW):
    files = (PRO_6000 / f"{kind}.csv.gz" for kind in ("attention", "dense", "per_sequence"))
    trace = load_trace(PRO_6000 / "requests.jsonl.gz")
    # Its memory was never full: 96 GB hold more than all 300 requests.
    return trace, run(
        trace, Rules(40_000, max_num_seqs=128), KernelStepTime(*files, num_layers=32, skew=skew)
    )


def run(trace, rules, step_time):
    return simulate(trace.arrival_s, trace.prompt_tokens, trace.output_tokens, rules, step_time)


def errors(trace, simulation):
    """How far the simulated figures are from the measured ones, as shares of these."""
    ours = latencies_ms(simulation)
    ttft, e2e = 1e3 * trace.measured["ttft_s"], 1e3 * trace.measured["e2e_s"]
    tpot = (e2e - ttft) / (trace.output_tokens - 1)
    end_s = (trace.arrival_s + trace.measured["e2e_s"]).max()
    return {
        "tpot": ours["tpot"].mean() / tpot.mean() - 1,
        "tpot p99": np.quantile(ours["tpot"], 0.99) / np.quantile(tpot, 0.99) - 1,
        "ttft": ours["ttft"].mean() / ttft.mean() - 1,
        "e2el": ours["e2el"].mean() / e2e.mean() - 1,
        "tokens/s": end_s / simulation.last_token_s.max() - 1,
    }


def test_a_card_under_pressure_is_met_within_two_percent():
    trace, simulation = rtx_4090()
    assert simulation.preemptions.sum() > 150  # the memory is full for most of the time
    found = errors(trace, simulation)
    assert all(abs(error) < 0.02 for error in found.values()), found


def test_a_card_with_room_is_met_within_two_percent_and_its_tail_within_five():
    trace, simulation = rtx_pro_6000()
    assert simulation.preemptions.sum() == 0
    found = errors(trace, simulation)
    assert abs(found.pop("tpot p99")) < 0.05
    assert all(abs(error) < 0.02 for error in found.values()), found


def test_what_a_preempted_request_finds_of_its_blocks_is_a_part_of_that():
    trace, simulation = rtx_4090(prefix_caching=False)
    assert errors(trace, simulation)["tpot"] > 0.02


def test_unlike_lengths_are_a_part_of_that():
    trace, simulation = rtx_pro_6000(skew=0.0)
    assert errors(trace, simulation)["tpot"] < -0.02

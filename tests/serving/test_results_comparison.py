"""A variant's runs against a baseline's: the verdicts, and what makes them inconclusive."""

import numpy as np
import pytest

from gqa_lib.serving.results import Result, compare_results
from gqa_lib.serving.traffic import Trace


def run(seed, faster=1.0, num=400, sizes=None, spread=0.2, failed=0, **conditions):
    """A run whose latencies are 100 ms to the first token and 10 ms for each, but for chance."""
    draw = np.random.default_rng(sizes if sizes is not None else seed)
    arrivals = np.cumsum(draw.exponential(1.0, num))
    prompts, outputs = draw.integers(10, 100, num), draw.integers(2, 50, num)
    noise = np.random.default_rng(seed).normal(1, spread, num).clip(0.1)
    ttft = 0.1 * noise / faster
    trace = Trace(
        arrivals - arrivals[0],
        prompts,
        outputs,
        measured={"ttft_s": ttft, "e2e_s": ttft + 0.01 * (outputs - 1) / faster},
    )
    return Result(f"run{seed}", "vllm-bench", {}, trace, failed=failed, conditions=conditions)


def ttft(baseline, variant, margin=0.05, **more):
    found = compare_results(baseline, variant, margin=margin, metrics=("mean_ttft_ms",), **more)
    return found, found.differences[0]


def runs(*seeds, faster=1.0, **more):
    return [run(seed, faster, sizes=seed % 100, **more) for seed in seeds]


@pytest.mark.parametrize(
    ("faster", "verdict", "why"),
    [
        (1.3, "better", ""),
        (0.8, "worse", ""),
        (1.0, "within the margin", ""),
        (1.05, "inconclusive", "the interval contains the margin, though it is lower"),
    ],
)
def test_the_interval_against_the_margin_decides(faster, verdict, why):
    found, one = ttft(runs(*range(5)), runs(*range(100, 105), faster=faster))
    assert (one.verdict, one.why) == (verdict, why)
    assert one.change == pytest.approx(1 / faster - 1, abs=0.03)
    assert one.low < one.change < one.high
    assert (one.num_pairs, found.same_requests) == (5, True)


def test_more_tokens_a_second_are_better():
    few, many = (
        [Result("r", "vllm-bench", {"output_throughput": base + n}) for n in range(4)]
        for base in (100.0, 130.0)
    )
    (one,) = compare_results(few, many, margin=0.05, metrics=("output_throughput",)).differences
    assert one.verdict == "better"


def test_goodput_is_computed_of_both_sides():
    limits = {"ttft": 90.0}
    slow, fast = runs(0, 1, 2), runs(100, 101, 102, faster=1.5)
    found = compare_results(slow, fast, margin=0.05, metrics=("request_goodput",), goodput=limits)
    assert found.differences[0].verdict == "better"


def test_pairs_of_the_same_requests_tell_what_unpaired_ones_cannot():
    """The runs differ among each other by far more than the variants do."""
    loads = (1.0, 2.0, 3.0, 4.0, 5.0)
    a = [run(n, 1 / load, sizes=n, spread=0.01) for n, load in enumerate(loads)]
    b = [run(9 + n, 1.1 / load, sizes=n, spread=0.01) for n, load in enumerate(loads)]
    assert ttft(a, b)[1].verdict == "better"
    assert ttft(a, b[::-1])[1].verdict == "inconclusive"


def test_one_run_is_cut_into_batches():
    found, one = ttft(runs(0), runs(100, faster=1.3))
    assert (one.verdict, one.num_pairs, found.paired_by) == ("better", 10, "10 batches of one run")
    assert "what differs from run to run is not in the interval" in str(found)


def test_totals_of_one_run_have_no_spread():
    totals = [Result("a", "vllm-bench", {"mean_ttft_ms": 100.0})]
    found, one = ttft(totals, totals)
    assert (one.verdict, one.why, one.low) == ("inconclusive", "one pair has no spread", None)
    assert found.same_requests is None


def test_totals_of_several_runs_are_compared():
    a, b = (
        [Result("r", "vllm-bench", {"mean_ttft_ms": base + n}) for n in range(4)]
        for base in (100.0, 70.0)
    )
    found, one = ttft(a, b, warmup=5)
    assert one.verdict == "better"
    assert "warm-up is in the totals" in found.notes[0]


def test_other_requests_and_other_conditions_are_named():
    a = [run(n, sizes=n, request_rate=2.0) for n in range(3)]
    b = [run(n, sizes=n + 50, request_rate=3.0) for n in range(3)]
    found, _ = ttft(a, b)
    assert found.same_requests is False
    assert "run0 and run0 did not serve the same requests" in found.notes[0]
    assert "differ in request_rate: 2.0 and 3.0" in " ".join(found.notes)


def test_many_failures_leave_it_open():
    _, one = ttft(runs(0, 1, 2), runs(100, 101, 102, faster=2, failed=5))
    assert (one.verdict, one.why) == (
        "inconclusive",
        "5 requests of run100 failed, more than 1 %",
    )


def test_a_percentile_of_too_few_requests_leaves_it_open():
    a, b = runs(0, 1, 2), runs(100, 101, 102, faster=2)
    found = compare_results(a, b, margin=0.05, metrics=("p90_ttft_ms", "p95_ttft_ms"))
    ninety, ninetyfive = found.differences
    assert (ninety.verdict, ninetyfive.verdict) == ("better", "inconclusive")  # of 1,200
    assert ninetyfive.why == "p95 of 1,200 requests rests on 60"


def test_warm_up_is_left_out():
    cold = []
    for one in runs(0, 1, 2):
        ttfts = one.trace.measured["ttft_s"].copy()
        ttfts[:20] += 50
        later = {"ttft_s": ttfts, "e2e_s": one.trace.measured["e2e_s"] + 50}
        trace = Trace(
            one.trace.arrival_s, one.trace.prompt_tokens, one.trace.output_tokens, measured=later
        )
        cold.append(Result("cold", "vllm-bench", {}, trace))
    assert ttft(runs(0, 1, 2), cold)[1].verdict == "worse"
    assert ttft(runs(0, 1, 2), cold, warmup=20)[1].verdict == "within the margin"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ttft(runs(0), runs(0, 1)), "1 runs of the baseline and 2 of the variant"),
        (lambda: ttft([], []), "baseline"),
        (lambda: ttft(runs(0), runs(0), margin=0), "margin=0"),
        (
            lambda: compare_results(runs(0), runs(0), margin=0.1, metrics=("speed",)),
            "none of speed is in all files",
        ),
        (lambda: ttft(runs(0), runs(0), warmup=400), "none is left to measure"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()

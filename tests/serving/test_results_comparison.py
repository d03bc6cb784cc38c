"""A variant's runs against a baseline's: the verdicts, and what makes them inconclusive."""

import numpy as np
import pytest

from gqa_lib.serving.results import Result, compare_results, higher_is_better
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


def test_one_run_of_each_shows_how_latencies_vary_and_decides_nothing():
    found, one = ttft(runs(0), runs(100, faster=1.3))
    assert (one.verdict, one.num_pairs, found.paired_by) == ("inconclusive", 1, "one run of each")
    assert one.low < one.change < one.high < -0.2  # from batches
    assert one.why == "one run of each: what differs from run to run is not known"


@pytest.mark.parametrize("num", [200, 2500])
def test_a_rate_of_one_run_is_the_windows_and_has_no_interval(num):
    """A server with answers twice as fast at the same rate has the same tokens a second."""

    def paced(e2e):
        draw, noise = np.random.default_rng(0), np.random.default_rng(int(e2e))
        arrivals = np.cumsum(draw.exponential(0.5, num))
        last = e2e * (1 + 0.1 * noise.normal(size=num))
        times = {"ttft_s": 0.1 * last, "e2e_s": last}
        trace = Trace(arrivals - arrivals[0], [100] * num, [50] * num, measured=times)
        return Result(f"e2e {e2e}", "vllm-bench", {}, trace)

    asked = {"metrics": ("output_throughput",), "warmup": 40, "drain": 40, "margin": 0.05}
    (one,) = compare_results([paced(20)], [paced(10)], **asked).differences
    assert abs(one.change) < 0.04
    assert (one.verdict, one.low) == ("inconclusive", None)
    parts = [paced(20).part(n, n + 20).summary()["output_throughput"] for n in (60, 80, 100)]
    assert np.mean(parts) == pytest.approx(100, rel=0.2)  # and not 50 x 20 over some 30 s


def test_a_rate_of_all_at_once_is_the_whole_runs():
    def at_once(seed):
        num, draw = 100, np.random.default_rng(seed)
        last = np.sort(draw.uniform(1, 10, num))
        times = {"ttft_s": last / 2, "e2e_s": last}
        trace = Trace(np.zeros(num), [100] * num, [50] * num, measured=times)
        return Result(f"run{seed}", "vllm-bench", {}, trace)

    asked = {"metrics": ("output_throughput",), "margin": 0.05}
    (one,) = compare_results([at_once(0)], [at_once(1)], **asked).differences
    assert one.baseline == pytest.approx(at_once(0).summary()["output_throughput"])
    assert one.verdict == "inconclusive"
    assert "output_throughput" not in at_once(0).part(0, 50).summary()


def test_totals_of_one_run_have_no_spread():
    totals = [Result("a", "vllm-bench", {"mean_ttft_ms": 100.0})]
    found, one = ttft(totals, totals)
    assert (one.verdict, one.low) == ("inconclusive", None)
    assert "one run of each" in one.why
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


@pytest.mark.parametrize(
    ("sizes", "rate", "why"),
    [
        (50, 2.0, "run0 and run100 did not serve the same requests"),
        (0, 1.0, "run0 and run100 differ in request_rate: 2.0 and 1.0"),
    ],
)
def test_pairs_of_another_load_are_no_answer(sizes, rate, why):
    a = [run(n, sizes=n, request_rate=2.0) for n in range(3)]
    b = [run(100 + n, 2, sizes=n + sizes, request_rate=rate) for n in range(3)]
    _, one = ttft(a, b)
    assert (one.verdict, one.why) == ("inconclusive", why)


def test_what_a_caller_doubts_leaves_it_open():
    _, one = ttft(runs(0, 1, 2), runs(100, 101, 102, faster=2), doubt="of another card")
    assert (one.verdict, one.why) == ("inconclusive", "of another card")


def test_a_percentile_is_of_the_requests_of_all_runs_together():
    a, b = runs(0, 1, 2), runs(100, 101, 102)
    (one,) = compare_results(a, b, margin=0.05, metrics=("p90_ttft_ms",)).differences
    pooled = np.concatenate([1e3 * it.trace.measured["ttft_s"] for it in a])
    assert one.baseline == pytest.approx(np.percentile(pooled, 90))


def test_a_request_of_one_token_has_no_tpot_and_does_not_count_towards_its_percentile():
    def short(seed):
        one = run(seed, sizes=seed % 100, num=1000)
        outputs = one.trace.output_tokens.copy()
        outputs[: len(outputs) // 2] = 1
        trace = Trace(
            one.trace.arrival_s, one.trace.prompt_tokens, outputs, measured=one.trace.measured
        )
        return Result(one.source, "vllm-bench", {}, trace)

    metrics = ("p95_ttft_ms", "p95_tpot_ms")
    found = compare_results(
        [short(0), short(1)], [short(100), short(101)], margin=0.05, metrics=metrics
    )
    first, second = found.differences
    assert "rests on" not in first.why
    assert second.why == "p95 of 1,000 requests rests on 50"


@pytest.mark.parametrize(
    ("metric", "better"),
    [("good_share", True), ("completed", True), ("p99_itl_ms", False), ("failed", False)],
)
def test_the_direction_of_each_metric_is_known_or_refused(metric, better):
    assert higher_is_better(metric) == better
    with pytest.raises(ValueError, match="metric='speed'"):
        higher_is_better("speed")


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
        (lambda: ttft(runs(0), runs(0), margin=5), "margin=5 is 500 %"),
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

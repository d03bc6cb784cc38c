"""A benchmark plan: its numbers follow from the trace, and its text has them."""

from dataclasses import replace

import numpy as np
import plan_cases
import pytest

from gqa_lib.serving.plan import find_knee, plan_facts, plan_markdown, plan_warnings
from gqa_lib.serving.plan.durations import total_hours
from gqa_lib.serving.plan.knee import at_rate
from gqa_lib.serving.plan.rehearsal import Rehearsal
from gqa_lib.serving.plan.runs import runs_of
from gqa_lib.serving.plan.tables import figure, percent
from gqa_lib.serving.results import Difference
from gqa_lib.serving.simulator import load
from gqa_lib.serving.traffic import Trace


@pytest.fixture(scope="module")
def plan():
    return plan_cases.plan()


@pytest.fixture(scope="module")
def text(plan):
    return plan_markdown(plan)


def test_the_baseline_is_mha_and_the_variant_the_model_as_it_is(plan):
    assert [one.num_kv_heads for one in plan.variants] == [8, 2]
    first, second = plan.variants
    assert second.fits.capacity == pytest.approx(4 * first.fits.capacity, rel=0.1)
    assert second.fits.safe > 4 * first.fits.safe  # the variance's share shrinks
    assert first.ledger.weight_bytes > second.ledger.weight_bytes


def test_every_run_of_a_seed_has_the_same_requests_for_all(plan):
    a, b, other = plan.requests(0), plan.requests(0), plan.requests(1)
    for name in ("prompt_tokens", "output_tokens", "arrival_s"):
        assert np.array_equal(getattr(a, name), getattr(b, name))
    assert len(a) == plan.num_requests == plan.warmup + plan.per_run + plan.drain
    assert not np.array_equal(a.prompt_tokens, other.prompt_tokens)
    assert (len(a) - 1) / a.arrival_s[-1] == pytest.approx(plan.rate)


def test_warm_up_is_twice_what_runs_and_waits():
    """Little's law, of the arrivals with the longest queue: who waits is in the system, too."""
    requests = plan_cases.trace()
    bursts = np.repeat(np.arange(30.0), 10)
    plan = plan_cases.plan(trace=Trace(bursts, requests.prompt_tokens, requests.output_tokens))
    there = max(one.in_system for one in plan.variants)
    first = max(plan.rate * one.at_rate["mean_e2el_ms"] / 1e3 for one in plan.variants)
    assert there > 1.2 * first > max(one.at_rate["mean_running"] for one in plan.variants)
    assert plan.drain >= there
    assert plan.warmup >= 2 * there
    limited = plan_cases.plan(max_concurrency=3)
    assert max(one.in_system for one in limited.variants) <= 3


def test_the_order_alternates(plan):
    assert plan.order() == ((0, 0), (0, 1), (1, 1), (1, 0))
    turns = [(one.seed, one.num_kv_heads) for one in runs_of(plan) if one.kind == "compare"]
    assert turns == [(0, 8), (0, 2), (1, 2), (1, 8)]
    assert len({one.file for one in runs_of(plan)}) == len(list(runs_of(plan)))


def test_the_sweep_has_rates_on_both_sides_of_the_knees(plan):
    knees = [one.knee.rate for one in plan.variants]
    assert plan.rates[0] < min(knees) <= max(knees) < plan.rates[-1]
    assert plan.rate == knees[0]


def test_below_the_knee_an_engine_keeps_up_and_above_it_does_not():
    """One step for each request: 10 ms read all weights, so 2 at a time serve 200 a second."""
    scenario = plan_cases.scenario(max_num_seqs=2)
    trace = Trace(np.arange(400.0), [1] * 400, [2] * 400)
    knee = find_knee(scenario, trace, {"ttft": 200.0})
    below, above = (scenario.run(at_rate(trace, scale * knee.rate)) for scale in (0.9, 1.2))
    assert (load(below), load(above)) == ("STABLE", "OVERLOADED")
    assert knee.rate < knee.capacity


def test_no_rate_meets_what_a_step_exceeds():
    trace = Trace(np.arange(50.0), [10] * 50, [5] * 50)
    assert find_knee(plan_cases.scenario(), trace, {"ttft": 0.001}).rate is None


def test_a_plan_without_a_rate_that_meets_the_limits_says_so_first():
    plan = plan_cases.plan(goodput={"tpot": 0.001})
    text = plan_markdown(plan)
    front = text.partition("## 1.")[0]
    assert "No rate was found at which 8 KV heads keep up" in front
    assert "tpot:0.001" in front
    assert "predicted knee: " not in text
    assert "the lowest that was tried: the baseline keeps up at none" in text
    assert not [said for said in plan_warnings(plan_cases.plan()) if "No rate" in said]


def test_how_long_it_takes_is_said_first(plan, text):
    total = total_hours(plan)
    assert f"All runs take {total:,.1f} hours" in text.partition("## 1.")[0]
    assert plan_facts(plan)["hours"] == total


def test_requests_that_are_given_are_measured():
    plan = plan_cases.plan(num_requests=60)
    assert (plan.per_run, plan.sample.requests, plan.sample.quotable) == (30, 60, ())
    text = plan_markdown(plan)
    assert "**60** (as given, --requests) in 2 runs of 30" in text
    assert "The number of requests was given" in text


def rehearsed(low, high, verdict):
    found = Difference("request_goodput", 1.0, 1.0, (low + high) / 2, low, high, 2, verdict)
    plan = replace(plan_cases.plan(num_requests=4000), rehearsals=(Rehearsal(1.0, (found,)),))
    front, _, rest = plan_markdown(plan).partition("## 7.")
    rest = rest.partition("## 8.")[0]
    assert ("Far fewer requests would tell" in front) == ("would tell as much" in rest)
    return rest


def test_a_rehearsal_says_how_many_requests_would_do():
    # The change, 10 %, is 5 % from the margin, and half of the interval 10 %: four times as many.
    assert "About 16,000 requests of each variant instead of 4,000" in rehearsed(
        0.0, 0.2, "inconclusive"
    )
    # 45 % from the margin with half an interval of 1 %: as few as runs can have.
    assert "About 100 requests of each variant instead of 4,000" in rehearsed(0.49, 0.51, "better")
    for sure in (rehearsed(0.3, 0.7, "better"), rehearsed(-0.03, 0.03, "within the margin")):
        assert "--requests" not in sure
    assert "too near to the margin" in rehearsed(0.03, 0.0701, "inconclusive")


def test_the_percentile_that_sets_the_number_is_not_shortened_by_an_error():
    assert "p50 sets the number of requests" in plan_markdown(plan_cases.plan(relative_error=0.9))
    one = plan_cases.plan(relative_error=0.02)
    least = max(one.sample.for_percentile, -(-one.sample.for_mean // 4))
    assert f"takes {least:,} requests instead of {one.sample.requests:,}" in plan_markdown(one)


def test_large_numbers_of_tables_are_written_out():
    assert [figure(n) for n in (10_090.4, 9_999_999.0, 1234.56, 0.012345)] == [
        *("10,090", "9,999,999", "1,235", "0.01235")
    ]
    assert (percent(12.345), percent(0.05), percent(-0.123456)) == ("1,234 %", "5 %", "-12.3 %")


def test_a_longer_trace_gives_its_own_requests():
    requests = plan_cases.trace(3000)
    plan = plan_cases.plan(trace=requests)
    assert plan.draws_own
    first, second = plan.requests(0), plan.requests(1)
    assert np.array_equal(first.prompt_tokens, requests.prompt_tokens[: len(first)])
    assert np.array_equal(second.output_tokens, requests.output_tokens[len(first) : 2 * len(first)])
    assert "different requests of the trace" in plan_markdown(plan)


def test_shared_prompts_stay_shared_where_the_trace_is_long_enough():
    requests = plan_cases.trace(3000)
    blocks = np.empty(3000, object)
    blocks[:] = [
        [n % 7, *range(10 * n + 7, 10 * n + 7 + prompt // 64)]
        for n, prompt in enumerate(requests.prompt_tokens.tolist())
    ]
    shared = Trace(
        requests.arrival_s,
        requests.prompt_tokens,
        requests.output_tokens,
        hash_ids=blocks,
        hash_block_tokens=64,
    )
    plan = plan_cases.plan(trace=shared)
    assert plan.requests(0).hash_ids is not None
    assert "It is kept, and prefix caching is on" in plan_markdown(plan)
    few = plan_cases.plan(trace=shared.select(slice(0, 300)))
    assert "theirs are drawn and share nothing" in plan_markdown(few)


def test_requests_that_a_variant_can_never_serve_are_left_out_for_all():
    requests = plan_cases.trace()
    long = requests.prompt_tokens.copy()
    long[:6] = 9000  # 8 KV heads keep 8,048 tokens
    plan = plan_cases.plan(trace=Trace(requests.arrival_s, long, requests.output_tokens))
    assert plan.fitting.num_left_out == 6
    assert max(plan.requests(0).prompt_tokens) < 8000
    assert "**6 of 300 requests (2 %) are left out of every run**" in plan_markdown(plan)
    long[:] = 9000
    with pytest.raises(ValueError, match="300 of 300 requests cannot be served by every variant"):
        plan_cases.plan(trace=Trace(requests.arrival_s, long, requests.output_tokens))


def test_bursts_of_the_trace_are_a_case_of_their_own():
    requests = plan_cases.trace()
    bursts = np.repeat(np.arange(30.0), 10)
    plan = plan_cases.plan(trace=Trace(bursts, requests.prompt_tokens, requests.output_tokens))
    assert plan.arrival_cvs[0] == 1
    assert plan.arrival_cvs[1] == pytest.approx(3.0, abs=0.1)
    kinds = [one.kind for one in runs_of(plan)]
    assert kinds.count("burst") == kinds.count("compare") == 4
    text = plan_markdown(plan)
    assert f"--burstiness {1 / plan.arrival_cvs[1] ** 2:.4g}" in text


@pytest.mark.parametrize(
    "said",
    [
        "# Benchmark plan: Test-8 on test card, 2 against 8 KV heads",
        "answers per second that meet `ttft:500 tpot:50` (milliseconds",
        "Margin, stated before any run: 5 %",
        "| KV token-steps |",
        "KV held by a decoding request, weighted by how long it is held",
        "**Modelled by the simulator** (section 12)",
        "Common random numbers",
        "| requests, 1 % overflow |",
        "Not rehearsed",
        "Step times are modelled",
        "The interval of the change contains 5 % or -5 %",
    ],
)
def test_the_text_has_what_a_plan_needs(text, said):
    assert said in text


def test_the_numbers_of_the_text_are_those_of_the_plan(plan, text):
    facts = plan_facts(plan)
    assert f"n = (z CV / 0.4)^2 = **{plan.sample.for_mean:,}**" in text
    assert f"{facts['workload']['residency']['mean']:,.0f} tokens on average" in text
    assert f"{plan.rate:.3g} requests/s, the baseline's predicted knee" in text
    assert facts["modelled"]["2"]["safe_concurrency"] == plan.variants[1].fits.safe
    assert f"| requests, 1 % overflow | {plan.variants[0].fits.safe:,} |" in text
    hours = 2 * 2 * plan.num_requests / plan.rate / 3600
    assert f"| {4} | {hours:.1f} |" in text


def test_a_rehearsal_tells_whether_the_runs_could():
    plan = plan_cases.plan(rehearsed=True)
    (one,) = plan.rehearsals
    assert [it.metric for it in one.differences] == [
        "request_goodput",
        "mean_ttft_ms",
        "mean_tpot_ms",
    ]
    assert one.differences[1].change < 0  # more memory, less waiting
    assert "It predicts no result" in plan_markdown(plan)


def test_requests_of_one_size_need_no_arrivals():
    plan = plan_cases.plan(trace=Trace(None, [100] * 50, [20] * 50), goodput=None)
    assert plan.metric == "mean_e2el_ms"
    assert set(plan.requests(0).prompt_tokens) == {100}
    text = plan_markdown(plan)
    assert "All requests are of one size" in text
    assert "Arrivals are not known" in text
    assert "`mean_e2el_ms`: mean time to the last token. No latency was promised" in text
    assert "Knee: the highest rate at which the engine is not overloaded." in text


def test_what_was_given_is_kept():
    plan = plan_cases.plan(
        request_rate=3.0, burstiness=4.0, max_concurrency=7, num_kv_heads=[4, 1], margin=0.1
    )
    assert (plan.rate, plan.arrival_cvs[0], plan.max_concurrency) == (3.0, 0.5, 7)
    assert [one.num_kv_heads for one in plan.variants] == [4, 1]
    text = plan_markdown(plan)
    assert "At most 7 requests are in flight" in text
    assert "3 requests/s, as given" in text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"num_kv_heads": [2]}, "one variant is compared with nothing"),
        ({"num_kv_heads": [2, 2]}, "twice"),
        ({"num_kv_heads": [8, 3]}, "num_kv_heads=3"),
        ({"margin": 0}, "margin=0"),
        ({"margin": 5}, "margin=5 is 500 %"),
        ({"num_requests": 1}, "num_requests=1"),
        ({"num_seeds": 1}, "num_seeds=1"),
        ({"burstiness": -1.0}, "burstiness=-1"),
        ({"request_rate": 0.0}, "request_rate=0"),
        ({"max_concurrency": 0}, "max_concurrency=0"),
        ({"percentile": 100.0}, "percentile=100"),
        ({"flags": {"gpu_memory_utilization": 0.5}}, "leave no block"),
    ],
)
def test_what_cannot_be_planned_is_refused(asked, said):
    with pytest.raises(ValueError, match=said):
        plan_cases.plan(**asked)

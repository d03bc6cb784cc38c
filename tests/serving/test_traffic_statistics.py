"""Statistics of traces, against sums written out and against a bootstrap that resamples."""

import numpy as np
import pytest
from refusing import assert_refused

from gqa_lib.serving.traffic import Trace, describe, residency_weighted, sample, summarise
from gqa_lib.serving.traffic.statistics import ranks


def test_residency_is_that_of_every_decode_step():
    rng = np.random.default_rng(0)
    p, o = rng.integers(1, 50, 30), rng.integers(1, 40, 30)
    steps = [prompt + k for prompt, n in zip(p, o, strict=True) for k in range(1, n + 1)]
    found = residency_weighted(Trace(None, p, o))
    assert found.mean == pytest.approx(np.mean(steps))
    assert found.sd == pytest.approx(np.std(steps))


def test_a_long_answer_counts_for_longer():
    one = Trace(None, [10, 1000], [999, 1])
    assert residency_weighted(one).mean == pytest.approx((999 * (10 + 500) + 1001) / 1000)


@pytest.mark.parametrize(
    ("name", "mean", "sd"), [("azure-conv-2023", 1214, 729), ("azure-code-2023", 2182, 2041)]
)
def test_the_samples_hold_what_their_readme_says(name, mean, sd):
    found = residency_weighted(sample(name))
    assert (found.mean, found.sd) == (pytest.approx(mean, abs=0.5), pytest.approx(sd, abs=0.5))


def test_percentiles_are_numpys():
    values = np.random.default_rng(1).lognormal(6, 1, 777)
    found = describe(values, percentiles=(0, 12.5, 50, 99, 100))
    for q, (value, low, high) in found.percentiles.items():
        assert value == pytest.approx(np.percentile(values, q))
        assert low <= value <= high
    assert (found.n, found.smallest, found.largest) == (777, values.min(), values.max())
    assert found.cv == pytest.approx(values.std() / values.mean())


def test_intervals_are_those_of_a_bootstrap_that_resamples():
    """Of values without large gaps: the ends of an interval are among the values."""
    values = np.exp(np.linspace(0, 3, 401)[1:])
    drawn = np.random.default_rng(2).choice(values, (20_000, 400))
    drawn = np.percentile(drawn, [50, 90, 97], axis=1)
    expected = np.quantile(drawn, [0.025, 0.975], axis=1).T
    found = describe(values, percentiles=(50, 90, 97), draws=20_000).percentiles
    for (_, low, high), (want_low, want_high) in zip(found.values(), expected, strict=True):
        width = want_high - want_low
        assert low == pytest.approx(want_low, abs=0.05 * width)
        assert high == pytest.approx(want_high, abs=0.05 * width)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    truth = np.log(2) * 100  # the median of an exponential distribution
    cover = mean_cover = 0
    for seed in range(300):
        found = describe(rng.exponential(100, 200), percentiles=(50,), seed=seed, confidence=0.9)
        _, low, high = found.percentiles[50]
        cover += low <= truth <= high
        mean_cover += found.mean[1] <= 100 <= found.mean[2]
    assert 0.85 <= cover / 300 <= 0.95
    assert 0.85 <= mean_cover / 300 <= 0.95


def test_the_same_seed_gives_the_same_interval():
    values = sample("azure-conv-2023").prompt_tokens
    assert describe(values, seed=1) == describe(values, seed=1)
    assert describe(values, seed=1) != describe(values, seed=2)


def test_one_value_has_no_spread():
    found = describe([7.0])
    assert found.percentiles[99] == (7, 7, 7)
    assert (found.mean, found.sd, found.cv) == ((7, 7, 7), 0, 0)


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda: describe([]), "values=[]"),
        (lambda: describe([1.0, np.nan]), "not finite"),
        (lambda: describe(5), "values=5"),
        (lambda: describe([1, 2], percentiles=(101,)), "percentile=101"),
        (lambda: describe([1, 2], percentiles=(-1,)), "percentile=-1"),
        (lambda: describe([1, 2], confidence=1), "confidence=1"),
        (lambda: describe([1, 2], confidence=0), "confidence=0"),
        (lambda: describe([1, 2], draws=3), "draws=3"),
    ],
)
def test_what_has_no_statistics(call, phrase):
    assert_refused(call, phrase)


def test_summary_against_numpy():
    trace = sample("azure-code-2023")
    found = trace.summary()
    p, o = trace.prompt_tokens, trace.output_tokens
    between = np.diff(trace.arrival_s)
    assert found.n == 2000
    assert found.arrival_cv == pytest.approx(between.std() / between.mean())
    assert found.rate == pytest.approx(1 / between.mean())
    assert found.correlation == pytest.approx(np.corrcoef(p, o)[0, 1])
    assert found.total_tokens.mean[0] == pytest.approx((p + o).mean())
    assert found.kv_token_steps.mean[0] == pytest.approx((o * (p + (o + 1) / 2)).mean())


def test_a_summary_as_text_has_its_numbers():
    text = str(summarise(sample("vllm-rtx4090"), percentiles=(50, 95)))
    assert "300 requests, read as vllm-log; 29 s, 10.3 requests/s" in text
    assert "p95" in text
    assert "KV tokens held by a decoding request: 1,204 +- 580 (sd)" in text
    assert "note: arrivals are queued_ts" in text


def test_a_summary_without_arrivals_or_spread():
    found = Trace(None, [5, 5], [2, 3]).summary()
    assert (found.span_s, found.rate, found.arrival_cv, found.correlation) == (None, None, None, 0)
    together = Trace([0, 0, 0], [5, 6, 7], [2, 3, 4]).summary()
    assert (together.span_s, together.rate, together.arrival_cv) == (0, None, None)
    assert "3 requests" in str(together)


def test_equal_values_share_a_rank():
    assert ranks(np.array([5, 1, 5, 9])).tolist() == [2.5, 1, 2.5, 4]

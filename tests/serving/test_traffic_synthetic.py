"""Synthetic traffic has the statistics of the trace that it was fitted to."""

import dataclasses

import numpy as np
import pytest
from refusing import assert_refused

from gqa_lib.serving.traffic import Trace, fit, residency_weighted, sample
from gqa_lib.serving.traffic.statistics import arrival_cv, correlation, ranks

NAMES = ("azure-conv-2023", "azure-code-2023", "vllm-rtx4090")


@pytest.mark.parametrize("joint", ["grid", "gaussian"])
@pytest.mark.parametrize("margins", ["empirical", "lognormal"])
@pytest.mark.parametrize("name", NAMES)
def test_lengths_have_the_means_and_the_spread_of_the_trace(name, margins, joint):
    trace = sample(name)
    drawn = fit(trace, joint, margins).draw(60_000, 1.0, seed=1)
    for column in ("prompt_tokens", "output_tokens"):
        wanted, found = getattr(trace, column), getattr(drawn, column)
        assert found.mean() == pytest.approx(wanted.mean(), rel=0.02)
        heavy = 0.1 if margins == "lognormal" else 0.06  # few draws make up most of its variance
        assert found.std() == pytest.approx(wanted.std(), rel=heavy)
        assert found.min() >= 1
        if margins == "empirical":
            assert set(found) <= set(wanted)
    wanted = correlation(ranks(trace.prompt_tokens), ranks(trace.output_tokens))
    found = correlation(ranks(drawn.prompt_tokens), ranks(drawn.output_tokens))
    assert found == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_a_grid_keeps_what_requests_hold_in_the_cache(name):
    trace = sample(name)
    wanted = residency_weighted(trace)
    found = residency_weighted(fit(trace).draw(60_000, 1.0, seed=2))
    assert found.mean == pytest.approx(wanted.mean, rel=0.04)
    assert found.sd == pytest.approx(wanted.sd, rel=0.04)


def test_the_correlation_of_ranks_alone_does_not_keep_it():
    """Why a grid is the default."""
    trace = sample("azure-conv-2023")
    found = residency_weighted(fit(trace, "gaussian").draw(60_000, 1.0))
    assert found.mean > 1.1 * residency_weighted(trace).mean
    assert found.sd > 1.5 * residency_weighted(trace).sd


def test_lengths_that_depend_on_each_other_in_both_directions():
    """No correlation, Pearson's or of ranks, sees that the output is long at both ends."""
    rng = np.random.default_rng(0)
    p = rng.integers(1, 1001, 4000)
    o = np.abs(p - 500) + 1
    drawn = fit(Trace(None, p, o)).draw(5000, 1.0, arrival_cv=1.0)
    off = np.abs(np.abs(drawn.prompt_tokens - 500) + 1 - drawn.output_tokens)
    assert np.median(off) < 20


def test_margins_of_the_grid_are_even():
    for size in (2, 3, 5, 17, 100, 2000, 1999):
        rng = np.random.default_rng(size)
        trace = Trace(None, rng.integers(1, 9, size), rng.integers(1, 5, size))
        cells = fit(trace).cells
        np.testing.assert_allclose(cells.sum(0), 1 / len(cells))
        np.testing.assert_allclose(cells.sum(1), 1 / len(cells))
        assert (cells >= 0).all()


@pytest.mark.parametrize("cv", [0, 0.5, 1, 3])
def test_arrivals_have_the_rate_and_the_burstiness_that_were_asked_for(cv):
    drawn = fit(sample("vllm-rtx4090")).draw(20_001, 4.0, seed=5, arrival_cv=cv)
    assert drawn.arrival_s[0] == 0
    assert drawn.arrival_s[-1] == pytest.approx(20_000 / 4.0)
    assert arrival_cv(drawn) == pytest.approx(cv, rel=0.1, abs=1e-9)
    if cv == 1:  # exponential: the share above the mean is 1 / e
        assert (np.diff(drawn.arrival_s) > 0.25).mean() == pytest.approx(np.exp(-1), abs=0.02)


def test_rate_and_burstiness_are_the_traces_if_not_given():
    trace = sample("azure-conv-2023")
    drawn = fit(trace).draw(20_000, seed=7).summary()
    assert drawn.rate == pytest.approx(trace.summary().rate, rel=1e-6)
    assert drawn.arrival_cv == pytest.approx(trace.summary().arrival_cv, rel=0.05)
    assert "drawn with seed 7: empirical lengths, joint by grid, 5.77" in drawn.notes[0]
    bursts = fit(sample("azure-code-2023")).draw(200_000, seed=7)
    assert arrival_cv(bursts) == pytest.approx(12.75, rel=0.1)


def test_the_same_requests_at_another_load():
    traffic = fit(sample("azure-code-2023"))
    one, same, faster, other = (
        traffic.draw(300, rate, seed=seed, arrival_cv=cv)
        for rate, seed, cv in ((1, 4, 1), (1, 4, 1), (9, 4, 2), (1, 5, 1))
    )
    for column in ("arrival_s", "prompt_tokens", "output_tokens"):
        assert getattr(one, column).tolist() == getattr(same, column).tolist()
    assert one.prompt_tokens.tolist() == faster.prompt_tokens.tolist()
    assert one.prompt_tokens.tolist() != other.prompt_tokens.tolist()
    assert faster.arrival_s[-1] == pytest.approx(one.arrival_s[-1] / 9)


def test_few_requests():
    two = fit(Trace(None, [5, 900], [3, 3]))
    drawn = two.draw(1, 2.0, arrival_cv=1)
    assert (len(drawn), drawn.arrival_s.tolist()) == (1, [0])
    assert set(two.draw(50, 2.0, arrival_cv=500).prompt_tokens) == {5, 900}
    alike = fit(Trace([0, 1], [7, 7], [3, 3]), "gaussian", "lognormal").draw(9, arrival_cv=0)
    assert set(alike.prompt_tokens) == {7}


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda: fit(Trace(None, [5], [3])), "a trace of 1 request"),
        (lambda: fit([1, 2]), "trace=[1, 2]"),
        (lambda: fit(sample("vllm-rtx4090"), "copula"), "joint='copula'"),
        (lambda: fit(sample("vllm-rtx4090"), margins="gamma"), "margins='gamma'"),
        (lambda: fit(Trace(None, [5, 6], [3, 4])).draw(5), "rate is not known"),
        (lambda: fit(Trace(None, [5, 6], [3, 4])).draw(5, 1.0), "arrival_cv is not known"),
        (lambda: fit(sample("vllm-rtx4090")).draw(0), "n=0"),
        (lambda: fit(sample("vllm-rtx4090")).draw(5, 0), "rate=0"),
        (lambda: fit(sample("vllm-rtx4090")).draw(5, 1, arrival_cv=-1), "arrival_cv=-1"),
        (lambda: fit(sample("vllm-rtx4090")).draw(5, seed=-1), "seed=-1"),
    ],
)
def test_what_cannot_be_drawn(call, phrase):
    assert_refused(call, phrase)


def test_a_fit_says_what_it_is_of():
    fields = {one.name for one in dataclasses.fields(fit(sample("vllm-rtx4090")))}
    assert {"arrival_cv", "rate", "normal_correlation", "cells"} <= fields
    assert fit(sample("vllm-rtx4090")).source == "vllm-rtx4090.jsonl.gz"

"""Lesson 08: its references are the library's, and what its exercises accept."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from gqa_lib.learn import check
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.exercises.lesson08 import demand
from gqa_lib.learn.exercises.lesson08_cost import cost
from gqa_lib.learn.exercises.lesson08_plan import plan
from gqa_lib.learn.exercises.lesson08_rates import in_flight, required
from gqa_lib.serving.simulator import Rules, latencies_ms, simulate
from gqa_lib.serving.traffic import residency_weighted, sample

SERVICE = sample("azure-code-2023").select(slice(0, 60))
LENGTHS = SERVICE.prompt_tokens.tolist(), SERVICE.output_tokens.tolist()
PILOT = {
    "prompt_lengths": LENGTHS[0],
    "output_lengths": LENGTHS[1],
    "arrival_s": SERVICE.arrival_s.tolist(),
    "in_flight": 3.2,
    "pair_sd": 0.02,
}


def test_what_is_held_is_the_librarys_residency():
    held, library = demand(*LENGTHS, 3), residency_weighted(SERVICE)
    assert held["mean"] == pytest.approx(3 * library.mean)
    assert held["sd"] == pytest.approx(3 * library.sd)


def test_percentiles_are_numpys_inverted_distribution():
    steps = np.concatenate([np.arange(p + 1, p + o + 1) for p, o in zip(*LENGTHS, strict=True)])
    held = demand(*LENGTHS, 1)
    for q in (50, 95, 99):
        assert held[f"p{q}"] == np.percentile(steps, q, method="inverted_cdf")


def test_the_law_counts_who_is_in_a_simulated_server():
    rules = Rules(40, max_num_seqs=8)
    arrivals = np.cumsum(np.tile([0.1, 2.0, 0.4], 20))
    run = simulate(arrivals, [30] * 60, [7, 1, 20] * 20, rules, lambda work: 0.05)
    end, ms, steps = run.last_token_s.max(), latencies_ms(run), run.steps
    law = in_flight(60 / end, ms["ttft"] / 1e3, ms["tpot"] / 1e3, run.output_tokens.tolist())
    there = (steps["seconds"] * (steps["running"] + steps["waiting"])).sum() / end
    # A step counts who is there when it begins; who comes during it waits for less than a step.
    assert 0 <= law - there < 0.05 * 60 / end


def test_a_plan_has_the_traces_cv_and_students_quantile():
    made = plan(PILOT, ["A", "B"], [4, 9, 2], 0.05, 0.9)
    steps = SERVICE.kv_token_steps
    assert made["cv"] == pytest.approx(steps.std() / steps.mean())
    assert made["requests"] == required(made["cv"], 0.05, 0.9)
    half = stats.t.ppf(0.95, 2) * 0.02 / math.sqrt(3)
    assert made["inconclusive_below"] == pytest.approx(half)
    assert made["runs"] == [[4, "A"], [4, "B"], [9, "B"], [9, "A"], [2, "A"], [2, "B"]]


@pytest.mark.parametrize("make", [float, np.float64, np.float32, np.array, torch.tensor])
def test_numbers_of_any_library_are_accepted(make):
    check("concurrency", lambda *arguments: make(in_flight(*arguments)))
    check("cost_per_million_tokens", lambda *arguments: make(cost(*arguments)))
    check("kv_demand", lambda *a: {key: make(one) for key, one in demand(*a).items()})


@pytest.mark.parametrize("shape", [list, tuple])
def test_lists_and_tuples_are_alike_in_a_plan(shape):
    def planned(*arguments):
        made = plan(*arguments)
        return made | {
            "runs": shape(map(shape, made["runs"])),
            "percentiles": shape(made["percentiles"]),
            "requests": np.int64(made["requests"]),
        }

    check("benchmark_plan", planned)


def test_nan_among_the_arguments_is_not_taken_for_a_change():
    check("concurrency", in_flight)
    with pytest.raises(NotYet, match="changed its argument number 3 in place"):
        check("concurrency", cleaned_in_place)


def cleaned_in_place(rate, ttft, tpot, outputs):
    tpot[:] = [0.0 if math.isnan(one) else one for one in tpot]
    return in_flight(rate, ttft, tpot, outputs)


@pytest.mark.parametrize(
    ("name", "yours", "says"),
    [
        ("kv_demand", lambda p, o, each: demand(p, o, each) | {"sd": None}, "NoneType None is not"),
        ("cost_per_million_tokens", lambda tokens, price: price / (tokens * 3600) * 1e6, "raise"),
        ("concurrency", lambda rate, *rest: math.nan, "NaN times 0"),
        ("required_requests", lambda *a: float(required(*a)), "whole number"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_named(name, yours, says):
    def careless(*arguments):
        try:
            return yours(*arguments)
        except ZeroDivisionError:
            return math.inf

    with pytest.raises(NotYet, match=says):
        check(name, careless)


def test_a_cost_without_a_measurement_is_refused_whatever_is_returned():
    def guesses(tokens, price):
        try:
            return cost(tokens, price)
        except ValueError:
            return math.nan

    with pytest.raises(NotYet) as told:
        check("cost_per_million_tokens", guesses)
    assert "Nothing was measured" in " ".join(str(told.value).split())


def test_no_case_has_a_mistake_that_is_right():
    for name in ("kv_demand", "concurrency", "required_requests", "benchmark_plan"):
        exercise = find_exercise(name)
        assert len({one.says for one in exercise.mistakes}) == len(exercise.mistakes) >= 10

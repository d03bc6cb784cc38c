"""Which tokens may be drawn, and how often each is."""

import math
import re

import numpy as np
import pytest
import torch

from gqa_lib.model import Sampling
from gqa_lib.model.sampling import Sampler, choose_tokens

PROBABILITIES = torch.tensor([0.05, 0.4, 0.1, 0.25, 0.2], dtype=torch.float64)
LOGITS = PROBABILITIES.log() + 3  # softmax does not see what is added to all


def draws(number, logits=LOGITS, seed=0, **keys):
    sampler = Sampler(Sampling(**keys), seed)
    return [choose_tokens(logits[None], [sampler])[0] for _ in range(number)]


@pytest.mark.parametrize(
    ("keys", "tokens"),
    [
        ({}, [1, 3, 4, 2, 0]),
        ({"top_k": 3}, [1, 3, 4]),
        ({"top_k": 1}, [1]),
        ({"top_k": 99}, [1, 3, 4, 2, 0]),
        ({"top_p": 0.39}, [1]),
        ({"top_p": 0.41}, [1, 3]),
        ({"top_p": 0.84}, [1, 3, 4]),
        ({"top_p": 0.86}, [1, 3, 4, 2]),
        ({"top_p": 1e-9}, [1]),
        # Of the three largest together, 0.85, these have 0.47, 0.29 and 0.24.
        ({"top_k": 3, "top_p": 0.46}, [1]),
        ({"top_k": 3, "top_p": 0.48}, [1, 3]),
        ({"top_k": 3, "top_p": 0.77}, [1, 3, 4]),
        # At temperature 1/2 squares count: 0.16 of 0.275 is 0.58.
        ({"temperature": 0.5, "top_p": 0.57}, [1]),
        ({"temperature": 0.5, "top_p": 0.59}, [1, 3]),
    ],
)
def test_candidates_and_their_probabilities(keys, tokens):
    sampling = Sampling(**{"temperature": 1.0, **keys})
    weights, candidates = sampling.candidates(LOGITS)
    assert candidates.tolist() == tokens
    expected = PROBABILITIES[tokens] ** (1 / sampling.temperature)
    assert torch.allclose(weights / weights.sum(), expected / expected.sum())
    assert weights.dtype == torch.float64


def test_what_is_drawn_is_a_place_in_the_sum_of_probabilities(monkeypatch):
    """0.4, 0.65, 0.85, 0.95, 1 are the sums, of tokens 1 3 4 2 0."""
    places = {0.0: 1, 0.399: 1, 0.401: 3, 0.649: 3, 0.651: 4, 0.86: 2, 0.949: 2, 0.951: 0}
    places[math.nextafter(1, 0)] = 0
    for place, token in places.items():
        monkeypatch.setattr(
            torch, "rand", lambda *_, p=place, **k: torch.tensor(p, dtype=k["dtype"])
        )
        assert draws(1, temperature=1.0) == [token]
        assert draws(1, temperature=1.0, top_p=0.01) == [1]
    monkeypatch.setattr(torch, "rand", lambda *_, **k: torch.tensor(0.5, dtype=k["dtype"]))
    assert draws(1, torch.zeros(4), temperature=1.0) == [2]  # an edge belongs to what is above it


@pytest.mark.parametrize(
    "keys",
    [{"temperature": 1.0}, {"temperature": 2.0}, {"temperature": 0.7, "top_k": 4, "top_p": 0.9}],
)
def test_frequencies(keys):
    number = 4000
    drawn = torch.bincount(torch.tensor(draws(number, **keys)), minlength=5) / number
    weights, tokens = Sampling(**keys).candidates(LOGITS)
    expected = torch.zeros(5, dtype=torch.float64).index_add(0, tokens, weights / weights.sum())
    assert (drawn - expected).abs().max() < 5 * 0.5 / math.sqrt(number)  # five deviations at most
    assert (drawn[expected == 0] == 0).all()


def test_a_draw_takes_one_random_number_whatever_the_candidates():
    """So that a logit which rounding moves over the edge of top_p changes no later draw."""
    narrow, wide = Sampler(Sampling(1.0, top_k=1), 3), Sampler(Sampling(1.0), 3)
    for _ in range(5):
        choose_tokens(LOGITS.expand(2, -1), [narrow, wide])
    narrow.sampling = wide.sampling
    after = [choose_tokens(LOGITS.expand(2, -1), [narrow, wide]) for _ in range(20)]
    assert all(first == second for first, second in after)
    assert len({first for first, _ in after}) > 2


def test_rows_have_each_their_own_sampler():
    logits = torch.stack([LOGITS, LOGITS.flip(0), LOGITS, LOGITS])
    for seed in range(20):
        sampled = Sampler(Sampling(1.0), seed)
        row = choose_tokens(logits, [Sampler(Sampling()), Sampler(Sampling()), None, sampled])
        assert row[:3] == [1, 3, None]
        assert row[3:] == draws(1, seed=seed, temperature=1.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_of_equally_likely_tokens_the_greedy_one_is_the_first(dtype):
    logits = torch.full((300,), 1.5, dtype=dtype)
    logits[7:250:9] = 2.0
    assert draws(1, logits) == [7]
    assert draws(1, torch.zeros(11, dtype=dtype)) == [0]
    assert draws(3, logits, temperature=1.0, top_k=1) == [7] * 3
    assert choose_tokens(logits.expand(4, -1), [Sampler(Sampling())] * 4) == [7] * 4


def test_of_equally_likely_tokens_the_first_are_the_largest():
    logits = torch.tensor([1.0, 2.0, 0.0, 2.0, 1.0, 2.0, 1.0])
    for top_k, tokens in enumerate([[1], [1, 3], [1, 3, 5], [1, 3, 5, 0], [1, 3, 5, 0, 4]], 1):
        assert Sampling(1.0, top_k).candidates(logits)[1].tolist() == tokens


def test_all_of_equally_likely_tokens_are_drawn():
    assert set(draws(200, torch.zeros(6), temperature=1.0)) == set(range(6))


def test_a_temperature_near_0_is_greedy_and_a_large_one_is_even():
    assert draws(20, temperature=1e-320) == [1] * 20
    assert draws(20, LOGITS * 1e300, temperature=1e-5) == [1] * 20
    assert set(draws(60, torch.tensor([1.0, 2.0, 2.0]), temperature=1e-320)) == {1, 2}
    weights, _ = Sampling(1e300).candidates(LOGITS)
    assert torch.allclose(weights, torch.full((5,), 0.2, dtype=torch.float64))


def test_tokens_that_are_impossible_are_never_drawn():
    logits = LOGITS.clone()
    logits[[1, 4]] = -torch.inf
    assert set(draws(300, logits, temperature=5.0)) == {0, 2, 3}


@pytest.mark.parametrize("keys", [{}, {"temperature": 1.0}])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_numbers_are_refused_before_anything_is_drawn(value, keys):
    logits = torch.stack([LOGITS, torch.full((5,), value), LOGITS])
    if value == torch.nan:
        logits[1, :4] = 0
    samplers = [Sampler(Sampling(1.0), 6), Sampler(Sampling(**keys), whose="row 1"), None]
    with pytest.raises(ValueError, match="row 1: the model's logits are not finite"):
        choose_tokens(logits, samplers)
    samplers[1] = None  # what is not chosen does not matter
    assert choose_tokens(logits, samplers)[1] is None
    assert [choose_tokens(LOGITS[None], [samplers[0]])[0] for _ in range(5)] == draws(
        6, seed=6, temperature=1.0
    )[1:]


def test_numbers_of_numpy_are_numbers():
    sampling = Sampling(np.float32(0.5), np.int64(2), np.float64(0.9))
    assert sampling.candidates(LOGITS)[1].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"temperature": value}, f"temperature={value!r}: logits are divided")
     for value in (-0.1, math.inf, math.nan, "0.7", None, True, [0.7])]
    + [({"top_k": value}, f"top_k={value!r}: one token at least")
       for value in (0, -1, 2.0, math.nan, "3", True, [1])]
    + [({"top_p": value}, f"top_p={value!r} is not a share")
       for value in (0, -0.1, 1.1, math.nan, "1", None, True)],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(keys, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        Sampling(**keys)

"""How many requests fit at a time: three rules on known distributions and on real traces."""

from itertools import product
from math import comb

import numpy as np
import pytest

from gqa_lib.serving.concurrency import concurrency, safe_concurrency
from gqa_lib.serving.simulator import Rules, simulate
from gqa_lib.serving.traffic import residency_weighted, sample

CONV, CODE = sample("azure-conv-2023"), sample("azure-code-2023")


def of(trace, tokens, **options):
    return concurrency(tokens, trace.prompt_tokens, trace.output_tokens, **options)


def test_requests_that_are_alike_in_one_step_fit_exactly():
    found = concurrency(1600, [31] * 3, [1] * 3, block_size=16)
    assert (found.mean_rule, found.safe, found.max_length) == (50, 50, 50)
    assert (found.held_mean, found.held_sd) == (32, 0)


def test_small_sums_are_as_by_hand():
    """Two tokens or four, as likely: of n, those with four are binomial."""
    prompts, outputs = [2, 4], [1, 1]
    for tokens, overflow in product((4, 9, 14, 21, 40), (0.01, 0.1, 0.4)):

        def within(n, tokens=tokens):
            return sum(comb(n, k) for k in range(n + 1) if 2 * (n - k) + 4 * k <= tokens) / 2**n

        most = max(n for n in range(tokens + 1) if within(n) >= 1 - overflow)
        found = safe_concurrency(tokens, prompts, outputs, overflow=overflow, block_size=1)
        assert found == most


def test_sums_of_many_are_as_the_normal_rule_has_them():
    """Two or four tokens, as likely: of n, 3 n on average with a deviation of sqrt(n)."""
    found = safe_concurrency(10**6, [2, 4], [1, 1], block_size=1)
    n = np.arange(300_000, 340_000)
    assert found == pytest.approx(n[3 * n + 2.3263 * np.sqrt(n) <= 10**6].max(), abs=1)


def test_a_long_answer_is_met_in_more_steps():
    """99 steps of a long request to one of a short one."""
    found = concurrency(1000, [10, 100], [1, 99], block_size=1)
    assert found.held_mean == pytest.approx((10 + sum(range(100, 199))) / 100)
    both = residency_weighted(CODE)  # which counts the token that a step gives, too
    assert of(CODE, 10**5, block_size=1).held_mean == pytest.approx(both.mean - 1)
    assert of(CODE, 10**5, block_size=1).held_sd == pytest.approx(both.sd)


def test_draws_overflow_as_seldom_as_promised():
    rng = np.random.default_rng(0)
    steps = np.repeat(np.arange(len(CODE)), CODE.output_tokens)
    first = np.concatenate([[0], np.cumsum(CODE.output_tokens)[:-1]])
    held = CODE.prompt_tokens[steps] + np.arange(len(steps)) - first[steps]
    n = of(CODE, 60_000, block_size=1).safe
    drawn = rng.choice(held, (20_000, n + 1))
    assert (drawn[:, :n].sum(1) > 60_000).mean() < 0.0125
    assert (drawn.sum(1) > 60_000).mean() > 0.0095


def test_the_normal_rule_promises_too_much_for_few_requests():
    def normal(trace, tokens, block_size=1):
        held = of(trace, tokens, block_size=block_size)
        n = np.arange(1, 2000)
        return int(n[n * held.held_mean + 2.326 * held.held_sd * np.sqrt(n) <= tokens].max())

    few = range(10_000, 60_001, 10_000)
    over = [normal(CODE, tokens) - of(CODE, tokens, block_size=1).safe for tokens in few]
    assert min(over) >= 0
    assert max(over) >= 1
    assert normal(CONV, 10**6, 16) == pytest.approx(of(CONV, 10**6).safe, abs=2)


@pytest.mark.parametrize("trace", [CONV, CODE], ids=["conv", "code"])
def test_a_quarter_of_the_cache_is_more_than_four_times_the_requests(trace):
    mha, gqa = (of(trace, int(108.8e9 / per_token)) for per_token in (2**19, 2**17))
    assert 4.1 < gqa.safe / mha.safe < 4.7
    assert gqa.mean_rule / mha.mean_rule == pytest.approx(4, rel=0.02)
    assert gqa.safe / gqa.mean_rule > mha.safe / mha.mean_rule
    assert all(one.max_length < one.safe < one.mean_rule for one in (mha, gqa))


def test_larger_blocks_hold_fewer_requests():
    safe = [of(CONV, 50_000, block_size=size).safe for size in (1, 16, 256)]
    assert safe[0] >= safe[1] > safe[2]


def test_the_last_token_is_never_cached():
    """As in the simulator: 16 tokens are enough for a prompt of 10 and an output of 7."""
    found = concurrency(1600, [10], [7], block_size=16)
    assert (found.mean_rule, found.safe, found.max_length) == (100, 100, 100)
    rules = Rules(100, 16, prefix_caching=False)
    done = simulate([0] * 120, [10] * 120, [7] * 120, rules, lambda work: 1.0)
    assert (done.steps["running"].max(), done.preemptions.sum()) == (100, 0)


def test_states_take_blocks_of_each_request():
    found = concurrency(1600, [10], [7], block_size=16, blocks_per_seq=3)
    assert (found.mean_rule, found.safe, found.max_length) == (25, 25, 25)
    assert found.held_mean == 4 * 16


def test_nothing_fits_into_too_little():
    found = of(CONV, 15)
    assert (found.mean_rule, found.safe, found.max_length, found.capacity) == (0, 0, 0, 0)
    assert concurrency(64, [100], [5]).safe == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overflow": 1}, "share of the time"),
        ({"overflow": 0}, "overflow=0"),
        ({"tokens": 1.5}, "tokens=1.5"),
        ({"block_size": 0}, "block_size=0"),
        ({"output_tokens": [1]}, r"\(1,\)"),
    ],
)
def test_wrong_numbers_are_refused(change, message):
    given = {"tokens": 1000, "prompt_tokens": [5, 6], "output_tokens": [1, 2], **change}
    with pytest.raises(ValueError, match=message):
        concurrency(**given)

"""What queues are known to do, and what no run may lose."""

from itertools import product

import numpy as np
import pytest

from gqa_lib.serving.simulator import Rules, Work, load, simulate
from gqa_lib.serving.simulator.checks import check_conserved


def linear(work: Work) -> float:
    tokens = work.num_decodes + sum(new for new, _ in work.prefills)
    return 0.01 + 1e-4 * tokens + 1e-6 * work.decode_context


def one_at_a_time(arrivals, outputs, step_s):
    """A queue of one server: a request's prompt is one step, and so is each further token."""
    n = len(arrivals)
    rules = Rules(100_000, max_num_seqs=1)
    return simulate(arrivals, [1] * n, outputs, rules, lambda work: step_s)


def waits(simulation, step_s):
    return simulation.first_token_s - simulation.arrival_s - step_s


@pytest.mark.parametrize(("every_s", "label"), [(1.25, "STABLE"), (0.8, "OVERLOADED")])
def test_equal_requests_at_a_beat_wait_only_where_service_is_longer(every_s, label):
    arrivals = every_s * np.arange(50)
    simulation = one_at_a_time(arrivals, [10] * 50, 0.1)  # a second each
    np.testing.assert_allclose(
        waits(simulation, 0.1), np.maximum(0, 1 - every_s) * np.arange(50), atol=1e-9
    )
    assert load(simulation) == label


def test_random_lengths_wait_as_long_as_pollaczek_and_khinchine_say():
    n, rng, step_s, mean = 40_000, np.random.default_rng(3), 0.01, 60
    outputs = rng.geometric(1 / mean, n)  # in continuous time exponential: M/M/1
    arrivals = np.cumsum(rng.exponential(1.0, n))
    simulation = one_at_a_time(arrivals, outputs, step_s)
    service = outputs * step_s
    busy = service.mean()
    expected = (service**2).mean() / (2 * (1 - busy))
    assert expected == pytest.approx(busy**2 / (1 - busy), rel=0.05)  # that of M/M/1
    assert waits(simulation, step_s).mean() == pytest.approx(expected, rel=0.05)


def test_as_many_sequences_as_there_are_decode_at_once_and_take_no_longer():
    n, step_s = 64, 0.01
    simulation = simulate([0.0] * n, [4] * n, [10] * n, Rules(1000, max_num_seqs=n), lambda w: 0.01)
    np.testing.assert_allclose(simulation.last_token_s, 10 * step_s)


SETTINGS = [
    {"admission": admission, "prefix_caching": caching, "preemption": preemption}
    for admission, caching, preemption in product(
        ("prompt", "chunk"), (True, False), ("recompute", "swap")
    )
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("num_blocks", [40, 400])
def test_no_run_loses_requests_tokens_or_blocks(settings, num_blocks):
    rng = np.random.default_rng(num_blocks)
    n = 150
    arrivals = np.cumsum(rng.exponential(0.4, n))
    prompts, outputs = rng.integers(1, 200, n), rng.integers(1, 90, n)
    hashes = [list(range(row % 3, row % 3 + length // 32)) for row, length in enumerate(prompts)]
    rules = Rules(num_blocks, 8, 16, 64, kv_bytes_per_token=1e5, hash_tokens=32, **settings)
    simulation = simulate(arrivals, prompts, outputs, rules, linear, hashes)
    steps = simulation.steps
    check_conserved(simulation, num_blocks)
    for blocks in (num_blocks - 1, num_blocks + 1):
        with pytest.raises(RuntimeError, match=f"{blocks} blocks of {num_blocks}"):
            check_conserved(simulation, blocks)
    assert (steps["blocks_used"] <= num_blocks).all()
    assert (steps["running"] <= 16).all()
    # Prompt tokens are computed, or found; again if they were lost; and with them what is chosen.
    found, again = simulation.reused_tokens, simulation.recomputed_tokens
    assert steps["prefill_tokens"].sum() <= prompts.sum() + again + outputs.sum()
    assert steps["prefill_tokens"].sum() + found + simulation.swapped_tokens >= prompts.sum()
    assert (simulation.last_token_s >= simulation.first_token_s).all()
    # Little: the mean number there is the rate times the mean stay, from the first step that sees
    # a request on.
    there = ((steps["running"] + steps["waiting"]) * steps["seconds"]).sum()
    seen = steps["start_s"][np.searchsorted(steps["start_s"], arrivals - 1e-9)]
    assert there == pytest.approx((simulation.last_token_s - seen).sum(), rel=1e-9)
    if num_blocks == 40:
        assert simulation.preemptions.sum() > 5

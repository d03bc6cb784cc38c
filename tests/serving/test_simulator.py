"""The simulator against a scheduler that walks through every step, and against closed forms."""

from math import ceil

import numpy as np
import pytest

from gqa_lib.serving.simulator import (
    Rules,
    Simulation,
    Work,
    latencies_ms,
    load,
    parse_goodput,
    simulate,
    summary,
)


def linear(work: Work) -> float:
    """Seconds of a step that grow with its tokens and with what it reads."""
    prompts = sum(new for new, _ in work.prefills)
    context = work.decode_context + sum(map(sum, work.prefills))
    return 0.01 + 1e-4 * (work.num_decodes + prompts) + 1e-6 * context


def step_by_step(arrivals, prompts, outputs, rules, step_time):
    """First and last token times and preemptions, without sums, runs or a memory of lost blocks."""
    n, size = len(arrivals), rules.block_size
    computed, generated, preempted = [0] * n, [0] * n, [0] * n
    first, last, now, free = [None] * n, [None] * n, 0.0, rules.num_blocks
    coming, waiting, running = list(range(n)), [], []

    def blocks(tokens):
        return ceil(tokens / size)

    while coming or waiting or running:
        while coming and arrivals[coming[0]] <= now:
            waiting.append(coming.pop(0))
        if not waiting and not running:
            now = arrivals[coming[0]]
            continue
        left, plan, lost = rules.max_num_batched_tokens, {}, False
        for i in list(running):
            if i not in running or not left:
                continue
            new = min(prompts[i] + generated[i] - computed[i], left)
            needed = blocks(computed[i] + new) - blocks(computed[i])
            while i in running and needed > free:
                victim = running.pop()
                free += blocks(computed[victim])
                computed[victim] = 0
                preempted[victim] += 1
                waiting.insert(0, victim)
                lost = True
            if i in running:
                free -= needed
                plan[i] = new
                left -= new
        while waiting and left and not lost and len(running) < rules.max_num_seqs:
            i = waiting[0]
            all_new = prompts[i] + generated[i]
            new = min(all_new, left)
            if blocks(all_new if rules.admission == "prompt" else new) > free:
                break
            running.append(waiting.pop(0))
            free -= blocks(new)
            plan[i] = new
            left -= new
        decodes = [i for i in plan if computed[i] == prompts[i] + generated[i] - 1 and generated[i]]
        chunks = [(plan[i], computed[i]) for i in plan if i not in decodes]
        ends = [i for i in plan if computed[i] + plan[i] == prompts[i] + generated[i]]
        lengths = [computed[i] + 1 for i in decodes]
        now += step_time(
            Work(len(decodes), sum(lengths), max(lengths, default=0), chunks, len(ends))
        )
        for i, new in plan.items():
            computed[i] += new
        for i in ends:
            generated[i] += 1
            first[i] = now if first[i] is None else first[i]
            if generated[i] == outputs[i]:
                last[i] = now
                free += blocks(computed[i])
                running.remove(i)
    assert free == rules.num_blocks
    return first, last, preempted


def requests(seed, n=60, rate=3.0):
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, n))
    return arrivals, rng.integers(1, 200, n), rng.integers(1, 90, n)


@pytest.mark.parametrize("admission", ["prompt", "chunk"])
@pytest.mark.parametrize(
    ("num_blocks", "max_num_seqs", "tokens"), [(1000, 64, 256), (40, 16, 64), (60, 5, 33)]
)
@pytest.mark.parametrize("seed", range(4))
def test_every_token_comes_when_a_scheduler_that_walks_through_all_steps_has_it(
    admission, num_blocks, max_num_seqs, tokens, seed
):
    arrivals, prompts, outputs = requests(seed)
    rules = Rules(num_blocks, 8, max_num_seqs, tokens, admission=admission, prefix_caching=False)
    simulation = simulate(arrivals, prompts, outputs, rules, linear)
    first, last, preempted = step_by_step(arrivals, prompts, outputs, rules, linear)
    np.testing.assert_allclose(simulation.first_token_s, first, rtol=1e-9)
    np.testing.assert_allclose(simulation.last_token_s, last, rtol=1e-9)
    np.testing.assert_array_equal(simulation.preemptions, preempted)
    if num_blocks == 40:
        assert simulation.preemptions.sum() > 5  # the case is there
    assert_conserved(simulation)


def assert_conserved(simulation: Simulation) -> None:
    """Each output token is a first one, a decoded one, or comes with a prompt computed again."""
    steps = simulation.steps
    decoded = (steps["num_decodes"] * steps["num_steps"]).sum()
    n = len(simulation.arrival_s)
    assert n + decoded + len(simulation.gaps_s) == simulation.output_tokens.sum()
    lost = simulation.recomputed_tokens
    reused_of_prompts = simulation.prompt_tokens.sum() - steps["prefill_tokens"].sum() + lost
    assert reused_of_prompts + len(simulation.gaps_s) >= 0
    assert (steps["blocks_used"] <= simulation.rules.num_blocks).all()
    assert (simulation.scheduled_s >= simulation.arrival_s).all()
    assert (simulation.first_token_s <= simulation.last_token_s).all()


def test_one_sequence_at_a_time_and_equal_requests_wait_as_a_queue_of_one_server_does():
    rules = Rules(100, max_num_seqs=1)
    arrivals = np.arange(10.0)
    simulation = simulate(arrivals, [20] * 10, [10] * 10, rules, lambda work: 0.2)
    # 10 steps of 0.2 s serve one request, and one comes each second: each waits a second longer.
    np.testing.assert_allclose(simulation.first_token_s, 2.0 * arrivals + 0.2)
    np.testing.assert_allclose(simulation.last_token_s, 2.0 * arrivals + 2.0)
    assert load(simulation) == "OVERLOADED"


def test_random_arrivals_wait_as_long_as_pollaczek_and_khinchine_say():
    n, service = 20_000, 0.7
    arrivals = np.cumsum(np.random.default_rng(1).exponential(1.0, n))
    rules = Rules(10, max_num_seqs=1)
    simulation = simulate(arrivals, [16] * n, [1] * n, rules, lambda work: service)
    waits = simulation.first_token_s - arrivals - service
    assert waits.mean() == pytest.approx(service**2 / (2 * (1 - service)), rel=0.05)


def test_requests_in_the_house_are_their_rate_times_the_time_they_stay():
    arrivals, prompts, outputs = requests(3, n=400)
    simulation = simulate(arrivals, prompts, outputs, Rules(200, 8, 8, 64), linear)
    steps = simulation.steps
    there = ((steps["running"] + steps["waiting"]) * steps["seconds"]).sum()
    stay = (simulation.last_token_s - simulation.arrival_s).sum()
    assert there == pytest.approx(stay, rel=0.02)  # who comes during a step is seen at its end


def test_a_request_that_comes_back_takes_what_is_left_of_its_blocks():
    arrivals, prompts, outputs = requests(0)
    again, kept = (
        simulate(arrivals, prompts, outputs, Rules(40, 8, 16, 64, prefix_caching=c), linear)
        for c in (False, True)
    )
    assert again.reused_tokens == 0 < kept.reused_tokens
    assert kept.recomputed_tokens < again.recomputed_tokens
    assert_conserved(kept)


def test_pieces_of_prompts_are_computed_once_while_there_is_room():
    rules = Rules(64, 8, 8, 64, hash_tokens=32)
    hashes = [[1, 2, 3], [1, 2, 9], [7], [1, 2, 3]]
    args = [0.0, 5.0, 10.0, 15.0], [100, 100, 40, 96], [4] * 4
    simulation = simulate(*args, rules, linear, hashes)
    # 64 of the second; of the fourth the last piece is computed again, as its last token must be.
    assert simulation.reused_tokens == 64 + 64
    assert simulation.steps["prefill_tokens"].sum() == 100 + 36 + 40 + 32
    none = simulate(*args, rules, linear)
    assert none.reused_tokens == 0
    assert simulation.first_token_s[1] < none.first_token_s[1]
    args[1][2] = 105  # needs all 14 blocks, so that nothing is left of the first
    small = Rules(14, 8, 8, 64, hash_tokens=32)
    assert simulate(*args, small, linear, hashes).reused_tokens == 64


def test_a_piece_is_found_from_the_step_on_that_computes_it():
    rules = Rules(1000)
    both = simulate([0.0, 0.0], [2060] * 2, [1] * 2, rules, linear, [[1, 2, 3, 4]] * 2)
    assert both.reused_tokens == 2048
    # Two that come together share what they can, and each is kept where the other is not.
    ids = [[1, 2], [1, 2, 3], [1, 2, 3]]
    rules = Rules(1000, max_num_batched_tokens=4096)
    later = simulate([0.0, 0.0, 30.0], [1100, 1600, 1600], [50, 50, 5], rules, linear, ids)
    assert later.reused_tokens == 1024 + 1536


@pytest.mark.parametrize(("num_blocks", "reused"), [(20, 64), (22, 80), (23, 112)])
def test_a_request_that_comes_back_finds_its_blocks_behind_pieces_of_others(num_blocks, reused):
    """The second computes its prompt's last piece, whose copy of the first it finds later.

    As many as a scheduler finds that hashes each block and walks through all of them.
    """
    rules = Rules(num_blocks, 8, 4, 64, hash_tokens=8)
    ids = [[1, 2, 3, 4, 5], [1, 2, 3, 4]]

    def step_time(work):
        tokens = work.num_decodes + sum(new for new, _ in work.prefills)
        return 0.01 + 0.001 * tokens

    found = simulate([0.0, 0.2], [40, 32], [100, 60], rules, step_time, ids)
    assert found.preemptions.tolist() == [0, 1]
    assert found.reused_tokens == reused


def test_a_piece_is_the_same_only_behind_the_same_pieces():
    """Ids that stand at different places, or twice in a prompt, are different blocks."""
    rules = Rules(64, block_size=16, max_num_seqs=4, max_num_batched_tokens=64, hash_tokens=16)
    ids = [[1, 2, 3], [1, 2, 3], [2, 1, 3], [3, 3, 3]]
    prompts = [50] * 4
    ran = simulate([0.0, 10.0, 20.0, 30.0], prompts, [3] * 4, rules, lambda work: 0.1, ids)
    assert ran.reused_tokens == 48  # the second has the first's, nobody else any


def test_hash_ids_that_do_not_go_with_the_requests_are_refused():
    args = [0.0, 1.0], [10, 10], [1, 1]
    for ids in ([[1]], [None, [1]], [[1], 2]):
        with pytest.raises(ValueError, match="each prompt has its ids"):
            simulate(*args, Rules(10), linear, ids)
    with pytest.raises(ValueError, match="not a multiple of block_size"):
        simulate(*args, Rules(10, block_size=24), linear, [[1], [2]])
    simulate(*args, Rules(10, block_size=24), linear)  # no piece is shared


def test_what_is_swapped_is_copied_both_ways_and_not_computed_again():
    arrivals, prompts, outputs = requests(0)
    rules = Rules(40, 8, 16, 64, preemption="swap", kv_bytes_per_token=1e6, swap_bytes_per_s=1e9)
    simulation = simulate(arrivals, prompts, outputs, rules, linear)
    assert simulation.preemptions.sum() > 5
    assert simulation.recomputed_tokens == 0
    # Who comes back has its newest token to compute, as it was chosen but not cached.
    resumed = len(simulation.gaps_s)
    assert simulation.steps["prefill_tokens"].sum() == prompts.sum() + resumed
    assert simulation.swapped_tokens > 0
    assert simulation.swapped_tokens % 2 == 0


def test_the_order_in_which_requests_are_given_does_not_matter():
    arrivals, prompts, outputs = requests(5)
    order = np.random.default_rng(0).permutation(len(arrivals))
    rules = Rules(60, 8, 16, 64)
    one = simulate(arrivals, prompts, outputs, rules, linear)
    other = simulate(arrivals[order], prompts[order], outputs[order], rules, linear)
    np.testing.assert_array_equal(one.last_token_s, other.last_token_s)


def test_the_summary_has_vllms_names_and_its_definitions():
    simulation = simulate([0.0, 0.0], [10, 10], [1, 5], Rules(10), lambda work: 0.1)
    each = latencies_ms(simulation)
    np.testing.assert_allclose(each["ttft"], [100, 100])
    np.testing.assert_allclose(each["tpot"], [np.nan, 100])  # one token has no time per token
    result = summary(simulation, parse_goodput("ttft:1.5e2 tpot:99"))
    assert result["mean_ttft_ms"] == pytest.approx(100)
    assert result["p99_itl_ms"] == pytest.approx(100)
    assert result["mean_e2el_ms"] == pytest.approx(300)
    assert result["output_throughput"] == pytest.approx(6 / 0.5)
    assert result["request_goodput"] == pytest.approx(1 / 0.5)
    assert result["preemptions"] == 0
    assert load(simulation) == "STABLE"


def test_durations_begin_with_the_first_arrival():
    simulation = simulate([7.0, 7.0], [10, 10], [1, 5], Rules(10), lambda work: 0.1)
    assert summary(simulation)["duration"] == pytest.approx(0.5)
    assert summary(simulation)["output_throughput"] == pytest.approx(6 / 0.5)


def test_quantiles_are_linear_between_two_values():
    simulation = simulate([0.0, 10, 20, 30], [1] * 4, [1] * 4, Rules(10), lambda work: 0.1)
    simulation.first_token_s[1] += 0.1
    assert summary(simulation)["p90_ttft_ms"] == pytest.approx(170)


def test_the_load_is_that_of_all_the_time_between_arrivals():
    one_at_a_time = Rules(100, max_num_seqs=1)

    def label(arrivals):
        n = len(arrivals)
        return load(simulate(arrivals, [5] * n, [10] * n, one_at_a_time, lambda work: 0.1))

    assert label([0.0, 0.0, 1000.0, 1000.0]) == "STABLE"  # two seconds of a thousand
    assert label([0.0] * 3) == "BACKLOGGED"
    assert label(np.arange(0, 30, 0.5)) == "OVERLOADED"
    assert label([*np.arange(0, 10, 0.2), 100.0]) == "BACKLOGGED"  # it is made up for
    assert label([0.0]) == "STABLE"


@pytest.mark.parametrize(("per_s", "n"), [(17, 4000), (18, 2000), (20, 700), (24, 800)])
def test_a_queue_that_grows_is_an_overload_before_as_many_wait_as_run(per_s, n):
    """256 places, 16 s each: 16 requests a second are served."""
    rules = Rules(10**6, max_num_seqs=256)
    arrivals = np.arange(n) / per_s
    assert load(simulate(arrivals, [10] * n, [100] * n, rules, lambda work: 0.16)) == "OVERLOADED"


def test_chance_is_seldom_taken_for_an_overload():
    def label(busy, seed, n=300):
        rng, rules = np.random.default_rng(seed), Rules(10**6, max_num_seqs=8)
        arrivals = np.cumsum(rng.exponential(1 / busy, n))
        outputs = rng.geometric(1 / 80, n)  # 8 s on average
        return load(simulate(arrivals, [5] * n, outputs, rules, lambda work: 0.1))

    found = {busy: [label(busy, seed) for seed in range(20)] for busy in (0.8, 0.9, 1.5)}
    assert found[0.8].count("OVERLOADED") == 0
    assert found[0.9].count("OVERLOADED") <= 2
    assert found[1.5].count("OVERLOADED") >= 19


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), None, "1"])
def test_a_clock_that_cannot_go_on_is_refused(seconds):
    with pytest.raises(ValueError, match="step_time returned"):
        simulate([0.0], [5], [5], Rules(10), lambda work: seconds)


def test_rules_that_are_none_are_refused():
    with pytest.raises(ValueError, match="rules=None"):
        simulate([0.0], [5], [5], None, linear)


@pytest.mark.parametrize("more", [{}, {"prefix_caching": False, "preemption": "swap"}])
def test_states_go_with_neither_found_prefixes_nor_copies(more):
    with pytest.raises(ValueError, match="blocks_per_seq=2 with prefix_caching"):
        Rules(10, blocks_per_seq=2, kv_bytes_per_token=1.0, **more)


@pytest.mark.parametrize("admission", ["prompt", "chunk"])
def test_states_take_blocks_from_admission_to_the_end(admission):
    arrivals, prompts, outputs = requests(0)
    rules = Rules(60, 8, 16, 64, admission=admission, prefix_caching=False, blocks_per_seq=3)
    found = simulate(arrivals, prompts, outputs, rules, linear)
    assert_conserved(found)
    assert found.preemptions.sum() > 0
    # One at a time: its blocks are those of its tokens and three.
    alone = simulate([0.0], [20], [30], rules, lambda work: 0.1)
    assert alone.steps["blocks_used"].max() == 3 + 7
    assert rules.longest == 57 * 8
    with pytest.raises(ValueError, match="num_blocks=60 of 8 tokens but 3 for states"):
        simulate([0.0], [57 * 8], [2], rules, linear)


def test_a_slope_that_is_rounding_does_not_move_an_arrival():
    args = [0.0, 0.3796894852917168], [114, 5], [80, 2]
    rules = Rules(100, 16, prefix_caching=False)
    exact = simulate(*args, rules, lambda work: 0.01)
    nearly = simulate(*args, rules, lambda work: 0.01 + 1e-19 * work.decode_context)
    rounded = simulate(*args, rules, lambda work: 0.01 * (1 + 2e-16 * (work.decode_context % 2)))
    for simulation in (nearly, rounded):
        np.testing.assert_allclose(simulation.first_token_s, exact.first_token_s)


def test_gaps_of_a_preempted_request_count_between_its_tokens():
    arrivals, prompts, outputs = requests(0)
    simulation = simulate(arrivals, prompts, outputs, Rules(40, 8, 16, 64), linear)
    per_token = (simulation.last_token_s - simulation.first_token_s).sum()
    tokens = (outputs - 1).sum()
    assert summary(simulation)["mean_itl_ms"] == pytest.approx(1e3 * per_token / tokens, rel=1e-6)


@pytest.mark.parametrize("text", ["", "ttft", "ttft:x", "ttft:1 ttft:2", "latency:5", "ttft:-1"])
def test_a_goodput_that_is_not_one_is_refused(text):
    with pytest.raises(ValueError, match="ttft:500 tpot:50"):
        parse_goodput(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([0.0], [100], [29]), "128 cached ones, over num_blocks=15"),
        (([0.0], [0], [5]), "prompt_tokens must be whole numbers from 1"),
        (([0.0], [5], [1.5]), "output_tokens must be whole numbers from 1"),
        (([-1.0], [5], [5]), "negative"),
        (([0.0, 1.0], [5], [5]), "each request has one of each"),
        ((None, [5], [5]), "arrival_s=None"),
    ],
)
def test_what_can_never_be_served_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        simulate(*arguments, Rules(15, 8), linear)
    simulate([0.0], [100], [21], Rules(15, 8), linear)  # 120 tokens are 15 blocks


def test_a_prompt_in_one_piece_waits_for_a_step_of_its_own():
    rules = Rules(100, 8, 4, 64, chunked_prefill=False)
    simulation = simulate([0.0, 0.0], [60, 60], [3, 3], rules, lambda work: 1.0)
    np.testing.assert_allclose(simulation.first_token_s, [1, 2])
    with pytest.raises(ValueError, match="without chunked_prefill"):
        simulate([0.0], [65], [1], rules, linear)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"max_num_batched_tokens": 100}, "Give max_num_seqs=100"),
        ({"admission": "all"}, "admission='all'"),
        ({"preemption": "swap"}, "kv_bytes_per_token"),
    ],
)
def test_rules_that_do_not_go_together_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        Rules(**{"num_blocks": 10, **settings})


def test_no_requests_take_no_time():
    simulation = simulate([], [], [], Rules(10), linear)
    assert summary(simulation)["duration"] == 0


def test_runs_end_when_a_request_comes():
    # One sequence decodes with steps of 1.2, 1.3 ... s or 3.8, 3.7 ... s; the others come later.
    for slope, start in ((0.1, 1.0), (-0.1, 4.0), (0.0, 1.0)):

        def step_time(work: Work, slope: float = slope, start: float = start) -> float:
            return start + slope * work.decode_context

        for arrival in (0.9, 3.5, 3.6, 20.0):
            requests = [0.0, arrival, 50.0], [1, 1, 5], [25, 1, 2]
            rules = Rules(10, 16, prefix_caching=False)
            simulation = simulate(*requests, rules, step_time)
            first, last, _ = step_by_step(*requests, rules, step_time)
            np.testing.assert_allclose(simulation.first_token_s, first)
            np.testing.assert_allclose(simulation.last_token_s, last)

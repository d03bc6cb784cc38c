"""The simulator against this course's own engine: who is in which step, on a clock of steps."""

from itertools import count

import numpy as np
import pytest
import torch
from serving_cases import VOCAB, tiny_model

from gqa_lib.serving import Engine
from gqa_lib.serving.calibrate import _above, _engine_times, calibrate
from gqa_lib.serving.simulator import Rules, Work, simulate
from gqa_lib.serving.traffic import Trace
from gqa_lib.serving.validate import CpuClock, measured, serve, simulated

STEP_S = 1.0


class SteppedEngine(Engine):
    """An engine whose steps take a second each of a clock that nothing else moves."""

    now = 0.0

    def step(self):
        """Make a step; a second is over."""
        record = super().step()
        self.now += STEP_S
        return record

    def sleep(self, seconds):
        """Let time pass."""
        self.now += seconds


def requests(seed, n=16):
    rng = np.random.default_rng(seed)
    return Trace(np.cumsum(rng.exponential(5.0, n)), rng.integers(1, 60, n), rng.integers(1, 30, n))


@pytest.mark.parametrize(
    "limits",
    [
        {"max_num_seqs": 8, "max_num_batched_tokens": 32},
        {"max_num_seqs": 3, "max_num_batched_tokens": 200},
        {"max_num_seqs": 4, "max_num_batched_tokens": 5},
    ],
    ids=lambda limits: "-".join(map(str, limits.values())),
)
@pytest.mark.parametrize("seed", range(2))
def test_every_step_computes_what_the_engines_does(seed, limits):
    trace = requests(seed)
    engine = SteppedEngine(tiny_model(), 500, block_size=8, prefix_sharing=False, **limits)
    engine._clock = lambda: engine.now
    start = trace.arrival_s[0]
    trace = Trace(trace.arrival_s - start, trace.prompt_tokens, trace.output_tokens)
    steps, served = serve(engine, trace, lambda: engine.now, engine.sleep)
    ours = simulate(
        trace.arrival_s,
        trace.prompt_tokens,
        trace.output_tokens,
        Rules(500, 8, prefix_caching=False, **limits),
        lambda work: STEP_S,
    )
    repeated = {
        name: np.repeat(ours.steps[name], ours.steps["num_steps"])
        for name in ("num_decodes", "prefill_tokens")
    }
    for name, counts in repeated.items():
        np.testing.assert_array_equal(counts, [getattr(step, name) for step in steps])
    ends = np.cumsum(ours.steps["num_steps"]) - 1  # blocks are those at the end of a run of steps
    used = [step.blocks_used for step in steps]
    np.testing.assert_array_equal(ours.steps["blocks_used"], np.array(used)[ends])
    firsts = [request.first_token_s + STEP_S for request in served]  # the engine's clock stands
    lasts = [request.finished_s + STEP_S for request in served]
    np.testing.assert_allclose(ours.first_token_s, firsts)
    np.testing.assert_allclose(ours.last_token_s, lasts)
    np.testing.assert_allclose(ours.scheduled_s, [request.scheduled_s for request in served])
    assert max(step.waiting for step in steps) > 0  # the case is there


def test_figures_of_both_are_defined_alike():
    trace = requests(0)
    limits = {"max_num_seqs": 8, "max_num_batched_tokens": 32}
    engine = SteppedEngine(tiny_model(), 500, block_size=8, prefix_sharing=False, **limits)
    engine._clock = lambda: engine.now
    steps, served = serve(engine, trace, lambda: engine.now, engine.sleep)
    real = measured(steps, served)
    rules = Rules(500, 8, prefix_caching=False, **limits)
    ours = simulate(
        trace.arrival_s, trace.prompt_tokens, trace.output_tokens, rules, lambda work: STEP_S
    )
    assert simulated(ours)["TPOT ms"] == pytest.approx(real["TPOT ms"])
    # Who comes within a step waits for its end, which the engine's request does not count.
    assert simulated(ours)["TTFT ms"] == pytest.approx(real["TTFT ms"] + 1000, abs=1000)
    assert simulated(ours)["step ms"] == 1000


def test_calibration_writes_tables_that_time_steps_of_the_engine(tmp_path):
    model = tiny_model(torch.float32, windows=None)
    limits = {"max_num_seqs": 4, "max_num_batched_tokens": 16}
    step_time = calibrate(
        model, tmp_path / "times", max_context=64, rounds=1, clock=CpuClock(), **limits
    )
    names = sorted(path.name for path in (tmp_path / "times").iterdir())
    assert names == ["attention.csv", "dense.csv", "per_sequence.csv"]
    alone = step_time(Work(4, 200, 50, (), 4))
    prompt = step_time(Work(0, 0, 0, [(16, 0)], 1))
    both = step_time(Work(4, 200, 50, [(12, 0)], 5))
    assert 0 < alone < both
    assert 0 < prompt < both
    trace = Trace(np.zeros(3), np.array([30, 20, 5]), np.array([4, 5, 6]))
    ours = simulate(
        trace.arrival_s,
        trace.prompt_tokens,
        trace.output_tokens,
        Rules(50, **limits),
        step_time,
    )
    assert ours.last_token_s.max() > 0


@pytest.mark.parametrize(("sequences", "context"), [(8, 2), (8, 8), (3, 50), (1, 1)])
def test_all_sequences_decode_in_steps_that_are_timed(sequences, context):
    """Each step of an engine is a second on this clock, above kernels of a quarter."""
    ticks = count()
    found = _engine_times(
        tiny_model(), [sequences], context, 8, 1, lambda work: 0.25, lambda: float(next(ticks))
    )
    assert found[sequences] > 0.5


def test_what_was_not_timed_is_not_taken_for_nothing():
    with pytest.raises(ValueError, match="4 sequences never decoded all in one step"):
        _above(4, [])
    with pytest.warns(UserWarning, match=r"4 sequences .* 3000000\.0 us less"):
        assert _above(4, [-3.0]) == 0
    assert _above(4, [1.0, 2.0, 4.0]) == 2.0


def test_a_clock_of_cpu_time_goes_on_while_it_sleeps():
    clock = CpuClock()
    before = clock()
    clock.sleep(100.0)
    assert 100.0 <= clock() - before < 200.0


def test_a_trace_without_arrivals_cannot_be_served():
    engine = Engine(tiny_model(), 50, max_num_seqs=4)
    lengths = Trace(None, np.array([5]), np.array([5]))
    with pytest.raises(ValueError, match="no arrivals"):
        serve(engine, lengths)
    steps, served = serve(engine, Trace(np.zeros(1), np.array([5]), np.array([5])))
    assert len(steps) == 5
    assert all(0 <= token < VOCAB for token in served[0].output)

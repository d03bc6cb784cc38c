"""The simulator held against this course's own engine on this machine: run it for the table.

    python -m gqa_lib.serving.validate

The engine serves a trace in real time. The simulator, whose step times come from kernels that were
timed before in the same process, serves the same trace on its computed clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from gqa_lib.compare.models import llama_like
from gqa_lib.measure import environment
from gqa_lib.model import LanguageModel

from .calibrate import calibrate
from .engine import Engine
from .record import Step
from .request import Request
from .simulator import Rules, Simulation, simulate, summary
from .traffic import Trace, fit, sample

_LIMITS = {"block_size": 16, "max_num_seqs": 8, "max_num_batched_tokens": 128}
_NUM_BLOCKS, _SHORTER = 1000, 8  # of prompts and outputs, so that a CPU can serve them


def serve(
    engine: Engine,
    trace: Trace,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[list[Step], list[Request]]:
    """Serve a trace's requests as they come; return what was done for them.

    Prompts are random tokens, so that none begins as another.

    Args:
        engine: with the same clock.
        trace: with arrivals.
        clock, sleep: seconds.

    Returns:
        The engine's steps and its requests, in the order of the trace.

    Raises:
        ValueError: the trace has no arrivals, or a request never fits.
    """
    if trace.arrival_s is None:
        raise ValueError("the trace has no arrivals: there is no telling when to add which.")
    vocab_size, rng = engine.model.embedding.num_embeddings, np.random.default_rng(0)
    prompts = [rng.integers(0, vocab_size, length).tolist() for length in trace.prompt_tokens]
    arrivals, outputs = trace.arrival_s.tolist(), trace.output_tokens.tolist()
    steps: list[Step] = []
    requests: list[Request] = []
    start = clock()
    while len(requests) < len(prompts) or engine.running or engine.waiting:
        now = clock() - start
        while len(requests) < len(prompts) and arrivals[len(requests)] <= now:
            requests.append(engine.add(prompts[len(requests)], outputs[len(requests)]))
        if engine.running or engine.waiting:
            steps.append(engine.step())
        else:
            sleep(arrivals[len(requests)] - now)
    return steps, requests


def measured(steps: list[Step], requests: list[Request]) -> dict[str, float]:
    """Return an engine's figures, by the names of `simulated`.

    Args:
        steps, requests: as `serve` returns them.
    """
    first, last, arrived, outputs = (
        np.array([getattr(one, name) for one in requests], dtype=float)
        for name in ("first_token_s", "finished_s", "arrived_s", "max_new_tokens")
    )
    some = outputs > 1
    return {
        "step ms": 1e3 * float(np.mean([step.seconds for step in steps])),
        "TPOT ms": 1e3 * float(((last - first)[some] / (outputs[some] - 1)).mean()),
        "TTFT ms": 1e3 * float((first - arrived).mean()),
        "output tokens/s": float(outputs.sum() / (last.max() - arrived.min())),
        "busy share": sum(step.seconds for step in steps) / float(last.max() - arrived.min()),
    }


def simulated(simulation: Simulation) -> dict[str, float]:
    """Return a simulation's figures: step, TPOT, TTFT, tokens a second and the share of busy time.

    Args:
        simulation: of the same trace.
    """
    found, busy = summary(simulation), simulation.steps["seconds"].sum()
    return {
        "step ms": 1e3 * float(busy / simulation.steps["num_steps"].sum()),
        "TPOT ms": found["mean_tpot_ms"],
        "TTFT ms": found["mean_ttft_ms"],
        "output tokens/s": found["output_throughput"],
        "busy share": float(busy) / found["duration"],
    }


class CpuClock:
    """The seconds that this process had the CPU, and those that it would have slept.

    On a machine that is shared, neighbours are no part of them.
    """

    def __init__(self) -> None:
        self._slept = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.process_time() + self._slept

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._slept += seconds


def main() -> None:
    """Print how far the simulator is from the engine, at two loads."""
    torch.set_num_threads(1)
    config = llama_like(
        2, num_layers=2, num_heads=8, head_dim=32, d_model=256, d_ff=688, vocab_size=2048
    )
    model, clock = LanguageModel(config), CpuClock()
    about = environment("cpu")
    print(f"{about['cpu_model']}, 1 thread, torch {about['torch']}; CPU time of this process")
    short = fit(sample("azure-conv-2023")).draw(60, rate=1.0, seed=1, arrival_cv=1.0)
    rules = Rules(_NUM_BLOCKS, prefix_caching=False, **_LIMITS)
    sizes = [np.maximum(1, one // _SHORTER) for one in (short.prompt_tokens, short.output_tokens)]
    for rate in (2.0, 20.0):
        trace = Trace((short.arrival_s if short.arrival_s is not None else 0) / rate, *sizes)
        with TemporaryDirectory() as folder:
            step_time = calibrate(model, Path(folder), max_context=1024, clock=clock, **_LIMITS)
        engine = Engine(model, _NUM_BLOCKS, prefix_sharing=False, clock=clock, **_LIMITS)
        real = measured(*serve(engine, trace, clock, clock.sleep))
        ours = simulate(trace.arrival_s, *sizes, rules, step_time)
        print(f"\n{rate:g} requests/s, simulated load {summary(ours)['load']}")
        print(f"{'':16}{'measured':>10}{'simulated':>11}{'error':>9}")
        for name, value in simulated(ours).items():
            error = value / real[name] - 1
            print(f"{name:16}{real[name]:10.3f}{value:11.3f}{error:+9.1%}")


if __name__ == "__main__":
    main()

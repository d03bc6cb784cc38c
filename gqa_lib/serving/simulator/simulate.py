"""What a trace would see of an engine."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import ceil, inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import check_conserved, check_requests, whole_pieces, whole_tokens
from .result import Simulation
from .rules import Rules
from .schedule import Chunk, Schedule
from .step_time import StepTime, Work

MOST_STEPS = 64  # of a run, whose times are taken to change linearly


def simulate(
    arrival_s: ArrayLike,
    prompt_tokens: ArrayLike,
    output_tokens: ArrayLike,
    rules: Rules,
    step_time: StepTime,
    hash_ids: Sequence[Sequence[int]] | None = None,
) -> Simulation:
    """Serve requests with continuous batching, as vLLM schedules it, on a clock that is computed.

    Each step decodes a token of every running sequence and fills what is left of
    max_num_batched_tokens with prompts, in chunks. If a running sequence needs a block and none is
    free, the one admitted last loses its own, and nothing is admitted in that step. Requests are
    served in the order of their arrival.

    Args:
        arrival_s: when each request comes, (N,), from 0, in any order.
        prompt_tokens, output_tokens: tokens of each, (N,), whole numbers from 1.
        rules: the engine's.
        step_time: seconds of a step.
        hash_ids: ids of the pieces of each prompt, `rules.hash_tokens` each; full pieces with the
            same id are computed once while they are in memory. None is without sharing. Of two
            copies only the first computed is found; vLLM also finds the second once that is gone.

    Returns:
        The Simulation, requests in the order of their arrival.

    Raises:
        ValueError: the arrays do not go together, or a request can never be served.

    Source: vLLM 0.19, vllm/v1/core/sched/scheduler.py, `schedule`.
    """
    if arrival_s is None:
        raise ValueError(
            "arrival_s=None: when requests come decides what each waits for. Give seconds, such as "
            "traffic.fit(trace).draw(n, rate=...) has."
        )
    arrivals = np.asarray(arrival_s, dtype=np.float64)
    prompts = whole_tokens(prompt_tokens, "prompt_tokens")
    outputs = whole_tokens(output_tokens, "output_tokens")
    check_requests(arrivals, prompts, outputs, rules)
    hashes = whole_pieces(hash_ids, len(arrivals), rules)
    order = np.argsort(arrivals, kind="stable")
    arrivals, prompts, outputs = arrivals[order], prompts[order], outputs[order]
    hashes = hashes and [hashes[i] for i in order.tolist()]
    schedule = Schedule(prompts.tolist(), outputs.tolist(), rules, hashes)
    (clock := _Clock(arrivals.tolist(), schedule, rules, step_time)).run()
    done = Simulation(
        rules=rules,
        arrival_s=arrivals,
        prompt_tokens=prompts,
        output_tokens=outputs,
        scheduled_s=np.array(clock.scheduled_s),
        first_token_s=np.array(clock.first_s),
        last_token_s=np.array(clock.last_s),
        gaps_s=np.array(clock.gaps_s),
        preemptions=np.array(schedule.preemptions, dtype=np.int64),
        steps=_columns(clock.rows),
        recomputed_tokens=schedule.recomputed,
        reused_tokens=schedule.reused,
        swapped_tokens=schedule.swapped,
    )
    check_conserved(done, schedule.supply.available)
    return done


class _Clock:
    """The time at which a schedule's steps begin and end."""

    def __init__(
        self, arrivals: Sequence[float], schedule: Schedule, rules: Rules, step_time: StepTime
    ):
        self._arrivals, self._schedule, self._step_time = arrivals, schedule, step_time
        self._copy_s = rules.kv_bytes_per_token / rules.swap_bytes_per_s  # of a token
        n = len(arrivals)
        self.scheduled_s, self.first_s, self.last_s = (array("d", [-1.0]) * n for _ in range(3))
        self.gaps_s = array("d")  # between two tokens with a preemption between them
        self._paused_s: dict[int, float] = {}
        self._copied = 0  # tokens, to the host and back
        self.rows = array("d")  # the columns of steps, one row after the other

    def run(self) -> None:
        """Serve all requests."""
        schedule, arrivals, waiting = self._schedule, self._arrivals, self._schedule.waiting
        now, step, arrived, total = 0.0, 0, 0, len(arrivals)
        while arrived < total or waiting or schedule.running:
            while arrived < total and arrivals[arrived] <= now:
                waiting.append(arrived)
                arrived += 1
            if not waiting and not schedule.running:
                now = arrivals[arrived]
                continue
            chunks = schedule.plan(step)
            if chunks or schedule.preempted:
                now = self._step(now, step, chunks)
                step += 1
            else:
                # Whoever comes while others wait changes nothing before a sequence ends.
                until = arrivals[arrived] if arrived < total and not waiting else inf
                now, steps = self._decode(now, step, until)
                step += steps

    def _seconds(self, work: Work) -> float:
        """How long a step takes."""
        seconds = self._step_time(work)
        try:
            if 0 <= seconds < inf:
                return seconds
        except (TypeError, ValueError):  # it is no number, or several
            pass
        raise ValueError(
            f"step_time returned {seconds} for {work}: the clock would run backwards, or stop. "
            "Return seconds, 0 or more."
        )

    def _step(self, now: float, step: int, chunks: Sequence[Chunk]) -> float:
        """Serve a step with prompts, or in which requests lose their blocks; return its end."""
        schedule, decoding = self._schedule, self._schedule.decoding
        for number in schedule.admitted:
            if self.scheduled_s[number] < 0:
                self.scheduled_s[number] = now
        for number in schedule.preempted:
            if self.first_s[number] >= 0:
                self._paused_s.setdefault(number, now)
        decodes, context = decoding.num, decoding.context
        prefills = [(new, schedule.computed(number)) for number, new in chunks]
        chosen = decodes + sum(map(schedule.is_complete, chunks))
        longest = decoding.longest(step)
        work = Work(decodes, context + decodes, longest, prefills, chosen)
        seconds = self._seconds(work)
        seconds += (schedule.swapped - self._copied) * self._copy_s
        self._copied = schedule.swapped
        decoding.context += decodes
        self._note(now, seconds, 1, decodes, sum(new for new, _ in prefills))
        now += seconds
        self._finish(now, step, chunks)
        return now

    def _decode(self, now: float, step: int, until: float) -> tuple[float, int]:
        """Serve steps that only decode the same, as far as there are; return their end and number.

        Args:
            now: when they begin.
            step: the first of them.
            until: when a request comes, which the next step sees.
        """
        decoding, supply = self._schedule.decoding, self._schedule.supply
        decodes, context = decoding.num, decoding.context
        longest = decoding.longest(step)
        work = Work(decodes, context + decodes, longest, (), decodes)
        seconds = self._seconds(work)
        steps = 1
        if more := decoding.quiet_steps(step, MOST_STEPS - 1, supply.available):
            work = Work(decodes, context + (more + 1) * decodes, longest + more, (), decodes)
            last = self._seconds(work)
            steps = _steps_until(until - now, seconds, last, more + 1)
            if steps > 1:
                last = seconds + (last - seconds) * (steps - 1) / more
                seconds = steps * (seconds + last) / 2
                if needed := decoding.blocks_of(step + 1, steps - 1):
                    supply.take(needed)
        decoding.context = context + steps * decodes
        self._note(now, seconds, steps, decodes, 0)
        now += seconds
        if decoding.next_end == step + steps - 1:
            self._finish(now, step + steps - 1, ())
        return now, steps

    def _finish(self, now: float, step: int, chunks: Sequence[Chunk]) -> None:
        """Write down who has a first or last token at the end of a step."""
        complete, ended = self._schedule.finish_step(step, chunks)
        for number in complete:
            if self.first_s[number] < 0:
                self.first_s[number] = now
            else:
                self.gaps_s.append(now - self._paused_s.pop(number))
        for number in ended:
            self.last_s[number] = now

    def _note(
        self, start_s: float, seconds: float, steps: int, decodes: int, prefill_tokens: int
    ) -> None:
        schedule, supply = self._schedule, self._schedule.supply
        used = supply.num_blocks - supply.available
        running, waiting = len(schedule.running), len(schedule.waiting)
        self.rows.extend((start_s, seconds, steps, decodes, prefill_tokens, used, running, waiting))


def _steps_until(left: float, first_s: float, last_s: float, most: int) -> int:
    """How many steps, whose seconds change linearly, begin while seconds are left."""
    if left == inf:
        return most
    slope = (last_s - first_s) / (most - 1)
    # The sum of j steps, first_s j + slope j (j - 1) / 2, must reach the time that is left.
    # Written so that nothing cancels where the slope is all but 0.
    linear = first_s - slope / 2
    root = linear * linear + 2 * slope * left
    below = linear + sqrt(root) if root >= 0 else 0.0
    return max(1, min(most, ceil(2 * left / below))) if below > 0 else most


def _columns(rows: array[float]) -> dict[str, NDArray[Any]]:
    """The columns of steps by name, whole numbers but for times."""
    names = Simulation.STEP_COLUMNS
    table = np.array(rows).reshape(-1, len(names)).T
    return {
        name: column if name in ("start_s", "seconds") else column.astype(np.int64)
        for name, column in zip(names, table, strict=True)
    }

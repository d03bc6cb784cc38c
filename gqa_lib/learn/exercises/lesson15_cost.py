"""Lesson 15: what a million tokens cost at the highest rate that keeps the latencies asked for."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .lesson15 import LESSON
from .numbers import as_number, nearly

_OTHERWISE = (
    "It returned {type} {value}. Give one number, the cost of a million output tokens, or None "
    "where no rate keeps the latencies."
)
Row = Mapping[str, Any]
_SINGLE = 5e-7  # how far a result in float32 may be off, as a share of it
_NAMES = ("request_rate", "output_throughput", "p99_ttft_ms", "p99_tpot_ms")


def _row(rate, throughput, ttft, tpot, label="measured", **others) -> dict[str, Any]:
    values = zip(_NAMES, (rate, throughput, ttft, tpot), strict=True)
    metrics = {name: value for name, value in values if value is not None} | others
    return {"label": label, "hardware": "L4", "finished": True, "metrics": metrics}


def _question(generator: torch.Generator, runs=(), price=2.5, objective=None, draw=0, many=0):
    """The runs given, or drawn: a few rates with repeats, some of them modelled; or many rates."""
    wanted = dict(objective or {"ttft": 500.0, "tpot": 50.0})
    for place in range(draw):
        few, price_steps, lost = integers(generator, 4, 60, 3)
        price = price_steps / 8
        runs = []
        for step in range(1, 3 + few):
            for _ in range(1 + (step + place) % 3):
                speed, first, each = integers(generator, 800, 400, 40)
                first = 200 + 60 * step + first // 2
                label = "modelled" if first % 5 == 0 else "measured"
                runs.append((step * 1.5, 100.0 * step + speed, first, 30 + each / 2, label))
        turned = (place + lost) % len(runs)
        runs = [*runs[turned:], *runs[:turned]]
        wanted = ({"ttft": 500.0, "tpot": 50.0}, {"ttft": 450}, {"tpot": 42.5})[lost - 1]
    runs = [*runs, *((1 + step / 64, 50.0 + step, 200.0, 31.0) for step in range(many))]
    rows = [one if isinstance(one, dict) else _row(*one) for one in runs]
    return rows, price, wanted


def _keeps(row: Row, objective: Mapping[str, float]) -> bool:
    metrics = row["metrics"]
    return all(metrics.get(f"p99_{name}_ms", math.inf) <= most for name, most in objective.items())


def _highest(kept: Mapping[float, Sequence[Row]]) -> float:
    return max(kept)


def _cost(price: float, throughputs: Sequence[float]) -> float:
    return price / 3600 / mean(throughputs) * 1e6


def costs(
    rows: Sequence[Row],
    price_per_hour: float,
    objective: Mapping[str, float],
    *,
    counts: Callable = lambda row: row["label"] == "measured",
    keeps: Callable = _keeps,
    every: Callable = all,
    choose: Callable = _highest,
    cost: Callable = _cost,
    nothing: Any = None,
) -> Any:
    """Return the cost of a million output tokens, or with a step replaced what that makes of it.

    Args:
        rows: of runs.
        price_per_hour: of the hardware.
        objective: latency to the most milliseconds of it.
        counts: whether a row does.
        keeps: whether a run keeps the objective.
        every: of the runs at a rate, which must.
        choose: the rate, of those that keep it.
        cost: of the price and the runs' tokens/s.
        nothing: where no rate keeps it.
    """
    by_rate: dict[float, list[Row]] = {}
    for row in filter(counts, rows):
        by_rate.setdefault(row["metrics"]["request_rate"], []).append(row)
    kept = {
        rate: runs
        for rate, runs in by_rate.items()
        if every([keeps(run, objective) for run in runs])
    }
    if not kept:
        return nothing
    return cost(price_per_hour, [run["metrics"]["output_throughput"] for run in kept[choose(kept)]])


def _call(yours: Callable, rows: Sequence[Row], price: float, objective: Mapping) -> Any:
    got = yours(rows, price, objective)
    if got is None:
        return None
    number, right = as_number(got, _OTHERWISE), costs(rows, price, objective)
    return number if right is None else nearly(number, right, _SINGLE)


def _with(**steps: Any) -> Callable:
    return lambda *arguments: costs(*arguments, **steps)


def _fastest(kept: Mapping[float, Sequence[Row]]) -> float:
    """The rate with the most tokens/s."""
    return max(
        kept, key=lambda rate: mean(row["metrics"]["output_throughput"] for row in kept[rate])
    )


def _fastest_run(rows: Sequence[Row], price: float, objective: Mapping) -> float:
    """The most tokens/s of any run, whatever its latencies."""
    rates = [row["metrics"]["output_throughput"] for row in rows if row["label"] == "measured"]
    return _cost(price, [max(rates)])


def _kept_runs(rows: Sequence[Row], price: float, objective: Mapping) -> Any:
    """Only the runs that keep it, at the highest rate where one does."""
    good = [row for row in rows if _keeps(row, objective)]
    return costs(good, price, objective)


COST_AT_OBJECTIVE = Exercise(
    name="cost_at_objective",
    lesson=LESSON,
    make=_question,
    oracle=lambda rows, price_per_hour, objective: costs(rows, price_per_hour, objective),
    call=_call,
    cases=(
        {
            "runs": (
                (9.0, 950.0, 400.0, 45.0, "given"),
                (1.0, 240.0, 180.0, 31.0),
                (2.0, 460.0, 310.0, 42.0),
                (4.0, 810.0, 1900.0, 71.0),
                (3.0, 900.0, 400.0, 45.0, "modelled"),
            )
        },
        {  # repeats: at rate 3 one of two fails; rate 2 has 500 and 400 tokens/s
            "runs": (
                (3.0, 700.0, 480.0, 44.0),
                (2.0, 500.0, 300.0, 40.0),
                (3.0, 690.0, 560.0, 44.0),
                (1.0, 250.0, 200.0, 30.0),
                (2.0, 400.0, 320.0, 41.0),
            ),
            "price": 1.25,
        },
        {  # exactly at the limits, and fewer tokens/s than at a lower rate
            "runs": ((2.0, 460.0, 500.0, 50.0), (1.0, 520.0, 180.0, 31.0)),
            "price": 4.0,
        },
        {"runs": ((2.0, 460.0, 310.0, 42.0), (4.0, 800.0, 320.0, 50.5)), "price": 3.0},
        {"runs": ((2.0, 460.0, 310.0, 42.0), (4.0, 800.0, 501.0, 44.0)), "price": 3.0},
        {"runs": ((1.0, 240.0, 900.0, 31.0), (2.0, 460.0, 310.0, 80.0))},
        {"runs": ((1.0, 240.0, 100.0, 31.0, "modelled"),)},
        {"runs": ()},
        {  # a percentile that was not measured
            "runs": ((1.0, 240.0, 100.0, 31.0), (2.0, 400.0, 120.0, None)),
            "price": 0.5,
        },
        {
            "runs": ((1.0, 240.0, 100.0, 31.0), (2.0, 400.0, 120.0, None)),
            "objective": {"ttft": 200},
        },
        {
            "runs": (
                (1.0, 240.0, 100.0, 31.0),
                _row(2.0, 430.0, 640.0, 45.0, mean_ttft_ms=210.0, mean_tpot_ms=33.0),
            )
        },
        {
            "runs": ((1.0, 240.0, 700.0, 31.0), (2.0, 430.0, 900.0, 45.0)),
            "objective": {"tpot": 45},
        },
        {  # the lower rate fails, and the higher one does not
            "runs": ((1.0, 240.0, 700.0, 31.0), (2.0, 430.0, 400.0, 45.0)),
        },
        {"draw": 1},
        {"draw": 3},
    ),
    mistakes=(
        Mistake(
            "the fastest run is taken, whatever its latencies. At peak throughput requests queue: "
            "nobody buys those tokens.",
            _fastest_run,
        ),
        Mistake(
            "of the rates that keep the latencies the one with the most tokens/s is taken. Take "
            "the highest request rate: that is what the server is bought for.",
            _with(choose=_fastest),
        ),
        Mistake("the lowest rate is taken. Take the highest that keeps them.", _with(choose=min)),
        Mistake(
            "modelled rows count. A price over simulated tokens/s looks like a fact.",
            _with(counts=lambda row: True),
        ),
        Mistake(
            "the latencies are not asked for: the highest rate is taken whatever they are.",
            _with(keeps=lambda row, objective: True),
        ),
        Mistake(
            "a latency exactly at its limit is refused. It keeps it.",
            _with(
                keeps=lambda row, objective: all(
                    row["metrics"].get(f"p99_{name}_ms", math.inf) < most
                    for name, most in objective.items()
                )
            ),
        ),
        Mistake(
            "one run that keeps them is enough at a rate where another does not. All of them "
            "have to.",
            _with(every=any),
        ),
        Mistake(
            "runs that exceed a latency are left out, and the others at their rate stay. A rate "
            "is kept if all its runs keep it.",
            _kept_runs,
        ),
        Mistake(
            "one latency kept is enough. All that the objective names have to be.",
            _with(
                keeps=lambda row, objective: any(
                    row["metrics"].get(f"p99_{name}_ms", math.inf) <= most
                    for name, most in objective.items()
                )
            ),
        ),
        Mistake(
            "a percentile that is not in the row counts as kept. It was not measured.",
            _with(
                keeps=lambda row, objective: all(
                    row["metrics"].get(f"p99_{name}_ms", 0.0) <= most
                    for name, most in objective.items()
                )
            ),
        ),
        Mistake(
            "means are compared with the limits. The objective is of the 99th percentile.",
            _with(
                keeps=lambda row, objective: all(
                    row["metrics"].get(
                        f"mean_{name}_ms", row["metrics"].get(f"p99_{name}_ms", math.inf)
                    )
                    <= most
                    for name, most in objective.items()
                )
            ),
        ),
        Mistake(
            "there is a cost of 0 where no rate keeps them: it reads as free. Return None.",
            _with(nothing=0.0),
        ),
        Mistake(
            "the hour is not turned into seconds: divide the price by 3600.",
            _with(cost=lambda price, rates: price / mean(rates) * 1e6),
        ),
        Mistake(
            "this is the cost of one token. Give that of a million.",
            _with(cost=lambda price, rates: _cost(price, rates) / 1e6),
        ),
        Mistake(
            "this is the cost of a thousand tokens. Give that of a million.",
            _with(cost=lambda price, rates: _cost(price, rates) / 1e3),
        ),
        Mistake(
            "costs are averaged. Average the tokens/s of the runs at that rate, and divide once.",
            _with(cost=lambda price, rates: mean(_cost(price, [rate]) for rate in rates)),
        ),
        Mistake(
            "tokens/s of runs that were repeated are added up. They ran one after the other: "
            "average them.",
            _with(cost=lambda price, rates: _cost(price, [sum(rates)])),
        ),
        Mistake(
            "the best of the repeated runs is taken. Average them.",
            _with(cost=lambda price, rates: _cost(price, [max(rates)])),
        ),
    ),
)

EXERCISES = [COST_AT_OBJECTIVE]

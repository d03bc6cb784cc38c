"""Lesson 15: which rows of a file of runs may carry a claim."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers

LESSON = "15-adoption-report"
NEEDED = ("label", "hardware", "finished", "metrics")
MACHINES = ("RTX 4090", "H100 SXM", "L4", "a CPU with 2 threads")

_METRICS = ("request_rate", "output_throughput", "p99_ttft_ms", "p99_tpot_ms")
_CHANGES: dict[str, dict[str, Any]] = {
    "good": {},
    "good, noted": {"run": "7", "num_kv_heads": 8, "seed": 3},
    "modelled": {"label": "modelled"},
    "given": {"label": "given"},
    "Measured": {"label": "Measured"},
    "elsewhere": {"hardware": "another"},
    "longer": {"hardware": "longer"},
    "lower": {"hardware": "lower"},
    "stopped": {"finished": False},
    "finished: no": {"finished": "no"},
    "finished: 1": {"finished": 1},
    "modelled elsewhere": {"label": "modelled", "hardware": "another"},
    "modelled, stopped": {"label": "modelled", "finished": False},
    "elsewhere, stopped": {"hardware": "another", "finished": False},
}
_VALUES: dict[str, Any] = {
    "NaN": math.nan,
    "infinite": math.inf,
    "zero": 0.0,
    "negative": -3.5,
    "true": True,
    "text": "41.5",
    "null": None,
    "a quarter": 0.25,  # counts
}
_AS_IT_STANDS = {
    "blank": "",
    "spaces": "   ",
    "cut": '{"label": "measured", "hardware": "RTX 40',
    "array": "[1, 2]",
    "number": "12.5",
    "no label": '{"hardware": "L4", "finished": true, "metrics": {"tpot_ms": 31.5}}',
    "no metrics": '{"label": "measured", "hardware": "L4", "finished": true}',
    "empty metrics": '{"label": "measured", "hardware": "L4", "finished": true, "metrics": {}}',
    "metrics: a list": '{"label": "measured", "hardware": "L4", "finished": true, "metrics": [2]}',
}
KINDS = (*_CHANGES, *_VALUES, "stopped, NaN", "modelled, zero", *_AS_IT_STANDS)


def _line(generator: torch.Generator, kind: str, hardware: str) -> str:
    if kind in _AS_IT_STANDS:
        return _AS_IT_STANDS[kind]
    drawn = integers(generator, *[9000] * len(_METRICS))
    metrics: dict[str, Any] = {name: value / 8 for name, value in zip(_METRICS, drawn, strict=True)}
    (place,) = integers(generator, len(metrics))
    wrong = {"stopped, NaN": math.nan, "modelled, zero": 0} | _VALUES
    if kind in wrong:
        metrics[list(metrics)[place - 1]] = wrong[kind]
    first, _, _ = kind.partition(",")
    row = {"label": "measured", "hardware": hardware, "finished": True}
    row |= _CHANGES.get(kind, _CHANGES.get(first, {}) if kind in wrong else {})
    others = {
        "another": MACHINES[MACHINES.index(hardware) - 1],
        "longer": f"{hardware} D",
        "lower": hardware.lower() if hardware != hardware.lower() else hardware.upper(),
    }
    row["hardware"] = others.get(str(row["hardware"]), row["hardware"])
    return json.dumps({**row, "metrics": metrics})


def _file(generator: torch.Generator, kinds=(), hardware="", draw=0, end="\n"):
    """A file of the kinds given, or of kinds that are drawn."""
    for _ in range(draw):
        count, place = integers(generator, 14, len(MACHINES))
        kinds = [KINDS[one - 1] for one in integers(generator, *[len(KINDS)] * count)]
        hardware = MACHINES[place - 1]
    hardware = hardware or MACHINES[0]
    return "\n".join(_line(generator, kind, hardware) for kind in kinds) + end, hardware


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0


TESTS: dict[str, Callable[[Mapping[str, Any], str], bool]] = {
    "not measured": lambda row, _: row["label"] == "measured",
    "other hardware": lambda row, hardware: row["hardware"] == hardware,
    "unfinished": lambda row, _: row["finished"] is True,
    "no number": lambda row, _: all(map(_number, row["metrics"].values())),
}


def _parsed(line: str) -> Any:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    whole = isinstance(row, dict) and all(name in row for name in NEEDED)
    return row if whole and isinstance(row["metrics"], dict) and row["metrics"] else None


def _not_blank(numbered: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return [(number, line) for number, line in numbered if line.strip()]


def examined(
    text: str,
    hardware: str,
    *,
    tests: Mapping[str, Callable] = TESTS,
    first_line: int = 1,
    skip: Callable = _not_blank,
    choose: Callable = lambda reasons: reasons[0],
) -> tuple[tuple[str, ...], dict[int, str]]:
    """Return the rows that count, as text, and why the others do not, by line.

    Args:
        text: lines of JSON.
        hardware: the machine that a claim is about.
        tests: reason to what a row must hold, in order.
        first_line: number of the first.
        skip: leaves blank lines out, of pairs of number and line.
        choose: of several reasons, which is given.
    """
    rows, refused = [], {}
    for number, line in skip(list(enumerate(text.split("\n"), first_line))):
        row = _parsed(line)
        if row is None:
            refused[number] = "broken"
        elif failed := [why for why, holds in tests.items() if not holds(row, hardware)]:
            refused[number] = choose(failed)
        else:
            rows.append(row)
    return _texts(rows), refused


def _texts(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(json.dumps(row, sort_keys=True) for row in rows)


def _call(yours: Callable, text: str, hardware: str) -> Any:
    got = yours(text, hardware)
    if not isinstance(got, tuple | list) or len(got) != 2:
        return got
    rows, refused = got
    if not isinstance(rows, list | tuple) or not all(isinstance(row, dict) for row in rows):
        raise Complaint(
            f"Its first result is a {type(rows).__name__}. Give a list of the rows that count, "
            "each the dictionary that json.loads made of its line."
        )
    if not isinstance(refused, dict):
        raise Complaint(
            f"Its second result is a {type(refused).__name__}. Give a dictionary: the number of "
            'each refused line to its reason, such as {3: "broken"}.'
        )
    try:
        return _texts(list(rows)), dict(sorted(refused.items()))
    except TypeError as error:
        raise Complaint(
            f"Rows or lines cannot be compared ({error}): give what json.loads made, and numbers."
        ) from None


def _with(**tests: Callable | None) -> Callable:
    """All tests, some replaced; None leaves one out."""
    named = {name.replace("_", " "): test for name, test in tests.items()}
    kept = {why: test for why, test in {**TESTS, **named}.items() if test is not None}
    return lambda text, hardware: examined(text, hardware, tests=kept)


def _values(good: Callable) -> Callable:
    return _with(no_number=lambda row, _: all(map(good, row["metrics"].values())))


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


MEASURED_ROWS = Exercise(
    name="measured_rows",
    lesson=LESSON,
    make=_file,
    oracle=lambda text, hardware: examined(text, hardware),
    call=_call,
    cases=(
        {
            "kinds": (
                "good",
                "modelled",
                "elsewhere",
                "stopped",
                "NaN",
                "cut",
                "good, noted",
                "a quarter",
            )
        },
        {"kinds": ("good", "blank", "NaN", "spaces", "infinite", "good"), "hardware": "L4"},
        {"kinds": ("zero", "negative", "true", "text", "null", "good", "stopped, NaN")},
        {"kinds": ("longer", "lower", "good", "given", "Measured", "modelled elsewhere")},
        {"kinds": ("finished: no", "finished: 1", "modelled, stopped", "elsewhere, stopped")},
        {"kinds": ("array", "number", "no label", "no metrics", "empty metrics", "good")},
        {"kinds": ("metrics: a list", "modelled, zero", "good"), "end": ""},
        {"kinds": ("modelled", "cut"), "hardware": "H100 SXM"},
        {"kinds": (), "end": ""},
    ),
    mistakes=(
        Mistake(
            "modelled rows count as measured. No run stands behind them: read `label`.",
            _with(not_measured=None),
        ),
        Mistake(
            'only "modelled" is refused. Any other label than "measured" is: nobody says that a '
            "run stands behind it.",
            _with(not_measured=lambda row, _: row["label"] != "modelled"),
        ),
        Mistake(
            "runs of other machines count. What was measured there says nothing of this one.",
            _with(other_hardware=None),
        ),
        Mistake(
            "part of a name is enough. An RTX 4090 D is another card than an RTX 4090: compare "
            "whole names.",
            _with(other_hardware=lambda row, hardware: hardware in row["hardware"]),
        ),
        Mistake(
            "names are compared without upper and lower case. Another spelling may be another "
            "machine: whoever wrote the file has to say.",
            _with(other_hardware=lambda row, hardware: row["hardware"].lower() == hardware.lower()),
        ),
        Mistake(
            "runs that did not finish count: what is missing may be what was slow.",
            _with(unfinished=None),
        ),
        Mistake(
            'finished="no" counts as finished, because a text that is not empty is true in '
            "Python. Ask `is True`.",
            _with(unfinished=lambda row, _: bool(row["finished"])),
        ),
        Mistake(
            "metrics are not looked at. Each has to be a finite number above 0.",
            _with(no_number=None),
        ),
        Mistake(
            "NaN passes: every comparison with NaN is false, so value <= 0 does not refuse it. "
            "Ask what a value must be (math.isfinite), not what it must not be.",
            _values(lambda value: _numeric(value) and not (value <= 0 or value == math.inf)),
        ),
        Mistake(
            "infinity passes: it is above 0. Ask math.isfinite.",
            _values(lambda value: _numeric(value) and value > 0),
        ),
        Mistake(
            "zeros pass. A rate or a time of 0 was not measured.",
            _values(lambda value: _numeric(value) and math.isfinite(value) and value >= 0),
        ),
        Mistake(
            "values below 0 pass. No rate and no time is negative.",
            _values(lambda value: _numeric(value) and math.isfinite(value) and value != 0),
        ),
        Mistake(
            "true passes as a number: in Python a bool is an int.",
            _values(
                lambda value: isinstance(value, int | float) and math.isfinite(value) and value > 0
            ),
        ),
        Mistake(
            "lines are counted from 0. People and editors count them from 1.",
            lambda text, hardware: examined(text, hardware, first_line=0),
        ),
        Mistake(
            "blank lines are left out of the count: then the numbers are not those of the file.",
            lambda text, hardware: examined(
                text,
                hardware,
                skip=lambda numbered: list(
                    enumerate((one for _, one in numbered if one.strip()), 1)
                ),
            ),
        ),
        Mistake(
            "blank lines are refused as broken. They are skipped: no run is lost with them.",
            lambda text, hardware: examined(text, hardware, skip=lambda numbered: numbered),
        ),
        Mistake(
            "of several reasons the last is given. Give the first, in the order of the list.",
            lambda text, hardware: examined(text, hardware, choose=lambda reasons: reasons[-1]),
        ),
    ),
)

EXERCISES = [MEASURED_ROWS]

"""What a sweep is: notebooks, the parameters that vary, repeats; as a file or on a command line.

    runs:
      - notebook: decode-latency
        params: {dtype: bfloat16}           # the same in all
        grid:                               # every combination
          num_kv_heads: [1, 8, 32]
          context: [4096, 65536]
      - notebook: [kv-footprint, roofline]
        list:                               # or one by one
          - {dtype: float32}
          - {dtype: bfloat16}
    repeat: 5
    order: interleaved                      # A B C A B C; grouped: A A B B C C

All of it is checked before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..jobs import Job, library_digest, point
from ..nearest import meant
from ..notebooks import benchmarks, check_params, find_benchmark
from .yaml_files import read_yaml

MOST = 100_000  # runs of a sweep


class Runs(BaseModel):
    """Some runs of a sweep: notebooks, and the parameters that each is run with."""

    model_config = ConfigDict(extra="forbid", strict=True)

    notebook: str | list[str]
    params: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    each: list[dict[str, Any]] = Field([], alias="list")

    @field_validator("grid")
    @classmethod
    def _some_of_each(cls, grid: dict) -> dict:
        for name, values in grid.items():
            if not values:
                raise ValueError(f"grid has no value for {name}: nothing would run. Give some.")
        return grid


class Sweep(BaseModel):
    """All that one `gqa bench run` is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    runs: list[Runs] = Field(min_length=1)
    repeat: int = Field(1, ge=1, le=10_000)
    order: Literal["interleaved", "grouped"] = "interleaved"
    timeout_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    slots: int | None = Field(None, ge=1)
    out: str | None = Field(None, min_length=1)


def read_sweep(path: Path) -> Sweep:
    """Return the sweep that a file describes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not YAML, or something in it is not a sweep's.
    """
    return as_sweep(read_yaml(path), path.name)


def as_sweep(content: Any, where: str) -> Sweep:
    """Return a sweep, checked but for the parameters of its notebooks.

    Args:
        content: of the file, or the like.
        where: what messages call it.

    Raises:
        ValueError: something in it is not a sweep's; the message names the place.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{where} is not a sweep: it has to begin with `runs:`.")
    try:
        return Sweep.model_validate(content)
    except ValidationError as refused:
        lines = [_in_words(error) for error in refused.errors(include_url=False)]
        raise ValueError(f"{where}: {'; '.join(dict.fromkeys(lines))}.") from None


def _in_words(error: Any) -> str:
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"]).lstrip(".")
    if error["type"] == "extra_forbidden":
        known = ("notebook", "params", "grid", "list") if "." in place else Sweep.model_fields
        hint = meant(str(error["loc"][-1]), known).rstrip(".")
        return f"{place} is not something that a sweep has{hint or ': ' + ', '.join(known)}"
    if error["type"] == "missing":
        return f"{place} is missing"
    told = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    given = "" if error["type"] == "value_error" else f"={error['input']!r}: it has to be"
    return f"{place}{given} {told}".rstrip(".")


def jobs_of(sweep: Sweep, *, here: bool = True, again: bool = False) -> list[Job]:
    """Return the runs of a sweep in their order, each checked.

    Args:
        sweep: what is asked.
        here: whether they run on this machine; else its devices do not matter.
        again: whether to repeat runs that ended with an error.

    Raises:
        ValueError: a notebook or parameter does not exist, a value cannot be measured with, or the
            sweep contradicts itself.
    """
    points: dict[tuple[str, str], Job] = {}
    places: dict[str, Path] = {}
    for number, runs in enumerate(sweep.runs):
        for name, params in _points(runs, f"runs[{number}]"):
            notebook, shown = find_benchmark(name), f"runs[{number}], {name}"
            if (other := places.setdefault(notebook.stem, notebook)) != notebook:
                raise ValueError(
                    f"{shown}: {other} is called {notebook.stem}, too, and results are known by "
                    "that name. Rename one."
                )
            try:
                check_params(notebook, params, here=here)
            except ValueError as refused:
                raise ValueError(f"{shown} with {_written(params)}: {refused}") from None
            named = name if name in benchmarks() else str(notebook)
            one = Job(named, params, 0, sweep.timeout_s, library_digest(), again)
            if points.setdefault((named, point(notebook, params)), one) is not one:
                raise ValueError(
                    f"{shown} with {_written(params)} is there twice: for more samples of each "
                    "give repeat."
                )
            _not_too_many(len(points) * sweep.repeat)
    return _in_order(list(points.values()), sweep)


def _in_order(points: list[Job], sweep: Sweep) -> list[Job]:
    turns: Iterator[tuple[int, Job]]
    if sweep.order == "interleaved":
        turns = product(range(sweep.repeat), points)
    else:
        turns = ((repeat, one) for one, repeat in product(points, range(sweep.repeat)))
    return [replace(one, repeat=repeat) for repeat, one in turns]


def _points(runs: Runs, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The notebooks' names, each with parameters that it is run with."""
    if runs.grid and runs.each:
        raise ValueError(f"{where} has both grid and list: which is meant? Make two runs of it.")
    names = [runs.notebook] if isinstance(runs.notebook, str) else runs.notebook
    if not names:
        raise ValueError(f"{where}.notebook is empty: nothing would run. Name one.")
    for params in runs.each or [{}]:
        for name in sorted({*runs.params} & {*runs.grid, *params}):
            raise ValueError(
                f"{where} has {name} in params and in {'grid' if runs.grid else 'list'}: which "
                "value is meant?"
            )
    if any("out_dir" in one for one in (runs.params, runs.grid, *runs.each)):
        raise ValueError(f"{where} has out_dir: each run gets a folder of its own in `out`.")
    for name, given in runs.grid.items():
        if twice := [one for n, one in enumerate(given) if one in given[:n]]:
            raise ValueError(f"{where}.grid.{name} has {twice[0]!r} twice: give it once.")
    for name in names:
        for chosen in runs.each or map(dict, _combinations(runs.grid)):
            yield name, {**runs.params, **chosen}


def _combinations(grid: dict[str, list]) -> Iterator[list[tuple[str, Any]]]:
    for chosen in product(*grid.values()):
        yield list(zip(grid, chosen, strict=True))


def _written(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items()) or "its defaults"


def _not_too_many(number: int) -> None:
    if number > MOST:
        raise ValueError(
            f"this sweep has more than {MOST:,} runs, which take days at a second each: leave out "
            "values, or make several sweeps."
        )

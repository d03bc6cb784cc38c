"""`gqa bench run`: a sweep of benchmark notebooks, on this machine or on a cluster."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import engines
from .command import folder, number, whole

if TYPE_CHECKING:
    from gqa_lib.bench.jobs import Job
    from gqa_lib.bench.sweeps.live import Progress
    from gqa_lib.bench.sweeps.sweep import Sweep

_OUT = "runs"


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa bench run`.

    Args:
        parser: the command's.
    """
    add = parser.add_argument
    add("what", nargs="+", metavar="SWEEP.yaml|NAME", help="a sweep's file, or benchmarks")
    add("--grid", action="append", default=[], metavar="NAME=VALUE,...", help="a parameter that "
        "varies: every combination is run; may be repeated")  # fmt: skip
    add("-p", "--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter that "
        "is the same in all runs; may be repeated")  # fmt: skip
    add("--repeat", type=whole(1, 10_000), help="runs of each (default: 1)")
    add("--order", choices=("interleaved", "grouped"), help="of repeats: A B C A B C (the default) "
        "or A A B B C C")  # fmt: skip
    add("--out", type=folder, help=f"folder for the results (default: {_OUT})")
    add("--timeout", type=number(above=0), help="stop a run after this many seconds")
    add("--slots", type=whole(1), help="runs at a time (default: one for each GPU, or CPU core); "
        "those that time run alone")  # fmt: skip
    add("--retry", action="store_true", help="repeat runs that ended with an error or took too "
        "long")  # fmt: skip
    add("--dry-run", action="store_true", help="show what would run; run nothing")
    add("--json", action="store_true", help="print the records as JSON, and nothing else")
    engines.arguments(parser)


def run(asked: Namespace) -> int:
    """Run a sweep and return the exit code: 1 if a run of it failed.

    Args:
        asked: the parsed arguments.
    """
    from gqa_lib.course.extras import require

    for module in ("papermill", "ipykernel", "matplotlib", "psutil", "pydantic", "rich", "yaml"):
        require(module)
    from gqa_lib.bench.sweeps.engines.lost import superseded
    from gqa_lib.bench.sweeps.live import Progress
    from gqa_lib.bench.sweeps.sweep import jobs_of

    sweep = _sweep(asked)
    engine = engines.engine(asked, sweep.slots)
    jobs = jobs_of(sweep, here=engine.here, again=asked.retry)
    out = Path(sweep.out or _OUT)
    if asked.dry_run:
        return _list(jobs, engine.scripts(jobs, out))
    with Progress(jobs, slots=engine.at_a_time or len(jobs), quiet=asked.json) as progress:
        _note(out, sweep)
        try:
            engine.run(jobs, out, progress)
        except KeyboardInterrupt:
            print("The same command goes on from here.", file=sys.stderr)
            raise
        superseded(out, progress.records)
    return _end(progress, out, as_json=asked.json)


def _sweep(asked: Namespace) -> Sweep:
    from gqa_lib.bench.sweeps.sweep import as_sweep, read_sweep

    more = {
        "repeat": asked.repeat,
        "order": asked.order,
        "timeout_s": asked.timeout,
        "slots": asked.slots,
        "out": asked.out,
    }
    more = {name: value for name, value in more.items() if value is not None}
    files = [what for what in asked.what if what.endswith((".yaml", ".yml"))]
    if not files:
        runs = {"notebook": asked.what, "params": _params(asked), "grid": _grid(asked.grid)}
        return as_sweep({"runs": [runs], **more}, "this sweep")
    if len(asked.what) > 1:
        raise ValueError(f"{files[0]} is a whole sweep: give it alone, or write all into one file.")
    if asked.grid or asked.param:
        raise ValueError(f"{files[0]} says what runs: write --grid and -p into it.")
    return read_sweep(Path(files[0])).model_copy(update=more)


def _params(asked: Namespace) -> dict[str, Any]:
    from gqa_lib.bench.notebooks import parse_assignments

    return parse_assignments(asked.param)


def _grid(texts: list[str]) -> dict[str, list]:
    """The values of each parameter that varies: JSON in brackets, or separated by commas."""
    from gqa_lib.bench.notebooks import parse_assignment

    grid: dict[str, list] = {}
    for text in texts:
        name, value = parse_assignment(text, "--grid")
        if name in grid:
            raise ValueError(f"--grid {name} is there twice: give all values in one.")
        if not isinstance(value, list):
            parts = text.partition("=")[2].split(",")
            value = [parse_assignment(f"{name}={part.strip()}", "--grid")[1] for part in parts]
        grid[name] = value
    return grid


def _list(jobs: list[Job], scripts: list[str]) -> int:
    from gqa_lib.bench.sweeps.live import told

    for number_, job in enumerate(jobs, 1):
        print(f"{number_}  {told(job)}")
    for script in scripts:
        print(f"\n{script}", end="")
    return 0


def _note(out: Path, sweep: Sweep) -> None:
    """Keep what was asked with its results."""
    from gqa_lib.bench.inside import commit
    from gqa_lib.bench.paths import without_paths

    asked = sweep.model_dump(by_alias=True, exclude={"out"})
    commit(out / "sweep.json", without_paths(asked))


def _end(progress: Progress, out: Path, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(progress.records, indent=1))
    else:
        print(f"{progress.summary()}. `gqa bench report {out}` makes a page of it.")
    return int(any(record["status"] != "ok" for record in progress.records))

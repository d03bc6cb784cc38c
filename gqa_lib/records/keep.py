"""Makes a record of runs of a benchmark notebook, to be kept here.

    python -m gqa_lib.records.keep RUN [RUN ...]

A RUN is a folder that `gqa bench decode-latency`, `quality` or `uptraining` reports. Several of
decode-latency, of one machine, dtype and day, make one record; of the others each makes its own.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from gqa_lib.measure.samples import read_jsonl, write_jsonl

from . import compact, trained

TRAINED = ("quality", "uptraining")  # benchmarks whose records are of models that were trained


def keep(runs: list[Path], folder: Path = Path(__file__).parent) -> Path:
    """Write the record of some runs and return its file.

    Args:
        runs: their folders.
        folder: where the record goes.

    Returns:
        The new file.

    Raises:
        ValueError: a run is not complete or of another machine, dtype or day than the first, no
            records are kept of its benchmark, or there is a record of these already.
    """
    trained_run = next((run for run in runs if _benchmark(run) in TRAINED), None)
    if trained_run and len(runs) > 1:
        raise ValueError(
            f"{trained_run} is of a benchmark that trains: with {len(runs) - 1} more its means "
            "would be of different runs. Make a record of each."
        )
    names = {_name(run) for run in runs}
    if len(names) != 1:
        raise ValueError(f"these runs differ: {', '.join(sorted(names))}. Make a record of each.")
    out = folder / f"{names.pop()}.jsonl"
    if out.exists():
        raise ValueError(f"{out} exists, and records are never overwritten: move one of them.")
    rows = [{"kind": "environment", "dry_run": False, **_rows(runs[0], "environment")[0]}]
    for run in runs:
        if trained_run:
            rows += trained.rows_of_run(run)
        else:
            rows += [*_rows(run, "arms"), *compact(_rows(run, "samples"))]
    write_jsonl(out, [*rows, {"kind": "end"}])
    return out


def _name(run: Path) -> str:
    """Benchmark, machine, what was run and day of a run that reached its end."""
    environment = _rows(run, "environment")[0]
    gpu = environment["gpu"] or {}
    place = gpu.get("name") or f"{environment['cpu_model']} {environment['num_threads']} threads"
    day = environment["utc"][:10].replace("-", "")
    name = _benchmark(run)
    if name in TRAINED:
        params = trained.params(run)
        text = json.loads((run / "result.json").read_text())["text"]
        name += f" {params['task']} {place} {trained.digest(params, text)} {day}"
    else:
        name = f"decode {place} {_rows(run, 'samples')[0]['p_dtype']} {day}"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _benchmark(run: Path) -> str:
    if not (run / "result.json").exists():
        raise ValueError(f"{run} has no result.json: the run did not reach its end.")
    name = json.loads((run / "result.json").read_text())["benchmark"]
    if name not in ("decode-latency", *TRAINED):
        known = ", ".join(("decode-latency", *TRAINED))
        raise ValueError(f"{run} is of {name}, of which no records are kept: choose from {known}.")
    return name


def _rows(run: Path, name: str) -> list[dict]:
    return read_jsonl(run / f"{name}.jsonl")


def main(argv: list[str] | None = None) -> int:
    """Write a record of the runs that the command line names, and print its file.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m gqa_lib.records.keep",
        description="Make a record of runs of decode-latency, quality or uptraining.",
    )
    parser.add_argument("run", nargs="+", type=Path, help="folder that `gqa bench` reports")
    try:
        print(keep(parser.parse_args(argv).run))
    except (ValueError, OSError) as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

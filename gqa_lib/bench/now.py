"""Runs benchmarks now, one after another, whatever was run before; for `gqa bench NAME`."""

import json
import sys
from pathlib import Path

from gqa_lib.course.extras import require

from .jobs import last_line
from .notebooks import benchmarks, check_params, find_benchmark, parse_assignments
from .run import run_one

_NEEDED = ("papermill", "ipykernel", "matplotlib", "psutil")


def main(
    names: list[str],
    assignments: list[str],
    out: Path,
    timeout_s: float | None,
    *,
    as_json: bool = False,
) -> int:
    """Run the named benchmarks, or all, and report where the results are; for `gqa bench`.

    Args:
        names: of benchmarks; none is all of them.
        assignments: parameters, each as `name=value`.
        out: the folder for results.
        timeout_s: seconds that each benchmark may take; None is without a limit.
        as_json: print the records as a JSON list, and nothing else.

    Raises:
        ValueError: a benchmark or parameter does not exist, or a value cannot be measured with.
    """
    chosen = find_benchmarks(names)
    params = parse_assignments(assignments)
    if "out_dir" in params:
        raise ValueError("each run gets a folder of its own in --out: give --out, not out_dir.")
    for notebook in chosen:
        check_params(notebook, params)
    for module in _NEEDED:
        require(module)
    records = []
    for notebook in chosen:
        if not as_json:
            print(f"{notebook.stem}: running ...", flush=True)
        records.append(run_one(notebook, params, out, timeout_s=timeout_s, waits=_waits))
        if not as_json:
            print(f"{notebook.stem}: {_report(records[-1], out)}", flush=True)
    if as_json:
        print(json.dumps(records, indent=1))
    return int(any(record["status"] != "ok" for record in records))


def find_benchmarks(names: list[str]) -> list[Path]:
    """Return the notebooks of the named benchmarks, or of all.

    Raises:
        ValueError: there is no benchmark of such a name.
    """
    return [find_benchmark(name) for name in dict.fromkeys(names) or benchmarks()]


def _waits() -> None:
    said = "  it waits until other runs on this machine have ended, as one of them or it times"
    print(said, file=sys.stderr, flush=True)


def _report(record: dict, out: Path) -> str:
    folder = out / record["folder"]
    if record["status"] != "ok":
        return f"{record['status']}: {last_line(record['error'])}\n  see {folder}"
    lines = [f"done in {record['wall_s']:.0f} s. {record['result'].get('finding', '')}"]
    lines += [f"  {folder / name}" for name in ("executed.ipynb", "samples.jsonl")]
    return "\n".join(lines)

"""Runs benchmark notebooks: one run, one child process, one folder, one record written last.

papermill executes the notebook; what it leaves to others is here: parameters are checked before
anything runs, a run can time out or be stopped with all its processes, and how it ended is read
from our own record, never from the notebook (after a kernel was killed papermill calls every cell
completed).
"""

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gqa_lib.course.extras import require
from gqa_lib.processes import end_tree, stopping

from .inside import commit
from .notebooks import benchmarks, check_params, parse_assignments
from .paths import clean, without_paths

LOOK_S = 0.2  # how often the clock is looked at while a run goes on
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
        records.append(run_one(notebook, params, out, timeout_s=timeout_s))
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
    known = benchmarks()
    for name in names:
        if name not in known:
            raise ValueError(f"there is no benchmark {name!r}. There are {', '.join(known)}.")
    return [known[name] for name in dict.fromkeys(names) or known]


def run_one(
    notebook: Path,
    params: dict,
    out: Path,
    *,
    timeout_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict:
    """Run one notebook in a process of its own and return its record.

    A run that fails is a record with status "error", "timeout" or "killed" (its process), not an
    exception. One that a signal or Ctrl-C stops leaves a record with status "interrupted", and the
    exception goes on. Each run has a folder of its own, `out/NAME-HASH-TIME`, with record.json,
    samples.jsonl and the executed notebook; the hash is of the notebook and its parameters. None
    of them names a folder of this machine: the record's "folder" is a name in `out`.

    Args:
        notebook: the benchmark notebook.
        params: values for its parameters.
        out: where the run's folder goes.
        timeout_s: seconds after which the run and all it started is ended.
        clock: seconds, increasing; by it a run takes too long.

    Raises:
        ValueError: a parameter does not exist or cannot be measured with.
    """
    check_params(notebook, params)
    started, began = time.time(), clock()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started)) + f".{started % 1:.6f}"[2:]
    folder = out.resolve() / f"{notebook.stem}-{_digest(notebook, params)}-{stamp}"
    folder.mkdir(parents=True)
    record: dict[str, Any] = {"benchmark": notebook.stem, "params": params}

    def ended(status: str, error: str | None) -> dict:
        clean(folder)
        result = folder / "result.json"
        if status == "ok" and not result.exists():
            status, error = "error", "the notebook ended without writing its result"
        record.update(status=status, error=error, started_at=started)
        record.update(wall_s=round(clock() - began, 3), folder=folder.name)
        record["result"] = json.loads(result.read_text()) if status == "ok" else None
        kept = without_paths(record)
        commit(folder / "record.json", kept)
        return kept

    try:
        with stopping():
            status, error = _run_child(notebook, params, folder, timeout_s, clock)
    except BaseException as stop:
        ended("interrupted", f"stopped by {str(stop) or type(stop).__name__}")
        raise
    return ended(status, error)


def _digest(notebook: Path, params: dict) -> str:
    content = notebook.read_bytes() + json.dumps(params, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def _run_child(notebook, params, folder, timeout_s, clock) -> tuple[str, str | None]:
    """Run the notebook in a child process; return its status and error."""
    request = json.dumps([str(notebook), params, str(folder), os.getpid()])
    with (folder / "log.txt").open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "gqa_lib.bench", request],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for this process, which ends the others
        )
        try:
            code = _wait(child, timeout_s, clock)
        except subprocess.TimeoutExpired:
            return "timeout", f"not done after {timeout_s:g} s"
        finally:
            if child.poll() is None:
                end_tree(child.pid)
                child.wait()
    if code == 0:
        return "ok", None
    if code < 0:
        return "killed", f"ended by signal {-code}"
    return "error", _why(folder)


def _why(folder: Path) -> str | None:
    """What a run that failed left to read: its error, or else the last that it printed."""
    for name in ("error.txt", "log.txt"):
        path = folder / name
        if path.exists() and (text := path.read_text(errors="replace").strip()):
            return text[-2000:]
    return None


def _wait(child: subprocess.Popen, timeout_s: float | None, clock: Callable[[], float]) -> int:
    """Return a child's exit code; like `Popen.wait`, by a clock of our own."""
    end = math.inf if timeout_s is None else clock() + timeout_s
    while clock() < end:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(LOOK_S)
    raise subprocess.TimeoutExpired(child.args, timeout_s or math.inf)


def _report(record: dict, out: Path) -> str:
    folder = out / record["folder"]
    if record["status"] != "ok":
        reason = (record["error"] or "").strip().splitlines()
        return f"{record['status']}: {reason[-1] if reason else 'no reason given'}\n  see {folder}"
    lines = [f"done in {record['wall_s']:.0f} s. {record['result'].get('finding', '')}"]
    lines += [f"  {folder / name}" for name in ("executed.ipynb", "samples.jsonl")]
    return "\n".join(lines)

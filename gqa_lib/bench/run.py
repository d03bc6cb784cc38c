"""Runs benchmark notebooks: one run, one child process, one folder, one record written last.

papermill executes the notebook; what it leaves to others is here: parameters are checked before
anything runs, a run can time out with all its processes, and how it ended is read from our own
record, never from the notebook (after a kernel was killed papermill calls every cell completed).
"""

import hashlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .inside import commit
from .notebooks import benchmarks, check_params, parse_assignment

LOOK_S = 0.2  # how often the clock is looked at while a run goes on


def main(names: list[str], assignments: list[str], out: Path, timeout_s: float | None) -> int:
    """Run the named benchmarks, or all, and report where the results are; for `gqa bench`.

    Args:
        names: of benchmarks; none is all of them.
        assignments: parameters, each as `name=value`.
        out: the folder for results.
        timeout_s: seconds that each benchmark may take; None is without a limit.

    Raises:
        ValueError: a benchmark or parameter does not exist, or a value has the wrong type.
    """
    known = benchmarks()
    for name in names:
        if name not in known:
            raise ValueError(f"there is no benchmark {name!r}. There are {', '.join(known)}.")
    params = dict(parse_assignment(text) for text in assignments)
    chosen = [known[name] for name in names or known]
    for notebook in chosen:
        check_params(notebook, params)
    failures = 0
    for notebook in chosen:
        print(f"{notebook.stem}: running ...", flush=True)
        record = run_one(notebook, params, out, timeout_s=timeout_s)
        failures += record["status"] != "ok"
        print(f"{notebook.stem}: {_report(record)}", flush=True)
    return min(failures, 1)


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
    exception. Each run has a folder of its own, `out/NAME-HASH-TIME`, with record.json,
    samples.jsonl and the executed notebook; the hash is of the notebook and its parameters.

    Args:
        notebook: the benchmark notebook.
        params: values for its parameters.
        out: where the run's folder goes.
        timeout_s: seconds after which the run and all it started is ended.
        clock: seconds, increasing; by it a run takes too long.

    Raises:
        ValueError: a parameter does not exist or has the wrong type.
    """
    check_params(notebook, params)
    started, began = time.time(), clock()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started)) + f".{started % 1:.6f}"[2:]
    folder = out.resolve() / f"{notebook.stem}-{_digest(notebook, params)}-{stamp}"
    folder.mkdir(parents=True)
    status, error = _run_child(notebook, params, folder, timeout_s, clock)
    result = folder / "result.json"
    if status == "ok" and not result.exists():
        status, error = "error", "the notebook ended without writing its result"
    record = {
        "benchmark": notebook.stem,
        "params": params,
        "status": status,
        "error": error,
        "started_at": started,
        "wall_s": round(clock() - began, 3),
        "folder": str(folder),
        "result": json.loads(result.read_text()) if status == "ok" else None,
    }
    commit(folder / "record.json", record)
    return record


def _digest(notebook: Path, params: dict) -> str:
    content = notebook.read_bytes() + json.dumps(params, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def _run_child(notebook, params, folder, timeout_s, clock) -> tuple[str, str | None]:
    """Run the notebook in a child process; return its status and error."""
    request = json.dumps([str(notebook), params, str(folder)])
    with (folder / "log.txt").open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "gqa_lib.bench", request],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            code = _wait(child, timeout_s, clock)
        except subprocess.TimeoutExpired:
            _kill_tree(child.pid)
            child.wait()
            return "timeout", f"not done after {timeout_s:g} s"
        except BaseException:
            _kill_tree(child.pid)
            raise
    if code == 0:
        return "ok", None
    if code < 0:
        return "killed", f"ended by signal {-code}"
    return "error", (folder / "error.txt").read_text() if (folder / "error.txt").exists() else None


def _wait(child: subprocess.Popen, timeout_s: float | None, clock: Callable[[], float]) -> int:
    """Return a child's exit code; like `Popen.wait`, by a clock of our own."""
    end = math.inf if timeout_s is None else clock() + timeout_s
    while clock() < end:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(LOOK_S)
    raise subprocess.TimeoutExpired(child.args, timeout_s or math.inf)


def _kill_tree(pid: int) -> None:
    """End a process and all it started: a kernel runs in a session of its own."""
    import psutil

    for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
        try:
            process.kill()
        except psutil.Error:
            continue


def _report(record: dict) -> str:
    if record["status"] != "ok":
        reason = (record["error"] or "").strip().splitlines()
        return f"{record['status']}: {reason[-1] if reason else ''}\n  see {record['folder']}"
    lines = [f"done in {record['wall_s']:.0f} s. {record['result'].get('finding', '')}"]
    lines += [f"  {record['folder']}/{name}" for name in ("executed.ipynb", "samples.jsonl")]
    return "\n".join(lines)

"""Sweeps in which a worker and then the command that runs them are killed, and what is left.

    python tests/helpers/deaths.py [--dask] [--runs 24] [--kernels]

prints the table for a sweep of so many notebooks; tests do it with fewer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from toys import toy

from gqa_lib.course.places import package_root

QUICK = Path(__file__).parent / "quick"
PATIENCE_S = 600
MARK = "GQA_TEST_OF_DEATHS"
CODE = """\
import pathlib, time
with open({told!r}, "a") as told:
    told.write(f"{{size}}\\n")
time.sleep(0.4)
"""


@dataclass
class Deaths:
    """What became of a sweep.

    Attributes:
        when_killed: records that there were when the command was killed.
        later: records there were some seconds later.
        left_running: processes of the sweep that went on then.
        results: records in the end, by how often each point is there.
        executions: how many runs began.
        again_s: seconds that the command took which finished it.
    """

    when_killed: int
    later: int
    left_running: int
    results: Counter[str]
    executions: int
    again_s: float


def sweep_with_deaths(
    folder: Path,
    engine: list[str],
    *,
    runs: int,
    worker_at: int,
    command_at: int,
    wait_s: float,
    kernels: bool = False,
) -> Deaths:
    """Run a sweep, kill a worker and the command at numbers of records, and run it again.

    Args:
        folder: for everything.
        engine: options that choose one.
        runs: notebooks.
        worker_at, command_at: records there are at the death of each.
        wait_s: how long what may be left is waited for.
        kernels: whether notebooks run in a kernel, as they do for users.
    """
    notebook, out = (
        toy(folder / "toy.ipynb", CODE.format(told=str(folder / "told"))),
        folder / "out",
    )
    sizes = ",".join(map(str, range(1, runs + 1)))
    command = [sys.executable, "-m", "gqa_lib.cli", "bench", "run", str(notebook)]
    command += ["--grid", f"size={sizes}", "--out", str(out), "--slots", "2", *engine]
    (folder / "tmp").mkdir()
    paths = [str(package_root().parent)] if kernels else [str(QUICK), str(package_root().parent)]
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), MARK: str(folder)}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    if not kernels:
        environment |= _two_gpus(folder / "bin")  # to tell of a CPU takes torch, which is slow
    with (folder / "log").open("w") as log:
        how: dict[str, Any] = {"stdout": log, "stderr": log, "env": environment}
        first = subprocess.Popen(command, **how)
        try:
            _until(lambda: len(records(out)) >= worker_at)
            _worker(first.pid).kill()
            _until(lambda: len(records(out)) >= command_at)
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait()
        when_killed = len(records(out))
        _until(lambda: not marked(folder), wait_s)
        later, left = len(records(out)), marked(folder)
        began = time.monotonic()
        subprocess.run(command, check=True, timeout=PATIENCE_S, **how)
    return Deaths(
        when_killed,
        later,
        len(left),
        Counter(record["point"] for record in records(out)),
        len((folder / "told").read_text().split()),
        time.monotonic() - began,
    )


def _two_gpus(tools: Path) -> dict[str, str]:
    """An environment of a machine with two GPUs of one kind, which nobody uses."""
    tools.mkdir()
    told = [f"echo {number}, GPU-{number}, Some GPU" for number in range(2)]
    (tools / "nvidia-smi").write_text("\n".join(["#!/bin/sh", *told, ""]))
    (tools / "nvidia-smi").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"CUDA_VISIBLE_DEVICES": "0,1", "PATH": path}


def records(out: Path) -> list[dict]:
    """Return the records of runs that have a result.

    Args:
        out: the sweep's folder.
    """
    found = []
    for path in out.glob("*/record.json"):
        with suppress(OSError):
            found.append(json.loads(path.read_text()))
    return [record for record in found if record["status"] == "ok"]


def marked(folder: Path) -> list[psutil.Process]:
    """Return the processes of a sweep that are there.

    Args:
        folder: of the sweep.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ended = process.status() == psutil.STATUS_ZOMBIE
            if not ended and process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def _worker(command: int) -> psutil.Process:
    """A process below the command that runs a notebook, or has one do it."""
    while True:
        for process in psutil.Process(command).children(recursive=True):
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if "-m gqa_lib.bench" in line:
                    above = process.parent()
                    return process if above is None or above.pid == command else above
        time.sleep(0.01)


def _until(condition, patience_s: float = PATIENCE_S) -> None:
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up and not condition():
        time.sleep(0.02)


if __name__ == "__main__":
    import argparse
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--kernels", action="store_true")
    asked, engine = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        number = asked.runs
        died = sweep_with_deaths(
            Path(name),
            engine,
            runs=number,
            worker_at=number // 3,
            command_at=number * 7 // 12,
            wait_s=10,
            kernels=asked.kernels,
        )
        print((Path(name) / "log").read_text())
    print(
        f"{' '.join(engine) or 'local'}: {died.when_killed} records when the command was killed, "
        f"{died.later} later, {died.left_running} processes left running; in the end "
        f"{len(died.results)} results, {sum(n > 1 for n in died.results.values())} twice, "
        f"{died.executions} executions for {number}, {died.again_s:.0f} s for the second command"
    )

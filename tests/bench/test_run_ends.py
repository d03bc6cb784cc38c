"""A run that somebody ends: nothing that it started goes on, and nothing looks finished."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import nbformat
import psutil
import pytest
from waiting import PATIENCE_S, until

from gqa_lib import bench
from gqa_lib.processes import ENDINGS, Stopped, stopping
from grading.authoring.source import KERNEL

COMPUTING = "sum(range(10**15))"  # in C, and Python's lock with it
WAITING = "import time; time.sleep(4321)"
RUN = """\
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, wherever tests run
if hasattr(signal, "SIGHUP"):  # which nohup has ignored
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
from gqa_lib.bench import notebooks
from gqa_lib.cli import main
notebooks.benchmarks = lambda: {"toy": Path(sys.argv[1])}
print("ready", flush=True)
sys.exit(main(["bench", "toy", "--out", sys.argv[2]]))
"""


def gone(pid):
    """Wait until a process is gone, or is but an entry that nobody has taken note of."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def begun(tmp_path):
    """Return a function that starts `gqa bench` on a notebook that never ends by itself.

    It returns the command's process, once the notebook runs, and the numbers of all others.
    """
    started = []

    def begin(code):
        told, notebook = tmp_path / "told", tmp_path / "toy.ipynb"
        first = (
            "import os, pathlib, subprocess\n"
            "also = subprocess.Popen(['sleep', '4321'])\n"
            f"part = pathlib.Path({str(told)!r} + '.part')\n"
            "part.write_text(f'{os.getpid()} {also.pid}')\n"
            f"part.rename({str(told)!r})\n"
        )
        parameters = nbformat.v4.new_code_cell(
            'out_dir: str = "runs"', metadata={"tags": ["parameters"]}
        )
        cells = [parameters, nbformat.v4.new_code_cell(first + code)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), str(notebook))
        command = [sys.executable, "-c", RUN, str(notebook), str(tmp_path / "out")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        kernel, also = map(int, until(lambda: told.exists() and told.read_text().split()))
        below = [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
        assert {kernel, also} <= set(below)
        started.extend(map(psutil.Process, below))
        return process, [kernel, also, *below]

    yield begin
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        process.wait()


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_ends_all_of_a_run_and_leaves_a_record(number, begun, tmp_path):
    process, others = begun(COMPUTING)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert said.decode() == f"gqa: stopped by {number.name}\n"
    assert all(map(gone, others))
    (folder,) = (tmp_path / "out").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert (record["status"], record["result"]) == ("interrupted", None)
    assert record["error"] == f"stopped by {number.name}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system sends it on Linux")
@pytest.mark.parametrize("code", [COMPUTING, WAITING], ids=["computing", "waiting"])
def test_a_killed_command_leaves_nothing_running(code, begun):
    process, others = begun(code)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert all(map(gone, others))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system sends it on Linux")
def test_a_killed_runner_takes_all_it_started_along_and_is_a_record(begun, tmp_path):
    process, others = begun(COMPUTING)
    (runner,) = psutil.Process(process.pid).children()
    runner.kill()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert all(map(gone, others))
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "record.json").read_text())["status"] == "killed"


def test_what_a_notebook_leaves_running_ends_with_it(tmp_path):
    told = tmp_path / "told"
    code = (
        "import pathlib, subprocess\n"
        "also = subprocess.Popen(['sleep', '4321'], start_new_session=True)\n"
        f"pathlib.Path({str(told)!r}).write_text(str(also.pid))\n"
        "pathlib.Path(out_dir, 'result.json').write_text('{}')"
    )
    cells = [
        nbformat.v4.new_code_cell('out_dir: str = "runs"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(code),
    ]
    path = tmp_path / "toy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), str(path))
    assert bench.run_one(path, {}, tmp_path / "out")["status"] == "ok"
    if sys.platform.startswith("linux"):
        assert gone(int(told.read_text()))


def test_signals_are_raised_within_and_as_before_without():
    before = {number: signal.getsignal(number) for number in ENDINGS}
    with pytest.raises(Stopped, match="SIGTERM") as stopped, stopping():
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.number == signal.SIGTERM
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert {number: signal.getsignal(number) for number in ENDINGS} == before


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch):
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, handler)


def test_a_process_whose_parent_is_gone_already_ends():
    code = (
        "import os, signal\nfrom gqa_lib.processes import end_with\n"
        f"end_with({os.getpid()} + 1, signal.SIGTERM)\nimport time; time.sleep({PATIENCE_S})"
    )
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -signal.SIGTERM


def test_where_the_system_sends_no_signal_a_thread_looks(tmp_path):
    told = tmp_path / "told"
    child = (
        "import os, pathlib, time\nfrom gqa_lib import processes\n"
        "processes._linux = lambda: False\nprocesses.end_with(os.getppid())\n"
        f"pathlib.Path({str(told)!r}).write_text(str(os.getpid()))\ntime.sleep(4321)"
    )
    parent = (
        "import pathlib, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"while not pathlib.Path({str(told)!r}).exists(): time.sleep(0.05)"
    )
    subprocess.run([sys.executable, "-c", parent], check=True)
    assert gone(int(until(lambda: told.exists() and told.read_text())))


# Nothing looks finished that is not


def test_a_second_run_into_a_folder_begins_without_the_first_ones_result(tmp_path):
    run = bench.begin("toy", str(tmp_path), dtype="float32", device="cpu")
    run.keep([{"kind": "sample", "value": 1.0}])
    run.end("done", rows=[])
    (tmp_path / "record.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    bench.begin("toy", str(tmp_path), dtype="float32", device="cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["environment.jsonl", "notes.txt"]

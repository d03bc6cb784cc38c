"""Sweeps on Slurm, a real one of one node: nothing is lost, and nothing is done twice."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from slurming import needs_slurm, slurm
from toys import toy
from waiting import until

from gqa_lib.bench.jobs import Job
from gqa_lib.bench.sweeps.engines import slurm_commands as commands
from gqa_lib.bench.sweeps.engines.lost import superseded
from gqa_lib.bench.sweeps.engines.slurm import run_slurm
from gqa_lib.bench.sweeps.engines.slurm_scripts import scripts
from gqa_lib.bench.sweeps.live import Progress
from gqa_lib.cli import main
from gqa_lib.course.places import package_root
from gqa_lib.processes import Stopped

QUICK = Path(__file__).parent.parent / "helpers" / "quick"
TELL = """\
import os, pathlib, signal, time
here = pathlib.Path({folder!r})
with open(here / "told", "a") as told:
    told.write(f"{{size}}\\n")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm")) as conf:
        yield conf


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An environment whose runs need no kernel, and wait for no other tests' runs."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("PYTHONPATH", f"{QUICK}:{package_root().parent}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # to tell of a CPU takes torch, which is slow
    return tmp_path


@pytest.fixture
def on_slurm(cluster, here, monkeypatch):
    """Return a function that runs a notebook for some sizes and returns the records by size."""
    monkeypatch.setenv("SLURM_CONF", str(cluster))

    def sweep(notebook, sizes, showing=lambda runs: None, **how):
        jobs = [Job(str(notebook), {"size": size}) for size in sizes]
        with Progress(jobs, slots=2, quiet=True) as progress:
            progress.running = showing
            run_slurm(jobs, here / "out", progress, look_s=0.2, patience_s=1.5, **how)
        superseded(here / "out", progress.records)
        return {record["params"]["size"]: record for record in progress.records}

    return sweep


def records(out):
    found = [json.loads(path.read_text()) for path in out.glob("*/record.json")]
    return sorted((one["params"]["size"], one["status"]) for one in found)


def told(folder):
    return sorted((folder / "told").read_text().split())


@needs_slurm
def test_a_failure_and_a_killed_task_are_records_and_only_the_latter_is_repeated(on_slurm, here):
    code = TELL.format(folder=str(here)) + (
        "assert size != 2, 'two is too many'\n"
        "mark = here / 'mark'\n"
        "if size == 3 and not mark.exists():\n"
        "    mark.touch()\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "    time.sleep(4321)\n"
    )
    notebook = toy(here / "toy.ipynb", code)
    found = on_slurm(notebook, [1, 2, 3, 4])
    ends = {size: one["status"] for size, one in found.items()}
    assert ends == {1: "ok", 2: "error", 3: "killed", 4: "ok"}
    assert "two is too many" in found[2]["error"]
    assert "Slurm ended the task: FAILED" in found[3]["error"]
    assert records(here / "out") == sorted(ends.items())
    logs = list((here / "out" / ".slurm").glob("gqa-*.log"))
    assert len(logs) == 4

    found = on_slurm(notebook, [1, 2, 3, 4])
    assert found[3]["status"] == "ok"
    assert [size for size, one in sorted(found.items()) if one.get("cached")] == [1, 2, 4]
    assert records(here / "out") == [(1, "ok"), (2, "error"), (3, "ok"), (4, "ok")]
    assert len(list((here / "out" / ".slurm").glob("*.sh"))) == 2

    found = on_slurm(notebook, [1, 2, 3, 4])
    assert all(one["cached"] for one in found.values())
    assert len(list((here / "out" / ".slurm").glob("*.sh"))) == 2  # nothing was submitted
    assert told(here) == ["1", "2", "3", "3", "4"]


DRIVER = """\
import sys
from gqa_lib.cli import main
sys.exit(main(["bench", "run", sys.argv[1], "--grid", "size=1,2,3", "--out", sys.argv[2],
               "--slurm", "--slots", "2", "--sbatch", "comment=it's mine"]))
"""


@needs_slurm
def test_a_second_command_follows_what_a_killed_one_left_in_the_queue(on_slurm, here):
    code = TELL.format(folder=str(here)) + "while not (here / 'go').exists(): time.sleep(0.05)"
    notebook = toy(here / "toy.ipynb", code)
    command = [sys.executable, "-c", DRIVER, str(notebook), str(here / "out")]
    first = subprocess.Popen(command)
    try:
        until(lambda: (here / "told").exists() and len(told(here)) == 2)
    finally:
        first.kill()
        first.wait()
    assert records(here / "out") == []

    shown = []

    def showing(runs):
        shown.append(sorted(job.params["size"] for job, _ in runs))
        (here / "go").touch()

    found = on_slurm(notebook, [1, 2, 3], showing, options=["comment=it's mine"])
    assert {size: one["status"] for size, one in found.items()} == {1: "ok", 2: "ok", 3: "ok"}
    assert shown[0] == [1, 2]
    assert len(list((here / "out" / ".slurm").glob("*.sh"))) == 1
    assert told(here) == ["1", "2", "3"]


@needs_slurm
def test_ctrl_c_cancels_the_tasks_and_what_ran_is_a_record(on_slurm, here):
    code = TELL.format(folder=str(here)) + "time.sleep(4321)"
    notebook = toy(here / "toy.ipynb", code)

    pressed = []

    def showing(runs):
        if not pressed and (here / "told").exists() and len(told(here)) == 2:
            pressed.append(runs)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_slurm(notebook, [1, 2, 3], showing)
    assert records(here / "out") == [(1, "interrupted"), (2, "interrupted")]
    (array,) = (path.stem for path in (here / "out" / ".slurm").glob("*.sh"))
    assert all(task.ended for task in commands.queue([array]).values())


@needs_slurm
def test_a_node_without_the_folder_says_so(on_slurm, here):
    """Its tasks wait until their list is gone."""
    released = []

    def showing(runs):
        for path in (here / "out" / ".slurm").glob("*.jsonl"):
            path.unlink()
            option = f"--name={path.stem}"
            ids = subprocess.run(
                ["squeue", "--noheader", "--format=%A", option], capture_output=True, text=True
            )
            released.append(ids.stdout)
            subprocess.run(["scontrol", "release", *ids.stdout.split()], check=True)

    found = on_slurm(toy(here / "toy.ipynb"), [1], showing, options=["hold"])
    assert found[1]["status"] == "killed"
    assert "does not have the folder for results" in found[1]["error"]
    assert len(released) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_is_not_ctrl_c_leaves_the_tasks(number, here, monkeypatch):
    said = []
    monkeypatch.setattr(commands, "need_slurm", lambda: None)
    monkeypatch.setattr(commands, "submit", lambda *_: said.append("submit"))
    monkeypatch.setattr(commands, "cancel", lambda _: said.append("cancel"))
    monkeypatch.setattr(commands, "queue", lambda _: {})
    jobs = [Job(str(toy(here / "toy.ipynb")))]
    progress = Progress(jobs, slots=1, quiet=True)
    progress.running = lambda _: signal.raise_signal(number)
    with pytest.raises(Stopped):
        run_slurm(jobs, here / "out", progress)
    assert said == ["submit"]


def test_if_slurm_refuses_an_array_none_stays_in_the_queue(jobs, here, monkeypatch):
    arrays = []

    def submit(path, *_):
        arrays.append(Path(path).stem)
        if len(arrays) == 2:
            raise ValueError("too many")
        return "7"

    cancelled = []
    monkeypatch.setattr(commands, "need_slurm", lambda: None)
    monkeypatch.setattr(commands, "submit", submit)
    monkeypatch.setattr(commands, "cancel", cancelled.extend)
    monkeypatch.setattr(commands, "queue", lambda _: {})
    with pytest.raises(ValueError, match="too many"):
        run_slurm(jobs, here / "out", Progress(jobs, slots=1, quiet=True))
    assert sorted(cancelled) == sorted(arrays)


# Scripts, options, answers


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "max_array_size", lambda: 3)
    plain, timed = toy(tmp_path / "plain.ipynb"), toy(tmp_path / "timed.ipynb", times=True)
    return [Job(str(one), {"size": n}) for one in (plain, timed) for n in range(1, 5)]


def test_those_that_time_have_a_node_for_themselves_and_arrays_are_split(jobs, tmp_path):
    found = scripts(jobs, tmp_path / "out", ["gres=gpu:1"], 2)
    arrays = [next(line for line in one.splitlines() if "--array" in line) for one in found]
    assert arrays == [f"#SBATCH --array=0-{last}%2" for last in (2, 0, 2, 0)]
    assert ["--exclusive" in one for one in found] == [False, False, True, True]
    assert all("#SBATCH --gres=gpu:1\n" in one for one in found)


def test_what_is_passed_on_is_quoted(jobs, tmp_path):
    (script,) = scripts(jobs[:1], tmp_path / "it's $HOME", ["comment=a b; 'c'"])
    lines = script.splitlines()
    assert "#SBATCH '--comment=a b; '\"'\"'c'\"'\"''" in lines
    assert not any(line.startswith("touch") for line in lines)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == commands.NO_FOLDER  # and not a syntax error


@pytest.mark.parametrize(
    "option", ["array=0-9", "-a0-9", "--output=x", "wrap=x", "x\ntouch y", "", "--"]
)
def test_options_that_would_break_the_array_are_refused(option, jobs, tmp_path):
    with pytest.raises(ValueError, match="--sbatch"):
        scripts(jobs, tmp_path, [option])


def test_what_squeue_prints_is_read():
    read = commands.read_queue(
        "gqa-1|0|RUNNING|1-02:03:04|None\ngqa-1|1|PENDING|0:00|Resources\n"
        "gqa-1|2|TIMEOUT|3:04|TimeLimit\nother|N/A|RUNNING|INVALID|None\n"
    )
    assert [task.seconds for task in read.values()] == [93784, 0, 184]
    assert [task.ended for task in read.values()] == [False, False, True]
    assert [task.began for task in read.values()] == [True, False, True]


def test_without_slurm_the_command_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    notebook = str(toy(tmp_path / "toy.ipynb"))
    assert main(["bench", "run", notebook, "--slurm", "--out", str(tmp_path / "out")]) == 1
    assert "there is no sbatch here" in capsys.readouterr().err
    assert main(["bench", "run", notebook, "--sbatch", "partition=gpu"]) == 1
    assert "add --slurm" in capsys.readouterr().err
    assert main(["bench", "run", notebook, "--slurm", "--dry-run", "--sbatch", "time=60"]) == 0
    assert "#SBATCH --time=60\n" in capsys.readouterr().out

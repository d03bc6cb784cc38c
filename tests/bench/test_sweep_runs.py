"""Sweeps on this machine: nothing is lost, nothing is done twice, and those that time are alone."""

import io
import json

import pytest
from toys import Instantly, toy

from gqa_lib.bench import jobs, machine, run
from gqa_lib.bench.jobs import Job
from gqa_lib.bench.machine import Place, Slot
from gqa_lib.bench.run import Turn, run_job
from gqa_lib.bench.sweeps.engines.local import run_local
from gqa_lib.bench.sweeps.live import Progress
from gqa_lib.cli import main


def records(out):
    return [json.loads(path.read_text()) for path in sorted(out.glob("*/record.json"))]


def test_a_sweep_goes_on_after_a_failure_and_does_nothing_twice(tmp_path, capsys):
    notebook = toy(tmp_path / "toy.ipynb", "assert size != 2, 'two is too many'")
    out = tmp_path / "{out}"  # papermill would fill in what is in braces
    command = ["bench", "run", str(notebook), "--grid", "size=1,2,3", "--out", str(out)]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "two is too many" in said
    assert "2 of 3 done, 1 error." in said
    found = {record["params"]["size"]: record for record in records(out)}
    assert {size: one["status"] for size, one in found.items()} == {1: "ok", 2: "error", 3: "ok"}
    assert found[1]["result"]["finding"] == "size 1"
    assert found[2]["error"].endswith("two is too many")
    assert len({one["point"] for one in found.values()}) == 3
    assert json.loads((out / "sweep.json").read_text())["runs"][0]["grid"] == {"size": [1, 2, 3]}

    assert main([*command, "--json"]) == 1  # and nothing runs
    again = json.loads(capsys.readouterr().out)
    assert all(one["cached"] for one in again)
    assert {one["result"]["pid"] for one in again if one["result"]} == {
        one["result"]["pid"] for one in found.values() if one["result"]
    }
    toy(notebook)  # which is another notebook
    assert main([*command[:-4], "--grid", "size=2", "--out", str(out)]) == 0
    assert len(records(out)) == 4


TELL = """\
import time
with open({told!r}, "a") as told:
    told.write("+\\n"); told.flush(); time.sleep(0.5); told.write("-\\n")
"""


def most_at_a_time(told):
    there = most = 0
    for line in told.read_text().split():
        there += 1 if line == "+" else -1
        most = max(most, there)
    return most


def test_those_that_time_come_last_and_alone(tmp_path):
    told = tmp_path / "told"
    timed = toy(tmp_path / "timed.ipynb", TELL.format(told=str(told)), times=True)
    other = toy(tmp_path / "other.ipynb")
    jobs = [Job(str(timed), {"size": 1}), Job(str(other)), Job(str(timed), {"size": 2})]
    with Progress(jobs, slots=2, quiet=True) as report:
        run_local(jobs, tmp_path / "out", report, slots=[Slot(), Slot()])
    assert [(one["benchmark"], one["status"]) for one in report.records] == [
        ("other", "ok"),
        ("timed", "ok"),
        ("timed", "ok"),
    ]
    assert most_at_a_time(told) == 1


def test_a_run_sees_its_slot_alone(tmp_path):
    code = "kinds = [os.environ['CUDA_VISIBLE_DEVICES'], sorted(os.sched_getaffinity(0))]"
    code = f"import os; {code}; print('I see', kinds)"
    job = Job(str(toy(tmp_path / "toy.ipynb", code)))
    cores = machine._cores()[:1]
    record = run_job(job, tmp_path, slot=Slot(gpu="3", cores=tuple(cores)))
    assert record["status"] == "ok"
    executed = (tmp_path / record["folder"] / "executed.ipynb").read_text()
    assert f"I see ['3', {cores}]" in executed


def test_a_run_that_somebody_kills_is_tried_once_more(tmp_path):
    """The first attempt waits for ever, the second ends."""
    mark = tmp_path / "mark"
    code = (
        "import pathlib, time\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "first = not mark.exists()\n"
        "mark.touch()\n"
        "time.sleep(4321 if first else 0)"
    )
    turn = Turn(Job(str(toy(tmp_path / "toy.ipynb", code))), tmp_path / "out")
    record = None
    while record is None:
        record = turn.step(0.05)
        if mark.exists() and turn._attempts == 1:
            turn._run._child.kill()
            while turn._attempts == 1:
                record = turn.step(0.05)
    assert (record["status"], record["attempts"]) == ("ok", 2)


def test_a_stopped_sweep_ends_its_runs_and_goes_on_later(tmp_path):
    mark = tmp_path / "mark"
    code = f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(4321)"
    job = Job(str(toy(tmp_path / "toy.ipynb", code)))
    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "out", stopped=mark.exists)
    (record,) = records(tmp_path / "out")
    assert record["status"] == "interrupted"
    toy(tmp_path / "toy.ipynb")
    assert run_job(job, tmp_path / "out")["status"] == "ok"


@pytest.mark.parametrize("busy", [False, True])
def test_a_run_that_has_to_wait_says_so_once(busy, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "Run", Instantly)
    timing = Place(alone=True)
    assert not busy or timing.take()
    said, asked = [], []
    turn = Turn(Job(str(toy(tmp_path / "toy.ipynb"))), tmp_path / "out")
    if busy:
        with pytest.raises(KeyboardInterrupt):
            turn.to_its_end(lambda: asked.append(1) or len(asked) > 2, lambda: said.append(1))
    else:
        assert turn.to_its_end(waits=lambda: said.append(1))["status"] == "ok"
    timing.leave()
    assert len(said) == busy


def test_other_sources_than_the_sweeps_are_refused(tmp_path):
    job = Job(str(toy(tmp_path / "toy.ipynb")), library="of yesterday")
    with pytest.raises(RuntimeError, match="of yesterday"):
        run_job(job, tmp_path)


class Edited:
    """A digest of sources that somebody edits."""

    def __init__(self, monkeypatch, *digests):
        self.digests = list(digests)
        for module in (jobs, run):
            monkeypatch.setattr(module, "library_now", self.now)
        monkeypatch.setattr(jobs, "library_digest", lambda: self.digests[0])

    def now(self):
        if len(self.digests) > 1:
            self.digests.pop(0)
        return self.digests[0]


def test_a_run_is_known_by_the_sources_that_were_there_when_it_began(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "Run", Instantly)
    Edited(monkeypatch, "of yesterday", "of today")
    turn = Turn(Job(str(toy(tmp_path / "toy.ipynb"))), tmp_path / "out")
    record = turn.to_its_end()
    assert (record["status"], record["key"]["library"]) == ("ok", "of today")
    notebook = toy(tmp_path / "toy.ipynb")
    turn = Turn(Job(str(notebook)), tmp_path / "out")
    toy(notebook, "1")  # while it waits
    again = turn.to_its_end()
    assert again["folder"] != record["folder"]
    assert again["key"]["notebook"] != record["key"]["notebook"]


def test_a_result_of_sources_that_changed_meanwhile_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "Run", Instantly)
    Edited(monkeypatch, "of now", "of now", "of then")
    job, out = Job(str(toy(tmp_path / "toy.ipynb"))), tmp_path / "out"
    record = Turn(job, out).to_its_end()
    assert (record["status"], record["result"]) == ("interrupted", None)
    assert "edited while this ran" in record["error"]
    assert Turn(job, out).to_its_end()["status"] == "ok"


# What is shown


def ended(job, report, wall_s, status="ok"):
    report.ended(job, {"benchmark": job.name, "status": status, "wall_s": wall_s, "error": None})


def test_the_time_left_is_told_from_what_runs_took(tmp_path):
    other, timed = toy(tmp_path / "other.ipynb"), toy(tmp_path / "timed.ipynb", times=True)
    jobs = [Job(str(one), {"size": n}) for one in (other, timed) for n in range(5)]
    report = Progress(jobs, slots=2, quiet=True, clock=lambda: 0.0)
    assert report.left_s() is None
    ended(jobs[0], report, 10.0)
    assert report.left_s() is None  # of what times nothing is known
    ended(jobs[5], report, 100.0)
    assert report.left_s() == 4 * 10 / 2 + 4 * 100
    report.running([(jobs[6], 30.0), (jobs[1], None)])
    assert report.left_s() == 4 * 10 / 2 + 4 * 100 - 30
    assert report.summary() == "2 of 10 done, 2 running, 0 s so far, about 6 min left"


@pytest.mark.parametrize("gone", [BrokenPipeError, SystemExit, OSError(28, "No space left")])
def test_a_sweep_goes_on_when_nobody_reads_what_it_says(gone, tmp_path, monkeypatch):
    def lost(*_, **__):
        raise gone

    monkeypatch.setattr("rich.console.Console.print", lost)
    jobs_ = [Job(str(toy(tmp_path / "toy.ipynb")), {"size": size}) for size in (1, 2)]
    report = Progress(jobs_, slots=1)
    for job in jobs_:
        ended(job, report, 1.0)
    assert len(report.records) == 2


def test_a_terminal_shows_a_table_of_what_runs(tmp_path, monkeypatch):
    from rich.console import Console

    jobs = [Job(str(toy(tmp_path / "toy.ipynb")), {"size": n}) for n in range(20)]
    report = Progress(jobs, slots=20, quiet=True)
    report.running([(job, 75.0) for job in jobs])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report._table())
    shown = console.export_text()
    assert "toy size=0" in shown
    assert "1 min" in shown
    assert "and 8 more" in shown
    assert "0 of 20 done, 20 running" in shown

"""Benchmark notebooks: what the runner refuses, how a run ends, what a notebook calls within."""

import json
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
import torch

from gqa_lib import bench
from gqa_lib.bench import inside
from gqa_lib.hardware import Hardware
from grading.authoring.source import KERNEL


@pytest.fixture
def notebook(tmp_path):
    """Return a function that makes a benchmark of the given code."""

    def make(code, parameters='size: int = 1  # help\nout_dir: str = "runs"'):
        cells = [
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(code),
        ]
        path = tmp_path / "toy.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), str(path))
        return path

    return make


WRITE = (
    "import json, pathlib\n"
    "pathlib.Path(out_dir, 'result.json').write_text(json.dumps({'finding': size}))"
)


def test_a_run_has_a_record_with_its_result(notebook, tmp_path):
    record = bench.run_one(notebook(WRITE), {"size": 7}, tmp_path)
    assert (record["status"], record["result"]) == ("ok", {"finding": 7})
    assert json.loads((tmp_path / record["folder"] / "record.json").read_text()) == record


def test_every_run_keeps_its_own_folder(notebook, tmp_path):
    path = notebook(WRITE)
    folders = {bench.run_one(path, {"size": n}, tmp_path)["folder"] for n in (1, 1)}
    assert len(folders) == 2


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("1 / 0", "error", "ZeroDivisionError"),
        ("raise SystemExit(0)", "error", ""),
        ("import os; os.kill(os.getpid(), 9)", "error", "died"),
        ("pass", "error", "without writing its result"),
    ],
)
def test_a_bad_end_is_a_record(code, status, said, notebook, tmp_path):
    record = bench.run_one(notebook(code), {}, tmp_path)
    assert record["status"] == status
    assert said in (record["error"] or "")
    assert record["result"] is None


def test_a_timeout_ends_everything_the_run_started(notebook, tmp_path):
    """By its clock the time is over once the notebook and what it started go on for ever."""
    told = tmp_path / "told"
    code = (
        "import os, pathlib, subprocess, time\n"
        "also = subprocess.Popen(['sleep', '4321'])\n"
        f"part = pathlib.Path({str(told)!r} + '.part')\n"
        "part.write_text(f'{os.getpid()} {also.pid}')\n"
        f"part.rename({str(told)!r})\n"
        "time.sleep(4321)"
    )
    record = bench.run_one(
        notebook(code), {}, tmp_path, timeout_s=8, clock=lambda: 9.0 if told.exists() else 0.0
    )
    assert (record["status"], record["error"]) == ("timeout", "not done after 8 s")
    assert record["wall_s"] == 9
    for pid in map(int, told.read_text().split()):
        assert ended(pid)


def ended(pid, patience_s=120):
    """Wait until a process is gone, or is but an entry that nobody has taken note of."""
    give_up = time.monotonic() + patience_s
    try:
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > give_up:
                return False
            time.sleep(0.05)
    except psutil.NoSuchProcess:
        pass
    return True


def test_a_run_in_time_is_not_stopped(notebook, tmp_path):
    record = bench.run_one(notebook(WRITE), {}, tmp_path, timeout_s=8, clock=lambda: 0.0)
    assert (record["status"], record["wall_s"]) == ("ok", 0)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"sise": 2}, "has no parameter 'sise': did you mean size\\? It has size=1"),
        ({"size": "two"}, "does not fit: its default is 1"),
        ({"size": True}, "does not fit"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(params, said, notebook, tmp_path):
    with pytest.raises(ValueError, match=said):
        bench.run_one(notebook("1 / 0"), params, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_list_parameter_takes_a_single_value(notebook):
    path = notebook("pass", "context: list = [4096]")
    bench.check_params(path, {"context": 16384})
    bench.check_params(path, {"context": [1, 2]})
    with pytest.raises(ValueError, match="does not fit"):
        bench.check_params(path, {"context": ["long"]})


def test_a_float_parameter_takes_a_whole_number(notebook):
    bench.check_params(notebook("pass", "memory_gib: float = 40.0"), {"memory_gib": 24})


# From within


def recorded(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_a_run_begins_with_an_empty_folder_and_its_environment(tmp_path):
    (tmp_path / "samples.jsonl").write_text("{}\n")
    (tmp_path / "notes.txt").write_text("mine")
    run = bench.begin("toy", str(tmp_path), dtype="bfloat16", device="cpu", seed=3)
    assert (str(run.device), run.dtype, run.folder) == ("cpu", torch.bfloat16, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["environment.jsonl", "notes.txt"]
    (about,) = recorded(tmp_path, "environment")
    assert about == run.environment
    assert about["device"] == "cpu"
    drawn = torch.rand(3)
    bench.begin("toy", str(tmp_path), dtype="float32", device="cpu", seed=3)
    assert torch.equal(torch.rand(3), drawn)


@pytest.mark.parametrize("dtype", ["float31", "nn"])
def test_a_dtype_that_torch_does_not_have_is_refused(dtype, tmp_path):
    with pytest.raises(ValueError, match="not a number type that torch has"):
        bench.begin("toy", str(tmp_path), dtype=dtype)


def test_rows_go_where_they_belong_and_nothing_of_them_is_lost(tmp_path):
    run = bench.begin("toy", str(tmp_path), dtype="float32", device="cpu")
    tried = {"kind": "arm", "arm": "a", "status": "timed"}
    samples = [{"kind": "sample", "value": 1.0}, {"kind": "read", "value": 2.0}, {"value": 3.0}]
    run.keep([tried, *samples[:2]])
    run.keep(samples[2:])
    assert recorded(tmp_path, "arms") == [tried]
    assert [row["value"] for row in recorded(tmp_path, "samples")] == [1.0, 2.0, 3.0]


def test_a_run_ends_with_one_record(tmp_path, capsys):
    run = bench.begin("toy", str(tmp_path), dtype="float32", device="cpu")
    run.end("nothing was timed", rows=[{"a": 1}], left_out=[])
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"finding": "nothing was timed", "result": "result.json"}
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == {
        "benchmark": "toy",
        "finding": "nothing was timed",
        "rows": [{"a": 1}],
        "left_out": [],
        "environment": run.environment,
        "samples": "samples.jsonl",
    }
    run.machine = Hardware("made up", 100.0, 10.0, 1.0, "by hand")
    run.end("measured", rows=[])
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["bandwidth_bytes_per_s"] == 10.0
    assert result["flops_per_s"] == 100.0
    assert result["provenance"] == "by hand"


def test_the_ceilings_are_printed_and_go_into_the_record(tmp_path, capsys, monkeypatch):
    machine = Hardware("made up", 100e9, 10e9, 1.0, "by hand")
    monkeypatch.setattr(inside, "measure_hardware", lambda device, dtype: machine)
    run = bench.begin("toy", str(tmp_path), dtype="float32", device="cpu")
    assert run.ceilings() is machine is run.machine
    said = capsys.readouterr().out
    assert "made up - by hand" in said
    assert "10.0 GB/s, 100 GFLOP/s: ridge at 10.0 FLOP per byte" in said


def test_notebooks_written_before_find_what_they_import():
    from gqa_lib.bench import as_list, commit, results_folder

    assert as_list(3) == as_list([3]) == [3]
    assert callable(commit)
    assert callable(results_folder)


def test_beginning_loads_torch_and_importing_does_not():
    code = "import sys, gqa_lib.bench; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "matplotlib", "papermill"} & set(done.stdout.split())


def test_the_command_names_the_benchmarks_there_are(tmp_path):
    names = ", ".join(bench.benchmarks())
    assert "decode-latency, kv-footprint" in names
    with pytest.raises(ValueError, match=names):
        bench.main(["decode"], [], tmp_path, None)
    with pytest.raises(ValueError, match="name=value"):
        bench.main(["decode-latency"], ["context"], tmp_path, None)

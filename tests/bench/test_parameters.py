"""Parameters as a notebook's first cell checks them, whoever runs it; and its memory."""

import json

import pytest

from gqa_lib import bench
from gqa_lib.bench import inside, notebooks, rules
from gqa_lib.measure.device import memory_bytes


def variables(name, **others):
    return {**bench.parameters(bench.benchmarks()[name]), "torch": object(), **others}


@pytest.mark.parametrize("name", bench.benchmarks())
def test_the_defaults_of_every_benchmark_pass(name, tmp_path):
    bench.check_parameters(name, variables(name, out_dir=str(tmp_path)))
    first = next(
        cell
        for cell in json.loads(bench.benchmarks()[name].read_text())["cells"]
        if "check_parameters(" in "".join(cell["source"])
    )
    before, _, after = "".join(first["source"]).partition(
        f'check_parameters("{name}", globals())\n'
    )
    for line in before.removesuffix("params = ").splitlines():  # nothing is done before the check
        assert line.startswith(("from ", "import ", "    ", ")")) or not line
    assert "\nrun = begin(" in f"\n{after}"


def test_every_parameter_has_a_rule_or_is_a_flag():
    ruled = {*rules._WHOLE, *rules._NUMBERS, *rules._NAMED}
    for name, path in bench.benchmarks().items():
        for one in notebooks.described(path).values():
            assert one.name in ruled or type(one.default) is bool, f"{name}: {one.name}"
    there = {one for path in bench.benchmarks().values() for one in notebooks.described(path)}
    assert there >= ruled


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("prefill-latency", {"num_heads": 4, "num_kv_heads": [4, 3]}, "num_kv_heads=3"),
        ("decode-latency", {"rounds": 0}, "rounds=0 cannot be measured with"),
        ("decode-latency", {"context": 0}, "tokens in the cache"),
        ("decode-latency", {"context": []}, "leaves nothing to measure"),
        ("decode-latency", {"budget_s": float("nan")}, "seconds, 0 or more"),
        ("roofline", {"out_dir": ""}, "the name of a folder"),
        ("throughput", {"memory_gib": -1}, "GiB above 0"),
        ("kv-footprint", {"models": ["nope"]}, "no model called 'nope'"),
        ("serving", {"model": "nope"}, "no model called 'nope'"),
        ("serving", {"num_kv_heads": [8, 3]}, "Llama-3.1-8B: num_heads=32 is not divisible"),
        ("serving", {"gpu_memory_utilization": 90}, "up to 1"),
        ("serving", {"hardware": "H1000"}, "no data sheet for 'H1000'"),
    ],
)
def test_a_notebook_that_papermill_runs_refuses_them_too(name, given, said):
    with pytest.raises(ValueError, match=said):
        bench.check_parameters(name, variables(name, **given))


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="the name of a folder"):
        bench.check_parameters("roofline", variables("roofline", out_dir=str(tmp_path / "file")))


def test_what_stands_for_an_automatic_choice_is_accepted():
    path = bench.benchmarks()["roofline"]
    bench.check_params(path, {"batch_size": 0, "prompt_length": 0, "memory_gib": 0})
    bench.check_params(bench.benchmarks()["throughput"], {"batch_size": []})
    bench.check_params(bench.benchmarks()["decode-latency"], {"backends": ["sdpa"], "budget_s": 0})


@pytest.fixture
def run(tmp_path):
    return bench.begin("toy", str(tmp_path), dtype="float32", device="cpu")


def test_memory_is_half_of_what_is_free_or_what_was_given(run, monkeypatch):
    monkeypatch.setattr(inside, "free_bytes", lambda device: 6 * 2**30)
    assert run.memory() == 3 * 2**30
    assert run.memory(0.5) == 2**29
    with pytest.raises(ValueError, match="is more than the"):
        run.memory(memory_bytes(run.device) / 2**30 + 1)


def test_a_run_that_would_not_fit_is_refused_before_it_allocates(run, monkeypatch):
    monkeypatch.setattr(inside, "free_bytes", lambda device: 6 * 2**30)
    run.need(3 * 2**30)
    with pytest.raises(ValueError, match=r"toy would need 3\.1 GiB and may take 3\.0 of cpu"):
        run.need(3.1 * 2**30)
    run.need(2**20, memory_gib=0.001)
    with pytest.raises(ValueError, match=r"may take 0\.0 of cpu"):
        run.need(2**21, memory_gib=0.001)


def test_nothing_that_fits_is_an_error_with_what_was_left_out():
    bench.need_some([[1]], [])
    with pytest.raises(ValueError, match="nothing to measure: left out, 9 GiB and 2 more"):
        bench.need_some([], ["left out, 9 GiB", "b", "c"])


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("decode-latency", {"context": 2**36}, "nothing fits into memory"),
        ("prefill-latency", {"prompt_length": 2**36}, "nothing fits into memory"),
        ("model-decode", {"context": 2**36}, "nothing fits into memory"),
        ("roofline", {"context": 2**36}, "roofline would need"),
        ("throughput", {"memory_gib": 1e9}, "is more than the"),
        ("serving", {"engine_kv_mib": 1e9}, "serving would need"),
    ],
)
def test_every_benchmark_that_times_has_a_guard_of_its_memory(name, params, said, tmp_path):
    record = bench.run_one(bench.benchmarks()[name], params, tmp_path)
    assert record["status"] == "error"
    assert said in record["error"].splitlines()[-1]
    printed = json.loads((tmp_path / record["folder"] / "executed.ipynb").read_text())
    assert "GFLOP/s: ridge" not in json.dumps(printed["cells"])  # before anything was measured

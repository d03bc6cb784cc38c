"""Every benchmark runs to its end, and says what it found."""

import json
import re

import nbformat
import pytest

from gqa_lib import bench
from gqa_lib.configs import list_models
from gqa_lib.measure import read_jsonl

PATIENCE_S = 3600  # it is not about time: two cores may be busy with other things


SMALLER = {  # seconds, not a minute on a busy core; the others are that small as they are
    "decode-latency": {"context": 512, "budget_s": 1},
    "model-decode": {"num_layers": 2, "context": 256, "batch_size": 2, "budget_s": 1},
    "prefill-latency": {"prompt_length": [48, 64], "budget_s": 1},
    "quality": {"steps": 20},
    "roofline": {"context": 512, "prompt_length": 64, "budget_s": 1},
    "serving": {"num_requests": 100, "engine_requests": 6, "rounds": 1},
    "throughput": {"num_layers": 2, "memory_gib": 0.05, "num_requests": 6, "budget_s": 0.1},
    "uptraining": {"steps": 20, "uptraining_steps": 8, "num_seeds": 2, "workers": 1},
}


def runs_to_its_end(name, params, folder):
    record = bench.run_one(bench.benchmarks()[name], params, folder, timeout_s=PATIENCE_S)
    assert record["status"] == "ok", record["error"]
    assert record["result"]["finding"]
    samples = read_jsonl(folder / record["folder"] / "samples.jsonl")
    assert {"metric", "unit", "value"} <= samples[0].keys()
    environment = read_jsonl(folder / record["folder"] / "environment.jsonl")
    assert environment[0]["torch"]
    executed = nbformat.read(folder / record["folder"] / "executed.ipynb", as_version=4)
    assert json.loads(executed.cells[-1].outputs[0].text)["finding"] == record["result"]["finding"]


@pytest.mark.parametrize("name", bench.benchmarks())
def test_a_benchmark_runs_to_its_end(name, tmp_path):
    runs_to_its_end(name, SMALLER.get(name, {}), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLER)
def test_a_benchmark_runs_at_its_defaults(name, tmp_path):
    runs_to_its_end(name, {}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_decode_latency_over_several_contexts_and_batches(dtype, tmp_path):
    sweep = {"context": [1024, 16384], "batch_size": [1, 4], "num_kv_heads": [32, 8], "rounds": 5}
    sweep |= {"dtype": dtype, "memory_gib": 16}  # whatever is free just now
    notebook = bench.benchmarks()["decode-latency"]
    record = bench.run_one(notebook, sweep, tmp_path, timeout_s=PATIENCE_S)
    assert record["status"] == "ok", record["error"]
    assert record["result"]["left_out"] == []
    rows = record["result"]["rows"]
    assert len(rows) == 2 * 2 * 2
    assert {row["dtype"] for row in rows} == {dtype}
    for row in rows:
        assert {row["own"], row["best_peer"]} <= row["time_s"].keys()
        assert row["over_peer"] > 0


@pytest.mark.slow
def test_kv_footprint_of_every_model_in_the_table(tmp_path):
    everything = {"models": list_models()}
    notebook = bench.benchmarks()["kv-footprint"]
    record = bench.run_one(notebook, everything, tmp_path, timeout_s=PATIENCE_S)
    assert record["status"] == "ok", record["error"]
    rows = record["result"]["rows"]
    assert {row["p_model"] for row in rows} == set(list_models())


def test_papermill_runs_a_benchmark_directly(tmp_path):
    import papermill

    out = tmp_path / "here"
    papermill.execute_notebook(
        str(bench.benchmarks()["kv-footprint"]),
        str(tmp_path / "executed.ipynb"),
        parameters={"models": ["Llama-3-8B"], "out_dir": str(out)},
        progress_bar=False,
    )
    rows = read_jsonl(out / "samples.jsonl")
    assert rows[0]["value"] == 128 * 1024
    assert rows[0]["p_context"] == 8192
    executed = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    printed = [o.text for cell in executed.cells for o in cell.get("outputs", []) if "text" in o]
    (sizes,) = (text for text in printed if text.startswith("KiB per token of"))
    assert re.search(r"^Llama-3-8B +128  +128\*", sizes, re.MULTILINE)  # made for 8,192 tokens
    finding = json.loads((out / "result.json").read_text())["finding"]
    assert finding.startswith("Llama-3-8B keeps 128 KiB per token")  # and not 1 times its own


def test_one_refused_model_is_a_row_with_its_reason_and_files_go_by_their_names(tmp_path):
    import papermill

    plain = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4}
    files = {
        "small.json": plain | {"hidden_size": 64, "_name_or_path": "/home/me/llama"},
        "other.json": plain | {"hidden_size": 32, "_name_or_path": "/home/me/llama"},
        "odd.json": plain | {"hidden_size": 64, "window_map": [1, 2]},
    }
    for name, keys in files.items():
        (tmp_path / name).write_text(json.dumps(keys))
    out = tmp_path / "out"
    papermill.execute_notebook(
        str(bench.benchmarks()["kv-footprint"]),
        str(tmp_path / "executed.ipynb"),
        parameters={"models": [str(tmp_path / name) for name in files], "out_dir": str(out)},
        progress_bar=False,
    )
    rows = read_jsonl(out / "samples.jsonl")
    told = {row["p_model"]: row.get("reason", "") for row in rows}
    assert list(told) == ["small", "other", "odd.json"]
    assert "window_map=[1, 2] is not understood" in told["odd.json"]
    assert str(tmp_path) not in (out / "samples.jsonl").read_text()

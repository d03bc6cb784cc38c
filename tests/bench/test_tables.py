"""Runs as one table: every sample and every failure in it, and nothing under another's name."""

import json

import pytest
from fabricated_runs import ENVIRONMENT, times, tried, write_lines, write_run

from gqa_lib.bench.results.kept import read_runs
from gqa_lib.bench.results.series import all_series
from gqa_lib.bench.results.tables import sample_rows, typed, write_tables

csv, parquet = pytest.importorskip("pyarrow.csv"), pytest.importorskip("pyarrow.parquet")


def table_of(folder):
    return sample_rows(read_runs(folder)[0])


def test_a_row_for_each_sample_has_its_run_parameters_with_defaults_and_environment(tmp_path):
    samples = times([0.1, 0.2], context=4096, num_kv_heads=8)
    write_run(tmp_path, "one", samples, params={"context": [4096], "dtype": "bfloat16"}, repeat=2)
    rows = table_of(tmp_path)
    assert [(row["run"], row["benchmark"], row["repeat"]) for row in rows] == [
        ("one", "decode-latency", 2)
    ] * 2
    assert [row["value"] for row in rows] == [0.1, 0.2]
    first = rows[0]
    assert (first["p_context"], first["p_dtype"], first["p_num_kv_heads"]) == (4096, "bfloat16", 8)
    assert first["p_num_heads"] == 32, "the notebook's default"
    assert "p_out_dir" not in first
    assert (first["env_cpu_model"], first["env_gpu_name"]) == ("A CPU", "A GPU")
    assert first["status"] == "ok"
    assert first["error"] is None


def test_defaults_are_those_of_the_notebook_that_ran(tmp_path):
    folder = write_run(tmp_path, "one", times([0.1]), benchmark="my-own", params={"size": 2})
    cell = {"metadata": {"tags": ["parameters"]}, "source": "size: int = 1\nshape: str = 'round'"}
    (folder / "executed.ipynb").write_text(json.dumps({"cells": [cell]}))
    assert (table_of(tmp_path)[0]["p_size"], table_of(tmp_path)[0]["p_shape"]) == (2, "round")


def test_the_sample_s_own_parameter_wins_and_lists_are_one_value_or_text(tmp_path):
    params = {"context": [1, 2], "num_kv_heads": [8], "sizes": [3, 4], "shape": {"a": 1}}
    write_run(tmp_path, "one", times([0.1], context=2), benchmark="other", params=params)
    row = table_of(tmp_path)[0]
    assert (row["p_context"], row["p_num_kv_heads"]) == (2, 8)
    assert (row["p_sizes_list"], row["p_shape"]) == ("[3, 4]", '{"a": 1}')
    assert row["p_context_list"] == "[1, 2]"


def test_names_that_are_taken_meet_nothing(tmp_path):
    odd = {"metric": "time", "unit": "s", "value": 1.0, "status": "S", "run": "R", "benchmark": 7}
    params = {"value": "V", "status": "P", "run": 5, "metric": "M"}
    write_run(tmp_path, "one", [odd | {"p_error": "E"}], benchmark="other", params=params)
    row = table_of(tmp_path)[0]
    assert (row["value"], row["status"], row["run"], row["metric"]) == (1.0, "ok", "one", "time")
    assert (row["p_value"], row["p_status"], row["p_run"], row["p_metric"]) == ("V", "P", 5, "M")
    assert (row["s_status"], row["s_run"], row["s_benchmark"]) == ("S", "R", 7)
    assert (row["error"], row["p_error"]) == (None, "E")


def test_a_run_that_failed_is_a_row_with_its_error(tmp_path):
    write_run(tmp_path, "good", times([0.1]))
    write_run(tmp_path, "bad", times([9.0]), status="timeout", error="not done after 3 s")
    (tmp_path / "empty").mkdir()
    rows = table_of(tmp_path)
    assert [(row["run"], row["status"], row["value"]) for row in rows] == [
        ("bad", "timeout", None),
        ("good", "ok", 0.1),
    ]
    assert rows[0]["error"] == "not done after 3 s"
    assert rows[0]["env_cpu_model"] == "A CPU"


def test_what_is_cut_off_or_not_there_loses_that_alone(tmp_path):
    torn = write_run(tmp_path, "torn", times([0.1, 0.2]))
    with (torn / "samples.jsonl").open("a") as file:
        file.write('{"metric": "time", "val')
    (torn / "executed.ipynb").write_text('{"cells": [')
    bare = write_run(tmp_path, "bare", [])
    for path in bare.iterdir():
        if path.name != "record.json":
            path.unlink()
    broken = write_run(tmp_path, "broken", times([0.1]))
    (broken / "samples.jsonl").write_text('{"metric": oops}\n{"metric": "time"}\n')
    garbled = write_run(tmp_path, "garbled", [])
    (garbled / "record.json").write_text("[]")
    (tmp_path / "going").mkdir()
    (tmp_path / "going" / "log.txt").touch()
    runs, unfinished = read_runs(tmp_path)
    assert unfinished == ["going"]
    rows = sample_rows(runs)
    assert [row["value"] for row in rows if row["run"] == "torn"] == [0.1, 0.2]
    told = {row["run"]: (row["status"], row["error"]) for row in rows}
    assert told["bare"] == ("ok", None)
    assert told["broken"][0] == told["garbled"][0] == "unreadable"
    assert "line 1 is not JSON" in told["broken"][1]
    assert rows[0].keys() == rows[-1].keys()


def test_whether_the_library_chose_an_arm(tmp_path):
    here = {"context": 64, "num_kv_heads": 1}
    samples = times([0.1], "fold", **here) + times([0.2], "sdpa", **here)
    samples += [*times([0.3], "part", **here), {"kind": "read", **times([0.4], "pass")[0]}]
    samples[-1]["kind"] = "read"
    write_run(tmp_path, "one", samples, arms=tried("fold", "sdpa", own="fold", **here))
    assert [row["own"] for row in table_of(tmp_path)] == [True, False, None, None]


def test_csv_and_parquet_are_the_same_table_with_one_type_a_column(tmp_path):
    samples = times([0.1, 2], context=64)
    samples += [{"metric": "time", "value": None, "p_context": "at once", "quiet": None}]
    samples += [{"metric": "time", "value": "fast", "note": ""}, {"note": '=1+1,"\n', "big": 2**70}]
    samples += [{"metric": "m", "value": float("nan"), "flag": True, "note": "\ud800"}]
    write_run(tmp_path, "one", samples, params={"ratio": 1, "name": "é"})
    write_run(tmp_path, "two", [], status="error", error="E\nF", params={"ratio": 0.5})
    rows = table_of(tmp_path)
    paths = write_tables(rows, tmp_path / "report")
    assert [path.name for path in paths] == ["samples.csv", "samples.parquet"]
    kept = parquet.read_table(paths[1])
    how = csv.ConvertOptions(
        column_types=kept.schema,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    lines = csv.ParseOptions(newlines_in_values=True)
    read = csv.read_csv(paths[0], convert_options=how, parse_options=lines)
    assert read.drop_columns("value").equals(kept.drop_columns("value"))
    assert str(read["value"]) == str(kept["value"]), "with its NaN"
    assert kept.num_rows == len(rows) == 7
    types = {name: str(kept.schema.field(name).type) for name in kept.column_names}
    assert (types["value"], types["repeat"], types["quiet"]) == ("double", "int64", "bool")
    assert (types["p_ratio"], types["p_context"]) == ("double", "string")
    assert kept["p_context"].to_pylist() == ["64", "64", "at once", *["4096"] * 4]
    assert kept["s_value"].to_pylist()[3] == "fast"
    assert kept["s_note"].to_pylist()[3:6] == ["", '=1+1,"\n', "?"]


def test_no_rows_are_a_table_too():
    assert typed([]).num_rows == 0


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no runs"):
        read_runs(tmp_path)
    with pytest.raises(ValueError, match="is not there"):
        read_runs(tmp_path / "nowhere")


def test_a_run_s_own_folder_is_a_folder_of_one(tmp_path):
    folder = write_run(tmp_path, "one", times([0.1]))
    write_lines(folder / "environment.jsonl", [ENVIRONMENT | {"cpu_model": "Another"}])
    assert read_runs(folder)[0][0].environment["cpu_model"] == "Another"


def test_runs_with_other_sources_count_once_there_are_newer_ones(tmp_path):
    """Of the same point, on the same device; they stay in the table."""

    def run(name, at, library, device="a CPU", point="p", status="ok"):
        key = {"library": library, "notebook": "n", "device": device}
        known = {"point": point, "key": key, "started_at": at, "status": status}
        write_run(tmp_path, name, times([0.1]), **known)

    run("old", 1.0, "yesterday's")
    run("new", 3.0, "today's")
    run("again", 4.0, "today's")
    run("elsewhere", 1.0, "yesterday's", device="another CPU")
    run("other", 1.0, "yesterday's", point="q")
    run("stopped", 5.0, "tomorrow's", status="interrupted")
    run("worked", 1.0, "yesterday's", point="r")
    run("fails", 2.0, "today's", point="r", status="error")
    runs, _ = read_runs(tmp_path)
    status = {run.name: run.status for run in runs}
    assert {name for name, one in status.items() if one == "outdated"} == {"old", "worked"}
    assert {run.name for run in runs if run.failed} == {"fails", "stopped"}
    assert {row["status"] for row in sample_rows(runs) if row["run"] == "old"} == {"outdated"}
    counted = {name for one in all_series(runs) for name in one.rows}
    assert {name.rpartition("/")[2] for name in counted} == {"new", "again", "elsewhere", "other"}


def test_memory_that_says_what_was_computed_is_another_point(tmp_path):
    for gib in (40.0, 80.0):
        one = {"kind": "computed", "metric": "max_sequences", "unit": "1", "value": gib}
        write_run(tmp_path, f"{gib}", [one], benchmark="kv-footprint", params={"memory_gib": gib})
    found = all_series(read_runs(tmp_path)[0])
    assert [one.params["memory_gib"] for one in found] == [40.0, 80.0]

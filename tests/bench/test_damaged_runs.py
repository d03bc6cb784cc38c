"""Runs whose files say what they cannot say: told, and the others are read as ever."""

import json

import pytest
from fabricated_runs import steady, times, write_run

from gqa_lib.bench.results import all_series, read_runs, sample_rows
from gqa_lib.bench.results.comparing import compare_folders
from gqa_lib.bench.results.report import _when
from gqa_lib.bench.results.tables import typed

HUGE = 10**400


def read(folder):
    """Read a folder all the way to its table; return the statuses of its runs."""
    runs, _ = read_runs(folder)
    table = typed(sample_rows(runs))
    assert table.num_rows >= len(runs)
    assert all_series(runs)
    _when(runs)
    return [run.status for run in runs]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("started_at", HUGE),
        ("started_at", 1e308),
        ("started_at", float("nan")),
        ("wall_s", HUGE),
        ("wall_s", "long"),
        ("repeat", HUGE),
        ("repeat", "first"),
        ("benchmark", "x\ud800"),
        ("benchmark", ["x"]),
        ("status", {}),
        ("point", [1]),
        ("key", {"device": []}),
        ("key", "k"),
    ],
)
def test_a_damaged_record_is_unreadable_and_the_others_are_read(name, value, tmp_path):
    write_run(tmp_path, "good", times(steady(1.0)))
    write_run(tmp_path, "bad", times(steady(1.0)), **{name: value})
    assert sorted(read(tmp_path)) == ["ok", "unreadable"]
    found = compare_folders(tmp_path, tmp_path)
    assert any(f"its {name} is" in line for line in found.missing)


@pytest.mark.parametrize(
    "value", [HUGE, -HUGE, float("nan"), float("inf"), True, "1", None, [1, 2]]
)
def test_a_sample_that_no_number_can_be_counts_nowhere(value, tmp_path):
    folder = write_run(tmp_path, "run", times(steady(1.0)))
    with (folder / "samples.jsonl").open("a") as file:
        file.write(json.dumps(times([1.0])[0] | {"value": value, "extra": value}) + "\n")
        file.write(json.dumps(times([1.0])[0] | {"extra": 0.5, "p_size": "x\ud800"}) + "\n")
    assert read(tmp_path) == ["ok"]
    ((first, *_),) = [all_series(read_runs(tmp_path)[0])]
    assert first.summary()["samples"] == len(steady(1.0))

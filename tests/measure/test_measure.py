"""The timing protocol, with clocks and arms that do as they are told: no real time is asserted."""

import gc
import json
from importlib import import_module

import numpy as np
import pytest
from clocks import Clock

from gqa_lib.measure import (
    environment,
    ratios,
    read_jsonl,
    samples,
    summarise,
    time_arms,
    timing,
    write_jsonl,
)

environment_module = import_module("gqa_lib.measure.environment")  # its function has that name, too


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(timing, "_involuntary_switches", lambda: 0)
    return Clock()


def test_rows_hold_the_time_of_each_arm(clock):
    arms = {"slow": clock.arm(3.0), "fast": clock.arm(1.0)}
    rows = time_arms(arms, rounds=4, warmup=1, samples=2, clock=clock)
    assert {tuple(row) for row in rows} == {
        ("metric", "unit", "arm", "round", "sample", "value", "phase", "quiet")
    }
    assert {row["value"] for row in rows if row["arm"] == "slow"} == {3.0}
    assert {row["value"] for row in rows if row["arm"] == "fast"} == {1.0}
    measured = [row for row in rows if row["phase"] == "measure"]
    assert len(rows) == 5 * 2 * 2
    assert len(measured) == 4 * 2 * 2
    assert {row["round"] for row in measured} == {0, 1, 2, 3}
    assert {row["sample"] for row in measured} == {0, 1}


def test_arms_alternate_within_rounds(clock):
    rows = time_arms(dict.fromkeys("ab", clock.arm(1)), rounds=4, warmup=0, clock=clock)
    assert "".join(row["arm"] for row in rows) == "abbaabba"


def test_every_call_gets_the_next_number(clock):
    calls = []
    arms = {"a": calls.append, "b": calls.append}
    time_arms(arms, rounds=3, warmup=1, samples=2, clock=clock)
    assert calls == list(range(4 * 2 * 2))


def test_budget_stops_but_not_before_the_minimum(clock):
    def rounds_done(**options):
        rows = time_arms({"a": clock.arm(1.0)}, rounds=50, warmup=0, clock=clock, **options)
        return len(rows)

    assert rounds_done(budget_s=9.5) == 10
    assert rounds_done(budget_s=0.1) == timing.MIN_ROUNDS
    assert rounds_done(budget_s=0.1, min_rounds=7) == 7
    assert rounds_done() == 50


def test_warmup_counts_against_the_budget_only(clock):
    rows = time_arms({"a": clock.arm(1.0)}, rounds=50, warmup=3, budget_s=9.5, clock=clock)
    assert sum(row["phase"] == "warmup" for row in rows) == 3
    assert sum(row["phase"] == "measure" for row in rows) == 7


def test_rounds_go_on_until_enough_samples_are_quiet(clock, monkeypatch):
    def measured(lost, **options):
        """`lost` says for each sample whether a core was lost during it."""
        switches = iter([n for i, one in enumerate(lost) for n in (i, i + one)])
        monkeypatch.setattr(timing, "_involuntary_switches", lambda: next(switches))
        rows = time_arms({"a": clock.arm(1)}, warmup=0, clock=clock, quiet_samples=4, **options)
        return [row["quiet"] for row in rows]

    assert measured([1, 1, 0, 1, 0, 0, 0, 0], rounds=2, budget_s=99).count(True) == 4
    assert measured([0] * 9, rounds=6, budget_s=99) == [True] * 6
    assert measured([1] * 20, rounds=2, budget_s=9.5) == [False] * 10  # the budget ends it
    with pytest.raises(ValueError, match="quiet_samples=4 without a budget"):
        measured([0], rounds=2)


def test_where_nobody_tells_every_sample_counts_as_quiet(clock, monkeypatch):
    monkeypatch.setattr(timing, "_involuntary_switches", lambda: None)
    rows = time_arms(
        {"a": clock.arm(1)}, rounds=2, warmup=0, clock=clock, quiet_samples=4, budget_s=99
    )
    assert len(rows) == 4


def test_a_sample_with_a_lost_core_is_not_quiet(clock, monkeypatch):
    switches = iter([0, 0, 5, 6])
    monkeypatch.setattr(timing, "_involuntary_switches", lambda: next(switches))
    rows = time_arms({"a": clock.arm(1)}, rounds=2, warmup=0, clock=clock)
    assert [row["quiet"] for row in rows] == [True, False]


def test_quiet_is_unknown_where_the_system_does_not_count(clock, monkeypatch):
    monkeypatch.setattr(timing, "_involuntary_switches", lambda: None)
    rows = time_arms({"a": clock.arm(1)}, rounds=1, warmup=0, clock=clock)
    assert rows[0]["quiet"] is None
    assert summarise(rows)["a"]["n"] == 1


def test_garbage_collection_pauses_and_comes_back(clock):
    seen = []
    time_arms({"a": lambda call: seen.append(gc.isenabled())}, rounds=1, clock=clock)
    assert not any(seen)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        time_arms({"a": lambda call: 1 / 0}, rounds=1, clock=clock)
    assert gc.isenabled()


def test_nothing_to_time_is_an_error():
    with pytest.raises(ValueError, match="0 arms over 20 rounds"):
        time_arms({})
    with pytest.raises(ValueError, match="1 arms over 0 rounds"):
        time_arms({"a": print}, rounds=0)


# Buffers


# Statistics


def rows_of(arm, values, quiet=True, phase="measure"):
    return [
        {"metric": "time", "unit": "s", "arm": arm, "round": i, "sample": 0, "value": v}
        | {"phase": phase, "quiet": quiet}
        for i, v in enumerate(values)
    ]


def test_summary_of_known_samples():
    values = [5.0, 1.0, 3.0, 2.0, 4.0, 6.0, 7.0, 8.0, 9.0]
    summary = summarise(rows_of("a", values) + rows_of("a", [99.0], phase="warmup"))["a"]
    assert summary["median"] == 5.0
    assert (summary["low"], summary["high"]) == (2.0, 8.0)
    assert summary["iqr"] == 4.0
    assert (summary["n"], summary["n_quiet"], summary["used"]) == (9, 9, "quiet")
    assert summary["unit"] == "s"
    assert summary["noisy"] is True


def test_steady_samples_are_not_noisy():
    assert summarise(rows_of("a", [1.0, 1.01, 1.02, 1.0, 1.01]))["a"]["noisy"] is False


def test_quiet_samples_are_preferred_once_there_are_enough():
    disturbed = rows_of("a", [10.0] * 20, quiet=False)
    enough = summarise(disturbed + rows_of("a", [1.0] * 5))["a"]
    assert (enough["median"], enough["n"], enough["used"]) == (1.0, 5, "quiet")
    too_few = summarise(disturbed + rows_of("a", [1.0] * 4))["a"]
    assert (too_few["median"], too_few["n"], too_few["used"]) == (10.0, 24, "all")
    assert too_few["n_quiet"] == 4


@pytest.mark.parametrize(("n", "cut"), [(1, 0), (5, 0), (6, 0), (9, 1), (20, 5), (100, 39)])
def test_rank_of_the_medians_interval(n, cut):
    """Against the tabulated ranks of the sign test."""
    assert samples._median_rank(n) == cut


def test_median_interval_covers_the_true_median():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        summary = summarise(rows_of("a", rng.exponential(size=15)))["a"]
        hits += summary["low"] <= np.log(2) <= summary["high"]
    assert 0.93 <= hits / 400 <= 0.99


def test_ratio_is_taken_within_rounds():
    """A machine that slows down sixteenfold leaves the ratio of neighbours alone."""
    weather = 2.0 ** np.arange(-1, 4)
    rows = rows_of("mha", 4 * weather) + rows_of("gqa", weather)
    compared = ratios(rows, "mha")
    assert list(compared) == ["gqa"]
    assert compared["gqa"] == {
        "speedup": 4.0,
        "low": 4.0,
        "high": 4.0,
        "rounds": 5,
        "verdict": "faster",
    }


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ([1.0] * 6, "same"),
        ([1.02] * 6, "same"),
        ([0.9] * 6, "faster"),
        ([1.2] * 6, "slower"),
        ([0.8, 1.2, 0.8, 1.2, 0.8, 1.2], "ambiguous"),
        ([0.5] * 4, "ambiguous"),
    ],
)
def test_verdicts(times, verdict):
    rows = rows_of("base", [1.0] * len(times)) + rows_of("new", times)
    assert ratios(rows, "base", margin=0.05)["new"]["verdict"] == verdict


def test_a_wider_margin_turns_faster_into_same():
    rows = rows_of("base", [1.0] * 6) + rows_of("new", [0.9] * 6)
    assert ratios(rows, "base", margin=0.2)["new"]["verdict"] == "same"


def test_ratios_use_the_quiet_rounds_of_both():
    loud = [{**row, "quiet": row["round"] >= 3} for row in rows_of("base", [9.0] * 3 + [1.0] * 6)]
    compared = ratios(loud + rows_of("new", [1.0] * 9), "base")["new"]
    assert (compared["speedup"], compared["rounds"]) == (1.0, 6)


def test_ratios_need_the_baseline_and_shared_rounds():
    with pytest.raises(ValueError, match="baseline 'sdpa' is not among the arms 'a', 'b'"):
        ratios(rows_of("a", [1.0]) + rows_of("b", [1.0]), "sdpa")
    later = [row | {"round": 7} for row in rows_of("b", [1.0])]
    with pytest.raises(ValueError, match="share no round"):
        ratios(rows_of("a", [1.0]) + later, "a")


# Files


def test_rows_are_appended_and_read_back(tmp_path):
    path = tmp_path / "samples.jsonl"
    write_jsonl(path, [{"value": 1.5}, {"value": 2, "quiet": None}])
    write_jsonl(path, [{"arm": "é"}])
    assert read_jsonl(path) == [{"value": 1.5}, {"value": 2, "quiet": None}, {"arm": "é"}]


def test_a_torn_last_line_is_left_out_and_then_cut_off(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"value": 1}\n{"val')
    assert read_jsonl(path) == [{"value": 1}]
    write_jsonl(path, [{"value": 2}])
    assert path.read_text() == '{"value": 1}\n{"value": 2}\n'
    path.write_text("torn")
    write_jsonl(path, [{"value": 3}])
    assert read_jsonl(path) == [{"value": 3}]


def test_a_broken_line_is_reported_with_its_number(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"value": 1}\noops\n{"value": 2}\n')
    with pytest.raises(ValueError, match=r"samples.jsonl, line 2 is not JSON"):
        read_jsonl(path)


def test_what_json_cannot_hold_writes_nothing(tmp_path):
    path = tmp_path / "samples.jsonl"
    with pytest.raises(ValueError, match="JSON"):
        write_jsonl(path, [{"value": 1.0}, {"value": float("nan")}])
    assert not path.exists()


# Environment


def test_environment_fits_json_and_names_no_host():
    import platform

    block = environment()
    text = json.dumps(block)
    assert {"utc", "cpu_model", "load_before", "num_threads", "gpu", "commit", "dirty"} <= set(
        block
    )
    assert {"python", "torch", "triton", "numpy", "ram_bytes", "cpu_affinity"} <= set(block)
    assert platform.node() not in text.split('"')
    assert environment_module.__file__.rpartition("/")[0] not in text


def test_environment_survives_a_bare_machine(monkeypatch):
    """No git, no /proc, no load average: the same keys, with None."""

    def missing(*args, **kwargs):
        raise FileNotFoundError("no such program")

    read = environment_module.Path.read_text

    def no_proc(path, *args, **kwargs):
        return missing() if path.is_relative_to("/proc") else read(path, *args, **kwargs)

    expected = set(environment())
    monkeypatch.setattr(environment_module.subprocess, "run", missing)
    monkeypatch.setattr(environment_module.Path, "read_text", no_proc)
    monkeypatch.delattr(environment_module.os, "getloadavg", raising=False)
    monkeypatch.delattr(environment_module.os, "sched_getaffinity", raising=False)
    bare = environment()
    assert set(bare) == expected
    assert bare["commit"] is bare["dirty"] is bare["load_before"] is bare["cpu_affinity"] is None


def test_commit_is_that_of_the_checkout(monkeypatch):
    answers = {"ls-files": "environment.py", "status": "", "rev-parse": "abc123"}

    def output(*command, empty=None):
        return answers[command[3]] or empty

    monkeypatch.setattr(environment_module, "_output", output)
    assert environment_module._commit() == {"commit": "abc123", "dirty": False}
    answers["status"] = " M gqa_lib/cost.py"
    assert environment_module._commit()["dirty"] is True
    answers["ls-files"] = None
    assert environment_module._commit() == {"commit": None, "dirty": None}


@pytest.mark.parametrize(
    ("printed", "power", "clock"),
    [("550.54.15, 700.00, 1980, 1980, 2619, 34\n", 700.0, 1980.0), (None, None, None)],
)
def test_gpu_block_reads_nvidia_smi_or_does_without(monkeypatch, printed, power, clock):
    class Properties:
        name, total_memory, major, minor, uuid = "A GPU", 80, 9, 0, "ab-cd"

    asked = []
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: Properties)
    monkeypatch.setattr(environment_module, "_output", lambda *c: asked.append(c) or printed)
    gpu = environment_module._gpu("cuda:1")
    assert (gpu["name"], gpu["power_limit_w"], gpu["sm_clock_mhz"]) == ("A GPU", power, clock)
    assert gpu["driver"] == (printed and "550.54.15")
    assert asked[0][-2:] == ("-i", "GPU-ab-cd")

"""`gqa bench compare`: what decides its exit code, and what it says, from made-up runs."""

import json

import pytest
from fabricated_runs import steady, times, tried, write_run

from gqa_lib.bench.results.comparing import compare_folders
from gqa_lib.cli import main

HERE = {"context": 64, "num_kv_heads": 1}


def runs(out, own, *, peer=1.0, backend="fold", repeats=3, **of_record):
    """Write repeats of one point, the library's time and its peer's."""
    for number in range(repeats):
        drift = 1 + 0.004 * number
        other = "split" if backend == "fold" else "fold"
        samples = times(steady(own * drift), backend, **HERE)
        samples += times(steady(2 * own * drift), other, **HERE)
        samples += times(steady(peer * drift), "sdpa", **HERE)
        arms = tried("fold", "split", "sdpa", own=backend, **HERE)
        about = {"repeat": number, "arms": arms} | of_record
        write_run(out, f"{out.name}-{number}", samples, **about)


def compared(tmp_path, capsys, *more):
    code = main(["bench", "compare", str(tmp_path / "a"), str(tmp_path / "b"), *more])
    return code, capsys.readouterr().out


@pytest.mark.parametrize(
    ("after", "code", "said"),
    [(1.0, 0, "same"), (0.7, 0, "faster"), (1.3, 1, "slower"), (1.05, 0, "ambiguous")],
)
def test_the_library_s_own_arm_decides_the_exit_code(tmp_path, capsys, after, code, said):
    runs(tmp_path / "a", 1.0)
    runs(tmp_path / "b", after)
    found, out = compared(tmp_path, capsys)
    assert found == code
    [line] = [line for line in out.splitlines() if line.startswith("decode-latency")][:1]
    assert line.endswith(said)
    assert out.rstrip().endswith(f"(exit code {code}).")
    assert f"1 {said}; margin 5 %" in out
    if said == "ambiguous":
        assert "1 of the library's points are too uncertain to tell" in out


def test_the_margin_is_what_was_asked_for(tmp_path, capsys):
    runs(tmp_path / "a", 1.0)
    runs(tmp_path / "b", 1.3)
    assert compared(tmp_path, capsys, "--margin", "0.5")[0] == 0


def test_peers_are_shown_and_decide_nothing(tmp_path, capsys):
    runs(tmp_path / "a", 1.0, peer=1.0)
    runs(tmp_path / "b", 1.0, peer=9.0)
    code, out = compared(tmp_path, capsys)
    assert code == 0
    _, shown = out.split("Shown only")
    assert "sdpa" in shown
    assert "slower" in shown


def test_a_worse_choice_of_backend_is_found_though_each_is_as_fast_as_before(tmp_path, capsys):
    runs(tmp_path / "a", 1.0, backend="fold")
    runs(tmp_path / "b", 2.0, backend="split")
    code, out = compared(tmp_path, capsys)
    assert code == 1
    assert "the library's choice: fold -> split" in out


def test_names_of_folders_and_effort_do_not_matter_and_parameters_do(tmp_path, capsys):
    runs(tmp_path / "a", 1.0, params={"rounds": 5, "context": [64]})
    runs(tmp_path / "b", 1.0, params={"rounds": 9, "context": [64, 128]})
    assert compared(tmp_path, capsys)[0] == 0
    for folder in (tmp_path / "b").iterdir():
        record = json.loads((folder / "record.json").read_text())
        record["params"]["dtype"] = "float16"
        (folder / "record.json").write_text(json.dumps(record))
    code, out = compared(tmp_path, capsys)
    assert code == 2
    assert "only a has decode-latency, time: the library's choice" in out
    assert "the two have no point in common" in out


def test_a_parameter_that_only_one_side_s_notebook_has_does_not_part_the_points(tmp_path, capsys):
    runs(tmp_path / "a", 1.0, benchmark="mine", params={"size": 1})
    runs(tmp_path / "b", 1.0, benchmark="mine", params={"size": 1, "new": True})
    assert compared(tmp_path, capsys)[0] == 0


@pytest.mark.parametrize("status", ["error", "timeout", "killed", "interrupted"])
def test_a_run_that_failed_after_is_not_compared(tmp_path, capsys, status):
    runs(tmp_path / "a", 1.0)
    runs(tmp_path / "b", 1.0)
    write_run(tmp_path / "b", "bad", [], status=status, error="so\nit failed", repeat=3)
    code, out = compared(tmp_path, capsys)
    assert code == 2
    assert f"bad of b: {status}: it failed" in out


def test_a_run_that_was_repeated_with_success_is_compared(tmp_path, capsys):
    runs(tmp_path / "a", 1.0)
    runs(tmp_path / "b", 1.0)
    write_run(tmp_path / "b", "bad", [], status="killed", error="x", repeat=1, started_at=1.0)
    assert compared(tmp_path, capsys)[0] == 0


def test_a_failure_before_is_said_and_slower_comes_before_not_compared(tmp_path, capsys):
    runs(tmp_path / "a", 1.0)
    write_run(tmp_path / "a", "bad", [], status="error", error="x", repeat=3)
    runs(tmp_path / "b", 1.3)
    code, out = compared(tmp_path, capsys)
    assert code == 1
    assert "1 runs of a failed" in out
    write_run(tmp_path / "b", "bad", [], status="error", error="x", repeat=3)
    assert compared(tmp_path, capsys)[0] == 1


def test_a_run_that_never_ended_is_not_compared(tmp_path, capsys):
    runs(tmp_path / "a", 1.0)
    runs(tmp_path / "b", 1.0)
    (tmp_path / "b" / "going").mkdir()
    (tmp_path / "b" / "going" / "log.txt").touch()
    code, out = compared(tmp_path, capsys)
    assert (code, "going of b never ended" in out) == (2, True)


@pytest.mark.parametrize("lacks", ["a", "b"])
def test_a_folder_without_runs_cannot_be_compared(tmp_path, capsys, lacks):
    runs(tmp_path / ("b" if lacks == "a" else "a"), 1.0)
    code, out = compared(tmp_path, capsys)
    assert code == 2
    assert f"{lacks} is not there" in out


def test_what_differs_between_machines_libraries_and_notebooks_is_said(tmp_path, capsys):
    key = {"library": "aaaa", "notebook": "nnnn", "device": "x"}
    runs(tmp_path / "a", 1.0, key=key)
    other = {"environment": {"cpu_model": "Another CPU", "commit": "fedcba9876543210"}}
    runs(tmp_path / "b", 1.0, key=key | {"library": "bbbb", "notebook": "mmmm"}, **other)
    _, out = compared(tmp_path, capsys)
    assert "- CPU: A CPU -> Another CPU" in out
    assert "- commit: 0123456789ab -> fedcba987654" in out
    assert "- sources of the library: aaaa -> bbbb" in out
    assert "- notebook decode-latency: nnnn -> mmmm" in out
    assert "torch" not in out


@pytest.mark.parametrize("repeats", [1, 3])
def test_one_run_on_each_side_is_said_to_leave_open_how_much_runs_differ(repeats, tmp_path, capsys):
    runs(tmp_path / "a", 1.0, repeats=1)
    runs(tmp_path / "b", 1.3, repeats=repeats)
    code, out = compared(tmp_path, capsys)
    assert code == 1
    assert ("how much runs differ is not known" in out) == (repeats == 1)


def test_a_point_is_named_by_a_parameter_that_is_0(tmp_path):
    for side in ("a", "b"):
        for seed in (0, 1):
            write_run(tmp_path / side, f"r{seed}", times(steady(1.0), seed=seed))
    found = compare_folders(tmp_path / "a", tmp_path / "b")
    assert [row["point"].partition(",")[0] for row in found.rows] == ["seed=0", "seed=1"]


def test_metrics_without_a_better_way_decide_nothing(tmp_path):
    for side, value in (("a", 1.0), ("b", 9.0)):
        row = {"kind": "computed", "metric": "preemptions", "unit": "1", "value": value}
        more = {"kind": "computed", "metric": "kv_bytes", "unit": "B", "value": 1.0}
        write_run(tmp_path / side, "r", [row, more], benchmark="kv-footprint")
    found = compare_folders(tmp_path / "a", tmp_path / "b")
    assert [(row["metric"], row["verdict"], row["own"]) for row in found.rows] == [
        ("preemptions", "more", False),
        ("kv_bytes", "same", True),
    ]
    assert found.code == 0


def test_more_bytes_are_worse(tmp_path, capsys):
    for side, value in (("a", 100.0), ("b", 200.0)):
        row = {"kind": "computed", "metric": "kv_bytes", "unit": "B", "value": value}
        write_run(tmp_path / side, "r", [row], benchmark="kv-footprint")
    code, out = compared(tmp_path, capsys)
    assert code == 1
    assert "worse" in out


def test_the_same_as_a_page_and_as_markdown(tmp_path, capsys):
    odd = "<script>|`x`"
    runs(tmp_path / "a", 1.0, environment={"cpu_model": odd})
    runs(tmp_path / "b", 1.3)
    page, text = tmp_path / "new" / "c.html", tmp_path / "c.md"
    for path in (page, text):
        code, out = compared(tmp_path, capsys, "--output", str(path))
        assert code == 1
        assert out.endswith(f"{path}\n")
    assert "<script>" not in page.read_text()
    assert "&lt;script&gt;" in page.read_text()
    assert "slower or worse beyond the margin" in page.read_text()
    assert r"\<script\>\|\`x\`" in text.read_text()
    assert "| decode-latency | time, s |" in text.read_text()
    assert str(tmp_path) not in page.read_text() + text.read_text()


def test_an_output_of_another_kind_is_refused(tmp_path, capsys):
    runs(tmp_path / "a", 1.0)
    command = ["bench", "compare", str(tmp_path / "a"), str(tmp_path / "a"), "--output", "x.pdf"]
    assert main(command) == 2, "1 would say slower"
    assert "ends in .html or .md" in capsys.readouterr().err

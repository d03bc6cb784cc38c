"""The GPU record: every step of it on a CPU, and what is made of its rows."""

import os
import subprocess
import sys

import pytest
import torch

from gqa_lib import records
from gqa_lib.kernels import triton_backend
from gqa_lib.measure import read_jsonl, write_jsonl
from gqa_lib.records import decode_gpu, report
from gqa_lib.records.keep import keep


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "gqa_lib.records.decode_gpu", *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(bool(triton_backend._missing()), reason=f"{triton_backend._missing()}")
def test_a_dry_run_goes_through_every_step_and_is_no_record(tmp_path):
    out = tmp_path / "record.jsonl"
    done = run("--dry-run", "--minutes", 90, "--tile", "16,4,2", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "DRY RUN" in done.stdout
    rows = read_jsonl(out)
    assert rows[0]["kind"] == "environment"
    assert rows[0]["triton"] is not None
    checks = [row for row in rows if row["kind"] == "check"]
    assert len(checks) == 2
    assert all(row["ok"] for row in checks)
    status = {row["arm"]: row["status"] for row in rows if row["kind"] == "arm"}
    ours = {"triton", "triton_paged", "triton_tile_16_4_2"}
    folded = {"sdpa", "sdpa_flash", "sdpa_math", "fold_sdpa", "fold_matmul"}
    assert {arm for arm, how in status.items() if how == "timed"} >= ours | folded
    assert status["sdpa_cudnn"] == "not timed"  # and why is in the record
    samples = [row for row in rows if row["kind"] == "sample"]
    assert {row["arm"] for row in samples} >= ours | folded | {"copy"}
    with pytest.raises(ValueError, match="dry run on cpu"):
        records.read(out)
    again = run("--dry-run", "--out", out)
    assert again.returncode == 1
    assert "never overwritten" in again.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured_and_that_is_said(tmp_path):
    out = tmp_path / "record.jsonl"
    done = run("--out", out)
    assert done.returncode == 1
    assert "sees no CUDA GPU" in done.stdout
    assert not out.exists()


def test_the_records_that_are_kept_are_whole():
    for name, kind in (("decode", "sample"), ("quality", "trained"), ("uptraining", "trained")):
        assert records.recorded(name)
        for path in records.recorded(name):
            rows = records.read(path)
            assert records.about(rows[0])
            assert any(row["kind"] == kind for row in rows)


def test_a_run_that_was_stopped_is_no_record(tmp_path):
    path = tmp_path / "decode-x-20260101.jsonl"
    write_jsonl(path, [{"kind": "environment", "dry_run": False}])
    with pytest.raises(ValueError, match="1 rows and no end"):
        records.read(path)


def test_the_grid_is_as_wide_as_promised():
    points = [(B, S, Hkv, D) for Hkv, D, shapes in decode_gpu.GRID for B, S in shapes]
    assert len(set(points)) == len(points) >= 24
    for column, wanted in enumerate(({1, 256}, {1024, 131072}, {1, 4, 8, 32}, {64, 128})):
        assert wanted <= {point[column] for point in points}
    assert max(2 * 2 * B * S * Hkv * D for B, S, Hkv, D in points) < 16e9  # of K and V, in bytes


# ---- records of the benchmark notebook


def samples(arm, value, **shape):
    base = {"kind": "sample", "metric": "time", "unit": "s", "phase": "measure", "quiet": None}
    return [base | {"arm": arm, "round": i, "sample": 0, "value": value} | shape for i in range(6)]


SHAPE = {"p_batch_size": 1, "p_context": 64, "p_num_kv_heads": 2, "p_head_dim": 64}
SHAPE |= {"p_num_queries": 1, "p_num_heads": 4, "p_dtype": "float32"}
ABOUT = {"gpu": None, "cpu_model": "A CPU (R)", "num_threads": 2, "torch": "2", "triton": None}
ABOUT |= {"utc": "2026-01-02T03:04:05+00:00", "device": "cpu"}


def a_run(folder):
    """A folder as the benchmark leaves it."""
    arm = {"kind": "arm", "status": "timed", **SHAPE}
    rows = samples("native", 2.0, **SHAPE) + samples("sdpa", 3.0, **SHAPE)
    reads = [row | {"kind": "read", "bytes": 1e9} for row in samples("sum", 1.0, **SHAPE)]
    write_jsonl(folder / "environment.jsonl", [ABOUT])
    write_jsonl(
        folder / "arms.jsonl", [arm | {"arm": n, "own": n == "native"} for n in ("native", "sdpa")]
    )
    write_jsonl(folder / "samples.jsonl", rows + reads)
    (folder / "result.json").write_text('{"benchmark": "decode-latency"}')
    return rows + reads


def test_a_run_becomes_a_record_with_every_sample(tmp_path, capsys, monkeypatch):
    rows = a_run(tmp_path)
    kept = keep([tmp_path], tmp_path)
    assert kept.name == "decode-a-cpu-r-2-threads-float32-20260102.jsonl"
    assert len(read_jsonl(kept)) == 1 + 2 + 3 + 1  # environment, arms, samples together, end
    read = records.read(kept)
    assert sorted(map(repr, (sorted(row.items(), key=str) for row in rows))) == sorted(
        repr(sorted(row.items(), key=str)) for row in read if "value" in row
    )
    with pytest.raises(ValueError, match="never overwritten"):
        keep([tmp_path], tmp_path)

    monkeypatch.setattr(report, "recorded", lambda name: [kept])
    report.show_recorded()
    said = capsys.readouterr().out
    assert "RECORDED, not measured in this run" in said
    assert "A CPU (R), 2 threads" in said
    assert "No record of a GPU" in said
    assert "1.50" in said  # peer over own


def test_runs_that_are_alike_make_one_record(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        a_run(tmp_path / name)
    kept = keep([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert sum("value" in row for row in records.read(kept)) == 2 * 18
    other = tmp_path / "b" / "environment.jsonl"
    other.write_text(other.read_text().replace("2026-01-02", "2026-01-03"))
    with pytest.raises(ValueError, match="runs differ"):
        keep([tmp_path / "a", tmp_path / "b"], tmp_path)


def test_a_run_without_its_end_is_not_kept(tmp_path):
    a_run(tmp_path)
    (tmp_path / "result.json").unlink()
    with pytest.raises(ValueError, match="did not reach its end"):
        keep([tmp_path], tmp_path)


def test_the_report_says_what_was_gained_what_was_wrong_and_what_did_not_run():
    about = {"kind": "environment", "dry_run": False, "device": "cuda", "utc": "now"}
    rows = [about | {"gpu": {"name": "H", "driver": "1"}, "torch": "2", "triton": "3"}]
    rows += samples("copy", 1e-3, bytes=1e9)  # 1 TB/s
    for Hkv, ours in ((8, 1e-3), (32, 3.6e-3)):
        shape = SHAPE | {"p_num_kv_heads": Hkv, "p_num_heads": 32, "p_batch_size": 32}
        rows += samples("triton", ours, **shape) + samples("triton_paged", 1.1 * ours, **shape)
        rows.append({"kind": "arm", "arm": "triton", "own": True, "status": "timed", **shape})
    rows.append({"kind": "check", "name": "float32 D=64", "ok": False})
    arm = {"kind": "arm", "arm": "sdpa_cudnn", "status": "not timed", "reason": "no such\nthing"}
    text = report.report([*rows, arm, arm, {"kind": "end"}])
    assert "8 KV heads 3.60x faster than 32 (by bytes 4x)" in text
    assert "in pages 1.10 of the contiguous cache's time: batch 32" in text
    assert "0 of 1 checks" in text
    assert "WRONG: float32 D=64" in text
    assert "not timed at 2 points: sdpa_cudnn: no such" in text

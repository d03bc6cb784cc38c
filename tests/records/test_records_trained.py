"""Records of benchmarks that train: whole, in their own words, recomputed from their rows."""

import json
from dataclasses import asdict

import pytest

from gqa_lib import records
from gqa_lib.bench import benchmarks, parameters
from gqa_lib.measure import write_jsonl
from gqa_lib.records import report
from gqa_lib.records.keep import keep
from gqa_lib.train import compare_paired

ABOUT = {"gpu": None, "cpu_model": "A CPU (R)", "num_threads": 2, "torch": "2", "triton": None}
ABOUT |= {"utc": "2026-01-02T03:04:05+00:00", "device": "cpu"}
MEASURED = {8: [0.75, 0.5, 0.625], 2: [0.25, 0.125, 0.1875]}


PLACES = {"text": "/home/me/text", "keep_dir": "/home/me/kept"}


def a_run(folder, benchmark="quality", **params):
    """A folder as `gqa bench` leaves it."""
    folder.mkdir(exist_ok=True)
    label = {"metric": "accuracy", "unit": "share of right answers", "num_heads": 8, "head_dim": 4}
    rows = [
        label | {"num_kv_heads": kv, "seed": seed, "step": 40, "value": value}
        for kv, values in MEASURED.items()
        for seed, value in enumerate(values)
    ]
    found = compare_paired(*MEASURED.values(), margin=0.02, lower_is_better=False)
    result = {"benchmark": benchmark, "finding": "What came out.", "differences": {}}
    result["params"] = parameters(benchmarks()["quality"]) | PLACES | params
    result["text"] = {"origin": "my.txt, 9 bytes", "digest": "ab" * 32} if params else None
    result["differences"]["GQA 2"] = asdict(found)
    write_jsonl(folder / "environment.jsonl", [ABOUT])
    write_jsonl(folder / "samples.jsonl", rows)
    (folder / "result.json").write_text(json.dumps(result))
    return found


def test_a_run_becomes_a_record_that_says_how_it_was_made(tmp_path, capsys, monkeypatch):
    found = a_run(tmp_path, steps=40, num_kv_heads=[8, 2], task="text")
    kept = keep([tmp_path], tmp_path)
    start, digest, day = kept.stem.rsplit("-", 2)
    assert (start, len(digest), day) == ("quality-text-a-cpu-r-2-threads", 8, "20260102")
    assert "/home/me" not in kept.read_text()
    monkeypatch.setattr(report, "recorded", lambda name: [kept])
    report.show_recorded("quality")
    said = capsys.readouterr().out
    assert "RECORDED, not measured in this run" in said
    assert (
        "gqa bench quality -p task=text -p 'num_kv_heads=[8, 2]' -p steps=40 -p text=TEXT\n" in said
    )
    assert "text: my.txt, 9 bytes (SHA-256 abababababab...)" in said
    assert "What came out." in said
    assert "8 query heads, 2 KV heads of 4   0.1875" in said
    assert "means of 3 seeds" in said
    assert f"GQA 2: {found}" in said
    assert "No record of a GPU" not in said


def test_only_some_benchmarks_have_records(tmp_path):
    a_run(tmp_path, "prefill")
    with pytest.raises(ValueError, match="no records are kept: choose from decode-latency, qual"):
        keep([tmp_path], tmp_path)


def test_a_run_that_does_not_say_its_parameters_is_not_kept(tmp_path):
    a_run(tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    result.pop("params")
    (tmp_path / "result.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match="has no params: run the benchmark again"):
        keep([tmp_path], tmp_path)


def test_two_runs_of_a_day_are_two_records_and_never_one(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    a_run(one)
    a_run(other, lr=0.5)
    with pytest.raises(ValueError, match="Make a record of each"):
        keep([one, other], tmp_path)
    kept = [keep([run], tmp_path) for run in (one, other)]
    assert len(set(kept)) == 2
    settings = [records.read(path)[1]["params"] for path in kept]
    assert [setting["lr"] for setting in settings] == [0.008, 0.5]
    assert settings[0]["steps"] == 300
    with pytest.raises(ValueError, match="never overwritten"):
        keep([one], tmp_path)


@pytest.mark.parametrize("name", ["quality", "uptraining"])
def test_a_finding_is_what_its_rows_say(name):
    """The differences that were recorded are those of the recorded results."""
    for path in records.recorded(name):
        rows = records.read(path)
        found = [row for row in rows if row["kind"] == "difference"]
        assert found
        first, *_ = trained = [row for row in rows if row["kind"] == "trained"]
        arms = {}
        for row in trained:
            place = row.get("method"), row["num_kv_heads"], row["step"]
            arms.setdefault(place, []).append(row["value"])
        sizes = {len(values) for values in arms.values()}
        assert sizes == {found[0]["num_pairs"]}
        better = {"margin": found[0]["margin"], "lower_is_better": first["metric"] == "loss"}
        recomputed = {
            round(compare_paired(one, other, **better).difference, 12)
            for one in arms.values()
            for other in arms.values()
            if one is not other
        }
        assert {round(row["difference"], 12) for row in found} <= recomputed

"""`gqa report`: a memo in a folder, its answer on the terminal, and refusals in a line."""

import json

import pytest
from memo_cases import runs, vllm_result

from gqa_lib.cli import main
from gqa_lib.records import recorded

RECORD = recorded("quality")[0]
PLAIN = ("report", "--model", "Llama-3.1-8B", "--hardware", "RTX 4090", "--requests", 40)
BASE = (*PLAIN, "--records", RECORD)


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "my trace.csv"
    rows = [f"{i * 0.4:.1f},{300 + 40 * (i % 7)},{20 + i % 9}" for i in range(60)]
    path.write_text("\n".join(["arrival_s,prompt_tokens,output_tokens", *rows]))
    return path


def test_a_memo_is_written_with_the_kernels_of_that_card(tmp_path, trace, capsys):
    out = tmp_path / "new" / "memo"
    code, text, err = run(capsys, *PLAIN, "--trace", trace, "--variants", "32,8", "--output", out)
    assert (code, err) == (0, "")
    assert text.startswith("It cannot be said yet whether GQA, 8 KV heads (the model as it is)")
    assert {path.name for path in out.iterdir()} == {
        *("memo.md", "memo.html", "concurrency.svg", "speed.svg")
    }
    memo = (out / "memo.md").read_text()
    assert "rtx4090-llama-3.1-8b" in memo
    assert "my trace.csv" in memo
    assert "as recorded on AMD EPYC" in memo  # the course's own records
    assert "](concurrency.svg)" in memo
    assert (out / "memo.html").read_text().startswith("<!DOCTYPE html>")


def test_measured_results_decide_and_are_priced(tmp_path, trace, capsys):
    lengths = {"total_input_tokens": 40 * 420.0, "completed": 40}
    results = []
    for heads, rates in ((32, (50, 51)), (8, (100, 104))):
        outputs = 40 * 23.9
        for place, rate in enumerate(rates):
            path = tmp_path / f"kv{heads}-{place}.json"
            made = {"total_output_tokens": outputs, "duration": outputs / rate, **lengths}
            results.append(vllm_result(path, float(rate), **made))
    arguments = ("--trace", trace, "--variants", "32,8", "--price-per-hour", 0.36)
    rest = ("--currency", "EUR", "--results", *results, "--output", tmp_path / "memo")
    code, text, err = run(capsys, *BASE, *arguments, *rest)
    assert (code, err) == (0, "")
    assert text.startswith("Adopt GQA, 8 KV heads (the model as it is)")
    assert "0.98 (0.962 to 1) EUR [measured] per million output tokens" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--price-per-hour", "-1"), "'-1' is not a number above 0"),
        (("--price-per-hour", "nan"), "'nan' is not a number above 0"),
        (("--variants", "32,five"), "'five' is not a number of KV heads"),
        (("--variants", "32,5"), "num_kv_heads=5"),
        (("--model", "nope"), "nope"),
        (("--hardware", "nope"), "no data sheet for 'nope'"),
        (("--trace", "nope.csv"), "nope.csv"),
        (("--records", "nope.jsonl"), "nope.jsonl cannot be read"),
        (("--results", "nope.json"), "nope.json"),
        (("--quality", "nope.jsonl"), "nope.jsonl"),
        (("--goodput", "soon"), "'soon' is not a latency"),
        (("--gpu-memory-utilization", "2"), "is a share"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said_in_a_line_and_nothing_is_written(
    tmp_path, trace, capsys, arguments, message
):
    out = tmp_path / "memo"
    try:
        code, text, err = run(capsys, *BASE, "--trace", trace, "--output", out, *arguments)
    except SystemExit as ended:
        code, (text, err) = ended.code, capsys.readouterr()
    assert (code, text) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not out.exists()


def test_a_result_with_nan_is_refused(tmp_path, trace, capsys):
    path = tmp_path / "run.json"
    vllm_result(path, output_throughput=float("nan"))
    assert "NaN" in path.read_text()
    code, _, err = run(
        capsys, *BASE, "--trace", trace, "--output", tmp_path / "memo", "--results", path
    )
    assert code == 2
    assert "run.json, output_throughput: nan" in err


def test_a_quality_record_that_compares_nothing_is_refused(tmp_path, trace, capsys):
    path = tmp_path / "record.jsonl"
    rows = [{"kind": "environment", "utc": "2026-11-29"}, {"kind": "end"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = run(
        capsys, *BASE, "--trace", trace, "--output", tmp_path / "memo", "--quality", path
    )
    assert code == 2
    assert "record.jsonl compares no models" in err


def test_a_variant_may_be_named_with_its_file(tmp_path, trace, capsys):
    results = runs(tmp_path, 4, 80.0, model_id="/models/mine")
    options = ("--variants", "32,8,4", "--results", *results, "--output", tmp_path / "memo")
    code, _, err = run(capsys, *BASE, "--trace", trace, *options)
    assert (code, err) == (0, "")
    assert "GQA, 4 KV heads: 4-0.json" in (tmp_path / "memo" / "memo.md").read_text()

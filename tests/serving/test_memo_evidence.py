"""Records and results for a memo: what they say, and which are refused, by line."""

import json
import shutil

import numpy as np
import pytest
from memo_cases import MACHINE, MODEL, OUTPUT, lm_eval, question, vllm_result

from gqa_lib.records import recorded
from gqa_lib.serving.memo import read_evidence, read_record, read_served
from gqa_lib.serving.memo.evaluated import compared, read_evaluation
from gqa_lib.serving.memo.records import decodings, qualities
from gqa_lib.serving.results.names import same_machine

ENVIRONMENT = {"kind": "environment", "cpu_model": "a CPU", "num_threads": 2}
ENVIRONMENT |= {"utc": "2026-11-25T04:09:01+00:00"}
POINT = {"p_batch_size": 1, "p_context": 64, "p_num_kv_heads": 2, "p_head_dim": 8}
POINT |= {"p_num_queries": 1, "p_num_heads": 4, "p_dtype": "float32"}
SAMPLE = {"kind": "sample", "arm": "native", "metric": "time", "unit": "s", "phase": "measure"}
SAMPLE |= {"round": 0, "sample": 0, "quiet": True, "value": 0.001, **POINT}


def served(spec):
    return read_served(spec, MODEL, 8, MACHINE)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_kernel_records_of_another_machine_are_as_recorded():
    name, rows = read_record(recorded("decode")[-1])
    points = decodings(name, rows)
    assert {one.num_kv_heads for one in points} == {32, 8, 4, 1}
    for one in points:
        assert one.seconds.kind == one.speedup.kind == "measured"
        assert one.seconds.source.file == name
        assert "as recorded on AMD EPYC, 2 threads, 2026-11-25" in str(one.seconds.source)
        assert one.seconds.low <= one.seconds.value <= one.seconds.high
    longest = [one for one in points if one.context == 131_072 and one.head_dim == 128]
    at = {one.num_kv_heads: one for one in longest}
    assert at[8].speedup.value == pytest.approx(at[32].seconds.value / at[8].seconds.value)
    assert at[32].speedup.value == 1


def test_quality_records_say_what_was_told_apart():
    for path in recorded("quality"):
        for one in qualities(*read_record(path)):
            assert one.difference.low <= one.difference.value <= one.difference.high
            assert one.num_kv_heads is None  # of small models, not of the memo's
            assert one.verdict in ("worse", "not distinguishable")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "0 rows and no end"),
        ([ENVIRONMENT, SAMPLE], "2 rows and no end"),
        ([SAMPLE, {"kind": "end"}], "line 1 is .* environment is needed"),
        ([ENVIRONMENT, ENVIRONMENT, {"kind": "end"}], "line 2 is .*two of them in one file"),
        ([ENVIRONMENT, [1]], r"line 2 is \[1\]"),
        ([ENVIRONMENT | {"dry_run": True}], "line 1: it is of a dry run"),
        ([ENVIRONMENT, SAMPLE | {"value": float("nan")}], "line 2: value nan is not a finite"),
        ([ENVIRONMENT, SAMPLE | {"value": [0.1, -1]}], "line 2: value -1 is not a finite"),
        ([ENVIRONMENT, SAMPLE | {"value": 0}], "line 2: value 0 is not a finite number above 0"),
        ([ENVIRONMENT, {"kind": "difference", "of": "GQA 2"}], "line 2 has no difference"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_malformed_record_is_refused_by_its_line(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read_record(write(tmp_path / "record.jsonl", rows))


@pytest.mark.parametrize(
    "rows",
    [[{"kind": "sample", "value": 1.0}], [{"kind": "arm"}], [SAMPLE | {"p_dtype": None}]],
    ids=["no arm", "no own", "no dtype"],
)
def test_a_record_with_rows_of_another_make_is_refused(tmp_path, rows):
    arm = {"kind": "arm", "arm": "native", "own": True, **POINT, "p_dtype": rows[0].get("p_dtype")}
    name, read = read_record(
        write(tmp_path / "r.jsonl", [ENVIRONMENT, arm, *rows, {"kind": "end"}])
    )
    with pytest.raises(ValueError, match=r"r.jsonl has a row without"):
        decodings(name, read)


def test_a_torn_or_unreadable_record_is_refused(tmp_path):
    path = write(tmp_path / "record.jsonl", [ENVIRONMENT])
    path.write_text(path.read_text() + '{"kind": "sam')
    with pytest.raises(ValueError, match=r"record.jsonl, line 2 is not JSON"):
        read_record(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_record(tmp_path / "absent.jsonl")


def test_a_result_says_variant_machine_day_and_traffic(tmp_path):
    (run,) = served(vllm_result(tmp_path / "run.json", 120.0, hardware="NVIDIA RTX 4090"))
    assert (run.num_kv_heads, run.machine, run.says_machine) == (8, "NVIDIA RTX 4090", True)
    assert run.at_capacity
    assert run.mean_output == pytest.approx(OUTPUT)
    figure = run.figure("output_throughput", "tokens/s")
    assert figure.value == 120
    assert str(figure.source) == (
        "run.json: output_throughput; as recorded on NVIDIA RTX 4090, 2026-11-29"
    )


@pytest.mark.parametrize(
    ("name", "spec", "changes", "heads"),
    [
        ("run.json", "{}", {}, 8),  # by the model's name
        ("run.json", "{}", {"num_kv_heads": "4"}, 4),  # as --metadata writes it
        ("kv16-compare-rate2-seed0.json", "{}", {"model_id": "/models/x"}, 16),
        ("run.json", "4={}", {"num_kv_heads": 4}, 4),
        ("run.json", "{}", {"model_id": "org/Meta-Llama-3.1-8B-Instruct"}, 8),
    ],
)
def test_which_variant_was_served(tmp_path, name, spec, changes, heads):
    path = vllm_result(tmp_path / name, **changes)
    assert served(spec.format(path))[0].num_kv_heads == heads


@pytest.mark.parametrize(
    ("name", "spec", "changes", "message"),
    [
        ("run.json", "32={}", {"num_kv_heads": 4}, "you say says 32, num_kv_heads in it says 4 KV"),
        ("kv8-capacity-seed0.json", "32={}", {}, "you say says 32, its name says 8 KV heads"),
        ("kv8-capacity-seed0.json", "{}", {"num_kv_heads": 4}, "its name says 8 KV heads"),
        ("kv8-capacity-seed0.json", "{}", {"model_id": "Qwen/Qwen2-0.5B"}, "is of the model"),
        ("run.json", "8={}", {"model_id": "x/Llama-3.1-8B-pruned-1B"}, "is of the model"),
    ],
)
def test_a_run_of_another_model_or_variant_is_refused(tmp_path, name, spec, changes, message):
    with pytest.raises(ValueError, match=message):
        served(spec.format(vllm_result(tmp_path / name, **changes)))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("RTX 4090", "NVIDIA GeForce RTX 4090", True),
        ("H100 SXM", "NVIDIA H100 80GB HBM3", True),
        ("A100 40GB", "NVIDIA A100-PCIE-40GB", True),
        ("L4", "NVIDIA L40S", False),
        ("A100 40GB", "NVIDIA A100-SXM4-80GB", False),
        ("A10", "NVIDIA A100-SXM4-80GB", False),
        ("RTX 4090", "NVIDIA GeForce RTX 4090 D", False),
        ("RTX 4090", "NVIDIA GeForce RTX 4090 Laptop GPU", False),
        ("2 x RTX 4090", "RTX 4090", False),
        ("H100 SXM", "NVIDIA H100 NVL", False),
        ("H100 PCIe", "NVIDIA H100 80GB HBM3", False),
        ("NVIDIA", "AMD", False),
        ("NVIDIA", "nvidia", True),
    ],
)
def test_devices_are_the_same_by_whole_words(one, other, same):
    assert same_machine(one, other) is same
    assert same_machine(other, one) is same


def test_a_run_given_twice_is_refused(tmp_path):
    one = vllm_result(tmp_path / "a.json")
    copy = str(shutil.copy(one, tmp_path / "b.json"))
    for again in (one, f"4={one}", copy):
        with pytest.raises(ValueError, match="is given twice"):
            read_evidence(question(), [], [f"8={one}", again])
    scores = lm_eval(tmp_path / "e.json", 0.8)
    with pytest.raises(ValueError, match="is given twice"):
        read_evidence(question(), [], [], [f"8={scores}", f"4={scores}"])


def detailed(path, rate, capacity, num=400, took=1.0, **changes):
    """Write a run with its requests: a queue that answers `capacity` a second at most."""
    starts = np.cumsum(np.random.default_rng(0).exponential(1 / rate, num))
    starts, free, ends = starts - starts[0], 0.0, []
    for start in starts:
        free = max(free, start) + 1 / capacity
        ends.append(free + took)
    gaps = [[(end - start) / 2] for start, end in zip(starts, ends, strict=True)]
    lists = {"input_lens": [500] * num, "output_lens": [2] * num, "start_times": starts.tolist()}
    lists |= {"ttfts": [one[0] for one in gaps], "itls": gaps}
    return vllm_result(path, completed=num, **(lists | {"request_rate": rate} | changes))


@pytest.mark.parametrize(
    ("rate", "capacity", "more", "at_capacity"),
    [
        (2.0, 1.0, {}, True),
        (0.8, 1.0, {}, False),
        (25.0, 1000.0, {"num": 100, "took": 3.0}, False),  # over before most are answered
        (25.0, 1000.0, {"num": 300, "took": 5.0}, False),  # only fills
        (2.0, 1.0, {"request_rate": None}, True),
    ],
)
def test_a_server_is_at_capacity_if_it_falls_behind_what_comes(
    tmp_path, rate, capacity, more, at_capacity
):
    (run,) = served(detailed(tmp_path / "run.json", rate, capacity, **more))
    assert run.at_capacity is at_capacity
    assert run.rate == pytest.approx(rate, rel=0.2)


def test_totals_at_a_rate_or_at_none_do_not_say_that_a_server_was_at_capacity(tmp_path):
    (slow,) = served(vllm_result(tmp_path / "run.json", request_rate=99.0))  # it may have drained
    (silent,) = served(vllm_result(tmp_path / "run.json", request_rate=None))
    assert (slow.at_capacity, slow.rate) == (False, 99.0)
    assert (silent.at_capacity, silent.rate) == (False, None)


def test_aiperfs_runs_are_at_the_rate_at_which_they_came(tmp_path):
    def row(start):
        values = {"input_sequence_length": 500, "output_sequence_length": 20}
        values |= {"time_to_first_token": 100.0, "request_latency": 500.0}
        metrics = {
            name: {"value": value, "unit": "tokens" if "length" in name else "ms"}
            for name, value in values.items()
        }
        about = {"request_start_ns": int(1e9 * (1 + start)), "model_name": MODEL}
        return {"metadata": about, "metrics": metrics}

    for gap, at_capacity in ((10.0, False), (1e-5, True)):
        path = write(tmp_path / "profile_export.jsonl", [row(n * gap) for n in range(100)])
        (run,) = served(f"8={path}")
        assert run.at_capacity is at_capacity
        assert run.rate == (None if at_capacity else pytest.approx(0.1))


def test_guidellms_closed_loops_are_not_at_capacity(tmp_path):
    for strategy, at_capacity in (
        ("synchronous", False),
        ("concurrent", False),
        ("throughput", True),
    ):
        rows = [
            {
                "request_start_time": float(n),
                "prompt_tokens": 500,
                "output_tokens": 20,
                "time_to_first_token_ms": 100.0,
                "time_per_output_token_ms": 40.0,
            }
            for n in range(50)
        ]
        config = {"strategy": {"type_": strategy}}
        path = tmp_path / "g.json"
        path.write_text(
            json.dumps({"benchmarks": [{"config": config, "requests": {"successful": rows}}]})
        )
        (run,) = served(f"8={path}")
        assert (run.at_capacity, run.rate) == (at_capacity, None)


def test_a_file_without_hardware_is_taken_as_said_and_says_so(tmp_path):
    (run,) = served(vllm_result(tmp_path / "run.json"))
    assert (run.machine, run.says_machine) == (MACHINE, False)
    assert "as --hardware says, which the file does not" in run.recorded


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_throughput": float("nan")}, "output_throughput.*nan"),
        ({"output_throughput": 0.0}, "output_throughput=0.0 is not a number above 0"),
        ({"output_throughput": -3.0}, "output_throughput.*-3"),
        ({"output_throughput": "fast"}, "output_throughput=None is not a number above 0"),
        ({"completed": 0}, "completed=0.0 is not a number above 0"),
        ({"duration": 1.0}, "numbers of two runs are mixed"),
        ({"model_id": "Qwen3-8B"}, "is of the model 'Qwen3-8B', not of Llama-3.1-8B"),
        ({"model_id": "/models/x"}, "'/models/x' and does not say num_kv_heads"),
        ({"num_kv_heads": "eight"}, "num_kv_heads='eight' is not a whole number"),
        ({"hardware": 4090}, "hardware=4090 is not the name of a device"),
        ({"mean_kv_usage": 0.9}, "of a simulation"),
        ({"duration": None}, "none of the results that are known"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_result_that_cannot_be_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        served(vllm_result(tmp_path / "run.json", **changes))


def test_two_results_in_one_file_are_refused_by_line(tmp_path):
    path = tmp_path / "runs.json"
    vllm_result(path)
    text = path.read_text()
    path.write_text(f"{text}\n{text}\n")
    with pytest.raises(ValueError, match=r"runs.json, line 2: a second result"):
        served(str(path))


def test_scores_are_compared_with_their_errors(tmp_path):
    base = read_evaluation(lm_eval(tmp_path / "a.json", 0.80), MODEL, 8)
    other = read_evaluation(f"4={lm_eval(tmp_path / 'b.json', 0.75)}", MODEL, 8)
    assert (base.num_kv_heads, other.num_kv_heads) == (8, 4)
    (one,) = compared(base, other, 0.01)
    half = 1.96 * 0.002 * 2**0.5
    assert one.difference.value == pytest.approx(-0.05)
    assert one.difference.low == pytest.approx(-0.05 - half)
    assert one.verdict == "worse"
    assert "as recorded 2026-" in str(one.difference.source)


@pytest.mark.parametrize(
    ("score", "error", "verdict"),
    [
        (0.8, 0.002, "same within the margin"),
        (0.8, 0.01, "not distinguishable"),
        (0.83, 0.002, "better"),
        (0.785, 0.002, "not distinguishable"),
    ],
)
def test_verdicts_of_scores_against_the_margin(tmp_path, score, error, verdict):
    base = read_evaluation(lm_eval(tmp_path / "a.json", 0.80, error), MODEL, 8)
    other = read_evaluation(f"4={lm_eval(tmp_path / 'b.json', score, error)}", MODEL, 8)
    assert compared(base, other, 0.01)[0].verdict == verdict


def test_where_less_is_better_more_is_worse(tmp_path):
    files = [
        lm_eval(tmp_path / f"{place}.json", score, higher_is_better={"gsm8k": {"acc": False}})
        for place, score in enumerate((5.0, 5.5))
    ]
    base, other = (read_evaluation(file, MODEL, 8) for file in files)
    assert compared(base, other, 0.01)[0].verdict == "worse"


@pytest.mark.parametrize(
    ("metric", "verdict"),
    [
        ("word_perplexity", "worse"),
        ("bits_per_byte", "worse"),
        ("acc_norm", "better"),
        ("rougeL", "better"),
        ("prompt_level_strict_acc", "better"),
        ("exact_match", "better"),
        ("f1", "better"),
    ],
)
def test_a_metric_has_its_direction_by_name_where_the_file_is_silent(tmp_path, metric, verdict):
    def file(place, score):
        values = {f"{metric},none": score, f"{metric}_stderr,none": 0.01}
        more = {"results": {"wikitext": values}, "higher_is_better": None}
        return lm_eval(tmp_path / f"{place}.json", 0.0, **more)

    base, other = (read_evaluation(file(*one), MODEL, 8) for one in ((0, 9.0), (1, 12.0)))
    assert compared(base, other, 0.01)[0].verdict == verdict


def test_a_metric_of_no_known_direction_is_refused(tmp_path):
    values = {"charm,none": 1.0, "charm_stderr,none": 0.1}
    path = lm_eval(tmp_path / "a.json", 0.0, results={"t": values}, higher_is_better={})
    with pytest.raises(ValueError, match="whether more charm is better is not known"):
        read_evaluation(path, MODEL, 8)


def test_lm_evals_model_arguments_name_the_model(tmp_path):
    def with_arguments(name):
        said = {"model_args": f"pretrained={name},dtype=bfloat16"}
        return lm_eval(tmp_path / "a.json", 0.8, model_name=None, config=said)

    assert read_evaluation(with_arguments("meta-llama/Llama-3.1-8B"), MODEL, 8).num_kv_heads == 8
    with pytest.raises(ValueError, match=r"is of the model 'Qwen/Qwen2-0\.5B'"):
        read_evaluation(f"8={with_arguments('Qwen/Qwen2-0.5B')}", MODEL, 8)


def test_scores_without_errors_or_not_finite_are_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"results": {"gsm8k": {"acc,none": 0.8}}}))
    with pytest.raises(ValueError, match="no score with its standard error"):
        read_evaluation(str(path), MODEL, 8)
    with pytest.raises(ValueError, match=r"gsm8k: acc,none=nan"):
        read_evaluation(lm_eval(path, float("nan")), MODEL, 8)
    with pytest.raises(ValueError, match="does not say num_kv_heads"):
        read_evaluation(lm_eval(path, 0.8, model_name="other"), MODEL, 8)

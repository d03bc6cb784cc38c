"""Results of other benchmarks under vLLM's names: known numbers, and what is refused."""

import gzip
import json

import numpy as np
import pytest

from gqa_lib.serving.results import load_results

# Three requests, given out of order: starts 2, 0, 1 s.
VLLM = {
    "date": "20261129",
    "model_id": "m",
    "request_rate": 1.0,
    "seed": 3,
    "duration": 9.0,
    "completed": 3,
    "failed": 1,
    "request_throughput": 0.33,
    "output_throughput": 2.0,
    "mean_ttft_ms": 77.0,
    "input_lens": [30, 10, 20, 40],
    "output_lens": [1, 3, 2, 0],
    "ttfts": [0.3, 0.1, 0.2, 0.0],
    "itls": [[], [0.04, 0.06], [0.03], []],
    "start_times": [2.0, 0.0, 1.0, 3.0],
    "errors": ["", "", "", "timeout"],
}


def write(folder, content, name="result.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def one(folder, content, name="result.json"):
    (found,) = load_results([write(folder, content, name)])
    return found


def test_vllms_requests_are_computed_again_under_its_names(tmp_path):
    found = one(tmp_path, VLLM)
    assert (found.format, found.failed, found.conditions["seed"]) == ("vllm-bench", 1, 3)
    assert found.trace.prompt_tokens.tolist() == [10, 20, 30]
    figures = found.summary({"ttft": 250.0, "tpot": 40.0})
    assert figures["mean_ttft_ms"] == pytest.approx(200)  # and not the 77 that the file states
    assert figures["mean_tpot_ms"] == pytest.approx((50 + 30) / 2)  # a single token has none
    assert figures["mean_itl_ms"] == pytest.approx((40 + 60 + 30) / 3)
    assert figures["mean_e2el_ms"] == pytest.approx((200 + 230 + 300) / 3)
    assert figures["duration"] == pytest.approx(2.3)
    assert figures["output_throughput"] == pytest.approx(6 / 2.3)
    # The first exceeds tpot, the third ttft.
    assert figures["request_goodput"] == pytest.approx(1 / 2.3)


def test_statistics_are_those_of_vllm(tmp_path):
    rng = np.random.default_rng(0)
    num = 300
    ttfts, outputs = rng.exponential(0.2, num), rng.integers(2, 9, num)
    itls = [rng.exponential(0.02, n - 1).tolist() for n in outputs]
    given = VLLM | {
        "input_lens": [9] * num,
        "output_lens": outputs.tolist(),
        "ttfts": ttfts.tolist(),
        "itls": itls,
        "latencies": [t + sum(gaps) for t, gaps in zip(ttfts, itls, strict=True)],
        "start_times": np.arange(num).tolist(),
    }
    figures = one(tmp_path, given).summary(percentiles=(99,))
    tpots = [1e3 * sum(gaps) / len(gaps) for gaps in itls]
    assert figures["p99_tpot_ms"] == pytest.approx(np.percentile(tpots, 99))
    assert figures["median_ttft_ms"] == pytest.approx(1e3 * np.median(ttfts))
    assert figures["std_itl_ms"] == pytest.approx(1e3 * np.std(np.concatenate(itls)))


def test_vllms_totals_are_taken_as_they_are(tmp_path):
    totals = {name: value for name, value in VLLM.items() if not isinstance(value, list)}
    found = one(tmp_path, totals)
    assert found.summary()["mean_ttft_ms"] == 77
    assert not found.measures_requests
    assert "--save-detailed" in found.notes[0]
    with pytest.raises(ValueError, match="has totals only"):
        found.latencies_s()


def aiperf(start_s, prompt, output, ttft_ms, latency_ms, **about):
    metrics = {
        "input_sequence_length": {"value": prompt, "unit": "tokens"},
        "output_sequence_length": {"value": output, "unit": "tokens"},
        "time_to_first_token": {"value": ttft_ms, "unit": "ms"},
        "request_latency": {"value": latency_ms, "unit": "ms"},
    }
    row = {"metadata": {"request_start_ns": int(1e9 * start_s)}, "metrics": metrics}
    return row | about


def test_aiperfs_requests(tmp_path):
    rows = [
        aiperf(5.0, 10, 3, 100, 200),
        aiperf(6.0, 20, 2, 200, 230),
        aiperf(7.0, 20, 2, 200, 230, error={"code": 500}),
    ]
    found = one(tmp_path, "\n".join(map(json.dumps, rows)), "profile_export.jsonl")
    figures = found.summary()
    assert (found.format, found.failed) == ("aiperf", 1)
    assert figures["mean_tpot_ms"] == pytest.approx((50 + 30) / 2)
    assert figures["mean_e2el_ms"] == pytest.approx(215)
    assert "mean_itl_ms" not in figures


def test_aiperfs_totals_are_in_ms_whatever_their_unit(tmp_path):
    totals = {
        "schema_version": "1.5",
        "time_to_first_token": {"unit": "ms", "avg": 200.0, "p99": 300.0},
        "inter_token_latency": {"unit": "s", "avg": 0.04, "p50": 0.03},
        "request_latency": {"unit": "ms", "avg": 215.0},
        "request_throughput": {"unit": "requests/sec", "avg": 1.5},
        "request_count": {"unit": "requests", "avg": 20.0},
        "run_info": {"random_seed": 44},
    }
    found = one(tmp_path, totals, "profile_export_aiperf.json")
    figures = found.summary()
    # What AIPerf calls inter-token latency is a mean over each request: vLLM's tpot.
    assert (figures["mean_tpot_ms"], figures["median_tpot_ms"]) == (40, 30)
    assert figures["p99_ttft_ms"] == 300
    assert (figures["request_throughput"], found.conditions["seed"]) == (1.5, 44)
    totals["request_latency"]["unit"] = "parsecs"
    with pytest.raises(ValueError, match="its unit is 'parsecs'"):
        one(tmp_path, totals)


def guidellm(start, prompt, output, ttft_ms, per_token_ms):
    return {
        "request_start_time": start,
        "prompt_tokens": prompt,
        "output_tokens": output,
        "time_to_first_token_ms": ttft_ms,
        "time_per_output_token_ms": per_token_ms,
        "request_latency": 99.0,
    }


def test_guidellms_time_per_token_counts_the_first_and_is_converted(tmp_path):
    # 100 ms to the first token and 200 to the last of 3: 66.7 ms a token with it, 50 without.
    rows = [guidellm(1001.0, 20, 2, 200.0, 115.0), guidellm(1000.0, 10, 3, 100.0, 200 / 3)]
    benchmark = {
        "config": {"strategy": {"type_": "poisson", "rate": 2.0}},
        "requests": {"successful": rows, "errored": [{}]},
    }
    found, second = load_results([write(tmp_path, {"benchmarks": [benchmark, benchmark]})])
    assert found.trace.prompt_tokens.tolist() == [10, 20]
    assert 1e3 * found.latencies_s()["tpot"] == pytest.approx([50, 30])
    assert found.summary()["mean_e2el_ms"] == pytest.approx(215)
    assert (found.failed, found.conditions["request_rate"]) == (1, 2.0)
    assert second.source == "result.json #1"
    assert "counts the first token" in found.notes[0]


def test_a_compressed_file_is_read(tmp_path):
    path = tmp_path / "result.json.gz"
    path.write_bytes(gzip.compress(json.dumps(VLLM).encode()))
    assert load_results([path])[0].summary()["completed"] == 3


def test_all_formats_agree_on_the_same_requests(tmp_path):
    seconds = [(0.0, 10, 3, 0.1, 0.2), (1.0, 20, 2, 0.2, 0.23)]
    start, prompt, output, ttft, e2e = map(list, zip(*seconds, strict=True))
    lists = {"input_lens": prompt, "output_lens": output, "ttfts": ttft, "latencies": e2e}
    vllm = one(tmp_path, VLLM | lists | {"start_times": start, "itls": None})
    rows = [aiperf(s, p, o, 1e3 * t, 1e3 * e) for s, p, o, t, e in seconds]
    other = one(tmp_path, "\n".join(map(json.dumps, rows)), "profile_export.jsonl")
    rows = [guidellm(s, p, o, 1e3 * t, 1e3 * e / o) for s, p, o, t, e in seconds]
    third = one(tmp_path, {"benchmarks": [{"requests": {"successful": rows}}]})
    for name, value in vllm.summary().items():
        if name != "failed":
            assert other.summary()[name] == pytest.approx(value), name
            assert third.summary()[name] == pytest.approx(value), name


def test_rates_of_a_window_count_all_tokens_in_it(tmp_path):
    # A request each second, 10 tokens, 0.1 s apart: 10 tokens a second in the middle.
    num = 50
    given = VLLM | {
        "input_lens": [9] * num,
        "output_lens": [10] * num,
        "ttfts": [0.55] * num,
        "itls": [[0.1] * 9] * num,
        "start_times": list(range(num)),
    }
    part = one(tmp_path, given).without_ends(10, 5)
    figures = part.summary({"ttft": 600.0})
    assert len(part.trace) == 35
    assert figures["output_throughput"] == pytest.approx(10)
    assert figures["request_throughput"] == pytest.approx(1)
    assert figures["request_goodput"] == pytest.approx(1)
    with pytest.raises(ValueError, match="none is left to measure"):
        part.without_ends(30, 5)


def reported_by_guidellm(**values):
    return {"benchmarks": [{"requests": {"successful": [guidellm(0.0, 10, 3, 100, 70) | values]}}]}


def test_an_answer_without_a_token_counts_as_failed(tmp_path):
    rows = [guidellm(float(n), 10, 3, 100.0, 70.0) for n in range(5)]
    rows[2]["output_tokens"] = 0
    found = one(tmp_path, {"benchmarks": [{"requests": {"successful": rows, "errored": [{}]}}]})
    assert (len(found.trace), found.failed) == (4, 2)
    assert "without an output token, counted as failed: 1" in found.notes[-1]


def test_failures_that_are_stated_count_though_the_lists_do_not_show_them(tmp_path):
    assert one(tmp_path, VLLM | {"failed": 7}).failed == 7


def test_several_tokens_may_come_together(tmp_path):
    found = one(tmp_path, VLLM | {"itls": [[], [0.1], [0.03], []]})
    assert (
        "itls are between chunks of several tokens, not between tokens, in requests: 1"
        in found.notes[-2]
    )
    assert found.summary()["mean_tpot_ms"] == pytest.approx((50 + 30) / 2)


def changed(**values):
    return VLLM | values


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": 1, "benchmark": []}, "it is none of the results that are known"),
        ({"duration": 1, "completed": 2}, "lacks request_throughput, output_throughput"),
        ("throughput: 3", "results are JSON objects"),
        ("[1, 2]", "results are JSON objects"),
        (changed(ttfts=[0.1]), "ttfts"),
        (changed(ttfts=[0.3, -0.1, 0.2, 0.0]), "ttft_s=-0.1"),
        (changed(ttfts=[0.3, float("nan"), 0.2, 0.0]), "ttft_s=nan"),
        (changed(latencies=[0.3, 0.05, 0.3, 0.0]), "last token came after 0.05 s"),
        (changed(itls=[[], [0.1]]), "itls"),
        (changed(itls=[[], ["x"], [], []]), "itls, request 1, entry 0: 'x' is no number"),
        (changed(duration=float("inf")), "cannot have been measured"),
        (changed(mean_kv_usage=0.3), "of a simulation: nothing in it was measured"),
        (changed(start_times=[2.0, None, 1.0, 3.0]), "start_times, entry 1: None is no number"),
        (changed(start_times=[2.0, float("nan"), 1.0, 3.0]), "start_times, entry 1: nan"),
        (changed(output_lens=[1, 3, None, 0]), "output_lens, entry 2: None is no number"),
        (changed(output_lens=[1, 3, float("nan"), 0]), "output_lens, entry 2: nan"),
        (changed(input_lens=[30, 10**400, 20, 40]), "input_lens, entry 1: 1"),
        (changed(output_throughput=10**400), "output_throughput: 1.*cannot have been measured"),
        (changed(failed=2.5), "failed: 2.5 cannot have been measured"),
        (changed(itls=[[], [0.04], [0.03, 0.1, 0.2], []]), "3 times between 2 tokens"),
        (changed(itls=[[], [], [0.03], []]), "0 times between 3 tokens"),
        (changed(itls=[[], 0.5, [0.03], []]), "itls, entry 1: 0.5 is not a list"),
        (changed(itls=[[], [[0.1], [0.2]], [0.03], []]), "itls, request 1, entry 0"),
        (changed(itls=[[], [0.1, None], [0.03], []]), "itls, request 1, entry 1: None"),
        (reported_by_guidellm(output_tokens=5.7), "output_tokens=5.7 is not a count of tokens"),
        (reported_by_guidellm(output_tokens=1e30), "output_tokens=1e\\+30 is not a count"),
        (reported_by_guidellm(prompt_tokens=0), "prompt_tokens=0 is not a count of tokens"),
        (reported_by_guidellm(request_start_time=float("nan")), "request_start_time, entry 0: nan"),
        (reported_by_guidellm(output_tokens=0), "no request was answered with a token"),
        ({"benchmarks": []}, "not a list with a benchmark"),
        ({"benchmarks": [{"requests": {"successful": []}}]}, "no answered requests"),
        (
            {"benchmarks": [{"requests": {"successful": [{"prompt_tokens": 3}]}}]},
            "request 0: without output_tokens, time_to_first_token_ms, request_start_time",
        ),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, content, said):
    with pytest.raises(ValueError, match=said):
        one(tmp_path, content)


def test_a_file_that_is_missing_or_empty_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_results([tmp_path / "none.json"])
    with pytest.raises(ValueError, match="is empty"):
        load_results([write(tmp_path, "")])
    with pytest.raises(ValueError, match="paths"):
        load_results([])

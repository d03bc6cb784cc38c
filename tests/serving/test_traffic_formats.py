"""Each format of trace, as a few rows written with its real columns and units."""

import gzip
import json

import numpy as np
import pytest

from gqa_lib.serving.traffic import FORMATS, load_trace


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def aiperf(start_ns, tokens=(550, 9), phase="profiling", error=None, unit="ms"):
    metrics = {
        "input_sequence_length": {"value": tokens[0], "unit": "tokens"},
        "output_sequence_length": {"value": tokens[1], "unit": "tokens"},
        "time_to_first_token": {"value": 255.5, "unit": unit},
        "request_latency": {"value": 297.5, "unit": unit},
        "inter_chunk_latency": {"value": [4.8, 5.3], "unit": unit},
    }
    return {
        "metadata": {
            "session_num": 45,
            "request_start_ns": start_ns,
            "benchmark_phase": phase,
            "was_cancelled": False,
        },
        "metrics": {"error_isl": {"value": 550, "unit": "tokens"}} if error else metrics,
        "error": error,
    }


def vllm_log(number, tokens, queued, first, last):
    return {
        "request_id": f"bench-{number}",
        "input_toks": tokens[0],
        "output_toks": tokens[1],
        "arrival_time": 1787267980.08 + 7 * number,
        "queued_ts": queued,
        "scheduled_ts": queued + 0.25,
        "first_token_ts": first,
        "last_token_ts": last,
    }


BENCH = {
    "duration": 12.5,
    "completed": 3,
    "total_input_tokens": 60,
    "mean_ttft_ms": 120.0,
    "input_lens": [10, 20, 30],
    "output_lens": [1, 2, 3],
    "ttfts": [0.1, 0.2, 0.3],
    "itls": [[], [0.01], [0.01, 0.02]],
    "start_times": [100.5, 101.0, 103.0],
    "errors": ["", "", ""],
}
# Of each format: a file's name and text, and the arrivals, prompts and outputs that it has.
WRITTEN = {
    "azure-2023": (
        "a.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109",
        ([0, 4.314579], [374, 396], [44, 109]),
    ),
    "azure-2024": (
        "a.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-12 23:59:59.001163+00:00,2399,10\n2024-05-13 00:00:01+00:00,76,15\n",
        ([0, 1.998837], [2399, 76], [10, 15]),
    ),
    "azure-2025": (
        "a.csv",
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n"
        "2024-10-15 00:00:00.5,1,900,10\n2024-10-15 00:00:02,0,80,15\n",
        ([0, 1.5], [900, 80], [10, 15]),
    ),
    "mooncake": (
        "m.jsonl",
        lines(
            {"timestamp": 27482, "input_length": 600, "output_length": 52, "hash_ids": [46, 47]},
            {"timestamp": 30535, "input_length": 500, "output_length": 26, "hash_ids": [46]},
        ),
        ([0, 3.053], [600, 500], [52, 26]),
    ),
    "guidellm": (
        "g.jsonl",
        lines(
            {"timestamp": 1.5, "input_length": 256, "output_length": 128},
            {"timestamp": 4, "input_length": 512, "output_length": 64},
        ),
        ([0, 2.5], [256, 512], [128, 64]),
    ),
    "burstgpt": (
        "b.csv",
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,"
        "Log Type\n5,1,3.2,ChatGPT,472,18,490,Conversation log\n"
        "45,2,0.1,GPT-4,1087,230,1317,API log\n",
        ([0, 40], [472, 1087], [18, 230]),
    ),
    "vidur": (
        "v.csv",
        "arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,374,44\n4.5,396,109\n",
        ([0, 4.25], [374, 396], [44, 109]),
    ),
    "llmservingsim": (
        "w.jsonl",
        lines(
            {
                "input_toks": 17,
                "output_toks": 4,
                "arrival_time_ns": 500_000_000,
                "input_tok_ids": [1, 2],
            },
            {"input_toks": 9, "output_toks": 3, "arrival_time_ns": 2_000_000_000},
        ),
        ([0, 1.5], [17, 9], [4, 3]),
    ),
    "vllm-log": (
        "r.jsonl",
        lines(
            vllm_log(0, (2358, 531), 27536.5, 27537.0, 27554.5),
            vllm_log(1, (1034, 769), 27537.5, 27539.5, 27562.5),
        ),
        ([0, 1], [2358, 1034], [531, 769]),
    ),
    "vllm-bench": ("r.json", json.dumps(BENCH), ([0, 0.5, 2.5], [10, 20, 30], [1, 2, 3])),
    "aiperf": (
        "profile_export.jsonl",
        lines(aiperf(1_759_813_207_500_000_000), aiperf(1_759_813_209_000_000_000, (60, 7))),
        ([0, 1.5], [550, 60], [9, 7]),
    ),
    "plain": (
        "p.csv",
        "id,Prompt Tokens,output_tokens,arrival_ms\n1,10,3,2500\n2,20,4,2750\n",
        ([0, 0.25], [10, 20], [3, 4]),
    ),
}


def test_every_format_is_written_here():
    assert set(WRITTEN) == {*FORMATS, "plain"}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_format_is_recognised_and_read(name, packed, tmp_path):
    file, text, (arrival_s, prompts, outputs) = WRITTEN[name]
    path = tmp_path / file
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    trace = load_trace(path)
    assert trace.format == name
    assert trace.source == file
    np.testing.assert_allclose(trace.arrival_s, arrival_s, atol=1e-6)
    assert trace.prompt_tokens.tolist() == prompts
    assert trace.output_tokens.tolist() == outputs


def written(tmp_path, name, text=None):
    path = tmp_path / WRITTEN[name][0]
    path.write_text(WRITTEN[name][1] if text is None else text)
    return load_trace(path)


def test_mooncake_has_the_names_of_blocks(tmp_path):
    trace = written(tmp_path, "mooncake")
    assert [one.tolist() for one in trace.hash_ids] == [[46, 47], [46]]
    assert trace.hash_block_tokens == 512


def test_what_a_log_measured_is_in_seconds(tmp_path):
    log = written(tmp_path, "vllm-log").measured
    assert {name: one.tolist() for name, one in log.items()} == {
        "queue_s": [0.25, 0.25],
        "ttft_s": [0.5, 2.0],
        "e2e_s": [18.0, 25.0],
    }
    assert written(tmp_path, "vllm-bench").measured["ttft_s"].tolist() == [0.1, 0.2, 0.3]
    aiperf_s = written(tmp_path, "aiperf").measured
    np.testing.assert_allclose(
        [aiperf_s["ttft_s"], aiperf_s["e2e_s"]], [[0.2555] * 2, [0.2975] * 2]
    )


@pytest.mark.parametrize(("unit", "factor"), [("ns", 1e-9), ("us", 1e-6), ("sec", 1.0)])
def test_aiperf_says_the_unit_of_each_time(unit, factor, tmp_path):
    trace = written(tmp_path, "aiperf", lines(aiperf(0, unit=unit)))
    np.testing.assert_allclose(trace.measured["ttft_s"], [255.5 * factor])


def test_aiperf_failures_and_warm_up_are_left_out(tmp_path):
    failed = aiperf(3, error={"code": 499, "type": "RequestCancellationError"})
    text = lines(aiperf(1, phase="warmup"), aiperf(2), failed, aiperf(4, (8, 0)))
    trace = written(tmp_path, "aiperf", text)
    assert len(trace) == 1
    assert trace.notes == (
        "1 of 4 rows left out: outside the profiling phase",
        "1 of 4 rows left out: that failed",
        "1 of 4 rows left out: without an output token",
    )


def test_failures_of_burstgpt_and_vllm_are_named_so(tmp_path):
    text = WRITTEN["burstgpt"][1] + "50,3,0,ChatGPT,9,0,9,API log\n"
    assert (
        "1 of 3 rows left out: that failed (Response tokens 0)"
        in written(tmp_path, "burstgpt", text).notes
    )
    bench = {**BENCH, "output_lens": [0, 2, 3], "errors": ["timeout", "", ""]}
    trace = written(tmp_path, "vllm-bench", json.dumps(bench))
    assert trace.notes == ("1 of 3 rows left out: that failed (output_lens 0)",)
    assert trace.measured["ttft_s"].tolist() == [0.2, 0.3]


def test_a_result_may_be_indented_or_without_times(tmp_path):
    bench = {k: v for k, v in BENCH.items() if k != "start_times"}
    trace = written(tmp_path, "vllm-bench", json.dumps(bench, indent=2))
    assert trace.arrival_s is None
    assert trace.notes == ("there is no column start_times: arrivals are not known",)


def test_ms_or_seconds_is_said_where_the_columns_do_not_tell(tmp_path):
    assert "taken as seconds" in written(tmp_path, "guidellm").notes[0]
    path = tmp_path / WRITTEN["guidellm"][0]
    assert load_trace(path, "mooncake").arrival_s.tolist() == [0, 0.0025]
    text = "timestamp,input_length,output_length\n1.5,256,128\n"
    assert written(tmp_path, "burstgpt", text).format == "guidellm"


@pytest.mark.parametrize(
    ("text", "arrival_s", "said"),
    [
        ("isl,osl\n10,3\n20,4\n", None, "arrivals are not known"),
        ("input_len;output_len;arrival_s\n10;3;1\n20;4;2.5\n", [0, 1.5], "in units of 1 s"),
        ("prompt\tcompletion\tarrived\n10\t3\t1\n20\t4\t3\n", [0, 2], "prompts are prompt"),
        ('"input_tokens","output_tokens"\n"10","3"\n"20","4"\n', None, "outputs are output_tokens"),
        (
            "time,input_tokens,output_tokens\n2026-01-01T00:00:01Z,10,3\n2026-01-01T01:00:02+01:00,20,4\n",
            [0, 1],
            "dates",
        ),
        (
            lines(
                {"created": 1, "timestamp": "2026-01-01T00:00:01Z", "input": 10, "output": 3},
                {"created": 2, "timestamp": "2026-01-01T00:00:02.5Z", "input": 20, "output": 4},
            ),
            [0, 1.5],
            "arrivals are timestamp, dates",
        ),
        ("\ufeffprompt_tokens,output_tokens\n10,3\n\n20,4\n", None, "prompts are prompt_tokens"),
        (
            lines(
                {"prompt_len": 10, "output_len": 3, "text": "x"},
                {"prompt_len": 20, "output_len": 4},
            ),
            None,
            "prompts are prompt_len",
        ),
    ],
)
def test_plain_columns_under_their_usual_names(text, arrival_s, said, tmp_path):
    path = tmp_path / "mine"
    path.write_text(text, encoding="utf-8")
    trace = load_trace(path)
    assert trace.format == "plain"
    assert said in trace.notes[0]
    assert (trace.prompt_tokens.tolist(), trace.output_tokens.tolist()) == ([10, 20], [3, 4])
    assert (None if trace.arrival_s is None else trace.arrival_s.tolist()) == arrival_s

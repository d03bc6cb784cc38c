"""`gqa simulate`: what it prints, and one line on what it refuses."""

import json

import pytest

from gqa_lib.cli import main
from gqa_lib.serving.scenario import Scenario
from gqa_lib.serving.simulator import latencies_ms, summary
from gqa_lib.serving.traffic import sample

CARD = ("--kernel-times", "rtx4090-llama-3.1-8b")
SHEET = ("--model", "Llama-3.1-8B", "--hardware", "RTX 4090")


def run(capsys, *arguments):
    code = main(["simulate", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def facts(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.fixture
def lengths(tmp_path):
    """A trace without arrivals."""
    path = tmp_path / "lengths.csv"
    path.write_text("prompt_tokens,output_tokens\n" + "500,20\n300,40\n" * 30)
    return path


def test_json_has_the_names_of_vllms_benchmark_and_the_figures_of_the_simulator(capsys):
    found = facts(capsys, "vllm-rtx4090", *CARD, "--goodput", "ttft:60000", "tpot:40")
    expected = summary(
        Scenario(kernel_times=CARD[1]).run(sample("vllm-rtx4090")), {"ttft": 60000.0, "tpot": 40.0}
    )
    assert {name: found[name] for name in expected} == expected
    assert found["model_id"] == "Llama-3.1-8B"
    assert found["total_output_tokens"] == sample("vllm-rtx4090").output_tokens.sum()
    names = {f"{what}_{of}_ms" for what in ("mean", "median", "std", "p90", "p99")
             for of in ("ttft", "tpot", "itl", "e2el")}  # fmt: skip
    assert names < set(found)
    assert {"request_goodput", "preemptions", "max_kv_usage", "load"} < set(found)
    assert any("measured kernels" in line for line in found["basis"])


def test_text_says_units_definitions_load_and_what_it_stands_on(capsys):
    code, out, err = run(capsys, "vllm-rtx4090", *CARD, "--goodput", "tpot:40")
    assert (code, err) == (0, "")
    for part in (
        "milliseconds",
        "OVERLOADED: the queue grows",
        "time per output token, without the first",
        "requests/s with tpot <= 40 ms",
        "sums of measured kernels",
        "The number of blocks is modelled",
    ):
        assert part in out


def test_data_sheet_ceilings_are_called_a_bound_until_shares_of_them_are_given(capsys, lengths):
    sheet = " ".join(facts(capsys, lengths, *SHEET)["basis"])
    assert "data-sheet ceilings that is a bound" in sheet
    shares = ("--bandwidth-efficiency", 0.8, "--flops-efficiency", 0.7)
    given = " ".join(facts(capsys, lengths, *SHEET, *shares)["basis"])
    assert "80% of the bandwidth and 70% of the FLOP/s" in given
    assert "is a bound" not in given


def test_arrivals_are_drawn_at_a_rate_and_again_the_same(capsys, lengths):
    at_once = facts(capsys, lengths, *SHEET)
    assert at_once["notes"][-1] == "arrivals drawn: all requests come at once"
    assert (at_once["request_rate"], at_once["burstiness"]) == ("inf", 1.0)
    drawn = ("--request-rate", 4, "--burstiness", 0.25)
    one, again, other = (
        facts(capsys, lengths, *SHEET, *drawn, "--seed", seed) for seed in (1, 1, 2)
    )
    assert one == again != other
    assert "CV 2" in one["notes"][-1]
    assert one["duration"] == pytest.approx(59 / 4, abs=3)
    assert one["mean_ttft_ms"] < at_once["mean_ttft_ms"]
    assert facts(capsys, lengths, *SHEET, "--num-prompts", 7)["num_prompts"] == 7


def test_flags_reach_the_engine(capsys, lengths):
    flags = {
        "--max-num-seqs": 5,
        "--max-num-batched-tokens": 64,
        "--block-size": 8,
        "--num-gpu-blocks-override": 100,
        "--num-kv-heads": 4,
        "--tp": 2,
    }
    found = facts(capsys, lengths, *SHEET, *(one for flag in flags.items() for one in flag))
    assert (found["num_blocks"], found["block_size"]) == (99, 8)
    assert (found["max_num_seqs"], found["max_num_batched_tokens"]) == (5, 64)
    assert (found["num_kv_heads"], found["tensor_parallel_size"]) == (4, 2)
    assert any("2 x 1/2 x bytes / 16 GB/s + 20 us" in line for line in found["basis"])
    link = ("--tp", 2, "--link-bandwidth-gb-s", 1, "--link-latency-us", 500)
    slow, quick = (facts(capsys, lengths, *SHEET, *one) for one in (link, ("--tp", 2)))
    # 64 all-reduces a step take 480 us more each, and more with prompts.
    assert slow["mean_itl_ms"] - quick["mean_itl_ms"] > 64 * 0.48


def test_requests_that_can_never_be_served_are_counted_and_left_out_when_asked(capsys):
    few = ("azure-code-2023", *SHEET, "--num-gpu-blocks-override", 251)
    code, out, err = run(capsys, *few)
    assert (code, out, err.count("\n")) == (2, "", 1)
    trace = sample("azure-code-2023")
    most = int((trace.prompt_tokens + trace.output_tokens - 1 > 4000).sum())
    assert f"{most} of 2000 requests can never be served" in err
    assert "250 blocks of 16 tokens" in err
    assert "--drop-too-long" in err
    found = facts(capsys, *few, "--drop-too-long")
    assert found["completed"] == 2000 - most
    assert f"{most} requests left out" in found["notes"][-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere.csv", *SHEET), "neither a file nor one of the traces"),
        (("azure-conv-2023",), "give a name, a config.json"),
        (("azure-conv-2023", "--model", "Llama-3.1-8B"), "nothing says how long a step takes"),
        (("azure-conv-2023", *SHEET[:2], "--hardware", "RTX 4091"), "no data sheet"),
        (("azure-conv-2023", "--model", "Llama-9", *SHEET[2:]), "no model called"),
        (("azure-conv-2023", *CARD, "--tp", 2), "kernel_times of one rank"),
        (("azure-conv-2023", *CARD, "--model", "Qwen3-8B"), "not of Qwen3-8B"),
        (("azure-conv-2023", "--kernel-times", "a", "b"), "attention, dense and per_sequence"),
        (("azure-conv-2023", *CARD, "--goodput", "ttft"), "not a latency with milliseconds"),
        (("azure-conv-2023", *SHEET, "--burstiness", 1), "without --request-rate"),
        (("azure-conv-2023", *SHEET, "--num-prompts", 5000), "has 2000 requests"),
        (("azure-conv-2023", *SHEET, "--kv-cache-dtype", "int3"), "kv_cache_dtype='int3'"),
        (("azure-conv-2023", *SHEET, "--gpu-memory-utilization", 1.2), "above 1"),
        (("azure-conv-2023", *SHEET, "--num-kv-heads", 5), "num_kv_heads=5"),
        (("azure-conv-2023", *SHEET, "--max-num-seqs", 4000), "max_num_seqs=4000"),
        (("azure-conv-2023", *SHEET, "--tp", 3), "tensor_parallel=3"),
        (("azure-conv-2023", *SHEET, "--activation-gb", 9), "of activations"),
        (("azure-conv-2023", "--model", "Mistral-Large-2407", *SHEET[2:]), "weight"),
    ],
)
def test_what_is_refused_is_refused_in_a_line(capsys, arguments, says):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("gqa: ")
    assert says in err
    assert err.count("\n") == 1


def test_a_rate_that_is_not_one_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        run(capsys, "azure-conv-2023", *SHEET, "--request-rate", "nan")
    assert ended.value.code == 2
    assert "not a number above 0, nor inf" in capsys.readouterr().err


def test_latencies_of_the_text_are_those_of_requests(capsys):
    simulation = Scenario(kernel_times=CARD[1]).run(sample("vllm-rtx4090"))
    _, out, _ = run(capsys, "vllm-rtx4090", *CARD)
    (line,) = (one for one in out.splitlines() if one.startswith("TTFT   "))
    assert line.split()[1] == f"{latencies_ms(simulation)['ttft'].mean():,.2f}"

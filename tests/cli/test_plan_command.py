"""`gqa plan`: a plan printed, written, as JSON; results joined; one line on what is refused."""

import json

import plan_cases
import pytest

from gqa_lib.cli import main

QUICK = ("--relative-error", 0.5, "--percentile", 50, "--seeds", 2, "--request-rate", 50)
CARD = ("--hardware", "RTX 4090", "--bandwidth-efficiency", 0.9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model's config and a trace."""
    target = tmp_path_factory.mktemp("given")
    config = {
        "model_type": "llama",
        "num_hidden_layers": 8,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "vocab_size": 32_000,
        "max_position_embeddings": 8192,
    }
    (target / "config.json").write_text(json.dumps(config))
    trace = plan_cases.trace(250)
    rows = zip(trace.arrival_s, trace.prompt_tokens, trace.output_tokens, strict=True)
    lines = ["arrival_s,prompt_tokens,output_tokens", *(f"{a},{p},{o}" for a, p, o in rows)]
    (target / "trace.csv").write_text("\n".join(lines))
    return target


def run(capsys, *arguments):
    code = main(["plan", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def asked(folder, *more):
    model = ("--model", folder / "config.json")
    return (folder / "trace.csv", *model, *CARD, *QUICK, "--ttft", 500, "--tpot", 50, *more)


def test_a_plan_is_printed(folder, capsys):
    code, out, err = run(capsys, *asked(folder))
    assert (code, err) == (0, "")
    assert out.startswith("# Benchmark plan: ")
    assert "4 against 16 KV heads" in out
    assert "`ttft:500 tpot:50`" in out
    assert "250 requests, read as plain" in out
    assert "Of these ceilings, shares as given: 90% of the bandwidth" in out
    assert "## 12. What the modelled figures stand on" in out


def test_a_plan_is_written_and_read_back(folder, tmp_path, capsys):
    target = tmp_path / "plan"
    code, out, _ = run(capsys, *asked(folder, "--output", target))
    assert code == 0
    assert str(target / "vllm_bench.sh") in out
    assert (target / "plan.md").read_text().startswith("# Benchmark plan")
    rows = json.loads((target / "plan.json").read_text())["runs"]
    for row in rows[:4]:
        lines = (target / f"requests-{row['seed']}.jsonl").read_text().splitlines()
        requests = [json.loads(line) for line in lines]
        num, slow = len(requests), row["num_kv_heads"] == 16
        ttft, gap = (0.2, 0.02) if slow else (0.1, 0.02)
        content = {
            "duration": 9.0,
            "completed": num,
            "request_throughput": 1.0,
            "output_throughput": 1.0,
            "input_lens": [one["prompt_tokens"] for one in requests],
            "output_lens": [one["output_tokens"] for one in requests],
            "ttfts": [ttft] * num,
            "itls": [[gap] * (one["output_tokens"] - 1) for one in requests],
            "start_times": [one["arrival_s"] for one in requests],
        }
        (target / row["file"]).write_text(json.dumps(content))
    files = [target / row["file"] for row in rows[:4]]
    code, out, err = run(capsys, target, "--results", *files)
    assert (code, err) == (0, "")
    assert "**4 KV heads against 16, request_goodput" in out
    line = next(one for one in out.splitlines() if one.startswith("| `mean_ttft_ms`"))
    assert line == "| `mean_ttft_ms` | 200 | 100 | -50 % | -50 % to -50 % | better |"


def test_a_plan_as_json(folder, capsys):
    code, out, _ = run(capsys, *asked(folder, "--json", "--variants", "16,1", "--margin", 0.2))
    facts = json.loads(out)
    assert code == 0
    assert (facts["num_kv_heads"], facts["margin"], facts["rate"]) == ([16, 1], 0.2, 50)
    assert facts["goodput"] == {"ttft": 500, "tpot": 50}
    assert facts["sample"]["pilot"] == 250


def test_lengths_stand_for_a_trace(folder, capsys):
    given = asked(folder)[1:]
    code, out, _ = run(capsys, "--isl", 512, "--osl", 64, *given)
    assert code == 0
    assert "requests of one size, as given (--isl 512 --osl 64)" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no trace"),
        (("--isl", 5), "no trace"),
        (("{trace}", "--isl", 5), "a trace says how long its requests are"),
        (("{trace}",), "model=None"),
        (("{trace}", "--model", "{model}"), "neither hardware nor kernel_times"),
        (("nowhere.csv", "--model", "{model}", *CARD), "nowhere.csv is neither a file nor"),
        (("{trace}", "--model", "{model}", "--hardware", "RTX 1"), "no data sheet for 'RTX 1'"),
        (("{trace}", "--model", "{model}", *CARD, "--variants", "16,3"), "num_kv_heads=3"),
        (("{trace}", "--model", "{model}", *CARD, "--percentile", 100), "percentile=100"),
        (("{trace}", "--model", "{model}", *CARD, "--kv-cache-dtype", "int3"), "kv_cache_dtype"),
        (("{folder}", "--results", "{trace}"), "has no plan.json"),
        (("--results", "{trace}"), "--results without a plan"),
    ],
)
def test_what_is_refused_is_said_in_a_line(folder, capsys, arguments, said):
    places = {
        "folder": folder,
        "trace": folder / "trace.csv",
        "model": folder / "config.json",
    }
    code, out, err = run(capsys, *(str(one).format(**places) for one in arguments))
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "flags",
    [
        ("--variants", "32"),
        ("--variants", "32,x"),
        ("--seeds", 1),
        ("--margin", 0),
        ("--ttft", "soon"),
        ("--request-rate", -1),
        ("--burstiness", 0),
        ("--isl", 0),
    ],
)
def test_flags_that_are_no_numbers_are_refused_by_name(folder, capsys, flags):
    with pytest.raises(SystemExit) as stopped:
        run(capsys, *asked(folder, *flags))
    assert stopped.value.code == 2
    assert flags[0] in capsys.readouterr().err

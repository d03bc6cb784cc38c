"""A plan's folder: the script runs with a `vllm` that only notes its calls, and what it left is
joined with the plan."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import fake_vllm
import plan_cases
import ports
import pytest

from gqa_lib.bench.notebooks import benchmarks, check_params
from gqa_lib.serving.plan import (
    bench_script,
    join_results,
    joined_markdown,
    plan_facts,
    read_plan,
    vllm_script,
    write_plan,
)
from gqa_lib.serving.plan.bench_script import bench_parameters
from gqa_lib.serving.traffic import Trace, load_trace

RUNS = 10  # of the script: those that decide, of capacity, and two of the sweep


@pytest.fixture(scope="module")
def plan():
    return plan_cases.plan()


@pytest.fixture(scope="module")
def folder(plan, tmp_path_factory):
    target = tmp_path_factory.mktemp("plan with a space")
    write_plan(plan, target)
    path = target / "vllm_bench.sh"
    lines = path.read_text().splitlines()
    last = [number for number, line in enumerate(lines) if line.startswith("run ")][RUNS:]
    kept = (line for number, line in enumerate(lines) if number not in last)
    path.write_text("\n".join(kept) + "\n")
    return target


def script(folder, *kinds, **more):
    """Run the plan's script where `vllm` is the fake one; return the process and the calls."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    shutil.copy(fake_vllm.__file__, tools / "vllm")
    (tools / "vllm").chmod(0o755)
    calls = folder / "calls.jsonl"
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "MODEL": "org/test",
        "PORT": str(ports.free_port()),
        "FAKE_VLLM_CALLS": str(calls),
        "FAKE_VLLM_OWN": "2",
        "HARDWARE": "test card",
        "POLL_S": "0.1",
    }
    done = subprocess.run(
        ["bash", folder / "vllm_bench.sh", *kinds],
        env=environment | more,
        capture_output=True,
        text=True,
        check=False,
    )
    made = calls.read_text().splitlines() if calls.exists() else []
    return done, [json.loads(line) for line in made]


@pytest.fixture(scope="module")
def ran(folder):
    done, calls = script(folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return calls


def value(call, flag):
    return call[call.index(flag) + 1]


def test_bash_reads_the_script(folder):
    done = subprocess.run(
        ["bash", "-n", folder / "vllm_bench.sh"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not re.search(r"@[A-Z_]+@", vllm_script(plan_cases.plan()))


def test_servers_are_started_once_for_runs_that_follow_each_other(plan, ran):
    heads = []
    for call in ran:
        if call[0] == "serve":
            heads.append(8 if "--hf-overrides" in call else 2)
    # A B, B A for what decides, the same for capacity, then the sweep's A B
    assert heads == [8, 2, 8, 2, 8, 2]
    serve = next(call for call in ran if call[0] == "serve")
    assert serve[1] == "org/test"
    assert json.loads(value(serve, "--hf-overrides")) == {"num_key_value_heads": 8}
    assert value(serve, "--load-format") == "dummy"
    assert value(serve, "--max-num-batched-tokens") == "2048"
    assert value(serve, "--gpu-memory-utilization") == "0.9"
    assert "--no-enable-prefix-caching" in serve
    longest = (plan.trace.prompt_tokens + plan.trace.output_tokens).max()
    assert longest <= int(value(serve, "--max-model-len")) <= plan.variants[0].fits.capacity


def test_each_run_is_called_as_planned(plan, ran):
    bench = [call for call in ran if call[0] == "bench"]
    assert [value(call, "--result-filename") for call in bench] == [
        f"{row['file']}.part" for row in plan_facts(plan)["runs"][:RUNS]
    ]
    first = bench[0]
    for flag, wanted in {
        "--num-prompts": str(plan.num_requests),
        "--seed": "0",
        "--burstiness": "1",
        "--dataset-name": "custom",
        "--custom-output-len": "-1",
        "--percentile-metrics": "ttft,tpot,itl,e2el",
    }.items():
        assert value(first, flag) == wanted
    assert float(value(first, "--request-rate")) == pytest.approx(plan.rate, rel=1e-4)
    start = first.index("--goodput")
    assert first[start + 1 : start + 3] == ["ttft:500", "tpot:50"]
    assert value(first, "--metadata") == "num_kv_heads=8"
    capacity = next(call for call in bench if "capacity" in value(call, "--result-filename"))
    assert value(capacity, "--request-rate") == "inf"
    for flag in ("--ignore-eos", "--save-result", "--save-detailed", "--disable-shuffle"):
        assert flag in first


def test_the_prompts_have_the_lengths_of_the_requests(plan, folder, ran):
    rows = [json.loads(line) for line in (folder / "prompts" / "1.jsonl").read_text().splitlines()]
    requests = plan.requests(1)
    assert [len(row["prompt"].split()) + 1 for row in rows] == requests.prompt_tokens.tolist()
    assert [row["output_tokens"] for row in rows] == requests.output_tokens.tolist()
    assert len({row["prompt"][:40] for row in rows}) == len(rows)  # no prefix in common


def test_the_requests_are_a_trace_that_can_be_loaded(plan, folder):
    trace = load_trace(folder / "requests-0.jsonl")
    assert trace.prompt_tokens.tolist() == plan.requests(0).prompt_tokens.tolist()
    assert trace.arrival_s[-1] == pytest.approx(plan.requests(0).arrival_s[-1], rel=1e-3)


def test_runs_that_are_there_are_not_repeated(folder, ran):
    done, calls = script(folder)
    assert (done.returncode, len(calls)) == (0, len(ran))
    assert "is there" in done.stdout


def first_runs(plan, target, count):
    """Write a plan whose script has only its first runs; return them."""
    write_plan(plan, target)
    path = target / "vllm_bench.sh"
    lines = path.read_text().splitlines()
    last = [number for number, line in enumerate(lines) if line.startswith("run ")][count:]
    kept = (line for number, line in enumerate(lines) if number not in last)
    path.write_text("\n".join(kept) + "\n")
    return plan_facts(plan)["runs"][:count]


def test_a_run_whose_server_failed_is_no_result_and_is_made_again(plan, tmp_path):
    row, second = first_runs(plan, tmp_path, 2)
    done, _ = script(tmp_path, FAKE_VLLM_DIES=row["file"])
    assert done.returncode == 1
    assert "failed more than 1 % of the requests" in done.stderr
    assert not (tmp_path / "results" / row["file"]).exists()
    empty = tmp_path / "results" / row["file"]
    empty.write_text(json.dumps({"completed": 0}))  # as an older script left it
    done, _ = script(tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(empty.read_text())["completed"] == plan.num_requests
    assert (tmp_path / "results" / second["file"]).exists()
    assert (tmp_path / "results" / f"{Path(row['file']).stem}.metrics.txt").exists()


def test_only_runs_of_the_kinds_that_are_named_are_made(plan, tmp_path):
    rows = first_runs(plan, tmp_path, RUNS)
    done, _ = script(tmp_path, "capacity")
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in (tmp_path / "results").glob("*.json"))
    assert made == sorted(row["file"] for row in rows if row["kind"] == "capacity")
    done, _ = script(tmp_path, "speed")
    assert (done.returncode, "speed is no kind of run" in done.stderr) == (2, True)


def test_a_model_is_found_from_where_the_script_is_called(plan, tmp_path, monkeypatch):
    first_runs(plan, tmp_path / "my plan", 1)
    (tmp_path / "checkpoint").mkdir()
    monkeypatch.chdir(tmp_path)
    done, calls = script(tmp_path / "my plan", MODEL="checkpoint")
    assert done.returncode == 0, done.stderr
    assert calls[0][1] == str(tmp_path / "checkpoint")
    place = str(tmp_path / "my plan").replace(" ", "\\ ")
    assert f"gqa plan {place} --results {place}/results/*.json" in done.stdout


def test_a_checkpoint_of_a_variants_own_is_served_as_it_is(plan, tmp_path):
    write_plan(plan, tmp_path)
    text = (tmp_path / "vllm_bench.sh").read_text().splitlines()
    first = next(number for number, line in enumerate(text) if line.startswith("run "))
    (tmp_path / "vllm_bench.sh").write_text("\n".join(text[: first + 1]) + "\n")
    done, calls = script(tmp_path, MODEL_8="/models/mha")
    assert done.returncode == 0, done.stderr
    assert calls[0][1] == value(calls[1], "--model") == "/models/mha"
    assert "--load-format" not in calls[0]


def test_without_a_model_it_says_what_to_do(plan, tmp_path):
    write_plan(plan, tmp_path)
    done, calls = script(tmp_path, MODEL="")
    assert done.returncode != 0
    assert "set MODEL to the checkpoint of Test-8" in done.stderr
    assert not calls


def test_requests_of_one_size_are_vllms_own(tmp_path):
    plan = plan_cases.plan(trace=Trace(None, [100] * 50, [20] * 50), request_rate=5.0)
    write_plan(plan, tmp_path)
    text = (tmp_path / "vllm_bench.sh").read_text()
    assert "--dataset-name random --random-input-len 100 --random-output-len 20" in text


def test_a_models_name_is_no_program(tmp_path):
    evil = replace(plan_cases.MODEL, name="a`touch x`$(touch y)\n}'\"; touch z")
    plan = plan_cases.benchmark_plan(
        plan_cases.trace(),
        plan_cases.Scenario(model=evil, hardware=plan_cases.CARD),
        relative_error=0.4,
        percentile=50.0,
        num_seeds=2,
        rehearsed=False,
    )
    write_plan(plan, tmp_path)
    done, _ = script(tmp_path, MODEL="")
    assert "set MODEL to the checkpoint of a-touch x-touch y- touch z" in done.stderr
    assert not [path.name for path in tmp_path.iterdir() if path.name in "xyz"]


def test_the_notebook_takes_the_plans_parameters(plan):
    engine = plan_cases.Scenario(kernel_times="rtx4090-llama-3.1-8b")
    variants = tuple(
        replace(one, scenario=replace(engine, num_kv_heads=heads))
        for one, heads in zip(plan.variants, (32, 8), strict=True)
    )
    plan = replace(plan, variants=variants)
    parameters = bench_parameters(plan)
    check_params(benchmarks()["serving"], parameters | {"seed": 1, "trace": "requests-1.jsonl"})
    assert parameters["num_kv_heads"] == [32, 8]
    assert parameters["goodput"] == "ttft:500 tpot:50"
    text = bench_script(plan)
    assert 'gqa bench serving -p "trace=$PWD/requests-$seed.jsonl" -p "seed=$seed"' in text
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_config_is_found_from_where_the_notebooks_script_is(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text("{}")
    variants = tuple(
        replace(one, scenario=plan_cases.Scenario(model="Llama-3.1-8B", hardware="RTX 4090"))
        for one in plan.variants
    )
    assert bench_parameters(replace(plan, variants=variants))["model"] == "Llama-3.1-8B"
    for one in variants:
        object.__setattr__(one.scenario, "model", "mine.json")
    named = bench_parameters(replace(plan, variants=variants))
    assert named["model"] == str(tmp_path / "mine.json")


def test_without_names_there_is_no_notebook_to_run(plan, folder):
    assert bench_script(plan) is None
    assert not (folder / "gqa_bench.sh").exists()


def results(folder):
    return sorted(path for path in (folder / "results").glob("*.json"))


def test_results_are_joined_with_the_plan(plan, folder, ran):
    joined = join_results(folder, results(folder))
    assert joined.missing == ()
    found = joined.comparisons["compare", 2]
    by_name = {one.metric: one for one in found.differences}
    assert found.same_requests is True
    # 0.8 s to the first token with 8 KV heads and 0.2 s with 2: all or none within 500 ms.
    assert by_name["mean_ttft_ms"].change == pytest.approx(-0.75, abs=0.01)
    assert by_name["mean_ttft_ms"].verdict == "better"
    assert by_name["mean_tpot_ms"].verdict == "within the margin"
    assert by_name["request_goodput"].why == "the baseline has 0, of which nothing is a share"
    text = joined_markdown(joined)
    assert "| `mean_ttft_ms` |" in text
    assert "## Measured next to modelled" in text
    assert "## Sweep" in text
    assert "capacity, all requests at once" in text
    assert joined.comparisons["capacity", 2].paired_by == "2 runs"


def test_other_files_say_whose_they_are(folder, ran, tmp_path):
    rows = read_plan(folder)["runs"]
    names = {}
    for row in rows[:4]:
        target = tmp_path / f"mine-{row['num_kv_heads']}-{row['seed']}.json"
        shutil.copy(folder / "results" / row["file"], target)
        names[row["num_kv_heads"], row["seed"]] = target
    given = [f"{heads}={names[heads, seed]}" for heads in (8, 2) for seed in (0, 1)]
    joined = join_results(folder, given)
    assert joined.comparisons["compare", 2].paired_by == "2 runs"
    with pytest.raises(ValueError, match="no run of 8 KV heads left"):
        join_results(folder, [given[0], *given])
    with pytest.raises(ValueError, match="is not a run of this plan"):
        join_results(folder, [names[8, 0]])


def test_missing_runs_and_other_prompts_are_named(folder, ran, tmp_path):
    rows = read_plan(folder)["runs"]
    content = json.loads((folder / "results" / rows[0]["file"]).read_text())
    content["input_lens"] = [2 * n for n in content["input_lens"]]
    (tmp_path / rows[0]["file"]).write_text(json.dumps(content))
    joined = join_results(folder, [tmp_path / rows[0]["file"]])
    assert len(joined.missing) == 3
    assert "another tokenizer or another workload" in joined.notes[0]
    text = joined_markdown(joined)
    assert "inconclusive**: no pair of runs has it" in text
    assert f"No result yet: {rows[1]['file']}" in text


def changed(folder, target, row, **changes):
    """Copy a result into a folder with some of it changed; return its path."""
    content = json.loads((folder / "results" / row["file"]).read_text()) | changes
    path = target / row["file"]
    path.write_text(json.dumps({name: one for name, one in content.items() if one is not None}))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_id": "Qwen/Qwen2-0.5B"}, "is of the model 'Qwen/Qwen2-0.5B', not of Test-8"),
        (
            {"num_kv_heads": "2"},
            "is of '2' KV heads, as it says itself, and is given as a run of 8",
        ),
        ({"hardware": "NVIDIA H100"}, "was measured on NVIDIA H100 and .* on test card"),
    ],
)
def test_results_of_something_else_are_refused(folder, ran, tmp_path, changes, said):
    rows = read_plan(folder)["runs"][:4]
    mine = changed(folder, tmp_path, rows[0], **changes)
    with pytest.raises(ValueError, match=said):
        join_results(folder, [mine, *(folder / "results" / row["file"] for row in rows[1:])])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"request_rate": 3.0}, "request_rate was 3, "),
        ({"max_concurrency": 4}, "max_concurrency was 4, none in the plan"),
        ({"hardware": "RTX 4090"}, "measured on RTX 4090, the plan is for test card"),
        ({"request_rate": None, "start_times": "slower"}, "requests came at "),
    ],
)
def test_results_of_another_load_or_card_are_inconclusive(folder, ran, tmp_path, changes, said):
    rows = read_plan(folder)["runs"][:4]
    files = []
    for row in rows:
        more = dict(changes)
        if "start_times" in more:
            starts = json.loads((folder / "results" / row["file"]).read_text())["start_times"]
            more["start_times"] = [2 * one for one in starts]
        files.append(changed(folder, tmp_path, row, **more))
    found = join_results(folder, files).comparisons["compare", 2]
    assert {one.verdict for one in found.differences} == {"inconclusive"}
    assert said in found.differences[1].why


def test_a_seeds_own_requests_are_not_another_tokenizers(folder, ran, tmp_path):
    """A seed's requests may be longer on average than the trace's and the other seeds'."""
    plan = read_plan(folder)
    files = []
    for row in plan["runs"][:4]:
        files.append(changed(folder, tmp_path, row))
        if row["seed"] == 1:
            content = json.loads(files[-1].read_text())
            row["mean_prompt_tokens"] *= 2
            longer = {"input_lens": [2 * length for length in content["input_lens"]]}
            files[-1].write_text(json.dumps(content | longer))
    assert [note for note in join_results(folder, files).notes if "tokenizer" in note]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert not [note for note in join_results(tmp_path, files).notes if "tokenizer" in note]


def test_a_copy_of_a_run_is_refused(folder, ran, tmp_path):
    rows = read_plan(folder)["runs"][:4]
    one = folder / "results" / rows[0]["file"]
    copy = tmp_path / "mine.json"
    shutil.copy(one, copy)
    with pytest.raises(ValueError, match="is given twice"):
        join_results(folder, [one, f"8={copy}"])
    with pytest.raises(ValueError, match="the plan calls a run of 8 KV heads so"):
        join_results(folder, [f"2={one}"])


def test_a_result_twice_and_a_folder_without_a_plan_are_refused(folder, ran, tmp_path):
    one = results(folder)[0]
    with pytest.raises(ValueError, match="is given twice"):
        join_results(folder, [one, one])
    with pytest.raises(ValueError, match=r"has no plan\.json"):
        join_results(tmp_path, [one])
    Path(tmp_path, "plan.json").write_text("{}")
    with pytest.raises(ValueError, match="not 'gqa plan 2'"):
        read_plan(tmp_path)

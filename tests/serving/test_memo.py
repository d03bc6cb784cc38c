"""A decision memo whole: nothing without a label, no cost that nobody measured."""

import re
import shlex
from argparse import ArgumentParser

import pytest
from memo_cases import TRACE, lm_eval, question, runs, vllm_result

from gqa_lib.cli.engine_flags import scenario_of
from gqa_lib.cli.report import arguments
from gqa_lib.records import recorded
from gqa_lib.serving.ledger import concurrency
from gqa_lib.serving.memo import (
    Command,
    Figure,
    Name,
    Plot,
    Prose,
    Table,
    Words,
    markdown,
    page,
    read_evidence,
    write_memo,
)
from gqa_lib.serving.memo.commands import again, serving_commands
from gqa_lib.serving.memo.loads import pace
from gqa_lib.serving.memo.question import changed
from gqa_lib.serving.traffic import residency_weighted

RECORDS = [recorded("decode")[-1], *recorded("quality")]


@pytest.fixture(scope="module")
def unmeasured():
    asked = question()
    return write_memo(asked, read_evidence(asked, RECORDS))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    asked = question()
    results = [*runs(folder, 32, 50, 51), *runs(folder, 8, 100, 104, hardware="RTX 4090")]
    other = {"total_input_tokens": 40 * 100.0, "hardware": "RTX 4090"}
    results.append(f"8={vllm_result(folder / 'other.json', 400.0, **other)}")
    results.append(f"8={vllm_result(folder / 'h100.json', 900.0, hardware='H100 SXM')}")
    scores = [f"{n}={lm_eval(folder / f'e{n}.json', score)}" for n, score in ((8, 0.8), (4, 0.7))]
    return write_memo(asked, read_evidence(asked, RECORDS, results, scores))


def section(memo, title):
    """Return the lines of a section as Markdown."""
    return markdown(memo).partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("which", ["unmeasured", "measured"])
def test_no_number_of_a_memo_is_without_a_label(which, request):
    memo = request.getfixturevalue(which)
    tables = [block for block in memo.blocks if isinstance(block, Table)]
    assert len(tables) > 5
    for table in tables:
        for _, cells in table.rows:
            assert all(isinstance(cell, Figure | Words) for cell in cells)
    for piece in memo.pieces():
        assert isinstance(piece, Figure | Name) or not re.search(
            r"\d", getattr(piece, "text", piece)
        )
    labelled = re.compile(r"\[(measured|modelled|given) (\d+)\]\(#source-(\d+)\)")
    text, rows = markdown(memo), 0
    for line in text.splitlines():
        if line.startswith("| ") and "---" not in line:
            for cell in line.strip("| ").split(" | ")[1:]:
                rows += 1
                title = cell.startswith("p99")
                assert title or not re.search(r"\d", cell) or labelled.search(cell), line
    assert rows > 50
    numbers = {int(found[1]) for found in labelled.findall(text)}
    assert numbers == set(range(1, len(memo.sources()) + 1))


def test_without_a_measurement_there_is_no_cost_and_the_run_is_named(unmeasured):
    first, *others = (one.plain() for one in unmeasured.answer)
    assert first.startswith("It cannot be said yet whether GQA, 8 KV heads (the model as it is)")
    assert "[measured]" not in " ".join(others)
    assert "No cost per token is stated before that" in others[-1]
    cost = section(unmeasured, "Cost")
    assert "No cost per token is stated for MHA, 32 KV heads; GQA, 8 KV heads" in cost
    assert not re.search(r"\d EUR", cost)
    commands = "\n".join(b.text for b in unmeasured.blocks if isinstance(b, Command))
    assert "gqa plan azure-code-2023 --model Llama-3.1-8B --hardware 'RTX 4090'" in commands
    assert "--variants 32,8 \\\n  --max-num-seqs 64" in commands
    assert "bash plan/vllm_bench.sh capacity" in commands
    assert "plan/results/kv32-capacity-seed*.json plan/results/kv8-capacity-seed*.json" in commands
    assert "vllm bench serve" in section(unmeasured, "What is missing")


def test_the_commands_ask_the_same_question():
    """What was given is given again, as the command line has it."""
    flags = [
        *("--margin", "0.1", "--bandwidth-efficiency", "0.8", "--flops-efficiency", "0.6"),
        *("--step-overhead-ms", "1.5", "--activation-gb", "2.5", "--link-latency-us", "5"),
        *("--num-gpu-blocks-override", "9000", "--link-bandwidth-gb-s", "32", "--tp", "2"),
    ]
    engine = ["--model", "Llama-3.1-8B", "--hardware", "RTX 4090"]
    parser = ArgumentParser()
    arguments(parser)
    line = ["--trace", "t.csv", *engine, *flags, "--requests", "30", "--output", "memo"]
    given = parser.parse_args(line)
    asked = question(scenario=scenario_of(given), margin=given.margin, max_requests=30)
    for text in (serving_commands(asked, [32, 8]).partition("\nMODEL")[0], again(asked, [8], None)):
        words = shlex.split(text.replace("\\\n", " "))
        for flag, value in zip(flags[::2], flags[1::2], strict=True):
            assert words[words.index(flag) + 1] == value
    assert "--requests 30" in again(asked, [8], None)


def test_a_measured_cost_is_the_price_over_the_measured_rate(measured):
    tables = [block for block in measured.blocks if isinstance(block, Table)]
    table = next(one for one in tables if one.columns[1] == "per million output tokens")
    cells = {name.text: cells for name, cells in table.rows}
    cost = cells["GQA, 8 KV heads: 8-0.json"][0]
    assert cost.value == pytest.approx(0.36 / 3600 / 100 * 1e6)  # 1.00 EUR
    said = next(one.parts["cost"] for one in measured.answer if "cost" in one.parts)
    assert said.value == pytest.approx(0.36 / 3600 / 102 * 1e6)  # of both runs, and their extremes
    assert (said.low, said.high) == pytest.approx((0.36 / 3600 / 104 * 1e6, cost.value))
    assert (cost.unit, cost.kind) == ("EUR", "measured")
    assert "8-0.json: output_throughput (100 tokens/s), under 0.36 EUR/hour" in str(cost.source)
    words = [cell.text for cell in cells["GQA, 8 KV heads: other.json"]]
    assert words == ["not priced", "of other traffic"]
    assert not [name for name in cells if "h100" in name]
    assert "No cost per token is stated for GQA, 4 KV heads" in section(measured, "Cost")


def test_one_run_has_no_interval_and_no_cost_in_the_answer(tmp_path):
    asked = question()
    results = [*runs(tmp_path, 32, 50), *runs(tmp_path, 8, 100)]
    said = [one.plain() for one in write_memo(asked, read_evidence(asked, [], results)).answer]
    assert "serves 2x [measured] the tokens/s" in said[1]
    assert "how far runs are apart is not known" in said[1]
    assert "EUR" not in " ".join(said)
    assert "No cost per token is stated before that" in said[-1]


def test_limits_that_no_variant_keeps_are_in_the_answer():
    memo = write_memo(asked := question(goodput="ttft:500 tpot:5"), read_evidence(asked))
    said = next(one for one in memo.answer if one.plain().startswith("Modelled, no variant keeps"))
    assert "ttft:500 tpot:5" in said.plain()
    least = min(one.value for one in said.parts.values() if isinstance(one, Figure))
    assert least > 5
    text = section(memo, "What would change the answer")
    assert "favours no variant in any of these cases: none keeps ttft:500 tpot:5 at p99" in text
    assert "given up only for" not in text
    kept = write_memo(asked := question(goodput="tpot:9999"), read_evidence(asked))
    assert not [one for one in kept.answer if "no variant keeps" in one.plain()]


def test_a_latency_that_both_exceed_is_said(tmp_path):
    asked = question(goodput="tpot:50")
    results = [*runs(tmp_path, 32, 50, 51), *runs(tmp_path, 8, 100, 104)]
    slow = {"request_rate": 0.5 * pace(TRACE), "p99_tpot_ms": 90.0}
    for heads in (32, 8):
        results.append(f"{heads}={vllm_result(tmp_path / f'slow{heads}.json', 20.0, **slow)}")
    said = [one.plain() for one in write_memo(asked, read_evidence(asked, [], results)).answer]
    assert said[0].startswith("Adopt GQA, 8 KV heads")
    measured = next(one for one in said if one.startswith("Measured at the trace's pace"))
    assert "MHA, 32 KV heads: tpot; GQA, 8 KV heads: tpot" in measured


def test_what_a_percentile_and_a_number_of_requests_rest_on_is_said(unmeasured, measured):
    text = section(unmeasured, "Speed, modelled")
    assert "p99 of so many rests on" in text
    assert "p99 of a run with fewer than 10,000 requests" in section(measured, "Speed, measured")
    sources = [str(source) for kind, source in unmeasured.sources() if kind == "modelled"]
    assert "the first 40 of the trace (--requests), less the" in " ".join(sources)


def test_concurrency_is_said_in_requests_and_scores_with_unit_and_direction(unmeasured):
    memory = section(unmeasured, "Memory")
    assert re.search(r"runs \d+ \[modelled \d+\]\(#source-\d+\) requests safely instead of", memory)
    quality = section(unmeasured, "Quality")
    assert "in nats per held-out byte, less is better" in quality
    assert "in share of right answers, more is better" in quality


def test_the_answer_rests_on_what_was_measured(measured):
    said = [one.plain() for one in measured.answer]
    assert said[0].startswith("Adopt GQA, 8 KV heads (the model as it is), for Llama-3.1-8B")
    assert "2.02x" in said[1].replace("2.02 (", "2.02x (")
    assert "[measured]" in said[1]
    assert "[modelled]" not in said[1]
    served = section(measured, "Speed, measured")
    assert "h100.json" in served
    assert "of other hardware" in served
    assert "32-0.json does not name its hardware" in served
    assert "gsm8k" in section(measured, "Quality")


def test_records_of_other_machines_are_as_recorded(unmeasured):
    text = section(unmeasured, "Speed, measured")
    assert "as recorded on AMD EPYC, 2 threads, 2026-11-25" in text
    assert "as recorded on Intel" in section(unmeasured, "Quality")
    for kind, source in unmeasured.sources():
        if kind == "measured":
            assert source.recorded.startswith(("as recorded", "counted in"))


def test_the_traffic_and_the_memory_are_those_of_their_modules(unmeasured):
    figures = [one for one in unmeasured.pieces() if isinstance(one, Figure)]
    held = residency_weighted(TRACE)
    assert any(one.value == held.mean and one.kind == "measured" for one in figures)
    asked = question()
    ledger = asked.at(8).ledger()
    assert any(one.value == ledger.kv_bytes / 2**30 for one in figures)
    most = 16 * asked.at(32).ledger().usable_blocks  # what all variants can serve
    served = TRACE.select(TRACE.prompt_tokens + TRACE.output_tokens - 1 <= most)
    assert len(served) < len(TRACE)
    safe = concurrency(16 * ledger.usable_blocks, served.prompt_tokens, served.output_tokens).safe
    assert any(one.value == safe and "convolution" in str(one.source) for one in figures)


def test_the_simulation_is_checked_against_a_log_of_that_card(unmeasured):
    table = next(b for b in unmeasured.blocks if isinstance(b, Table) and "error" in b.columns)
    for _, (measured, modelled, error) in table.rows:
        assert (measured.kind, modelled.kind) == ("measured", "modelled")
        assert abs(error.value) < 2
        assert error.value == pytest.approx(100 * (modelled.value / measured.value - 1))


def test_what_would_change_the_answer_is_computed(unmeasured):
    text = section(unmeasured, "What would change the answer")
    assert "traffic doubled" in text
    assert "prompts doubled" in text
    assert "The price changes no choice between variants" in text
    for factor, name in ((2, "rate"), (3, "context")):
        other = changed(TRACE, **{name: factor})
        same = {"rate": ("prompt_tokens", 1), "context": ("arrival_s", 1)}[name][0]
        assert (getattr(other, same) == getattr(TRACE, same)).all()
    assert changed(TRACE, rate=2).arrival_s[-1] == TRACE.arrival_s[-1] / 2
    assert (changed(TRACE, context=3).prompt_tokens == 3 * TRACE.prompt_tokens).all()


def test_names_of_a_user_are_text_on_the_page():
    asked = question(trace_name="<script>alert(1)</script>", currency="<b>EUR</b>")
    memo = write_memo(asked, read_evidence(asked))
    html = page(memo)
    outside = re.sub(
        r"```.*?```", "", markdown(memo), flags=re.DOTALL
    )  # a fence shows all as it is
    assert not re.search(r"<(b|script)>", outside)
    assert "<script" not in html
    assert "<b>" not in html
    assert html.count("<svg") == 2


def test_a_memo_is_the_same_each_time(unmeasured):
    again = write_memo(question(), read_evidence(question(), RECORDS))
    assert page(again) == page(unmeasured)
    assert [b.alt for b in again.blocks if isinstance(b, Plot)]


def test_a_trace_without_arrivals_states_no_latency():
    from dataclasses import replace

    asked = question(trace=replace(TRACE, arrival_s=None), price_per_hour=None)
    text = markdown(write_memo(asked, read_evidence(asked)))
    assert "does not say when requests come" in text
    assert "p99 TTFT |" not in text.partition("## Speed, modelled")[2].partition("## ")[0]
    assert "No price was given" in text


def test_a_variant_that_does_not_fit_is_named():
    from gqa_lib.serving.scenario import Scenario

    tight = Scenario(model="Llama-3.1-8B", hardware="RTX 4090", gpu_memory_utilization=0.67)
    asked = question(scenario=tight, variants=(32, 8))
    text = markdown(write_memo(asked, read_evidence(asked)))
    assert "| MHA, 32 KV heads | does not fit |" in text
    assert "data-sheet ceilings" in text  # of the simulation, which is then a bound


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"price_per_hour": -1.0}, "price_per_hour=-1.0"),
        ({"price_per_hour": float("nan")}, "price_per_hour=nan"),
        ({"variants": (8,)}, "leaves nothing to decide"),
        ({"variants": (32, 8, 8)}, "twice"),
        ({"variants": (32, 5)}, "num_kv_heads=5"),
        ({"margin": 0}, "margin=0"),
        ({"margin": 5}, "margin=5 is 500 %"),
        ({"goodput": "ttft"}, "is not a latency"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_question_that_cannot_be_asked_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        question(**changes)


def test_prose_of_the_memo_is_prose(unmeasured):
    assert all(isinstance(one, Prose) for one in unmeasured.answer)
    assert len(unmeasured.answer) == 3

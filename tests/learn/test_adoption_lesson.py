"""Lesson 15: what its exercises accept, and that its numbers are those of the log and records."""

import math

import numpy as np
import pytest
import torch

from gqa_lib.learn import check
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.exercises.lesson15 import KINDS, MEASURED_ROWS, examined
from gqa_lib.learn.exercises.lesson15_change import PAIRED_CHANGE, changed
from gqa_lib.learn.exercises.lesson15_cost import COST_AT_OBJECTIVE, costs
from gqa_lib.learn.exercises.lesson15_decide import ANSWERS, DECIDE, decided
from gqa_lib.records import read, recorded
from gqa_lib.serving.scenario import Scenario
from gqa_lib.serving.simulator import summary
from gqa_lib.serving.traffic import sample
from gqa_lib.train import compare_paired


def arguments(exercise, seed, **case):
    return exercise.make(torch.Generator().manual_seed(seed), **case)


def test_of_all_kinds_of_lines_each_reason_is_given():
    text, hardware = arguments(MEASURED_ROWS, 0, kinds=KINDS)
    rows, refused = examined(text, hardware)
    assert len(rows) == len([kind for kind in KINDS if kind.startswith(("good", "a quarter"))])
    assert set(refused.values()) == {
        "broken",
        "not measured",
        "other hardware",
        "unfinished",
        "no number",
    }
    assert len(rows) + len(refused) == len(KINDS) - 2  # two are blank


def test_files_that_are_drawn_have_rows_that_count_and_others():
    found = [examined(*arguments(MEASURED_ROWS, seed, draw=3)) for seed in range(20)]
    assert any(rows for rows, _ in found)
    assert any(refused for _, refused in found)


def test_the_change_is_that_of_the_library_on_logarithms():
    for draw in range(1, 6):
        baseline, variant, confidence = arguments(PAIRED_CHANGE, draw, draw=draw)
        both = [seed for seed in baseline if seed in variant]
        logs = [[math.log(side[seed]) for seed in both] for side in (baseline, variant)]
        found = compare_paired(*logs, margin=0.1, confidence=confidence)
        expected = np.expm1([found.difference, found.low, found.high])
        assert changed(baseline, variant, confidence) == pytest.approx(expected)


def test_exchanged_variants_undo_each_other():
    baseline, variant, confidence = arguments(PAIRED_CHANGE, 0, draw=1)
    there, back = changed(baseline, variant, confidence), changed(variant, baseline, confidence)
    assert (1 + there[0]) * (1 + back[0]) == pytest.approx(1)
    assert (1 + there[1]) * (1 + back[2]) == pytest.approx(1)


def test_costs_that_are_drawn_are_stated_and_refused():
    found = [costs(*arguments(COST_AT_OBJECTIVE, seed, draw=1 + seed % 7)) for seed in range(60)]
    assert any(one is None for one in found)
    assert any(one is not None for one in found)


def test_decisions_that_are_drawn_are_of_every_kind():
    found = [decided(*arguments(DECIDE, seed, draw=1 + seed % 9)) for seed in range(90)]
    assert set(found) == set(ANSWERS)


def test_a_result_in_float32_is_near_enough_and_a_wrong_constant_is_not():
    def yours(factor):
        def cost(rows, price_per_hour, objective):
            found = costs(rows, price_per_hour, objective)
            return None if found is None else np.float32(found * factor)

        return cost

    check("cost_at_objective", yours(1))
    with pytest.raises(NotYet):
        check("cost_at_objective", yours(1.000001))


def test_a_result_of_another_shape_is_told_so():
    with pytest.raises(NotYet, match="Give a dictionary"):
        check("measured_rows", lambda text, hardware: ([], []))
    with pytest.raises(NotYet, match="three answers"):
        check("decide", lambda *_: "keep")


def test_the_log_says_what_the_lesson_says():
    log = sample("vllm-rtx4090")
    seconds = float((log.arrival_s + log.measured["e2e_s"]).max())
    rate = float(log.output_tokens.sum()) / seconds
    assert (len(log), int(log.output_tokens.sum()), round(seconds)) == (300, 195_753, 184)
    assert (round(rate), round(0.35 / 3600 / rate * 1e6, 2)) == (1066, 0.09)
    assert round(float(np.percentile(log.measured["ttft_s"], 99))) == 137
    more = log.output_tokens - 1
    tpot = (log.measured["e2e_s"] - log.measured["ttft_s"]) / more
    assert round(1e3 * float(np.percentile(tpot, 99))) == 56
    offered, served = 299 / float(log.arrival_s[-1]), 300 / seconds
    assert (round(offered, 1), round(served, 1)) == (10.3, 1.6)


def test_the_simulator_says_what_the_lesson_says():
    found = {
        heads: summary(
            Scenario(kernel_times="rtx4090-llama-3.1-8b", num_kv_heads=heads).run(
                sample("vllm-rtx4090")
            )
        )["output_throughput"]
        for heads in (8, 32)
    }
    assert round(found[32]) == 221
    assert found[8] == pytest.approx(1066, rel=0.01)


def test_the_records_say_what_the_model_answer_says():
    ends = {}
    for path in recorded("quality"):
        rows = read(path)
        task = next(row for row in rows if row["kind"] == "setting")["params"]["task"]
        row = next(row for row in rows if row["kind"] == "difference" and row["of"] == "GQA 2")
        ends[task] = (round(row["low"], 3), round(row["high"], 3), row["margin"])
    assert ends["text"] == (-0.018, 0.015, 0.01)
    assert ends["recall"] == (-0.407, -0.387, 0.02)

"""Whole steps in the same rounds: what is timed, what is not and why, and what comes of it."""

import pytest
import torch
from clocks import Clock

from gqa_lib.compare import step_table, steps
from gqa_lib.compare.models import filled_cache, llama_like, step_arm
from gqa_lib.compare.steps import StepPoint, fitting_steps, row_lengths, time_steps
from gqa_lib.cost import decode_step_time, kv_cache_bytes
from gqa_lib.hardware import Hardware
from gqa_lib.model import LanguageModel

SHAPE = {"num_layers": 2, "num_heads": 6, "head_dim": 8, "d_model": 24, "d_ff": 28}
CONFIGS = {kv: llama_like(kv, **SHAPE, vocab_size=40) for kv in (6, 2)}
POINTS = [StepPoint(3, 24, kv) for kv in CONFIGS]


@pytest.fixture
def models():
    torch.manual_seed(3)
    return {kv: LanguageModel(config) for kv, config in CONFIGS.items()}


def timed(models, points=POINTS, **options):
    options = {"rounds": 2, "budget_s": 0.0, "clock": Clock(tick=1)} | options
    return time_steps(points, models, **options)


def of_kind(rows, kind):
    return [row for row in rows if row["kind"] == kind]


@pytest.mark.parametrize(("batch_size", "context"), [(1, 7), (2, 7), (5, 100), (8, 2048)])
def test_ragged_lengths_differ_and_have_the_same_mean(batch_size, context):
    lengths = row_lengths(batch_size, context, ragged=True)
    assert len(lengths) == batch_size
    assert sum(lengths) == batch_size * context
    assert len(set(lengths)) == batch_size
    assert context / 2 <= min(lengths) <= max(lengths) <= 1.5 * context
    assert row_lengths(batch_size, context) == [context] * batch_size


def test_own_steps_take_turns_before_all_others(models):
    rows = timed(models, parts=True, reads=True)
    first = [r for r in of_kind(rows, "sample") if (r["phase"], r["round"]) == ("warmup", 0)]
    assert [(r["arm"], r["p_num_kv_heads"]) for r in first] == [
        ("step", 6),
        ("step", 2),
        ("products", 6),
        ("attention", 6),
        ("products", 2),
        ("attention", 2),
    ]
    assert first[0]["p_lengths"] == [24, 24, 24]
    assert all(row["bytes"] >= 2**27 for row in of_kind(rows, "read"))
    assert {r["round"] for r in of_kind(rows, "read") if r["phase"] == "measure"} == set(range(2))


@pytest.mark.parametrize("ragged", [False, True])
def test_our_step_is_compared_with_that_of_a_sequence_alone(ragged, models):
    rows = of_kind(timed(models, ragged=ragged), "arm")
    assert [(r["arm"], r["own"], r["status"]) for r in rows] == [("step", True, "timed")] * 2
    assert all(r["error"] < 1e-5 for r in rows)


@pytest.mark.parametrize("ragged", [False, True])
def test_a_wrong_step_is_not_timed(ragged, models, monkeypatch):
    def mixed_up(model, lengths, drawn):
        return filled_cache(model, lengths, drawn.flip(1) if len(lengths) > 1 else drawn)

    monkeypatch.setattr(steps, "filled_cache", mixed_up)
    rows = timed(models, ragged=ragged, parts=True)
    assert not of_kind(rows, "sample")
    assert all("logits wrong by" in row["reason"] for row in rows)
    assert step_table.step_points(rows, CONFIGS, Hardware("a", 1.0, 1.0, 1.0, "")) == []


def test_a_peer_that_is_wrong_or_far_slower_says_so(models, monkeypatch):
    clock = Clock()

    def peers(model, drawn):
        right = step_arm(model, filled_cache(model, [drawn.shape[3]] * drawn.shape[1], drawn))
        tokens, logits = right(0)
        return {
            "quick": clock.arm(1, lambda call: (tokens, logits)),
            "slow": clock.arm(2, lambda call: (tokens, logits)),
            "far slower": clock.arm(3, lambda call: (tokens, logits)),
            "wrong": clock.arm(1, lambda call: (tokens, logits.roll(1, 0))),
            "nothing": clock.arm(1, lambda call: (tokens, logits * torch.nan)),
        }

    monkeypatch.setattr(steps, "transformers_arms", peers)
    rows = timed(models, POINTS[:1], peers=True, clock=clock)
    reasons = {row["arm"]: row.get("reason", "") for row in of_kind(rows, "arm")}
    assert reasons["quick"] == reasons["slow"] == reasons["step"] == ""
    assert "over 2.5 times the fastest" in reasons["far slower"]
    assert "logits wrong by" in reasons["wrong"]
    assert "logits wrong by inf" in reasons["nothing"]
    assert {row["arm"] for row in of_kind(rows, "sample")} == {"step", "quick", "slow"}


def test_a_peer_that_was_slow_once_has_another_chance(models, monkeypatch):
    clock, slow = Clock(), [9, 9, 9, 1]

    def peers(model, drawn):
        right = step_arm(model, filled_cache(model, [24] * 3, drawn))(0)

        def stumbles(call):
            clock.now += slow.pop(0) if slow else 1
            return right

        return {"steady": clock.arm(1, lambda call: right), "stumbles": stumbles}

    monkeypatch.setattr(steps, "transformers_arms", peers)
    rows = timed(models, POINTS[:1], peers=True, clock=clock)
    assert "stumbles" in {row["arm"] for row in of_kind(rows, "sample")}


def test_peers_with_ragged_rows_are_refused(models):
    with pytest.raises(ValueError, match="sequences of one length"):
        timed(models, ragged=True, peers=True)


def test_transformers_own_steps_are_right(models):
    pytest.importorskip("transformers")
    rows = of_kind(timed(models, peers=True), "arm")
    assert len(rows) == 2 * 5
    assert all(row["error"] < 1e-4 for row in rows)


def test_points_that_do_not_fit_are_left_out_with_their_sizes():
    points = [StepPoint(3, 1000, 6), StepPoint(3, 1000, 2)]
    weights = 4 * sum(config.weights.total for config in CONFIGS.values())
    small = 4 * 2 * 2 * 2 * 8 * 3 * (1000 + 64)  # bytes, K and V, layers, heads, D, B, S
    enough = {"most_bytes": weights + small}
    assert fitting_steps(points, CONFIGS, 4, "cpu", most_bytes=weights + 4 * small)[1] == []
    fit, lines = fitting_steps(points, CONFIGS, 4, "cpu", **enough)
    assert fit == points[1:]
    assert len(lines) == 1
    assert "batch 3, 1000 tokens, KV heads 6" in lines[0]
    assert fitting_steps(points, CONFIGS, 4, "cpu", **enough, peers=True)[0] == []
    assert fitting_steps(points, CONFIGS, 4, "cpu", **enough, ragged=True)[0] == []


def sample(arm, seconds, kind="sample", **more):
    row = {"kind": kind, "metric": "time", "unit": "s", "arm": arm, "sample": 0, "quiet": None}
    row |= {"phase": "measure", "p_batch_size": 3, "p_context": 24, "p_dtype": "bfloat16", **more}
    return [row | {"round": n, "value": seconds} for n in range(6)]


def test_the_table_of_a_point_by_hand():
    config = CONFIGS[2]
    rows = [
        *sample("step", 4.0, p_num_kv_heads=2),
        *sample("products", 1.5, p_num_kv_heads=2),
        *sample("attention", 1.0, p_num_kv_heads=2),
        *sample("sdpa, static cache", 6.0, p_num_kv_heads=2),
        *sample("eager, static cache", 9.0, p_num_kv_heads=2),
        *sample("a pass", 2.0, "read", bytes=2000),
    ]
    machine = Hardware("made up", 1e9, 5.0, 1.0, "by hand")
    (found,) = step_table.step_points(rows, CONFIGS, machine)
    assert found["tokens_per_s"] == 0.75
    assert found["parts"] == {"products": 1.5, "attention": 1.0, "rest": 1.5}
    assert (found["best_peer"], found["over_peer"]) == ("sdpa, static cache", 1.5)
    assert found["bandwidth_bytes_per_s"] == 1000
    moved = 2 * config.weights.dense + kv_cache_bytes(config, [24] * 3, 2)
    assert (found["weight_bytes"] + found["kv_bytes"], found["ideal_s"]) == (moved, moved / 1000)
    assert found["share"] == moved / 4000
    text = step_table.step_table([found])
    assert "sdpa, static cache" in text
    assert "1.50" in text
    assert "1500" in step_table.parts_table([found])
    (alone,) = step_table.step_points(rows[:6], CONFIGS, machine)
    assert alone["bandwidth_bytes_per_s"] == 5.0
    assert (alone["best_peer"], alone["over_peer"], alone["parts"]) == (None, None, None)
    assert step_table.step_table([alone])


def test_parts_that_come_to_more_than_the_step_leave_nothing():
    rows = [*sample("step", 2.0, p_num_kv_heads=6), *sample("products", 1.5, p_num_kv_heads=6)]
    rows += sample("attention", 1.0, p_num_kv_heads=6)
    (found,) = step_table.step_points(rows, CONFIGS, Hardware("made up", 1.0, 1.0, 1.0, ""))
    assert found["parts"]["rest"] == 0


def test_the_least_time_leaves_the_input_embedding_out():
    config, machine = CONFIGS[2], Hardware("made up", 1e12, 1000.0, 1.0, "by hand")
    least = step_table.least_step_s(config, machine, 3, 24, 2)
    assert least == decode_step_time(config, machine, 3, 24, 2, 2 * config.weights.dense)
    assert least == (2 * config.weights.dense + kv_cache_bytes(config, [24] * 3, 2)) / 1000

"""Arms beside their peers: what is timed, what is not and why, and what is made of the samples."""

import pytest
import torch
from clocks import Clock

from gqa_lib.compare import arms as arms_module
from gqa_lib.compare import table, timing
from gqa_lib.compare.arms import PEERS, library_arms, own_arm, peer_arms
from gqa_lib.compare.timing import Point, fitting, time_points
from gqa_lib.measure import rotation_bytes

CPU = torch.device("cpu")
SMALL = Point(2, 48, 2, 16)


def tensors(point=SMALL, num_heads=8):
    B, S, Hkv, D, T = point
    return torch.randn(B, num_heads, T, D), *torch.randn(2, B, Hkv, S, D)


def timed(points, arms, **options):
    """Time arms by a clock that gives each call a second, unless it says otherwise."""
    options = {"rounds": 2, "budget_s": 0.0, "rotate": False, "clock": Clock(tick=1)} | options
    return time_points(points, 8, torch.float32, CPU, arms, **options)


def every_arm(point, q, k, v):
    return library_arms(q, k, v) | peer_arms(q, point.num_kv_heads, compiled=False)


@pytest.mark.parametrize("point", [SMALL, Point(1, 32, 8, 16), Point(1, 24, 2, 16, 24)])
def test_every_arm_that_runs_is_right_and_is_timed(point):
    rows = timed([point], every_arm)
    arms = {row["arm"]: row for row in rows if row["kind"] == "arm"}
    assert arms.keys() >= {"sdpa", "sdpa_flash", "sdpa_math", "fold_sdpa", "fold_matmul"}
    for name in ("sdpa", "sdpa_flash", "sdpa_math", "fold_sdpa", "fold_matmul", "loop_sdpa"):
        assert arms[name]["status"] == "timed", arms[name]
        assert arms[name]["error"] < 1e-5
    assert "No viable backend" in arms["sdpa_cudnn"]["reason"]
    assert arms["sdpa"]["operator"] == "_scaled_dot_product_flash_attention_for_cpu"
    sampled = {row["arm"] for row in rows if row["kind"] == "sample"}
    assert sampled == {name for name, row in arms.items() if row["status"] == "timed"}
    assert [name for name, row in arms.items() if row["own"]] == [own_arm(*tensors(point))]
    assert all(row["p_num_queries"] == point.num_queries for row in rows)


def test_points_take_turns_in_the_same_rounds():
    points = [SMALL, SMALL._replace(num_kv_heads=1)]
    rows = timed(points, lambda point, q, k, v: {"sdpa": peer_arms(q, k.shape[1])["sdpa"]})
    order = [row["p_num_kv_heads"] for row in rows if row["kind"] == "sample"]
    assert order[:4] == [2, 1, 1, 2]


def test_passes_that_read_take_turns_too():
    rows = timed([SMALL], lambda point, q, k, v: library_arms(q, k, v), reads=True)
    reads = [row for row in rows if row["kind"] == "read"]
    assert {row["round"] for row in reads if row["phase"] == "measure"} == set(range(2))
    assert all(row["bytes"] >= 2**27 for row in reads)


def test_wrong_slow_failing_and_unwanted_arms_are_not_timed_and_say_why():
    clock = Clock(tick=1)

    def some(point, q, k, v):
        right = peer_arms(q, point.num_kv_heads, compiled=False)["sdpa"]
        return {
            "right": right,
            "slow": clock.arm(3, right),
            "wrong": lambda q, k, v: 1.01 * right(q, k, v),
            "fails": lambda q, k, v: right(q, k),
            "unwanted": right,
        }

    rows = timed([SMALL], some, too_slow=3, skip={"unwanted": "it was said"}, clock=clock)
    reasons = {row["arm"]: row.get("reason", "") for row in rows if row["kind"] == "arm"}
    assert reasons["right"] == ""
    assert "over 3 times the fastest arm's" in reasons["slow"]
    assert next(row["times_the_fastest"] for row in rows if row["arm"] == "slow") == 4
    assert "wrong by 0.01" in reasons["wrong"]
    assert "TypeError" in reasons["fails"]
    assert "it was said" in reasons["unwanted"]
    assert {row["arm"] for row in rows if row["kind"] == "sample"} == {"right"}


@pytest.mark.parametrize("option", ["too_slow", "hopeless"])  # the second in older benchmarks
def test_the_choice_and_the_fastest_peer_are_timed_however_slow_they_are(monkeypatch, option):
    clock = Clock(tick=1)
    monkeypatch.setattr(timing, "own_arm", lambda q, k, v: "own")

    def ours_and_peers(point, q, k, v):
        right = peer_arms(q, point.num_kv_heads, compiled=False)["sdpa"]
        slow = {"own": 30, "other": 30, "sdpa_flash": 20, "fold_sdpa": 10}
        return {"quick": right} | {name: clock.arm(s, right) for name, s in slow.items()}

    rows = timed([SMALL], ours_and_peers, **{option: 1.5}, clock=clock)
    sampled = {row["arm"] for row in rows if row["kind"] == "sample"}
    assert sampled == {"quick", "own", "fold_sdpa"}
    assert {row["value"] for row in rows if row.get("arm") == "own" and "value" in row} == {31}


def test_an_arm_that_gives_nan_is_wrong():
    rows = timed([SMALL], lambda point, q, k, v: {"nan": lambda q, k, v: q * torch.nan})
    assert "wrong by inf" in rows[0]["reason"]


def test_a_cpu_is_not_asked_to_expand_more_than_it_can_hold(monkeypatch):
    monkeypatch.setattr(arms_module, "free_bytes", lambda device: 1000)
    q, k, v = tensors()
    with pytest.raises(MemoryError, match="expand K and V"):
        peer_arms(q, 2)["sdpa_math"](q, k, v)
    q, k, v = tensors(SMALL._replace(num_kv_heads=8))
    peer_arms(q, 8)["sdpa_math"](q, k, v)  # nothing to expand


def test_points_that_do_not_fit_are_left_out_by_name():
    points = [Point(1, 1024, kv, 128) for kv in (32, 8, 1)]
    room = sum(point.kv_bytes(4) for point in points[1:])
    floor = rotation_bytes(CPU)
    fit, left_out = fitting([points], 4, CPU, room + 2 * floor)
    assert fit == [points[1:]]
    assert len(left_out) == 1
    assert "1024 tokens, 32 KV heads" in left_out[0]
    assert fitting([points], 4, CPU, 1)[0] == []


# ---- what is made of the samples


def samples(arm, values, kind="sample", **more):
    base = {"kind": kind, "metric": "time", "unit": "s", "phase": "measure", "quiet": None}
    shape = {"p_batch_size": 32, "p_context": 4096, "p_num_kv_heads": 8, "p_head_dim": 128}
    shape |= {"p_num_queries": 1, "p_num_heads": 32, "p_dtype": "bfloat16"}
    rows = [base | {"arm": arm, "round": i, "sample": 0, "value": v} for i, v in enumerate(values)]
    return [row | shape | more for row in rows]


def made_up(own="native"):
    weather = [1.0, 2.0, 4.0, 1.0, 2.0, 4.0]
    rows = samples("native", [1e-3 * w for w in weather])
    rows += samples("sdpa_flash", [1.2e-3 * w for w in weather]) + samples("sdpa_math", [9.0] * 6)
    rows += samples("loop_sdpa", [1e-4] * 6)  # the library's own and not chosen: no peer
    arms = samples("native", [0]) + samples("sdpa_flash", [0])
    return rows + [row | {"kind": "arm", "own": row["arm"] == own} for row in arms]


def test_points_compare_with_the_reads_of_their_rounds_and_the_best_peer():
    reads = samples("sum", [1e-3] * 6, kind="read", bytes=1e9)
    reads += samples("dot", [1e-3] * 6, kind="read", bytes=2e9)
    (point,) = table.points(made_up() + reads)
    kv_bytes, q_and_out = 2 * 2 * 32 * 4096 * 8 * 128, 2 * 2 * 32 * 32 * 128
    assert point["bandwidth_bytes_per_s"] == pytest.approx(2e12)
    assert point["ideal_s"] == pytest.approx((kv_bytes + q_and_out) / 2e12)
    assert point["share"] == pytest.approx(point["ideal_s"] / 2e-3)  # the median round's
    assert (point["own"], point["best_peer"]) == ("native", "sdpa_flash")
    assert point["over_peer"] == pytest.approx(1.2)  # round by round, whatever the weather
    assert point["low"] == point["high"] == pytest.approx(1.2)


def test_on_a_gpu_a_short_time_is_a_latency_and_has_no_share():
    (long,) = table.points(made_up(), 1e12)  # ideal 0.5 ms
    (short,) = table.points(made_up(), 1e14)
    assert f"{long['share']:.2f}" in table.table([long], on_gpu=True)
    assert f"{short['share']:.2f}" in table.table([short])
    assert f"{short['share']:.2f}" not in table.table([short], on_gpu=True)


def test_without_reads_the_ceiling_is_given_or_copied():
    (point,) = table.points(made_up(), 1e12)
    assert point["bandwidth_bytes_per_s"] == 1e12
    copies = [row | {"bytes": 1e9} for row in samples("copy", [1e-3] * 6)]
    for row in copies:
        row.pop("p_context")
    (point,) = table.points(made_up() + copies)
    assert point["bandwidth_bytes_per_s"] == pytest.approx(1e12)


def test_a_choice_that_is_a_peer_itself_loses_nothing_to_it():
    (point,) = table.points(made_up(own="sdpa_flash"), 1e12)
    assert (point["own"], point["best_peer"], point["over_peer"]) == ("sdpa_flash", "sdpa_flash", 1)


def test_a_choice_that_was_not_timed_has_no_ratio():
    (point,) = table.points(made_up(own=None), 1e12)
    assert (point["own"], point["share"], point["over_peer"]) == (None, None, None)
    assert "-" in table.table([point])


def test_the_peers_are_those_that_one_would_call_instead():
    q, _, _ = tensors()
    assert set(peer_arms(q, 2)) == set(PEERS)


def test_points_that_differ_in_kv_heads_alone_stand_together():
    def point(context, num_kv_heads, own="fold", num_queries=1):
        return {
            "batch_size": 1,
            "context": context,
            "head_dim": 64,
            "num_kv_heads": num_kv_heads,
            "num_queries": num_queries,
            "own": own,
        }

    found = [point(64, 8), point(64, 4, own=None), point(64, 1), point(128, 8), point(128, 1)]
    groups = table.by_setting([*found, point(128, 1, num_queries=128)])
    assert groups == [[found[0], found[2]], found[3:], [point(128, 1, num_queries=128)]]

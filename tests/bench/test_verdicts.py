"""Medians, intervals, ratios and verdicts of series, from runs that are made up."""

import pytest
from fabricated_runs import steady, times, tried, write_run

from gqa_lib.bench.results.kept import read_runs
from gqa_lib.bench.results.series import CHOSEN, all_series
from gqa_lib.bench.results.verdicts import compare, direction


def series_of(folder):
    return all_series(read_runs(folder)[0])


def two_points(out, name, first, second, **of_record):
    samples = times(first, num_kv_heads=8) + times(second, num_kv_heads=1)
    write_run(out, name, samples, **of_record)


def test_one_run_has_an_interval_over_its_samples_and_several_one_over_runs(tmp_path):
    write_run(tmp_path, "a", times(steady(1.0), num_kv_heads=8))
    [one] = series_of(tmp_path)
    found = one.summary()
    assert one.over == "rounds"
    assert (found["median"], found["samples"], found["runs"]) == (1.0, 9, 1)
    assert 0.99 <= found["low"] < 1 < found["high"] <= 1.01
    for name, middle in (("b", 1.1), ("c", 1.3)):
        write_run(tmp_path, name, times(steady(middle), num_kv_heads=8), repeat=1)
    [one] = series_of(tmp_path)
    found = one.summary()
    assert one.over == "runs"
    assert (found["low"], found["median"], found["high"]) == pytest.approx((1.0, 1.1, 1.3))
    assert (found["n"], found["samples"], found["runs"]) == (3, 27, 3)


def test_the_median_of_a_run_is_that_of_its_quiet_samples(tmp_path):
    samples = times([1.0] * 6 + [9.0] * 20)
    for row in samples[6:]:
        row["quiet"] = False
    write_run(tmp_path, "a", [*samples, {**times([50.0])[0], "phase": "warmup"}])
    [one] = series_of(tmp_path)
    assert (one.summary()["median"], one.summary()["samples"]) == (1.0, 6)


def test_failed_runs_and_what_is_no_number_count_nowhere(tmp_path):
    write_run(tmp_path, "bad", times([9.0]), status="error")
    odd = [{"metric": "m", "unit": "", "value": value} for value in (None, "1", True, 1e400)]
    write_run(tmp_path, "good", times([1.0]) + odd)
    assert [one.summary()["median"] for one in series_of(tmp_path)] == [1.0]


def test_effort_and_lists_do_not_tell_points_apart_and_parameters_do(tmp_path):
    for number, (params, middle) in enumerate(
        [
            ({"rounds": 5, "num_kv_heads": [8]}, 1.0),
            ({"rounds": 9, "num_kv_heads": [8, 1], "device": "cpu"}, 1.0),
            ({"dtype": "bfloat16"}, 0.5),
        ]
    ):
        samples = times(steady(middle), num_kv_heads=8)
        write_run(tmp_path, f"r{number}", samples, params=params)
    assert [len(one.rows) for one in series_of(tmp_path)] == [2, 1]


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(0.5, "faster"), (1.5, "slower"), (1.0, "same"), (1.06, "ambiguous")],
)
def test_rounds_of_one_run_are_compared_one_by_one(tmp_path, ratio, said):
    weather = [1.0, 5.0, 2.0, 7.0, 1.5, 3.0, 1.0, 4.0, 6.0]  # of the machine, for both
    wobble = steady(1.0, 0.02)
    other = [w * ratio * x for w, x in zip(weather, wobble, strict=True)]
    two_points(tmp_path, "a", weather, other)
    first, second = series_of(tmp_path)
    found = compare(first, second, 0.05)
    assert (found.verdict, found.over) == (said, "rounds")
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(ratio, rel=0.03)


def test_runs_that_differ_more_than_their_rounds_make_the_interval_wider(tmp_path):
    for number, ratio in enumerate((0.6, 1.0, 1.5)):
        two_points(tmp_path, f"r{number}", steady(1.0), steady(ratio), repeat=number)
    first, second = series_of(tmp_path)
    found = compare(first, second, 0.05)
    assert (found.verdict, found.over) == ("ambiguous", "runs")
    assert found.low < 0.6 < 1.5 < found.high, "Student's interval of three values"
    for number in range(3, 20):
        two_points(tmp_path, f"r{number}", steady(1.0), steady(0.6), repeat=number)
    first, second = series_of(tmp_path)
    found = compare(first, second, 0.05)
    assert found.verdict == "faster"
    assert found.ratio == pytest.approx(0.6, rel=0.03)


def test_two_runs_against_two_differ_by_chance_and_so_say_little(tmp_path):
    """Two values each: the least and the most would exclude the other's in one of six cases."""
    for number, (before, after) in enumerate(((1.0, 1.12), (1.02, 1.2))):
        write_run(tmp_path / "a", f"r{number}", times(steady(before)))
        write_run(tmp_path / "b", f"r{number}", times(steady(after)))
    [first], [second] = series_of(tmp_path / "a"), series_of(tmp_path / "b")
    assert compare(first, second, 0.05).verdict == "ambiguous"


def test_one_run_against_three_is_judged_by_how_much_the_three_differ(tmp_path):
    for number, before in enumerate((0.94, 1.0, 1.06)):
        write_run(tmp_path / "a", f"r{number}", times(steady(before)))
    write_run(tmp_path / "b", "r", times(steady(1.12)))
    [several], [one] = series_of(tmp_path / "a"), series_of(tmp_path / "b")
    for first, other in ((several, one), (one, several)):
        found = compare(first, other, 0.05)
        assert (found.verdict, found.over) == ("ambiguous", "runs")


def test_fewer_than_five_rounds_say_nothing_however_alike(tmp_path):
    two_points(tmp_path, "a", [1.0] * 4, [2.0] * 4)
    assert compare(*series_of(tmp_path), 0.05).verdict == "ambiguous"


def test_points_of_different_runs_are_compared_without_pairs(tmp_path):
    write_run(tmp_path, "a", times(steady(1.0), num_kv_heads=8))
    write_run(tmp_path, "b", times(steady(0.5), num_kv_heads=1))
    found = compare(*series_of(tmp_path), 0.05)
    assert (found.verdict, found.over) == ("faster", "rounds")


def test_what_was_computed_is_exact(tmp_path):
    rows = [
        {"kind": "computed", "metric": name, "unit": unit, "value": value, "p_model": model}
        for name, unit, values in (("kv_bytes", "B", (100, 101)), ("max_sequences", "1", (50, 90)))
        for model, value in zip("ab", values, strict=True)
    ]
    write_run(tmp_path, "a", rows, benchmark="kv-footprint")
    write_run(tmp_path, "b", rows, benchmark="kv-footprint", repeat=1)
    fewer, more, few, many = series_of(tmp_path)
    found = compare(fewer, more, 0.05)
    assert (found.ratio, found.low, found.high) == (1.01, 1.01, 1.01)
    assert (found.verdict, found.over) == ("same", "nothing")
    assert compare(fewer, more, 0.005).verdict == "worse"
    assert compare(few, many, 0.05).verdict == "better"
    assert fewer.summary()["median"] == 100


def test_seeds_are_compared_one_by_one_and_a_repeat_adds_none(tmp_path):
    def trained(gain):
        return [
            {"metric": "loss", "unit": "nats", "phase": "measure", "seed": seed}
            | {"value": level * factor, "p_num_kv_heads": heads}
            for seed, level in enumerate((1.0, 2.0, 4.0, 1.5))
            for heads, factor in ((8, 1.0), (1, gain + 0.002 * seed))
        ]

    for name in ("a", "b"):
        write_run(tmp_path, name, trained(1.2), benchmark="quality")
    first, second = series_of(tmp_path)
    assert first.over == "seeds"
    assert first.summary()["n"] == 4
    found = compare(first, second, 0.05)
    assert (found.verdict, found.over) == ("worse", "seeds")


def test_one_seed_says_nothing(tmp_path):
    row = {"metric": "loss", "unit": "nats", "phase": "measure", "seed": 0}
    write_run(tmp_path, "a", [row | {"value": 1.0}, row | {"value": 2.0, "p_x": 1}])
    found = compare(*series_of(tmp_path), 0.05)
    assert (found.verdict, found.ratio) == ("ambiguous", 2.0)


def test_zeros_have_no_ratio(tmp_path):
    for name, value in (("a", 0), ("b", 3)):
        rows = [{"kind": "computed", "metric": "n", "unit": "1", "value": value, "p_x": name}]
        write_run(tmp_path, name, rows, benchmark="kv-footprint")
    first, second = series_of(tmp_path)
    assert compare(first, second, 0.05).verdict == "more"
    assert compare(second, first, 0.05).verdict == "less"
    assert compare(first, second, 0.05).ratio is None
    assert compare(first, first, 0.05).verdict == "same"
    rows = [{"metric": "accuracy", "unit": "", "value": 0.0, "round": n} for n in range(9)]
    write_run(tmp_path / "m", "c", [row | {"value": row["round"] / 9} for row in rows])
    write_run(tmp_path / "m", "d", [row | {"p_x": 1} for row in rows])
    assert compare(*series_of(tmp_path / "m"), 0.05).verdict == "ambiguous", "measured"


def test_the_library_s_choice_is_one_series_whatever_its_name(tmp_path):
    for number, own in enumerate(("fold", "split")):
        samples = times(steady(1.0), "fold", context=1) + times(steady(2.0), "split", context=1)
        arms = tried("fold", "split", own=own, context=1)
        rows = [{"context": 1, "share": 0.25 + number / 4, "own": own}]
        write_run(tmp_path, f"r{number}", samples, arms=arms, rows=rows)
    [chosen] = [one for one in series_of(tmp_path) if one.own]
    assert chosen.arm == CHOSEN
    assert chosen.names == {"fold", "split"}
    assert sorted(chosen.shares.values()) == [0.25, 0.5]
    assert sorted(one.arm for one in series_of(tmp_path) if not one.own) == ["fold", "split"]


@pytest.mark.parametrize(
    ("metric", "unit", "better"),
    [
        ("time", "s", "time"),
        ("latency", "ms", "time"),
        ("kv_bytes_per_token", "B", "lower"),
        ("loss", "nats per held-out byte", "lower"),
        ("rate", "tokens/s", "higher"),
        ("accuracy", "share of right answers", "higher"),
        ("max_sequences", "1", "higher"),
        ("preemptions", "1", "none"),
    ],
)
def test_which_way_is_better(metric, unit, better):
    assert direction(metric, unit) == better

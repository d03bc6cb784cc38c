import pytest

from gqa_lib.measure.findings import how_fast, how_long


def rows(**times):
    return [
        {"metric": "time", "unit": "s", "arm": arm, "round": i, "sample": 0, "value": value}
        | {"phase": "measure", "quiet": True}
        for arm, values in times.items()
        for i, value in enumerate(values)
    ]


STEADY = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01]
RESTLESS = [0.5, 2.0, 0.7, 1.6, 1.0, 0.6, 1.9, 1.1]


def test_a_clear_ratio_is_one_number_of_two_digits():
    taken = rows(mha=[72.04 * t for t in STEADY], gqa=STEADY)
    assert how_fast(taken, "gqa", "mha") == "72 times as fast"
    assert how_long(taken, "mha", "gqa") == "72 times as long"
    assert how_fast(taken, "mha", "gqa") == "72 times as long", "not 0.014 times as fast"
    assert how_long(taken, "gqa", "mha") == "72 times as fast"
    assert how_long(rows(a=[300 * t for t in STEADY], b=STEADY), "a", "b") == "300 times as long"


def test_a_difference_within_the_margin_is_none():
    taken = rows(mha=[1.02 * t for t in STEADY], gqa=STEADY)
    assert how_fast(taken, "gqa", "mha") == "about as fast"
    assert how_long(taken, "gqa", "mha") == "about as long"


def test_a_ratio_that_may_be_either_is_not_told_as_a_finding():
    said = how_fast(rows(mha=RESTLESS, gqa=STEADY), "gqa", "mha")
    assert said.startswith("from 0.")
    assert said.endswith("times as fast, too noisy to tell")
    few = how_fast(rows(mha=[4.0] * 4, gqa=[1.0] * 4), "gqa", "mha")
    assert few.endswith("too noisy to tell"), "too few rounds, however clear"


def test_a_clear_ratio_of_disturbed_samples_is_a_range_and_says_so():
    said = how_fast(rows(mha=[20 * t for t in RESTLESS], gqa=STEADY), "gqa", "mha")
    low, high = said.removesuffix(" times as fast (noisy)").split(" to ")
    assert 5 < float(low) < 20 < float(high) + 10


def test_an_arm_that_was_not_measured_is_refused():
    with pytest.raises(ValueError, match="'mqa' is not among the arms"):
        how_fast(rows(mha=STEADY, gqa=STEADY), "mqa", "mha")
    with pytest.raises(ValueError, match="'mqa' is not among the arms"):
        how_long(rows(mha=STEADY, gqa=STEADY), "mqa", "mha")

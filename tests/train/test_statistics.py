import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from refusing import assert_refused
from scipy import stats

from gqa_lib.train import (
    Comparison,
    compare_paired,
    mean_interval,
    minimum_detectable,
    pairs_needed,
)

A = [1.611, 1.617, 1.586, 1.642, 1.603]
B = [1.598, 1.611, 1.569, 1.633, 1.594]
DRAWS = 4000
NAN, INF = float("nan"), float("inf")


def compared(differences, margin=0.1, **other):
    """A comparison with these differences, between seeds that differ by much more."""
    a = [16.0 * i for i in range(len(differences))]
    return compare_paired(
        a, [x + d for x, d in zip(a, differences, strict=True)], margin=margin, **other
    )


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("num_pairs", [2, 5, 13])
def test_the_interval_is_that_of_the_paired_t_test(confidence, num_pairs):
    rng = np.random.default_rng(num_pairs)
    a = rng.normal(3, 1, num_pairs)
    b = a + rng.normal(0.2, 0.1, num_pairs)
    found = compare_paired(a, b, margin=0.01, confidence=confidence)
    expected = stats.ttest_rel(b, a).confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.difference == pytest.approx(np.mean(b - a))
    assert found.sd == pytest.approx(np.std(b - a, ddof=1))
    given = (found.num_pairs, found.margin, found.confidence, found.interval)
    assert given == (num_pairs, 0.01, confidence, "t")


def test_results_may_be_of_any_kind_that_has_an_order():
    expected = compare_paired(A, B, margin=0.01)
    wide = {"a": np.array(A), "b": tuple(B)}
    assert compare_paired(**wide, margin=0.01) == expected
    tensors = compare_paired(torch.tensor(A).double(), iter(B), margin=0.01)
    assert tensors.low == pytest.approx(expected.low, abs=1e-6)
    assert all(type(x) is float for x in (expected.low, expected.sd, expected.detectable))


def test_the_interval_covers_the_true_difference_as_often_as_it_says():
    """Of 5 pairs, at 95 %: seeds differ by much more than the two arms do."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(DRAWS):
        seeds = rng.normal(0, 10, 5)
        a, b = seeds + rng.normal(0, 1, 5), seeds + 0.7 + rng.normal(0, 1, 5)
        found = compare_paired(a, b, margin=0.1)
        covered += found.low <= 0.7 <= found.high
    assert 0.935 <= covered / DRAWS <= 0.965


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [mean_interval(rng.normal(3, 2, 4), confidence=0.9) for _ in range(DRAWS)]
    assert 0.88 <= sum(low <= 3 <= high for _, low, high in found) / DRAWS <= 0.92
    mean, low, high = mean_interval(A)
    expected = stats.ttest_1samp(A, 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((np.mean(A), expected.low, expected.high))


def test_a_bootstrap_of_ten_pairs_covers_less_than_it_says():
    """The share in the docstring, 91 %: why fewer pairs are refused."""
    rng = np.random.default_rng(2)
    draws = 800
    covered = 0
    for _ in range(draws):
        found = compared(rng.normal(0.3, 1, 10), interval="bootstrap")
        covered += found.low <= 0.3 <= found.high
    assert 0.875 <= covered / draws <= 0.93


def test_a_bootstrap_is_that_of_scipy_and_the_same_each_time():
    differences = np.random.default_rng(3).exponential(1, 12)
    zeros = np.zeros(12)
    found = compare_paired(zeros, differences, margin=0.1, interval="bootstrap")
    other = stats.bootstrap(
        (differences,), np.mean, n_resamples=50_000, method="BCa", random_state=9
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((other.low, other.high), rel=0.05)
    assert found == compare_paired(zeros, differences, margin=0.1, interval="bootstrap")
    assert found.interval == "bootstrap"
    low_tail, high_tail = found.difference - found.low, found.high - found.difference
    assert high_tail > 1.2 * low_tail, "as lopsided as the differences, unlike Student's"
    student = compare_paired(zeros, differences, margin=0.1)
    assert (found.difference, found.sd) == (student.difference, student.sd)
    assert found.high - found.low < student.high - student.low


VERDICTS = [  # differences, margin, verdict where lower is better and where higher is
    ([-0.30, -0.31, -0.29, -0.32], 0.1, "better", "worse"),
    ([0.30, 0.31, 0.29, 0.32], 0.1, "worse", "better"),
    ([0.10, 0.15, 0.13, 0.12], 0.1, "worse", "better"),  # the interval has the margin in it
    ([-0.05, 0.06, -0.03, 0.04], 0.1, "same within the margin", "same within the margin"),
    ([0.05, 0.06, 0.05, 0.07], 0.1, "same within the margin", "same within the margin"),
    ([-0.05, -0.06, -0.05, -0.07], 0.1, "same within the margin", "same within the margin"),
    ([-0.3, 0.4, 0.1, -0.1], 0.1, "not distinguishable", "not distinguishable"),
    ([-0.05, 0.06, -0.03, 0.04], 0.01, "not distinguishable", "not distinguishable"),
]


@pytest.mark.parametrize(("differences", "margin", "low_is_good", "high_is_good"), VERDICTS)
def test_the_verdict_follows_from_the_interval(differences, margin, low_is_good, high_is_good):
    assert compared(differences, margin).verdict == low_is_good
    assert compared(differences, margin, lower_is_better=False).verdict == high_is_good


def test_a_verdict_is_held_to_the_interval_that_is_shown():
    """Not to the narrower one of 90 % that two tests at 5 % have."""
    differences = [-0.05, 0.06, -0.03, 0.04]
    wide = compared(differences, 1)
    narrow = compared(differences, 1, confidence=0.9)
    margin = (wide.high + narrow.high) / 2
    assert narrow.high < margin < wide.high
    assert compared(differences, margin).verdict == "not distinguishable"
    assert compared(differences, margin, confidence=0.9).verdict == "same within the margin"


def test_without_a_difference_one_is_shown_as_often_as_the_confidence_leaves():
    rng = np.random.default_rng(4)
    verdicts = [compared(rng.normal(0, 1, 5), 1e-6).verdict for _ in range(DRAWS)]
    assert set(verdicts) == {"better", "worse", "not distinguishable"}
    assert 0.035 <= 1 - verdicts.count("not distinguishable") / DRAWS <= 0.065


def test_at_the_margin_same_is_said_no_more_often_than_the_confidence_leaves():
    rng = np.random.default_rng(5)
    verdicts = [compared(rng.normal(0.5, 0.2, 6), 0.5).verdict for _ in range(DRAWS)]
    assert 0.015 <= verdicts.count("same within the margin") / DRAWS <= 0.035


@pytest.mark.parametrize(("num_pairs", "confidence"), [(3, 0.95), (5, 0.95), (9, 0.8)])
def test_a_detectable_difference_is_shown_in_80_percent_of_experiments(num_pairs, confidence):
    rng = np.random.default_rng(num_pairs)
    difference = minimum_detectable(0.4, num_pairs, confidence)
    shown = sum(
        compared(rng.normal(difference, 0.4, num_pairs), 1e-6, confidence=confidence).verdict
        != "not distinguishable"
        for _ in range(DRAWS)
    )
    assert 0.77 <= shown / DRAWS <= 0.83


def test_detectable_is_that_of_the_sd_that_was_found():
    found = compare_paired(A, B, margin=0.01)
    assert found.detectable == minimum_detectable(found.sd, 5)
    lower = compare_paired(A, B, margin=0.01, confidence=0.9)
    assert lower.detectable == minimum_detectable(lower.sd, 5, 0.9) < found.detectable


def test_half_a_standard_deviation_takes_34_pairs():
    """As tables of the paired t test have it, two-sided at 5 % with 80 % power."""
    assert pairs_needed(2.0, 1.0) == 34


@pytest.mark.parametrize("ratio", [0.03, 0.5, 1.7, 40.0])
@pytest.mark.parametrize(("confidence", "power"), [(0.95, 0.8), (0.99, 0.3), (0.9, 0.99)])
def test_as_many_pairs_are_needed_as_show_the_difference_and_no_more(ratio, confidence, power):
    needed = pairs_needed(2.0, 2.0 * ratio, confidence, power)
    assert minimum_detectable(2.0, needed, confidence, power) <= 2.0 * ratio
    assert needed == 2 or minimum_detectable(2.0, needed - 1, confidence, power) > 2.0 * ratio


def test_what_needs_no_experiment_and_what_no_experiment_shows():
    assert minimum_detectable(0, 5) == 0
    assert pairs_needed(0, 1e-9) == 2
    assert minimum_detectable(1, 3, 0.95, 0.0501) < 0.05, "shown so often without any difference"
    assert minimum_detectable(1.0, 2, 0.9999) > 1000
    assert_refused(lambda: pairs_needed(1, 1e-9), "difference=1e-09 takes more than 10^12 pairs")


def test_differences_that_are_all_equal_have_an_interval_without_width():
    a = [0.1, 0.2, 0.3, 0.7, 1.1]
    for interval, times in (("t", 1), ("bootstrap", 2)):
        results = a * times
        how = {"margin": 0.05, "interval": interval}
        alike = compare_paired(results, results, **how)
        assert (alike.low, alike.high, alike.sd, alike.detectable) == (0, 0, 0, 0)
        assert alike.verdict == "same within the margin"
        apart = compare_paired(results, [x + 0.2 for x in results], **how)
        assert apart.low == apart.high == pytest.approx(0.2)
        assert (apart.sd, apart.verdict) == (0, "worse"), "but for rounding, all are 0.2"
        assert "all differences are equal" in str(apart)
    assert mean_interval([0.1] * 3) == (0.1, 0.1, 0.1)


def test_a_few_differences_that_are_equal_are_no_obstacle_to_a_bootstrap():
    zeros = [0.0] * 10
    found = compare_paired(zeros, [0.0] * 9 + [1.0], margin=0.1, interval="bootstrap")
    assert found.low < 0.1 < found.high


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e9, 1e299])
def test_the_unit_of_the_results_changes_nothing(scale):
    base = compare_paired(A, B, margin=0.002)
    found = compare_paired([x * scale for x in A], [x * scale for x in B], margin=0.002 * scale)
    assert found.verdict == base.verdict == "better"
    for name in ("difference", "low", "high", "sd", "detectable"):
        assert getattr(found, name) / scale == pytest.approx(getattr(base, name), rel=1e-9)


def made(low, high, verdict, margin=0.02, sd=0.01):
    return str(Comparison((low + high) / 2, low, high, sd, 5, margin, 0.95, "t", verdict, 0.0213))


@pytest.mark.parametrize(
    ("comparison", "sentence"),
    [
        (
            (-0.004, 0.028, "not distinguishable"),
            "b - a = +0.012 [-0.004, +0.028] (95 %, t, 5 pairs): not distinguishable; "
            "5 pairs can show 0.0213 with 80 % power",
        ),
        (
            (-0.05, -0.03, "better"),
            "b - a = -0.04 [-0.05, -0.03] (95 %, t, 5 pairs): b is better, "
            "by more than the margin of 0.02",
        ),
        (
            (0.01, 0.05, "worse"),
            "b - a = +0.03 [+0.01, +0.05] (95 %, t, 5 pairs): b is worse; "
            "whether by more than the margin of 0.02 is open",
        ),
        (
            (-0.01, 0.01, "same within the margin"),
            "b - a = 0 [-0.01, +0.01] (95 %, t, 5 pairs): same within the margin of 0.02",
        ),
        (
            (0.004, 0.012, "same within the margin"),
            "b - a = +0.008 [+0.004, +0.012] (95 %, t, 5 pairs): same within the margin of 0.02; "
            "b is higher, but by less than that",
        ),
        (
            (-0.012, -0.004, "same within the margin"),
            "b - a = -0.008 [-0.012, -0.004] (95 %, t, 5 pairs): same within the margin of 0.02; "
            "b is lower, but by less than that",
        ),
        (
            (1234.5, 23456.7, "worse"),
            "b - a = +12,346 [+1,234, +23,457] (95 %, t, 5 pairs): b is worse, "
            "by more than the margin of 0.02",
        ),
    ],
)
def test_a_comparison_says_its_numbers_and_what_they_mean(comparison, sentence):
    assert made(*comparison) == sentence


def test_a_bootstrap_and_another_confidence_are_named():
    found = compared([0.1, -0.2] * 5, interval="bootstrap", confidence=0.999)
    assert "(99.9 %, bootstrap, 10 pairs)" in found.sentence()
    assert str(found) == found.sentence()
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.verdict = "better"


def paired(a=A, b=B, **other):
    return compare_paired(a, b, **({"margin": 0.01} | other))


REFUSED = [
    ("margin=0 is not positive", lambda: paired(margin=0)),
    ("margin=-0.1", lambda: paired(margin=-0.1)),
    ("margin=nan", lambda: paired(margin=NAN)),
    ("margin=inf", lambda: paired(margin=INF)),
    ("confidence=95 is not below 1", lambda: paired(confidence=95)),
    ("confidence=1 ", lambda: paired(confidence=1)),
    ("confidence=0 ", lambda: mean_interval(A, confidence=0)),
    ("interval='z'", lambda: paired(interval="z")),
    ("lower_is_better=1", lambda: paired(lower_is_better=1)),
    ("a has 5 results and b has 4", lambda: paired(b=B[:4])),
    ("1 pairs, where interval='t' needs 2", lambda: paired(A[:1], B[:1])),
    ("0 pairs", lambda: paired([], [])),
    ("5 pairs, where interval='bootstrap' needs 10", lambda: paired(interval="bootstrap")),
    ("1 results", lambda: mean_interval([1.0])),
    ("b[2]=nan is not finite: a run that diverged", lambda: paired(b=[1, 2, NAN, 4, 5])),
    ("a[0]=-inf is not finite", lambda: paired([-INF, *A[1:]])),
    ("values[1]=nan", lambda: mean_interval([1.0, NAN])),
    ("a[1]='2'", lambda: paired([1, "2", 3, 4, 5])),
    ("a[0]=True", lambda: paired([True, 2, 3, 4, 5])),
    ("b[0]=[1.598", lambda: paired(b=[B] * 5)),
    ("a=7 is one value", lambda: paired(7)),
    ("a={0: 1.611", lambda: paired(dict(enumerate(A)))),
    ("is of type set", lambda: paired(b=set(B))),
    ("a[0]=1e+301 is beyond 1e+300", lambda: paired([1e301, *A[1:]])),
    ("sd=-1", lambda: minimum_detectable(-1, 5)),
    ("sd=nan", lambda: pairs_needed(NAN, 1)),
    ("num_pairs=1 ", lambda: minimum_detectable(1, 1)),
    ("num_pairs=2.5", lambda: minimum_detectable(1, 2.5)),
    ("power=1 ", lambda: minimum_detectable(1, 5, power=1)),
    ("power=0.05 is not between 0.05 and 1", lambda: minimum_detectable(1, 5, power=0.05)),
    ("power=80", lambda: pairs_needed(1, 1, power=80)),
    ("difference=0", lambda: pairs_needed(1, 0)),
    ("difference=-1", lambda: pairs_needed(1, -1)),
]


@pytest.mark.parametrize(("phrase", "call"), REFUSED)
def test_what_has_no_comparison_is_refused(phrase, call):
    assert_refused(call, phrase)


def test_without_scipy_what_to_install_is_said():
    code = (
        "import sys\n"
        "sys.modules['scipy'] = None\n"
        "from importlib import util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'scipy' else find(name)\n"
        "from gqa_lib import train\n"
        "calls = [lambda: train.compare_paired([1, 2], [2, 4], margin=1),\n"
        "         lambda: train.mean_interval([1, 2]),\n"
        "         lambda: train.minimum_detectable(1, 5), lambda: train.pairs_needed(1, 1)]\n"
        "for call in calls:\n"
        "    try:\n"
        "        call()\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert len(said) == 4
    assert all("scipy, which is not installed: pip install" in one for one in said)
    assert all("[train]" in one for one in said)


def test_a_powers_noncentrality_is_that_of_the_formula():
    """Without scipy's noncentral t: a normal over the root of a chi-squared, by its quantiles."""
    quantiles = (np.arange(20_000) + 0.5) / 20_000
    for num_pairs, confidence in ((2, 0.95), (5, 0.95), (20, 0.99)):
        df = num_pairs - 1
        shift = minimum_detectable(1, num_pairs, confidence, 0.6) * math.sqrt(num_pairs)
        spread = np.sqrt(stats.chi2.ppf(quantiles, df) / df)
        threshold = stats.t.ppf((1 + confidence) / 2, df) * spread
        power = stats.norm.sf(threshold - shift) + stats.norm.cdf(-threshold - shift)
        assert power.mean() == pytest.approx(0.6, abs=1e-3)


def test_a_pair_is_equal_up_to_its_own_rounding():
    found = compare_paired([1e16, 1, 2], [1e16, 1.5, 2.1], margin=0.1)
    assert found.verdict == "not distinguishable"
    assert found.sd == pytest.approx(0.2646, rel=1e-3)


def test_confidence_that_cannot_be_computed_with_is_refused():
    for confidence in (0.1, 0.2, 0.9999999999999999):
        with pytest.raises(ValueError, match=r"confidence=.* is not between 0.2 and 1 - 1e-06"):
            compare_paired([1, 2, 3], [2, 4, 7], margin=0.1, confidence=confidence)
    with pytest.raises(ValueError, match=r"confidence=0.999999 of num_pairs=2 takes"):
        minimum_detectable(1, 2, confidence=0.999999)


def test_a_truth_value_of_numpy_is_one():
    found = compare_paired([1, 2, 3], [2, 4, 7], margin=0.1, lower_is_better=np.bool_(False))
    assert found == compare_paired([1, 2, 3], [2, 4, 7], margin=0.1, lower_is_better=False)

"""Lesson 09: what its exercises accept, and that the lesson's statements are the library's."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import stats

from gqa_lib.configs import ModelConfig
from gqa_lib.learn import check
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.exercises.lesson09_pairs import paired
from gqa_lib.train import Heads, TextTask, compare_paired
from gqa_lib.train.corpus import Corpus

A, B = [2.31, 1.94, 2.10, 2.22, 1.87], [2.28, 1.99, 2.15, 2.21, 1.96]


def wrapped(change):
    """A right answer whose results go through `change`."""
    return lambda a, b, confidence: change(paired(a, b, confidence))


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("pairs", [2, 3, 4, 5, 31, 150])
def test_the_reference_is_scipys_paired_interval(pairs, confidence):
    generator = np.random.default_rng(pairs)
    a, b = generator.normal(2, 0.3, (2, pairs))
    low, high = stats.ttest_rel(b, a).confidence_interval(confidence)
    expected = ((b - a).mean(), low, high)
    assert paired(a.tolist(), b.tolist(), confidence) == pytest.approx(expected, rel=1e-9)


def test_the_reference_is_what_the_library_compares_by():
    found = compare_paired(A, B, margin=0.01, confidence=0.9)
    assert paired(A, B, 0.9) == pytest.approx((found.difference, found.low, found.high), rel=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        list,
        lambda three: tuple(np.float64(one) for one in three),
        lambda three: tuple(torch.tensor(three)),  # float32
        lambda three: torch.tensor(three, dtype=torch.float64),
        lambda three: tuple(np.float32(one) for one in three),
    ],
)
def test_numbers_of_any_library_are_accepted(change):
    check("paired_difference", wrapped(change))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda three: (three[0], *map(str, three[1:])), "One of its three results is a str"),
        (lambda three: (three[0], torch.zeros(2), three[2]), "Give three numbers"),
        (lambda three: (three[0], True, three[2]), "Give three numbers"),
        (lambda three: three[1:], "expected 3 results"),
        (lambda three: {"difference": three[0]}, "expected 3 results"),
        (lambda three: (three[0], math.nan, math.nan), "each is a number"),
        (lambda three: tuple(one * 1.001 for one in three), "expected"),
    ],
)
def test_other_results_are_refused_in_words(change, says):
    with pytest.raises(NotYet) as refused:
        check("paired_difference", wrapped(change))
    assert says in " ".join(str(refused.value).split())


def test_every_case_of_the_width_tells_rounding_up_from_down_or_has_no_fraction():
    exercise = find_exercise("ffn_width_for_equal_params")
    thirds = set()
    for case in exercise.cases:
        config, new = exercise.make(torch.Generator().manual_seed(0), **case)
        change = Fraction(2 * (config.num_kv_heads - new) * config.head_dim, 3)
        thirds.add((change > 0, change % 1))
        assert exercise.oracle(config, new) == config.d_ff + round(change)
    assert {(True, Fraction(1, 3)), (True, Fraction(2, 3)), (False, Fraction(1, 3))} <= thirds


def test_the_width_is_that_of_the_librarys_text_task():
    corpus = Corpus(
        torch.zeros(99, dtype=torch.uint8), torch.ones(99, dtype=torch.uint8), "", 1, 1, ""
    )
    task = TextTask(corpus, context=7, num_layers=3, d_model=40, equal_params=True)
    mha: ModelConfig = task.config(Heads(6, 6, 11))
    oracle = find_exercise("ffn_width_for_equal_params").oracle
    for num_kv_heads in (6, 3, 2, 1):
        assert task.config(Heads(6, num_kv_heads, 11)).d_ff == oracle(mha, num_kv_heads)

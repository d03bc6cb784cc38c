"""The door that submissions come in by, before mutated notebooks: a sentence or a notebook each.

`GQA_FUZZ` says how many; `python tests/helpers/mutating.py 50000` tells what came of them, too.
"""

import os
import random
import sys

import pytest
from mutating import kinds_of_verdicts, mutated

from grading.intake import reading

COUNT = int(os.environ.get("GQA_FUZZ", "100"))


def test_mutants_are_the_same_for_a_seed_and_of_many_kinds():
    made = [mutated(random.Random(seed)) for seed in range(300)]
    assert made == [mutated(random.Random(seed)) for seed in range(300)]
    assert len(set(made)) > 250


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's limits")
def test_whatever_comes_in_gets_a_sentence_or_is_a_notebook():
    kinds = kinds_of_verdicts(COUNT, seed=0)
    assert sum(kinds.values()) == COUNT
    assert kinds["let in"] > COUNT / 100
    assert len(kinds) > 5


def test_what_the_child_does_raises_nothing_else(monkeypatch):
    monkeypatch.setattr(reading, "_in_child", reading.answer_of)
    monkeypatch.setattr(reading, "_known_answers", reading._Answers())
    kinds = kinds_of_verdicts(5 * COUNT, seed=1_000_000)
    assert not any("stopped with" in kind for kind in kinds)

import lzma
import math
from collections import Counter

import numpy as np
import pytest
import torch
from refusing import assert_refused

from gqa_lib.train import Corpus, baselines, ngram_probabilities, python_sources

TRAIN = b"the cat sat on the mat; the cat ate the rat that sat on the hat. " * 3 + b"then it left"
TEXT = b"that cat sat; the zebra\xff\x00 ate the thatthe hat"


def array(text):
    return np.frombuffer(text, dtype=np.uint8)


def corpus(train, held_out):
    parts = (torch.frombuffer(bytearray(part), dtype=torch.uint8) for part in (train, held_out))
    return Corpus(*parts, "made up", 1, 1, "")


def noise(seed, num_bytes, num_kinds=256):
    rng = np.random.default_rng(seed)
    return rng.integers(num_kinds, size=num_bytes, dtype=np.uint8).tobytes()


def slow(train, context, byte):
    """The formula, one probability at a time: p(byte | context)."""
    longest = len(context)
    after = Counter(
        train[i + longest] for i in range(len(train) - longest) if train[i : i + longest] == context
    )
    shorter = slow(train, context[1:], byte) if context else 1 / 256
    different = len(after)
    if not different:
        return shorter
    return (after[byte] + different * shorter) / (after.total() + different)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_are_those_of_the_formula_one_at_a_time(order):
    expected = [slow(TRAIN, TEXT[max(0, i - order + 1) : i], TEXT[i]) for i in range(len(TEXT))]
    assert ngram_probabilities(array(TRAIN), array(TEXT), order) == pytest.approx(
        expected, rel=1e-12
    )


def test_a_small_case_by_hand():
    found = ngram_probabilities(array(b"abab"), array(b"ab"), 2)
    a_alone = (2 + 2 / 256) / (4 + 2)  # two of four bytes, two kinds
    b_after_a = (2 + 1 * a_alone) / (2 + 1)  # b alone is as frequent as a
    assert found == pytest.approx([a_alone, b_after_a])


@pytest.mark.parametrize(
    "context", [b"", b"t", b"th", b" the", b"the ", b"\xff\xfe\xfd\xfc", b"zth"]
)
@pytest.mark.parametrize("order", [1, 3, 5])
def test_the_probabilities_of_all_next_bytes_add_up_to_one(context, order):
    ends = [
        ngram_probabilities(array(TRAIN), array(context + bytes([byte])), order)[-1]
        for byte in range(256)
    ]
    assert sum(ends) == pytest.approx(1, rel=1e-12)
    assert min(ends) > 0


@pytest.mark.parametrize("order", [2, 5])
def test_a_training_part_shorter_than_an_ngram_leaves_the_shorter_ones(order):
    few = ngram_probabilities(array(b"a"), array(b"abcdefg"), order)
    assert few == pytest.approx(ngram_probabilities(array(b"a"), array(b"abcdefg"), 1))


def test_a_text_shorter_than_an_ngram_has_a_probability_for_each_byte():
    assert len(ngram_probabilities(array(TRAIN), array(b"th"), 5)) == 2
    assert len(ngram_probabilities(array(TRAIN), array(b""), 5)) == 0


def test_a_text_seen_before_costs_few_bits_and_noise_all_eight():
    text = noise(0, 60_000)
    seen, unseen = (baselines(corpus(text, one)) for one in (text[9000:14000], noise(1, 5000)))
    assert seen["5-gram"] < 1.5
    assert seen["xz"] < 2
    assert 7.95 < unseen["5-gram"] < 9.5, "what it has seen once, it expects again: in vain"
    assert unseen["1-gram"] == pytest.approx(8, abs=0.05)
    assert unseen["zlib"] == pytest.approx(8, abs=0.1)
    assert unseen["xz"] == pytest.approx(8, abs=0.1)


def test_xz_looks_back_on_all_of_the_training_part_and_zlib_on_its_end():
    text = noise(0, 100_000, num_kinds=64)  # 6 bits: of noise that it cannot compress, xz stores
    at_the_start, at_the_end = (
        baselines(corpus(text, part)) for part in (text[:8000], text[-8000:])
    )
    assert at_the_start["xz"] < 0.2
    assert at_the_end["xz"] < 0.2
    assert at_the_start["zlib"] > 5.9
    assert at_the_end["zlib"] < 0.5


def test_what_is_given_are_bits_per_held_out_byte_of_the_beginnings():
    train, held_out = TRAIN * 4, TEXT * 7
    whole = baselines(corpus(train[:500], held_out[:101]))
    cut = baselines(corpus(train, held_out), max_train_bytes=500, max_held_out_bytes=101)
    assert cut == whole
    assert list(whole) == ["uniform", *(f"{order}-gram" for order in range(1, 6)), "zlib", "xz"]
    assert whole["uniform"] == 8
    probabilities = ngram_probabilities(array(train[:500]), array(held_out[:101]), 3)
    assert whole["3-gram"] == pytest.approx(-sum(map(math.log2, probabilities)) / 101)
    sizes = [
        len(lzma.compress(one, preset=9)) for one in (train[:500] + held_out[:101], train[:500])
    ]
    assert whole["xz"] == pytest.approx((sizes[0] - sizes[1]) * 8 / 101)


def test_none_is_all_of_a_part():
    made = corpus(TRAIN, TEXT)
    assert baselines(made, None, None) == baselines(made)
    assert baselines(made, None, None) != baselines(made, 100, None) != baselines(made, None, 10)


def test_pythons_sources_cost_what_another_implementation_measured():
    """In nats, of 1.02 MB to train on: 2.42, 1.81 and 1.50 by one, two and three bytes of context.

    Which files are held out moves them by a tenth, and a version of Python a little.
    """
    bits = baselines(python_sources(1_020_000), None)
    nats = {name: value * math.log(2) for name, value in bits.items()}
    assert nats["1-gram"] == pytest.approx(3.25, abs=0.15)
    assert nats["2-gram"] == pytest.approx(2.42, abs=0.15)
    assert nats["3-gram"] == pytest.approx(1.81, abs=0.2)
    assert nats["4-gram"] == pytest.approx(1.50, abs=0.2)
    assert nats["xz"] < nats["zlib"] < nats["4-gram"]


@pytest.mark.parametrize(
    ("phrase", "call"),
    [
        ("corpus=b'text' is of type bytes", lambda: baselines(b"text")),
        ("max_train_bytes=0", lambda: baselines(corpus(TRAIN, TEXT), 0)),
        ("max_held_out_bytes=1.5", lambda: baselines(corpus(TRAIN, TEXT), 9, 1.5)),
        ("order=0", lambda: ngram_probabilities(array(TRAIN), array(TEXT), 0)),
        ("order=6 is above 5", lambda: ngram_probabilities(array(TRAIN), array(TEXT), 6)),
        ("text=b'the", lambda: ngram_probabilities(array(TRAIN), b"the", 2)),
        ("train=array", lambda: ngram_probabilities(np.arange(9), array(TEXT), 2)),
        ("train=array", lambda: ngram_probabilities(array(TRAIN)[None], array(TEXT), 2)),
    ],
)
def test_what_has_no_baseline_is_refused(phrase, call):
    assert_refused(call, phrase)

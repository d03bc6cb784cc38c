"""Models of bytes: what a batch shows, what is judged by, and sizes at equal parameters."""

import math

import pytest
import torch

from gqa_lib.train import Heads, Recipe, TextTask, train
from gqa_lib.train.corpus import Corpus

HEADS = Heads(6, 2, 4)


def corpus(train_bytes=b"the same words again, " * 40, held_out=b"and the same words too, " * 12):
    parts = (torch.tensor(list(one), dtype=torch.uint8) for one in (train_bytes, held_out))
    return Corpus(*parts, "made up", 1, 1, "d1")


def task(**changed):
    sizes = {"context": 20, "num_layers": 2, "d_model": 24, "held_out": 5} | changed
    return TextTask(corpus(), **sizes)


def test_a_batch_is_pieces_of_the_text_and_the_bytes_after_them():
    tokens, following = task().batch(7, torch.Generator().manual_seed(0))
    assert tokens.shape == following.shape == (7, 20)
    text = bytes(corpus().train.tolist())
    for one, after in zip(tokens.tolist(), following.tolist(), strict=True):
        assert bytes([*one, after[-1]]) in text
        assert one[1:] == after[:-1]


def test_pieces_begin_everywhere_up_to_the_last_that_fits():
    small = TextTask(corpus(bytes(range(25))), context=20, d_model=24)
    tokens, following = small.batch(300, torch.Generator().manual_seed(0))
    assert set(tokens[:, 0].tolist()) == set(range(5))
    assert following.max() == 24


def test_held_out_is_judged_from_its_beginning_to_its_end():
    seen = []

    class Uniform(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, tokens):
            seen.extend(tokens.tolist())
            return self.weight.expand(*tokens.shape, 256)

    found = task(held_out=37).evaluate(Uniform())  # in batches of unequal sizes
    text = list(corpus().held_out.tolist())
    assert len(seen) == 37
    assert seen[0] == text[:20]
    assert seen[-1] == text[-21:-1]
    assert found["loss"] == pytest.approx(math.log(256))
    assert found["bits_per_byte"] == pytest.approx(8)


def test_it_learns_what_repeats():
    small = task(context=16)
    _, rows = train(small, HEADS, Recipe(steps=60, batch_size=8, lr=1e-2, evaluate_first=True))
    assert rows[0]["bits_per_byte"] == pytest.approx(8, abs=0.1)
    assert rows[-1]["bits_per_byte"] < 4  # it has words that it was never shown


def params(model):
    return sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize("kv", [3, 1])
def test_a_wider_block_makes_parameters_equal(kv):
    plain, equal = task(d_model=48), task(d_model=48, equal_params=True)
    full = params(plain.new_model(Heads(6, 6, 8)))
    fewer = Heads(6, kv, 8)
    assert params(equal.new_model(Heads(6, 6, 8))) == full
    assert params(plain.new_model(fewer)) < 0.99 * full
    channel = 2 * 3 * 48  # layers, and gate, up and down
    assert abs(params(equal.new_model(fewer)) - full) <= channel / 2


def test_weights_come_from_torchs_generator():
    torch.manual_seed(1)
    one = task().new_model(HEADS)
    torch.manual_seed(1)
    other = task().new_model(HEADS)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_texts_too_short_are_refused():
    with pytest.raises(ValueError, match="held_out has 12 tokens"):
        TextTask(corpus(held_out=b"a" * 12), context=12)
    TextTask(corpus(held_out=b"a" * 13), context=12)

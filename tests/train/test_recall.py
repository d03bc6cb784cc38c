"""The recall task: what it asks can be answered from the sequence alone, and only from there."""

import math

import pytest
import torch

from gqa_lib.train import Heads, RecallTask

TASK = RecallTask(
    num_records=7,
    num_attributes=3,
    num_values=5,
    num_keys=11,
    num_queries=4,
    d_model=12,
    held_out=9,
)


def drawn(seed=0, size=6, task=TASK):
    return task.batch(size, torch.Generator().manual_seed(seed))


def test_shapes():
    shapes = [tuple(one.shape) for one in drawn()]
    assert shapes == [(6, 7), (6, 7, 3), (6, 4), (6, 4, 3)]
    assert all(one.dtype == torch.int64 for one in drawn())


def test_an_answer_is_what_stands_at_the_record_with_that_key():
    keys, attributes, asked, answers = drawn()
    for row in range(6):
        assert len(set(keys[row].tolist())) == 7
        assert len(set(asked[row].tolist())) == 4
        for query in range(4):
            place = keys[row].tolist().index(asked[row, query].item())
            assert answers[row, query].tolist() == attributes[row, place].tolist()


def test_all_values_and_keys_occur():
    keys, attributes, asked, _ = drawn(size=400)
    assert set(attributes.flatten().tolist()) == set(range(5))
    assert set(keys.flatten().tolist()) == set(asked.flatten().tolist()) == set(range(11))


def test_the_generator_alone_says_what_is_drawn():
    torch.manual_seed(1)
    one = drawn(3)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(one, drawn(3), strict=True))
    assert not torch.equal(one[1], drawn(4)[1])


@pytest.mark.parametrize("heads", [Heads(6, 6, 2), Heads(6, 2, 5), Heads(4, 1, 3)], ids=str)
def test_a_model_predicts_each_attribute_of_each_query(heads):
    model = TASK.new_model(heads)
    keys, attributes, asked, answers = drawn()
    logits = model(keys, attributes, asked)
    assert logits.shape == (6, 4, 3, 5)
    by_hand = -logits.log_softmax(-1).gather(-1, answers[..., None]).mean()
    torch.testing.assert_close(TASK.loss(model, drawn()), by_hand)
    assert model.attention.k_proj.weight.shape == (heads.num_kv_heads * heads.head_dim, 12)


def test_a_query_sees_every_record_and_attribute_and_no_order():
    model = TASK.new_model(Heads(3, 3, 4)).double()
    keys, attributes, asked, _ = drawn()
    before = model(keys, attributes, asked)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    torch.testing.assert_close(model(keys[:, order], attributes[:, order], asked), before)
    for record in range(7):
        for attribute in range(3):
            other = attributes.clone()
            other[:, record, attribute] = (other[:, record, attribute] + 1) % 5
            changed = (model(keys, other, asked) != before).flatten(1).any(1)
            assert changed.all(), (record, attribute)


def test_an_untrained_model_is_at_chance():
    torch.manual_seed(0)
    found = RecallTask(held_out=256).evaluate(RecallTask().new_model(Heads(8, 2, 8)))
    assert abs(found["accuracy"] - RecallTask().chance) < 0.01
    assert abs(found["loss"] - math.log(16)) < 0.3


def test_a_model_that_copies_is_always_right():
    class Copies(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, keys, attributes, asked):
            place = (keys[:, None] == asked[..., None]).long().argmax(-1)  # (B, Q)
            found = attributes.gather(1, place[..., None].expand(-1, -1, 3))
            return 50 * torch.nn.functional.one_hot(found, 5).float() + self.weight

    found = TASK.evaluate(Copies())
    assert found["accuracy"] == 1
    assert found["loss"] < 1e-6


def test_cached_numbers_are_those_of_k_and_v():
    assert Heads(8, 2, 16).cached_numbers == 64
    assert str(Heads(8, 2, 16)) == "q8-kv2-d16"


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"num_records": 5, "num_queries": 6}, "num_queries <= num_records"),
        ({"num_keys": 8, "num_records": 9}, "num_keys=8"),
        ({"num_values": 0}, "num_values=0"),
        ({"d_ff": -1}, "d_ff=-1"),
        ({"num_attributes": 2.0}, "num_attributes=2.0"),
    ],
)
def test_sizes_that_make_no_task_are_refused(sizes, told):
    with pytest.raises(ValueError, match=told):
        RecallTask(**sizes)


def test_heads_that_cannot_be_shared_are_refused():
    with pytest.raises(ValueError, match="num_kv_heads"):
        Heads(6, 4, 8)

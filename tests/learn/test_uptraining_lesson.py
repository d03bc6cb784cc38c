"""Lesson 10: what its exercises accept, and that the lesson's statements are the library's."""

import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from gqa_lib.attention import GroupedQueryAttention, rotate
from gqa_lib.learn import check
from gqa_lib.learn.exercises import conversions, find_exercise
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.exercises.lesson10 import cut, pool
from gqa_lib.learn.exercises.lesson10_align import align
from gqa_lib.model import convert_state_dict
from gqa_lib.model.convert.maps import align as align_to_the_mean

HEADS, D, WIDTH = 6, 4, 14


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def weights(num_heads=HEADS, seed=0):
    """A layer's weights with as many KV heads as query heads."""
    layer = GroupedQueryAttention(WIDTH, num_heads, num_heads, head_dim=D)
    state = layer.state_dict()
    return {
        name: drawn(*one.shape, seed=seed + place)
        for place, (name, one) in enumerate(state.items())
    }


def output(state, num_heads, num_kv_heads):
    layer = GroupedQueryAttention(WIDTH, num_heads, num_kv_heads, head_dim=D).double()
    layer.load_state_dict(state)
    return layer(drawn(2, 9, WIDTH, seed=11))


@pytest.mark.parametrize("seed", range(5))
def test_the_reference_turns_as_scipy_does(seed):
    weight, reference = drawn(HEADS * D, WIDTH, seed=seed), drawn(HEADS * D, WIDTH, seed=99 + seed)
    aligned, rotations = align(weight, reference, HEADS)
    heads = zip(cut(weight, HEADS), cut(reference, HEADS), strict=True)
    expected = [orthogonal_procrustes(one.T.numpy(), other.T.numpy())[0].T for one, other in heads]
    for found, right in zip(rotations, expected, strict=True):
        torch.testing.assert_close(found, torch.tensor(right), rtol=1e-9, atol=1e-9)
    by_head = torch.cat(
        [turn @ one for turn, one in zip(rotations, cut(weight, HEADS), strict=True)]
    )
    torch.testing.assert_close(aligned, by_head)


@pytest.mark.parametrize("method", ["mean", "first", "aligned"])
@pytest.mark.parametrize(("num_heads", "num_kv_heads"), [(6, 3), (4, 2), (2, 1), (5, 5)])
def test_in_pairs_the_reference_is_the_librarys_conversion(method, num_heads, num_kv_heads):
    state = weights(num_heads)
    mine = conversions.convert(state, num_heads, num_kv_heads, method)
    theirs = convert_state_dict(state, num_kv_heads, method, num_heads=num_heads, head_dim=D)
    found = output(mine, num_heads, num_kv_heads)
    torch.testing.assert_close(found, output(theirs, num_heads, num_kv_heads))


def test_in_larger_sets_turning_to_the_mean_keeps_no_less():
    weight = drawn(HEADS * D, WIDTH)
    heads = weight.unflatten(0, (HEADS, D))
    to_first, _ = align(weight, heads[:1].repeat(HEADS, 1, 1).flatten(0, 1), HEADS)
    turns = torch.stack(align_to_the_mean(heads, 0))
    kept = pool(to_first, HEADS, 1).norm()
    assert (turns @ heads).mean(0).norm() > 1.001 * kept > 1.001 * pool(weight, HEADS, 1).norm()


def test_a_turn_of_all_heads_of_a_set_is_the_same_answer():
    find_exercise("convert_to_gqa")
    more = torch.linalg.qr(drawn(D, D)).Q
    state = weights()
    new = conversions.convert(state, HEADS, 2, "aligned")
    turned = dict(new)
    for name in ("q_proj.weight", "k_proj.weight"):
        turned[name] = torch.cat([more @ one for one in new[name].split(D)])
    same = conversions.what_it_does(turned, state, HEADS, "aligned")
    expected = conversions.what_it_does(new, state, HEADS, "aligned")
    torch.testing.assert_close(same, expected)
    torch.testing.assert_close(output(turned, HEADS, 2), output(new, HEADS, 2))
    turned["q_proj.weight"] = new["q_proj.weight"]
    changed = conversions.what_it_does(turned, state, HEADS, "aligned")
    assert not all(torch.allclose(changed[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda new: new | {"more": torch.zeros(1)}, "one entry too many"),
        (lambda new: {k: v for k, v in new.items() if "embed" not in k}, "embed_tokens"),
        (
            lambda new: {k: v[:1] if "q_proj" in k else v for k, v in new.items()},
            "query heads stay",
        ),
        (lambda new: {k: v.double() for k, v in new.items()}, "stays that"),
        (lambda new: dict.fromkeys(new, 1.0), "a tensor is expected"),
        (list, "a dictionary of tensors is expected"),
    ],
)
def test_entries_that_are_not_there_or_of_another_form_are_named(change, says):
    def convert_to_gqa(state_dict, num_heads, num_kv_heads, method="mean"):
        new = conversions.convert(state_dict, num_heads, num_kv_heads, method)
        return change({name: one.to(state_dict[name].dtype) for name, one in new.items()})

    with pytest.raises(NotYet) as refused:
        check("convert_to_gqa", convert_to_gqa)
    assert says in " ".join(str(refused.value).split())


def test_keys_may_turn_by_pairs_alone_where_positions_turn_them():
    q, k = drawn(2, 7, D)
    positions = torch.arange(7)

    def scores(q, k):
        return rotate(q, positions) @ rotate(k, positions).mT

    angles = drawn(D // 2)
    cos, sin = angles.cos().diag(), angles.sin().diag()
    pairs = torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)])
    mirror = torch.ones(D, dtype=torch.float64).index_fill(0, torch.tensor([0]), -1).diag()
    free = torch.linalg.qr(drawn(D, D, seed=4)).Q
    torch.testing.assert_close(scores(q @ pairs.T, k @ pairs.T), scores(q, k))
    for turn in (free, pairs @ mirror):
        change = (scores(q @ turn.T, k @ turn.T) - scores(q, k)).abs()
        assert change.diagonal().max() < 1e-12
        assert change.max() > 0.1


def products_of(name, made):
    """The products that rotations are found from, as the exercise has them made."""
    if name == "align_heads":
        ours, towards = (torch.stack(list(cut(one.double(), made[2]))) for one in made[:2])
        return [towards @ ours.mT]
    state, num_heads, kv, _ = made
    heads = [
        torch.stack(list(cut(one.double(), num_heads)))
        for key, one in state.items()
        if key.endswith(("k_proj.weight", "v_proj.weight"))
    ]
    return [one[conversions.first_of_each(num_heads, kv)] @ one.mT for one in heads]


@pytest.mark.parametrize("name", ["align_heads", "convert_to_gqa"])
def test_no_head_is_so_nearly_lost_that_a_right_way_is_refused(name):
    """By eigenvalues the square of the condition is lost: of 1e-16 no more than 1e-9 may remain."""
    exercise = find_exercise(name)
    for case in exercise.cases:
        for seed in range(20 if name == "align_heads" or "aligned" in case.values() else 0):
            made = exercise.make(torch.Generator().manual_seed(seed), **case)
            for products in products_of(name, made):
                assert torch.linalg.cond(products).max() ** 2 * 1e-16 < 1e-10

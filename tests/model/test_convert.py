"""Fewer KV heads: where nothing is lost, nothing changes; what is turned is absorbed."""

import pytest
import torch
from converting import TOKENS, VARIANTS, decoder, logits, make_equal, parts

from gqa_lib.model.convert import METHODS, convert_model, convert_state_dict, second_moments
from gqa_lib.model.convert.heads import read_heads, write_heads
from gqa_lib.model.convert.maps import align, share
from gqa_lib.model.convert.pool import turned
from gqa_lib.model.convert.regroup import grouping, reordered
from gqa_lib.model.convert.weights import attention_of, rotary_dims

NEIGHBOURS = [[0, 1, 2], [3, 4, 5]]
INFORMED = [method for method in METHODS if method != "random"]


def changed(model, change):
    """The model with `change(heads, rotary_dim)` done to the heads of every layer."""
    state = model.state_dict()
    for layer, rotary_dim in enumerate(rotary_dims(model.config, model.variant)):
        prefix = f"layers.{layer}.attention."
        weights = attention_of(state, prefix)
        heads = change(read_heads(weights, 12, 8), rotary_dim, "k_norm.weight" in weights)
        state |= {f"{prefix}{name}": one for name, one in write_heads(heads, weights).items()}
    new = type(model)(model.config, model.variant, dtype=torch.float64)
    new.load_state_dict(state)
    return new


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("method", INFORMED)
def test_nothing_is_lost_where_pooled_heads_are_equal(variant, method):
    model = decoder(variant)
    make_equal(model, NEIGHBOURS)
    new = convert_model(model, 2, method)
    assert new.config.num_kv_heads == 2
    assert new.layers[0].attention.num_kv_heads == 2
    torch.testing.assert_close(logits(new), logits(model), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_heads_do_lose(variant):
    model = decoder(variant)
    for method in METHODS:
        apart = (logits(convert_model(model, 2, method)) - logits(model)).abs().max()
        assert apart > 1e-3, method


@pytest.mark.parametrize("variant", VARIANTS)
def test_turning_heads_changes_no_output(variant):
    model = decoder(variant)
    new = changed(
        model, lambda heads, dim, signs: turned(heads, 2, rotary_dim=dim, key_signs=signs)
    )
    torch.testing.assert_close(logits(new), logits(model), rtol=1e-10, atol=1e-10)
    for one, before in zip(parts(new)[1:], parts(model)[1:], strict=True):  # they were turned
        assert not torch.allclose(one[1:], before[1:])


@pytest.mark.parametrize("variant", VARIANTS)
def test_another_order_of_heads_changes_no_output(variant):
    model = decoder(variant)
    new = changed(model, lambda heads, dim, signs: reordered(heads, [4, 0, 5, 2, 1, 3]))
    torch.testing.assert_close(logits(new), logits(model), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(parts(new)[1][0], parts(model)[1][4])


@pytest.mark.parametrize("rotary_dim", [0, 4, 8])
def test_rotations_keep_lengths_and_pairs(rotary_dim):
    heads = torch.randn(3, 8, 21, dtype=torch.float64)
    for turn in align(heads, rotary_dim):
        torch.testing.assert_close(turn @ turn.T, torch.eye(8, dtype=torch.float64))
        half = rotary_dim // 2
        for pair in range(half):
            inside = turn[[pair, pair + half]][:, [pair, pair + half]]
            assert torch.linalg.det(inside) == pytest.approx(1)
            assert inside[0, 0] == pytest.approx(float(inside[1, 1]))
            kept = torch.zeros(8, dtype=torch.bool)
            kept[[pair, pair + half]] = True
            assert turn[pair, ~kept].abs().max() == 0


@torch.no_grad()
def turn_apart(model):
    """Turn each KV head of a group in its own way, queries and o as well: the same function."""
    for layer in range(2):
        q, k, v = parts(model, layer)
        o = model.layers[layer].attention.o_proj.weight.T.unflatten(0, (12, 8))
        for head in range(6):
            angle = torch.rand(4, dtype=torch.float64) * 6.28
            c, s = angle.cos().diag(), angle.sin().diag()
            turn = torch.cat([torch.cat([c, -s], 1), torch.cat([s, c], 1)])
            free, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
            for rows, map_ in ((k[head], turn), (v[head], free)):
                rows.copy_(map_ @ rows)
            for query in (2 * head, 2 * head + 1):
                q[query].copy_(turn @ q[query])
                o[query].copy_(free @ o[query])


@pytest.mark.parametrize("method", ["aligned", "subspace"])
def test_heads_that_are_equal_up_to_a_rotation_lose_nothing(method):
    model = decoder("llama")
    make_equal(model, NEIGHBOURS)
    before = logits(model)
    turn_apart(model)
    torch.testing.assert_close(logits(model), before, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        logits(convert_model(model, 2, method)), before, rtol=1e-8, atol=1e-8
    )
    for naive in ("mean", "norm_mean", "first"):
        assert (logits(convert_model(model, 2, naive)) - before).abs().max() > 1e-3


@pytest.mark.parametrize("variant", ["qk-norm", "qk-norm of the projection"])
@pytest.mark.parametrize("method", ["aligned", "subspace"])
def test_heads_that_are_equal_up_to_signs_lose_nothing_behind_a_norm(variant, method):
    model = decoder(variant)
    make_equal(model, [[0, 2, 5], [1, 3, 4]])
    before = logits(model)
    for layer in range(2):
        q, k, _ = parts(model, layer)
        for head in range(6):
            signs = torch.randint(2, (4, 1), dtype=torch.float64).repeat(2, 1) * 2 - 1
            k[head] *= signs
            q[2 * head : 2 * head + 2] *= signs
    torch.testing.assert_close(logits(model), before, rtol=1e-9, atol=1e-9)
    new = convert_model(model, 2, method, regroup=True)
    torch.testing.assert_close(logits(new), before, rtol=1e-8, atol=1e-8)
    for naive in ("mean", "norm_mean", "first"):
        apart = logits(convert_model(model, 2, naive, regroup=True)) - before
        assert apart.abs().max() > 1e-3


@pytest.mark.parametrize("variant", ["llama", "qk-norm", "qk-norm of the projection"])
def test_regrouping_finds_the_heads_that_are_equal(variant):
    model = decoder(variant)
    make_equal(model, [[0, 2, 5], [1, 3, 4]])
    new = convert_model(model, 2, "mean", regroup=True)
    torch.testing.assert_close(logits(new), logits(model), rtol=1e-9, atol=1e-9)
    assert (logits(convert_model(model, 2, "mean")) - logits(model)).abs().max() > 1e-3


def test_regrouping_finds_heads_that_are_equal_up_to_a_rotation():
    model = decoder("llama")
    make_equal(model, [[0, 4], [1, 3], [2, 5]])
    turn_apart(model)
    new = convert_model(model, 3, regroup=True)
    torch.testing.assert_close(logits(new), logits(model), rtol=1e-8, atol=1e-8)


def test_groups_are_of_equal_size_and_cannot_be_bettered_by_a_swap():
    torch.manual_seed(3)
    heads = read_heads(
        {
            "q_proj.weight": torch.randn(64, 7),
            "k_proj.weight": torch.randn(64, 7),
            "v_proj.weight": torch.randn(64, 7),
            "o_proj.weight": torch.randn(7, 64),
        },
        16,
        4,
    )
    order = grouping(heads, 4, rotary_dim=4)
    assert sorted(order) == list(range(16))
    assert order == grouping(heads, 4, rotary_dim=4)


def test_moments_are_those_of_what_comes_in():
    model = decoder("biases")
    seen = []
    hook = model.layers[1].attention.register_forward_pre_hook(
        lambda module, arguments: seen.append(arguments[0].detach().clone())
    )
    found = second_moments(model, [TOKENS[:1], TOKENS[1:]])
    hook.remove()
    x = torch.cat([one.flatten(0, 1) for one in seen])
    x = torch.cat([x, torch.ones(len(x), 1)], 1)
    torch.testing.assert_close(found[1], x.T @ x / len(x))
    assert not model.layers[0].attention._forward_pre_hooks


def test_by_what_they_make_of_a_text_heads_may_be_equal_that_are_not():
    model = decoder("llama")
    make_equal(model, NEIGHBOURS)
    with torch.no_grad():  # all inputs lie in ten directions; in the others heads differ
        for layer in range(2):
            model.layers[layer].attention_norm.weight[10:] = 0
            for rows in parts(model, layer)[1:]:
                rows[..., 10:] = 5 * torch.randn_like(rows[..., 10:])
    moments = second_moments(model, [TOKENS])
    for method in ("aligned", "subspace"):
        known = convert_model(model, 2, method, moments=moments)
        torch.testing.assert_close(logits(known), logits(model), rtol=1e-6, atol=1e-6)
        assert (logits(convert_model(model, 2, method)) - logits(model)).abs().max() > 1e-3


def test_a_shared_head_brings_all_back_as_well_as_any():
    torch.manual_seed(0)
    heads = torch.randn(3, 4, 9, dtype=torch.float64)
    down = torch.stack(share(heads, 0))
    single = (down @ heads).sum(0)
    error = (down.mT @ single - heads).square().sum()
    values = torch.linalg.svdvals(heads.flatten(0, 1))
    assert error == pytest.approx(float(values[4:].square().sum()))


def test_pooling_by_hand():
    heads = torch.arange(24.0).reshape(12, 2)
    weights = {
        "attn.q_proj.weight": torch.ones(12, 2),
        "attn.k_proj.weight": heads,
        "attn.v_proj.weight": -heads,
        "attn.o_proj.weight": torch.ones(2, 12),
        "norm.weight": torch.ones(2),
    }
    sizes = {"num_heads": 4, "head_dim": 3}
    mean = convert_state_dict(weights, 2, "mean", **sizes)
    expected = torch.tensor([[3.0, 4], [5, 6], [7, 8], [15, 16], [17, 18], [19, 20]])
    torch.testing.assert_close(mean["attn.k_proj.weight"], expected)
    torch.testing.assert_close(mean["attn.v_proj.weight"], -expected)
    first = convert_state_dict(weights, 2, "first", **sizes)
    torch.testing.assert_close(first["attn.k_proj.weight"], heads[[0, 1, 2, 6, 7, 8]])
    kept = convert_state_dict(weights, 2, "norm_mean", **sizes)["attn.k_proj.weight"]
    length = (heads[:3].norm() + heads[3:6].norm()) / 2
    assert kept[:3].norm() == pytest.approx(float(length))
    assert mean["norm.weight"] is weights["norm.weight"]
    assert {name: one.dtype for name, one in mean.items()} == dict.fromkeys(weights, torch.float32)


def test_random_heads_are_of_their_size_and_of_the_seed():
    model = decoder("llama")
    one, again, other = (convert_model(model, 2, "random", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(parts(one)[1], parts(again)[1])
    assert not torch.equal(parts(one)[1], parts(other)[1])
    assert not torch.equal(parts(one, 0)[1], parts(one, 1)[1])
    assert parts(one)[1].std() == pytest.approx(float(parts(model)[1].std()), rel=0.2)
    assert torch.equal(parts(one)[0], parts(model)[0])


def test_the_model_that_is_given_stays_as_it_is():
    model = decoder("biases")
    before = {name: one.clone() for name, one in model.state_dict().items()}
    for method in METHODS:
        convert_model(model, 3, method, regroup=True)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"num_kv_heads": 4}, "does not divide the 6 KV heads"),
        ({"num_kv_heads": 12}, "does not divide the 6 KV heads"),
        ({"num_kv_heads": 0}, "num_kv_heads=0"),
        ({"method": "median"}, "median"),
        ({"moments": [None]}, "moments has 1 entries for 2 layers"),
    ],
)
def test_what_cannot_be_converted_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        convert_model(decoder("llama"), **{"num_kv_heads": 2} | wrong)


def test_weights_that_are_none_are_refused():
    with pytest.raises(ValueError, match="no attention to convert"):
        convert_state_dict({"k.weight": torch.ones(2, 2)}, 1, num_heads=2, head_dim=1)
    state = {f"{name}_proj.weight": torch.ones(12, 12) for name in "qkvo"}
    with pytest.raises(ValueError, match="head_dim=5"):
        convert_state_dict(state, 1, num_heads=2, head_dim=5)


def test_numbers_that_cannot_be_pooled_are_refused():
    state = {f"{name}_proj.weight": torch.ones(12, 12) for name in "qkvo"}
    sizes = {"num_heads": 4, "head_dim": 3}
    for odd, told in ((float("nan"), "infinite or NaN"), (float("inf"), "infinite or NaN")):
        wrong = state | {"v_proj.weight": torch.full((12, 12), odd)}
        with pytest.raises(ValueError, match=told):
            convert_state_dict(wrong, 2, "first", **sizes)
    with pytest.raises(ValueError, match="before it is quantised"):
        convert_state_dict(
            state | {"k_proj.weight": torch.ones(12, 12, dtype=torch.int8)}, 2, **sizes
        )
    large = {name: (60_000 * torch.ones(12, 12)).half() for name in state}
    assert convert_state_dict(large, 2, "mean", **sizes)["k_proj.weight"].isfinite().all()
    large["k_proj.weight"][3:6] *= -1
    large["k_proj.weight"][:3] = 1
    with pytest.raises(ValueError, match="does not reach"):
        convert_state_dict(large, 1, "subspace", **sizes)


SIZES = {"num_heads": 12, "head_dim": 8}


@pytest.mark.parametrize("rotary_dim", [3, -2, 10, 2.0, "6", None, [8], [8, 7], True])
def test_elements_that_rope_cannot_turn_are_refused(rotary_dim):
    state = decoder("llama").state_dict()
    with pytest.raises(ValueError, match="rotary_dim"):
        convert_state_dict(state, 2, **SIZES, rotary_dim=rotary_dim)


def test_attention_with_other_projections_is_refused_by_their_name():
    state = decoder("llama").state_dict()
    del state["layers.1.attention.qkv_proj.weight"]
    with pytest.raises(ValueError, match=r"layers\.1\.attention\.q_proj\.weight is not there"):
        convert_state_dict(state, 2, **SIZES, rotary_dim=8)


def test_what_else_lies_next_to_projections_stays_as_it_is():
    state = decoder("llama").state_dict()
    others = {
        "layers.0.attention.mask": torch.full((3, 3), -torch.inf),
        "layers.0.attention.steps": torch.arange(5),
    }
    new = convert_state_dict(state | others, 2, **SIZES, rotary_dim=8)
    for name, one in others.items():
        assert new[name] is one

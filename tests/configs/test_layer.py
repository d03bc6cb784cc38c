"""What a layer, a model's layers and its weights can be said to be, and what is refused."""

import pytest

from gqa_lib.configs import LayerKV, ModelConfig, Weights


@pytest.mark.parametrize(
    ("kind", "sizes", "told"),
    [
        ("half", {}, "kind='half'"),
        ("full", {"k_dim": 8}, "num_kv_heads=0"),
        ("full", {"num_kv_heads": 2, "k_dim": True}, "k_dim=True"),
        ("full", {"num_kv_heads": 2, "k_dim": 8, "window": 9}, "window=9 says nothing"),
        ("window", {"num_kv_heads": 2, "k_dim": 8}, "window=None"),
        ("window", {"num_kv_heads": 2, "k_dim": 8, "window": 0}, "window=0"),
        ("window", {"num_kv_heads": 2, "k_dim": 8, "window": 9, "ratio": 4}, "ratio=4"),
        ("latent", {"num_kv_heads": 1, "k_dim": 8, "v_dim": 8}, "v_dim=8"),
        ("none", {"k_dim": 8}, "k_dim=8"),
        ("none", {"shares": 0}, "shares=0"),
        ("none", {"state_bytes": -1}, "state_bytes=-1"),
        ("full", {"num_kv_heads": 2, "k_dim": 8, "index_topk": 4}, "without index_dim"),
    ],
)
def test_sizes_that_a_kind_cannot_have_are_refused(kind, sizes, told):
    with pytest.raises(ValueError, match=told):
        LayerKV(kind, **sizes)


FULL = LayerKV("full", 2, 8, 8)


@pytest.mark.parametrize(
    ("layers", "more", "told"),
    [
        ((FULL,), {}, "layers has 1 entries for num_layers=2"),
        ((FULL, LayerKV("full", 3, 8, 8)), {}, "layer 1: num_heads=4 is not divisible"),
        ((FULL, FULL), {"windows": (4, 4)}, "says the same thing twice"),
        ((LayerKV("none"), LayerKV("none")), {}, "no layer attends"),
        ((LayerKV("full", 2, 8, 8, shares=1), FULL), {}, "not an earlier layer"),
        ((LayerKV("full", 2, 8, 8, shares=0), FULL), {}, "not an earlier layer"),
    ],
)
def test_layers_that_do_not_fit_a_model_are_refused(layers, more, told):
    with pytest.raises(ValueError, match=told):
        ModelConfig("odd", 2, 4, 2, 8, d_model=32, layers=layers, **more)


def test_a_uniform_model_is_one_line_and_has_its_layers_all_the_same():
    config = ModelConfig("plain", 3, 4, 2, 8, d_model=32, windows=(9, None, 9), shared_kv_layers=1)
    window = LayerKV("window", 2, 8, 8, window=9)
    assert config.kv_layers == (window, FULL, LayerKV("window", 2, 8, 8, window=9, shares=0))


def test_other_kv_heads_in_every_layer_that_attends():
    layers = (FULL, LayerKV("none", state_bytes=3), LayerKV("latent", 1, 24, rope_dim=8))
    config = ModelConfig("mix", 3, 4, 2, 8, d_model=32, layers=layers)
    other = config.with_kv_heads(1)
    assert [one.num_kv_heads for one in other.kv_layers] == [1, 0, 1]
    assert other.kv_layers[2] == LayerKV("full", 1, 8, 8)
    assert (config.attention_type, other.attention_type) == ("MLA", "MQA")


def test_weights_add_up_and_experts_are_touched_by_a_batch():
    weights = Weights(100, 20, expert=10, num_experts=4, experts_per_token=1, moe_layers=2)
    assert (weights.total, weights.active) == (200, 120)
    assert weights.touched(1) == pytest.approx(100 + 2 * 10)
    assert weights.touched(2) == pytest.approx(100 + 2 * 10 * 4 * (1 - 0.75**2))
    assert weights.touched(10_000) == pytest.approx(180)
    assert Weights(7).touched(3) == 7


@pytest.mark.parametrize(
    "sizes", [{"dense": -1}, {"dense": 1.5}, {"dense": 1, "num_experts": 2, "experts_per_token": 3}]
)
def test_weights_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match=r"-1|1\.5|more experts"):
        Weights(**sizes)

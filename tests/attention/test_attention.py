import re

import pytest
import torch

from gqa_lib.attention import (
    DynamicScaling,
    GroupedQueryAttention,
    Rope,
    grouped_query_attention,
)
from gqa_lib.cache import KVCache
from gqa_lib.kernels import attention_reference, available_backends, decode_attention


def draw(Hkv, T, dtype=torch.float32):
    q = torch.randn(2, 6, T, 5, dtype=dtype)
    k, v = torch.randn(2, 2, Hkv, 7, 5, dtype=dtype)
    return q, k, v


def assert_close(out, expected):
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)


# ---- function


@pytest.mark.parametrize("T", [1, 3, 7])
@pytest.mark.parametrize("Hkv", [1, 2, 3, 6])
@pytest.mark.parametrize("causal", [True, False])
def test_function_equals_the_oracle(device, Hkv, T, causal):
    q, k, v = (t.to(device) for t in draw(Hkv, T))
    assert_close(grouped_query_attention(q, k, v, causal), attention_reference(q, k, v, causal))


@pytest.mark.parametrize("T", [1, 3, 7])
@pytest.mark.parametrize("Hkv", [1, 2, 6])
def test_gradients_of_every_backend_equal_the_oracles(Hkv, T):
    inputs = [t.requires_grad_() for t in draw(Hkv, T, torch.float64)]
    weight = torch.randn(2, 6, T, 5, dtype=torch.float64)
    expected = torch.autograd.grad((attention_reference(*inputs) * weight).sum(), inputs)
    for backend in ["auto", *available_backends(*inputs)]:
        out = grouped_query_attention(*inputs, backend=backend)
        grads = torch.autograd.grad((out * weight).sum(), inputs)
        for grad, true_grad in zip(grads, expected, strict=True):
            torch.testing.assert_close(grad, true_grad, rtol=1e-9, atol=1e-9)


def test_more_keys_than_queries_is_required_only_when_causal():
    q, k, v = draw(2, 7)
    k, v = k[:, :, :4], v[:, :, :4]
    out = grouped_query_attention(q, k, v, causal=False)
    assert_close(out, attention_reference(q, k, v, causal=False))
    with pytest.raises(ValueError, match="T=7 queries over S=4 keys"):
        grouped_query_attention(q, k, v)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, k, v: (q[0], k, v), r"q \(6, 3, 5\)"),
        (lambda q, k, v: (q, k, v[:, :, :4]), r"v \(2, 2, 4, 5\)"),
        (lambda q, k, v: (q, k, v[..., :4]), r"v \(2, 2, 7, 4\)"),
        (lambda q, k, v: (q[:1], k, v), r"q \(1, 6, 3, 5\).*same batch_size"),
        (lambda q, k, v: (q[..., :4], k, v), r"q \(2, 6, 3, 4\).*head_dim"),
        (lambda q, k, v: (q[:, :5], k, v), "num_heads=5 is not divisible by num_kv_heads=2"),
        (lambda q, k, v: (q, k.double(), v), "k torch.float64"),
        (lambda q, k, v: (q, k, v.to("meta")), "v torch.float32 on meta"),
    ],
)
def test_inputs_that_do_not_fit_are_errors_with_the_numbers(change, message):
    with pytest.raises(ValueError, match=message):
        grouped_query_attention(*change(*draw(2, 3)))


# ---- module


def oracle(layer, x, causal=True, window=None):
    """The layer in float64 from its weights: rows of head h, oracle's attention, o_proj."""
    T, D, x = x.shape[1], layer.head_dim, x.double()

    def heads(proj):
        weight = proj.weight.double()
        return torch.stack([x @ w.T for w in weight.split(D)], 1)  # (B, H, T, D)

    q, k, v = heads(layer.q_proj), heads(layer.k_proj), heads(layer.v_proj)
    if layer.rope:
        frequency = layer.rope.base ** (-torch.arange(D // 2, dtype=torch.float64) / (D // 2))
        angle = torch.outer(torch.arange(T, dtype=torch.float64), frequency).to(x.device)
        turn = torch.polar(torch.ones_like(angle), angle)

        def rotated(t):
            pairs = torch.complex(t[..., : D // 2].contiguous(), t[..., D // 2 :].contiguous())
            return torch.cat(((pairs * turn).real, (pairs * turn).imag), -1)

        q, k = rotated(q), rotated(k)
    out = attention_reference(q, k, v, causal, window)
    return torch.cat(list(out.unbind(1)), -1) @ layer.o_proj.weight.double().T


@pytest.mark.parametrize("rope", [True, False])
@pytest.mark.parametrize("Hkv", [1, 2, 3, None])
@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_layer_equals_the_oracle(device, Hkv, rope, causal):
    rope = rope and Rope(4, base=500.0)
    layer = GroupedQueryAttention(18, 6, Hkv, head_dim=4, rope=rope, device=device)
    x = torch.randn(2, 7, 18, device=device)
    assert_close(layer(x, causal=causal), oracle(layer, x, causal))


@pytest.mark.parametrize("chunks", [[1] * 11, [11], [4, 1, 3, 3], [10, 1], [2, 9]])
@pytest.mark.parametrize("rope", [True, False])
@pytest.mark.parametrize("Hkv", [1, 2, 6])
@torch.no_grad()
def test_decode_and_chunks_equal_full_prefill(device, Hkv, rope, chunks):
    layer = GroupedQueryAttention(24, 6, Hkv, rope=rope, device=device)
    x = torch.randn(2, 11, 24, device=device)
    cache = KVCache(2, Hkv, 12, 4, device=device)
    out = torch.cat([layer(part, cache) for part in x.split(chunks, 1)], 1)
    assert cache.length == 11
    assert_close(out, oracle(layer, x))
    assert_close(layer(x), oracle(layer, x))


@torch.no_grad()
def test_cache_is_used_again_after_reset():
    layer = GroupedQueryAttention(24, 6, 2, rope=True)
    cache = KVCache(2, 2, 8, 4)
    for x in torch.randn(2, 2, 5, 24):
        cache.reset()
        assert_close(layer(x, cache), oracle(layer, x))


def test_weights_are_as_nn_linear_stores_them():
    layer = GroupedQueryAttention(18, 6, 2, head_dim=4, dtype=torch.bfloat16)
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes == {
        "q_proj.weight": (24, 18),
        "k_proj.weight": (8, 18),
        "v_proj.weight": (8, 18),
        "o_proj.weight": (18, 24),
    }
    assert layer(torch.randn(1, 3, 18).bfloat16()).dtype == torch.bfloat16


def test_multi_head_is_the_default():
    layer = GroupedQueryAttention(24, 6)
    assert (layer.num_kv_heads, layer.head_dim) == (6, 4)


@torch.no_grad()
def test_the_ends_agree_when_their_kv_heads_are_equal():
    """MHA whose K and V heads are all one head is MQA."""
    mqa, mha = GroupedQueryAttention(24, 6, 1, rope=True), GroupedQueryAttention(24, 6, rope=True)
    state = mqa.state_dict()
    for name in ("k_proj.weight", "v_proj.weight"):
        state[name] = state[name].repeat(6, 1)
    mha.load_state_dict(state)
    x = torch.randn(2, 7, 24)
    torch.testing.assert_close(mha(x), mqa(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("Hkv", [1, 2, 6])
def test_training_gradients_reach_every_weight(device, Hkv):
    layer = GroupedQueryAttention(24, 6, Hkv, rope=True, device=device)
    x = torch.randn(2, 7, 24, device=device)
    weights = list(layer.parameters())
    grads = torch.autograd.grad(layer(x).square().sum(), weights)
    expected = torch.autograd.grad(oracle(layer, x).square().sum(), weights)
    for grad, true_grad in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, true_grad, rtol=1e-4, atol=1e-4)


def test_backend_of_the_layer_is_the_one_that_runs():
    with pytest.raises(ValueError, match="'split_kv' cannot run"):
        GroupedQueryAttention(24, 6, 2, backend="split_kv")(torch.randn(1, 3, 24))


@pytest.mark.parametrize("Hkv", [0, 5, 8, 24])
def test_kv_heads_that_do_not_divide_are_an_error_with_the_choices(Hkv):
    message = (
        f"num_heads=12 is not divisible by num_kv_heads={Hkv}: each KV head must serve the same "
        "number of query heads. Choose num_kv_heads from 1, 2, 3, 4, 6, 12."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GroupedQueryAttention(24, 12, Hkv)


def test_d_model_that_heads_do_not_divide_needs_head_dim():
    with pytest.raises(ValueError, match="d_model=20 is not divisible by num_heads=6"):
        GroupedQueryAttention(20, 6)
    assert GroupedQueryAttention(20, 6, head_dim=4).head_dim == 4


@pytest.mark.parametrize("window", [1, 3, 8, 50])
@pytest.mark.parametrize("chunks", [None, [1] * 11, [4, 1, 3, 3], [10, 1]])
@torch.no_grad()
def test_a_layer_with_a_window_equals_the_oracle_with_and_without_cache(device, chunks, window):
    layer = GroupedQueryAttention(24, 6, 2, rope=True, window=window, device=device)
    x = torch.randn(2, 11, 24, device=device)
    if chunks is None:
        out = layer(x)
    else:
        cache = KVCache(2, 2, 12, 4, device=device)
        out = torch.cat([layer(part, cache) for part in x.split(chunks, 1)], 1)
    assert_close(out, oracle(layer, x, window=window))


@pytest.mark.parametrize("options", [{}, {"window": 4}, {"qk_norm": True, "bias": True}])
@torch.no_grad()
def test_every_row_of_a_ragged_batch_is_as_if_it_were_alone(device, options):
    """A padded prompt, a token for each, a chunk for some: row by row and all together."""
    layer = GroupedQueryAttention(24, 6, 2, rope=True, device=device, **options)
    cache = KVCache(3, 2, 20, 4, device=device)
    alone = [KVCache(1, 2, 20, 4, device=device) for _ in range(3)]
    for num_new in ([7, 2, 0], None, [1, 3, 3], [0, 1, 0], None, None):
        x = torch.randn(3, 7 if num_new == [7, 2, 0] else 3 if num_new == [1, 3, 3] else 1, 24)
        x = x.to(device)
        out = layer(x, cache, num_new=num_new)
        for b, n in enumerate(num_new or [x.shape[1]] * 3):
            if n:
                expected = layer(x[b : b + 1, :n], alone[b])
                torch.testing.assert_close(out[b : b + 1, :n], expected, rtol=1e-5, atol=1e-5)
    assert cache.lengths.tolist() == [one.length for one in alone]


@torch.no_grad()
def test_padding_does_not_make_a_row_longer_for_a_base_that_grows():
    rope = Rope(8, scaling=DynamicScaling(4.0, trained_len=8))
    layer = GroupedQueryAttention(24, 6, 2, head_dim=8, rope=rope, dtype=torch.float64)
    cache = KVCache(2, 2, 40, 8, torch.float64)
    alone = [KVCache(1, 2, 40, 8, torch.float64) for _ in range(2)]
    for T, num_new in ((20, [20, 3]), (9, [2, 9]), (4, [0, 1]), (1, None)):
        x = torch.randn(2, T, 24, dtype=torch.float64)
        out = layer(x, cache, num_new=num_new and torch.tensor(num_new))
        for b, n in enumerate(num_new or [T] * 2):
            if n:
                expected = layer(x[b : b + 1, :n], alone[b])
                torch.testing.assert_close(out[b : b + 1, :n], expected, rtol=1e-12, atol=1e-12)


def test_numbers_of_new_tokens_that_do_not_fit_are_refused_before_anything_is_cached():
    layer, cache = GroupedQueryAttention(24, 6, 2, rope=True), KVCache(2, 2, 8, 4)
    for num_new in ([1, 2, 3], [1, 4], [1.0, 2.0], 2):
        with pytest.raises(ValueError, match=re.escape(f"num_new={num_new} for 2 rows")):
            layer(torch.randn(2, 3, 24), cache, num_new=num_new)
    assert cache.length == 0


# ---- nothing to attend from


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize(("B", "T", "S"), [(1, 0, 3), (2, 0, 0), (0, 3, 5), (0, 1, 5), (0, 0, 0)])
def test_no_query_and_no_row_give_an_empty_result(B, T, S, window):
    q = torch.randn(B, 4, T, 8, requires_grad=True)
    k, v = torch.randn(2, B, 2, S, 8)
    for backend in ("auto", "fold_sdpa"):
        out = grouped_query_attention(q, k, v, window=window, backend=backend)
        assert out.shape == (B, 4, T, 8)
        out.sum().backward()
    if T == 1:
        for lengths in (None, torch.zeros(B, dtype=torch.int64)):
            assert decode_attention(q, k, v, lengths).shape == (B, 4, 1, 8)


@pytest.mark.parametrize("rope", [True, False])
@pytest.mark.parametrize(("B", "T"), [(2, 0), (0, 3), (0, 1), (0, 0)])
def test_a_layer_takes_no_token_and_no_row(B, T, rope):
    layer, cache = GroupedQueryAttention(24, 6, 2, rope=rope), KVCache(B, 2, 8, 4)
    x = torch.randn(B, T, 24)
    assert layer(x).shape == (B, T, 24)
    layer(torch.randn(B, 2, 24), cache, num_new=[2, 1][:B])  # rows differ from here on
    assert layer(x, cache).shape == (B, T, 24)
    assert layer(x, cache, num_new=[0] * B).shape == (B, T, 24)
    assert cache.lengths.tolist() == [2, 1][:B]


def test_padding_without_a_cache_is_refused():
    with pytest.raises(ValueError, match=r"num_new=\[1, 3\] without a cache"):
        GroupedQueryAttention(24, 6, 2)(torch.randn(2, 3, 24), num_new=[1, 3])


@pytest.mark.parametrize("window", [0, -1, True, False, 2.5, 3.0, "4"])
def test_a_window_is_a_whole_number_of_tokens(window):
    message = re.escape(f"window={window} with causal=True")
    with pytest.raises(ValueError, match=message):
        GroupedQueryAttention(24, 6, 2, window=window)
    cache, (q, k, v) = KVCache(2, 2, 8, 5), draw(2, 3)
    cache.append(k[:, :, :3], v[:, :, :3])
    with pytest.raises(ValueError, match=message):
        grouped_query_attention(q, k, v, window=window)
    with pytest.raises(ValueError, match=message):
        cache.attend(q, window=window)


def test_a_window_needs_an_end():
    layer = GroupedQueryAttention(24, 6, 2, window=3)
    for cache in (None, KVCache(2, 2, 8, 4)):
        with pytest.raises(ValueError, match="window=3 with causal=False"):
            layer(torch.randn(2, 3, 24), cache, causal=False)


def test_a_layer_is_refused_before_its_first_call():
    with pytest.raises(ValueError, match=r"backend 'foo' does not exist.*Choose from auto, sdpa"):
        GroupedQueryAttention(24, 6, 2, backend="foo")
    for rope in (None, 10000.0, "yes"):
        message = re.escape(f"rope={rope!r} is neither a Rope nor True or False")
        with pytest.raises(ValueError, match=message):
            GroupedQueryAttention(24, 6, 2, rope=rope)
    for num_kv_heads in (None, 2):
        with pytest.raises(ValueError, match=r"num_heads=0: .* Choose num_heads=1 or more"):
            GroupedQueryAttention(24, 0, num_kv_heads)


def test_a_prefix_may_be_seen_from_all_sides_and_then_be_decoded():
    layer, cache = GroupedQueryAttention(24, 6, 2, rope=True), KVCache(2, 2, 8, 4)
    x = torch.randn(2, 6, 24)
    with torch.no_grad():
        prefix, last = layer(x[:, :5], cache, causal=False), layer(x[:, 5:], cache)
        assert_close(prefix, oracle(layer, x[:, :5], causal=False))
        assert_close(last, oracle(layer, x)[:, 5:])


def test_layers_may_share_a_rope_made_for_their_heads():
    rope = Rope(4, base=500.0, rotary_dim=2)
    layers = [GroupedQueryAttention(24, 6, 2, rope=rope) for _ in range(2)]
    assert all(layer.rope is rope for layer in layers)
    assert GroupedQueryAttention(24, 6, 2, rope=False).rope is None
    with pytest.raises(ValueError, match="rope is for head_dim=4 and the layer's heads have 8"):
        GroupedQueryAttention(24, 6, 2, head_dim=8, rope=rope)


def test_biases_and_norms_are_named_as_in_checkpoints():
    plain = {f"{name}_proj.weight" for name in "qkvo"}
    for options, more in (
        ({}, set()),
        ({"bias": True}, {f"{name}_proj.bias" for name in "qkv"}),
        ({"out_bias": True}, {"o_proj.bias"}),
        ({"qk_norm": True}, {"q_norm.weight", "k_norm.weight"}),
    ):
        assert (
            set(GroupedQueryAttention(24, 6, 2, rope=True, **options).state_dict()) == plain | more
        )

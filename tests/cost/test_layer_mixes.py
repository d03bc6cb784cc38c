"""Bytes of models whose layers differ: mixes made up, each held against a sum over tokens."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gqa_lib import cost
from gqa_lib.configs import LayerKV, ModelConfig

HEADS = 12


@st.composite
def layers(draw):
    """One layer of any kind, all of its sizes drawn."""
    kind = draw(st.sampled_from(["full", "window", "chunk", "compressed", "latent", "none"]))
    small = st.integers(1, 9)
    state = draw(st.sampled_from([0, 0, 5]))
    if kind == "none":
        return LayerKV("none", state_bytes=state, cross_elements=draw(st.sampled_from([0, 7])))
    index = draw(st.sampled_from([0, 3]))
    sizes = {
        "index_dim": index,
        "index_topk": draw(small) if index else None,
        "state_bytes": state,
        "k_dim": draw(small) + 4,
        "num_kv_heads": 1 if kind == "latent" else draw(st.sampled_from([1, 2, 3, 4, 6, 12])),
    }
    if kind == "latent":
        return LayerKV("latent", rope_dim=draw(st.integers(0, 4)), **sizes)
    if kind != "full":
        sizes["window"] = draw(st.integers(1, 40))
    if kind == "compressed":
        sizes["ratio"] = draw(st.integers(1, 6))
    return LayerKV(kind, v_dim=draw(st.sampled_from([0, 2, 6])), **sizes)


@st.composite
def models(draw):
    """A model of a few layers, some of which share an earlier one's cache."""
    stack = draw(st.lists(layers(), min_size=1, max_size=6))
    stack.append(LayerKV("full", 2, 4, 4))
    for number in range(len(stack)):
        if draw(st.booleans()):
            owner = draw(st.integers(0, number))
            if stack[owner].shares is None and stack[owner].kind != "none":
                stack.append(replace(stack[owner], shares=owner, state_bytes=0))
    return ModelConfig("made up", len(stack), HEADS, 2, 4, d_model=48, layers=stack)


def token_by_token(config, length, k_bytes, v_bytes):
    """Count what every layer holds once every token has come, one token at a time."""
    held = 0.0
    for layer in config.kv_layers:
        if layer.kind == "none" or layer.shares is not None:
            continue
        recent, entries, pending, index = [], 0, 0, 0
        for token in range(length):
            recent.append(token)
            if layer.window is not None and len(recent) > layer.window:
                recent.pop(0)
            pending += 1
            if layer.ratio is None:
                index += layer.index_dim
            elif pending == layer.ratio:
                entries, pending, index = entries + 1, 0, index + layer.index_dim
        kept = len(recent) + entries
        for _ in range(layer.num_kv_heads):
            held += kept * (layer.k_dim * k_bytes + layer.v_dim * v_bytes)
        held += index * k_bytes
    return held


lengths = st.lists(st.integers(0, 60), max_size=4)
numbers = st.sampled_from([0.5, 1, 2, 4])


@given(models(), lengths, numbers, numbers)
def test_bytes_of_any_mix_of_layers_are_those_of_its_tokens(config, context_lengths, k, v):
    one_by_one = sum(token_by_token(config, length, k, v) for length in context_lengths)
    assert cost.kv_cache_bytes(config, context_lengths, (k, v)) == pytest.approx(one_by_one)


@given(models(), st.integers(1, 60), numbers)
def test_a_pair_of_equal_bytes_is_one_number(config, length, each):
    assert cost.kv_cache_bytes(config, [length], each) == cost.kv_cache_bytes(
        config, [length], (each, each)
    )


@given(models(), st.integers(1, 50), st.integers(1, 5))
def test_the_longest_context_that_fits_is_the_inverse(config, length, sequences):
    memory = sequences * (cost.kv_cache_bytes(config, [length], 2) + cost.state_bytes(config)) + 10
    longest = cost.max_context_length(config, memory, sequences, 10, 2)
    assert longest is not None
    assert longest >= length
    free = memory - 10 - cost.state_bytes(config, sequences)
    assert sequences * cost.kv_cache_bytes(config, [longest], 2) <= free
    assert sequences * cost.kv_cache_bytes(config, [longest + 1], 2) > free
    assert cost.max_concurrent_sequences(config, memory, longest, 10, 2) >= sequences


@given(models(), st.integers(0, 60), st.integers(0, 60))
def test_a_longer_sequence_never_keeps_less(config, one, other):
    short, long = sorted((one, other))
    assert cost.kv_cache_bytes(config, [short], 2) <= cost.kv_cache_bytes(config, [long], 2)


@given(models())
def test_states_and_cross_attention_are_said_apart(config):
    assert cost.state_bytes(config, 3) == 3 * sum(one.state_bytes for one in config.kv_layers)
    each = sum(layer.cross_elements for layer in config.kv_layers)
    assert cost.cross_cache_bytes(config, [10, 5], 2) == 15 * each * 2


def test_no_length_is_too_long_where_every_layer_keeps_a_window():
    config = ModelConfig("windows", 2, 4, 2, 8, d_model=32, windows=(16, 8))
    full = cost.kv_cache_bytes(config, [16], 2)
    assert cost.max_context_length(config, full, 1, 0, 2) is None
    assert cost.max_context_length(config, full - 1, 1, 0, 2) == 15


def test_an_indexer_lets_a_step_read_so_many_tokens_and_all_index_keys():
    layer = LayerKV("latent", 1, 24, rope_dim=8, index_dim=4, index_topk=10)
    config = ModelConfig("sparse", 1, 4, 4, 8, d_model=32, layers=(layer,))
    for length, read in ((6, 6), (10, 10), (100, 10)):
        _, moved = cost.decode_step_work(config, 1, length, 2, 0)
        assert moved == 2 * (read * 24 + length * 4)


def test_a_state_is_read_and_written_in_every_step():
    layers = (LayerKV("full", 2, 8, 8), LayerKV("none", state_bytes=100))
    config = ModelConfig("hybrid", 2, 4, 2, 8, d_model=32, layers=layers)
    _, moved = cost.decode_step_work(config, 3, 5, 2, 0)
    assert moved == 3 * (5 * 32 * 2 + 2 * 100)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), (2, 0), (1, 2, 3), ()])
def test_bytes_that_cannot_be_are_refused(bad):
    config = ModelConfig("plain", 2, 4, 2, 8, d_model=32)
    with pytest.raises(ValueError, match="bytes_per_element"):
        cost.kv_cache_bytes(config, [4], bad)

"""A model over ranks: what each holds and sends, and from when on more of them shrink no cache."""

from dataclasses import replace

import pytest

from gqa_lib import cost
from gqa_lib.configs import LayerKV, ModelConfig, load_model

TOY = ModelConfig(
    "toy", num_layers=3, num_heads=8, num_kv_heads=2, head_dim=16, d_model=100, d_ff=64
)


@pytest.mark.parametrize(
    ("ranks", "heads", "share"), [(1, 2, 1), (2, 1, 1 / 2), (4, 1, 1 / 2), (8, 1, 1 / 2)]
)
def test_a_ranks_cache_shrinks_up_to_num_kv_heads(ranks, heads, share):
    part = cost.rank_config(TOY, ranks)
    assert (part.num_heads, part.num_kv_heads) == (8 // ranks, heads)
    whole = cost.kv_bytes_per_token(TOY, 2)
    assert cost.kv_bytes_per_token(part, 2) == share * whole
    assert cost.reserved_bytes(TOY, [16], 2, tensor_parallel=ranks).rank_bytes == 16 * share * whole


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (TOY, 2),
        (replace(TOY, num_kv_heads=8), 8),
        (replace(TOY, num_kv_heads=1), 1),
        (load_model("DeepSeek-V3"), 1),
        (load_model("Qwen3.5-27B"), 4),
        (replace(TOY, layers=(*(LayerKV("full", n, 16, 16) for n in (8, 4)), LayerKV("none"))), 4),
    ],
)
def test_up_to_how_many_ranks(config, most):
    assert cost.most_ranks(config) == most


@pytest.mark.parametrize(
    ("config", "ranks", "sentence"),
    [
        (TOY, 1, "Each of 1 ranks holds 2 of 2 KV heads: past 2 ranks"),
        (TOY, 2, "Each of 2 ranks holds 1 of 2 KV heads: past 2 ranks a rank's cache shrinks no"),
        (TOY, 8, "8 ranks share 2 KV heads, and 4 of them hold the same one: past 2 ranks a"),
        (replace(TOY, num_kv_heads=1), 8, "8 ranks share 1 KV head, and 8 of them hold the same"),
        (load_model("DeepSeek-V3"), 8, "Every rank holds the whole latent"),
    ],
)
def test_the_sentence_says_when_it_ends(config, ranks, sentence):
    assert cost.sharing(config, ranks).startswith(sentence)


def test_what_a_rank_sends_for_a_token_and_layer():
    assert cost.tensor_parallel_bytes(TOY, 1) == cost.sequence_parallel_bytes(TOY, 1) == 0
    assert cost.tensor_parallel_bytes(TOY, 2) == 2 * 100 * 2  # two all-reduces of all
    assert cost.tensor_parallel_bytes(TOY, 8, 4) == pytest.approx(2 * 2 * 7 / 8 * 100 * 4)
    assert cost.sequence_parallel_bytes(TOY, 2) == 8 * 17 * 4
    assert cost.sequence_parallel_bytes(TOY, 4, 2) == 3 * 8 * 17 * 2
    fewer = replace(TOY, num_kv_heads=1)
    assert cost.sequence_parallel_bytes(fewer, 4) == cost.sequence_parallel_bytes(TOY, 4)


@pytest.mark.parametrize("count", [cost.tensor_parallel_bytes, cost.sequence_parallel_bytes])
@pytest.mark.parametrize(
    ("arguments", "message"), [((0,), "num_ranks=0"), ((2, 0), "bytes_per_element=0")]
)
def test_sizes_that_are_none_are_refused(count, arguments, message):
    with pytest.raises(ValueError, match=message):
        count(TOY, *arguments)

"""One rule for how heads are shared, wherever heads meet."""

import pytest
import torch

from gqa_lib.attention import GroupedQueryAttention, grouped_query_attention
from gqa_lib.cache import KVCache
from gqa_lib.configs import ModelConfig
from gqa_lib.heads import check_heads, kv_head_choices
from gqa_lib.kernels import decode_attention


def test_choices_are_the_divisors():
    assert kv_head_choices(12) == [1, 2, 3, 4, 6, 12]
    assert kv_head_choices(1) == [1]
    assert kv_head_choices(7) == [1, 7]


@pytest.mark.parametrize("num_kv_heads", [0, -1, 5, 24])
def test_what_does_not_divide_is_an_error_with_the_choices(num_kv_heads):
    with pytest.raises(ValueError, match=r"^num_heads=12 is not.*from 1, 2, 3, 4, 6, 12\.$"):
        check_heads(12, num_kv_heads)
    with pytest.raises(ValueError, match=r"^tiny: num_heads=12 is not"):
        check_heads(12, num_kv_heads, where="tiny")


@pytest.mark.parametrize("num_kv_heads", [0, 1, 2])
@pytest.mark.parametrize("num_heads", [0, -4])
def test_there_must_be_a_query_head(num_heads, num_kv_heads):
    message = rf"^tiny: num_heads={num_heads}: .*Choose num_heads=1 or more\.$"
    with pytest.raises(ValueError, match=message):
        check_heads(num_heads, num_kv_heads, where="tiny")


@pytest.mark.parametrize("num_kv_heads", [1, 2, 3, 4, 6, 12])
def test_what_divides_passes(num_kv_heads):
    check_heads(12, num_kv_heads)


def attend_to_a_cache(q, k):
    cache = KVCache(1, 4, 3, 4)
    cache.append(k, k)
    return cache.attend(q)


DOORS = {
    "layer": lambda q, k: GroupedQueryAttention(24, 6, 4),
    "attention": lambda q, k: grouped_query_attention(q, k, k),
    "decoding": lambda q, k: decode_attention(q, k, k),
    "cache": attend_to_a_cache,
    "model": lambda q, k: ModelConfig("tiny", 1, 6, 4, head_dim=4, d_model=24),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_has_the_same_rule(door):
    q, k = torch.randn(1, 6, 1, 4), torch.randn(1, 4, 3, 4)
    with pytest.raises(ValueError, match="num_heads=6 is not divisible by num_kv_heads=4"):
        DOORS[door](q, k)

"""KV heads counted in weights."""

import pytest
import torch

from gqa_lib.configs.checkpoints import kv_heads_in_weights


@pytest.mark.parametrize(("heads", "copies"), [(1, 1), (1, 4), (3, 2), (5, 1)])
def test_copies_side_by_side_count_once(heads, copies):
    weight = torch.randn(heads, 4, 7).repeat_interleave(copies, 0).reshape(-1, 7)
    assert kv_heads_in_weights(weight, 4) == heads


def test_heads_that_differ_in_one_number_or_lie_apart_are_not_copies():
    head = torch.randn(4, 7)
    almost = head.clone()
    almost[3, 6] += 1e-6
    assert kv_heads_in_weights(torch.cat([head, almost]), 4) == 2
    assert kv_heads_in_weights(torch.cat([head, -head, head]), 4) == 3


def test_rows_that_are_no_heads_are_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"10 rows are not a whole number of heads of head_dim=4"):
        kv_heads_in_weights(torch.zeros(10, 3), 4)

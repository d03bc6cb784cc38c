"""Whole numbers and truth values: NumPy's are taken, floats and tensors are not."""

import numpy as np
import pytest
import torch

from gqa_lib.learn.checking.difference import difference
from grading.student.wire import pack, unpack


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.True_, True),
        ((np.int32(1), np.False_), (1, False)),
    ],
)
def test_what_is_the_same_number_is_right(got, expected):
    assert difference(got, expected) is None


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (3.0, 3),
        (torch.tensor(3), 3),
        (np.float32(3), 3),
        (np.int64(4), 3),
        (np.True_, 1),
        (1, True),
        (np.False_, True),
        (float("inf"), 3),
    ],
)
def test_what_is_another_one_is_not(got, expected):
    assert difference(got, expected)


@pytest.mark.parametrize("value", [np.True_, np.uint8(7), np.int16(-7)])
def test_numpys_numbers_arrive_in_the_judge(value):
    blobs: list = []
    arrived = unpack(pack(value, blobs), blobs, dict)
    assert arrived == value
    assert type(arrived) is type(value)

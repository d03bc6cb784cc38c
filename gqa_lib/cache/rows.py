"""Rows of different lengths: where their next tokens stand."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gqa_lib.arguments import check_whole


def on_cpu(numbers: Sequence[int]) -> Tensor:
    """Return whole numbers as int64 on the CPU, whatever torch's default device."""
    return torch.tensor(numbers, dtype=torch.int64, device="cpu")


def are_alike(numbers: Sequence[int]) -> bool:
    """Return whether no two of some numbers differ."""
    return not numbers or numbers.count(numbers[0]) == len(numbers)


def next_positions(lengths: Sequence[int], num_new: int) -> Tensor:
    """Return where the next tokens of each row stand: (T,), or (B, T) where rows differ.

    Args:
        lengths: tokens of each row.
        num_new: T.
    """
    if not isinstance(num_new, int) or num_new < 0:
        check_whole(0, num_new=num_new)
    new = torch.arange(num_new, device="cpu")
    if are_alike(lengths):
        return new + (lengths[0] if lengths else 0)
    return on_cpu(lengths)[:, None] + new


def own_tokens(lengths: Sequence[int], num_new: Sequence[int], T: int) -> tuple[Tensor, ...]:
    """Return of each of N new tokens, padding left out: its row, which of the T, its position.

    Args:
        lengths: tokens of each row before.
        num_new: how many of the T tokens each row has.
        T: new tokens with padding.

    Returns:
        Three of (N,) int64 on the CPU, row after row.
    """
    is_new = torch.arange(T, device="cpu") < on_cpu(num_new)[:, None]  # (B, T)
    rows, tokens = is_new.nonzero(as_tuple=True)
    return rows, tokens, on_cpu(lengths)[rows] + tokens

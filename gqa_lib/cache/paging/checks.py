"""Checks of what a paged cache, and what models one, is given."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from gqa_lib.arguments import check_whole, index, several, shown


def check_block_size(block_size: int) -> None:
    """Raise ValueError unless a block has place for a whole number of tokens, 1 or more."""
    whole = index(block_size)
    if whole is None or whole < 1:
        raise ValueError(
            f"block_size={block_size!r}: a block holds whole tokens. Give a whole number from 1, "
            "such as 16."
        )


def some_rows(
    rows: int | Sequence[int] | Tensor, name: str, batch_size: int, *, count: int | None = None
) -> list[int]:
    """Return the numbers of some rows as a list.

    Args:
        rows: one number or several, no two alike.
        name: what the error calls them.
        batch_size: B.
        count: how many there must be; None is any number.

    Raises:
        ValueError: one is not a row's number, or is there twice, or there are more or fewer.
    """
    given: Any = rows.tolist() if isinstance(rows, Tensor) else rows
    each = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    numbers = [n for n in map(index, each) if n is not None and 0 <= n < batch_size]
    if len(numbers) < len(each):
        raise ValueError(
            f"{name}={shown(given)}: the {batch_size} rows of the cache are 0 to "
            f"{batch_size - 1}, and something else would be another's tokens, or none. "
            "Give a row's number, or several."
        )
    if len(set(numbers)) < len(numbers):
        raise ValueError(
            f"{name}={shown(given)} has a row twice: its blocks would be counted twice. "
            "Give each row once."
        )
    if count is not None and len(numbers) != count:
        raise ValueError(
            f"{name}={shown(given)} are {len(numbers)} rows for the tokens of {count}: each needs "
            f"a row of its own. Give {count}."
        )
    return numbers


def check_empty(rows: Sequence[int], lengths: Sequence[int]) -> None:
    """Raise ValueError if a row that is to take in tokens has some.

    Args:
        rows: those that are to be filled.
        lengths: tokens of each row of the cache.
    """
    for b in rows:
        if lengths[b]:
            raise ValueError(
                f"row {b} holds {lengths[b]} tokens, which would be lost. "
                f"drop({b}) it first, or fill another row."
            )


def whole_numbers(values: Any, name: str, least: int) -> list[int]:
    """Return some whole numbers as Python's own.

    Args:
        values: a list, an array or a tensor of them.
        name: what the error calls them.
        least: the smallest that is allowed.

    Raises:
        ValueError: one is something else, or smaller.
    """
    given = values.tolist() if isinstance(values, Tensor) else values
    numbers = several(given, name, "whole numbers")
    for i, number in enumerate(numbers):
        if type(number) is not int or number < least:
            check_whole(least, **{f"{name}[{i}]": number})
    return [int(number) for number in numbers]

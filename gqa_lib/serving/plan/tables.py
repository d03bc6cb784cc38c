"""Pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; all but its first column is aligned right.

    Args:
        head: names of its columns.
        rows: cells, as many in each.
    """
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def bullets(lines: Iterable[str]) -> str:
    """Return a list.

    Args:
        lines: its entries.
    """
    return "\n".join(f"- {line}" for line in lines)


def percent(share: float) -> str:
    """Return a share in per cent, to three digits, or all of those before the point."""
    return f"{_all_digits(100 * share, 3)} %"


def figure(value: float) -> str:
    """Return a number to four digits, or all of those before the point."""
    return _all_digits(value, 4)


def _all_digits(value: float, least: int) -> str:
    short = f"{value:,.{least}g}"
    return f"{value:,.0f}" if "e+" in short else short


def named(text: str) -> str:
    """Return a name that somebody gave, so that it stays a word in a line of a table."""
    return " ".join(text.split()).replace("|", "/").replace("`", "'").replace("<", "(")

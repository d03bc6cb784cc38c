"""Tables of the site's pages, in Markdown."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already.

    Args:
        heads: of the columns.
        rows: the cells of each row.
    """
    lines = [heads, ["--"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Return a sentence as a cell: nothing in it ends the cell or the row."""
    return " ".join(text.split()).replace("|", "\\|")

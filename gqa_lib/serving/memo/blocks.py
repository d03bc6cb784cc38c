"""What a memo is made of, before it is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gqa_lib.arguments import check_kind, check_some

from .values import Figure, Name, Prose, Record, Words, check_no_digits

Cell = Figure | Words


@dataclass(frozen=True)
class Heading:
    """The title of a section, without digits.

    Args:
        text: the title.
    """

    text: str

    def __post_init__(self) -> None:
        check_no_digits(self.text)


@dataclass(frozen=True)
class Bullets:
    """A list.

    Args:
        items: its paragraphs.
    """

    items: Sequence[Prose]


@dataclass(frozen=True)
class Table:
    """A table: each row has a name, and a figure or words in each other cell.

    Args:
        columns: titles, that of the names first; a text without digits, or a Name.
        rows: (name, cells), as many cells as there are columns after the first.

    Raises:
        ValueError: a cell is neither, or there are too few or too many.
    """

    columns: Sequence[str | Name]
    rows: Sequence[tuple[Name, Sequence[Cell]]]

    def __post_init__(self) -> None:
        check_some(rows=self.rows)
        for column in self.columns:
            if isinstance(column, str):
                check_no_digits(column)
        for name, cells in self.rows:
            check_kind(Name, "Give Name(...).", name=name)
            if len(cells) != len(self.columns) - 1:
                raise ValueError(
                    f"row {name.text!r} has {len(cells)} cells for {len(self.columns) - 1} columns."
                )
            for cell in cells:
                check_kind((Figure, Words), "A number in a table has a label.", cell=cell)


@dataclass(frozen=True)
class Plot:
    """A picture.

    Args:
        name: of its file, without the ending.
        svg: the picture.
        alt: what it shows, in words.
        figures: what is drawn in it, so that their sources are listed.
    """

    name: str
    svg: str
    alt: str
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Command:
    """What to type.

    Args:
        text: one or more lines for a shell.
    """

    text: str


Block = Heading | Prose | Bullets | Table | Plot | Command


@dataclass(frozen=True)
class Memo:
    """A decision memo.

    Args:
        title: of it.
        answer: its first paragraphs: the answer, why, and what would change it or is missing.
        blocks: the rest, in order.
    """

    title: Prose
    answer: Sequence[Prose]
    blocks: Sequence[Block]

    def pieces(self) -> Iterator[str | Figure | Name | Words]:
        """Yield every word, figure and name, in the order in which they are read."""
        for one in (self.title, *self.answer):
            yield from one.pieces()
        for block in self.blocks:
            yield from _pieces(block)

    def sources(self) -> list[tuple[str, Record | str]]:
        """Return (kind, source) of all its figures, each once, in the order of their numbers."""
        figures = [one for one in self.pieces() if isinstance(one, Figure)]
        return list(dict.fromkeys((one.kind, one.source) for one in figures))


def _pieces(block: Block) -> Iterator[str | Figure | Name | Words]:
    if isinstance(block, Heading):
        yield block.text
    elif isinstance(block, Prose):
        yield from block.pieces()
    elif isinstance(block, Bullets):
        for item in block.items:
            yield from item.pieces()
    elif isinstance(block, Table):
        yield from block.columns
        for name, cells in block.rows:
            yield name
            yield from cells
    elif isinstance(block, Plot):
        yield from block.figures
    else:
        yield Name(block.text)

"""A memo as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .blocks import Block, Bullets, Command, Heading, Memo, Plot, Table
from .values import KINDS, Figure, Name, Prose, Record, Words

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#!$&])")
Sources = Sequence[tuple[str, Record | str]]


def markdown(memo: Memo) -> str:
    """Return a memo as Markdown; plots are links to `NAME.svg` next to it.

    Each figure is followed by its label, a link to its source at the end.

    Args:
        memo: the memo.
    """
    sources = memo.sources()
    first, *others = (_prose(one, sources) for one in memo.answer)
    parts = [f"# {_prose(memo.title, sources)}", "\n>\n".join([f"> **{first}**", *_quoted(others)])]
    parts += [_block(block, sources) for block in memo.blocks]
    parts += ["## Sources", "\n".join(f"- **{kind}**: {why}." for kind, why in KINDS.items())]
    listed = (_source(number, *one) for number, one in enumerate(sources, start=1))
    return "\n\n".join([*parts, "\n".join(listed)]) + "\n"


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line.

    Args:
        text: of whoever named a model or a file.
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _quoted(lines: Sequence[str]) -> list[str]:
    return [f"> {line}" for line in lines]


def _block(block: Block, sources: Sources) -> str:
    if isinstance(block, Heading):
        return f"## {escaped(block.text)}"
    if isinstance(block, Prose):
        return _prose(block, sources)
    if isinstance(block, Bullets):
        return "\n".join(f"- {_prose(item, sources)}" for item in block.items)
    if isinstance(block, Table):
        return _table(block, sources)
    if isinstance(block, Command):
        longest = max((len(found) for found in re.findall(r"`+", block.text)), default=0)
        fence = "`" * max(3, longest + 1)
        return f"{fence}sh\n{block.text}\n{fence}"
    return _plot(block, sources)


def _prose(prose: Prose, sources: Sources) -> str:
    return "".join(_piece(piece, sources) for piece in prose.pieces())


def _piece(piece: str | Figure | Name | Words, sources: Sources) -> str:
    if isinstance(piece, Figure):
        return f"{escaped(piece.number())} {_label(piece, sources)}"
    return escaped(piece.text) if isinstance(piece, Name | Words) else _words(piece)


def _words(text: str) -> str:
    """Words with the spaces at their ends, which are between them and a figure."""
    left = " " * (len(text) - len(text.lstrip()) > 0)
    right = " " * (len(text) - len(text.rstrip()) > 0)
    return f"{left}{escaped(text)}{right}" if text.strip() else " "


def _label(figure: Figure, sources: Sources) -> str:
    number = sources.index((figure.kind, figure.source)) + 1
    return f"[{figure.kind} {number}](#source-{number})"


def _table(table: Table, sources: Sources) -> str:
    titles = [one.text if isinstance(one, Name) else one for one in table.columns]
    lines = [[escaped(one) for one in titles], ["---", *["---:" for _ in table.columns[1:]]]]
    lines += [
        [escaped(name.text), *(_piece(cell, sources) for cell in cells)]
        for name, cells in table.rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plot(plot: Plot, sources: Sources) -> str:
    labels = sorted({_label(one, sources) for one in plot.figures})
    drawn = f"Drawn from: {', '.join(labels)}." if labels else ""
    return f"![{escaped(plot.alt)}]({plot.name}.svg)\n\n{drawn}".rstrip()


def _source(number: int, kind: str, source: Record | str) -> str:
    return f'{number}. <a id="source-{number}"></a>**{kind}**: {escaped(str(source))}'

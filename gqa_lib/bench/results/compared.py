"""What `gqa bench compare` says of two folders, as lines, as Markdown and as a page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from gqa_lib.course.files import replace_file

from .comparing import NOT_COMPARED, SLOWER, Comparison, compare_folders
from .pages import environment

_HEADS = ("benchmark", "metric", "point", "A", "B", "B/A", "verdict")
_CELLS = ("benchmark", "metric", "point", "before", "after", "ratio", "verdict")
_LEFT = 3  # columns of text; the others are numbers
_MOST = 60  # rows of other arms in a terminal


def main(before: Path, after: Path, margin: float, output: Path | None) -> int:
    """Compare two folders of runs, print what comes out, and return the exit code.

    Args:
        before, after: the folders.
        margin: difference that would matter; 0.05 is 5 %.
        output: file for the same as a page, .html or .md; None writes none.

    Returns:
        0: same or faster, as far as can be told; 1: slower, or worse, beyond the margin; 2:
        something cannot be compared.
    """
    if output and output.suffix not in (".html", ".md"):
        raise ValueError(f"--output {output}: give a file that ends in .html or .md.")
    try:
        found = compare_folders(before, after, margin=margin)
    except ValueError as trouble:
        found = Comparison(missing=[str(trouble).rstrip(".")], code=NOT_COMPARED)
    names = {"A": str(before), "B": str(after)}
    print(as_text(found, margin, names))
    if output:
        write = _as_page if output.suffix == ".html" else _as_markdown
        output.parent.mkdir(parents=True, exist_ok=True)
        replace_file(output, write(found, margin, {k: Path(v).name for k, v in names.items()}))
        print(output)
    return found.code


def as_text(found: Comparison, margin: float, names: dict[str, str]) -> str:
    """Return a comparison as lines for a terminal.

    Args:
        found: the comparison.
        margin: that it was made with.
        names: of the folders, A and B.
    """
    lines = [f"{side}: {name}" for side, name in names.items()]
    own = [row for row in found.rows if row["own"]]
    others = [row for row in found.rows if not row["own"]]
    if own:
        lines += ["", *_table(own)]
    if others:
        lines += ["", "Shown only, the code does not depend on them:", *_table(others[:_MOST])]
        lines += [f"... and {len(others) - _MOST} more"] * (len(others) > _MOST)
    for title, said in _sections(found).items():
        lines += ["", f"{title}:", *(f"- {line}" for line in said)] if said else []
    return "\n".join([*lines, "", conclusion(found, margin)])


def conclusion(found: Comparison, margin: float) -> str:
    """Return a comparison in a sentence.

    Args:
        found: the comparison.
        margin: that it was made with.
    """
    counts = Counter(row["verdict"] for row in found.rows if row["own"])
    said = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing compared"
    end = {
        SLOWER: "slower or worse beyond the margin",
        NOT_COMPARED: "something could not be compared",
    }.get(found.code, "nothing is slower or worse beyond the margin")
    return f"{said}; margin {100 * margin:g} %: {end} (exit code {found.code})."


def _sections(found: Comparison) -> dict[str, list[str]]:
    return {
        "Not compared": found.missing,
        "What differs, A -> B": found.differs,
        "Mind": found.notes,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    cells = [str(row[name]) for name in _CELLS]
    if row["unit"] not in ("", "1"):
        cells[1] += f", {row['unit']}"
    return cells


def _table(rows: list[dict[str, Any]]) -> list[str]:
    table = [list(_HEADS), *map(_cells, rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(_HEADS))]
    last = len(_HEADS) - 1
    return [
        "  ".join(
            cell.ljust(width) if place < _LEFT or place == last else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _as_markdown(found: Comparison, margin: float, names: dict[str, str]) -> str:
    lines = [f"# {names['A']} and {names['B']}", "", conclusion(found, margin), ""]
    for title, own in (("The library", True), ("Shown only", False)):
        rows = [row for row in found.rows if row["own"] is own]
        if rows:
            lines += [f"## {title}", "", _line(_HEADS)]
            lines += [_line(["---"] * _LEFT + ["--:"] * (len(_HEADS) - _LEFT))]
            lines += [*(_line(_cells(row)) for row in rows), ""]
    for title, said in _sections(found).items():
        lines += [f"## {title}", "", *(f"- {_escaped(one)}" for one in said), ""] if said else []
    return "\n".join(lines)


def _line(cells) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    """Text that Markdown takes as it is."""
    text = " ".join(text.split())
    return "".join(f"\\{one}" if one in "\\`*_|<>[]" else one for one in text)


def _as_page(found: Comparison, margin: float, names: dict[str, str]) -> str:
    template = environment().get_template("compare.html.j2")
    return template.render(
        names=names,
        conclusion=conclusion(found, margin),
        heads=_HEADS,
        left=_LEFT,
        tables={
            "The library": [_cells(row) for row in found.rows if row["own"]],
            "Shown only": [_cells(row) for row in found.rows if not row["own"]],
        },
        sections=_sections(found),
    )

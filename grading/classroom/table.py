"""CSV as learning platforms write and read it."""

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gqa_lib.course.files import replace_file

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST_ERRORS = 10


@dataclass(frozen=True)
class Table:
    """A CSV file: its columns as they are named, and (line, cells) of each row that is not empty.

    Attributes:
        path: the file.
        columns: the names in its first line.
        rows: of each row the line it ends on, and column -> text.
    """

    path: Path
    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]

    def column(self, *names: str) -> str | None:
        """Return the first column called one of `names`, in the order of `names`, or None.

        Case, blanks, hyphens and underscores do not matter.
        """
        by_name = {plain(column): column for column in reversed(self.columns)}
        return next((by_name[n] for n in map(plain, names) if n in by_name), None)

    def need(self, what: str, *names: str) -> str:
        """Return `column(*names)`.

        Raises:
            ValueError: there is none.
        """
        if found := self.column(*names):
            return found
        raise ValueError(
            f"{self.path}: no column holds {what}. Its columns are {', '.join(self.columns)}; name "
            f"one of them {names[0]!r}."
        )


def read_table(path: Path) -> Table:
    """Read a CSV file with a line of column names, separated by commas, semicolons or tabs.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not text, has no columns, or a row has more cells than there are columns.
    """
    text = decoded(path).text
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(text))
    columns = [name.strip() for name in next(reader, [])]
    if not any(columns):
        raise ValueError(f"{path} is empty: its first line must name the columns.")
    rows, wrong = [], []
    for cells in reader:
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            wrong.append(
                f"line {reader.line_num}: {len(cells)} cells for {len(columns)} columns; put a "
                "cell that contains the separator in double quotes"
            )
        elif any(cell.strip() for cell in cells):
            padded = cells + [""] * (len(columns) - len(cells))
            row = {name: cell.strip() for name, cell in zip(columns, padded, strict=False)}
            rows.append((reader.line_num, row))
    refuse(path, wrong)
    return Table(path, columns, rows)


def refuse(path: Path, wrong: list[str]) -> None:
    """Refuse a file in which something is wrong.

    Raises:
        ValueError: `wrong` is not empty; the message lists it.
    """
    if not wrong:
        return
    shown = wrong[:_MOST_ERRORS]
    if len(wrong) > len(shown):
        shown.append(f"and {len(wrong) - len(shown)} more")
    raise ValueError("\n  ".join([f"{path}: nothing was changed, because of", *shown]))


def write_table(path: Path | None, rows: Iterable[Iterable]) -> None:
    """Write rows as CSV to a file, which is never there in part, or to the standard output.

    Text that a spreadsheet would run as a formula gets a quote mark in front. Excel garbles accents
    in a file without a byte order mark, and takes one that begins with ID for another format.
    """
    text = io.StringIO()
    cells = ([_cell(cell) for cell in row] for row in rows)
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    quoted.writerow(next(cells, []))
    csv.writer(text, lineterminator="\n").writerows(cells)
    if path is None:
        sys.stdout.write(text.getvalue())
        return
    content = text.getvalue()
    replace_file(path, content.encode("utf-8" if content.isascii() else "utf-8-sig"))


def _cell(value) -> str:
    """Return the text of a cell: numbers to 10 digits, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return format(value, ".10g")
    return f"'{value}" if value.startswith(_FORMULA) else value


@dataclass(frozen=True)
class Decoded:
    """The text of a file, and how its bytes are made from it again.

    Attributes:
        text: without the byte order mark.
        encoding: of the bytes after the mark.
        mark: the byte order mark, or nothing.
    """

    text: str
    encoding: str
    mark: bytes

    def encoded(self, text: str) -> bytes:
        """Return another text as the bytes of such a file."""
        return self.mark + text.encode(self.encoding)


_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def decoded(path: Path) -> Decoded:
    """Return what a text file in UTF-8 or UTF-16 says.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is a workbook, or in another encoding.
    """
    content = path.read_bytes()
    if content.startswith((b"PK\3\4", b"\xd0\xcf\x11\xe0")):
        raise ValueError(f"{path} is a workbook of Excel. Save it there as “CSV UTF-8”.")
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    encoding = _MARKS.get(mark, "utf-8")
    if not mark and b"\0" in content[:2]:
        encoding = "utf-16-be" if content[0] == 0 else "utf-16-le"
    try:
        return Decoded(content[len(mark) :].decode(encoding), encoding, mark)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}: line {line} is not {encoding.upper()}. Save the file as “CSV UTF-8”, so that "
            "no name is garbled."
        ) from error


def separator_of(text: str) -> str:
    """Return what separates the cells of a text: what its first line has most of, out of quotes."""
    first = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    return max(",;\t", key=first.count)


def plain(name: str) -> str:
    """Return the name of a column without what does not matter in it."""
    return re.sub(r"[\s_-]+", "", name.replace("’", "'")).casefold()

"""A platform's CSV file in which single cells change and every other byte stays."""

import re
from dataclasses import dataclass
from pathlib import Path

from grading.classroom.table import Decoded, decoded, separator_of


@dataclass
class Sheet:
    """The rows of a CSV file, each cell as it is written there, with its quotes.

    Attributes:
        source: the text and its encoding.
        separator: what stands between cells.
        rows: of each row its cells; the first names the columns.
        ends: what ends each row.
    """

    source: Decoded
    separator: str
    rows: list[list[str]]
    ends: list[str]

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [read_cell(cell).strip() for cell in self.rows[0]]

    def row(self, number: int) -> dict[str, str]:
        """Return a row as column -> text; of two columns of one name, the first."""
        cells = [read_cell(cell).strip() for cell in self.rows[number]]
        pairs = list(zip(self.columns, cells, strict=False))
        return dict.fromkeys(self.columns, "") | dict(reversed(pairs))

    def put(self, number: int, column: int, text: str) -> None:
        """Write a cell, quoted as the others of its row are.

        Args:
            number: of the row, from 0.
            column: its place, from 0; a row that is too short gets empty cells up to there.
            text: what it says.
        """
        row = self.rows[number]
        written = [cell for cell in row if cell]
        quoted = bool(written) and all(cell.startswith('"') for cell in written)
        row += [""] * (column + 1 - len(row))
        if quoted or any(one in text for one in (self.separator, '"', "\n", "\r")):
            text = '"{}"'.format(text.replace('"', '""'))
        row[column] = text

    def content(self) -> bytes:
        """Return the file's bytes."""
        lines = (
            self.separator.join(row) + end for row, end in zip(self.rows, self.ends, strict=True)
        )
        return self.source.encoded("".join(lines))


def read_sheet(path: Path) -> Sheet:
    """Read a platform's CSV file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a workbook, is in another encoding, or has no rows.
    """
    source = decoded(path)
    separator = separator_of(source.text)
    sheet = Sheet(source, separator, [[]], [])
    cell = re.compile(
        rf'("(?:[^"]|"")*"[^{separator}\r\n]*|(?!")[^{separator}\r\n]*)({separator}|\r\n|\r|\n|\Z)'
    )
    place = 0
    while place < len(source.text):
        found = cell.match(source.text, place)
        if found is None:  # a quote that nothing closes
            line = source.text.count("\n", 0, place) + 1
            raise ValueError(f"{path}: line {line} has a double quote that is not closed.")
        place = found.end()
        sheet.rows[-1].append(found[1])
        if found[2] != separator:
            sheet.ends.append(found[2])
            sheet.rows.append([])
        elif place == len(source.text):  # an empty cell at the very end
            sheet.rows[-1].append("")
    if len(sheet.ends) < len(sheet.rows):
        if sheet.rows[-1]:
            sheet.ends.append("")
        else:
            sheet.rows.pop()
    if len(sheet.rows) < 2:
        raise ValueError(f"{path} has no rows: it must be the file that your platform exports.")
    return sheet


def read_cell(written: str) -> str:
    """Return what a cell says, from how it is written."""
    if not written.startswith('"'):
        return written
    inside, _, after = written[1:].rpartition('"')
    return inside.replace('""', '"') + after

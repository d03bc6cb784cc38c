"""A file of text, compressed or not, and the place in it that an error names."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, Any

from gqa_lib.arguments import check_kind, shown


class TextFile:
    """A file that is read as UTF-8, gzip undone; its first line may begin with a byte-order mark.

    Args:
        path: where it is.

    Raises:
        ValueError: there is no such file, or it is empty.
    """

    def __init__(self, path: str | Path):
        check_kind((str, Path), "Give the path of a file.", path=path)
        self.path = Path(path)
        self.has_header = False
        if not self.path.is_file():
            raise ValueError(f"path={path}: there is no such file. Give the path of one.")
        with self.path.open("rb") as file:
            start = file.read(2)
        if not start:
            raise ValueError(f"{self.path.name} is empty: it has no rows. Give another file.")
        self._compressed = start == b"\x1f\x8b"

    def open(self) -> IO[str]:
        """Return the text from its beginning."""
        if self._compressed:
            return gzip.open(self.path, "rt", encoding="utf-8-sig", newline="")
        return self.path.open(encoding="utf-8-sig", newline="")

    def line_of(self, row: int) -> int:
        """Return the line, counted from 1, of a row, counted from 0: blank lines are no rows."""
        left = row + self.has_header
        with self.open() as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    if not left:
                        return number
                    left -= 1
        raise ValueError(f"{self.path.name} has no row {row}.")

    def refusal(self, row: int, column: str, value: Any, why: str) -> ValueError:
        """Return the error for a cell.

        Args:
            row: counted from 0.
            column: its name.
            value: what is there.
            why: what is wrong with it, why that matters and what to do; it goes on after "which".
        """
        line = self.line_of(row)
        return ValueError(
            f"{self.path.name}, line {line}, column {column}: {shown(value)}, which {why}"
        )

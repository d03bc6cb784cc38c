"""Tables of measured times, and values between their points."""

from __future__ import annotations

import csv
import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gqa_lib.serving.traffic.text_file import TextFile

Point = tuple[float, ...]
MOST_LEFT_OUT = 0.5  # of the points of a table


def read_rows(path: Path | str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV file with these columns, each with its line.

    Args:
        path: the file, compressed or not.
        columns: that it must have; it may have others.

    Raises:
        ValueError: there is no such file, a column is missing, or there is no row.
    """
    with TextFile(path).open() as file:
        reader = csv.DictReader(file)
        try:
            rows = [(reader.line_num, row) for row in reader]
        except (UnicodeDecodeError, csv.Error, OSError, EOFError, zlib.error) as error:
            raise ValueError(
                f"{path} cannot be read to its end ({error}): kernels would be missing. Give CSV "
                "in UTF-8; it may be compressed with gzip."
            ) from error
    if not rows or (missing := [name for name in columns if rows[0][1].get(name) is None]):
        lacks = f"no column {', '.join(missing)}" if rows else "no rows"
        raise ValueError(
            f"{path} has {lacks}: it is not a table of kernel times. It needs {', '.join(columns)}."
        )
    return rows


def number(row: Mapping[str, str], column: str, path: Path | str, line: int) -> float:
    """Return a row's number, from 0.

    Args:
        row, column: where it is.
        path, line: what the error says.

    Raises:
        ValueError: it is something else.
    """
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(
            f"{path}, line {line}: {column}={row[column]!r} is not a number from 0. "
            "Correct or remove the row."
        )
    return value


def add_time(
    times: dict[Point, float], point: Point, time: float, path: Path | str, line: int
) -> None:
    """Add a row's time to those of a table.

    Args:
        times: by point.
        point, time: of the row.
        path, line: what the error says.

    Raises:
        ValueError: the point has a time already.
    """
    if point in times:
        raise ValueError(
            f"{path}, line {line}: {', '.join(f'{value:g}' for value in point)} has a time already "
            f"({times[point]:g} us): which of the two counts is not said. Give their median."
        )
    times[point] = time


class Grid:
    """Times at the points of a grid, linear between them and beyond its far end.

    Beyond that a time is not below the one at the end: a table that falls there, as measured ones
    do by chance, would come to less than nothing.

    Points that do not make a whole grid are thinned out, the values of an axis with the most gaps
    first, but not more than half of them.

    Args:
        times: by point; all points have the same number of coordinates.
        name: of the table, for the error.

    Raises:
        ValueError: more points would have to be left out.
    """

    def __init__(self, times: Mapping[Point, float], name: str = "the table"):
        axes = [sorted({point[i] for point in times}) for i in range(len(next(iter(times))))]
        places = [{value: i for i, value in enumerate(axis)} for axis in axes]
        table = np.full([len(axis) for axis in axes], np.nan)
        for point, time in times.items():
            table[tuple(place[x] for place, x in zip(places, point, strict=True))] = time
        while np.isnan(table).any():
            gaps = [
                np.isnan(table).mean(axis=tuple(j for j in range(table.ndim) if j != i))
                for i in range(table.ndim)
            ]
            i = max(range(table.ndim), key=lambda i: gaps[i].max())
            worst = int(gaps[i].argmax())
            table = np.delete(table, worst, axis=i)
            axes[i] = axes[i][:worst] + axes[i][worst + 1 :]
        if table.size < (1 - MOST_LEFT_OUT) * len(times):
            raise ValueError(
                f"{name}: of {len(times)} points only {table.size} make a whole grid "
                f"({' x '.join(str(len(axis)) for axis in axes)} values), and what the others say "
                "would be lost. Time every value of an axis with every value of the others."
            )
        self.left_out = len(times) - table.size
        self._set(axes, table)

    @classmethod
    def _of(cls, axes: list[list[float]], table: NDArray[np.float64]) -> Grid:
        grid = cls.__new__(cls)
        grid._set(axes, table)
        return grid

    def _set(self, axes: list[list[float]], table: NDArray[np.float64]) -> None:
        self.axes, self._table = axes, table
        self._flat: list[float] = table.ravel().tolist()
        strides = [int(np.prod(table.shape[i + 1 :])) for i in range(table.ndim)]
        self._axes = list(zip(axes, strides, strict=True))

    def __call__(self, *point: float) -> float:
        """Return the time at a point; nearer than the grid begins, that of its beginning."""
        corners = [(1.0, 0)]  # weights, and places in the table
        for (axis, stride), x in zip(self._axes, point, strict=True):
            if x > axis[0] and len(axis) > 1:
                i = bisect_right(axis, x)
                if i == len(axis):
                    i -= 1
                share = (x - axis[i - 1]) / (axis[i] - axis[i - 1])
                high, low, rest = i * stride, (i - 1) * stride, 1 - share
                corners = [
                    corner
                    for weight, at in corners
                    for corner in ((weight * rest, at + low), (weight * share, at + high))
                ]
        flat = self._flat
        total = 0.0
        for weight, at in corners:
            if weight:
                total += weight * flat[at]
        if any(x > axis[-1] for axis, x in zip(self.axes, point, strict=True)):
            end = [min(axis[-1], x) for axis, x in zip(self.axes, point, strict=True)]
            return max(total, self(*end))
        return total

    def line(self) -> Callable[[float], float]:
        """Return the times of a grid with one axis; it does what the grid does, only quicker."""
        (axis,), times = self.axes, self._flat
        first, end = axis[0], len(axis)

        def time(x: float) -> float:
            if x <= first or end == 1:
                return times[0]
            i = bisect_right(axis, x)
            if i == end:
                if times[-1] <= times[-2]:
                    return times[-1]
                i -= 1
            before = axis[i - 1]
            share = (x - before) / (axis[i] - before)
            return (1 - share) * times[i - 1] + share * times[i]

        return time

    def plane(self) -> Callable[[float, float], float]:
        """Return the times of a grid with two axes; it does what the grid does, only quicker."""
        (rows, columns), table = self.axes, self._table.tolist()
        last_row, last_column = len(rows) - 1, len(columns) - 1
        if not last_row or not last_column:
            return self

        def time(x: float, y: float) -> float:
            i = min(max(1, bisect_right(rows, x)), last_row)
            j = min(max(1, bisect_right(columns, y)), last_column)
            down = (max(x, rows[0]) - rows[i - 1]) / (rows[i] - rows[i - 1])
            right = (max(y, columns[0]) - columns[j - 1]) / (columns[j] - columns[j - 1])
            above, below = table[i - 1], table[i]
            first = (1 - right) * above[j - 1] + right * above[j]
            second = (1 - right) * below[j - 1] + right * below[j]
            found = (1 - down) * first + down * second
            if down > 1 or right > 1:
                return max(found, time(min(x, rows[-1]), min(y, columns[-1])))
            return found

        return time

    def at(self, axis: int, x: float) -> Grid:
        """Return the grid of the other axes at a place on one of them.

        Args:
            axis: its number; there are others.
            x: where on it.
        """
        values, table = self.axes[axis], np.moveaxis(self._table, axis, 0)
        times = table[0]
        if x > values[0] and len(values) > 1:
            i = min(bisect_right(values, x), len(values) - 1)
            share = (x - values[i - 1]) / (values[i] - values[i - 1])
            times = (1 - share) * table[i - 1] + share * table[i]
            if share > 1:
                times = np.maximum(times, table[i])
        return Grid._of([*self.axes[:axis], *self.axes[axis + 1 :]], times)

"""Checks that the readers of all formats share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gqa_lib.arguments import check_number, is_number, shown

from ..traffic import Trace


def check_margin(margin: float) -> None:
    """Refuse a margin that is no share above 0 and below 1.

    Args:
        margin: relative difference that would matter.

    Raises:
        ValueError: it is something else.
    """
    check_number(above=0, margin=margin)
    if margin >= 1:
        raise ValueError(
            f"margin={margin:g} is {100 * margin:,.4g} %: a difference that large would decide "
            "without a benchmark. Give a share, such as 0.05 for 5 %."
        )


def check_latencies(source: str, trace: Trace) -> None:
    """Refuse latencies that cannot have been measured.

    Args:
        source: the file's name.
        trace: requests, with `ttft_s` and `e2e_s` where they are known.

    Raises:
        ValueError: one is missing, negative or not finite, or a last token is before the first.
    """
    for name, values in trace.measured.items():
        wrong = ~np.isfinite(values) | (values < 0)
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{source}, request {row} of those answered: {name}={values[row]} is no time that "
                "was measured. Leave the run out, or save it again."
            )
    if {"ttft_s", "e2e_s"} <= set(trace.measured):
        first, last = trace.measured["ttft_s"], trace.measured["e2e_s"]
        wrong = last < first - 1e-6
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{source}, request {row} of those answered: its last token came after "
                f"{last[row]:g} s and its first after {first[row]:g} s. Times of the two may be in "
                "different units."
            )


def reported(source: str, figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that a file states, and refuse those that cannot be.

    Args:
        source: the file's name.
        figures: by name; what is no number is left out.

    Raises:
        ValueError: one is negative or not finite, or a count is no whole number.
    """
    found = {}
    for name, value in sorted(figures.items()):
        if not is_number(value):
            continue
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        count = name in ("completed", "failed")
        if not math.isfinite(number) or number < 0 or (count and number != int(number)):
            raise ValueError(
                f"{source}, {name}: {shown(value)} cannot have been measured. Leave the run out, "
                "or run it again."
            )
        found[name] = number
    return found


def check_entries(source: str, name: str, values: Sequence[Any]) -> None:
    """Refuse a list of requests' numbers with an entry that is none.

    Args:
        source: the file's name.
        name: of the list.
        values: an entry for each request.

    Raises:
        ValueError: one is missing, not finite, or too large for a float.
    """
    for place, value in enumerate(values):
        try:
            known = is_number(value) and math.isfinite(value)
        except OverflowError:
            known = False
        if not known:
            raise ValueError(
                f"{source}, {name}, entry {place}: {shown(value)} is no number, so that what this "
                "request was is not known. Give the file as it was written, or run it again."
            )

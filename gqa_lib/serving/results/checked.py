"""Checks that the readers of all formats share."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gqa_lib.arguments import check_number

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


def check_reported(source: str, figures: Mapping[str, float]) -> None:
    """Refuse figures that cannot be: negative or not finite.

    Args:
        source: the file's name.
        figures: by name.

    Raises:
        ValueError: one is.
    """
    for name, value in figures.items():
        if not math.isfinite(value) or value < 0:
            raise ValueError(
                f"{source}, {name}: {value} cannot have been measured. Leave the run out, or run "
                "it again."
            )

"""What a memo is written with: figures that print their label, and words without figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from string import Formatter
from typing import Literal, get_args

from gqa_lib.arguments import check_choice, check_kind, check_number

Kind = Literal["measured", "modelled", "given"]
KINDS: dict[Kind, str] = {
    "measured": "read from a record, which is named; as recorded, not measured now",
    "modelled": "computed by a formula, which is named; no run stands behind it",
    "given": "an input of this memo, or a data sheet's figure",
}
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class Record:
    """Where a measured figure was read.

    Args:
        file: the file's name.
        key: what of it: the name of a value, or the rows and what was computed from them.
        recorded: on which machine and when, as far as the file says.

    Raises:
        ValueError: one of them is empty.
    """

    file: str
    key: str
    recorded: str

    def __post_init__(self) -> None:
        for name in ("file", "key", "recorded"):
            _check_text(getattr(self, name), f"Record.{name}")

    def __str__(self) -> str:
        return f"{self.file}: {self.key}; {self.recorded}"


@dataclass(frozen=True)
class Figure:
    """A number of a memo; rendered, it has its unit, its label, and a link to its source.

    Args:
        value: the number.
        unit: after it: "ms", "tokens/s", "%", "x"; "" for a plain count.
        kind: "measured", "modelled" or "given".
        source: a Record for what was measured; else the formula, or who gave it.
        low, high: ends of its interval, where there is one.

    Raises:
        ValueError: a number is not finite, the kind is unknown, or the source does not fit it.
    """

    value: float
    unit: str
    kind: Kind
    source: Record | str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        check_number(value=self.value)
        if self.low is not None or self.high is not None:
            check_number(low=self.low, high=self.high)
        check_choice(get_args(Kind), kind=self.kind)
        if self.kind == "measured":
            how = "Give the Record it was read from, or call it modelled."
            check_kind(Record, how, source=self.source)
        else:
            _check_text(self.source, "source")

    def number(self) -> str:
        """Return the number with its unit and its interval, without its label.

        An interval that is the number itself, to as many digits, is not repeated.
        """
        text = digits(self.value)
        if self.low is not None and self.high is not None:
            low, high = digits(self.low), digits(self.high)
            text += "" if low == high == text else f" ({low} to {high})"
        glue = "" if self.unit in ("", "x") else " "
        return f"{text}{glue}{self.unit}"


@dataclass(frozen=True)
class Name:
    """What something is called: a model, a file, a machine. The only words that may have digits.

    Args:
        text: the name, as somebody wrote it; renderers escape it.
    """

    text: str

    def __post_init__(self) -> None:
        _check_text(self.text, "Name.text")


@dataclass(frozen=True)
class Words:
    """A table's cell without a number.

    Args:
        text: without digits.

    Raises:
        ValueError: there is a digit in it: it would be a number without a label.
    """

    text: str

    def __post_init__(self) -> None:
        check_no_digits(self.text)


class Prose:
    """A paragraph: words without digits, and figures and names in their places.

    Args:
        template: text with the parts' names in braces, as `str.format` takes it.
        parts: what stands there.

    Raises:
        ValueError: the template has a digit, or a place without a part.
    """

    def __init__(self, template: str, **parts: Figure | Name):
        self.template, self.parts = template, parts
        for text, place, _, _ in Formatter().parse(template):
            check_no_digits(text)
            if place is not None and place not in parts:
                raise ValueError(
                    f"{template!r} has {{{place}}}, which is not among the parts "
                    f"{', '.join(parts) or '(none)'}. Give {place}=Figure(...) or Name(...)."
                )

    def pieces(self) -> Iterator[str | Figure | Name]:
        """Yield its words and parts in order."""
        for text, place, _, _ in Formatter().parse(self.template):
            if text:
                yield text
            if place is not None:
                yield self.parts[place]

    def plain(self) -> str:
        """Return it as text for a terminal, each figure with its label."""
        return "".join(
            f"{one.number()} [{one.kind}]"
            if isinstance(one, Figure)
            else (one.text if isinstance(one, Name) else one)
            for one in self.pieces()
        )


def places(figures: Iterable[Figure]) -> Name:
    """Return on which machines and when some figures were recorded.

    Args:
        figures: measured ones.
    """
    found = (one.source.recorded for one in figures if isinstance(one.source, Record))
    return Name("; ".join(dict.fromkeys(found)))


def digits(value: float) -> str:
    """Return a number to three digits, all of those before the point."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-4 else f"{value:.2e}"


def check_no_digits(text: str) -> None:
    """Refuse words with a number in them.

    Args:
        text: of a memo.

    Raises:
        ValueError: there is a digit.
    """
    if found := _DIGIT.search(text):
        raise ValueError(
            f"{text!r} has the digit {found[0]!r}: a number of a memo says whether it was measured "
            "or modelled. Make it a Figure, or a Name if it is part of one."
        )


def _check_text(text: object, name: str) -> None:
    check_kind(str, "Say in words where it is from.", **{name: text})
    if not str(text).strip():
        raise ValueError(f"{name}='' says nothing: a reader could not check it. Say where it is.")

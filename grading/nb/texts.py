"""Texts of strangers, made fit for files, logs, databases, terminals and pages."""

import re

# a span of code, in which Markdown has no other meaning; else a character that may have one
_MARKDOWN = re.compile(
    r"(`(?:[^`$\\]|\\(?![(\[]|begin|end))+`)|(^:|:(?=/)|[]\\`*_{}[()<>#+.!|~$&=^@-])"
)


def clean(text: str) -> str:
    """Return a text that every file, database and page can hold.

    Lone surrogates become question marks, and NULs the replacement character.
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def one_line(text: str, most: int) -> str:
    """Return the first line of a text as it can be shown in a terminal.

    Args:
        text: the text.
        most: how many characters to keep.
    """
    line = next(iter(text.splitlines()), "")[:most]
    return "".join(c if c.isprintable() else "?" for c in line)


def sentence(text: str, most: int = 1000) -> str:
    """Return a text as one line that means nothing to a terminal, cut where it is longer.

    Args:
        text: the text.
        most: how many characters to keep.
    """
    line = " ".join(text[: 2 * most].split())[:most]
    return "".join(c if c.isprintable() else "?" for c in line)


def as_markdown(text: str) -> str:
    """Return Markdown that shows a text as it is, with no link, image, element or formula in it.

    Only `code` in backticks on one line stays code.
    """
    shown = (
        _MARKDOWN.sub(lambda m: m[1] or f"\\{m[2]}", line.strip()) for line in text.split("\n")
    )
    return clean("\n".join(shown))


def printable(name: str) -> str:
    """Return a file name as it can be shown: no control characters, no markup, not too long."""
    shown = "".join(c if c.isprintable() and c not in "`<>|" else "?" for c in name)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."

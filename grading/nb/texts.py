"""Texts of strangers, made fit for files, logs, databases and pages."""


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


def printable(name: str) -> str:
    """Return a file name as it can be shown: no control characters, no markup, not too long."""
    shown = "".join(c if c.isprintable() and c not in "`<>|" else "?" for c in name)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."

"""Several copies of one exercise's cell, kept as one text: nbgrader knows one cell by each name."""

import re

ANOTHER = "# ---- this cell is there once more; what follows runs next ----"
BELOW = "# ---- this cell is there once more, below its check ----"
_BETWEEN = re.compile(rf"\n\n({re.escape(ANOTHER)}|{re.escape(BELOW)})\n")


def joined(copies: list[tuple[str, bool]]) -> str:
    """Return copies of a cell as one text: each one's own, and whether it is below the check."""
    parts = [copies[0][0] if copies else ""]
    for text, is_below in copies[1:]:
        parts += ["\n\n", BELOW if is_below else ANOTHER, "\n", text]
    return "".join(parts)


def copies_in(source: str) -> list[tuple[str, bool]]:
    """Return the copies that `joined` made one text of."""
    first, *rest = _BETWEEN.split(source)
    later = zip(rest[::2], rest[1::2], strict=True)
    return [(first, False), *((text, mark == BELOW) for mark, text in later)]

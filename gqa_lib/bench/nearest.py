"""What somebody meant who made a slip of the pen."""

from collections.abc import Iterable
from difflib import get_close_matches


def meant(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean ...?" where something there is much like it, else a full stop.

    Args:
        name: what was written.
        known: what there is.
    """
    close = get_close_matches(name, list(known), n=1)
    return f": did you mean {close[0]}?" if close else "."

"""What a judge says of a cell, checked for its form by the grader: it has met a stranger's values.

A judge that such values have taken over could give its own submission any marks that its cells
have, and nothing more; so it is never given more than text and a number to say.
"""

from typing import Any

from ..student.wire import Garbled

MAX_TEXT = 20_000  # characters


def checked_verdict(said: dict) -> dict:
    """Return a judge's reply with only what a reply may hold.

    Raises:
        Garbled: it has not the form of one.
    """
    verdict: dict[str, Any] = {"out": _text(said, "out"), "error": None}
    for name in ("printed", "stopped"):
        verdict[name] = _text(said, name) if name in said else ""
    if said.get("error") is not None:
        verdict["error"] = _error(said["error"])
    if "credit" in said:
        verdict["credit"], verdict["about"] = _credit(said["credit"]), _about(said.get("about"))
    return verdict


def _text(said: dict, name: str) -> str:
    text = said.get(name)
    if type(text) is not str or len(text) > MAX_TEXT:
        raise Garbled(f"a verdict whose {name!r} is no text of at most {MAX_TEXT} characters")
    return text


def _error(said: Any) -> list[str]:
    if type(said) is not list or len(said) != 2:
        raise Garbled("a verdict whose error is not a name and a message")
    return [_text({"name": said[0]}, "name"), _text({"message": said[1]}, "message")]


def _credit(said: Any) -> float:
    if type(said) not in (int, float):  # how many there are to give, its reader knows
        raise Garbled("a verdict whose credit is not a number of points")
    return float(said)


def _about(said: Any) -> dict | None:
    if said is not None and type(said) is not dict:
        raise Garbled("a verdict that tells of its credit in another form than a table")
    return said

"""What an event of a learner's record is, and what makes it valid."""

import json
import math
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

KINDS = (
    *("check", "hint", "mark", "reset", "receipt"),
    *("hunt", "guess", "outcome", "warm-up", "draw"),
)
FIELDS = ("uid", "at", "lesson", "exercise", "kind", "score", "max_score", "detail")
_LONGEST = {"lesson": 200, "exercise": 200, "detail": 20_000}
_SURROGATE = re.compile("[\ud800-\udfff]")
_UID = re.compile(r"[0-9a-f]{32}")


def new_event(
    lesson: str,
    exercise: str,
    kind: str,
    score: float | None,
    max_score: float | None,
    detail: str,
) -> dict[str, Any]:
    """Return an event that happened now, with an id that no other has, on any machine."""
    at = datetime.now(UTC)
    values = (uuid.uuid4().hex, at.isoformat(), lesson, exercise, kind, score, max_score, detail)
    return valid_event(dict(zip(FIELDS, values, strict=True)))


def valid_event(event: Any) -> dict[str, Any]:
    """Return an event from anywhere in its one form.

    Raises:
        ValueError: it is none; the message says why.
    """
    if not isinstance(event, dict) or set(event) != set(FIELDS):
        raise ValueError(f"an event has the fields {', '.join(FIELDS)}, and no others")
    if not isinstance(event["uid"], str) or not _UID.fullmatch(event["uid"]):
        raise ValueError(f"uid is {_shown(event['uid'])}, not 32 hexadecimal digits")
    for name, longest in _LONGEST.items():
        if not isinstance(event[name], str):
            raise ValueError(f"{name} is {_shown(event[name])}, not a text")
        if not event[name].isprintable() and _SURROGATE.search(event[name]):
            raise ValueError(f"{name} is {_shown(event[name])}, which is not Unicode text")
        if len(event[name]) > longest:
            raise ValueError(f"{name} has {len(event[name])} characters; at most {longest}")
    if event["kind"] not in KINDS:
        raise ValueError(f"kind is {_shown(event['kind'])}, not one of {', '.join(KINDS)}")
    for name in ("score", "max_score"):
        if event[name] is not None and not _is_finite(event[name]):
            raise ValueError(f"{name} is {_shown(event[name])}, not a number")
    if event["kind"] == "mark" and None in (event["score"], event["max_score"]):
        raise ValueError("a mark needs a score and a max_score")
    return {name: event[name] for name in FIELDS} | {"at": _time(event["at"])}


def events_in(content: bytes) -> dict[str, dict[str, Any]]:
    """Return the valid events of a file with one a line, by id: each once, as it first stands.

    What is no event, such as a line that was cut off, is passed over.
    """
    found: dict[str, dict[str, Any]] = {}
    for line in content.splitlines():
        try:
            event = valid_event(json.loads(line))
        except (ValueError, RecursionError):
            continue
        found.setdefault(event["uid"], event)
    return found


def uid_of_old(row: dict[str, Any]) -> str:
    """Return the id of an event from when events had none: the same wherever it is computed."""
    text = repr([row[name] for name in ("id", *FIELDS[1:])])
    return uuid.uuid5(uuid.NAMESPACE_OID, text).hex


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _time(at: Any) -> str:
    """Return a time in the form that sorts as text."""
    try:
        time = datetime.fromisoformat(at).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"at is {_shown(at)}, not a time") from None
    if time > datetime.now(UTC) + timedelta(days=1):
        raise ValueError(f"at is {_shown(at)}, which is in the future: is a clock wrong?")
    return time.isoformat(timespec="milliseconds")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

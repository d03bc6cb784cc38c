"""The text of `class.toml`: every setting with a comment, those that are not set commented out."""

import json
import re
from collections.abc import Mapping
from typing import Any

_FORM = """\
# Settings of the class. A line that begins with # has no effect: to use it, remove the #.
# When a `gqa` command changes one of them, it writes this file anew, without comments of yours.

# Seed of the hidden tests. Students must not see it.
{seed}

# When each attempt at the quiz after the first was opened.
{quiz_attempts}

# Time zone of due dates that name none; without it, this machine's.
{timezone}

[late]
# What each day late, even one just begun, takes off, in percent of the points earned.
{percent_per_day}
# And what is taken off at most.
{max_percent}

[counts]
# Which of a student's hand-ins counts: "latest"; "in-time", the latest in time, or a late one where
# there is no other; or "best", of those that were graded, after the late penalty. Without it,
# lessons count the best where being late costs points and else the latest.
{lessons}
{quiz}
"""


def text_of(settings: Mapping[str, Any]) -> str:
    """Return the file's text.

    Args:
        settings: as in `class_file.ClassFile`, by name.
    """
    attempts = ", ".join(at.isoformat() for at in settings["quiz_attempts"])
    most = settings["max_percent"]
    lines = {
        "seed": _line("seed", settings["seed"], 20270115),
        "quiz_attempts": _line("quiz_attempts", f"[{attempts}]" if attempts else None, "[]"),
        "timezone": _line("timezone", _quoted(settings["timezone"]), '"Europe/Berlin"'),
        "percent_per_day": _line("percent_per_day", settings["percent_per_day"], 10),
        "max_percent": _line("max_percent", None if most == 100 else most, 100),
        "lessons": _line("lessons", _quoted(settings["lessons"]), '"latest"'),
        "quiz": _line("quiz", _quoted(settings["quiz"]), '"best"'),
    }
    tables = [
        f"\n[extensions.{_key(lesson)}]  # made by `gqa extend`\n"
        + "".join(f"{_key(student)} = {until.isoformat()}\n" for student, until in given.items())
        for lesson, given in settings["extensions"].items()
        if given
    ]
    return _FORM.format(**lines) + "".join(tables)


def _line(key: str, value: Any, example: Any) -> str:
    if value is None:
        return f"# {key} = {example}"
    return f"{key} = {value:g}" if isinstance(value, float) else f"{key} = {value}"


def _quoted(text: str | None) -> str | None:
    return json.dumps(text, ensure_ascii=False) if text else None


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)

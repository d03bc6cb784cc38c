"""When a lesson of a class is due, as its release says."""

from datetime import datetime
from pathlib import Path

from gqa_lib.course.manifest import class_release

DUE_FILE = "due.txt"  # of a class's release: a line for people, and the same in ISO's form


def due_of(assignment: str) -> datetime | None:
    """Return when an assignment is due, with its time zone; None where no release says it."""
    release = class_release(assignment)
    return read_due(release / DUE_FILE) if release else None


def read_due(file: Path) -> datetime | None:
    """Return the time in a file of a release; None if there is none."""
    try:
        with file.open(encoding="utf-8") as lines:
            at = datetime.fromisoformat(lines.read(1000).splitlines()[1])
    except (OSError, ValueError, IndexError):  # out of reach, or not one of ours
        return None
    return at if at.tzinfo else None


def shown(at: datetime) -> str:
    """Return a moment as a student reads it, in the time zone of this machine."""
    return f"{at.astimezone():%Y-%m-%d %H:%M %Z}"

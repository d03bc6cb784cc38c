"""What was handed in to a class and when: receipts, kept in the learner's record for good."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .due import due_of, shown
from .log import add

KIND = "receipt"


@dataclass(frozen=True)
class Receipt:
    """A hand-in.

    Attributes:
        assignment: its name; of a lesson, the slug.
        at: when, with a time zone.
        files: name -> sha256 of what counts in it.
        due: when it was due then; None if no release said.
    """

    assignment: str
    at: datetime
    files: Mapping[str, str] = field(default_factory=dict)
    due: datetime | None = None

    @property
    def late(self) -> bool:
        """Whether it came after the due date of everybody."""
        return self.due is not None and self.at > self.due

    def standing(self) -> str:
        """Return when it was handed in, and whether in time, in words."""
        text = f"handed in {shown(self.at)}"
        if self.due is None:
            return text
        return f"{text}, {'late: it was due' if self.late else 'in time: due'} {shown(self.due)}"

    def text(self) -> str:
        """Return it as lines to keep."""
        lines = [f"{self.assignment}: {self.standing()}"]
        if self.late:
            lines.append("If you were given more time, that counts; it is not known here.")
        lines += [f"sha256 of {name}: {digest}" for name, digest in self.files.items()]
        return "\n".join(lines)


def new_receipt(assignment: str, at: datetime, files: Mapping[str, str]) -> Receipt:
    """Return the receipt of a hand-in, with the due date as it is now.

    Args:
        assignment: its name.
        at: when it was handed in, with a time zone.
        files: name -> sha256 of what counts in it.
    """
    return Receipt(assignment, at, files, due_of(assignment))


def keep(receipt: Receipt) -> None:
    """Add a receipt to the learner's record."""
    due = receipt.due.isoformat() if receipt.due else None
    said = {"at": receipt.at.isoformat(), "files": dict(receipt.files), "due": due}
    add(receipt.assignment, "", KIND, detail=json.dumps(said))


def receipt_of(event: sqlite3.Row) -> Receipt | None:
    """Return the receipt in an event of a learner's record; None if it cannot be read."""
    try:
        said = json.loads(event["detail"])
        due = datetime.fromisoformat(said["due"]) if said["due"] else None
        at = datetime.fromisoformat(said["at"])
        files = {str(name): str(digest) for name, digest in said["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):  # changed on its way here
        return None
    return Receipt(event["lesson"], at, files, due) if at.tzinfo else None

"""A learner's record: events, and what they add up to."""

from .log import add, add_all, events, export_to, import_from, scores_of
from .store import journal, path

__all__ = ["add", "add_all", "events", "export_to", "import_from", "journal", "path", "scores_of"]

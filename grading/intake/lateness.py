"""What being late costs, by `class.toml` or nbgrader's own configuration."""

import math
from datetime import datetime, timedelta

from nbgrader.plugins import LateSubmissionPlugin
from traitlets.config import Config

from .class_file import read_class

_DAY_S = 24 * 3600


class ClassPenalty(LateSubmissionPlugin):
    """What `class.toml` says that each day late costs, and else nbgrader's own methods."""

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float | None:
        """Return the points to take off; None for none.

        Args:
            student_id: whose submission it is.
            score: the points earned.
            total_seconds_late: how late it came.
        """
        if self.penalty_method != "none":
            return super().late_submission_penalty(student_id, score, total_seconds_late)
        rule = read_class()
        if not rule.percent_per_day:
            return None
        days = math.ceil(total_seconds_late / _DAY_S)
        return score * min(days * rule.percent_per_day, rule.max_percent) / 100


def late_costs(config: Config) -> bool:
    """Return whether being late costs points, by `class.toml` or nbgrader's configuration."""
    if config.AssignLatePenalties.get("plugin_class", ClassPenalty) is not ClassPenalty:
        return True
    if config.LateSubmissionPlugin.get("penalty_method", "none") != "none":
        return True
    rule = read_class()
    return bool(rule.percent_per_day and rule.max_percent)


def which_counts(assignment: str, config: Config) -> str:
    """Return which of a student's hand-ins counts, as `ClassFile.counts` does.

    Args:
        assignment: the lesson's name in nbgrader.
        config: nbgrader's, with what the instructor's own files say.
    """
    return read_class().counts(assignment, late_costs=late_costs(config))


def seconds_late(at: datetime | None, due: datetime | None, more: timedelta | None) -> float:
    """Return how many seconds after the due date something came, 0 if it was in time.

    Args:
        at: when it came.
        due: the due date of all.
        more: what the student has beyond that.
    """
    if at is None or due is None:
        return 0.0
    return max(0.0, (at - due - (more or timedelta())).total_seconds())

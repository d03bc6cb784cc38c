"""Counts as they are shown: with names hidden, none is so small that it points at somebody."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

FEWEST = 3
_HOUR, _DAY = 3600, 86_400
_BEFORE_DUE = (  # seconds before the due date, the most first, and what is written there
    (7 * _DAY, "over a week before"),
    (3 * _DAY, "3 to 7 days before"),
    (_DAY, "1 to 3 days before"),
    (6 * _HOUR, "6 to 24 hours before"),
    (_HOUR, "1 to 6 hours before"),
    (0, "in the last hour"),
    (-_HOUR, "up to 1 hour late"),
    (-_DAY, "1 to 24 hours late"),
)
_VERY_LATE = "over a day late"
_MOST_DAYS = 14
MARKS = 10  # bars of the histogram of marks


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: what it stands for, how many, and whether it is after the due date."""

    label: str
    count: int
    late: bool = False


def counted(number: int, *, names: bool) -> str:
    """Return a number of people; without names, a small one is only said to be small."""
    return str(number) if names or number == 0 or number >= FEWEST else f"fewer than {FEWEST}"


def percent(part: float, whole: float) -> str:
    """Return a share as text, "" of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else ""


def histogram_of_marks(marks: Iterable[float], points: float) -> list[Bar]:
    """Return how many have each tenth of the points; all of them count to the last tenth.

    Args:
        marks: the points that each has.
        points: how many there are.
    """
    found = Counter(min(MARKS - 1, max(0, int(MARKS * mark / points))) for mark in marks if points)
    step = 100 // MARKS
    return [Bar(f"{n * step} to {(n + 1) * step} %", found[n]) for n in range(MARKS)]


def times_of_hand_ins(
    came: Mapping[str, datetime | None], due: datetime | None, late: Mapping[str, float]
) -> list[Bar]:
    """Return how many handed in when, relative to their due date, or by day if there is none.

    Args:
        came: when each handed in, in UTC; None counts nowhere.
        due: the due date of all, in UTC.
        late: how many seconds late those are who were, each by their own due date.
    """
    known = {student: at for student, at in came.items() if at is not None}
    if due is None:
        return _by_day(known.values())
    found: Counter[str] = Counter()
    for student, at in known.items():
        before = (due - at).total_seconds()
        if student in late:
            before = -late[student]
        elif before < 0:  # in time by an extension
            before = 0
        found[next((label for least, label in _BEFORE_DUE if before >= least), _VERY_LATE)] += 1
    labels = [(label, least < 0) for least, label in _BEFORE_DUE] + [(_VERY_LATE, True)]
    return [Bar(label, found[label], is_late) for label, is_late in labels]


def _by_day(times: Iterable[datetime]) -> list[Bar]:
    days = Counter(at.replace(tzinfo=UTC).astimezone().date() for at in times)
    shown = sorted(days)[-_MOST_DAYS:]
    earlier = sum(count for day, count in days.items() if day not in shown)
    bars = [Bar("earlier", earlier)] if earlier else []
    return bars + [Bar(f"{day:%a} {day.day} {day:%b}", days[day]) for day in shown]

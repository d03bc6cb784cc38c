"""What needs a person: of each lesson, what went wrong with whom and what to type.

`gqa grade` prints it at its end, and it is kept in `needs-you.txt` among the records. It is made
anew from what holds: what was mended is gone from it.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file
from grading.nb.texts import printable, sentence

from .counting import counted
from .standing import ClassStanding, Standing

FILE = "needs-you.txt"
SHOWN = 5  # in the terminal, of those with the same need
_AT_ONCE = 10  # ids in a command; of more, the command is for all
_THESE = " --students IDS"  # in a command, where the ids go


@dataclass(frozen=True)
class Need:
    """What needs a person.

    Attributes:
        kind: what is counted: "hand-in" or "student".
        what: what is the matter with them.
        do: what to type, or whom to ask.
        who: ids, or names of hand-ins, and why; "" where `what` says it.
    """

    kind: str
    what: str
    do: str
    who: Mapping[str, str]

    def line(self, *, names: bool = True) -> str:
        """Return it in a line; without names, no id is in it and no count below 3."""
        some = " --students " + ",".join(shlex.quote(printable(one)) for one in self.who)
        do = self.do.replace(_THESE, some if names and len(self.who) <= _AT_ONCE else "")
        number = counted(len(self.who), names=names)
        return f"{number} {self.kind}{'' if number == '1' else 's'} {self.what}: {do}"


def needs_of(one: Standing) -> list[Need]:
    """Return what needs a person in a lesson."""
    found = (*_of_hand_ins(one), *_of_marks(one), *_of_class(one))
    return [need for need in found if need.who]


def _of_hand_ins(one: Standing) -> tuple[Need, ...]:
    number = one.lesson.number
    refused = one.troubles.not_collected | _not_looked_at(one)
    again = f"ask for another (`gqa submit {number}`), then `gqa grade {number} --collect`"
    grade = f"`gqa grade {number}`"
    return (
        Need("hand-in", "not collected", again, refused),
        Need("hand-in", "not graded: the machine failed", grade, one.troubles.failed),
        Need("hand-in", "collected and not graded yet", grade, _not_graded(one)),
    )


def _of_marks(one: Standing) -> tuple[Need, ...]:
    regrade = f"gqa grade {one.lesson.number}{_THESE} --all"
    return (
        Need(
            "student",
            "with 0 points for a technical reason",
            "look in Formgrader (`gqa lab --role instructor`); if it was not their doing, mend "
            f"it, then `{regrade}`",
            one.technical,
        ),
        Need(
            "student",
            "with answers that a person marks",
            "Formgrader, Manual Grading (`gqa lab --role instructor`)",
            {student: ", ".join(cells) for student, cells in one.waiting.items()},
        ),
        Need("student", "without up-to-date feedback", f"`{regrade} --feedback`", one.feedback),
    )


def _of_class(one: Standing) -> tuple[Need, ...]:
    return (
        Need(
            "student",
            "not on the roster",
            "`gqa roster FILE` with them in it, or `nbgrader db student remove ID`",
            not_on_roster(one),
        ),
        Need(
            "student",
            "late without a penalty",
            "if that is meant, leave it; else set `percent_per_day` in class.toml, or `gqa extend`",
            {} if one.penalised else lateness(one),
        ),
    )


def _not_looked_at(one: Standing) -> dict[str, str]:
    return {
        name: f"{count} older hand-ins were not looked at, only the newest"
        for name, count in one.troubles.older.items()
    }


def _not_graded(one: Standing) -> dict[str, str]:
    return dict.fromkeys((s for s in one.not_graded if s not in one.troubles.failed), "")


def not_on_roster(one: Standing) -> dict[str, str]:
    """Return who is not on the roster, with the id there that differs only by case."""
    return {
        student: f"the roster has {printable(like)}" if like else ""
        for student, like in one.off_roster.items()
    }


def lateness(one: Standing) -> dict[str, str]:
    """Return who handed in a lesson late, and by how much: the latest first."""
    late = sorted(one.late.items(), key=lambda found: -found[1])
    return {student: f"{duration(seconds)} late" for student, seconds in late}


def duration(seconds: float) -> str:
    """Return a time as people say it: minutes, hours or days."""
    for unit, length in (("day", 86_400), ("hour", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"


def as_lines(needs: Iterable[Need], most: int | None = None, *, names: bool = True) -> list[str]:
    """Return needs as text for a terminal.

    Args:
        needs: of one lesson.
        most: how many are named of those with the same need: all unless given, 0 for nobody.
        names: whether to say who it is, and why.
    """
    lines = []
    for need in needs:
        lines.append(f"  {need.line(names=names)}")
        if names:
            who = list(need.who.items())
            lines += [
                f"    {printable(one)}{why and f': {sentence(why)}'}" for one, why in who[:most]
            ]
            if most and len(who) > most:
                lines.append(f"    and {len(who) - len(who[:most])} more")
    return lines


def keep_queue(found: ClassStanding) -> tuple[Path, dict[str, list[Need]]]:
    """Write what needs a person in any lesson to its file; return that, and slug -> needs."""
    needs = {one.lesson.slug: needs_of(one) for one in found.lessons}
    lines: list[str] = []
    for one in found.lessons:
        if needs[one.lesson.slug]:
            lines += [one.lesson.slug, *as_lines(needs[one.lesson.slug]), ""]
    path = make_private(places.home()) / FILE
    text = "\n".join(lines) or "Nothing needs you.\n"
    replace_file(path, text, mode=0o600)
    return path, needs

"""What `gqa export --into` did to a file, as a person reads it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from grading.classroom.export import Mark
from grading.nb.texts import printable, sentence

_TOLD = 10  # names in a list


@dataclass
class Filled:
    """What was entered, by lesson, and what was not.

    Attributes:
        path: the platform's file.
        out: the file with the marks.
        platform: which it was recognised as.
        columns: lesson -> the name of its column.
        new: lessons whose columns were added.
        about_new: a sentence on what the platform makes of an added column.
        students: how many of ours have a row.
        without_row: students with marks who have none.
        strangers: rows of nobody that the gradebook knows, left as they are.
        conflicts: rows whose cells name two students, left as they are.
        twice: students with more than one row.
        excused: rows that Canvas excuses, left as they are.
        off: students who are in no roster.
    """

    path: Path
    out: Path
    platform: str
    columns: dict[str, str] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    about_new: str = ""
    students: int = 0
    without_row: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)
    off: frozenset[str] = frozenset()
    marks: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    other_points: dict[str, tuple[float, float]] = field(default_factory=dict)

    def entered(self, lesson: str, before: str, mark: Mark) -> None:
        """Count a mark that was entered.

        Args:
            lesson: whose mark it is.
            before: what the cell said.
            mark: what it says now.
        """
        self.marks[lesson] += 1
        self.waiting[lesson] += mark.needs_manual_grade
        try:
            was = float(before.replace(",", "."))
        except ValueError:  # empty, or a word of the platform's
            return
        self.changed[lesson] += abs(was - mark.score) > 0.005  # platforms show two digits

    def compare_points(self, lesson: str, ours: float, theirs: float | None) -> None:
        """Note a column that does not have its lesson's points.

        Args:
            lesson: the lesson.
            ours: its points.
            theirs: the column's, if that is known.
        """
        if theirs is not None and abs(ours - theirs) > 0.005:
            self.other_points[lesson] = ours, theirs

    def __str__(self) -> str:
        """Return it as text for the terminal."""
        lines = [f"{self.path} is a file of {self.platform}. Written: {self.out}"]
        lines += [self._about(lesson) for lesson in self.columns]
        if not self.columns:
            lines.append("No lesson has marks yet: nothing was entered.")
        if self.new and self.about_new:
            lines.append(self.about_new)
        for lesson, (ours, theirs) in self.other_points.items():
            lines.append(
                f"Warning: {lesson} has {ours:.10g} points here and {theirs:.10g} there. The marks "
                "are entered as they are: correct the points there."
            )
        lines.append(f"Students with a row: {self.students}.")
        shown = [f"{one} (in no roster)" if one in self.off else one for one in self.without_row]
        for what, names in (
            ("With marks and without a row", shown),
            ("Rows of nobody in the gradebook, left as they are", self.strangers),
            ("Rows left as they are", self.conflicts),
            ("More than one row each, all filled", self.twice),
            ("Excused there, left so", self.excused),
        ):
            if names:
                lines.append(f"{what}: {_listed(names)}.")
        return "\n".join(lines)

    def _about(self, lesson: str) -> str:
        column = printable(self.columns[lesson])
        said = (
            f"  {lesson}: {self.marks[lesson]} marks in {'new ' * (lesson in self.new)}{column!r}"
        )
        if self.changed[lesson]:
            said += f", {self.changed[lesson]} other than before"
        if self.waiting[lesson]:
            said += f", {self.waiting[lesson]} that wait for a person"
        return said


def _listed(names: Iterable[str]) -> str:
    names = [sentence(name, 200) for name in names]
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return "; ".join(names[:_TOLD]) + more

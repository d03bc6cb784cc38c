"""Finds out which cells of a submitted notebook are answers, and which are the learner's own.

A cell is known by the id that nbgrader gave it. Some platforms strip that: then an answer is known
by the functions that it defines, and a cell of the lesson by its text.
"""

import re
from dataclasses import dataclass, field, replace

from nbformat import NotebookNode
from nbgrader.utils import is_task

from grading.nb.cells import grade_id, is_graded, is_solution, known_id
from grading.nb.copies import joined

_ASKS_THE_COURSE = re.compile(  # a line without space at its ends
    r"#.*|%load_ext.*|(?:from|import) gqa_lib[^;]*"
    r"|(?:hint|submit|check|check_quiz|show_quiz|show_map|wrap_up|warm_up|guess|outcome)\([^;]*\)|"
)
_DEFINES = re.compile(r"^(?:(?:async )?def|class) +(\w+)", re.MULTILINE)
_ASSIGNS = re.compile(r"^(\w+) *=(?!=)", re.MULTILINE)


@dataclass(frozen=True)
class Copy:
    """One cell of a submitted notebook that stands for a released one."""

    text: str
    kind: str
    place: int


@dataclass
class Sorted:
    """The cells of a submitted notebook.

    `copies` are those of each exercise or task by its name, in the notebook's order; `checks` are
    the places of each graded cell's; `own` are the learner's own, each with the place of the
    released cell that it comes after, and among them copies of an answer below its check. `by_name`
    are the exercises that had lost their id, and `edited` the lesson's own locked cells that were
    changed. `stubs` are the texts of the exercises' cells as they were given out.
    """

    copies: dict[str, list[Copy]] = field(default_factory=dict)
    checks: dict[str, list[int]] = field(default_factory=dict)
    own: list[tuple[int, str]] = field(default_factory=list)
    by_name: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    stubs: set[str] = field(default_factory=set)

    def is_written(self, name: str) -> bool:
        """Return whether the learner wrote into some cell of an exercise."""
        texts = [same_text(c.text) for c in self.copies[name]]
        return any(text.strip() and text not in self.stubs for text in texts)

    def defines(self, stub: str) -> bool:
        """Return whether some cell of code defines all that a released cell of code does."""
        texts = [c.text for copies in self.copies.values() for c in copies if c.kind == "code"]
        texts += [text for _, text in self.own]
        written = [text for text in texts if same_text(text) not in self.stubs]
        defined = {name for text in written for name in _names_of(text)}
        return bool(names := set(_names_of(stub))) and names <= defined


def sort_cells(submitted: NotebookNode, released: NotebookNode) -> Sorted:
    """Return what each cell of a submitted notebook is.

    Args:
        submitted: the learner's notebook.
        released: the notebook as it was given out.
    """
    sorting = _Sorting(submitted, released)
    for place, cell in enumerate(submitted.cells):
        if isinstance(cell.get("source"), str):
            sorting.take(place, cell)
    return sorting.found


class _Sorting:
    def __init__(self, submitted: NotebookNode, released: NotebookNode):
        self.released = released.cells
        self.by_id = {known_id(c): n for n, c in enumerate(released.cells) if grade_id(c)}
        self.by_text = {(c.cell_type, same_text(c.source)): n for n, c in enumerate(released.cells)}
        exercises = [c for c in released.cells if c.cell_type == "code" and is_solution(c)]
        self.found = Sorted(stubs={same_text(cell.source) for cell in exercises})
        claimed = {claimed_id(cell) for cell in submitted.cells}
        written = {claimed_id(cell) for cell in submitted.cells if self._says_more(cell)}
        self.lost: dict[str, str] = {}  # a name that only its answer defines: the exercise
        self.untouched: dict[str, str] = {}
        for cell in exercises:
            if (exercise := known_id(cell)) not in claimed:
                self.lost |= dict.fromkeys(_names_of(cell.source), exercise)
            elif exercise not in written:
                self.untouched |= dict.fromkeys(_DEFINES.findall(cell.source), exercise)
        for name, place in self.by_id.items():
            kept = self.found.checks if self._is_check(place) else self.found.copies
            kept[name] = []
        self.checks = checks_of(released)
        self.after = -1  # the place of the last cell that the release has, too

    def take(self, place: int, cell: NotebookNode) -> None:
        """Sort one cell."""
        claim, text = claimed_id(cell), cell.source
        known = self.by_id.get(claim or "")
        if known is None:
            known = self.by_text.get((cell.cell_type, same_text(text)))
        if known is None and cell.cell_type == "code":
            known = self._by_name(text)
        if known is None:
            self._own(cell)
            return
        there = self.released[known]
        name = grade_id(there)
        if name in self.checks and self._is_done(name):
            self.found.copies[name].append(Copy(text, cell.cell_type, place))
            if cell.cell_type == "code" and same_text(text) != same_text(there.source):
                self.found.own.append((self.after, text))
            return
        self.after = known
        if name is None:
            return
        if self._is_check(known):
            self.found.checks[name].append(place)
            if set(_DEFINES.findall(text)) - set(_DEFINES.findall(there.source)):
                self.found.edited.append(name)
                self.found.own.append((known - 1, text))
        elif is_solution(there) or is_task(there):
            self.found.copies[name].append(Copy(text, cell.cell_type, place))
        elif same_text(text) != same_text(there.source) and cell.cell_type == "code":
            self.found.edited.append(name)
            self.found.own.append((known, text))

    def _says_more(self, cell: NotebookNode) -> bool:
        text = same_text(cell.get("source") or "")
        return text not in self.found.stubs and not _is_comment(text)

    def _is_done(self, name: str) -> bool:
        """Return whether an exercise was answered and checked above: this is a later copy."""
        return bool(self.found.copies[name] and self.found.checks[self.checks[name]])

    def _is_check(self, place: int) -> bool:
        cell = self.released[place]
        return is_graded(cell) and not is_solution(cell) and not is_task(cell)

    def _by_name(self, text: str) -> int | None:
        """Return the place of the exercise that a cell without its id answers.

        Its own cell is gone, or is there as it was given out.
        """
        exercises = [self.lost[name] for name in _names_of(text) if name in self.lost]
        if not exercises:
            untouched = [self.untouched[n] for n in _DEFINES.findall(text) if n in self.untouched]
            return self.by_id[untouched[0]] if untouched else None
        if exercises[0] not in self.found.by_name:
            self.found.by_name.append(exercises[0])
        return self.by_id[exercises[0]]

    def _own(self, cell: NotebookNode) -> None:
        is_work = self.after >= 0 and is_task(self.released[self.after])
        if cell.cell_type == "code" and not is_work and not only_asks(cell.source):
            self.found.own.append((self.after, cell.source))


def checks_of(released: NotebookNode) -> dict[str, str]:
    """Return exercise -> the next check below it."""
    checks: dict[str, str] = {}
    waiting: list[str] = []
    for cell in released.cells:
        if is_solution(cell):
            waiting.append(known_id(cell))
        elif is_graded(cell):
            checks |= dict.fromkeys(waiting, known_id(cell))
            waiting = []
    return checks


def claimed_id(cell: NotebookNode) -> str | None:
    """Return the nbgrader id that a submitted cell gives itself, if it is one with a text."""
    ours = cell.metadata.get("nbgrader") if isinstance(cell.get("metadata"), dict) else None
    name = ours.get("grade_id") if isinstance(ours, dict) else None
    return name if isinstance(name, str) and isinstance(cell.get("source"), str) else None


def same_text(source: str) -> str:
    """Return a text as it is compared: editors change its line ends, and the space at its end."""
    return source.replace("\r\n", "\n").rstrip()


def only_asks(source: str) -> bool:
    """Return whether a cell only asks the course for something, such as a hint."""
    if source.startswith("%%ask"):
        return True
    return all(_ASKS_THE_COURSE.fullmatch(line.strip()) for line in source.split("\n"))


def _names_of(source: str) -> list[str]:
    return _DEFINES.findall(source) or _ASSIGNS.findall(source)


def answer_of(
    released: NotebookNode, copies: list[Copy], check: int | None
) -> tuple[str, list[str]]:
    """Return the text that counts as the answer in a released cell, and notes on that.

    A cell of code runs as the notebook does, from top to bottom: all its copies in their order.
    What is not code never runs, and what is only comments or the untouched stub answers nothing,
    unless there is no other. Of copies of a written text the last one counts.

    Args:
        released: the cell.
        copies: of it, in the notebook's order.
        check: the place of its check in the submitted notebook.
    """
    name, stub = known_id(released), released.source
    if not copies:
        return stub, [f"The exercise cell {name} is gone; it counts as not answered."]
    written = [c for c in copies if c.text.strip() and same_text(c.text) != same_text(stub)]
    alike = [c for c in written if c.kind == released.cell_type]
    if released.cell_type != "code":
        chosen = (alike or written)[-1:]
    else:
        chosen = [c for c in alike if not _is_comment(c.text)] or alike[-1:] or written[-1:]
    if released.cell_type == "code":
        chosen = [c if c.kind == "code" else replace(c, text=_unfenced(c.text)) for c in chosen]
    texts = _whole([(c.text, check is not None and c.place > check) for c in chosen])
    return joined(texts) if texts else stub, _notes(name, released.cell_type, copies, chosen)


def _notes(name: str, kind: str, copies: list[Copy], chosen: list[Copy]) -> list[str]:
    notes = []
    if len(copies) > 1:
        how = "the last counts" if kind != "code" else "those with code in them run in their order"
        notes.append(f"The exercise cell {name} is there {len(copies)} times; {how}.")
    if any(c.kind != kind for c in chosen):
        notes.append(f"The exercise cell {name} is no {kind} cell any more; its text counts.")
    return notes


def _unfenced(text: str) -> str:
    """Return code in a cell of text without the fence that Markdown has around it."""
    fenced = re.fullmatch(r"\s*```[^\n]*\n(.*?)\n?```\s*", text, re.DOTALL)
    return fenced[1] if fenced else text


def _is_comment(text: str) -> bool:
    return all(line.lstrip().startswith("#") for line in text.split("\n") if line.strip())


def _whole(copies: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Return copies with those put together that were cut inside of a function."""
    whole: list[tuple[str, bool]] = []
    for text, is_below in copies:
        if whole and text.lstrip("\n")[:1] in (" ", "\t"):
            whole[-1] = (f"{whole[-1][0]}\n{text}", whole[-1][1])
        else:
            whole.append((text, is_below))
    return whole

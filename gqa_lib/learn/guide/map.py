"""The map of the course: as text for `gqa map`, as Markdown with a drawing for JupyterLab."""

from collections.abc import Iterable

from gqa_lib.course.files import replace_file
from gqa_lib.course.manifest import Planned, lessons, outline, planned_lessons, terms
from gqa_lib.course.places import work
from gqa_lib.learn.progress.standing import Standing, next_lesson, standings
from gqa_lib.learn.progress.sync import sync_in_passing
from gqa_lib.learn.show import show

from .feedback import LATEST, latest_feedback
from .predictions import calibration, predictions

_SIGNS = {"done": "✓", "begun": "…", "open": "○"}
_PLANNED, _PLANNED_SIGN = "planned, not written yet", "·"
_LOOK = (
    '%%{init: {"flowchart": {"rankSpacing": 28, "nodeSpacing": 28, "wrappingWidth": 120, '
    '"padding": 8, "subGraphTitleMargin": {"top": 4, "bottom": 10}}}}%%'
)
_FILLS = {"done": "#0072b2", "begun": "#f0e442", "open": "#f2f2f2"}
_STYLES = (  # each fill with a text colour of its own: legible in a dark theme, too
    *(
        f"classDef {state}{name} fill:{fill},color:{'#ffffff' if state == 'done' else '#000000'},"
        f"{border}"
        for state, fill in _FILLS.items()
        for name, border in (
            ("", "stroke:#767676"),
            ("Next", "stroke:#d55e00,stroke-width:4px"),
        )
    ),
    "classDef planned fill:#ffffff,color:#595959,stroke:#767676,stroke-dasharray:5 4",
)
_PAGE_NOTE = (
    "*This page is rewritten when the course is opened and when you submit, and read again when "
    "you come back to this tab. `show_map()` in a cell shows where you stand now.*"
)


def lesson_map() -> str:
    """Return the map of the course as text, with the learner's record next to each lesson."""
    everything = standings()
    following = next_lesson(everything)
    by_number = {one.lesson.number: one for one in everything}
    lines, part = [], None
    for lesson in outline():
        if lesson.part != part:
            part = lesson.part
            lines += ["", part]
        if isinstance(lesson, Planned):
            lines.append(f"{_PLANNED_SIGN} {lesson.number}  {lesson.title:<40} {_PLANNED}")
            continue
        one = by_number[lesson.number]
        sign = "→" if one is following else _SIGNS[_state(one)]
        title, minutes = f"{lesson.title:<30}", f"{lesson.minutes:>3} min"
        lines.append(f"{sign} {lesson.number}  {title} {minutes}   {one.told()}")
    lines += ["", _total(everything), *_predicted()]
    if following:
        lines.append(
            f"Next: {following.lesson.name}. `gqa lab {following.lesson.number}` opens it."
        )
    return "\n".join(lines).lstrip("\n")


def course_map(*, start: str = "../") -> str:
    """Return the map as Markdown: a drawing (Mermaid), a table with links, the key terms.

    Args:
        start: the way to the folder of all lessons; the default is from within a lesson.
    """
    everything = standings()
    following = next_lesson(everything)
    heading = (
        f"**Next: [{following.lesson.name}]({following.lesson.link(start=start)})**"
        if following
        else "**You are done:** every lesson is finished."
    )
    return "\n\n".join(
        [
            " · ".join([heading, _total(everything), *_predicted()]),
            _drawing(everything, following),
            _table(everything, following, start),
            _terms(start),
        ]
    )


def show_map() -> None:
    """Show the map as it is now; run the cell again to update it."""
    show(course_map(), text=lesson_map())


def write_map() -> None:
    """Write the map into the learner's folder, where JupyterLab shows it as a page."""
    page = f"# The map\n\n{course_map(start='')}\n\n{_PAGE_NOTE}\n"
    replace_file(work() / "map.md", page)


def write_joined_map() -> list[str]:
    """Join progress with that of other machines, if any, and write the map; return what is new."""
    said = sync_in_passing()
    write_map()
    return [said] if said else []


def _state(one: Standing) -> str:
    return "done" if one.done else "begun" if one.begun else "open"


def _total(everything: list[Standing]) -> str:
    done = [one for one in everything if one.done]
    points = sum(one.best_mark[0] for one in everything if one.best_mark)
    there = sum(one.lesson.points for one in everything)
    left = sum(one.lesson.minutes for one in everything if not one.done)
    hours = f"{left / 60:.0f} hours" if left >= 90 else f"{left} minutes"
    rest = f", about {hours} of work to go" if left else ""
    return f"{len(done)} of {len(everything)} lessons done, {points:g} of {there:g} points{rest}"


def _predicted() -> list[str]:
    """Return how near the learner's predictions came, in a line, or nothing."""
    near = calibration(predictions())
    return [f"Predictions: {near}"] if near else []


def _drawing(everything: list[Standing], following: Standing | None) -> str:
    """Return the lessons, a row for each part, with an arrow from each to those that need it.

    Rows hold together only while no arrow leaves them, so the arrow to a lesson of another part is
    drawn from row to row; the table has them all. What is planned in a part is one dashed box.
    """
    about = "; ".join(f"{one.lesson.name}: {one.told()}" for one in everything)
    parts = list(dict.fromkeys(lesson.part for lesson in outline()))
    row = {lesson.number: parts.index(lesson.part) for lesson in lessons()}
    planned = {part: [p for p in planned_lessons() if p.part == part] for part in parts}
    about += "".join(f"; {one.name}: {_PLANNED}" for one in planned_lessons())
    lines = ["```mermaid", _LOOK, "flowchart TB", "accTitle: The lessons of the course"]
    lines.append(f"accDescr: {about}")
    for place, part in enumerate(parts):
        lines += [f'subgraph P{place}["{part}"]', "direction LR"]
        written = [one for one in everything if one.lesson.part == part]
        lines += [_node(one, one is following) for one in written]
        lines += _planned_node(planned[part], after=written)
        lines += ["end", f"style P{place} fill:none,stroke:#767676,color:#767676"]
    arrows = {
        f"L{a} --> L{b}" if row[a] == row[b] else f"P{row[a]} --> P{row[b]}" for a, b in _needed()
    }
    ways = [f"P{place - 1} -.-> P{place}" for place in _around_planned(parts, row.values())]
    return "\n".join([*lines, *sorted(arrows), *ways, *_STYLES, "```"])


def _node(one: Standing, following: bool) -> str:
    state, lesson = _state(one), one.lesson
    head = f"{_SIGNS[state]} {int(lesson.number)}{' · next' if following else ''}"
    label = f"{head}<br/>{lesson.title}<br/>{lesson.minutes} min"
    kind = f"{state}Next" if following else state
    return f'L{lesson.number}["{label}"]:::{kind}'


def _planned_node(planned: list[Planned], after: list[Standing]) -> list[str]:
    """Return the lines of the box for a part's planned lessons, after those that are written."""
    if not planned:
        return []
    first, last = planned[0], planned[-1]
    said = f"{int(first.number)}<br/>{first.title}"
    if first != last:  # their titles are in the table
        numbers = [int(one.number) for one in planned]
        together = len(numbers) == numbers[-1] - numbers[0] + 1
        between = [numbers[0], numbers[-1]] if together else numbers
        said = (" to " if together else " and ").join(map(str, between))
    box = f"F{first.number}"
    lines = [f'{box}["{said}<br/>planned"]:::planned']
    return [*lines, *(f"L{one.lesson.number} -.-> {box}" for one in after[-1:])]


def _around_planned(parts: list[str], written: Iterable[int]) -> list[int]:
    """Return the rows to draw a dotted arrow to: those with planned lessons alone, and the next."""
    bare = set(range(1, len(parts))) - set(written)
    return sorted({place for one in bare for place in (one, one + 1) if place < len(parts)})


def _needed() -> list[tuple[str, str]]:
    """Return (lesson, one that needs it) pairs, without those that others imply."""
    needs = {lesson.number: set(lesson.prerequisites) for lesson in lessons()}
    implied: dict[str, set[str]] = {}  # lesson -> all that comes before it
    for number in needs:
        implied[number] = needs[number].union(*(implied[n] for n in needs[number]))
    return [
        (before, number)
        for number, direct in needs.items()
        for before in sorted(direct)
        if not any(before in implied[other] for other in direct)
    ]


def _table(everything: list[Standing], following: Standing | None, start: str) -> str:
    rows = [
        "| | lesson | needs | minutes | points | where you stand |",
        "|---|---|---|--:|--:|---|",
    ]
    by_number = {one.lesson.number: one for one in everything}
    for lesson in outline():
        if isinstance(lesson, Planned):
            rows.append(f"| {_PLANNED_SIGN} | {lesson.name} | | | | {_PLANNED} |")
            continue
        one = by_number[lesson.number]
        mark = " · **next**" if one is following else ""
        rows.append(
            f"| {_SIGNS[_state(one)]} | [{lesson.name}]({lesson.link(start=start)}) "
            f"| {', '.join(lesson.prerequisites)} | {lesson.minutes} | {lesson.points} "
            f"| {one.told()}{_feedback(one, start)}{mark} |"
        )
    return "\n".join(rows)


def _feedback(one: Standing, start: str) -> str:
    """Return a link to the newest feedback on a lesson, or ""."""
    page = latest_feedback(one.lesson)
    return f" · [feedback]({start}{one.lesson.slug}/{LATEST})" if page else ""


def _terms(start: str) -> str:
    rows = ["| term | in one sentence | explained in |", "|---|---|---|"]
    for term in sorted(terms().values(), key=lambda term: term.name.lower()):
        link = f"[{term.lesson.name}]({term.lesson.link(term.section, start=start)})"
        rows.append(f"| **{term.name}** | {term.means} | {link} |")
    table = "\n".join(rows)
    return f"<details><summary>All key terms, from A to Z</summary>\n\n{table}\n\n</details>"

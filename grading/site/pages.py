"""The pages of the site that are not notebooks, as MyST Markdown made from the course's files."""

import html
from collections.abc import Iterator

from gqa_lib import bench
from gqa_lib.course.manifest import (
    Lesson,
    Planned,
    Term,
    anchor_of,
    lessons,
    outline,
    planned_lessons,
    terms,
)
from gqa_lib.records import read, recorded
from gqa_lib.records.report import report
from grading.pages.markup import inline_code

from ..quiz.bank import CLAIMS, BankQuestion, load_bank
from .front import first_page
from .reference import PACKAGES


def home() -> str:
    """Return the first page, which also says how the site hangs together."""
    return first_page(course_cards(), "\n\n".join(_contents()))


def map_page() -> str:
    """Return the map of the course: the drawing and a table."""
    rows = ["| | lesson | minutes | needs | what it tests |", "|--|--|--:|--|--|"]
    rows += [_row(one) for one in outline()]
    table = "\n".join(rows)
    hours = sum(one.minutes for one in lessons()) / 60
    more = len(planned_lessons())
    said = f"; {more} more {'is' if more == 1 else 'are'} planned, not written yet" if more else ""
    return (
        f"# The map\n\n{course_cards()}\n\n## All lessons\n\n{table}\n\n"
        f"{len(lessons())} lessons, about {hours:.0f} hours{said}.\n"
    )


def _row(one: Lesson | Planned) -> str:
    if isinstance(one, Planned):
        return f"| {one.number} | {one.title} | planned | | {one.claim} |"
    needs = ", ".join(one.prerequisites)
    return f"| {one.number} | {link(one)} | {one.minutes} | {needs} | {one.claim} |"


def course_cards() -> str:
    """Return the lessons as HTML: a row of cards for each part, in the order of the course."""
    rows = []
    for part in dict.fromkeys(one.part for one in outline()):
        cards = "".join(_card(one) for one in outline() if one.part == part)
        title = f'<p class="map-part">{html.escape(part)}</p>'
        rows.append(f'{title}<ol class="map-row">{cards}</ol>')
    return f'<div class="map">{"".join(rows)}</div>'


def _card(lesson: Lesson | Planned) -> str:
    if isinstance(lesson, Planned):
        return (
            f'<li><div class="map-planned"><span class="map-number">{int(lesson.number)}</span>'
            f'<span class="map-title">{html.escape(lesson.title)}</span>'
            '<span class="map-note">planned,<br>not written yet</span></div></li>'
        )
    needs = [str(int(number)) for number in lesson.prerequisites]
    after = f"after {_spoken(needs)}" if needs else "begin here"
    return (
        f'<li><a class="map-card" href="{_page(lesson)}.html">'
        f'<span class="map-number">{int(lesson.number)}</span>'
        f'<span class="map-title">{html.escape(lesson.title)}</span>'
        f'<span class="map-note">{lesson.minutes} minutes<br>{after}</span></a></li>'
    )


def _spoken(numbers: list[str]) -> str:
    if len(numbers) > 3:
        return f"{numbers[0]} to {numbers[-1]}"
    return " and ".join(filter(None, [", ".join(numbers[:-1]), numbers[-1]]))


def glossary() -> str:
    """Return the glossary: every key term, what it means, and where."""
    entries = [_entry(terms()[name]) for name in sorted(terms(), key=str.lower)]
    body = "\n\n".join(entries)
    return f"# Glossary\n\n::::{{glossary}}\n{body}\n::::\n"


def _entry(term: Term) -> str:
    lines = [term.means[0].upper() + term.means[1:]]
    lines.append(f"Explained in {link(term.lesson, term.section)}.")
    also = [one for one in lessons() if term.name in one.key_terms and one != term.lesson]
    if also:
        lines.append(f"Also in {', '.join(map(link, also))}.")
    return f"{term.name}\n  {' '.join(lines)}"


def questions() -> str:
    """Return the quiz bank without its answers, by claim."""
    parts = [
        "# Questions to test yourself\n\nThe bank that the quiz is drawn from. Answer first, with "
        "paper where you like, then open the lesson that explains it. Answers are not here: the "
        "quiz is graded, and its feedback explains every option."
    ]
    for claim, title in CLAIMS.items():
        asked = [one for one in load_bank() if one.claim == claim]
        parts += [f"## {title}", *(_question(one) for one in asked)]
    return "\n\n".join(parts) + "\n"


def _question(one: BankQuestion) -> str:
    options = "".join(f"<li>{inline_code(option.text)}</li>" for option in one.options)
    (lesson,) = (lesson for lesson in outline() if lesson.number == one.lesson)
    where = (
        f"Its lesson, {lesson.name}, is planned, not written yet."
        if isinstance(lesson, Planned)
        else f"Explained in {link(lesson)}."
    )
    stem = f'<p><span class="question-id">{one.id}</span> {inline_code(one.stem)}</p>'
    return f'<div class="question">{stem}<ol type="A">{options}</ol>\n\n{where}\n\n</div>'


def benchmarks(findings: dict[str, str]) -> str:
    """Return the page above the benchmarks.

    Args:
        findings: name -> what it found in the run shown, "" if it was not run.
    """
    rows = ["| benchmark | what it found here |", "|--|--|"]
    rows += [f"| [{name}](benchmarks/{name}.ipynb) | {said} |" for name, said in findings.items()]
    table = "\n".join(rows)
    return (
        "# Benchmarks\n\nEach states what it expects before it measures. They were run at their "
        "defaults on one machine, named on each page; [recorded runs](records.md) are kept from "
        f"others.\n\n{table}\n"
    )


def recorded_page() -> str:
    """Return the runs kept from other machines, each labelled as recorded."""
    parts = [
        "# Recorded runs\n\nNothing here was measured for this site: these runs are kept from "
        "other machines, each with its machine and its date."
    ]
    for path in reversed(recorded()):
        parts.append(f"## {path.stem}\n\nRecorded, not measured now.\n\n```text\n")
        parts[-1] += report(read(path)) + "\n```"
    if not recorded():
        parts.append("No run has been kept yet; `gqa_lib/records/README.md` says how one is made.")
    return "\n\n".join(parts) + "\n"


def link(lesson: Lesson, section: str = "") -> str:
    """Return a Markdown link from a page at the top to a lesson, or to a section of it."""
    anchor = f"#{anchor_of(section)}" if section else ""
    return f"[{lesson.name}](<{_page(lesson)}.ipynb{anchor}>)"


def _page(lesson: Lesson) -> str:
    return f"lessons/{lesson.slug}/{lesson.slug}"


def _contents() -> Iterator[str]:
    for part in dict.fromkeys(one.part for one in lessons()):
        pages = [f"{one.name} <{_page(one)}>" for one in lessons() if one.part == part]
        yield _toctree(part, pages)
    measured = [f"benchmarks/{name}" for name in bench.benchmarks()]
    yield _toctree("Measure", ["benchmarks", *measured, "records"])
    yield _toctree("Look up", ["anywhere", "map", "glossary", "questions"])
    packages = [f"{name} <reference/{name}>" for name in PACKAGES]
    yield _toctree("The library", ["reference/index", *packages])


def _toctree(caption: str, pages: list[str]) -> str:
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```"

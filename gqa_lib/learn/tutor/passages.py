"""What the tutor may quote: the text of the student notebooks, section by section.

Only text cells are read, and of the generated notebooks alone: these have no solution and no
hidden test. Hints (they end in worked steps) and whatever belongs to a quiz are left out.
"""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from gqa_lib.course.manifest import Lesson, lessons

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_AS_IS = re.compile(r"[A-Za-z0-9 ,?:'.-]+")  # a heading that a browser leaves as it is in a link
_QUIZ = re.compile(r"\bquiz|^((your|three|closing) )*questions\b|\bcheck yourself\b", re.IGNORECASE)
_SUMMARY = re.compile(r"<summary>(.*?)</summary>", re.DOTALL)
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])[\"')*\]]*(?=\s+[\"'(*`\[A-Z0-9$])")
_GOES_ON = re.compile(r"\b(al|e\.g|i\.e|vs|cf|etc|Fig|No|p)\.$")
_LABEL = re.compile(r"\*\*[^*.]{1,40}\.\*\*")  # "**Races.** Two programs ..." is one sentence
_CODE_CHAIN = re.compile(r"`[^`]*\)\s*\.\w+\([^`]*`")  # `x.one(...).two(...)`: a line of an answer


@dataclass(frozen=True)
class Passage:
    """One text cell, or the inside of one `<details>`: sentences that belong together."""

    title: str  # the summary of the details, else empty
    sentences: tuple[str, ...]


@dataclass
class Section:
    """A heading and the text below it, down to the next heading."""

    lesson: Lesson
    heading: str  # without Markdown: what the anchor is made from
    parent: str  # heading of the section around it, if any
    cell_id: str
    passages: list[Passage] = field(default_factory=list)
    repeated: bool = False  # does another section of the lesson have this heading?

    @property
    def is_general(self) -> bool:
        """Does it touch upon everything: the lesson's first words, its question, its summary?"""
        first = self.heading.endswith(self.lesson.title) and self.heading[0].isdigit()
        return first or self.heading in ("In three lines", "A question worth measuring")

    @property
    def fragment(self) -> str:
        """What follows `#` in a link that JupyterLab jumps to.

        It does not decode what a browser encodes, so other headings are reached by their cell.
        """
        if self.repeated or not _AS_IS.fullmatch(self.heading):
            return f"cell-id={self.cell_id}"
        return self.heading.replace(" ", "-")

    @property
    def title(self) -> str:
        """The heading, with that of the section around it where there are several such."""
        return f"{self.parent} › {self.heading}" if self.repeated and self.parent else self.heading

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"lesson {self.lesson.number}, “{self.title}”"


def sections() -> list[Section]:
    """Return every section of the course that has text to quote, in order."""
    found = []
    for lesson in lessons():
        if lesson.pristine.exists():
            state = lesson.pristine.stat()
            found += _read(lesson, lesson.pristine, (state.st_mtime_ns, state.st_size))
    return found


@lru_cache(maxsize=64)
def _read(lesson: Lesson, path: Path, _state: tuple) -> list[Section]:
    return sections_of(lesson, json.loads(path.read_text(encoding="utf-8")))


def sections_of(lesson: Lesson, notebook: dict) -> list[Section]:
    """Return the sections of one student notebook, in order."""
    found: list[Section] = []
    above: dict[int, str] = {}
    quiz_level: int | None = None
    for cell in notebook["cells"]:
        if cell["cell_type"] != "markdown" or _is_hidden(cell["metadata"]):
            continue
        for heading, text in _split("".join(cell["source"])):
            if heading:
                level, title = len(heading[1]), plain(heading[2])
                above = {k: v for k, v in above.items() if k < level} | {level: title}
                if level > 1 and (quiz_level is None or level <= quiz_level):
                    quiz_level = level if _QUIZ.search(title) else None
                parent = above.get(max((k for k in above if 1 < k < level), default=0), "")
                found.append(Section(lesson, title, parent, cell.get("id", "")))
            if found and quiz_level is None:
                found[-1].passages += _passages(text)
    names = [section.heading for section in found]
    for section in found:
        section.repeated = names.count(section.heading) > 1
    return [section for section in found if section.passages]


def _is_hidden(metadata: dict) -> bool:
    """Is this cell a ladder of hints, part of a quiz, or what leads on to another lesson?"""
    grade_id = metadata.get("nbgrader", {}).get("grade_id", "")
    names = [*metadata, *metadata.get("tags", []), grade_id]
    if "hints" in metadata or metadata.get("generated") in ("before", "ending"):
        return True
    return any("quiz" in name.lower() for name in names)


def _split(text: str) -> list[tuple[re.Match | None, str]]:
    """Cut a cell at its headings, those within code blocks aside."""
    parts: list[tuple[re.Match | None, list[str]]] = [(None, [])]
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else _HEADING.fullmatch(line)
        if heading:
            parts.append((heading, []))
        else:
            parts[-1][1].append(line)
    return [(heading, "\n".join(lines)) for heading, lines in parts if heading or any(lines)]


def _passages(text: str) -> list[Passage]:
    found = []
    for part in re.split(r"<details>|</details>", text):
        summary = _SUMMARY.search(part)
        body = _SUMMARY.sub("", part)
        quotable = tuple(sentences(body))
        if quotable:
            found.append(Passage(plain(summary[1]) if summary else "", quotable))
    return found


def sentences(markdown: str) -> list[str]:
    """Return the sentences, list items and table rows of a text, each verbatim on one line."""
    markdown = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    markdown = re.sub(r"<a id=[^>]*></a>", "", markdown)
    markdown = re.sub(r"^\|.*\n\|[-| :]+\|$", "", markdown, flags=re.MULTILINE)  # a table's head
    found: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=\s*[-*] |\s*\d+\. |\|)", markdown):
        block = " ".join(block.split())
        if block.startswith("$$") and found:
            found[-1] += " " + block
        elif block.startswith("|"):
            row = block.strip("| ")
            if re.search(r"\w", row):
                found.append(row)
        else:
            found += _cut(re.sub(r"^([-*]|\d+\.) ", "", block))
    kept = (_balanced(sentence) for sentence in found if not _CODE_CHAIN.search(sentence))
    return [sentence for sentence in kept if re.search(r"\w", sentence)]


def _cut(block: str) -> list[str]:
    cut, start = [], 0
    for end in _SENTENCE_ENDS.finditer(block):
        if not _GOES_ON.search(block[: end.start()]) and not _LABEL.fullmatch(
            block[start : end.end()].strip()
        ):
            cut.append(block[start : end.end()].strip())
            start = end.end()
    return [*cut, block[start:].strip()]


def _balanced(sentence: str) -> str:
    """Return a sentence without the bracket or bold mark whose other half is elsewhere."""
    if sentence.count("(") > sentence.count(")") and sentence.startswith("("):
        sentence = sentence[1:]
    if sentence.count(")") > sentence.count("(") and sentence.endswith(")"):
        sentence = sentence[:-1]
    if sentence.count("**") % 2:
        sentence = sentence.removeprefix("**").removesuffix("**")
    return sentence


def plain(markdown: str) -> str:
    """Return a text without links, code marks and emphasis, as a heading or a terminal shows it."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1", markdown)
    return re.sub(r"[`*]", "", text).strip()

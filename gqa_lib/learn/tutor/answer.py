"""Answers a question with two to four sentences of the lessons, or says that it cannot."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from . import requests
from .judge import confidence
from .lexicon import Term, named_lesson, stems
from .passages import Passage, Section, plain
from .search import EMPHASIS, Found, Index, index, term_in

EXPLAINS = 1.0  # what it adds that a passage is the inside of a `<details>`: these explain
CLOSE = 0.8  # a second section this near to the first is quoted, too
ALSO = 0.65  # one this near is named
MOST_SENTENCES = 4

# Sentences that say little when they stand alone.
_TO_THE_READER = re.compile(
    r"\?\W*$|^\W*(?:\d+ minutes · |key terms|next:|submit with|write down|guess|predict\b|"
    r"hold your guess|keep (?:your|a) guess|now measure|submit with|with \d.*:$)",
    re.IGNORECASE,
)
_LEANS_BACK = re.compile(
    r"^\W*(?:it|they|that|this|these|those|so|but|and|then|both|neither|nobody|there|here|its|"
    r"their|he|she|because|for each|not|kept)\b",
    re.IGNORECASE,
)
_WHY = re.compile(r"\b(?:why|how come|reasons?|what for)\b", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since|so that|therefore|that is why)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """What the tutor says.

    `quotes` has the quoted sentences by section, `also` the sections named beside them; where the
    question is refused both are empty and `said` tells why; else `said` has a language model's
    words, if there are any, and `quotes` what they stand on.
    """

    question: str
    said: str = ""
    quotes: tuple[tuple[Section, tuple[str, ...]], ...] = ()
    also: tuple[Section, ...] = ()
    nearest: Section | None = None
    note: str = ""  # why a language model's words are not shown

    @property
    def refused(self) -> bool:
        return not self.quotes

    @property
    def quoted(self) -> list[Section]:
        return [section for section, _ in self.quotes]

    @property
    def sources(self) -> list[Section]:
        """The sections quoted and named, best first."""
        return [*self.quoted, *self.also]

    @property
    def text(self) -> str:
        """The answer alone, in Markdown, without its sources."""
        if self.refused or self.said:
            return self.said
        return " ".join(_flow(sentences) for _, sentences in self.quotes)

    def as_dict(self) -> dict:
        """Return what `gqa ask --json` prints."""
        rows = [{"slug": s.lesson.slug, "section": s.heading} for s in self.sources]
        return {"refused": self.refused, "answer": self.text, "sources": rows}


def ask(question: str, lesson: str | None = None, *, llm: bool = True) -> Reply:
    """Answer a question from the lessons' own text.

    Args:
        question: what the learner wants to know.
        lesson: number or slug of the open lesson: it comes first.
        llm: whether a language model may put the answer into words, if one is set up.
    """
    question = question.strip()[:2000]
    if kind := requests.request(question):
        return Reply(question, _no_solution(question, kind, lesson))
    asked = index()
    terms, found = asked.rank(question, lesson)
    if confidence(asked, terms, found) < 0:
        return _not_covered(question, asked, terms, found)
    chosen = [found[0], *(f for f in found[1:2] if _near(f, found[0]))]
    quotes = _quotes(asked, chosen, terms, bool(_WHY.search(question)))
    rest = (f for f in found[len(chosen) : 3] if f.score >= ALSO * found[0].score)
    also = tuple(f.section for f in rest if not f.section.is_general)
    reply = Reply(question, "", quotes, also)
    if llm:
        from .llm import in_words

        return in_words(reply, [f.section for f in found[:3]])
    return reply


def _near(one: Found, first: Found) -> bool:
    return one.score >= CLOSE * first.score and one.alone >= CLOSE * first.alone


def _no_solution(question: str, kind: str, lesson: str | None) -> str:
    if kind == "quiz":
        return (
            "I do not give answers to quiz questions. Ask about the idea behind the question, and "
            'I will show where the lessons explain it; for an exercise, `hint("name")` in a cell '
            "shows its next hint."
        )
    name = requests.exercise_in(question) or _numbered(question, lesson) or "name"
    where = "" if name != "name" else ", with the exercise's name,"
    return (
        f'I do not give solutions. `hint("{name}")` in a cell{where} shows the next hint, and the '
        "check below the exercise says what is probably wrong."
    )


def _numbered(question: str, lesson: str | None) -> str | None:
    """Return the name of "exercise 3" in the named or open lesson."""
    number = re.search(r"\b(?:exercise|ex\.?)\s*(\d)", question, re.IGNORECASE)
    lesson = named_lesson(question) or lesson
    if not number or not lesson:
        return None
    for entry in index().entries:
        section = entry.section
        here = lesson in (section.lesson.number, section.lesson.slug)
        if here and section.heading.startswith(f"Exercise {number[1]} · "):
            return requests.exercise_in(section.heading)
    return None


def _not_covered(question: str, asked: Index, terms: list[Term], found: list[Found]) -> Reply:
    strange = [term.word for term in terms if term.elsewhere or not term.known]
    about = f"“{' '.join(strange)}”" if 0 < len(strange) <= 3 else "that"
    said = f"The course does not cover {about}, so I stop here."
    near = None
    if found and any(
        there and asked.worth(term) > asked.unknown - 3 and not term.elsewhere
        for term, there in zip(terms, found[0].covered, strict=True)
    ):
        near = found[0].section
        said += f" The nearest it has is in {_place(near)}."
    return Reply(question, said, nearest=near)


def _place(section: Section) -> str:
    return f"lesson {section.lesson.number}, “{section.title}”"


def _quotes(asked: Index, chosen: list[Found], terms: list[Term], why: bool):
    """Return the sentences to quote, by section; two at least, four at most."""
    most = MOST_SENTENCES // len(chosen)
    return tuple((f.section, _window(asked, f.section, terms, most, why)) for f in chosen)


def _window(
    asked: Index, section: Section, terms: list[Term], most: int, why: bool
) -> tuple[str, ...]:
    """Return the neighbouring sentences of a section that say most about the question."""
    best, chosen = -math.inf, ()
    for passage in section.passages:
        row = _row(asked, passage, terms)
        for start in range(len(row)):
            before = row[start].before if _LEANS_BACK.match(row[start].text) else ""
            if before and not before.rstrip("*) ").endswith("?"):
                continue
            room = most - bool(before)
            for end in range(start + 1, min(start + room, len(row)) + 1):
                value = _value(asked, row[start:end], before, terms, why)
                value += EXPLAINS * bool(passage.title or before)
                if value > best:
                    best = value
                    chosen = (*([before] if before else []), *(s.text for s in row[start:end]))
    return chosen if len(chosen) > 1 else _with_a_neighbour(section, chosen)


@dataclass(frozen=True)
class _Sentence:
    text: str
    worth: float
    before: str  # the sentence in front of it, whatever that is


def _row(asked: Index, passage: Passage, terms: list[Term]) -> list[_Sentence]:
    """Return the sentences of a passage that stand for themselves, with what each is worth.

    What a summary or a question to the reader says counts for the sentences below it.
    """
    row, above, before, share = [], passage.title, "", 0.5
    for sentence in passage.sentences:
        if _TO_THE_READER.search(sentence):
            if "?" in sentence:
                above, share = sentence, 0.8
        else:
            own, titled = frozenset(stems(sentence)), frozenset(stems(above))
            emphasised = frozenset(stems(" ".join(EMPHASIS.findall(sentence))))
            worth = sum(
                max(term_in(term, own), share * term_in(term, titled)) * asked.worth(term)
                + term_in(term, emphasised) * asked.worth(term) / 2
                for term in terms
            )
            row.append(_Sentence(sentence, worth, before))
        before = sentence
    return row


def _value(
    asked: Index, row: list[_Sentence], before: str, terms: list[Term], why: bool
) -> float:
    """Return what a window says of the question, less for each sentence that says nothing."""
    text = " ".join([before, *(sentence.text for sentence in row)])
    there = frozenset(stems(text))
    whole = sum(term_in(term, there) * asked.worth(term) for term in terms)
    rows_of_tables = sum(" | " in sentence.text for sentence in row)
    alone = len(row) == 1 and not rows_of_tables and not before
    worths = [sentence.worth for sentence in row]
    said = whole + 0.4 * max(worths) + 0.2 * sum(worths)
    said *= 1.6 if why and _REASON.search(text) else 1.0
    return said - 0.3 * len(row) - 0.8 * (alone or len(row) > 3) - rows_of_tables


def _with_a_neighbour(section: Section, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return a lone sentence with the nearest other one that is no table row."""
    row = [s for p in section.passages for s in p.sentences]
    if not chosen:
        return tuple(row[:2])
    at = row.index(chosen[0])
    near = sorted(range(len(row)), key=lambda i: (abs(i - at), i < at))
    for i in near:
        if i != at and " | " not in row[i] and not _TO_THE_READER.search(row[i]):
            return (row[min(i, at)], row[max(i, at)])
    return chosen


def _flow(sentences: tuple[str, ...], mark: str = "") -> str:
    """Return sentences as a text, table rows on lines of their own."""
    text = ""
    for sentence in sentences:
        new_line = " | " in sentence or text.rpartition("\n")[2].startswith(f"{mark}- ")
        text += (
            f"\n{mark}- {sentence}"
            if " | " in sentence
            else ("\n\n" if new_line else " ") + sentence
        )
    return text.strip()


def link(section: Section, root: str = "..") -> str:
    """Return a section as a Markdown link; `root` is where the lessons' folders are."""
    slug = section.lesson.slug
    return f"[{name_of(section)}]({root}/{slug}/{slug}.ipynb#{quote(section.fragment, safe=',=?')})"


def name_of(section: Section) -> str:
    """Return a section's name with that of its lesson."""
    return f"Lesson {section.lesson.number}, {section.title}"


def markdown(reply: Reply, link: Callable[[Section], str] = link) -> str:
    """Return a reply as Markdown: what is quoted, each with its section, and what else to read.

    Args:
        reply: what the tutor says.
        link: how a section is linked to; as from a notebook in its lesson's folder unless given.
    """
    if reply.refused:
        if reply.nearest is None:
            return reply.said
        return reply.said.replace(_place(reply.nearest), link(reply.nearest))
    parts = [reply.said] if reply.said else []
    for section, sentences in reply.quotes:
        parts += [f"> {_flow(sentences, '> ')}", link(section)]
    if reply.also:
        parts.append("See also: " + "; ".join(map(link, reply.also)))
    if reply.note:
        parts.append(f"*{reply.note}*")
    return "\n\n".join(parts)


def terminal(reply: Reply) -> str:
    """Return a reply as plain text."""
    import textwrap

    if reply.refused:
        return textwrap.fill(plain(reply.said), 88)
    parts = [textwrap.fill(plain(reply.said), 88)] if reply.said else []
    for section, sentences in reply.quotes:
        parts += [textwrap.fill(plain(line), 88) for line in _flow(sentences).splitlines() if line]
        parts.append(f"  -- lesson {section.lesson.number}, {section.title}")
    if reply.also:
        named = "; ".join(f"lesson {s.lesson.number}, {s.title}" for s in reply.also)
        parts.append(textwrap.fill(f"See also: {named}", 88, subsequent_indent="  "))
    if reply.note:
        parts.append(f"({reply.note})")
    return "\n".join(parts)

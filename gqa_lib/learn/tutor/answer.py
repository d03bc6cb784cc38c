"""Answers a question with two to four sentences of the lessons, or says that it cannot."""

import re
from dataclasses import dataclass

from . import requests
from .judge import confidence
from .lexicon import Term, named_lesson, stems
from .passages import Section, plain
from .search import Found, Index, index, term_in

CLOSE = 0.8  # a second section this near to the first is quoted, too
ALSO = 0.6  # one this near is named
MOST_SENTENCES = 4

# Sentences that say little when they stand alone.
_TO_THE_READER = re.compile(
    r"\?\W*$|^\W*(?:\d+ minutes · |key terms|next:|submit with|write down|guess|predict\b|"
    r"hold your guess|keep (?:your|a) guess|now measure|submit with|with \d.*:$)",
    re.IGNORECASE,
)
_LEANS_BACK = re.compile(
    r"^\W*(?:it|they|that|this|these|those|so|but|and|then|both|neither|nobody|there|here|its|"
    r"their|he|she|because|for each|not)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reply:
    """What the tutor says.

    `quotes` has the quoted sentences by section, `also` the sections named beside them; where the
    question is refused both are empty and `said` tells why.
    """

    question: str
    said: str = ""
    quotes: tuple[tuple[Section, tuple[str, ...]], ...] = ()
    also: tuple[Section, ...] = ()
    nearest: Section | None = None

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
        return " ".join(sentence for _, sentences in self.quotes for sentence in sentences)

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
    chosen = [found[0], *(f for f in found[1:2] if f.score >= CLOSE * found[0].score)]
    quotes = _quotes(asked, chosen, terms)
    also = tuple(f.section for f in found[len(chosen) : 3] if f.score >= ALSO * found[0].score)
    reply = Reply(question, "", quotes, also)
    if llm:
        from .llm import in_words

        return in_words(reply, [f.section for f in found[:3]]) or reply
    return reply


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
        said += f" The nearest it has is in lesson {near.lesson.number}, “{near.title}”."
    return Reply(question, said, nearest=near)


def _quotes(asked: Index, chosen: list[Found], terms: list[Term]):
    """Return the sentences to quote, by section; two at least, four at most."""
    if len(chosen) == 1:
        return ((chosen[0].section, _window(asked, chosen[0].section, terms, MOST_SENTENCES)),)
    return tuple(
        (one.section, _window(asked, one.section, terms, MOST_SENTENCES // 2)) for one in chosen
    )


def _window(asked: Index, section: Section, terms: list[Term], most: int) -> tuple[str, ...]:
    """Return the neighbouring sentences of a section that say most about the question."""
    best, chosen = -1.0, ()
    for passage in section.passages:
        row = [s for s in passage.sentences if not _TO_THE_READER.search(s)]
        worths = [_worth(asked, sentence, terms, passage.title) for sentence in row]
        for start in range(len(row)):
            if start and _LEANS_BACK.match(row[start]):
                continue
            for end in range(start + 1, min(start + most, len(row)) + 1):
                value = _value(asked, row[start:end], worths[start:end], terms)
                if value > best:
                    best, chosen = value, tuple(row[start:end])
    if len(chosen) < 2:
        chosen = _with_a_neighbour(section, chosen)
    return chosen


def _worth(asked: Index, sentence: str, terms: list[Term], title: str) -> float:
    there = frozenset(stems(sentence))
    hit = sum(term_in(term, there) * asked.worth(term) for term in terms)
    titled = frozenset(stems(title))
    hit += 0.5 * sum(term_in(t, titled) * asked.worth(t) for t in terms if not term_in(t, there))
    emphasised = frozenset(stems(" ".join(re.findall(r"\*\*?([^*]{2,40}?)\*\*?", sentence))))
    hit += 0.5 * sum(term_in(term, emphasised) * asked.worth(term) for term in terms)
    return hit * (0.6 if " | " in sentence else 1.0)


def _value(asked: Index, row: list[str], worths: list[float], terms: list[Term]) -> float:
    """Return what a window says of the question, less for each sentence that says nothing."""
    there = frozenset(stems(" ".join(row)))
    whole = sum(term_in(term, there) * asked.worth(term) for term in terms)
    size = 0.0 if len(row) in (2, 3) else 0.8
    return whole + 0.4 * max(worths) + 0.15 * sum(worths) - 0.25 * len(row) - size


def _with_a_neighbour(section: Section, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return a lone sentence with the one after or before it, wherever that stands."""
    row = [s for p in section.passages for s in p.sentences if not _TO_THE_READER.search(s)]
    row = row or [s for p in section.passages for s in p.sentences]
    at = row.index(chosen[0]) if chosen else 0
    return tuple(row[at : at + 2]) if at + 1 < len(row) else tuple(row[max(at - 1, 0) :])


def link(section: Section, root: str = "..") -> str:
    """Return a section as a Markdown link; `root` is where the lessons' folders are."""
    slug = section.lesson.slug
    fragment = section.fragment.replace("(", "%28").replace(")", "%29").replace(" ", "%20")
    name = f"Lesson {section.lesson.number}, {section.title}"
    return f"[{name}]({root}/{slug}/{slug}.ipynb#{fragment})"


def markdown(reply: Reply, root: str = "..") -> str:
    """Return a reply as Markdown: what is quoted, each with its section, and what else to read."""
    if reply.refused:
        if reply.nearest is None:
            return reply.said
        shown = f"lesson {reply.nearest.lesson.number}, “{reply.nearest.title}”"
        return reply.said.replace(shown, link(reply.nearest, root))
    parts = [reply.said] if reply.said else []
    for section, sentences in reply.quotes:
        parts += ["> " + " ".join(sentences), link(section, root)]
    if reply.also:
        parts.append("See also " + "; ".join(link(section, root) for section in reply.also) + ".")
    return "\n\n".join(parts)


def terminal(reply: Reply) -> str:
    """Return a reply as plain text."""
    import textwrap

    if reply.refused:
        return textwrap.fill(plain(reply.said), 88)
    parts = [textwrap.fill(plain(reply.said), 88)] if reply.said else []
    for section, sentences in reply.quotes:
        parts.append(textwrap.fill(plain(" ".join(sentences)), 88))
        parts.append(f"  -- lesson {section.lesson.number}, {section.title}")
    if reply.also:
        named = "; ".join(f"lesson {s.lesson.number}, {s.title}" for s in reply.also)
        parts.append(textwrap.fill(f"See also: {named}", 88, subsequent_indent="  "))
    return "\n".join(parts)

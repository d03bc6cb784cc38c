"""Ranks the sections of the course for a question.

A section's score adds how often the question's words occur in it (BM25, by place), how well its
best single phrase, sentence, emphasised term and question of the bank match (short texts that say
the same thing), and how near in meaning the bank's nearest question is.
"""

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gqa_lib.course.manifest import find_lesson

from .bank import Authored, authored
from .lexicon import Lexicon, SearchTerm, data, learn_stems, named_lesson, stems, words
from .meaning import vectors
from .passages import Section, sections

# What a word counts for, by where it stands (found on the tuning questions, then rounded).
HEADING, SUMMARY, TOPIC, AROUND, ASKED = 1.5, 2.0, 1.0, 0.1, 0.2
K1, B = 2.0, 0.35  # BM25's saturation and its allowance for long sections
ALIAS = 0.9  # a word that may be meant, against one that was said
PAIR = 0.2  # two words of the question side by side in the section, too
FITS = {"phrase": 1.0, "sentence": 0.5, "term": 0.2, "asked": 1.5}
MEANING = 1.5  # what nearness in meaning counts for, from `FAR` on
FAR = 0.3  # texts less alike than this have nothing to do with each other
SHORT = 0.5  # how much a phrase that says more than the question loses
COMMON = 0.9  # added to every weight, so that a word in every section still counts
COVERED = 0.5
LIGHT = 0.4  # what an everyday word says, when short texts are compared
OPEN_LESSON, NAMED_LESSON = 1.3, 2.0
GENERAL = 0.9  # for sections that touch upon everything

EMPHASIS = re.compile(r"\*\*?([^*]{2,40}?)\*\*?")


@dataclass
class Unit:
    """A short text of a section: a phrase, a sentence or an emphasised term."""

    kind: str
    stems: frozenset[str]
    weight: float = 0.0
    text: str = ""
    answer: Authored | None = None  # what the bank says to it, if it is a question of the bank
    place: int = -1  # among the bank's questions


@dataclass
class Entry:
    """One section as the index knows it."""

    section: Section
    counts: dict[str, float] = field(
        default_factory=lambda: defaultdict(float)
    )  # stem -> how often, weighted by place
    pairs: set[tuple[str, str]] = field(default_factory=set)
    units: list[Unit] = field(default_factory=list)

    @cached_property
    def length(self) -> float:
        """The section's words, those of headings counted more than once."""
        return sum(self.counts.values())


@dataclass
class Match:
    """A section, how well it fits a question, and why."""

    section: Section
    score: float
    alone: float  # the score but for the lesson that is open or named
    covered: list[bool]  # is this word of the question there?
    fits: dict[str, float]  # the best phrase, sentence, term and question, each 0 to 1
    meaning: float = 0.0  # how near the nearest question of the bank is, 0 to 1
    answers: tuple[tuple[float, Authored], ...] = ()  # the section's, best first, with their fit


class Index:
    """The sections, ready to be asked."""

    def __init__(self, everything: list[Section]):
        texts = [text for section in everything for _, text, *_ in _texts(section)]
        vocabulary = {word for text in texts for word in words(text)}
        everyday = [word for row in data()["everyday"].values() for word in words(row)]
        learn_stems([*vocabulary, *everyday])
        headings = [h for s in everything for h in (s.heading, *s.lesson.key_terms)]
        self.lexicon = Lexicon(vocabulary, [words(heading) for heading in headings])
        self.entries = [_entry(section) for section in everything]
        asked = [unit for entry in self.entries for unit in entry.units if unit.answer]
        for place, unit in enumerate(asked):
            unit.place = place
        self._asked = [unit.text for unit in asked]
        total = len(self.entries)
        seen = Counter(stem for entry in self.entries for stem in entry.counts)
        self._weights = {
            stem: COMMON + math.log(1 + (total - n + 0.5) / (n + 0.5)) for stem, n in seen.items()
        }
        self.unknown = COMMON + math.log(1 + (total + 0.5) / 0.5)
        self._mean = sum(e.length for e in self.entries) / max(total, 1)
        for entry in self.entries:
            for unit in entry.units:
                unit.weight = sum(
                    LIGHT if stem in self.lexicon.everyday else self.weight(stem)
                    for stem in unit.stems
                )

    def weight(self, stem: str) -> float:
        """Return what a stem says: the more, the fewer sections have it."""
        return self._weights.get(stem, self.unknown)

    def find(self, name: str) -> Section | None:
        """Return the section called lesson#start of its title, None if there is none.

        Args:
            name: such as "05#Exercise 4".
        """
        number, _, title = name.partition("#")
        there = [e.section for e in self.entries if e.section.lesson.number == number]
        exact = (one for one in there if one.title == title)
        return next(exact, next((one for one in there if one.title.startswith(title)), None))

    def worth(self, term: SearchTerm) -> float:
        """Return what a word of a question says, or what stands for it where it is not known."""
        if term.stem in self._weights or not term.also:
            return self.weight(term.stem)
        return max(self.weight(stem) for phrase, _ in term.also for stem in phrase)

    def rank(
        self, question: str, lesson: str | None = None
    ) -> tuple[list[SearchTerm], list[Match]]:
        """Return the words that say what a question is about, and the sections, best first."""
        terms = self.lexicon.terms(question)
        light = frozenset(stems(question)) & self.lexicon.everyday - {t.stem for t in terms}
        opened, named = find_lesson(lesson).number if lesson else None, named_lesson(question)
        near = self._nearness(question)
        found = [self._match(entry, terms, light, near) for entry in self.entries]
        for one in found:
            number = one.section.lesson.number
            one.score = one.alone
            one.score *= OPEN_LESSON if number == opened else 1
            one.score *= NAMED_LESSON if number == named else 1
        return terms, sorted((f for f in found if f.score > 0), key=lambda f: -f.score)

    @cached_property
    def _vectors(self) -> Any:
        return vectors(self._asked)

    def _nearness(self, question: str) -> list[float]:
        """Return how near in meaning each question of the bank is, 0 to 1."""
        if self._vectors is None:
            return [0.0] * len(self._asked)
        plain = " ".join(self.lexicon.spelled(word) for word in words(question))
        (asked,) = vectors([plain or question])
        return [max(0.0, (float(x) - FAR) / (1 - FAR)) for x in self._vectors @ asked]

    def _match(
        self, entry: Entry, terms: list[SearchTerm], light: frozenset[str], near: list[float]
    ) -> Match:
        whole = sum(map(self.worth, terms)) or 1.0
        covered = [term_in(term, entry.counts.keys()) > 0 for term in terms]
        fits = dict.fromkeys(FITS, 0.0)
        answers: dict[Authored, float] = {}
        meaning = 0.0
        for unit in entry.units:
            fit = self._fit(unit, terms, light, whole)
            fits[unit.kind] = max(fits[unit.kind], fit)
            if unit.answer:
                meaning = max(meaning, near[unit.place])
                value = (fit + near[unit.place]) / 2
                answers[unit.answer] = max(answers.get(unit.answer, 0.0), value)
        score = self._bm25(entry, terms) / whole + sum(FITS[k] * fit for k, fit in fits.items())
        seen = sum(self.worth(t) for t, there in zip(terms, covered, strict=True) if there)
        score *= (seen / whole) ** COVERED
        score = (score + MEANING * meaning) * (GENERAL if entry.section.is_general else 1)
        best = sorted(((fit, one) for one, fit in answers.items()), key=lambda row: -row[0])
        return Match(entry.section, score, score, covered, fits, meaning, tuple(best))

    def _bm25(self, entry: Entry, terms: list[SearchTerm]) -> float:
        value: dict[str, float] = {term.stem: 1.0 for term in terms}
        for term in terms:
            for phrase, same in term.also:
                for stem in phrase:
                    value.setdefault(stem, 1.0 if same else ALIAS)
        scale = K1 * (1 - B + B * entry.length / self._mean)
        score = sum(
            worth * self.weight(stem) * often / (often + scale)
            for stem, worth in value.items()
            if (often := entry.counts.get(stem))
        )
        for one, two in itertools.pairwise(terms):
            if (one.stem, two.stem) in entry.pairs:
                score += PAIR * (self.weight(one.stem) + self.weight(two.stem))
        return score

    def _fit(
        self, unit: Unit, terms: list[SearchTerm], light: frozenset[str], whole: float
    ) -> float:
        """Return how much of the question a unit says, less for what else it says."""
        hit = said = 0.0
        for term in terms:
            if there := term_in(term, unit.stems):
                hit += there * self.worth(term)
                said += self.weight(term.stem) if term.stem in unit.stems else self.worth(term)
        if not hit:
            return 0.0
        shared = LIGHT * len(light & unit.stems)
        hit, said, whole = hit + shared, said + shared, whole + LIGHT * len(light)
        return hit / whole * min(said / unit.weight, 1.0) ** SHORT


def term_in(term: SearchTerm, there: Container[str]) -> float:
    """Return whether a word is there: 1, `ALIAS` where only what may be meant is, or 0."""
    if term.stem in there:
        return 1.0
    held = [same for phrase, same in term.also if all(stem in there for stem in phrase)]
    return (1.0 if any(held) else ALIAS) if held else 0.0


def _texts(section: Section) -> Iterator[tuple[str, str, float, Authored | None]]:
    """Yield every text of a section: its kind, what a word in it counts for, the bank's answer."""
    lesson = section.lesson
    yield "phrase", section.heading, HEADING, None
    yield "", f"{section.parent} {lesson.title}", AROUND, None
    for phrase in data()["topics"].get(f"{lesson.number}#{section.title}", "").split(","):
        yield "phrase", phrase, TOPIC, None
    for answer in authored().get((lesson.number, section.title), ()):
        for question in answer.questions:
            yield "asked", question, ASKED, answer
    for passage in section.passages:
        yield "" if passage.title == "Answer" else "phrase", passage.title, SUMMARY, None
        for sentence in passage.sentences:
            yield "sentence", sentence, 1.0, None
            if "Key terms" not in sentence:
                for emphasised in EMPHASIS.findall(sentence):
                    yield "term", emphasised, 0.0, None


def _entry(section: Section) -> Entry:
    entry = Entry(section)
    for kind, text, worth, answer in _texts(section):
        row = stems(text)
        if worth:
            for stem in row:
                entry.counts[stem] += worth
            entry.pairs.update(itertools.pairwise(row))
        if kind and row:
            entry.units.append(Unit(kind, frozenset(row), text=text, answer=answer))
    return entry


_made: dict[tuple, Index] = {}


def index() -> Index:
    """Return the index of the course as its notebooks are now."""
    everything = sections()
    key = tuple(map(id, everything))
    if key not in _made:
        _made.clear()
        _made[key] = Index(everything)
    return _made[key]

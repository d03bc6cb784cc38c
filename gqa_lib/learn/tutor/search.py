"""Ranks the sections of the course for a question: BM25 over stems, with aliases.

The stems are those of SQLite's FTS5 (its Porter stemmer), which Python brings along.
"""

import math
import re
import sqlite3
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from ..manifest import find_lesson
from .passages import Section, plain, sections

# What a word counts for, by where it stands.
HEADING, TITLE, TOPIC, LESSON = 1.5, 2.0, 1.0, 0.1
ALIAS = 0.9  # a word of an alias, against one of the question itself
PAIR = 0.2  # two words side by side, in the question and in the section
K1, B = 2.0, 0.35
PHRASE, SENTENCE, TERM = 1.0, 0.5, 0.2
LONG = 0.5
FLOOR = 0.9
COVER = 0.5
OPEN_LESSON = 1.3
GENERAL = 0.9  # sections that touch upon everything: the opening question, the three lines
GENERAL_HEADINGS = ("In three lines", "A question worth measuring")
_EMPHASIS = re.compile(r"\*\*?([^*]{2,40}?)\*\*?")


@cache
def data() -> dict:
    """Return what `data/tutor.toml` says: aliases, topics, everyday words, what refuses."""
    text = (files("gqa_lib") / "data" / "tutor.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without addresses and TeX commands."""
    text = re.sub(r"\((?:https?:|\.\./)[^)]*\)|https?:\S+|\\[a-zA-Z]+", " ", text)
    text = re.sub(r"['’](?:s|t|re|ve|ll|d|m)\b", "", text.lower())
    return re.findall(r"[a-z]+|\d+", text.replace("_", " "))


_stems: dict[str, str] = {}


def stems(text: str) -> list[str]:
    """Return the stems of a text's words, in order."""
    found = words(text)
    _learn(set(found) - _stems.keys())
    return [_stems[word] for word in found]


def _learn(new: set[str]) -> None:
    if not new:
        return
    listed = sorted(new)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(w, tokenize='porter unicode61')")
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")
    connection.executemany("INSERT INTO t (rowid, w) VALUES (?, ?)", enumerate(listed))
    for stem, number in connection.execute("SELECT term, doc FROM v"):
        _stems[listed[number]] = stem
    connection.close()


@dataclass
class Entry:
    """One section as the index knows it."""

    section: Section
    weights: Counter  # stem -> how often, weighted by place
    pairs: set
    length: float
    units: list[tuple[str, frozenset, float]] = field(default_factory=list)  # kind, stems, weight


@dataclass
class Term:
    """One word of the question: its stem, and what else may stand for it."""

    word: str
    stem: str
    known: bool = True
    also: list[tuple[tuple[str, ...], float]] = field(default_factory=list)  # phrase of stems, worth


@dataclass
class Found:
    """A section and how well it fits."""

    section: Section
    score: float
    covered: list[bool]  # by term of the question


class Index:
    """The sections, ready to be asked."""

    def __init__(self, everything: list[Section]):
        topics = data()["topics"]
        self.entries = [
            _entry(s, topics.get(f"{s.lesson.number}#{s.title}", "")) for s in everything
        ]
        seen = Counter(stem for entry in self.entries for stem in entry.weights)
        total = len(self.entries)
        self.idf = {stem: math.log(1 + (total - n + 0.5) / (n + 0.5)) for stem, n in seen.items()}
        self.unknown_idf = math.log(1 + (total + 0.5) / 0.5)
        self.mean_length = sum(e.length for e in self.entries) / max(total, 1)
        self.everyday = set(stems(data()["everyday"]["words"]))
        self.aliases = _aliases()
        for entry in self.entries:
            entry.units = [(k, bag - self.everyday or bag, sum(map(self.w, bag - self.everyday or bag))) for k, bag in entry.units]
        self.vocabulary = {w for e in everything for w in _all_words(e)}

    def terms(self, question: str) -> list[Term]:
        """Return the words of a question that say what it is about."""
        asked = words(question)
        asked = [self._spelled(word) for word in asked]
        stemmed = [stems(word)[0] for word in asked]
        found, also = [], {}
        for start in range(len(stemmed)):
            for end in range(start + 1, min(start + 4, len(stemmed)) + 1):
                for phrase in self.aliases.get(tuple(stemmed[start:end]), ()):
                    for place in range(start, end):
                        also.setdefault(place, []).append(phrase)
        for place, (word, stem) in enumerate(zip(asked, stemmed, strict=True)):
            if stem in self.everyday and place not in also:
                continue
            known = stem in self.idf or place in also
            found.append(Term(word, stem, known, also.get(place, [])))
        return found

    def _spelled(self, word: str) -> str:
        """Return the course's word that a mistyped one means, or the word itself."""
        if len(word) < 5 or word in self.vocabulary or stems(word)[0] in self.idf:
            return word
        if stems(word)[0] in self.everyday or (stems(word)[0],) in self.aliases:
            return word
        allowed = 1 if len(word) < 8 else 2
        near = [
            (d, other)
            for other in self.vocabulary
            if other[0] == word[0]
            and abs(len(other) - len(word)) <= allowed
            and (d := edits(word, other, allowed)) <= allowed
        ]
        return min(near)[1] if near else word

    def rank(self, terms: list[Term], lesson: str | None = None) -> list[Found]:
        """Return the sections that fit a question, best first."""
        opened = find_lesson(lesson).slug if lesson else None
        found = [self._match(entry, terms) for entry in self.entries]
        for one in found:
            if one.section.lesson.slug == opened:
                one.score *= OPEN_LESSON
            if one.section.heading in GENERAL_HEADINGS:
                one.score *= GENERAL
        return sorted((f for f in found if f.score > 0), key=lambda f: -f.score)

    def _match(self, entry: Entry, terms: list[Term]) -> Found:
        scale = K1 * (1 - B + B * entry.length / self.mean_length)
        value: dict[str, float] = {}
        covered = []
        for term in terms:
            value[term.stem] = 1.0
            for phrase, same in term.also:
                for stem in phrase:
                    value.setdefault(stem, 1.0 if same else ALIAS)
            covered.append(
                term.stem in entry.weights
                or any(all(stem in entry.weights for stem in phrase) for phrase, _ in term.also)
            )
        whole = sum(self.weight(t) for t in terms) or 1.0
        score = 0.0
        for stem, worth in value.items():
            if often := entry.weights.get(stem):
                score += worth * self.w(stem) * often / (often + scale)
        for one, two in zip(terms, terms[1:], strict=False):
            if (one.stem, two.stem) in entry.pairs:
                score += PAIR * (self.w(one.stem) + self.w(two.stem))
        best = {"phrase": 0.0, "sentence": 0.0, "term": 0.0}
        for kind, bag, heavy in entry.units:
            hit = got = 0.0
            for term in terms:
                if term.stem in bag:
                    hit += self.weight(term)
                    got += self.w(term.stem)
                else:
                    for phrase, same in term.also:
                        if all(stem in bag for stem in phrase):
                            hit += (1.0 if same else ALIAS) * self.weight(term)
                            got += sum(self.w(stem) for stem in phrase)
                            break
            if hit:
                fit = hit / whole * min(got / heavy, 1.0) ** LONG
                best[kind] = max(best[kind], fit)
        score = score / whole + PHRASE * best["phrase"] + SENTENCE * best["sentence"] + TERM * best["term"]
        seen = sum(self.weight(t) for t, c in zip(terms, covered) if c) / whole
        return Found(entry.section, score * seen ** COVER, covered)

    def w(self, stem):
        return FLOOR + self.idf.get(stem, self.unknown_idf)

    def weight(self, term):
        if term.stem in self.idf or not term.also: return self.w(term.stem)
        return max(max(self.w(s) for s in phrase) for phrase, _ in term.also)


def edits(one: str, two: str, most: int) -> int:
    """Return the edits (a swap is one) that make one word the other, or more than `most`."""
    before, row = [], list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(two, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]


def _entry(section: Section, topic: str) -> Entry:
    weights: Counter = Counter()
    pairs: set = set()

    def add(text: str, worth: float) -> None:
        row = stems(text)
        for stem in row:
            weights[stem] += worth
        pairs.update(zip(row, row[1:], strict=False))

    units = []

    def unit(kind, text):
        bag = frozenset(stems(text))
        if bag:
            units.append((kind, bag))

    unit("phrase", section.heading)
    for phrase in topic.split(","):
        unit("phrase", phrase)
    for passage in section.passages:
        if passage.title != "Answer":
            unit("phrase", passage.title)
        for sentence in passage.sentences:
            unit("sentence", sentence)
            if "Key terms" not in sentence:
                for e in _EMPHASIS.findall(sentence):
                    unit("term", e)
    add(section.heading, HEADING)
    add(section.parent, LESSON)
    add(section.lesson.title, LESSON)
    add(topic, TOPIC)
    for passage in section.passages:
        add(passage.title, TITLE)
        for sentence in passage.sentences:
            add(sentence, 1.0)
    return Entry(section, weights, pairs, sum(weights.values()), units)


def _all_words(section: Section) -> set[str]:
    text = [section.heading, *(s for p in section.passages for s in p.sentences)]
    return {word for part in text for word in words(part) if word.isalpha()}


def _aliases() -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    found = {}
    for table in ("same", "aliases"):
        for phrase, meant in data()[table].items():
            found.setdefault(tuple(stems(phrase)), []).extend((tuple(stems(also)), table == "same") for also in meant)
    return found


_made: dict[tuple, Index] = {}


def index() -> Index:
    """Return the index of the course as its notebooks are now."""
    everything = sections()
    key = tuple(id(section) for section in everything)
    if key not in _made:
        _made.clear()
        _made[key] = Index(everything)
    return _made[key]

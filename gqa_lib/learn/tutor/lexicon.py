"""Words: their stems, what else may stand for them, and what they cannot mean.

The stems are those of SQLite's FTS5 (its Porter stemmer), which comes with Python.
"""

import re
import sqlite3
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files

_LESSON = re.compile(r"\b(?:lesson|notebook|chapter)s?\s+(?:no\.?\s*)?(\d{1,2})\b", re.IGNORECASE)
_ADDRESSES = re.compile(r"\((?:https?:|\.\./)[^)]*\)|https?:\S+|\\(?!sqrt)[a-zA-Z]+")
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_WORD = re.compile(r"[a-z]+|\d+")
_stems: dict[str, str] = {}


@cache
def data() -> dict:
    """Return what `tutor.toml` says."""
    text = (files(__package__) / "tutor.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def words(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case, without addresses and TeX commands."""
    if "\\" in text or "http" in text or "../" in text:
        text = _ADDRESSES.sub(" ", text)
    text = text.lower().replace("_", " ").translate(_GERMAN)
    if "'" in text or "’" in text:
        text = re.sub(r"['’](?:s|t|re|ve|ll|d|m)\b", "", text)
    return tuple(_WORD.findall(text))


def stems(text: str) -> list[str]:
    """Return the stems of a text's words, in order."""
    found = words(text)
    try:
        return [_stems[word] for word in found]
    except KeyError:
        learn_stems(found)
        return [_stems[word] for word in found]


def learn_stems(found: Iterable[str]) -> None:
    """Ask SQLite for the stems of all these words at once; one by one is slow."""
    new = sorted({word for word in found if word not in _stems})
    if not new:
        return
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(w, tokenize='porter unicode61')")
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")
    connection.executemany("INSERT INTO t (rowid, w) VALUES (?, ?)", enumerate(new))
    for stem, number in connection.execute("SELECT term, doc FROM v"):
        _stems[new[number]] = stem
    connection.close()


def named_lesson(question: str) -> str | None:
    """Return the number of the lesson that a question names, as in "lesson 4"."""
    found = _LESSON.search(question)
    return found[1].zfill(2) if found else None


@dataclass
class SearchTerm:
    """One word of a question that says what it is about."""

    word: str
    stem: str
    known: bool  # does the course, or an alias, have it?
    elsewhere: bool  # is it part of a subject that the course does not treat?
    also: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)  # stems; the same?


@dataclass
class Lexicon:
    """The words of the course (`vocabulary`), of its headings and key terms, and the aliases."""

    vocabulary: set[str]
    headings: list[tuple[str, ...]]

    @cached_property
    def everyday(self) -> set[str]:
        """Stems of words that do not say what a question is about."""
        return set(stems(data()["everyday"]["words"]))

    @cached_property
    def plain(self) -> set[str]:
        """Stems of words that only say something where the course has them."""
        return set(stems(data()["everyday"]["plain"]))

    @cached_property
    def known(self) -> set[str]:
        """Stems of the course's words."""
        learn_stems(self.vocabulary)
        return {stems(word)[0] for word in self.vocabulary}

    @cached_property
    def aliases(self) -> dict[tuple[str, ...], list[tuple[tuple[str, ...], bool]]]:
        """A phrase of stems -> what may stand for it, and whether it means the same."""
        found: dict = {}
        tables = [data()[table] for table in ("same", "aliases")]
        learn_stems([w for t in tables for row in t.items() for w in words(f"{row}")])
        for table in ("same", "aliases"):
            for phrase, meant in data()[table].items():
                rows = [(tuple(stems(other)), table == "same") for other in meant]
                found.setdefault(tuple(stems(phrase)), []).extend(rows)
        return found

    @cached_property
    def elsewhere(self) -> list[tuple[str, ...]]:
        """Names of subjects that the course does not treat: no heading has them."""
        listed = [words(t) for t in re.split(r"[,\n]", data()["elsewhere"]["terms"])]
        said = {
            row[start:end]
            for row in self.headings
            for start in range(len(row))
            for end in range(start + 1, len(row) + 1)
        }
        return [phrase for phrase in listed if phrase and phrase not in said]

    @cached_property
    def spellings(self) -> set[str]:
        """Every word that is not a mistyped one."""
        named = [word for table in ("same", "aliases") for p in data()[table] for word in words(p)]
        listed = [word for phrase in self.elsewhere for word in phrase]
        return {
            *self.vocabulary,
            *named,
            *listed,
            *(w for row in data()["everyday"].values() for w in words(row)),
        }

    def terms(self, question: str) -> list[SearchTerm]:
        """Return the words of a question that say what it is about."""
        asked = [self.spelled(word) for word in words(_LESSON.sub(" ", question))]
        learn_stems(asked)
        stemmed = [stems(word)[0] for word in asked]
        also = self._also(stemmed)
        strange = {
            place
            for phrase in self.elsewhere
            for start in range(len(asked) - len(phrase) + 1)
            if tuple(asked[start : start + len(phrase)]) == phrase
            for place in range(start, start + len(phrase))
        }
        found = []
        for place, (word, stem) in enumerate(zip(asked, stemmed, strict=True)):
            says_nothing = stem in self.everyday or (
                stem not in self.known and (stem in self.plain or word.isdigit())
            )
            if place in strange or place in also or not says_nothing:
                known = stem in self.known or place in also
                found.append(SearchTerm(word, stem, known, place in strange, also.get(place, [])))
        return found

    def _also(self, stemmed: list[str]) -> dict[int, list]:
        """Return, by place in the question, what may stand for the word there."""
        also: dict[int, list] = {}
        for start in range(len(stemmed)):
            for end in range(start + 1, min(start + 4, len(stemmed)) + 1):
                if meant := self.aliases.get(tuple(stemmed[start:end])):
                    said = [i for i in range(start, end) if stemmed[i] not in self.everyday]
                    for place in said or [start]:
                        also.setdefault(place, []).extend(meant)
        return also

    def spelled(self, word: str) -> str:
        """Return the word that a mistyped one means, or the word itself."""
        if len(word) < 3 or word.isdigit() or word in self.spellings:
            return word
        if stems(word)[0] in self.known | self.everyday | self.plain:
            return word
        if len(word) < 5:  # too short to guess at, but for two letters swapped
            swaps = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
            return min(swaps & self.spellings, default=word)
        allowed = 1 if len(word) < 8 else 2
        near = [
            (distance, other)
            for other in self.spellings
            if other[0] == word[0] and abs(len(other) - len(word)) <= allowed
            if (distance := edits(word, other, allowed)) <= allowed
        ]
        return min(near)[1] if near else word


def edits(one: str, two: str, most: int) -> int:
    """Return the edits (a swap is one) that make one word the other, or more than `most`."""
    before: list[int] = []
    row = list(range(len(two) + 1))
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

"""Finds the authored answer that fits a question: by words, by meaning, and by its section.

A word of the question is covered by an answer as far as one of the answer's questions or its text
has it: 1 for the same stem, less for a word near in meaning; rare words count more. To that is
added how near in meaning the two nearest of its questions are, and how well its section fits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .authored import Authored, bank
from .lexicon import Lexicon, stems, words
from .meaning import vectors

if TYPE_CHECKING:
    from .passages import Section
    from .search import Index, Match

# What each counts for, beside the share of words that is covered: fitted so that a question of the
# bank, left out, and the tuning questions find their answers; then rounded.
NEAREST, SECOND, SECTION = 0.45, 0.35, 0.5
RELATED = 0.7  # a word near in meaning, against the same word
LIGHT = 0.25  # an everyday word, against one that says what a question is about


@dataclass(frozen=True)
class Candidate:
    """An authored answer and how well it fits a question, in all and by its parts."""

    answer: Authored
    section: Section
    value: float
    asked: float  # the nearest of its questions, word by word
    meaning: float  # the nearest as a whole


class Matcher:
    """The bank, ready to be asked."""

    def __init__(self, index: Index):
        titles = {(e.section.lesson.number, e.section.title): e.section for e in index.entries}
        self._answers = [one for one in bank() if (one.lesson, one.section) in titles]
        self._sections = [titles[one.lesson, one.section] for one in self._answers]
        self._lexicon = index.lexicon
        asked = [words(q) for one in self._answers for q in one.questions]
        texts = [words(f"{one.text} {one.section}") for one in self._answers]
        counts = np.array([len(one.questions) for one in self._answers])
        self._starts = np.cumsum(counts) - counts
        self._vocabulary = _Vocabulary(self._answers, [*asked, *texts], self._lexicon)
        self._asked = self._vocabulary.padded(asked)
        self._texts = self._vocabulary.padded(texts)
        self._weights = self._vocabulary.weights[self._asked]
        self._wholes = vectors([" ".join(row) for row in asked])

    def rank(self, question: str, found: Sequence[Match]) -> list[Candidate]:
        """Return the answers, best first.

        Args:
            question: the learner's.
            found: the sections that fit it, as `Index.rank` returns them.
        """
        said = [self._lexicon.spelled(word) for word in words(question)]
        if not said or not self._answers:
            return []
        near, weights = self._vocabulary.near(said)
        in_asked = near[:, self._asked]
        there = np.maximum.reduceat(in_asked.max(axis=2), self._starts, axis=1)
        there = np.maximum(there, near[:, self._texts].max(axis=2))
        covered = weights @ there / max(weights.sum(), 1e-9)
        asked = np.maximum.reduceat(self._alike(in_asked, weights), self._starts)
        nearest, second = self._meanings(" ".join(said))
        best = max((one.score for one in found), default=0.0) or 1.0
        scores = {id(one.section): one.score / best for one in found}
        section = np.array([scores.get(id(where), 0.0) for where in self._sections])
        value = covered + NEAREST * nearest + SECOND * second + SECTION * section
        return [
            Candidate(self._answers[i], self._sections[i], *map(float, row))
            for i in np.argsort(-value, kind="stable")[:20]
            for row in [(value[i], asked[i], nearest[i])]
        ]

    def _meanings(self, said: str) -> tuple[np.ndarray, np.ndarray]:
        """Return how near the nearest and the second of each answer's questions are as a whole."""
        whole = vectors([said])
        if self._wholes is None or whole is None:
            return np.zeros(len(self._answers)), np.zeros(len(self._answers))
        near = self._wholes @ whole[0]
        nearest = np.maximum.reduceat(near, self._starts)
        first = np.repeat(nearest, np.diff([*self._starts, len(near)])) == near
        second = np.maximum.reduceat(np.where(first, -1.0, near), self._starts)
        return nearest, second

    def _alike(self, near: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return how much each question of the bank and the learner's say of each other."""
        of_theirs = weights @ near.max(axis=2) / max(weights.sum(), 1e-9)
        known = (near.max(axis=0) * self._weights).sum(axis=1)
        of_ours = known / np.maximum(self._weights.sum(axis=1), 1e-9)
        return 2 * of_theirs * of_ours / np.maximum(of_theirs + of_ours, 1e-9)


class _Vocabulary:
    """Every word of the bank: what it says, and which words are near it. The last place is none."""

    def __init__(self, answers: list[Authored], rows: list[Sequence[str]], lexicon: Lexicon):
        self._lexicon = lexicon
        self.words = sorted({word for row in rows for word in row})
        self._place = {word: place for place, word in enumerate(self.words)}
        stemmed = [stems(word)[0] for word in self.words]
        self._places: dict[str, list[int]] = {}  # of the words that have a stem
        for place, stem in enumerate(stemmed):
            self._places.setdefault(stem, []).append(place)
        held = (" ".join([*one.questions, one.text, one.section]) for one in answers)
        self._seen = Counter(stem for text in held for stem in set(stems(text)))
        self._total = len(answers)
        self.weights = np.array([*map(self._weight, stemmed), 0.0], dtype=np.float32)
        self._vectors = vectors(self.words)

    def _weight(self, stem: str) -> float:
        light = LIGHT if stem in self._lexicon.everyday else 1.0
        return light * math.log(1 + self._total / (1 + self._seen.get(stem, 0)))

    def padded(self, rows: Sequence[Sequence[str]]) -> np.ndarray:
        """Return each row's words as places, filled up with none."""
        longest = max(map(len, rows), default=1)
        table = np.full((len(rows), longest), len(self.words))
        for line, row in zip(table, rows, strict=True):
            line[: len(row)] = [self._place[word] for word in row]
        return table

    def near(self, said: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return how near each word said is to each of the bank, and what each word said says."""
        own = stems(" ".join(said))
        near = np.zeros((len(said), len(self.words) + 1), dtype=np.float32)
        if self._vectors is not None and (mine := vectors(said)) is not None:
            near[:, :-1] = RELATED * np.clip(mine @ self._vectors.T, 0, 1) ** 2
        for row, stem in zip(near, own, strict=True):
            row[self._places.get(stem, [])] = 1.0
        weights = np.array([self._weight(stem) for stem in own], dtype=np.float32)
        return near, weights


_made: dict[int, tuple[Index, Matcher]] = {}


def matcher(index: Index) -> Matcher:
    """Return the matcher for an index; there is one for as long as the index is the same.

    Args:
        index: the sections.
    """
    if id(index) not in _made:
        _made.clear()
        _made[id(index)] = index, Matcher(index)
    return _made[id(index)][1]


def best_signs(candidates: Iterable[Candidate]) -> tuple[float, float, float]:
    """Return the best value, the best fit word by word and the best as a whole.

    Args:
        candidates: the answers that fit a question.
    """
    rows = [(one.value, one.asked, one.meaning) for one in candidates]
    best = [max(column) for column in zip(*rows, strict=True)] or [0.0, 0.0, 0.0]
    return best[0], best[1], best[2]

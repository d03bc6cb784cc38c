"""Decides whether the course covers a question: a logistic rule over a handful of signs."""

import math

from .lexicon import SearchTerm, data
from .search import Index, Match

SIGNS = (
    "covered",  # share of the question's weight that the best section has
    "missing",  # weight of the heaviest word that it lacks
    "unknown",  # words that neither the course nor an alias has
    "elsewhere",  # words that name a subject treated elsewhere
    "words",  # logarithm of how many words say something
    "mass",  # weight of what the best section has
    "phrase",  # best fit of a phrase of the best section
    "sentence",  # and of a sentence
    "term",  # best fit of an emphasised term in the three best sections
    "asked",  # best fit of a question of the bank in the three best sections
    "meaning",  # and how near the nearest is in meaning
)


def signs(index: Index, terms: list[SearchTerm], found: list[Match]) -> list[float]:
    """Return the value of each of `SIGNS` for a question that has words and sections."""
    best, *_ = three = sorted(found, key=lambda one: -one.alone)[:3]
    weights = [index.worth(t) if t.known else index.unknown for t in terms]
    there = [w for w, covered in zip(weights, best.covered, strict=True) if covered]
    missing = [w for w, covered in zip(weights, best.covered, strict=True) if not covered]
    return [
        sum(there) / sum(weights),
        max(missing, default=0.0) / 5,
        min(sum(not t.known and not t.elsewhere for t in terms), 3) / 3,
        min(sum(t.elsewhere for t in terms), 2) / 2,
        math.log(len(terms)),
        sum(there) / 10,
        best.fits["phrase"],
        best.fits["sentence"],
        max(one.fits["term"] for one in three),
        max(one.fits["asked"] for one in three),
        max(one.meaning for one in three),
    ]


def confidence(index: Index, terms: list[SearchTerm], found: list[Match]) -> float:
    """Return how sure it is that the course covers a question: above 0 it does."""
    if not terms or not found:
        return -math.inf
    rule = data()["refusal"]
    values = signs(index, terms, found)
    return rule["constant"] + sum(
        rule[name] * value for name, value in zip(SIGNS, values, strict=True)
    )

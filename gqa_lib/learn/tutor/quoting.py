"""Picks the sentences of a section that answer a question."""

import math
import re
from dataclasses import dataclass

from .lexicon import SearchTerm, stems
from .passages import Passage, Section
from .search import EMPHASIS, Index, Match, term_in

EXPLAINS = 1.0  # what it adds that a passage is the inside of a `<details>`: these explain
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
_REASON = re.compile(r"\b(?:because|since|so that|therefore|that is why)\b", re.IGNORECASE)


def quotes(
    asked: Index, chosen: list[Match], terms: list[SearchTerm], why: bool
) -> tuple[tuple[Section, tuple[str, ...]], ...]:
    """Return the sentences to quote, by section; two at least, four at most."""
    most = MOST_SENTENCES // len(chosen)
    return tuple((f.section, _window(asked, f.section, terms, most, why)) for f in chosen)


def _window(
    asked: Index, section: Section, terms: list[SearchTerm], most: int, why: bool
) -> tuple[str, ...]:
    """Return the neighbouring sentences of a section that say most about the question."""
    best = -math.inf
    chosen: tuple[str, ...] = ()
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


def _row(asked: Index, passage: Passage, terms: list[SearchTerm]) -> list[_Sentence]:
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
    asked: Index, row: list[_Sentence], before: str, terms: list[SearchTerm], why: bool
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
    """Return a lone sentence with the nearest other one that is not a table row."""
    row = [s for p in section.passages for s in p.sentences]
    if not chosen:
        return tuple(row[:2])
    at = row.index(chosen[0])
    near = sorted(range(len(row)), key=lambda i: (abs(i - at), i < at))
    for i in near:
        if i != at and " | " not in row[i] and not _TO_THE_READER.search(row[i]):
            return (row[min(i, at)], row[max(i, at)])
    return chosen


def flow(sentences: tuple[str, ...], mark: str = "") -> str:
    """Return sentences as a text, table rows on lines of their own."""
    text, after_row = "", False
    for sentence in sentences:
        is_row = " | " in sentence
        between = f"\n{mark}- " if is_row else "\n\n" if after_row else " "
        text, after_row = text + between + sentence, is_row
    return text.strip()

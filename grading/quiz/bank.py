"""The quiz bank in `solutions/`, the facts it rests on, and what a bank must satisfy."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gqa_lib.course.manifest import lessons
from gqa_lib.course.places import course_root
from gqa_lib.learn.quiz.questions import DRAWN, LETTERS

CLAIMS = {  # name -> what a page calls it
    "what_gqa_is": "What grouped-query attention is",
    "kv_memory_4_8x": "A cache 4 to 8 times smaller",
    "decode_bandwidth": "Decoding is bound by bandwidth",
    "throughput_when_memory_bound": "Throughput where memory decides",
    "workload_economics": "What it saves depends on the workload",
    "kv_variance_benchmarks": "How long requests are, and what a benchmark must do about it",
    "picking_group_count": "Choosing the number of KV heads",
    "matches_mha_quality": "Quality compared with multi-head attention",
    "predicting_quality": "Predicting quality",
    "mqa_compute_savings": "What multi-query attention saves in arithmetic",
    "no_help_when_compute_bound": "Where arithmetic decides",
    "post_training_addition": "Adding it to a trained model",
    "related_kv_techniques": "Other ways to a smaller cache",
}
LEVELS = ("remember", "understand", "apply", "analyse", "evaluate")
LEAST_DRAWN, LEAST_PER_CLAIM, CLOSING = 60, 4, 3
LONGEST_SHARE, LENGTH_RATIO = 0.35, (0.9, 1.1)
UNEVEN = 7.81  # chi-square of four letters, 3 degrees of freedom: passed by chance once in 20

_ALL_OR_NONE = re.compile(
    r"\b(all|none|neither|both|either) of (the )?(above|these|options|answers)\b", re.I
)
_LETTERS_NAMED = re.compile(r"\b(both|either|neither) [A-D]\b|\b[A-D] (and|or|nor) [A-D]\b|^[A-D]:")
_GROUP = re.compile(r"\bgroups?\b", re.I)  # not the `num_key_value_groups` of other code


@dataclass(frozen=True)
class Option:
    """One of four answers, and why it is right or wrong."""

    text: str
    why: str


@dataclass(frozen=True)
class BankQuestion:
    """One question of the bank; `answer` is the letter of the right option."""

    id: str
    claim: str
    level: str
    lesson: str
    closes: str | None
    stem: str
    options: tuple[Option, ...]
    answer: str
    facts: tuple[str, ...]
    derived: str | None

    @property
    def right(self) -> Option:
        """The right option."""
        return self.options[LETTERS.index(self.answer)]


@dataclass(frozen=True)
class Fact:
    """What is known, and where it was read."""

    text: str
    source: str


@cache
def load_bank(path: Path | None = None) -> list[BankQuestion]:
    """Return the questions of a bank, the course's own unless a path is given.

    Raises:
        ValueError: the file's version is another, or a question lacks a field.
    """
    path = path or course_root() / "solutions" / "quiz.toml"
    bank = tomllib.loads(path.read_text(encoding="utf-8"))
    if bank.get("version") != 1:
        raise ValueError(
            f"{path.name} has version {bank.get('version')!r}, and this code reads version 1. "
            "Take the bank and the code from the same commit."
        )
    return [_question(path.name, place, one) for place, one in enumerate(bank["questions"], 1)]


def _question(name: str, place: int, one: dict) -> BankQuestion:
    try:
        return BankQuestion(
            id=one["id"],
            claim=one["claim"],
            level=one["level"],
            lesson=one["lesson"],
            closes=one.get("closes"),
            stem=one["stem"],
            options=tuple(Option(option["text"], option["why"]) for option in one["options"]),
            answer=one["answer"],
            facts=tuple(one["facts"]),
            derived=one.get("derived"),
        )
    except KeyError as error:
        raise ValueError(
            f"{name}: question {place} ({one.get('id', 'without id')}) has no {error}: it can be "
            "neither shown nor graded. Add the field."
        ) from error


@cache
def facts() -> dict[str, Fact]:
    """Return the facts that questions cite, by id."""
    text = (course_root() / "solutions" / "facts.toml").read_text(encoding="utf-8")
    return {id: Fact(one["text"], one["source"]) for id, one in tomllib.loads(text).items()}


def lint_bank(questions: Sequence[BankQuestion], facts: Mapping[str, Fact]) -> list[str]:
    """Return what is wrong with a bank, in words; nothing if it may be used."""
    found = [f"{one.id}: {problem}" for one in questions for problem in _lint_question(one, facts)]
    if not found:  # a broken question has no right option to look at
        found += [*_lint_letters(questions), *_lint_lengths(questions)]
    found += [*_lint_ids(questions), *_lint_counts(questions), *_lint_closing(questions)]
    cited = {id for one in questions for id in one.facts}
    found += [f"no question cites fact {id}: leave it out" for id in facts if id not in cited]
    found += [
        f"fact {id} speaks of another by its id, which no learner sees: name its source"
        for id, fact in facts.items()
        if re.search(r"\bF\d+\b", f"{fact.text} {fact.source}")
    ]
    return found


def _lint_question(one: BankQuestion, facts: Mapping[str, Fact]) -> Iterator[str]:
    if one.claim not in CLAIMS:
        yield f"claim {one.claim!r} is unknown"
    if one.level not in LEVELS:
        yield f"level {one.level!r} is unknown; there are {', '.join(LEVELS)}"
    if not re.fullmatch(r"\d\d", one.lesson):
        yield f"lesson {one.lesson!r} is not a number of two digits"
    if len(one.options) != len(LETTERS):
        yield f"it has {len(one.options)} options instead of {len(LETTERS)}"
    if len({_plain(option.text) for option in one.options}) < len(one.options):
        yield "two of its options are the same"
    if len(one.answer) != 1 or one.answer not in LETTERS:
        yield f"its answer {one.answer!r} is not one of {', '.join(LETTERS)}"
    if any(not option.why.strip() for option in one.options):
        yield "an option does not say why"
    if not one.facts and not one.derived:
        yield "it cites no fact and is not derived"
    yield from (f"fact {id} does not exist" for id in one.facts if id not in facts)
    yield from _lint_words(one)


def _lint_words(one: BankQuestion) -> Iterator[str]:
    for text in (option.text for option in one.options):
        if _ALL_OR_NONE.search(text) or _LETTERS_NAMED.search(text):
            yield f"an option speaks of other options: {text}"
    for text in (one.stem, *(part for o in one.options for part in (o.text, o.why))):
        if _GROUP.search(text):
            yield f"it says group, which means KV heads to some and query heads to others: {text}"
        if "$" in text:
            yield f"it has a $, and the panel shows plain text: {text}"


def _lint_ids(questions: Sequence[BankQuestion]) -> Iterator[str]:
    for place, one in enumerate(questions, 1):
        if one.id != f"Q{place:02}":
            yield f"question {place} is {one.id} and should be Q{place:02}: number them in order"
    stems = Counter(_plain(one.stem) for one in questions)
    yield from (f"{n} questions ask the same: {stem}" for stem, n in stems.items() if n > 1)


def _lint_counts(questions: Sequence[BankQuestion]) -> Iterator[str]:
    drawn = sum(one.closes is None for one in questions)
    if drawn < LEAST_DRAWN:
        yield f"{drawn} questions close no lesson, and the quiz is drawn from {LEAST_DRAWN} or more"
    by_claim = Counter(one.claim for one in questions)
    for claim in CLAIMS:
        if by_claim[claim] < LEAST_PER_CLAIM:
            yield f"{claim} has {by_claim[claim]} questions and needs {LEAST_PER_CLAIM}"


def _lint_letters(questions: Sequence[BankQuestion]) -> Iterator[str]:
    counts = Counter(one.answer for one in questions)
    expected = len(questions) / len(LETTERS)
    if sum((counts[letter] - expected) ** 2 / expected for letter in LETTERS) > UNEVEN:
        shown = ", ".join(f"{letter} {counts[letter]}" for letter in LETTERS)
        yield f"the right answers are not spread evenly ({shown}): move some"


def _lint_lengths(questions: Sequence[BankQuestion]) -> Iterator[str]:
    rights = [len(one.right.text) for one in questions]
    wrongs = [[len(o.text) for o in one.options if o is not one.right] for one in questions]
    longest = sum(r > max(w) for r, w in zip(rights, wrongs, strict=True)) / len(questions)
    if longest > LONGEST_SHARE:
        yield f"the right option is the longest in {longest:.0%}, more than {LONGEST_SHARE:.0%}"
    mean = sum(r * len(w) / sum(w) for r, w in zip(rights, wrongs, strict=True)) / len(questions)
    low, high = LENGTH_RATIO
    if not low <= mean <= high:
        yield f"right options are {mean:.2f} times as long as wrong ones, not {low} to {high}"


def _lint_closing(questions: Sequence[BankQuestion]) -> Iterator[str]:
    known = [lesson.number for lesson in lessons() if lesson.number != DRAWN]
    for number in known:
        letters = [one.answer for one in questions if one.closes == number]
        if len(letters) != CLOSING:
            yield f"lesson {number} is closed by {len(letters)} questions and needs {CLOSING}"
        elif len(set(letters)) == 1:
            yield f"the three answers that close lesson {number} are all {letters[0]}"
    for one in questions:
        if one.closes is not None and one.closes not in known:
            yield f"{one.id}: it closes lesson {one.closes}, which course.toml does not list"


def _plain(text: str) -> str:
    return " ".join(text.lower().split())

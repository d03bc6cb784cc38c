"""What a term means, from the glossary, and how two terms differ."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from gqa_lib.course.manifest import terms

from .lexicon import Lexicon, data, stems, words

_AGAIN = r"(?:here|again|exactly|please|actually|in (?:this course|short|general)|eigentlich|genau)"
_ENDS = rf"(?:\s+(?:is|are|mean|means|stand|stands|for|bedeutet|ist|sind|{_AGAIN}))*\s*[?.!]*$"
_WHAT = re.compile(
    r"^(?:what(?:'s| is| are| does| do| did)?|whats|define|definition of|the meaning of|"
    r"meaning of|explain|tell me what|remind me what|(?:i )?(?:forgot|don'?t know|do not know) what|"
    rf"was (?:ist|sind|bedeutet|hei\w+t))\s+(?P<one>.+?){_ENDS}"
)
_ALONE = re.compile(r"^(?P<one>[\w /-]+?)\s*\?*$")
_BETWEEN = (
    re.compile(
        r"\b(?:difference|differences|distinction|unterschiede?)\s+(?:between|zwischen|of)\s+"
        rf"(?P<one>.+?)\s+(?:and|und|vs\.?|versus|to|from)\s+(?P<two>.+?){_ENDS}"
    ),
    re.compile(
        r"\bhow (?:is|are|do|does)\s+(?P<one>.+?)\s+(?:(?:any )?different|differ|distinct)\s+"
        rf"(?:from|to|than)\s+(?P<two>.+?){_ENDS}"
    ),
    re.compile(
        r"\b(?:is|are)(?:n'?t)?\s+(?P<one>.+?)\s+(?:just )?(?:the same as|the same thing as|equal to)"
        rf"\s+(?P<two>.+?){_ENDS}"
    ),
    re.compile(rf"^compare\s+(?P<one>.+?)\s+(?:and|with|to|vs\.?)\s+(?P<two>.+?){_ENDS}"),
    re.compile(rf"^(?P<one>.+?)\s+(?:vs\.?|versus|oder)\s+(?P<two>.+?){_ENDS}"),
)
_STRAY = re.compile(r"^(?:ok|okay|so|and|but|hey|hi|hello|um|hmm|please|wait|also|now|und|also)\W+")


@dataclass(frozen=True)
class Defined:
    """What a word of the course means, and where that is explained."""

    name: str
    means: str
    lesson: str
    section: str


def defined(question: str, lexicon: Lexicon) -> tuple[Defined, ...]:
    """Return the terms whose meaning a question asks for: one, two to compare, or none.

    Args:
        question: the learner's.
        lexicon: the words of the course.
    """
    text = " ".join(question.lower().split())
    while (shorter := _STRAY.sub("", text)) != text:
        text = shorter
    for pattern in _BETWEEN:
        if found := pattern.search(text):
            pair = tuple(_term(found[name], lexicon) for name in ("one", "two"))
            if pair[0] and pair[1] and pair[0] != pair[1]:
                return tuple(one for one in pair if one)
    for pattern in (_WHAT, _ALONE):
        found = pattern.search(text)
        if found and (one := _term(found["one"], lexicon)):
            return (one,)
    return ()


def in_a_sentence(one: Defined) -> str:
    """Return a definition as Markdown.

    Args:
        one: the term.
    """
    return f"**{one.name[0].upper()}{one.name[1:]}**: {one.means}"


def _term(phrase: str, lexicon: Lexicon) -> Defined | None:
    """Return the term that a phrase is, articles and plurals aside."""
    said = [lexicon.spelled(word) for word in words(phrase)]
    bare = tuple(s for s in stems(" ".join(said)) if s not in lexicon.everyday or s in _kept())
    return _known().get(bare)


@cache
def _kept() -> frozenset[str]:
    """Stems of terms that are everyday words as well."""
    return frozenset(stems(" ".join(one.name for one in _all())))


@cache
def _known() -> dict[tuple[str, ...], Defined]:
    found: dict[tuple[str, ...], Defined] = {}
    for one in _all():
        for name in _names(one.name):
            found.setdefault(tuple(stems(name)), one)
    by_name = {one.name.lower(): one for one in _all()}
    for said, meant in data()["called"].items():
        found[tuple(stems(said))] = by_name[meant.lower()]
    return found


def _names(name: str) -> Iterator[str]:
    yield name
    if " and " in name:  # "KiB and GiB"
        yield from name.split(" and ")


@cache
def _all() -> tuple[Defined, ...]:
    listed = [Defined(t.name, t.means, t.lesson.number, t.section) for t in terms().values()]
    for name, row in data()["defined"].items():
        lesson, _, section = row["section"].partition("#")
        listed.append(Defined(name, row["means"], lesson, section))
    return tuple(listed)

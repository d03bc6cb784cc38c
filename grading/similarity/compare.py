"""Compares the answers to one exercise, each with each."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from .tokens import fingerprints, tokens_of

LEAST = 12  # fingerprints of one's own that an answer needs to be compared
USUAL_SHARE = 0.2  # of the class: what so many wrote is the usual way
USUAL_LEAST = 10  # students: fewer may have it from each other


@dataclass(frozen=True)
class Pair:
    """Two answers to an exercise that share something of their own.

    Attributes:
        exercise: the exercise.
        students: the two ids.
        alike: from 0 to 1: twice what they share, by what both have.
        shared: fingerprints in both.
    """

    exercise: str
    students: tuple[str, str]
    alike: float
    shared: int


@dataclass
class Compared:
    """What came of comparing the answers to an exercise.

    Attributes:
        exercise: the exercise.
        answers: how many answers there are, beside untouched ones.
        short: how many had too little of their own to be compared.
        pairs: all pairs that share something, the most alike first.
        none: how many pairs share nothing.
        own: student -> fingerprint of their own -> lines that it stands on.
        holders: fingerprint -> how many students have it.
    """

    exercise: str
    answers: int = 0
    short: int = 0
    pairs: list[Pair] = field(default_factory=list)
    none: int = 0
    own: dict[str, dict[int, set[int]]] = field(default_factory=dict)
    holders: Counter[int] = field(default_factory=Counter)

    def lines(self, pair: Pair) -> tuple[set[int], set[int]]:
        """Return the lines of each of two answers that what they share stands on."""
        one, other = (self.own[student] for student in pair.students)
        shared = one.keys() & other.keys()
        return {n for s in shared for n in one[s]}, {n for s in shared for n in other[s]}

    def rarest(self, pair: Pair) -> int:
        """Return how many students have what two answers share, of that the least."""
        one, other = (self.own[student] for student in pair.students)
        return min(self.holders[number] for number in one.keys() & other.keys())

    def as_alike(self, pair: Pair) -> int:
        """Return how many pairs are at least as much alike as one of them."""
        return bisect_right(self.pairs, -pair.alike, key=lambda one: -one.alike)

    def histogram(self, bins: int = 20) -> list[int]:
        """Return how many of all pairs are how much alike, in equal steps from 0 to 1."""
        counts = [0] * bins
        counts[0] = self.none
        for pair in self.pairs:
            counts[min(bins - 1, int(pair.alike * bins))] += 1
        return counts

    def at_most(self, share: float) -> float:
        """Return how much alike that share of all pairs is at most."""
        total = self.none + len(self.pairs)
        below = round(total * (1 - share))  # pairs above it
        return self.pairs[below].alike if below < len(self.pairs) else 0.0


def compare(exercise: str, answers: Mapping[str, str], usual: Iterable[str]) -> Compared:
    """Return how much alike the answers to an exercise are.

    Args:
        exercise: its name.
        answers: student -> source.
        usual: what no two students have from each other: the stub, the solution and the catalogue.
    """
    prints = {student: fingerprints(tokens_of(source)) for student, source in answers.items()}
    holders = Counter(number for one in prints.values() for number in one)
    done = Compared(exercise, len(answers), holders=holders)
    most = max(USUAL_LEAST, USUAL_SHARE * len(answers))
    dropped = {number for number, count in holders.items() if count > most}
    for source in usual:
        dropped |= fingerprints(tokens_of(source)).keys()
    for student in sorted(prints):
        own = {number: lines for number, lines in prints[student].items() if number not in dropped}
        if len(own) >= LEAST:
            done.own[student] = own
    done.short = len(answers) - len(done.own)
    place = {number: 1 << at for at, number in enumerate(holders)}
    masks = [(who, sum(place[n] for n in own), len(own)) for who, own in done.own.items()]
    for (one, mine, length), (other, theirs, length_) in combinations(masks, 2):
        if shared := (mine & theirs).bit_count():
            alike = 2 * shared / (length + length_)
            done.pairs.append(Pair(exercise, (one, other), alike, shared))
        else:
            done.none += 1
    done.pairs.sort(key=lambda pair: (-pair.alike, -pair.shared, pair.students))
    return done

"""The draw: which questions a learner gets in an attempt. A pure function, alike everywhere."""

import hashlib
from collections.abc import Mapping

DRAWN_COUNT = 15


def draw(
    learner: str, attempt: int, claims: Mapping[str, str], count: int = DRAWN_COUNT
) -> list[str]:
    """Return the ids of the questions drawn for a learner's attempt, in the order to ask them.

    Each claim gives as many questions as any other, or one more. Attempts go on where the one
    before ended: a question comes again only after all others of its claim.

    Args:
        learner: the learner's id.
        attempt: 1, 2, ...
        claims: question id -> claim, of the whole bank.
        count: how many to draw.

    Raises:
        ValueError: the attempt is not a positive number, or the bank is too small.
    """
    if attempt < 1 or count > len(claims):
        raise ValueError(
            f"cannot draw {count} of {len(claims)} questions for attempt {attempt}: attempts count "
            "from 1, and no question is drawn twice."
        )
    by_claim: dict[str, list[str]] = {}
    for name in sorted(claims, key=lambda name: _rank(learner, name)):
        by_claim.setdefault(claims[name], []).append(name)
    begun = dict.fromkeys(by_claim, 0)
    for now in range(1, attempt):
        for claim, share in _shares(learner, now, by_claim, count).items():
            begun[claim] += share
    drawn = [
        names[(begun[claim] + place) % len(names)]
        for claim, names in by_claim.items()
        for place in range(_shares(learner, attempt, by_claim, count)[claim])
    ]
    return sorted(drawn, key=lambda name: _rank(learner, attempt, name))


def _shares(learner: str, attempt: int, by_claim: dict[str, list[str]], count: int) -> dict:
    """Return how many questions each claim gives in an attempt."""
    shares = dict.fromkeys(by_claim, 0)
    order = sorted(by_claim, key=lambda claim: _rank(learner, attempt, claim))
    while True:
        for claim in order:
            if sum(shares.values()) == count:
                return shares
            shares[claim] += shares[claim] < len(by_claim[claim])


def _rank(*parts: str | int) -> bytes:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).digest()

"""The page of alike answers: one file that loads nothing, with all words of students as text."""

from pathlib import Path
from typing import Any

from gqa_lib.course.files import private_mode, replace_file
from grading.pages.template import environment

from .compare import Compared, Pair
from .lesson import HOW, Alike

_BINS = 20


def write_page(found: Alike, path: Path) -> None:
    """Write the page; nobody but its owner can read it.

    Args:
        found: what came of comparing.
        path: the file.

    Raises:
        OSError: it cannot be written.
    """
    by_name = {one.exercise: one for one in found.exercises}
    page = (
        environment(Path(__file__).parent)
        .get_template("page.html.j2")
        .render(
            found=found,
            how=HOW,
            exercises=[(one, _bars(one)) for one in found.exercises],
            pairs=[_shown(pair, by_name[pair.exercise], found) for pair in found.pairs],
        )
    )
    replace_file(path, page.encode("utf-8", "replace"), mode=private_mode(path), exact=True)


def _bars(one: Compared) -> list[dict[str, Any]]:
    """Return the bars of an exercise's histogram: heights by the root of the number of pairs."""
    counts = one.histogram(_BINS)
    most = max(counts) or 1
    step = 100 // _BINS
    return [
        {
            "count": count,
            "height": max(1, round(60 * (count / most) ** 0.5)) if count else 0,
            "left": place * step,
            "says": f"{count} pairs from {place * step} to {(place + 1) * step} %",
        }
        for place, count in enumerate(counts)
    ]


def _shown(pair: Pair, one: Compared, found: Alike) -> dict[str, Any]:
    """Return a pair as the page shows it: each line with whether it stands in both."""
    sides = []
    for student, marked in zip(pair.students, one.lines(pair), strict=True):
        lines = found.sources[pair.exercise, student].splitlines()
        sides.append((student, [(text, n in marked) for n, text in enumerate(lines, 1)]))
    also = [p.exercise for p in found.pairs if p.students == pair.students and p is not pair]
    total = one.none + len(one.pairs)
    return {
        "pair": pair,
        "sides": sides,
        "rank": one.as_alike(pair),
        "of": total,
        "rarest": one.rarest(pair),
        "also": also,
    }

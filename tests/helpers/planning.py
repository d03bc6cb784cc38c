"""The course as it was when one of its lessons was planned and not yet written."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from unittest.mock import patch

from gqa_lib.course import manifest


@contextmanager
def planned(number: str) -> Iterator[manifest.Planned]:
    """Have a lesson that is written be planned only, and give it.

    Args:
        number: of the lesson.
    """
    found = deepcopy(manifest.manifest())
    for row in found["lessons"]:
        if row["number"] == number:
            for key in row.keys() - {"number", "slug", "title", "part", "claim"}:
                del row[key]
            row["planned"] = True
        elif number in row.get("prerequisites", []):
            row["prerequisites"].remove(number)
    found["terms"] = {name: row for name, row in found["terms"].items() if row["lesson"] != number}
    try:
        with patch.object(manifest, "manifest", lambda: found):
            _forget()
            yield next(one for one in manifest.planned_lessons() if one.number == number)
    finally:
        _forget()


def _forget() -> None:
    for known in (
        manifest.outline,
        manifest.lessons,
        manifest.planned_lessons,
        manifest.terms,
    ):
        known.cache_clear()

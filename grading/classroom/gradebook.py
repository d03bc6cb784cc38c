"""Opens the class's gradebook, wherever it is kept."""

import contextlib
from collections.abc import Iterator

from nbgrader.api import Gradebook

from gqa_lib.course import places
from grading.nb.databases import telling
from grading.nb.new_gradebook import without_a_program
from grading.nb.steps import quietly

from ..settings import COURSE_ID, gradebook_url, keep_private


@contextlib.contextmanager
def open_gradebook(url: str | None = None) -> Iterator[Gradebook]:
    """Yield the class's gradebook; one that is not there yet is made.

    Args:
        url: the database; what `gradebook_url` says unless given.

    Raises:
        OSError: the database does not answer.
    """
    url = url or gradebook_url()
    without_a_program()
    keep_private(places.home())
    with quietly(), telling(url), Gradebook(url, COURSE_ID) as gradebook:
        yield gradebook

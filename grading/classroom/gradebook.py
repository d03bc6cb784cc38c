"""Opens the class's gradebook, wherever it is kept."""

import contextlib
from collections.abc import Iterator

from nbgrader.api import Gradebook
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from gqa_lib.course import places
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
    with quietly():
        try:
            with Gradebook(url, COURSE_ID) as gradebook:
                yield gradebook
        except OperationalError as error:
            where = make_url(url).render_as_string(hide_password=True)
            raise OSError(
                f"the gradebook {where} does not answer: {str(error.orig).strip()}. Is the "
                "database server running, and is GQA_GRADEBOOK its address?"
            ) from error

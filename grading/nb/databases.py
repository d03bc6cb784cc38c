"""What to say when the gradebook's database does not answer."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError


def no_answer(url: str, error: OperationalError) -> OSError:
    """Return the error that says why a gradebook does not answer, without its password.

    Args:
        url: the database.
        error: what it raised.
    """
    address = make_url(url)
    why = str(error.orig).strip()
    if address.get_backend_name() != "sqlite":
        remedy = "Is the database server running, and is GQA_GRADEBOOK its address?"
    elif "locked" in why:
        remedy = (
            "Another program writes it: wait for that, or close it. Where the file is on a network "
            "drive, move it to a disk of this machine."
        )
    else:
        remedy = "Can this user write the file and its folder, and is there space on the disk?"
    where = address.render_as_string(hide_password=True)
    return OSError(f"the gradebook {where} does not answer: {why}. {remedy}")


@contextlib.contextmanager
def telling(url: str) -> Iterator[None]:
    """Say why the gradebook does not answer; nbgrader says `nbgrader db upgrade` to all of it.

    Args:
        url: the database.

    Raises:
        OSError: it does not answer; everything else is raised as it is.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OperationalError):
            cause = cause.__cause__ or cause.__context__
        if cause is None or isinstance(error, OSError) or "no such" in str(cause.orig):
            raise  # a gradebook of another version does need the upgrade
        raise no_answer(url, cause) from error

"""Whose doing an exception is: that of the notebook at hand, or the machine's."""

from subprocess import SubprocessError

from sqlalchemy.exc import SQLAlchemyError

from grading.nb.texts import one_line

from .fork_server import Ended


class NotTheirs(RuntimeError):
    """Grading cannot go on, and no submission has done anything to that."""


_MACHINE = (OSError, MemoryError, SQLAlchemyError, SubprocessError, Ended, NotTheirs)


def verdict_of(error: Exception, step: str) -> str:
    """Return what a student reads of an exception that their notebook raised in a step of grading.

    Args:
        error: the exception.
        step: the step that it ended, as "Running your notebook".

    Raises:
        Exception: the error itself, when the machine is at fault (a full disk, a database that
            does not answer): nobody loses a mark for that, the submission is graded again.
    """
    if isinstance(error, _MACHINE) or type(error) is RuntimeError:  # "can't start new thread"
        raise error
    reason = one_line(f"{type(error).__name__}: {error}", 120).replace("`", "'")
    return f"{step} stopped with `{reason}`. Details are in your instructor's log."

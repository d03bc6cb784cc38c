"""How nbgrader makes a gradebook that is not there yet."""

from functools import cache

from nbgrader import api
from nbgrader.dbutil import ALEMBIC_DIR


def without_a_program() -> None:
    """Let nbgrader look up in this process which version its tables have.

    It runs `alembic heads` for that, which takes longer than a lesson's grading.
    """
    api.get_alembic_version = _version


@cache
def _version() -> str:
    from alembic.script import ScriptDirectory

    head = ScriptDirectory(ALEMBIC_DIR).get_current_head()
    assert head is not None  # nbgrader has migrations
    return head

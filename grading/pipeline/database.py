"""The gradebook while a class is graded: opened once."""

import contextlib
from collections.abc import Iterator
from unittest.mock import patch

from nbgrader.api import Gradebook
from sqlalchemy import Engine
from sqlalchemy.orm import scoped_session, sessionmaker


@contextlib.contextmanager
def one_database() -> Iterator[None]:
    """Let nbgrader, which opens the gradebook nine times a submission, look at its tables once."""
    engines: dict[str, Engine] = {}
    first = Gradebook.__init__

    def again(self, db_url, course_id="default_course", authenticator=None):
        if db_url not in engines:
            first(self, db_url, course_id, authenticator)
            engines[db_url] = self.engine
        self.engine, self.course_id, self.authenticator = engines[db_url], course_id, authenticator
        self.db = scoped_session(sessionmaker(bind=self.engine))

    with patch.object(Gradebook, "__init__", again):
        yield

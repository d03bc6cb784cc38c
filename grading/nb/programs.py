"""Programs that nbgrader calls by their bare names."""

import os
import sys
from pathlib import Path


def find_own_programs() -> None:
    """Put this Python's programs on the path: nbgrader calls alembic, which is next to it."""
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    if folder not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, (folder, path)))

"""What the trials of whole classes share: submissions put in place, commands that must end well."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nbgrader.coursedir import CourseDirectory

GQA = (sys.executable, "-m", "gqa_lib.cli")


def put_submission(course: CourseDirectory, student: str, notebook: bytes) -> None:
    """Put a notebook where collecting leaves it.

    Args:
        course: nbgrader's course, set to the assignment.
        student: whose it is.
        notebook: what is in the file.
    """
    name = course.assignment_id
    folder = Path(course.format_path(course.submitted_directory, student, name))
    folder.mkdir(parents=True)
    (folder / f"{name}.ipynb").write_bytes(notebook)


def run(command: Sequence[str], folder: Path | None = None, **variables: str) -> None:
    """Run a command to its end.

    Args:
        command: the program and its arguments.
        folder: where it runs; here unless given.
        variables: of its environment, besides this process's own.

    Raises:
        RuntimeError: it ended badly; the message has what it printed.
    """
    env = os.environ | variables
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with:\n{done.stdout}{done.stderr}")

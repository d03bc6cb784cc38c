"""The cell magic `%%ask`, for notebooks anywhere."""

import os
from pathlib import Path
from typing import Any

from IPython.display import Markdown, display

from gqa_lib.course.manifest import lessons

from .answer import ask
from .reply import Reply
from .showing import markdown

_before: list[Reply] = []  # the last answer of this kernel, which "why?" leans on


def lesson_of(path: str | Path | None) -> str | None:
    """Return the slug of the lesson that a notebook is a copy of, if it is one."""
    if not path:
        return None
    parts = Path(path).parts
    names = {*parts[-2:-1], Path(path).stem.partition(".")[0]}
    return next((lesson.slug for lesson in lessons() if lesson.slug in names), None)


def ask_cell(line: str, cell: str) -> None:
    """Answer the question in a cell; the notebook's own lesson comes first."""
    slug = lesson_of(os.environ.get("JPY_SESSION_NAME"))
    reply = ask(f"{line} {cell}", slug, before=_before[-1] if _before else None)
    if reply.leads_on:
        _before[:] = [reply]
    display(Markdown(markdown(reply)))


def load_ipython_extension(shell: Any) -> None:
    """Make `%%ask` known; the name that IPython looks for."""
    shell.register_magic_function(ask_cell, "cell", "ask")

"""What a command of `gqa` is."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

AUDIENCES = {
    "learner": "for learners",
    "instructor": "for instructors",
    "engineer": "for engineers",
    "author": "for authors of lessons",
}


def _no_arguments(parser: ArgumentParser) -> None:
    pass


@dataclass(frozen=True)
class Command:
    """One command; a package offers a tuple of them by the entry point group `gqa.commands`.

    Args:
        name: what is typed after `gqa`.
        audience: a key of `AUDIENCES`.
        help: one line.
        run: takes the parsed arguments; returns the exit code, None is 0. It imports what it needs
            itself, so that no command waits for another's imports.
        arguments: adds the command's own arguments.
        takes_folders: whether `--home` and `--work` make sense for it.
    """

    name: str
    audience: str
    help: str
    run: Callable[[Namespace], int | None]
    arguments: Callable[[ArgumentParser], None] = _no_arguments
    takes_folders: bool = True

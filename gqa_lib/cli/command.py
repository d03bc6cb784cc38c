"""What a command of `gqa` is."""

import math
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any

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
        adds_help: whether `arguments` adds `--help` itself.
    """

    name: str
    audience: str
    help: str
    run: Callable[[Namespace], int | None]
    arguments: Callable[[ArgumentParser], None] = _no_arguments
    takes_folders: bool = True
    adds_help: bool = False


def in_a_line(run: Callable[[Namespace], int | None]) -> Callable[[Namespace], int]:
    """Return a command that says in one line what is refused, and then returns 2.

    Args:
        run: what it does; its exit code is kept, None is 0.
    """

    @wraps(run)
    def told(arguments: Namespace) -> int:
        try:
            return run(arguments) or 0
        except BrokenPipeError:  # whoever reads on has closed
            raise
        except (ValueError, OSError, ImportError) as refused:
            print(f"gqa: {' '.join(str(refused).split())}", file=sys.stderr)
            return 2

    return told


def loaded(module: str, name: str) -> Callable[[Any], Any]:
    """Return what stands for a function of a module of this package, and loads that when called.

    Args:
        module: its name in the package.
        name: of the function.
    """
    return lambda given: getattr(import_module(f".{module}", __package__), name)(given)


def whole(least: int, most: int = 2**40) -> Callable[[str], int]:
    """Return what reads a whole number of a command line, for argparse's `type`.

    Args:
        least, most: that it may be.
    """

    end = f"to {most:,}" if most < 2**40 else "up"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least} {end}")
        return value

    return read


def number(above: float = -math.inf) -> Callable[[str], float]:
    """Return what reads a finite number of a command line, for argparse's `type`.

    Args:
        above: what it must be greater than.
    """
    wanted = "a number" if above == -math.inf else f"a number above {above:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > above):
            raise ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return read


def folder(text: str) -> str:
    """Return the name of a folder, there or not, of a command line; for argparse's `type`."""
    if not text.strip() or "\0" in text:
        raise ArgumentTypeError(f"{text!r} is not the name of a folder")
    if os.path.exists(text) and not os.path.isdir(text):
        raise ArgumentTypeError(f"{text} is a file: name a folder")
    return text


def separated(text: str) -> list[str]:
    """Return what a command line lists, separated by commas; for argparse's `type`."""
    found = [one.strip() for one in text.split(",")]
    if not all(found):
        raise ArgumentTypeError(f"{text!r} has an empty place in what it lists")
    return found

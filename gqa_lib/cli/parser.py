"""The `gqa` command: finds the commands there are and runs one; each loads only what it needs."""

import argparse
import os
import signal
import sqlite3
import sys
from importlib.metadata import entry_points
from textwrap import wrap
from typing import NoReturn

from gqa_lib import __version__
from gqa_lib.course.extras import NAME, missing
from gqa_lib.processes import stopping

from .command import AUDIENCES, Command, folder

_GROUP = "gqa.commands"


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # jsonschema would compile the grammar of a format that no notebook uses: two seconds
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    commands = _commands()
    arguments = _parser(commands).parse_args(_in_one_word(argv, commands))
    for name in ("home", "work"):
        if chosen := getattr(arguments, name, None):
            os.environ[f"GQA_{name.upper()}"] = chosen
    try:
        with stopping():
            return arguments.run(arguments) or 0
    except ModuleNotFoundError as error:
        print(f"gqa: {_missing(error)}", file=sys.stderr)
    except BrokenPipeError:  # whoever reads on has closed, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError, sqlite3.Error) as error:
        print(f"gqa: {error}", file=sys.stderr)
    except KeyboardInterrupt as stop:
        print(f"gqa: stopped by {str(stop) or 'Ctrl-C'}", file=sys.stderr)
        return 128 + getattr(stop, "number", signal.SIGINT)
    return 1


def _commands() -> list[Command]:
    """Return the commands of every installed package that offers some, the library's own first."""
    offers = sorted(entry_points(group=_GROUP), key=lambda offer: offer.name != "library")
    return [command for offer in offers for command in offer.load()]


def _in_one_word(argv: list[str] | None, commands: list[Command]) -> list[str]:
    """Return a command line with its first two words as one, where together they name a command."""
    words = sys.argv[1:] if argv is None else list(argv)
    together = " ".join(words[:2])
    return [together, *words[2:]] if together in {one.name for one in commands} else words


def _missing(error: ModuleNotFoundError) -> str:
    """Return what to do about a module that is not there."""
    module = error.name or str(error)
    if module.startswith("grading."):
        return "this command is for instructors; a students' copy of the course does not have it."
    return missing(module)


class _Parser(argparse.ArgumentParser):
    """One whose errors are a line, as those of the commands are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. `{self.prog} --help` says what there is.\n")


def _parser(commands: list[Command]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gqa",
        usage="gqa COMMAND ...",
        description="Learn, measure and decide on grouped-query attention.",
        epilog=_by_audience(commands),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{NAME} {__version__}")
    parsers = parser.add_subparsers(
        required=True, metavar="COMMAND", prog="gqa", help=argparse.SUPPRESS
    )
    for command in commands:
        added = parsers.add_parser(
            command.name, description=command.help, add_help=not command.adds_help
        )
        added.set_defaults(run=command.run)
        if command.takes_folders:
            added.add_argument(
                "--home", type=folder, help="folder of your records (else $GQA_HOME)"
            )
            added.add_argument(
                "--work", type=folder, help="folder of your notebooks (else $GQA_WORK)"
            )
        command.arguments(added)
    return parser


def _by_audience(commands: list[Command]) -> str:
    """Return the list of commands that `gqa --help` shows."""
    lines = []
    for audience, title in AUDIENCES.items():
        own = [command for command in commands if command.audience == audience]
        lines += [f"\n{title}:"] if own else []
        for command in own:
            first, *rest = wrap(command.help, 76)
            lines += [f"  {command.name:<14}{first}", *(f"{'':<16}{line}" for line in rest)]
    return "\n".join([*lines, "\n`gqa COMMAND --help` says more about one."]).lstrip()

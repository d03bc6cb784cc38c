"""`gqa bench report` and `gqa bench compare`: what runs say, alone and against others."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .command import folder, in_a_line, number


def report_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa bench report`.

    Args:
        parser: the command's.
    """
    parser.add_argument("folder", type=folder, help="folder of the runs, as --out of `gqa bench`")
    _margin(parser)
    parser.add_argument("--output", type=folder, help="folder to write (default: FOLDER/report)")


def compare_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa bench compare`.

    Args:
        parser: the command's.
    """
    parser.add_argument("before", metavar="A", type=folder, help="folder of the runs before")
    parser.add_argument("after", metavar="B", type=folder, help="folder of the runs after")
    _margin(parser)
    parser.add_argument("--output", type=Path, help="also write a page here, .html or .md")


def _margin(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--margin",
        type=number(above=0),
        default=0.05,
        help="share by which results must differ to matter (default: 0.05)",
    )


def report(asked: Namespace) -> int:
    """Write the report of a folder of runs and return the exit code.

    Args:
        asked: the parsed arguments.
    """
    from gqa_lib.bench.results.report import write_report

    output = Path(asked.output) if asked.output else Path(asked.folder) / "report"
    print(write_report(Path(asked.folder), output, margin=asked.margin))
    return 0


@in_a_line  # 1 would say that B is slower
def compare(asked: Namespace) -> int:
    """Compare two folders of runs and return the exit code.

    Args:
        asked: the parsed arguments.
    """
    from gqa_lib.bench.results.compared import main

    return main(Path(asked.before), Path(asked.after), asked.margin, asked.output)

"""The commands for learning platforms, marks that leave, hand-ins that come, and alike answers."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from gqa_lib.cli.command import Command, separated, whole
from gqa_lib.course.manifest import find_lesson


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", type=Path, help="the file to write (default: the terminal)"
    )
    parser.add_argument("--long", action="store_true", help="one row per student and lesson")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="CSV",
        help="enter the marks into this gradebook file of Canvas, Blackboard, Moodle or ILIAS",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="with --into: the file to write (default: next to it, with -gqa in its name)",
    )
    parser.add_argument(
        "--lesson", type=separated, help="with --into: only these lessons, separated by commas"
    )


def _export(arguments: Namespace) -> None:
    from .classroom.export import export
    from .platforms.fill import fill

    if arguments.into:
        if arguments.file or arguments.long:
            raise ValueError("--into writes the platform's own file: name the result with -o.")
        chosen = arguments.lesson and [find_lesson(name) for name in arguments.lesson]
        print(fill(arguments.into, arguments.output, chosen))
        return
    if arguments.output or arguments.lesson:
        raise ValueError("-o and --lesson are for --into: `gqa export marks.csv` needs neither.")
    students = export(arguments.file, long=arguments.long)
    if arguments.file:
        print(f"{arguments.file}: the marks of {students} students")


def _collect_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="zip of all hand-ins, as the platform makes it")
    parser.add_argument("--lesson", required=True, help="number or name, for example 04")
    parser.add_argument(
        "--platform", choices=("moodle", "canvas", "blackboard", "ilias"), help="if unclear"
    )
    parser.add_argument("--timezone", help="of the times in Blackboard's names")
    parser.add_argument("--worksheet", type=Path, help="Moodle's grading worksheet (CSV)")
    parser.add_argument(
        "--replace", action="store_true", help="take these in place of what the exchange had"
    )


def _collect(arguments: Namespace) -> int:
    from .platforms.collect import collect_zip, lines_of

    done = collect_zip(
        arguments.file,
        find_lesson(arguments.lesson),
        platform=arguments.platform,
        timezone=arguments.timezone,
        worksheet=arguments.worksheet,
        replace=arguments.replace,
    )
    print("\n".join(lines_of(done)))
    return bool(done.left)


def _similar_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lesson", help="number or name, for example 04")
    parser.add_argument(
        "-o", "--output", type=Path, help="the page to write (default: similar-NN.html)"
    )
    parser.add_argument(
        "--most", type=whole(1, 1000), default=40, help="pairs of answers to show (default: 40)"
    )


def _similar(arguments: Namespace) -> None:
    from .similarity.lesson import compare_lesson
    from .similarity.page import write_page

    lesson = find_lesson(arguments.lesson)
    path = arguments.output or Path(f"similar-{lesson.number}.html")
    found = compare_lesson(lesson, most=arguments.most)
    write_page(found, path)
    print(f"{found}\n{path}: the pairs, side by side. It is for you: it says nothing of why.")


PLATFORM = (
    Command(
        "export",
        "instructor",
        "write the marks as CSV, or into a platform's file",
        _export,
        _export_arguments,
    ),
    Command(
        "collect",
        "instructor",
        "take the hand-ins of a platform's zip, to be graded",
        _collect,
        _collect_arguments,
    ),
    Command(
        "similar",
        "instructor",
        "show pairs of answers that are alike, for a person to read",
        _similar,
        _similar_arguments,
    ),
)

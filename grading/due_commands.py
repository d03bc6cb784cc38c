"""The commands about when lessons are due, for whom, and what being late costs."""

import argparse
from argparse import ArgumentParser, Namespace
from datetime import UTC, timedelta
from pathlib import Path

from gqa_lib.cli.command import Command
from gqa_lib.course.manifest import find_lesson


def _percent(text: str) -> float:
    try:
        value = 0.0 if text == "none" else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 0 to 100 percent nor 'none'")
    return value


def _due_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", type=Path, help="CSV with lesson, due (default: list what is entered)"
    )
    parser.add_argument(
        "--timezone", help="e.g. Europe/Berlin, from now on (default: that of class.toml)"
    )
    parser.add_argument(
        "--late-penalty",
        type=_percent,
        metavar="PERCENT",
        help="what each day late takes off the points earned, from now on; or 'none'",
    )


def _due(arguments: Namespace) -> None:
    from dataclasses import replace

    from .classroom.due import class_zone, due_dates, load_due_dates, zone_of
    from .classroom.extend import extensions_of
    from .intake.class_file import read_class, write_class

    if arguments.late_penalty is not None:
        write_class(replace(read_class(), percent_per_day=arguments.late_penalty))
    if arguments.timezone:  # `gqa extend` and the next file of due dates mean the same one
        zone_of(arguments.timezone)
        write_class(replace(read_class(), timezone=arguments.timezone))
    dates = load_due_dates(arguments.file) if arguments.file else due_dates()
    settings = read_class()
    for due in dates:
        print(due)
        for extension in extensions_of(settings, due.lesson, class_zone()):
            print(f"  {extension}")
    print(f"Late penalty: {settings.penalty()}")


def _extend_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("student", help="the id in the roster")
    parser.add_argument("lesson", help="number or name, for example 04")
    parser.add_argument("--days", type=float, default=0.0, help="after the lesson's due date")
    parser.add_argument("--hours", type=float, default=0.0, help="the same, in hours")
    parser.add_argument("--until", help="instead: a time such as '2027-01-17 18:00'")
    parser.add_argument("--none", action="store_true", help="take the extension away")


def _extend(arguments: Namespace) -> None:
    from .classroom.cron import line_of
    from .classroom.extend import extend

    try:
        longer = timedelta(days=arguments.days, hours=arguments.hours)
    except (OverflowError, ValueError):
        longer = timedelta(-1)
    if longer < timedelta() or longer > timedelta(days=3660):
        raise ValueError(
            f"{arguments.days:g} days and {arguments.hours:g} hours are not an extension: give "
            "more than 0, and at most ten years."
        )
    if bool(longer) + bool(arguments.until) + arguments.none != 1:
        raise ValueError("give either --days and --hours, or --until, or --none.")
    lesson = find_lesson(arguments.lesson)
    given = extend(arguments.student, lesson, longer=longer or None, until=arguments.until)
    print(given)
    if given.until:
        at = given.until.astimezone(UTC).replace(tzinfo=None)
        print(f"To collect and grade it then, in `crontab -e`:\n{line_of(lesson, at)}")


DUE = (
    Command("due", "instructor", "enter due dates, or list them", _due, _due_arguments),
    Command(
        "extend",
        "instructor",
        "give a student more time, before or after they hand in",
        _extend,
        _extend_arguments,
    ),
)

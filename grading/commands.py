"""The commands of the course beyond the library: for learners, instructors and authors."""

import argparse
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from gqa_lib.cli.command import Command, separated, whole
from gqa_lib.course.manifest import class_exchange, find_lesson, lessons

from .author_commands import AUTHORS
from .due_commands import DUE
from .platform_commands import PLATFORM

# For learners


def _lab_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lesson", nargs="?", help="number or name (default: the one you were in)")
    parser.add_argument(
        "--role",
        choices=("student", "instructor"),
        default="student",
        help="instructor: with nbgrader's Formgrader, Create Assignment and course list",
    )
    parser.add_argument(
        "--port", type=whole(1, 65_535), help="port on 127.0.0.1 (default: free from 8888)"
    )
    parser.add_argument(
        "--ip",
        default="127.0.0.1",
        help="address to listen on, for containers (default: 127.0.0.1, this machine alone)",
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers reach it from elsewhere, such as course.example.org",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def _lab(arguments: Namespace) -> None:
    from .learner.lab import open_lab

    open_lab(
        None if arguments.lesson is None else find_lesson(arguments.lesson),
        role=arguments.role,
        browser=False if arguments.no_browser else None,
        port=arguments.port,
        ip=arguments.ip,
        hosts=arguments.host,
    )


def _submit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lesson", help="number or name, for example 01")
    parser.add_argument("--incomplete", action="store_true", help="unanswered questions are meant")


def _submit(arguments: Namespace) -> int:
    lesson = find_lesson(arguments.lesson)
    seconds = "" if class_exchange() else " Grading takes about 20 seconds."
    print(f"Submitting {lesson.number} {lesson.title}.{seconds}", flush=True)
    from .learner.report import report
    from .learner.submit import SubmitError, submit
    from .learner.unfinished import go_on

    try:
        if not arguments.incomplete and not go_on(lesson):
            return 1
        marks = submit(lesson)
    except SubmitError as error:
        print(f"gqa submit: {error}", file=sys.stderr)
        return 1
    print(report(lesson, marks))
    return 0


def _reset_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lesson", help="number or name, for example 04")
    parser.add_argument("exercise", nargs="?", help="its name, for example expand_kv")
    parser.add_argument("--all", action="store_true", help="the whole lesson")


def _reset(arguments: Namespace) -> None:
    from .learner.reset import reset

    lesson = find_lesson(arguments.lesson)
    if arguments.all == bool(arguments.exercise):
        raise ValueError(
            f"nothing was reset: name an exercise, as in `gqa reset {lesson.number} NAME`, or use "
            f"`gqa reset {lesson.number} --all` for the whole lesson."
        )
    print(reset(lesson, arguments.exercise))


def _demo(arguments: Namespace) -> int:
    from .learner.demo import demo

    return demo()


# For instructors


def _seed(text: str) -> int | str:
    try:
        return text if text == "none" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor 'none'") from None


def _release_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lesson", nargs="*", help="numbers or names (default: all)")
    parser.add_argument(
        "--students",
        metavar="FOLDER",
        help="make the students' copy of the course instead: a "
        "folder, or an archive named .zip or .tar.gz",
    )
    parser.add_argument("--exchange", help="folder of the class's exchange (else $GQA_EXCHANGE)")
    parser.add_argument(
        "--seed",
        type=_seed,
        help="seed of the hidden tests from now on; 'none' draws anew each run",
    )
    parser.add_argument(
        "--new-attempt",
        action="store_true",
        help="open another attempt at the quiz, with different questions, from now on",
    )


def _release(arguments: Namespace) -> None:
    from .classroom.bundle import students_bundle
    from .classroom.cron import crontab
    from .classroom.privacy import warnings
    from .classroom.release import release
    from .intake.class_file import make_class_file, set_course_seed

    chosen = [find_lesson(name) for name in arguments.lesson]
    if arguments.students and chosen:
        raise ValueError("a students' copy has every lesson: name none with --students.")
    if arguments.exchange:
        os.environ["GQA_EXCHANGE"] = arguments.exchange
    for warning in warnings():
        print(f"Warning: {warning}", file=sys.stderr)
    if arguments.seed is not None:
        set_course_seed(None if arguments.seed == "none" else arguments.seed)
    what = "the students' copy" if arguments.students else "the release"
    print(f"Making {what}. All lessons take about a minute.", flush=True)
    if arguments.students:
        made = students_bundle(Path(arguments.students), class_exchange())
        exchange = class_exchange() or "an exchange that they must ask you for"
        print(f"{made}: students hand in to {exchange}")
        return
    if arguments.new_attempt:
        chosen = [find_lesson("16")]
    for path in release(chosen or lessons(), new_attempt=arguments.new_attempt):
        print(f"Released: {path}")
    print(f"Settings of the class: {make_class_file()}")
    print("To collect and grade each when it is due, put these lines into `crontab -e`:")
    print(crontab(chosen or lessons()))


def _grade_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lesson", help="number or name, for example 04")
    parser.add_argument("--students", type=separated, help="only these ids, separated by commas")
    parser.add_argument("--workers", type=whole(1), help="graded at once (default: by the cores)")
    parser.add_argument("--all", action="store_true", help="regrade unchanged submissions too")
    parser.add_argument("--collect", action="store_true", help="collect from the exchange first")
    parser.add_argument("--feedback", action="store_true", help="make and release it afterwards")


def _grade(arguments: Namespace) -> int:
    from .classroom.round import grade_class
    from .limited.sandbox import NoSandbox
    from .overview.at_a_glance import NOTHING, needs_after_grading
    from .pipeline.batch import GradeError

    lesson = find_lesson(arguments.lesson)
    try:
        outcome = grade_class(
            lesson,
            students=arguments.students,
            workers=arguments.workers,
            everything=arguments.all,
            collect=arguments.collect,
            feedback=arguments.feedback,
        )
    except NoSandbox as error:
        print(f"gqa grade: {error}", file=sys.stderr)
        return 1
    except GradeError:  # what was refused, for one, may be all there is
        if (needs := needs_after_grading(lesson)) != NOTHING:
            print(needs)
        raise
    print(needs_after_grading(lesson))
    return bool(outcome.failed or outcome.without_feedback)


def _class_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lesson", nargs="?", help="number or name (default: all that are released)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page of the class too")
    parser.add_argument(
        "--names",
        choices=("all", "none"),
        default="all",
        help="none: no ids or names, and no count below 3",
    )


def _class(arguments: Namespace) -> None:
    from .overview.at_a_glance import class_at_a_glance

    lesson = None if arguments.lesson is None else find_lesson(arguments.lesson)
    print(class_at_a_glance(lesson, arguments.html, names=arguments.names == "all"))


def _roster_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="CSV with id, first_name, last_name, email")
    parser.add_argument(
        "--id-column", help="the column that holds the ids, if the wrong one is taken"
    )


def _roster(arguments: Namespace) -> None:
    from .classroom.roster import load_roster

    print(load_roster(arguments.file, arguments.id_column))


COMMANDS = (
    Command("lab", "learner", "open the course in JupyterLab", _lab, _lab_arguments),
    Command(
        "submit",
        "learner",
        "submit a lesson for grading; see the score and feedback",
        _submit,
        _submit_arguments,
    ),
    Command(
        "reset",
        "learner",
        "restore an exercise; a backup of your notebook is kept",
        _reset,
        _reset_arguments,
    ),
    Command(
        "demo",
        "learner",
        "show a learner's round and two benchmarks, from start to finish",
        _demo,
        takes_folders=False,
    ),
    Command("release", "instructor", "release lessons to the class", _release, _release_arguments),
    Command(
        "grade",
        "instructor",
        "grade the class's new and changed submissions of a lesson",
        _grade,
        _grade_arguments,
    ),
    Command(
        "roster",
        "instructor",
        "enter the class list into the gradebook",
        _roster,
        _roster_arguments,
    ),
    *DUE,
    Command(
        "class",
        "instructor",
        "see where the class stands and what needs you; --html writes a page",
        _class,
        _class_arguments,
    ),
    *PLATFORM,
    *AUTHORS,
)

"""The commands of a learner that need no grading: the map, the record, the tutor."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .command import Command


def _map(arguments: Namespace) -> None:
    from gqa_lib.learn.guide.map import lesson_map

    print(lesson_map())


def _progress_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=("show", "export", "import"),
        default="show",
        help="export to one file, or import such a file; nothing is lost or counted twice",
    )
    parser.add_argument("file", nargs="?", type=Path, help="the file to write or read")


def _progress(arguments: Namespace) -> None:
    if (arguments.action == "show") == bool(arguments.file):
        raise ValueError("use `gqa progress`, `gqa progress export FILE` or `... import FILE`.")
    if arguments.action == "show":
        from gqa_lib.learn.progress.table import progress_table

        print(progress_table())
        return
    from gqa_lib.learn import progress

    if arguments.action == "export":
        print(f"{arguments.file}: {progress.export_to(arguments.file)} events")
    else:
        there, new = progress.import_from(arguments.file)
        print(f"{arguments.file}: {there} events, {new} of them new here")


def _sync_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="a folder that a service keeps in step, or an address that fsspec opens: ssh, WebDAV, "
        "S3; it is remembered",
    )
    parser.add_argument("--off", action="store_true", help="sync no more")


def _sync(arguments: Namespace) -> None:
    from gqa_lib.learn.progress import sync

    if arguments.off:
        sync.forget()
        print("Your progress is synced no more; what is in the folder stays there.")
        return
    if arguments.address:
        sync.remember(arguments.address)
    if not (done := sync.sync()):
        raise ValueError("nothing says with what to sync: `gqa sync ADDRESS` does, once.")
    print(done)


def _ask_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "question",
        nargs="*",
        help="your question, in quotes; without one, ask as many as you like, line by line",
    )
    parser.add_argument(
        "--lesson", help="number or name of the lesson you are in; it is searched first"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: {refused, answer, sources}"
    )


def _ask(arguments: Namespace) -> None:
    from gqa_lib.course.manifest import find_lesson
    from gqa_lib.learn.tutor.answer import ask
    from gqa_lib.learn.tutor.showing import terminal

    lesson = None if arguments.lesson is None else find_lesson(arguments.lesson).slug
    before = None
    for question in _questions(arguments):
        reply = ask(question, lesson, before=before)
        if reply.leads_on:
            before = reply
        print(
            json.dumps(reply.as_dict(), ensure_ascii=False) if arguments.json else terminal(reply)
        )


def _questions(arguments: Namespace) -> Iterator[str]:
    """Yield the question of the command, else those typed in, line by line."""
    if arguments.question:
        if not " ".join(arguments.question).strip():
            raise ValueError("there is no question: write it after `gqa ask`, in quotes.")
        yield " ".join(arguments.question)
        return
    prompt = "\n? " if sys.stdin.isatty() else ""
    if prompt:
        print("Ask about the lessons; an empty line ends it.")
    asked = 0
    with suppress(EOFError):
        while question := input(prompt).strip():
            asked += 1
            yield question
    if not asked and not prompt:
        raise ValueError("there is no question: write it after `gqa ask`, in quotes.")


LEARNING = (
    Command("map", "learner", "show the lessons and where you stand", _map),
    Command(
        "progress",
        "learner",
        "show your checks and marks, exercise by exercise",
        _progress,
        _progress_arguments,
    ),
    Command(
        "sync",
        "learner",
        "join your progress with that of your other machines, from now on",
        _sync,
        _sync_arguments,
    ),
    Command(
        "ask",
        "learner",
        "ask the tutor, which answers from the lessons",
        _ask,
        _ask_arguments,
        takes_folders=False,
    ),
)

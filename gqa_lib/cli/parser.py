"""The `gqa` command: thin doors to the course; each loads only what it needs."""

import argparse
import os
import sqlite3
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # jsonschema would compile the grammar of a format that no notebook uses: two seconds
    sys.modules.setdefault("rfc3987_syntax", None)
    arguments = _parser().parse_args(argv)
    for name in ("home", "work"):
        if chosen := getattr(arguments, name, None):
            os.environ[f"GQA_{name.upper()}"] = chosen
    try:
        return arguments.run(arguments) or 0
    except ModuleNotFoundError as error:
        print(f"gqa: {_missing(error.name or str(error))}", file=sys.stderr)
    except (ValueError, OSError, sqlite3.Error) as error:
        print(f"gqa: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return 1


def _missing(module: str) -> str:
    """Return what to do about a module that is not there."""
    if module.startswith("grading."):
        return "this command is your instructor's; a students' copy of the course does not have it."
    extra = "postgres" if module.startswith("psycopg") else "course"
    return f"this needs {module}, which comes with the course: pip install -e '.[{extra}]'"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gqa", description="Learn, measure and decide on grouped-query attention."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, help, *, places=True):
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(run=run)
        if places:
            added.add_argument("--home", help="folder of your records (else $GQA_HOME)")
            added.add_argument("--work", help="folder of your notebooks (else $GQA_WORK)")
        return added

    lab = command("lab", _lab, "open the course in JupyterLab")
    lab.add_argument("lesson", nargs="?", help="number or name (default: where you were)")
    lab.add_argument(
        "--role",
        choices=("student", "instructor"),
        default="student",
        help="instructor: nbgrader's Formgrader, Create Assignment and course list",
    )
    lab.add_argument("--port", type=int, help="port on 127.0.0.1 (default: first free from 8888)")
    lab.add_argument("--no-browser", action="store_true", help="only print the address")

    submit = command("submit", _submit, "submit a lesson, have it graded, see score and feedback")
    submit.add_argument("lesson", help="number or name, for example 01")

    command("map", _map, "show the lessons and where you stand")

    progress = command("progress", _progress, "your checks and marks, exercise by exercise")
    progress.add_argument(
        "action",
        nargs="?",
        choices=("show", "export", "import"),
        default="show",
        help="export into one file, or import such a file: nothing is lost, nothing counted twice",
    )
    progress.add_argument("file", nargs="?", type=Path, help="the file to write or to read")

    reset = command("reset", _reset, "put an exercise back to how it was; your work is kept beside")
    reset.add_argument("lesson", help="number or name, for example 04")
    reset.add_argument("exercise", nargs="?", help="its name, for example expand_kv")
    reset.add_argument("--all", action="store_true", help="the whole lesson")

    ask = command("ask", _ask, "ask the tutor, who answers from the lessons", places=False)
    ask.add_argument("question", nargs="+", help="in quotes, for the shell's sake")
    ask.add_argument("--lesson", help="number or name of the lesson you are in: it comes first")
    ask.add_argument("--json", action="store_true", help="as {refused, answer, sources}")

    bench = command("bench", _bench, "run benchmark notebooks", places=False)
    bench.add_argument("name", nargs="*", help="benchmark (default: all)")
    bench.add_argument("-p", "--param", action="append", default=[], metavar="NAME=VALUE")
    bench.add_argument("--out", default="runs", help="folder for the results (default: runs)")
    bench.add_argument("--timeout", type=float, help="seconds before a run is stopped")

    command("info", _info, "versions, device, backends: what would run here", places=False)

    command("build-native", _build_native, "compile the native CPU operator, once", places=False)

    build = command("build", _build, "make notebooks/ from solutions/", places=False)
    build.add_argument("--check", action="store_true", help="change nothing; fail on a difference")

    verify = command(
        "verify", _verify, "grade the planted bugs: the checks must refuse them all", places=False
    )
    verify.add_argument("lesson", nargs="*", help="numbers or names (default: all)")
    verify.add_argument("--show", action="store_true", help="print what a learner would read")

    release = command("release", _release, "give the class its lessons")
    release.add_argument("lesson", nargs="*", help="numbers or names (default: all)")
    release.add_argument(
        "--students",
        metavar="FOLDER",
        help="make the students' copy of the course instead: a "
        "folder, or an archive named .zip or .tar.gz",
    )
    release.add_argument("--exchange", help="folder of the class's exchange (else $GQA_EXCHANGE)")
    release.add_argument(
        "--seed", type=_seed, help="what the hidden tests draw from, from now on; none: afresh"
    )

    release.add_argument(
        "--new-attempt",
        action="store_true",
        help="open another attempt at the quiz, with other questions, from now on",
    )

    grade = command("grade", _grade, "grade the class's new and changed submissions of a lesson")
    grade.add_argument("lesson", help="number or name, for example 04")
    grade.add_argument("--students", help="only these ids, separated by commas")
    grade.add_argument("--workers", type=int, help="notebooks at once (default: by the cores)")
    grade.add_argument("--all", action="store_true", help="what has not changed, too")
    grade.add_argument("--collect", action="store_true", help="collect from the exchange first")
    grade.add_argument("--feedback", action="store_true", help="make and release feedback after")

    roster = command("roster", _roster, "enter the class list into the gradebook")
    roster.add_argument("file", type=Path, help="CSV with id, first_name, last_name, email")
    roster.add_argument("--id-column", help="the column of the ids, if another would be taken")

    due = command("due", _due, "enter due dates into the gradebook")
    due.add_argument("file", type=Path, help="CSV with lesson, due")
    due.add_argument("--timezone", help="as Europe/Berlin (default: this machine's)")

    export = command("export", _export, "write the marks as CSV")
    export.add_argument("file", nargs="?", type=Path, help="default: the terminal")
    export.add_argument("--long", action="store_true", help="a row per student and lesson")

    command("demo", _demo, "a learner's round and two benchmarks, start to end", places=False)
    return parser


def _lab(arguments) -> None:
    from gqa_lib.course.manifest import find_lesson
    from grading.learner.lab import open_lab

    open_lab(
        find_lesson(arguments.lesson) if arguments.lesson else None,
        role=arguments.role,
        browser=False if arguments.no_browser else None,
        port=arguments.port,
    )


def _submit(arguments) -> int:
    from gqa_lib.course.manifest import find_lesson

    lesson = find_lesson(arguments.lesson)
    print(f"Submitting {lesson.number} {lesson.title} ...", flush=True)
    from grading.learner.submit import SubmitError, report, submit

    try:
        marks = submit(lesson)
    except SubmitError as error:
        print(f"gqa submit: {error}", file=sys.stderr)
        return 1
    print(report(lesson, marks))
    return 0


def _map(arguments) -> None:
    from gqa_lib.learn.guide.map import lesson_map

    print(lesson_map())


def _progress(arguments) -> None:
    if (arguments.action == "show") == bool(arguments.file):
        raise ValueError("say `gqa progress`, `gqa progress export FILE` or `... import FILE`.")
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


def _reset(arguments) -> None:
    from gqa_lib.course.manifest import find_lesson
    from grading.learner.reset import reset

    lesson = find_lesson(arguments.lesson)
    if arguments.all == bool(arguments.exercise):
        raise ValueError(
            f"nothing was reset: name an exercise, as in `gqa reset {lesson.number} NAME`, or say "
            f"`gqa reset {lesson.number} --all` for the whole lesson."
        )
    print(reset(lesson, arguments.exercise))


def _ask(arguments) -> None:
    from gqa_lib.course.manifest import find_lesson
    from gqa_lib.learn.tutor.answer import ask
    from gqa_lib.learn.tutor.showing import terminal

    lesson = find_lesson(arguments.lesson).slug if arguments.lesson else None
    reply = ask(" ".join(arguments.question), lesson)
    if arguments.json:
        import json

        print(json.dumps(reply.as_dict(), ensure_ascii=False))
    else:
        print(terminal(reply))


def _bench(arguments) -> int:
    from gqa_lib.bench import main

    return main(arguments.name, arguments.param, Path(arguments.out), arguments.timeout)


def _info(arguments) -> None:
    from .info import info

    print(info())


def _build_native(arguments) -> None:
    from gqa_lib.kernels.native.compile import build

    print("Compiling (about 15 s on two cores) ...", flush=True)
    print(build())


def _build(arguments) -> int:
    from grading.authoring.build import build

    problems = build(check=arguments.check)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("notebooks/ is what solutions/ gives." if arguments.check else "Built.")
    return len(problems) > 0


def _verify(arguments) -> int:
    from gqa_lib.course.manifest import find_lesson, lessons
    from grading.authoring.verify import verify

    chosen = [find_lesson(name) for name in arguments.lesson] or lessons()
    problems = verify(chosen, show_all=arguments.show)
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    return len(problems) > 0


def _seed(text: str) -> int | str:
    try:
        return text if text == "none" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number, nor none") from None


def _release(arguments) -> None:
    from gqa_lib.course.manifest import class_exchange, find_lesson, lessons
    from grading.classroom.bundle import students_bundle
    from grading.classroom.release import release
    from grading.intake.class_file import set_course_seed

    chosen = [find_lesson(name) for name in arguments.lesson]
    if arguments.students and chosen:
        raise ValueError("a students' copy has every lesson: leave the lessons out.")
    if arguments.exchange:
        os.environ["GQA_EXCHANGE"] = arguments.exchange
    if arguments.seed is not None:
        set_course_seed(None if arguments.seed == "none" else arguments.seed)
    if arguments.students:
        made = students_bundle(Path(arguments.students), class_exchange())
        print(f"{made}: hands in to {class_exchange() or 'an exchange that students must ask for'}")
        return
    if arguments.new_attempt:
        chosen = [find_lesson("16")]
    for path in release(chosen or lessons(), new_attempt=arguments.new_attempt):
        print(f"Released: {path}")


def _grade(arguments) -> int:
    from gqa_lib.course.manifest import find_lesson
    from grading.classroom.round import grade_class
    from grading.safe.sandbox import NoSandbox

    try:
        outcome = grade_class(
            find_lesson(arguments.lesson),
            students=arguments.students.split(",") if arguments.students else None,
            workers=arguments.workers,
            everything=arguments.all,
            collect=arguments.collect,
            feedback=arguments.feedback,
        )
    except NoSandbox as error:
        print(f"gqa grade: {error}", file=sys.stderr)
        return 1
    return bool(outcome.failed or outcome.without_feedback)


def _roster(arguments) -> None:
    from grading.classroom.roster import load_roster

    print(load_roster(arguments.file, arguments.id_column))


def _due(arguments) -> None:
    from grading.classroom.due import load_due_dates

    for due in load_due_dates(arguments.file, arguments.timezone):
        print(due)


def _export(arguments) -> None:
    from grading.classroom.export import export

    students = export(arguments.file, long=arguments.long)
    if arguments.file:
        print(f"{arguments.file}: the marks of {students} students")


def _demo(arguments) -> int:
    from grading.learner.demo import demo

    return demo()


if __name__ == "__main__":
    sys.exit(main())

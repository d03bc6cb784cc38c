"""The commands of those who write lessons: build the notebooks, hold the checks to account."""

import sys
from argparse import ArgumentParser, Namespace

from gqa_lib.cli.command import Command
from gqa_lib.course.manifest import find_lesson, lessons


def _build_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if anything differs"
    )


def _build(arguments: Namespace) -> int:
    from .authoring.build import build

    problems = build(check=arguments.check)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("notebooks/ matches solutions/." if arguments.check else "Built.")
    return len(problems) > 0


def _verify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("lesson", nargs="*", help="numbers or names (default: all)")
    parser.add_argument("--show", action="store_true", help="print what a learner would read")
    parser.add_argument(
        "--mutants",
        action="store_true",
        help="grade the solutions with one step changed, instead of the planted answers",
    )
    parser.add_argument("--sample", type=int, help="how many mutants of a lesson (default: all)")
    parser.add_argument("--seed", default="", help="which ones")


def _verify(arguments: Namespace) -> int:
    from .authoring.verify import verify

    chosen = [find_lesson(name) for name in arguments.lesson] or lessons()
    if arguments.mutants:
        from .authoring.mutants.gate import verify_mutants

        problems = verify_mutants(
            chosen, sample=arguments.sample, seed=arguments.seed, show_all=arguments.show
        )
    else:
        problems = verify(chosen, show_all=arguments.show)
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    return len(problems) > 0


AUTHORS = (
    Command(
        "build",
        "author",
        "make notebooks/ from solutions/",
        _build,
        _build_arguments,
        takes_folders=False,
    ),
    Command(
        "verify",
        "author",
        "grade planted answers: the checks must refuse every wrong one",
        _verify,
        _verify_arguments,
        takes_folders=False,
    ),
)

"""The commands about serving."""

from argparse import ArgumentParser, Namespace

from .command import Command


def _plan_arguments(parser: ArgumentParser) -> None:
    from .plan import arguments

    arguments(parser)


def _plan(arguments: Namespace) -> int:
    from .plan import run

    return run(arguments)


SERVING = (
    Command(
        "plan",
        "engineer",
        "plan a benchmark of serving from a trace, and join its results with it",
        _plan,
        _plan_arguments,
        takes_folders=False,
    ),
)

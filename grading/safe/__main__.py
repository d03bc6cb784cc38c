"""Forks one judge for each notebook, with the tests' imports done: limited, and behind walls.

python -m grading.safe CONTROL_DESCRIPTOR walled|plain
"""

import os
import socket
import sys

import torch

import gqa_lib.learn.checking.check  # noqa: F401
from gqa_lib.learn.exercises import all_exercises
from gqa_lib.learn.quiz.sitting import Sitting, take

from ..quiz.bank import load_bank
from ..student.forks import serve_forks
from ..student.isolate import isolate_ours, limit, untraceable
from ..student.wire import Channel
from .judge import serve


def main() -> None:
    """Serve until the grader hangs up."""
    torch.set_num_threads(1)
    all_exercises(), load_bank()
    walled = sys.argv[2] == "walled"

    def child(request: dict, descriptors: list[int]) -> None:
        os.environ["NBGRADER_EXECUTION"] = "autograde"
        os.environ.pop("GQA_SEED", None)
        if request["seed"] is not None:
            os.environ["GQA_SEED"] = str(request["seed"])
        take(Sitting(**request["sitting"]) if request["sitting"] else Sitting("nobody"))
        if walled:
            isolate_ours(request["limits"])
        else:  # where a limit on processes would be one on all that their user has
            limit({name: n for name, n in request["limits"].items() if name != "processes"})
        grader, student = (Channel(socket.socket(fileno=one)) for one in descriptors)
        serve(grader, student)

    if walled:
        untraceable()
    serve_forks(socket.socket(fileno=int(sys.argv[1])), child)


main()
os._exit(0)  # without taking apart what takes long to take apart

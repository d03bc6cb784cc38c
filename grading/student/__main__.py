"""The sandbox's first process: imports what is slow, then forks one child for each notebook.

python -m grading.student CONTROL_DESCRIPTOR isolate|plain
"""

import os
import socket
import sys

import matplotlib
import torch

import gqa_lib.configs
import gqa_lib.hardware  # noqa: F401
from gqa_lib.learn.watch import Watch
from gqa_lib.learn.watch.plain import PlainNames

from . import run
from .forks import serve_forks
from .isolate import isolate, limit, untraceable
from .seccomp import install
from .wire import Channel
from .witness import stand_by


def warm() -> None:
    """Do once what takes long the first time."""
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    with Watch(settings=True, devices=True, copies=(2, 3), made=True):
        torch.zeros(2, 3) @ torch.zeros(3, 2)
    PlainNames().trusted(
        "import torch, math, numpy, typing\nfrom torch import nn\nF = nn.functional"
    )


def main() -> None:
    """Serve until the grader hangs up."""
    isolated = sys.argv[2] == "isolate"

    def child(limits: dict, descriptors: list[int]) -> None:
        grader, judge = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        try:
            if isolated:
                isolate(limits, before=lambda: stand_by(judge, install))
            else:  # one's own code, on one's own machine
                limit({"cpu_s": limits["cpu_s"]})
                stand_by(judge)
        except OSError as error:
            Channel(grader).send({"refused": str(error)})
            return
        run.begin(scratch_is_home=isolated)
        run.run_student(grader, judge, limits["output_bytes"])

    warm()
    if isolated:
        untraceable()
    serve_forks(socket.socket(fileno=int(sys.argv[1])), child)


main()
os._exit(0)  # without taking apart what takes long to take apart

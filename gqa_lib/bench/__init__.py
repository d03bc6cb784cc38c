"""Benchmark notebooks: which there are, running them, and what they call from within.

`notebooks` has them and their parameters, `rules` what these must be, `run` executes one in a
process of its own, `sweeps` says what many runs are and runs them, `results` makes tables, pages
and comparisons of what was kept, `inside` is what a notebook calls, and `tasks` what those that
train do.
"""

from . import results
from .inside import begin, commit, need_some, results_folder
from .notebooks import benchmarks, check_parameters, check_params, parameters
from .now import main
from .rules import as_list
from .run import run_one
from .tasks import SmallTask, small_task

__all__ = [
    "SmallTask",
    "as_list",
    "begin",
    "benchmarks",
    "check_parameters",
    "check_params",
    "commit",
    "main",
    "need_some",
    "parameters",
    "results",
    "results_folder",
    "run_one",
    "small_task",
]

"""Benchmark notebooks: which there are, running them, and what they call from within.

`notebooks` has them and their parameters, `rules` what these must be, `run` executes one in a
process of its own, `inside` is what a notebook calls, and `tasks` what those that train do.

Of runs that are kept: `kept` reads them, `tables` makes one table of them, `series` and `verdicts`
say what was measured at each point and against another, `report` writes a page (of `points`,
`pictures`, `machines` and the `pages` of notebooks), and `comparing` and `compared` hold two
folders against each other.
"""

from .compared import as_text
from .comparing import compare_folders
from .inside import begin, commit, need_some, results_folder
from .kept import read_runs
from .notebooks import benchmarks, check_parameters, check_params, parameters
from .report import write_report
from .rules import as_list
from .run import main, run_one
from .series import all_series
from .tables import sample_rows, write_tables
from .tasks import SmallTask, small_task
from .verdicts import compare

__all__ = [
    "SmallTask",
    "all_series",
    "as_list",
    "as_text",
    "begin",
    "benchmarks",
    "check_parameters",
    "check_params",
    "commit",
    "compare",
    "compare_folders",
    "main",
    "need_some",
    "parameters",
    "read_runs",
    "results_folder",
    "run_one",
    "sample_rows",
    "small_task",
    "write_report",
    "write_tables",
]

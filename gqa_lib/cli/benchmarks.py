"""The commands for benchmark notebooks: running them, and what is made of their results."""

from .command import Command, loaded

BENCHMARKS = (
    Command(
        "bench",
        "engineer",
        "run benchmark notebooks",
        loaded("bench", "run"),
        loaded("bench", "arguments"),
        takes_folders=False,
        adds_help=True,
    ),
    Command(
        "bench run",
        "engineer",
        "run a sweep of benchmark notebooks: a grid, a list, repeats; goes on where it stopped",
        loaded("sweep", "run"),
        loaded("sweep", "arguments"),
        takes_folders=False,
    ),
    Command(
        "bench report",
        "engineer",
        "write a table and a page of benchmark runs",
        loaded("bench_report", "report"),
        loaded("bench_report", "report_arguments"),
        takes_folders=False,
    ),
    Command(
        "bench compare",
        "engineer",
        "compare two folders of runs: before and after, or two machines",
        loaded("bench_report", "compare"),
        loaded("bench_report", "compare_arguments"),
        takes_folders=False,
    ),
)

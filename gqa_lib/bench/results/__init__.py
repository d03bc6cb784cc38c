"""What is made of runs that are kept: one table, a page, and two folders against each other.

`kept` reads them, `tables` makes one table of them, `series` and `verdicts` say what was measured
at each point and against another, `report` writes a page (of `points`, `pictures`, `machines` and
the `pages` of notebooks), and `comparing` and `compared` hold two folders against each other.
"""

from .compared import as_text
from .comparing import compare_folders
from .kept import read_runs
from .report import write_report
from .series import all_series
from .tables import sample_rows, write_tables
from .verdicts import compare

__all__ = [
    "all_series",
    "as_text",
    "compare",
    "compare_folders",
    "read_runs",
    "sample_rows",
    "write_report",
    "write_tables",
]

"""Small benchmark notebooks, for tests of what runs them."""

import subprocess
import sys
from pathlib import Path

import nbformat

from gqa_lib.bench.child import Run
from grading.authoring.source import KERNEL

PARAMETERS = """\
size: int = 1  # of nothing
share: float = 1.0  # of nothing
kinds: list = ["a"]  # of nothing
out_dir: str = "runs"  # folder
"""
RESULT = """\
import json, os, pathlib
finding = {'finding': f'size {size}', 'pid': os.getpid(), 'rows': []}
pathlib.Path(out_dir, 'result.json').write_text(json.dumps(finding))
"""


def toy(path: Path, code: str = "", *, times: bool = False, parameters: str = PARAMETERS) -> Path:
    """Write a benchmark notebook that does next to nothing, and return its path.

    Args:
        path: the notebook's.
        code: what its cell runs before the result is written.
        times: whether it says that it times.
        parameters: its first cell of code.
    """
    about = "# Toy\n\nHow large is nothing?\n" + ("\n- **Timed:** nothing.\n" if times else "")
    cells = [
        nbformat.v4.new_markdown_cell(about),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(f"{code}\n{RESULT}"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), str(path))
    return path


class Scripted(Run):
    """A run whose process runs the parameter `code`, a piece of Python, instead of a notebook."""

    def _start(self, notebook, params):
        return subprocess.Popen([sys.executable, "-c", params["code"], str(self.folder)])


class Instantly(Scripted):
    """A run that has its result at once."""

    def _start(self, notebook, params):
        (self.folder / "result.json").write_text('{"finding": "none", "rows": []}')
        return super()._start(notebook, {"code": ""})

"""The shell that runs a student's cells: what a notebook's own commands do where there is no desk.

Stock Jupyter runs `%matplotlib inline`, `!pip install ...` or `?name`, so an answer may begin with
one. Here there is no display, no network and nobody at a keyboard: a command that cannot run is
passed over with a sentence, and the other lines of its cell run.
"""

import re
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

# Their errors are those of the code that they run.
_RUN_CODE = {"time", "timeit", "prun", "capture", "run", "python", "python3", "py"}
_ASK_SOMEBODY = {"debug", "pdb", "edit", "ed", "gui", "qtconsole", "connect_info", "pastebin"}
_NEED_A_NETWORK = re.compile(
    r"\s*(?:sudo\s+|\S*python[\d.]*['\"]?\s+-m\s+)?['\"]?(?:\S*/)?"
    r"(pip[\d.]*|uv|conda|mamba|micromamba|apt|apt-get|brew|wget|curl|git|gdown|kaggle|npm)\b"
)
_HOW_OFTEN = re.compile(r"(?:^|\s)-[nr]\s*\d")


class NotebookShell(InteractiveShell):
    """An IPython shell without a desk."""

    def enable_matplotlib(self, gui: str | None = None) -> tuple[str, str]:
        """Leave figures as they are: they are drawn, and nobody looks."""
        return gui or "inline", "agg"

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Run a command of one line, or pass over it."""
        try:
            if magic_name in _ASK_SOMEBODY:
                raise RuntimeError("nobody is there to answer")
            return super().run_line_magic(
                magic_name, _once(magic_name, line), _stack_depth=_stack_depth + 1
            )
        except Exception as error:
            if magic_name in _RUN_CODE and self.find_line_magic(magic_name):
                raise
            return _pass_over(f"%{magic_name}", error)

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Run a command over a cell; one that is not known leaves the cell as it is."""
        if self.find_cell_magic(magic_name) is None:
            result = self.run_cell(cell, store_history=False)
            if result.error_before_exec:
                return _pass_over(f"%%{magic_name}", "it is not known here")
            result.raise_error()
            return None
        try:
            return super().run_cell_magic(magic_name, _once(magic_name, line), cell)
        except Exception as error:
            if magic_name in _RUN_CODE:
                raise
            return _pass_over(f"%%{magic_name}", error)

    def system(self, cmd: str) -> None:
        """Print what a shell command does, unless it could only wait for a network."""
        if _waits_for_a_network(cmd):
            return
        try:
            if text := super().getoutput(cmd, split=False, depth=1):
                print(text)
        except Exception as error:
            _pass_over("!", error)

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Return what a shell command prints; nothing if it could only wait for a network."""
        if _waits_for_a_network(cmd):
            cmd = "true"
        return super().getoutput(cmd, split=split, depth=depth + 1)


def _once(magic_name: str, line: str) -> str:
    """Return the line of a command; `%timeit` runs once, as nobody reads its time."""
    if magic_name == "timeit" and not _HOW_OFTEN.search(line):
        return f"-n1 -r1 {line}"
    return line


def _waits_for_a_network(cmd: str) -> bool:
    if found := _NEED_A_NETWORK.match(cmd):
        _pass_over(f"!{found[1]}", "there is no network, and the course's packages are there")
    return bool(found)


def _pass_over(what: str, why: object) -> None:
    print(f"(Grading passes over {what}: {str(why)[:200]})")

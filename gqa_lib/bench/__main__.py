"""The process of one run: executes a benchmark notebook. `run_one` starts it."""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from gqa_lib.processes import end_all_on_signals, end_below, end_with

from .kernel import kernel_manager


def execute(notebook: str, params: dict, folder: str) -> None:
    """Execute the notebook with papermill; any failure ends this process with code 1.

    Args:
        notebook: its path.
        params: values of its parameters, by name.
        folder: where the executed copy goes.
    """
    try:
        import papermill

        with tempfile.TemporaryDirectory(prefix="gqa-") as sockets:
            papermill.execute_notebook(
                _as_it_is(notebook),
                _as_it_is(str(Path(folder) / "executed.ipynb")),
                parameters={**params, "out_dir": folder},
                kernel_name="python3",
                kernel_manager_class=kernel_manager(sockets),
                progress_bar=False,
            )
    except Exception as error:  # papermill raises several unrelated kinds
        Path(folder).mkdir(parents=True, exist_ok=True)  # a notebook can remove it
        told = str(error).strip()[-2000:]
        (Path(folder) / "error.txt").write_text(told, encoding="utf-8", errors="replace")
        raise SystemExit(1) from error
    finally:
        end_below(os.getpid())  # what the notebook started and left


def _as_it_is(path: str) -> str:
    """A path for papermill, which fills in parameters where it finds braces."""
    return path.replace("{", "{{").replace("}", "}}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].startswith("["):
        raise SystemExit("`gqa bench` starts this; `gqa bench --help` says how to run a benchmark.")
    notebook, params, folder, parent, cores = json.loads(sys.argv[1])
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    end_all_on_signals()
    end_with(parent, signal.SIGTERM)
    execute(notebook, params, folder)

"""The process of one run: executes a benchmark notebook. `run_one` starts it."""

import json
import sys
import tempfile
from pathlib import Path


def execute(notebook: str, params: dict, folder: str) -> None:
    """Execute the notebook with papermill; any failure ends this process with code 1.

    Args:
        notebook: its path.
        params: values of its parameters, by name.
        folder: where the executed copy goes.
    """
    import papermill
    from jupyter_client import AsyncKernelManager

    executed = Path(folder) / "executed.ipynb"
    with tempfile.TemporaryDirectory(prefix="gqa-") as sockets:

        class OwnSockets(AsyncKernelManager):  # no TCP port to race for
            def __init__(self, **kwargs):
                super().__init__(transport="ipc", ip=f"{sockets}/k", **kwargs)

        try:
            papermill.execute_notebook(
                notebook,
                str(executed),
                parameters={**params, "out_dir": folder},
                kernel_name="python3",
                kernel_manager_class=OwnSockets,
                progress_bar=False,
            )
        except Exception as error:  # papermill raises several unrelated kinds
            (Path(folder) / "error.txt").write_text(str(error).strip()[-2000:])
            raise SystemExit(1) from error


if __name__ == "__main__":
    execute(*json.loads(sys.argv[1]))

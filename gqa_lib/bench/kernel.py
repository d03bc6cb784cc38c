"""A run's Jupyter kernel: one that ends with the run, also in the midst of a computation.

ipykernel looks for its parent once a second, in a thread that a computation in C keeps from
looking. So the kernel is started by this module, which has the system tell it.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

from gqa_lib.processes import end_with

_LAUNCHER = "ipykernel_launcher"


def kernel_manager(sockets: str) -> type:
    """Return a class of kernel managers whose kernels end with this process.

    Args:
        sockets: a folder for their sockets: no TCP port to race for.
    """
    from jupyter_client import AsyncKernelManager

    class Manager(AsyncKernelManager):
        def __init__(self, **how: Any):
            super().__init__(transport="ipc", ip=f"{sockets}/k", **how)

        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            command = super().format_kernel_cmd(extra_arguments)
            if command[0] != sys.executable:  # a kernel of another environment
                return command
            return [__name__ if part == _LAUNCHER else part for part in command]

    return Manager


if __name__ == "__main__":
    end_with(int(os.environ["JPY_PARENT_PID"]))
    runpy.run_module(_LAUNCHER, run_name="__main__", alter_sys=True)

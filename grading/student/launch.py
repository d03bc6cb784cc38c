"""Limits this process and lets it become a Jupyter kernel.

python -m grading.student.launch LIMITS [OPTION OF IPYKERNEL ...]
"""

import json
import sys

from .isolate import limit
from .seccomp import install


def main() -> None:
    """Serve as a kernel until it is shut down."""
    limit(json.loads(sys.argv[1]))
    install(loopback=True)
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance(sys.argv[2:])


main()

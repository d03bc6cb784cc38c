"""What JupyterLab's server knows of a kernel."""

from datetime import datetime

from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from traitlets import default


class Kernel(ServerKernelManager):
    """A kernel that can be listed from its first moment.

    Between a kernel's start and the next turn of the server's loop, jupyter_server's own has no
    time of last activity, and whoever asks for the list then gets an error 500.
    """

    @default("last_activity")
    def _begun(self) -> datetime:
        return utcnow()

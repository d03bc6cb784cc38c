"""A port for a server that a test starts."""

import random
import socket

PORTS = range(20_000, 32_000)  # systems draw those of connections from above: none of them is taken


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on, and that no connection may get."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port

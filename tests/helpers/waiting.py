"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 240  # two cores may be busy with other things


def until(condition: Callable[[], Any]) -> Any:
    """Wait for something to be there, and return it."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")

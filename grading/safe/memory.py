"""How much a process grew during a call, seen from outside through /proc."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def growth_of(pid: int) -> Iterator[Callable[[], int]]:
    """Yield a function that gives the bytes by which a process had grown at its peak, or 0.

    0 stands for a process whose peak cannot be read: pid is 0, or there is no /proc.
    """
    before = _begin(pid) if pid else None
    yield lambda: max(0, _kib(pid, "VmHWM") - before) * 1024 if before else 0


def _begin(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/clear_refs", "w") as file:
            file.write("5")  # the peak is what it is now: see proc(5)
        return _kib(pid, "VmRSS")
    except OSError:
        return None


def _kib(pid: int, field: str) -> int:
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(row.split()[1]) for row in file if row.startswith(field)), 0)
    except OSError:
        return 0

"""What one submission may use."""

import os
from dataclasses import asdict, dataclass, field

PATIENCE = 10


def time_factor() -> float:
    """Return how many times longer than usual submissions may take: `GQA_TIME_FACTOR`, else 1.

    Raises:
        ValueError: it is not a number above 0.
    """
    said = os.environ.get("GQA_TIME_FACTOR") or "1"
    try:
        factor = float(said)
    except ValueError:
        factor = 0
    if not 0 < factor < 1000:
        raise ValueError(
            f"GQA_TIME_FACTOR is {said!r}: the seconds that a submission may take are multiplied "
            "by it. Give a number above 0 and below 1000, such as 3 on a slow or busy machine."
        )
    return factor


def _seconds(usual: float):
    return field(default_factory=lambda: usual * time_factor())


@dataclass(frozen=True)
class Limits:
    """Limits of one submission: seconds, MB (2^20 bytes), counts.

    `cell_s` and `notebook_s` are by the submission's own clock (`grading.safe.clock`): seconds that
    it computes or sleeps, on however busy a machine. By the clock on the wall it may take
    `PATIENCE` times as long, and at least a minute.
    """

    cell_s: float = _seconds(30)  # one cell, or one graded cell with all it calls
    notebook_s: float = _seconds(150)  # all cells together
    own_s: float = _seconds(30)  # of these, all cells that the student added; a third for one
    memory_mb: int = 2048  # all of the student's processes together
    address_mb: int = 4096  # the address space of one process; torch alone takes 900
    cpu_s: int = field(default_factory=lambda: round(180 * time_factor()))  # one process
    processes: int = 16  # and threads
    open_files: int = 64
    file_mb: int = 32
    scratch_mb: int = 64  # each of the folders that can be written to
    output_bytes: int = 1 << 20  # of all cells together

    def as_dict(self) -> dict:
        """Return the limits as plain data, for another process."""
        return asdict(self)


def on_the_wall(seconds: float) -> float:
    """Return the seconds by the clock on the wall that so many of a submission's own may take."""
    return max(60, PATIENCE * seconds)

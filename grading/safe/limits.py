"""What one submission may use."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one submission: seconds, MB (2^20 bytes), counts."""

    cell_s: float = 30  # one cell, or one graded cell with all it calls
    notebook_s: float = 150  # all cells together
    memory_mb: int = 2048  # all of the student's processes together
    address_mb: int = 4096  # the address space of one process; torch alone takes 900
    cpu_s: int = 150
    processes: int = 64
    open_files: int = 256
    file_mb: int = 32
    scratch_mb: int = 64  # each of /tmp, /work and /dev/shm
    output_bytes: int = 1 << 20  # of all cells together

    def as_dict(self) -> dict:
        """Return the limits as plain data, for another process."""
        return asdict(self)

"""What runs on one machine share: cores, GPUs, and the quiet that a notebook needs that times."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # no such locks; then it is for the user to run one sweep at a time
    fcntl = None  # type: ignore[assignment]

from gqa_lib.measure.environment import cpu_model

_GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Slot:
    """What one run may use.

    Attributes:
        gpu: number or UUID of the one GPU that it sees; None: whatever there is.
        cores: that it runs on; empty: all.
    """

    gpu: str | None = None
    cores: tuple[int, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a process that is to use this and no more."""
        found = {} if self.gpu is None else {_GPUS: self.gpu}
        return found | ({"OMP_NUM_THREADS": str(len(self.cores))} if self.cores else {})


def slots(number: int | None = None) -> list[Slot]:
    """Return the places for runs on this machine: its GPUs, or without one its cores.

    Args:
        number: how many are wanted; None: all GPUs, or as many as there are cores.

    Raises:
        ValueError: there are fewer GPUs or cores.
    """
    cards, cores = gpus(), _cores()
    most = len(cards) or len(cores)
    if number is not None and number > most:
        what = "GPUs" if cards else "CPU cores"
        raise ValueError(
            f"slots={number}, but this machine has {most} {what}: runs would take turns on one and "
            f"disturb each other. Give {most} or fewer."
        )
    number = number or most
    if cards:
        return [Slot(gpu=card) for card in cards[:number]]
    return [Slot(cores=tuple(cores[n::number])) for n in range(number)]


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def gpus() -> list[str]:
    """Return the numbers of the GPUs that this process may use, as CUDA takes them."""
    if (chosen := os.environ.get(_GPUS)) is not None:
        return [one.strip() for one in chosen.split(",") if one.strip() not in ("", "-1")]
    return [name for name in _names() if name.isdigit()]


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """What each GPU is called, by its number and by its UUID."""
    command = ["nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = [line.split(", ", 2) for line in done.stdout.strip().splitlines() if not done.returncode]
    return {key: row[2] for row in rows if len(row) == 3 for key in row[:2]}


def described(params: Mapping[str, Any], slot: Slot) -> str:
    """Return what a run is measured on, in words: results of one device are not another's.

    Args:
        params: of the run; `device` may be among them.
        slot: where it runs.
    """
    wanted = params.get("device") or os.environ.get("GQA_DEVICE") or ""
    cards = [slot.gpu] if slot.gpu is not None else gpus()
    chosen = [f"{name}={os.environ[name]}" for name in ("GQA_BACKEND",) if os.environ.get(name)]
    if cards and not wanted.startswith("cpu"):
        names = _names()
        number = wanted.partition(":")[2] or "0"
        card = cards[int(number)] if number.isdigit() and int(number) < len(cards) else cards[0]
        found = {name for key, name in names.items() if _is(key, card)}
        name = found.pop() if len(found) == 1 else f"GPU {card}"
        return ", ".join([name, *chosen])
    from gqa_lib.kernels.native.library import build_folder

    native = ["native operators"] if build_folder().is_dir() else []
    threads = os.environ.get("OMP_NUM_THREADS") or len(_cores())
    return ", ".join([cpu_model() or "CPU", f"{threads} threads", *native, *chosen])


def _is(key: str, card: str) -> bool:
    """Whether a GPU's number or UUID is the one that was named, perhaps by its beginning."""
    return key == card or (card.startswith("GPU-") and key.startswith(card))


class Place:
    """A run's place on this machine, which it takes before it starts.

    A run that times takes it when no other run is there, and keeps others from coming meanwhile;
    those that do not time share it. It holds for all commands of one user on the machine, whatever
    started them, and ends with the process that took it.
    """

    def __init__(self, *, alone: bool, own: Path | None = None):
        """Make a place that is not taken yet.

        Args:
            alone: whether the run times.
            own: a file that stands for the run: no other process does the same meanwhile.
        """
        self._alone = alone
        self._locks = [_Lock(own)] if own else []
        self._gate, self._machine = _Lock(locks() / "gate"), _Lock(locks() / "machine")

    def take(self) -> bool:
        """Take the place if it is free, and return whether it is taken; else ask again."""
        if not all(lock.take() for lock in self._locks):
            return False
        if self._machine.taken:
            return True
        if not self._gate.take():  # whoever waits for quiet keeps it
            return False
        taken = self._machine.take(shared=not self._alone)
        if taken or not self._alone:
            self._gate.leave()
        return taken

    def leave(self) -> None:
        """Leave it to others; of one that was not taken, stop asking for it."""
        for lock in (self._machine, self._gate, *self._locks):
            lock.leave()


def locks() -> Path:
    """Return the folder of what the commands of one user on this machine tell each other."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"gqa-bench-{user}"


class _Lock:
    """A lock of the system's on a file: held by one, or shared."""

    def __init__(self, path: Path):
        self._path = path
        self._file: int | None = None

    @property
    def taken(self) -> bool:
        return self._file is not None

    def take(self, *, shared: bool = False) -> bool:
        if self.taken or not fcntl:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._file = descriptor
        return True

    def leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None

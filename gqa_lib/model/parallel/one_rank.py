"""What a process that `run_ranks` started does."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import textwrap
import threading
import time
import traceback
from multiprocessing import connection, parent_process
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from .shipped import unpacked

_LINE = 500  # characters of an error in a line; what was raised where is told in full


class Report(NamedTuple):
    """What came of a rank.

    Attributes:
        result: what the function returned.
        error: in a line, "" for none.
        trace: where it was raised.
        at_s: when, by a clock that all processes of a machine share.
    """

    result: Any
    error: str
    trace: str
    at_s: float


def work(pipe: connection.Connection, rank: int, num_ranks: int, backend: str, store: str) -> None:
    """Run a function in a group of ranks and send its Report.

    Args:
        pipe: the function comes from it, and the report goes there.
        rank: of this process.
        num_ranks: of the group.
        backend: of torch.distributed.
        store: a file through which ranks meet.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this process ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _on_loopback()
    try:
        fn, args = unpacked(pipe.recv_bytes())
        if backend == "nccl":
            torch.cuda.set_device(rank)
        dist.init_process_group(
            backend, store=dist.FileStore(store, num_ranks), rank=rank, world_size=num_ranks
        )
        report = Report(fn(rank, *args), "", "", time.monotonic())
    except BaseException as trouble:  # sys.exit too, of which nobody would hear otherwise
        report = Report(None, _in_a_line(trouble), traceback.format_exc(), time.monotonic())
    sys.stdout.flush()
    pipe.send_bytes(_pickled(report))
    pipe.poll(None)  # until run_ranks has all reports: whoever leaves breaks others' collectives


def _in_a_line(trouble: BaseException) -> str:
    said = "".join(traceback.format_exception_only(trouble))
    return textwrap.shorten(said, _LINE, placeholder=" ...").rstrip(".")


def _pickled(report: Report) -> bytes:
    try:
        return pickle.dumps(report)  # by value: shared memory would go with this process
    except Exception as trouble:
        what = f"its result, a {type(report.result).__name__}, cannot be sent back: {trouble}"
        return pickle.dumps(Report(None, what, "", time.monotonic()))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGKILL)


def _on_loopback() -> None:
    """Have gloo listen where no other machine reaches it."""
    names = {name for _, name in socket.if_nameindex()} if hasattr(socket, "if_nameindex") else {}
    for name in ("lo", "lo0"):
        if name in names:
            os.environ["GLOO_SOCKET_IFNAME"] = name

"""Processes that compute together: started here, or by torchrun."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, current_process, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from gqa_lib.arguments import check_callable, check_choice, check_number, check_whole
from gqa_lib.processes import end_with, in_ipython

from .one_rank import Report, work
from .shipped import packed

_GRACE_S = 0.5  # after a rank has failed, until what the others say of it is not waited for
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class _Rank(NamedTuple):
    process: Any
    reports: connection.Connection


def run_ranks(
    fn: Callable[..., Any],
    num_ranks: int,
    *args: Any,
    backend: str = "gloo",
    timeout_s: float | None = None,
) -> list[Any]:
    """Return what fn(rank, *args) returns in each of some new processes, in the order of ranks.

    The processes are one group of torch.distributed, on this machine's loopback alone, each with
    one thread. They never outlive this call, nor this process, however that ends.

    Args:
        fn: a function of a module, or of a notebook's cell; from there the functions, modules and
            values that it names are sent with it, classes of cells not. In a script this call must
            stand below `if __name__ == "__main__":`.
        num_ranks: processes.
        args: what it gets besides its rank; they are copied to each process, as results are back.
        backend: of torch.distributed: "gloo", or "nccl" with a GPU for each rank.
        timeout_s: seconds after which ranks that have not ended are; None is no limit.

    Raises:
        ValueError: fn or an argument cannot be sent, or there are fewer GPUs than ranks.
        RuntimeError: a rank failed or was killed, or time ran out. All others are ended then. Or
            this process is a rank, or another that may start none.
    """
    check_callable(fn, "fn")
    check_whole(num_ranks=num_ranks)
    check_choice(("gloo", "nccl"), backend=backend)
    if timeout_s is not None:
        check_number(above=0, timeout_s=timeout_s)
    gpus = torch.cuda.device_count()
    if backend == "nccl" and gpus < num_ranks:
        raise ValueError(
            f"backend='nccl' with num_ranks={num_ranks} and {gpus} GPUs: NCCL wants one for each "
            "rank. Give backend='gloo', or as many ranks as there are GPUs."
        )
    if current_process().daemon:
        raise RuntimeError(
            f"run_ranks was called in the process {current_process().name!r}, a rank or another "
            "worker, which may start no processes. Call it where that one was started."
        )
    is_script = hasattr(sys.modules["__main__"], "__file__") and not in_ipython()
    call = packed(fn, args, by_value=not is_script)
    with tempfile.TemporaryDirectory(prefix="gqa-ranks-") as folder:
        store = str(Path(folder, "store"))
        ranks: list[_Rank] = []
        try:
            for rank in range(num_ranks):
                ranks.append(_start(rank, num_ranks, backend, store))
            for one in ranks:
                with suppress(OSError):  # it has ended; its exit code is looked at later
                    one.reports.send_bytes(call)
            return _results(ranks, timeout_s)
        finally:
            _end(ranks)


@contextmanager
def join_torchrun(backend: str | None = None) -> Iterator[int]:
    """Yield the rank of this process, which torchrun started, in a group of all that it started.

    The process ends when torchrun does, however that ends.

    Args:
        backend: of torch.distributed; None is "nccl" where this machine has a GPU for each of its
            ranks, else "gloo". With "nccl" the rank's GPU is torch's current one.

    Raises:
        RuntimeError: torchrun did not start this process.
    """
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise RuntimeError(
            f"{', '.join(missing)} not set in the environment, so that this process does not know "
            "which rank it is. Start the script with `torchrun --nproc-per-node=2 script.py`."
        )
    end_with(os.getppid())
    local, here = (int(os.environ.get(f"LOCAL_{name}", "1")) for name in ("RANK", "WORLD_SIZE"))
    if backend is None:
        backend = "nccl" if torch.cuda.device_count() >= here else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(local)
    dist.init_process_group(backend)
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def _context() -> BaseContext:
    """Linux forks ranks from a process that has imported torch once and computed nothing."""
    if not sys.platform.startswith("linux"):
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["gqa_lib.model.parallel.one_rank"])
    return context


def _start(rank: int, num_ranks: int, backend: str, store: str) -> _Rank:
    context = _context()
    ours, theirs = context.Pipe()
    process = context.Process(  # type: ignore[attr-defined]
        target=work, args=(theirs, rank, num_ranks, backend, store), daemon=True
    )
    process.start()
    theirs.close()
    return _Rank(process, ours)


def _results(ranks: list[_Rank], timeout_s: float | None) -> list[Any]:
    """What each rank returned, or the first failure as an error."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    reports: dict[int, Report | None] = {}  # None of a rank that ended without one
    while len(reports) < len(ranks):
        waits = {ranks[r].reports: r for r in range(len(ranks)) if r not in reports}
        left = None if until is None else max(0.0, until - time.monotonic())
        ready = connection.wait(list(waits), left)
        if not ready:
            break
        reports |= {waits[one]: _report(one) for one in ready}  # type: ignore[index, arg-type]
        if any(one is None or one.error for one in reports.values()):
            until = min(until or float("inf"), time.monotonic() + _GRACE_S)
            if len(reports) < len(ranks):
                continue
    failed = {r: one for r, one in reports.items() if one is None or one.error}
    if failed:
        raise _failure(ranks, failed)
    if len(reports) < len(ranks):
        late = ", ".join(str(r) for r in range(len(ranks)) if r not in reports)
        raise RuntimeError(
            f"after timeout_s={timeout_s:g} rank {late} of {len(ranks)} had not ended, so all "
            "were. Do all ranks call the same collectives in the same order? Else give more time."
        )
    return [one.result for _, one in sorted(reports.items()) if one is not None]


def _report(reports: connection.Connection) -> Report | None:
    try:
        return reports.recv()
    except (EOFError, OSError):
        return None


def _failure(ranks: list[_Rank], failed: dict[int, Report | None]) -> RuntimeError:
    """The first failure: that of a rank that was killed, else the earliest that was reported."""
    rank, report = min(failed.items(), key=lambda item: item[1].at_s if item[1] else 0.0)
    begin = f"rank {rank} of {len(ranks)}"
    others = "" if len(ranks) == 1 else " The other ranks were ended."
    if report is None:
        process = ranks[rank].process
        process.join(_GRACE_S)
        code = process.exitcode
        if code and code < 0:
            how = f"was killed by signal {-code}"
            why = "If it was not you, memory may have run out: give fewer ranks or a smaller model."
        else:
            how = f"ended with code {code}"
            why = 'In a script run_ranks must be called below `if __name__ == "__main__":`.'
        return RuntimeError(f"{begin} {how} before it returned.{others} {why}")
    error = RuntimeError(f"{begin} failed: {report.error}.{others}")
    if report.trace:
        error.add_note(f"In rank {rank}:\n{report.trace}")
    return error


def _end(ranks: list[_Rank]) -> None:
    """End what has not ended, at once."""
    for one in ranks:
        one.process.kill()
    for one in ranks:
        one.process.join()
        one.process.close()
        one.reports.close()

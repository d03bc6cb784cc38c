"""Shuts a process of its own off from everything: namespaces, mounts, capabilities, limits.

Runs in a fork inside the sandbox, before any of the student's code. It must not run threads then,
and goes through system calls because there is no library for them on every machine.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from .seccomp import install

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID = 0x00020000, 0x08000000, 0x10000000, 0x20000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _REC, _PRIVATE = 32, 0x1000, 0x4000, 0x40000
_OF_PROC = _NOSUID | _NODEV | _NOEXEC
_SET_PDEATHSIG, _SET_DUMPABLE, _CAPBSET_DROP, _NO_NEW_PRIVS = 1, 4, 24, 38
HOME = "/home/student"
SCRATCH = (HOME, "/tmp", "/dev/shm", "/run")  # each an empty folder of limited size

_libc = ctypes.CDLL(None, use_errno=True)


def isolate(limits: dict, before: Callable[[], object] = lambda: None) -> None:
    """Return in a process that has nothing of the others': pid 1 of its own namespace.

    The caller's process waits for it and ends with it.

    Args:
        limits: as `limit` takes them, and `scratch_mb`.
        before: called before the filter on system calls is there.

    Raises:
        OSError: the kernel does not let an ordinary user make namespaces here.
    """
    uid, gid = os.getuid(), os.getgid()
    _libc.prctl(_SET_DUMPABLE, 1)  # else /proc/self belongs to root
    _checked(_libc.unshare(_NEWUSER | _NEWNS | _NEWPID | _NEWIPC), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):
            os.closerange(3, 256)
            os.waitpid(pid, 0)
        os._exit(0)
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()  # else kill(0, ...) would reach the process that forks for everyone
    _own_folders(limits["scratch_mb"])
    _own_proc()
    _drop_capabilities()
    _libc.prctl(_SET_DUMPABLE, 1)  # cleared again above; its memory is measured from outside
    limit(limits)
    before()
    install()
    os.chdir(HOME)


def isolate_ours(limits: dict) -> bool:
    """Shut a reader or a judge off as `isolate` does a student's process.

    No process can look into it, and no module comes from a folder that it can write to. Where the
    kernel refuses namespaces here, it has limits and the filter on system calls alone.

    Args:
        limits: as `isolate` takes them.

    Returns:
        Whether it has namespaces of its own.
    """
    alone = True
    try:
        isolate(limits, before=forget_scratch)
    except OSError:
        alone = False
        _drop_capabilities()
        limit(limits)
        forget_scratch()
        install()
    os.chdir("/")
    return alone


def untraceable() -> None:
    """Let no process look into this one."""
    _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def forget_scratch() -> None:
    """Let no process look into this one; take no module from a folder that can be written to."""
    untraceable()
    sys.path[:] = [path for path in sys.path if path and not path.startswith(SCRATCH)]
    os.chdir("/")


def limit(limits: dict) -> None:
    """Limit this process and its children in what `limits` names, in MB and s."""
    for name, kind, unit in (
        ("address_mb", "AS", 1 << 20),
        ("cpu_s", "CPU", 1),
        ("processes", "NPROC", 1),
        ("file_mb", "FSIZE", 1 << 20),
        ("open_files", "NOFILE", 1),
    ):
        if name in limits:
            _limit(kind, limits[name] * unit)
    for kind in ("MSGQUEUE", "MEMLOCK", "NICE", "RTPRIO"):
        _limit(kind, 0)
    _limit("CORE", 1)  # with 0 the kernel still pipes a dump to a program; 1 stops that, too


def _limit(name: str, value: int) -> None:
    if (kind := getattr(resource, f"RLIMIT_{name}", None)) is not None:  # that of CPU is 0
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _own_folders(scratch_mb: int) -> None:
    _mount("none", "/", None, _REC | _PRIVATE)
    for folder in SCRATCH:
        _mount(
            *("tmpfs", folder, "tmpfs", _NOSUID | _NODEV),
            f"size={scratch_mb}m,nr_inodes=4096,mode=0700",
        )


def _own_proc() -> None:
    """Mount a /proc of this namespace, which nothing can be told by: not even by its owner."""
    _mount("proc", "/proc", "proc", _OF_PROC)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    Path("/proc/self/coredump_filter").write_text("0")
    _mount("none", "/proc", None, _REMOUNT | _BIND | _RDONLY | _OF_PROC)


def _drop_capabilities() -> None:
    for capability in range(64):
        _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    done = _libc.mount(
        source.encode(), target.encode(), kind.encode() if kind else None, flags, options.encode()
    )
    _checked(done, f"mount {target}")


def _checked(result: int, what: str) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")

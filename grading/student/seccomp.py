"""A filter on system calls: what is not in `calls` is refused, and so are the rarer uses of some.

The sandbox's walls stand without it. What it refuses is most of the kernel, where the faults are
that have let code through such walls before; memory that no limit counts; and what would hide a
process from its grader, or leave the limits it was given.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterable
from itertools import pairwise

from .calls import MACHINES, calls

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # where they are in seccomp_data
_SET_SECCOMP, _FILTER = 22, 2  # of prctl
_X32 = 0x40000000  # x86-64 has each call twice
_YOUNG = 424  # from this number on, C libraries that are told "no such call" take an older one
_ARCHITECTURES = dict(zip(MACHINES, (0xC000003E, 0xC00000B7), strict=True))

# what a fork, a thread and a child of posix_spawn are made with; the lowest byte is a signal
_CLONE_FLAGS = 0x017D4FFF
_SHARED_AND_ANONYMOUS = 0x21  # given back and still there: counts as nobody's
_PRCTL = (
    *(2, 3, 16, 21, 23, 30, 39),  # that tell: death signal, dumpable, name, filter, rights, slack
    *(15, 38, 0x53564D41),  # a thread's name, no new privileges, the name of some memory
)
_IOCTL = (  # what Python asks of a file that may be a terminal
    *(0x5401, 0x5402, 0x5403, 0x5404, 0x540F, 0x5413),
    *(0x541B, 0x5421, 0x5450, 0x5451),
)
_CORE = 4  # the limit on core dumps: 0 would let the system's own program take one
_SET_PIPE_SIZE, _SET_LEASE, _NOTIFY, _ADD_SEALS = 1031, 1024, 1026, 1033  # of fcntl
_UNIX, _LOOPBACK = (1,), (1, 2, 10, 16)  # families of sockets


def install(*, loopback: bool = False) -> None:
    """Filter this process's system calls, and those of all that comes of it, from now on.

    Args:
        loopback: let it have network sockets, as a Jupyter kernel must to talk to itself.

    Raises:
        OSError: the kernel does not take the filter. On a machine of another kind than x86-64 and
            aarch64 nothing is done.
    """
    if not (filters := _FILTERS[loopback]):
        return
    kept = ctypes.create_string_buffer(filters, len(filters))
    header = struct.pack("HxxxxxxP", len(filters) // 8, ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the filter on system calls")


def program(machine: str | None = None, *, loopback: bool = False) -> bytes:
    """Return the filter as the kernel reads it, or nothing for another kind of machine.

    Args:
        machine: the kind; this machine's unless given.
        loopback: let it have network sockets.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return b""
    allowed = calls(machine)
    steps = [
        *_load(_ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        _fail(errno.ENOSYS),
        *_load(_NUMBER),
    ]
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32), _fail(errno.ENOSYS)]
    looked_at = _looked_at(_LOOPBACK if loopback else _UNIX)
    for name, test in looked_at.items():
        steps += [(_EQUAL, 0, len(test) + 1, allowed[name]), *test, _pass()]
    for first, last in _runs(number for name, number in allowed.items() if name not in looked_at):
        steps += [
            (_AT_LEAST, 3, 0, last + 1),
            (_AT_LEAST, 1, 0, first),
            _fail(errno.ENOSYS if first > _YOUNG else errno.EPERM),
            _pass(),
        ]
    steps += [(_AT_LEAST, 1, 0, _YOUNG), _fail(errno.EPERM), _fail(errno.ENOSYS)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _looked_at(families: tuple[int, ...]) -> dict[str, list[tuple]]:
    """Return the calls whose arguments count, and the steps that refuse some of them."""
    others = ~_CLONE_FLAGS & 0xFFFFFFFF
    return {
        "clone": [*_argument(0), (_ANY_BIT, 0, 1, others), _fail(errno.EPERM)],
        "mmap": [*_argument(3), *_both(_SHARED_AND_ANONYMOUS), _fail(errno.EPERM)],
        "prctl": [*_argument(0), *_only(_PRCTL, errno.EPERM)],
        "ioctl": [*_argument(1), *_only(_IOCTL, errno.ENOTTY)],
        "fcntl": [*_argument(1), *_but(_SET_PIPE_SIZE, _SET_LEASE, _NOTIFY, _ADD_SEALS)],
        "socket": [*_argument(0), *_only(families, errno.EAFNOSUPPORT)],
        "socketpair": [*_argument(0), *_only(families, errno.EAFNOSUPPORT)],
        "setrlimit": [*_argument(0), *_but(_CORE)],
        "prlimit64": [
            *_argument(1),
            (_EQUAL, 0, 5, _CORE),
            *_argument(2),  # a new limit, by its address
            (_EQUAL, 0, 2, 0),
            *_load(_ARGUMENTS + 8 * 2 + 4),
            (_EQUAL, 1, 0, 0),
            _fail(errno.EPERM),
        ],
    }


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of numbers without a gap, in order."""
    ordered = sorted(numbers)
    gaps = [(one, other) for one, other in pairwise(ordered) if other > one + 1]
    firsts = [ordered[0], *(after for _, after in gaps)]
    return list(zip(firsts, [*(before for before, _ in gaps), ordered[-1]], strict=True))


def _load(offset: int) -> list[tuple]:
    return [(_LOAD, 0, 0, offset)]


def _argument(place: int) -> list[tuple]:
    return _load(_ARGUMENTS + 8 * place)  # its lower half; both machines are little-endian


def _both(bits: int) -> list[tuple]:
    return [(_AND, 0, 0, bits), (_EQUAL, 0, 1, bits)]


def _only(values: tuple[int, ...], error: int) -> list[tuple]:
    skips = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [*skips, _fail(error)]


def _but(*values: int) -> list[tuple]:
    return [step for value in values for step in ((_EQUAL, 0, 1, value), _fail(errno.EPERM))]


def _fail(error: int) -> tuple:
    return (_RETURN, 0, 0, _ERRNO | error)


def _pass() -> tuple:
    return (_RETURN, 0, 0, _ALLOW)


_FILTERS = {loopback: program(loopback=loopback) for loopback in (False, True)}  # for all forks

"""A filter on system calls: shuts the kernel's doors that no exercise needs to go through.

The sandbox's walls stand without it. It refuses what has let code through such walls before, what
memory can be had by that no limit counts, and what would hide a process from its grader.
"""

import ctypes
import errno
import platform
import struct

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # where they are in seccomp_data
_SET_SECCOMP, _FILTER = 22, 2  # of prctl
_X32 = 0x40000000  # x86-64 has each call twice

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED = {  # name: (number on x86-64, on aarch64)
    # other processes, keys that outlive one, programs inside the kernel
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # namespaces, mounts, files by number
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    # memory that counts as no process's
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
}
_ABSENT = {"clone3": (435, 435)}  # its flags cannot be seen: C libraries then take clone
_CLONE, _MMAP, _PRCTL, _SOCKET = (56, 220), (9, 222), (157, 167), (41, 198)
_NEW_NAMESPACES = 0x7E020000
_SHARED_AND_ANONYMOUS = 0x21  # given back and still there: counts as nobody's
_SET_DEATH_SIGNAL, _SET_DUMPABLE = 1, 4  # to outlive the grader, to hide from its measuring
_UNIX, _LOOPBACK = (1,), (1, 2, 10, 16)  # families of sockets


def install() -> None:
    """Filter this process's system calls, and those of all that comes of it, from now on.

    Raises:
        OSError: the kernel does not take the filter. On a machine of another kind than x86-64 and
            aarch64 nothing is done.
    """
    if not (filters := program()):
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
        loopback: let it have network sockets, as a Jupyter kernel must to talk to itself.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return b""
    column = list(_ARCHITECTURES).index(machine)
    steps = [
        *_load(_ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        _fail(errno.ENOSYS),
        *_load(_NUMBER),
    ]
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32), _fail(errno.ENOSYS)]
    for numbers, error in (*_each(_REFUSED, errno.EPERM), *_each(_ABSENT, errno.ENOSYS)):
        steps += [(_EQUAL, 0, 1, numbers[column]), _fail(error)]
    for numbers, looked_at in (
        (_CLONE, [*_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _fail(errno.EPERM)]),
        (_MMAP, [*_argument(3), *_both(_SHARED_AND_ANONYMOUS), _fail(errno.EPERM)]),
        (_PRCTL, [*_argument(0), *_refused(_SET_DEATH_SIGNAL), *_refused(_SET_DUMPABLE)]),
        (_SOCKET, [*_argument(0), *_only(_LOOPBACK if loopback else _UNIX)]),
    ):
        looked_at = [*looked_at, (_RETURN, 0, 0, _ALLOW)]
        steps += [(_EQUAL, 0, len(looked_at), numbers[column]), *looked_at]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _each(calls: dict[str, tuple[int, int]], error: int):
    return [(numbers, error) for numbers in calls.values()]


def _load(offset: int) -> list[tuple]:
    return [(_LOAD, 0, 0, offset)]


def _argument(place: int) -> list[tuple]:
    return _load(_ARGUMENTS + 8 * place)  # its lower half; both machines are little-endian


def _both(bits: int) -> list[tuple]:
    return [(_AND, 0, 0, bits), (_EQUAL, 0, 1, bits)]


def _only(values: tuple[int, ...]) -> list[tuple]:
    skips = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [*skips, _fail(errno.EAFNOSUPPORT)]


def _refused(value: int) -> list[tuple]:
    return [(_EQUAL, 0, 1, value), _fail(errno.EPERM)]


def _fail(error: int) -> tuple:
    return (_RETURN, 0, 0, _ERRNO | error)

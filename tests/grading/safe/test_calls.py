"""The filter on system calls: which calls it lets through, by numbers that are the system's own."""

import errno
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from grading.student.calls import MACHINES, calls
from grading.student.seccomp import program

HEADERS = {  # of Linux, where a package such as linux-libc-dev is installed
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),  # which that of aarch64 is made of
}
OF_AARCH64 = ("ARCH_WANT_RENAMEAT", "ARCH_WANT_NEW_STAT", "ARCH_WANT_SET_GET_RLIMIT")
CODES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
REFUSED = (  # on x86-64
    *(101, 310, 311, 312, 438, 434, 424, 440, 448),  # ptrace, process_*, kcmp, pidfd_*
    *(248, 249, 250, 321, 298, 323, 425, 426, 427, 206, 209),  # keys, bpf, perf, faults, rings
    *(272, 308, 165, 166, 155, 161, 428, 429, 430, 431, 432, 433, 442),  # namespaces, mounts
    *(303, 304, 300, 301, 179, 443, 167, 168, 163, 169, 246, 320, 175, 313, 176),
    *(319, 447, 29, 30, 68, 64, 240, 216, 278, 275, 276, 237, 238, 256, 279),  # memory
    *(135, 154, 103, 317, 444, 445, 446, 162, 306, 170, 171, 172, 173, 227, 305, 159, 153, 322),
)


def numbers(machine: str) -> dict[str, int]:
    """Return the calls of a kind of machine by the system's own headers."""
    header = next((one for one in HEADERS[machine] if Path(one).exists()), None)
    if header is None or shutil.which("cpp") is None:
        pytest.skip(f"no headers of Linux for {machine} here")
    wanted = [f"-D__{name}" for name in OF_AARCH64] if machine == "aarch64" else []
    wanted += ["-D__BITS_PER_LONG=64"] if machine == "aarch64" else []
    done = subprocess.run(
        ["cpp", "-dM", *wanted, header], capture_output=True, text=True, check=True
    )
    told = dict(re.findall(r"^#define (__NR\w+) (\w+)$", done.stdout, re.MULTILINE))
    found = {}
    for name, value in told.items():
        while value in told:  # one name stands for another
            value = told[value]
        if value.isdecimal():
            found[name.removeprefix("__NR_")] = int(value)
    return found


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_systems_own(machine):
    own, ours = numbers(machine), calls(machine)
    known = {name: own[name] for name in ours if name in own}
    assert len(known) >= len(ours) - 3  # headers may be older than the youngest calls
    assert {name: ours[name] for name in known} == known
    assert len(set(ours.values())) == len(ours)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_of_the_one_machine_is_one_of_the_other_where_it_has_it(machine):
    own = numbers(machine)
    either = {name for one in MACHINES for name in calls(one)}
    assert [name for name in either if name in own and name not in calls(machine)] == []


def outcome(filters: bytes, number: int, *arguments: int, machine: int = CODES["x86_64"]) -> int:
    """Return what the filter answers to a system call: 0 where it lets it through, or an error."""
    data = struct.pack("<iIQ6Q", number, machine, 0, *(arguments + (0,) * 6)[:6])
    steps = [struct.unpack_from("<HBBI", filters, 8 * i) for i in range(len(filters) // 8)]
    place, value = 0, 0
    while True:
        code, yes, no, k = steps[place]
        place += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            value &= k
        elif code == 0x06:
            return 0 if k == 0x7FFF0000 else k & 0xFFFF
        else:
            true = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            place += yes if true else no


X86 = program("x86_64")


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_not_allowed_is_refused_and_the_rest_is_not(machine):
    filters, allowed = program(machine), set(calls(machine).values())
    asked = {"prctl": 15, "ioctl": 0x5401, "socket": 1, "socketpair": 1}
    first = {calls(machine)[name]: value for name, value in asked.items()}
    for number in range(700):
        value = first.get(number, 0)
        error = outcome(filters, number, value, value, machine=CODES[machine])
        assert (error == 0) == (number in allowed), number
        assert error in (0, errno.EPERM, errno.ENOSYS)
        if number > 424 and error:
            assert error == errno.ENOSYS  # C libraries then take an older call


@pytest.mark.parametrize("number", REFUSED)
def test_what_has_let_code_through_walls_before_is_refused(number):
    assert outcome(X86, number) in (errno.EPERM, errno.ENOSYS)


@pytest.mark.parametrize(
    ("number", "arguments", "error"),
    [
        (0, (), 0),  # read
        (59, (), 0),  # execve
        (435, (), errno.ENOSYS),  # clone3
        (56, (17,), 0),  # clone, as fork does
        (56, (0x1200011,), 0),  # as the C library's fork does
        (56, (0x3D0F00,), 0),  # a thread
        (56, (0x7D0F00,), 0),  # a thread of musl's
        (56, (0x4111,), 0),  # as posix_spawn does
        (56, (17 | 0x10000000,), errno.EPERM),  # with a user namespace
        (56, (17 | 0x8000,), errno.EPERM),  # as its parent's child
        (9, (0, 4096, 3, 0x22), 0),  # mmap, private and anonymous
        (9, (0, 4096, 3, 0x21), errno.EPERM),  # shared and anonymous
        (9, (0, 4096, 3, 0x01), 0),  # of a file
        (157, (1, 0), errno.EPERM),  # prctl: the signal when the parent dies
        (157, (4, 0), errno.EPERM),  # not dumpable
        (157, (22, 0), errno.EPERM),  # a filter of its own
        (157, (15,), 0),  # a thread's name
        (157, (0x53564D41,), 0),  # the name of some memory, by the C library
        (41, (1, 1), 0),  # a socket of AF_UNIX
        (41, (2, 1), errno.EAFNOSUPPORT),
        (41, (40, 1), errno.EAFNOSUPPORT),
        (53, (38, 1), errno.EAFNOSUPPORT),
        (16, (0, 0x5412), errno.ENOTTY),  # words put into a terminal
        (16, (0, 0x541B), 0),  # how much waits to be read
        (72, (0, 1031), errno.EPERM),  # a larger pipe
        (72, (0, 1030), 0),  # a copy of a descriptor
        (160, (4,), errno.EPERM),  # setrlimit, of core dumps
        (160, (7,), 0),
        (302, (0, 4, 0, 1), 0),  # prlimit64: the limit on core dumps is read
        (302, (0, 4, 1, 0), errno.EPERM),
        (302, (0, 4, 1 << 32, 0), errno.EPERM),
        (302, (0, 7, 1, 0), 0),
        (319 | 0x40000000, (), errno.ENOSYS),  # by the x32 numbers
    ],
)
def test_the_rarer_uses_of_a_call(number, arguments, error):
    assert outcome(X86, number, *arguments) == error


def test_the_filter_takes_no_calls_of_another_machine():
    assert outcome(X86, 0, machine=0x40000003) == errno.ENOSYS
    assert program("riscv64") == b""


def test_the_rarer_uses_on_another_machine():
    arm, code = program("aarch64"), CODES["aarch64"]
    assert outcome(arm, 222, 0, 4096, 3, 0x21, machine=code) == errno.EPERM  # mmap
    assert outcome(arm, 261, 0, 4, 1, 0, machine=code) == errno.EPERM  # prlimit64


def test_a_kernel_may_talk_to_itself():
    loopback = program("x86_64", loopback=True)
    assert [outcome(loopback, 41, family) for family in (1, 2, 10, 16)] == [0, 0, 0, 0]
    assert outcome(loopback, 41, 40) == errno.EAFNOSUPPORT

"""Where there is no sandbox: what is refused, in which words; and what the sandbox is made of."""

import errno
import os
import signal
import struct
import subprocess
import sys

import pytest

from grading.limited import sandbox
from grading.safe import execute
from grading.safe.kernel import KernelStudent
from grading.safe.limits import Limits
from grading.safe.outputs import checked_outputs
from grading.safe.pool import GradingProcesses
from grading.student.seccomp import program


@pytest.fixture
def fresh():
    """Forget what is known of this machine's sandbox."""
    sandbox.sandbox_problem.cache_clear()
    yield
    sandbox.sandbox_problem.cache_clear()


def only(folder, monkeypatch, **programs):
    """Make a folder the only one that programs are looked for in."""
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a sandbox needs Linux")


@linux
def test_a_missing_bubblewrap_is_refused_with_what_installs_it(fresh, tmp_path, monkeypatch):
    only(tmp_path, monkeypatch)
    with pytest.raises(sandbox.NoSandbox, match="apt install bubblewrap"):
        GradingProcesses()
    with pytest.raises(sandbox.NoSandbox, match="without a sandbox is refused"):
        GradingProcesses("cold")


@linux
def test_a_bubblewrap_that_may_not_is_refused_with_its_own_words(fresh, tmp_path, monkeypatch):
    denied = "bwrap: No permissions to create new namespace"
    only(tmp_path, monkeypatch, bwrap=f"echo '{denied}' >&2; exit 1")
    with pytest.raises(sandbox.NoSandbox) as refused:
        sandbox.check_sandbox()
    assert denied in str(refused.value)
    assert "user namespaces" in str(refused.value)
    assert "refused" in str(refused.value)


@linux
def test_own_code_is_graded_in_the_open_where_bubblewrap_is_missing(fresh, tmp_path, monkeypatch):
    only(tmp_path, monkeypatch)
    monkeypatch.setattr(execute, "_processes", {})
    own = execute.processes_for(own_code=True)
    try:
        assert own.kind == "open"
        student = own.student(Limits())
        assert student.run_cell("print(6 * 7)", 300)[0]["text"] == "42\n"
        student.close()
    finally:
        own.close()


def test_elsewhere_than_on_linux_it_says_so(fresh, monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    with pytest.raises(sandbox.NoSandbox, match="needs Linux"):
        sandbox.check_sandbox()


def test_a_slow_machine_gives_submissions_more_time(monkeypatch):
    monkeypatch.delenv("GQA_TIME_FACTOR")
    assert (Limits().cell_s, Limits().notebook_s) == (30, 150)
    monkeypatch.setenv("GQA_TIME_FACTOR", "2.5")
    assert (Limits().cell_s, Limits().notebook_s) == (75, 375)
    assert Limits(cell_s=1).cell_s == 1
    for wrong in ("much", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("GQA_TIME_FACTOR", wrong)
        with pytest.raises(ValueError, match=f"GQA_TIME_FACTOR is '{wrong}'"):
            Limits()


needs_sandbox = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)


def inside(code: str, **options) -> str:
    """Return what Python code prints inside the sandbox."""
    argv = sandbox.command([sandbox.python(), "-c", code], **options)
    return subprocess.run(argv, capture_output=True, text=True, check=True, cwd="/").stdout.strip()


@needs_sandbox
def test_only_the_scratch_folders_can_be_written_to():
    code = (
        "import os\n"
        "for folder, folders, _ in os.walk('/'):\n"
        "    try:\n"
        "        open(f'{folder}/x', 'w')\n"
        "        print(folder)\n"
        "    except OSError:\n"
        "        pass\n"
    )
    assert sorted(inside(code).split()) == sorted(sandbox.SCRATCH)


@needs_sandbox
def test_a_kernel_that_has_died_is_closed_without_a_message_to_it(monkeypatch):
    """Such a message once waited for ever, and a class's grading with it."""
    student = KernelStudent(Limits())
    os.kill(student.pid, signal.SIGKILL)
    monkeypatch.setattr(student._manager, "_connect_control_socket", lambda: pytest.fail("sent"))
    student.close()


@needs_sandbox
def test_an_installed_copy_of_the_course_is_hidden_and_cannot_be_written_to(monkeypatch):
    there = f"{sandbox._ENVIRONMENT if sandbox._virtual() else sys.prefix}/lib"
    monkeypatch.setattr(sandbox, "_hidden", lambda: [there])
    argv = sandbox.command(["/usr/bin/env", "sh", "-c", f"ls {there}; touch {there}/x; echo $?"])
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/")
    assert done.stdout.split() == ["1"]
    assert "Read-only" in done.stderr


@needs_sandbox
def test_nothing_of_the_environment_comes_along(monkeypatch):
    monkeypatch.setenv("GQA_HOME", "/somewhere")
    assert "GQA_HOME" not in inside("import os; print(*os.environ)").split()


def outcome(filters: bytes, number: int, *arguments: int, machine: int = 0xC000003E) -> int:
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


@pytest.mark.parametrize(
    ("number", "arguments", "error"),
    [
        (0, (), 0),  # read
        (59, (), 0),  # execve
        (101, (), errno.EPERM),  # ptrace
        (319, (), errno.EPERM),  # memfd_create
        (250, (), errno.EPERM),  # keyctl
        (435, (), errno.ENOSYS),  # clone3
        (56, (17,), 0),  # clone, as fork does
        (56, (17 | 0x10000000,), errno.EPERM),  # with a user namespace
        (9, (0, 4096, 3, 0x22), 0),  # mmap, private and anonymous
        (9, (0, 4096, 3, 0x21), errno.EPERM),  # shared and anonymous
        (9, (0, 4096, 3, 0x01), 0),  # of a file
        (157, (1, 0), errno.EPERM),  # prctl: the signal when the parent dies
        (157, (4, 0), errno.EPERM),  # not dumpable
        (157, (15,), 0),  # a thread's name
        (41, (1, 1), 0),  # a socket of AF_UNIX
        (41, (2, 1), errno.EAFNOSUPPORT),
        (41, (40, 1), errno.EAFNOSUPPORT),
        (319 | 0x40000000, (), errno.ENOSYS),  # by the x32 numbers
    ],
)
def test_the_filter_on_system_calls(number, arguments, error):
    assert outcome(X86, number, *arguments) == error


def test_the_filter_takes_no_calls_of_another_machine():
    assert outcome(X86, 0, machine=0x40000003) == errno.ENOSYS


def test_the_filter_of_another_machine_has_its_numbers():
    arm = program("aarch64")
    assert outcome(arm, 279, machine=0xC00000B7) == errno.EPERM  # memfd_create
    assert outcome(arm, 222, 0, 4096, 3, 0x21, machine=0xC00000B7) == errno.EPERM  # mmap
    assert outcome(arm, 63, machine=0xC00000B7) == 0  # read
    assert program("riscv64") == b""


def test_a_kernel_may_talk_to_itself():
    loopback = program("x86_64", loopback=True)
    assert [outcome(loopback, 41, family) for family in (1, 2, 10, 16)] == [0, 0, 0, 0]
    assert outcome(loopback, 41, 40) == errno.EAFNOSUPPORT


def test_outputs_that_are_none_are_left_out():
    told = [None, 7, {}, {"output_type": "execute_result"}, {"output_type": {}}, {"output_type": 1}]
    assert checked_outputs(told, 1000) == ([], 0)
    assert checked_outputs({"a": 1}, 1000) == ([], 0)


def test_outputs_are_kept_as_far_as_there_is_room():
    told = [{"output_type": "stream", "name": "stdout", "text": "x" * 300}] * 10
    kept, taken = checked_outputs(told, 1000)
    assert taken == 1000
    assert sum(len(one["text"]) for one in kept) < 1100
    assert "the rest of the output was not kept" in kept[-1]["text"]


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/javascript"])
def test_of_what_is_displayed_only_text_and_images_are_kept(kind):
    told = [{"output_type": "display_data", "data": {kind: "<b>", "image/png": '"><b>'}}]
    (output,), _ = checked_outputs(told, 1000)
    assert output["data"] == {"text/plain": ""}


def test_text_that_no_file_can_hold_is_mended():
    told = [{"output_type": "error", "ename": "\ud800", "evalue": "\0", "traceback": "\udfff"}]
    (output,), _ = checked_outputs(told, 1000)
    assert os.fsencode("".join([output["ename"], *output["traceback"]]))
    str(output).encode("utf-8")

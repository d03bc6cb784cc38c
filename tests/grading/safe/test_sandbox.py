"""Where there is no sandbox: what is refused, in which words; and what the sandbox is made of."""

import os
import signal
import subprocess
import sys

import pytest

from gqa_lib.course.places import course_root
from grading.limited import sandbox, shown
from grading.safe import execute
from grading.safe.kernel import KernelStudent
from grading.safe.limits import Limits
from grading.safe.outputs import checked_outputs
from grading.safe.pool import GradingProcesses


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


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a folder of packages in which the course is installed, in all ways at once."""
    packages = tmp_path / "lib" / "site-packages"
    for name in ("gqa_lib", "grading", "gqa_course-0.1.0.dist-info", "other"):
        (packages / name).mkdir(parents=True)
        (packages / name / "told.txt").write_text("secret")
    for name in ("_editable_impl_gqa_course.pth", "__editable___gqa_finder.py"):
        (packages / name).write_text("/home/me/course")
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    return packages


@needs_sandbox
def test_an_installed_copy_of_the_course_is_hidden_and_cannot_be_written_to(installed):
    code = (
        "import os, pathlib, sys\n"
        "for one in sorted(pathlib.Path(sys.path[-1]).rglob('*')):\n"
        "    if one.is_file() and one.stat().st_size: print(one.name)\n"
        "    try: (one / 'x' if one.is_dir() else one).write_text('x')\n"
        "    except OSError: continue\n"
        "    print('wrote', one)\n"
    )
    assert inside(code).split() == ["told.txt"]  # that of the other package


@needs_sandbox
def test_private_folders_inside_of_what_is_shown_are_empty_there(installed, monkeypatch):
    exchange, records = installed / "other" / "exchange", installed / "records"
    for folder in (exchange, records):
        folder.mkdir()
        (folder / "gradebook.db").write_text("secret")
    monkeypatch.setenv("GQA_EXCHANGE", str(exchange))
    monkeypatch.setenv("GQA_HOME", str(records))
    code = "import pathlib, sys; print(*pathlib.Path(sys.path[-1]).rglob('gradebook.db'))"
    assert inside(code) == ""


@needs_sandbox
def test_of_the_system_there_are_only_libraries_and_a_few_programs():
    code = (
        "import os; folders = ('/', '/usr', '/usr/bin', '/etc')\n"
        "print(*[f'{folder}/{one}' for folder in folders for one in os.listdir(folder)])"
    )
    told = set(inside(code).split())
    top = {"bin", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "run", "tmp", "usr"}
    assert {one for one in told if one.startswith("//")} == {f"//{one}" for one in top}
    assert {one for one in told if one.startswith("/etc/")} <= {"/etc/ld.so.cache"}
    programs = {one.removeprefix("/usr/bin/") for one in told if one.startswith("/usr/bin/")}
    assert programs <= set(shown.PROGRAMS)
    assert not {"/usr/include", "/usr/src", "/usr/sbin", "/usr/local"} & told


@needs_sandbox
@pytest.mark.parametrize("nested", [True, False])
def test_all_that_a_lesson_imports_is_there(nested):
    code = (
        "import torch, triton, numpy, matplotlib.pyplot, IPython, ipykernel, sqlite3, ssl, lzma,"
        " bz2, ctypes, decimal, zoneinfo, multiprocessing.shared_memory, gqa_lib.configs\n"
        "matplotlib.pyplot.plot([1, 2]); matplotlib.pyplot.savefig('/tmp/a.png')\n"
        "assert zoneinfo.ZoneInfo('Europe/Berlin'); print(torch.__file__)\n"
    )
    assert inside(code, nested=nested) == "/opt/gqa/packages/0/torch/__init__.py"


@needs_sandbox
def test_a_mount_of_our_own_files_tells_no_path_of_the_course():
    told = inside("print(open('/proc/self/mountinfo').read())")
    own = [row.split()[3:5] for row in told.splitlines() if " /opt/gqa/g" in row]
    assert [there for _, there in own] == ["/opt/gqa/gqa_lib", "/opt/gqa/grading"]
    assert [here for here, _ in own if str(course_root()) in here] == []


@needs_sandbox
def test_proc_is_read_only_and_no_core_is_dumped():
    limit = (
        "from grading.student.isolate import limit; limit({}); import os, resource\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), os.statvfs('/proc').f_flag & 1)"
    )
    assert inside(limit) == "(1, 1) 1"


@needs_sandbox
def test_nothing_comes_in_the_way_of_the_grader_and_a_kernels_sockets():
    """Once they are connected their folder has no path: what is put there leads nowhere."""
    student = KernelStudent(Limits())
    try:
        sockets = student._provisioner().meeting
        assert list(sockets.iterdir()) == []
        source = "import os\ntry: os.symlink('/dev/null', '/run/kernel/socket-1')\n"
        source += "except OSError as error: print(type(error).__name__)"
        (told,) = student.run_cell(source, 300)
        assert told["text"] == "FileNotFoundError\n"
        assert list(sockets.iterdir()) == []
    finally:
        student.close()
    assert not sockets.exists()


@needs_sandbox
def test_nothing_of_the_environment_comes_along(monkeypatch):
    monkeypatch.setenv("GQA_HOME", "/somewhere")
    assert "GQA_HOME" not in inside("import os; print(*os.environ)").split()


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

"""Sweeps on Dask: workers die, commands die, and nothing is lost or goes on without anybody."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from deaths import QUICK
from ports import free_port
from toys import toy
from waiting import PATIENCE_S, until

from gqa_lib.bench.jobs import Job, library_digest
from gqa_lib.bench.sweeps.engines import dask as engine
from gqa_lib.bench.sweeps.engines.dask import run_dask
from gqa_lib.bench.sweeps.engines.dask_worker import look_there
from gqa_lib.bench.sweeps.live import Progress
from gqa_lib.cli import main
from gqa_lib.course.places import package_root

distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the system tells children on Linux"
)
TELL = """\
import os, pathlib, signal, time
here = pathlib.Path({folder!r})
with open(here / "told", "a") as told:
    told.write(f"{{size}} {{os.getpid()}}\\n")
"""
WAIT = "while not (here / 'go').exists(): time.sleep(0.05)"


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a cluster of two workers, which commands find running."""
    import dask

    folder = tmp_path_factory.mktemp("dask")
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("PYTHONPATH", f"{QUICK}:{package_root().parent}")
        patch.setenv("CUDA_VISIBLE_DEVICES", "0")  # to tell of a CPU takes torch, which is slow
        with (
            dask.config.set(settings),
            distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                local_directory=str(folder),
                silence_logs=100,
            ) as cluster,
        ):
            yield cluster.scheduler_address


@pytest.fixture
def sweep(scheduler, tmp_path):
    """Return a function that runs a notebook for some sizes and returns the records by size."""

    def run(notebook, sizes, showing=lambda runs: None):
        jobs = [Job(str(notebook), {"size": size}) for size in sizes]
        with Progress(jobs, slots=2, quiet=True) as progress:
            progress.running = showing
            try:
                run_dask(jobs, tmp_path / "out", progress, address=scheduler)
            finally:
                ends = {one["params"]["size"]: one["status"] for one in progress.records}
        return ends

    return run


def records(out):
    found = [json.loads(path.read_text()) for path in out.glob("*/record.json")]
    return sorted((one["params"]["size"], one["status"]) for one in found)


def told(folder):
    """The sizes that began to run, with their processes."""
    path = folder / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted(tuple(map(int, line.split())) for line in lines)


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def listening(pid):
    """The addresses that a process and those below it listen on."""
    process = psutil.Process(pid)
    return [
        tuple(one.laddr)
        for one in process.net_connections(kind="inet")
        + [c for below in process.children(recursive=True) for c in below.net_connections("inet")]
        if one.status == psutil.CONN_LISTEN
    ]


def without_certificate(port):
    """What a server says to somebody who has no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain) as connection,
        ):
            return connection.recv(1)
    except ssl.SSLError as refused:
        return refused.reason
    except OSError as trouble:
        return type(trouble).__name__


@linux
def test_a_run_that_kills_its_workers_is_a_record_and_the_others_are_done(sweep, tmp_path):
    code = TELL.format(folder=str(tmp_path)) + (
        "assert size != 2, 'two is too many'\n"
        "if size == 3:\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "    time.sleep(4321)\n"
    )
    ends = sweep(toy(tmp_path / "toy.ipynb", code), [1, 2, 3, 4])
    assert ends == {1: "ok", 2: "error", 3: "killed", 4: "ok"}
    assert records(tmp_path / "out") == sorted(ends.items())
    assert [size for size, _ in told(tmp_path)] == [1, 2, 3, 4]
    assert all(gone(pid) for _, pid in told(tmp_path))


def test_ctrl_c_ends_the_runs_and_their_records_say_so(sweep, tmp_path):
    notebook = toy(tmp_path / "toy.ipynb", TELL.format(folder=str(tmp_path)) + WAIT)
    pressed = []

    def showing(runs):
        if not pressed and len(told(tmp_path)) == len(runs) == 2:
            pressed.append(runs)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(notebook, [1, 2, 3], showing)
    assert [status for _, status in records(tmp_path / "out")] == ["interrupted"] * 2
    assert all(gone(pid) for _, pid in told(tmp_path))


@linux
def test_runs_end_with_the_command_that_wants_them(scheduler, sweep, tmp_path):
    notebook = toy(tmp_path / "toy.ipynb", TELL.format(folder=str(tmp_path)) + WAIT)
    command = [sys.executable, "-m", "gqa_lib.cli", "bench", "run", str(notebook)]
    command += ["--grid", "size=1,2,3", "--out", str(tmp_path / "out"), f"--dask={scheduler}"]
    first = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(package_root().parent)})
    try:
        until(lambda: len(told(tmp_path)) == 2)
    finally:
        first.kill()
        first.wait()
    until(lambda: len(records(tmp_path / "out")) == 2)
    assert [status for _, status in records(tmp_path / "out")] == ["interrupted"] * 2
    assert all(gone(pid) for _, pid in told(tmp_path))
    (tmp_path / "go").touch()
    assert sweep(notebook, [1, 2, 3]) == {1: "ok", 2: "ok", 3: "ok"}
    assert records(tmp_path / "out") == [(1, "ok"), (2, "ok"), (3, "ok")]
    assert len(told(tmp_path)) == 5


def test_another_version_on_a_worker_is_refused_before_anything_runs(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "library_digest", lambda: "another")
    with pytest.raises(ValueError, match="another version of gqa_lib"):
        sweep(toy(tmp_path / "toy.ipynb"), [1])
    assert records(tmp_path / "out") == []
    assert not list((tmp_path / "out").iterdir())


def test_a_worker_without_the_folder_says_so(tmp_path):
    (tmp_path / "mark").touch()
    assert look_there(str(tmp_path / "mark"), library_digest()) is None
    assert "share" in look_there(str(tmp_path / "other" / "mark"), library_digest())


def test_addresses_that_do_not_answer_are_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(engine, "_CONNECT_S", 0.3)
    notebook = str(toy(tmp_path / "toy.ipynb"))
    command = ["bench", "run", notebook, "--out", str(tmp_path / "out")]
    address = f"tcp://127.0.0.1:{free_port()}"
    assert main([*command, f"--dask={address}"]) == 1
    assert f"no Dask scheduler answers at {address}" in capsys.readouterr().err
    assert main([*command, f"--dask=tls{address[3:]}"]) == 1
    assert "needs certificates" in capsys.readouterr().err
    assert main([*command, "--dask", "sweep.yaml"]) == 1
    assert "put --dask last" in capsys.readouterr().err


@pytest.fixture
def here(tmp_path):
    """A command that runs a sweep on workers of this machine, and waits in its notebook."""
    notebook = toy(tmp_path / "toy.ipynb", TELL.format(folder=str(tmp_path)) + WAIT)
    command = [sys.executable, "-m", "gqa_lib.cli", "bench", "run", str(notebook), "--slots", "1"]
    command += ["-p", "size=1", "--out", str(tmp_path / "out"), "--dask"]
    paths = f"{QUICK}:{package_root().parent}"
    environment = os.environ | {"PYTHONPATH": paths, "TMPDIR": str(tmp_path)}
    environment["CUDA_VISIBLE_DEVICES"] = "0"
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        until(lambda: told(tmp_path))
        yield process
    finally:
        process.kill()
        process.wait()


@linux
def test_workers_of_this_machine_are_for_the_command_alone(here):
    addresses = listening(here.pid)
    assert {host for host, _ in addresses} == {"127.0.0.1"}
    with ThreadPoolExecutor() as at_once:
        refusals = list(at_once.map(without_certificate, [port for _, port in addresses]))
    assert refusals.count("TLSV13_ALERT_CERTIFICATE_REQUIRED") == 3  # scheduler, nanny, worker


@linux
def test_workers_of_this_machine_end_with_the_command_at_ctrl_c(here, tmp_path):
    os.killpg(here.pid, signal.SIGINT)  # as a terminal does
    _, said = here.communicate(timeout=PATIENCE_S)
    assert here.returncode == 128 + signal.SIGINT
    assert said.endswith("The same command goes on from here.\ngqa: stopped by SIGINT\n")
    assert records(tmp_path / "out") == [(1, "interrupted")]
    assert all(gone(pid) for _, pid in told(tmp_path))

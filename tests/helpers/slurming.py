"""A Slurm of one node, from Debian's packages, for as long as a test needs it."""

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ports import free_port

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_DAEMONS = ("slurmctld", "slurmd")
needs_slurm = pytest.mark.skipif(
    not all(shutil.which(name, path=_PATH) for name in (*_DAEMONS, "sbatch")),
    reason="Slurm is not installed (scripts/system-packages.sh installs it)",
)
_CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ReturnToService=2
MaxArraySize={most}
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
"""


@contextmanager
def slurm(folder: Path, *, most: int = 1001) -> Iterator[Path]:
    """Run a cluster, and yield its configuration, which SLURM_CONF names.

    Args:
        folder: for its files.
        most: tasks of an array.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    ports = (free_port(), free_port())
    conf.write_text(_CONF.format(user=getpass.getuser(), ports=ports, folder=folder, most=most))
    environment = os.environ | {"SLURM_CONF": str(conf), "PATH": _PATH}
    started = []
    try:
        for name in _DAEMONS:
            node = ["-N", "localhost"] if name == "slurmd" else []
            with (folder / f"{name}.log").open("w") as log:
                command = [name, "-D", *node]
                started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        _until_idle(environment, folder)
        yield conf
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_idle(environment: dict[str, str], folder: Path) -> None:
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        command = ["sinfo", "--noheader", "--format=%T"]
        told = subprocess.run(command, capture_output=True, text=True, env=environment)
        if told.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    logs = "\n".join((folder / f"{name}.log").read_text()[-2000:] for name in _DAEMONS)
    raise AssertionError(f"Slurm does not start: {told.stdout}{told.stderr}\n{logs}")

"""A Jupyter kernel inside the sandbox: what warm students' processes are compared with.

`SandboxProvisioner` is a jupyter_client kernel provisioner: any kernel whose spec names it runs
inside bubblewrap, its five sockets in a folder that only the sandbox has. `KernelStudent` runs a
submission in such a kernel, cold, where no namespaces can be made inside the sandbox.
"""

import asyncio
import json
import os
import queue
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq
from jupyter_client import BlockingKernelClient, KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import LocalProvisioner

from ..limited.sandbox import NOBODY, NoSandbox, check_sandbox, command, python
from ..limited.scratch import new_folder, remove
from .limits import Limits
from .process import Ended, StudentProcess

NAME, SPECS = "gqa-sandbox", Path(__file__).parent / "kernels"
_SOCKETS, _SOCKET = "/run/kernel", "socket"  # inside: their folder, and how their names begin
_CONNECTION = "/run/connection.json"
START_S = 120
THREADS, FILES = 12, 192  # of the kernel itself, before a cell has run
MAX_MESSAGE, MAX_WAITING = 8 << 20, 32  # bytes of a kernel's message; how many may pile up here


class SandboxProvisioner(LocalProvisioner):
    """Launches a kernel inside the sandbox and reaches its sockets in a folder that both see."""

    limits = Limits()
    judge_end: socket.socket | None = None  # a line that the kernel inherits
    inside_pid = 0  # the kernel's process as seen from here
    meeting: Path | None = None  # what the sockets' folder is in

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose IPC sockets: the sandbox has no network.

        Raises:
            NoSandbox: there is none here.
        """
        check_sandbox()
        self.judge_end = kwargs.pop("judge_end", None)
        self.limits = kwargs.pop("limits", self.limits)
        manager: Any = self.parent
        manager.transport, manager.ip = "ipc", f"{_SOCKETS}/{_SOCKET}"
        for number, name in enumerate(("shell", "iopub", "stdin", "hb", "control"), 1):
            setattr(manager, f"{name}_port", number)
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel and return how to reach it from here."""
        info = self.connection_info.copy()
        told = {k: v.decode() if isinstance(v, bytes) else v for k, v in info.items()}
        connection, told_pid = _pipe_with(json.dumps(told).encode()), os.pipe()
        passed = [connection, told_pid[1]]
        if self.judge_end is not None:
            passed.append(self.judge_end.fileno())
        options = [a for a in cmd if a.startswith("--")]
        may = self.limits.as_dict()
        may["processes"] += THREADS
        may["open_files"] += FILES
        start = ("-m", "grading.student.launch", json.dumps(may), "-f", _CONNECTION)
        self.meeting = _meeting_place()
        argv = command(
            [python(), *start, *options],
            bwrap=[
                *("--file", str(connection), _CONNECTION, "--info-fd", str(told_pid[1])),
                "--as-pid-1",
            ],
            writable=[(str(self.meeting / "sockets"), _SOCKETS)],
        )
        self.process = subprocess.Popen(
            argv,
            pass_fds=passed,
            env={},
            cwd="/",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid, self.pgid = self.process.pid, os.getpgid(self.process.pid)
        for descriptor in (connection, told_pid[1]):
            os.close(descriptor)
        self.inside_pid = await _child_pid(told_pid[0])
        info["ip"] = str(self.meeting / "sockets" / _SOCKET)
        await self._sockets_are_there(info["ip"], self.process)
        return info

    def forget_sockets(self) -> None:
        """Take the sockets' folder away once they are connected, before any code of the student's.

        Whatever the student's code puts in their place, nothing here comes to it: the folder that
        the sandbox still holds has no path, and nothing can be put into it.
        """
        if self.meeting is not None:
            shutil.rmtree(self.meeting / "sockets")

    async def cleanup(self, *args: Any, **kwargs: Any) -> None:
        """Remove what the kernel needed here."""
        await super().cleanup(*args, **kwargs)
        if self.meeting is not None:
            remove(self.meeting)
            self.meeting = None

    async def send_signal(self, signum: int) -> None:
        """Kill the sandbox; a signal to its process does not reach the kernel inside.

        So does an interrupt, with which every shutdown begins: a message might wait for ever.
        """
        if signum and self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.inside_pid, 9)

    async def _sockets_are_there(self, address: str, process: subprocess.Popen) -> None:
        for _ in range(START_S * 100):
            ready = all(Path(f"{address}-{number}").exists() for number in range(1, 6))
            if ready or process.poll() is not None:
                return
            await asyncio.sleep(0.01)


class KernelStudent(StudentProcess):
    """A student's process that is a Jupyter kernel in a sandbox of its own.

    Raises:
        NoSandbox: it does not start.
    """

    own_threads = THREADS

    def __init__(self, limits: Limits):
        super().__init__(limits)
        self._client: BlockingKernelClient | None = None
        self._asked = ""
        self.judge_line, judge_end = socket.socketpair()
        specs = KernelSpecManager(kernel_dirs=[str(SPECS)])  # no choice for a learner's launcher
        self._manager = KernelManager(
            kernel_name=NAME, kernel_spec_manager=specs, shutdown_wait_time=0
        )
        self._manager.context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        self._manager.context.setsockopt(zmq.RCVHWM, MAX_WAITING)
        options = ["--HistoryManager.hist_file=:memory:", "--InteractiveShell.colors=nocolor"]
        try:
            self._manager.start_kernel(extra_arguments=options, judge_end=judge_end, limits=limits)
            self.hold(self._provisioner().inside_pid)
            self._client = self._manager.client()
            # of its channels only these: a kernel can make the thread of another wait for ever
            self._client.start_channels(stdin=False, hb=False, control=False)
            self._client.wait_for_ready(timeout=START_S)
            self._provisioner().forget_sockets()
            descriptor = judge_end.fileno()
            self._quietly(
                f"__import__('grading.student.kernel').student.kernel.begin({descriptor})"
            )
            self._wait_until_idle(START_S)
        except (RuntimeError, Ended) as error:
            self.close()
            raise NoSandbox(f"the sandbox did not start: {error}") from None
        finally:
            judge_end.close()

    def run_cell(self, source: str, time_s: float) -> list[dict]:
        """Return the outputs of a cell, checked for their form.

        Args:
            source: the cell.
            time_s: how long it may take by the clock on the wall.

        Raises:
            Ended: the kernel was stopped.
        """
        if self.stopped:
            raise Ended(self.stopped)
        self._wait_until_idle(time_s)
        client, size = self._connected(), 0
        outputs: list[dict] = []
        asked = client.execute(source, allow_stdin=False)
        end = time.monotonic() + time_s
        while time.monotonic() < end:
            message = self._message(client.get_iopub_msg)
            if message is None or _asked_by(message) != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            size += len(str(content))
            if size > 4 * self.limits.output_bytes:
                self.end(f"more than {self.limits.output_bytes} bytes of output")
            if kind == "status" and content.get("execution_state") == "idle":
                return self.checked(outputs)
            if kind == "error":
                content = {
                    **content,
                    "traceback": "\n".join(map(str, content.get("traceback", []))),
                }
            outputs.append({**content, "output_type": kind})
        self.end("time limit")

    def serve(self) -> None:
        """Let the kernel answer the judge until the judge says it may rest.

        Raises:
            Ended: the kernel was stopped.
        """
        if self.stopped:
            raise Ended(self.stopped)
        self._quietly("__import__('grading.student.kernel').student.kernel.serve()")

    def close(self) -> None:
        """End the kernel and forget it."""
        super().close()
        if self._client is not None:
            self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self.forget_group()

    def _provisioner(self) -> SandboxProvisioner:
        provisioner = self._manager.provisioner
        if not isinstance(provisioner, SandboxProvisioner):
            raise Ended(f"the kernel {NAME!r} was not started by the sandbox")
        return provisioner

    def _connected(self) -> BlockingKernelClient:
        if self._client is None:
            raise Ended("its kernel is not connected")
        return self._client

    def _quietly(self, source: str) -> None:
        self._asked = self._connected().execute(source, silent=True, store_history=False)

    def _wait_until_idle(self, time_s: float) -> None:
        """Wait for the reply to what was executed quietly."""
        end = time.monotonic() + time_s
        while self._asked and time.monotonic() < end:
            message = self._message(self._connected().get_shell_msg)
            if message is not None and _asked_by(message) == self._asked:
                self._asked = ""
        if self._asked:
            self.end("time limit")

    def _message(self, get) -> dict | None:
        """Return the kernel's next message, or None if there is none in a moment or it is unsound.

        Raises:
            Ended: the kernel has ended.
        """
        try:
            message = get(timeout=0.2)
        except queue.Empty:
            if not self._manager.is_alive():
                self.end("its process ended")
            return None
        except Exception:  # jupyter_client raises many kinds, one per way to be garbled
            return None
        return message if isinstance(message.get("content"), dict) else None


def _asked_by(message: dict) -> object:
    parent = message.get("parent_header")
    return parent.get("msg_id") if isinstance(parent, dict) else None


def _meeting_place() -> Path:
    folder = new_folder()
    (folder / "sockets").mkdir()
    if os.geteuid() == 0:
        os.chown(folder / "sockets", int(NOBODY), int(NOBODY))
    return folder


def _pipe_with(data: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


async def _child_pid(descriptor: int) -> int:
    """Return the process number that bubblewrap tells."""
    loop, told = asyncio.get_running_loop(), b""
    try:
        while b"}" not in told:
            more = await loop.run_in_executor(None, os.read, descriptor, 4096)
            if not more:
                raise NoSandbox("bubblewrap ended before the kernel began")
            told += more
    finally:
        os.close(descriptor)
    return json.loads(told)["child-pid"]

"""A Jupyter kernel inside the sandbox: what warm students' processes are held against.

`SandboxProvisioner` is a jupyter_client kernel provisioner: any kernel whose spec names it runs
inside bubblewrap, its five sockets in a folder that only the sandbox has. `KernelStudent` runs a
submission in such a kernel, cold. It takes the place of a warm process where a kernel may not make
namespaces inside the sandbox.
"""

import asyncio
import json
import os
import queue
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import LocalProvisioner

from .limits import Limits
from .outputs import checked_outputs
from .process import Ended, StudentProcess
from .sandbox import NoSandbox, check_sandbox, command, python

NAME, SPECS = "gqa-sandbox", Path(__file__).parent / "kernels"
_SOCKETS = "/run/kernel"  # inside
_CONNECTION = "/run/connection.json"
START_S = 60


class SandboxProvisioner(LocalProvisioner):
    """Launches a kernel inside the sandbox and reaches its sockets through /proc."""

    limits = Limits()
    judge_end: socket.socket | None = None  # a line that the kernel inherits
    inside_pid = 0  # the kernel's process as seen from here

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose IPC sockets: the sandbox has no network.

        Raises:
            NoSandbox: there is none here.
        """
        check_sandbox()
        self.judge_end = kwargs.pop("judge_end", None)
        self.limits = kwargs.pop("limits", self.limits)
        manager = self.parent
        manager.transport, manager.ip = "ipc", _SOCKETS
        for number, name in enumerate(("shell", "iopub", "stdin", "hb", "control"), 1):
            setattr(manager, f"{name}_port", number)
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel and return how to reach it from here."""
        info = dict(self.connection_info)
        told = {k: v.decode() if isinstance(v, bytes) else v for k, v in info.items()}
        connection, told_pid = _pipe_with(json.dumps(told).encode()), os.pipe()
        passed = [connection, told_pid[1]]
        if self.judge_end is not None:
            passed.append(self.judge_end.fileno())
        options = [a for a in cmd if a.startswith("--")]
        limits = self.limits
        argv = command(
            [
                *("prlimit", f"--as={limits.address_mb << 20}", f"--cpu={limits.cpu_s:g}"),
                *(f"--nproc={limits.processes}", f"--fsize={limits.file_mb << 20}"),
                *(f"--nofile={limits.open_files}", "--core=0", "--msgqueue=0", "--"),
                *(python(), "-m", "ipykernel_launcher", "-f", _CONNECTION, *options),
            ],
            bwrap=["--file", str(connection), _CONNECTION, "--info-fd", str(told_pid[1])],
        )
        nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        self.process = subprocess.Popen(
            argv, pass_fds=passed, env={}, cwd="/", start_new_session=True, **nowhere
        )
        self.pid, self.pgid = self.process.pid, os.getpgid(self.process.pid)
        os.close(connection)
        os.close(told_pid[1])
        self.inside_pid = await _child_pid(told_pid[0])
        info["ip"] = f"/proc/{self.inside_pid}/root{_SOCKETS}"
        await self._sockets_are_there(info["ip"])
        return info

    async def send_signal(self, signum: int) -> None:
        """Kill the sandbox; a signal to its process does not reach the kernel inside."""
        if self.process is not None and signum:
            with suppress(ProcessLookupError):
                os.kill(self.inside_pid, 9)

    async def _sockets_are_there(self, address: str) -> None:
        for _ in range(START_S * 100):
            ready = all(Path(f"{address}-{number}").exists() for number in range(1, 6))
            if ready or self.process.poll() is not None:
                return
            await asyncio.sleep(0.01)


class KernelStudent(StudentProcess):
    """A student's process that is a Jupyter kernel in a sandbox of its own.

    Raises:
        NoSandbox: it does not start.
    """

    def __init__(self, limits: Limits):
        super().__init__(limits)
        self.judge_line, judge_end = socket.socketpair()
        specs = KernelSpecManager(kernel_dirs=[str(SPECS)])  # no choice for a learner's launcher
        self._manager = KernelManager(
            kernel_name=NAME, kernel_spec_manager=specs, shutdown_wait_time=0
        )
        options = ["--HistoryManager.hist_file=:memory:", "--InteractiveShell.colors=nocolor"]
        try:
            self._manager.start_kernel(extra_arguments=options, judge_end=judge_end, limits=limits)
            self.pid = self._manager.provisioner.inside_pid
            self._client = self._manager.client()
            self._client.start_channels()
            self._client.wait_for_ready(timeout=START_S)
            descriptor = judge_end.fileno()
            self._quietly(
                f"__import__('grading.student.kernel').student.kernel.begin({descriptor})"
            )
            self._wait_until_idle(START_S)
        except RuntimeError as error:
            raise NoSandbox(f"the sandbox did not start: {error}") from None
        finally:
            judge_end.close()
        self.watch_memory()

    def run_cell(self, source: str, time_s: float) -> list[dict]:
        """Return the outputs of a cell, checked for their form.

        Raises:
            Ended: the kernel was stopped.
        """
        if self.stopped:
            raise Ended(self.stopped)
        self._wait_until_idle(time_s)
        outputs, size = [], 0

        def keep(message: dict) -> None:
            nonlocal size
            kind, content = message["header"]["msg_type"], message["content"]
            size += len(str(content))
            if size > self.limits.output_bytes:
                raise Ended(f"more than {self.limits.output_bytes} bytes of output")
            if kind in ("stream", "display_data", "error"):
                content = {**content, "traceback": "\n".join(content.get("traceback", []))}
                outputs.append({"output_type": kind, **content})

        try:
            self._client.execute_interactive(
                source, timeout=time_s, output_hook=keep, allow_stdin=False
            )
        except TimeoutError:
            self.end("time limit")
        except Ended as ended:
            self.end(str(ended))
        except RuntimeError:  # the kernel died before replying
            self.end("its process ended")
        return checked_outputs(outputs)

    def serve(self) -> None:
        """Let the kernel answer the judge until the judge says it may rest."""
        if self.stopped:
            raise Ended(self.stopped)
        self._quietly("__import__('grading.student.kernel').student.kernel.serve()")

    def close(self) -> None:
        """End the kernel and forget it."""
        super().close()
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _quietly(self, source: str) -> None:
        self._asked = self._client.execute(source, silent=True, store_history=False)

    def _wait_until_idle(self, time_s: float) -> None:
        """Wait for the reply to what was executed quietly."""
        end = time.monotonic() + time_s
        while self._asked and time.monotonic() < end:
            with suppress(queue.Empty):
                reply = self._client.get_shell_msg(timeout=0.2)
                if reply["parent_header"].get("msg_id") == self._asked:
                    self._asked = ""
            if not self._manager.is_alive():
                self.end("its process ended")
        if self._asked:
            self.end("time limit")


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

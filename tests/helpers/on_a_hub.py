"""A JupyterHub with three users of its own, for as long as a test runs, and its pages."""

import os
import shutil
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

from playwright.sync_api import Page
from ports import free_port

ROOT = Path(__file__).parents[2]
START = ROOT / "tests" / "hub" / "start.sh"
HERE = ROOT / "build" / "hub"  # docs/hub.md, "What was tried", says what may be in it
PACKAGES = "" if find_spec("jupyterhub") else str(HERE / "packages")
PROXY = shutil.which("configurable-http-proxy") or shutil.which(
    "configurable-http-proxy", path=HERE / "node_modules" / ".bin"
)


def missing() -> str:
    """Return what a hub needs that is not here, or ""."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "users of its own need root and unshare"
    if PACKAGES and not Path(PACKAGES, "jupyterhub").is_dir():
        return "jupyterhub is not installed: docs/hub.md says how"
    if not PROXY:
        return "configurable-http-proxy is not installed: docs/hub.md says how"
    return "" if shutil.which("openssl") else "openssl is not installed"


class Hub:
    """A hub whose machine, as its users see it, is under `folder`."""

    def __init__(self, folder: Path):
        self.folder, self.port, self.log = folder, free_port(), folder / "hub.log"
        self.address = f"http://127.0.0.1:{self.port}"
        given = (folder, ROOT, sys.executable, PACKAGES, PROXY, self.port)
        self.ports = (free_port(), free_port())
        command = ["unshare", "-m", "sh", START, *given, *self.ports]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env={"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, patience_s: float = 600) -> None:
        """Wait until the hub answers.

        Raises:
            AssertionError: it ended, fails, or does not answer in time.
        """
        give_up = time.monotonic() + patience_s
        while time.monotonic() < give_up and self.process.poll() is None:
            try:
                connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
                connection.request("GET", "/hub/login")
                status = connection.getresponse().status
                if status == 200:
                    return
                if status == 500:
                    break
            except OSError:
                pass
            time.sleep(0.5)
        raise AssertionError(f"no hub:\n{self.log.read_text()}")

    def run(self, user: str, command: str) -> str:
        """Run a shell command as a user, on the hub's machine; return what it printed."""
        inside = ["nsenter", "-m", "-t", str(self.process.pid), "runuser", "-u", user, "--"]
        env = {
            "HOME": f"/home/{user}",
            "USER": user,
            "PATH": "/usr/sbin:/usr/bin:/bin",
            "GQA_EXCHANGE": "/srv/gqa/exchange",
            "GQA_TIME_FACTOR": "20",
        }
        env |= {"GQA_HOME": "/srv/gqa/records"} if user == "teacher" else {}
        done = subprocess.run(
            [*inside, "sh", "-c", command], env=env, cwd="/", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self) -> None:
        """End the hub, its proxy and everybody's servers."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # it ends the servers, too
            self.process.wait(timeout=300)


def log_in(page: Page, hub: Hub, name: str) -> None:
    """Log in as one of the hub's users, and wait until JupyterLab is there."""
    page.goto(f"{hub.address}/hub/login")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/user/{name}/lab**")

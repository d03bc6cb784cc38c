"""JupyterLab in a real browser: `gqa lab` started for a test, and Debian's Chromium to see it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect, sync_playwright
from ports import free_port

from gqa_lib.course.manifest import Lesson
from gqa_lib.learn.guide.work import put_lessons
from grading.authoring.catalogue import filled
from grading.nb.cells import read_notebook

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (scripts/system-packages.sh installs it)"
)
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PATIENCE_MS = 300_000  # for whatever should show: two cores may be busy with other tests
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def environment(folder: Path, **also: str) -> dict[str, str]:
    """Return what somebody's commands run with whose records and notebooks are under `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GQA_")}
    return kept | {
        "GQA_TIME_FACTOR": "20",
        "GQA_HOME": str(folder / "home"),
        "GQA_WORK": str(folder / "work"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),  # no settings of whoever runs the tests
        "IPYTHONDIR": str(folder / "ipython"),
        "TORCH_EXTENSIONS_DIR": str(folder / "no-extensions"),
        **also,
    }


def gqa(env: dict[str, str], *arguments: str) -> str:
    """Run a `gqa` command; return what it printed."""
    command = [sys.executable, "-m", "gqa_lib.cli", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answer(env: dict[str, str], lesson: Lesson, answers: dict[str, str]) -> None:
    """Give somebody their notebooks, with answers (exercise -> source) in one of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GQA_HOME", "GQA_WORK"):
            patch.setenv(name, env[name])
        put_lessons()
    path = Path(env["GQA_WORK"]) / lesson.slug / f"{lesson.slug}.ipynb"
    nbformat.write(filled(read_notebook(path), answers), path)


class Desk:
    """A JupyterLab that `gqa lab` runs, with its records and notebooks under `folder`."""

    def __init__(self, folder: Path, *arguments: str):
        self.home, self.work = folder / "home", folder / "work"
        self.env = environment(folder)
        lab = ["-m", "gqa_lib.cli", "lab", "--no-browser", "--port", str(free_port())]
        self.log = folder / "lab.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *lab, *arguments], stdout=log, stderr=log, env=self.env
            )
        self.address = self._address()

    def _address(self, patience_s: float = 300) -> str:
        """Return the address that was printed, once somebody answers there."""
        give_up = time.monotonic() + patience_s
        while time.monotonic() < give_up and self.process.poll() is None:
            found = re.search(r"http://127.0.0.1:(\d+)\S+", self.log.read_text())
            with socket.socket() as probe:
                if found and probe.connect_ex(("127.0.0.1", int(found[1]))) == 0:
                    return found[0]
            time.sleep(0.1)
        self.stop()
        raise AssertionError(f"gqa lab serves nothing:\n{self.log.read_text()}")

    def stop(self) -> None:
        """End the server, and with it its kernels."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=300)


class Seen:
    """What a page did that nobody looks at: console errors, requests that left the machine."""

    def __init__(self, page: Page):
        self.errors: list[str] = []
        self.outside: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"{error}"))
        page.on("request", lambda request: self._request(request.url))
        page.on("websocket", lambda socket: self._request(socket.url))

    def _console(self, message) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} [{message.location.get('url', '')}]")

    def _request(self, url: str) -> None:
        if urlsplit(url).hostname not in ("127.0.0.1", None):
            self.outside.append(url)


@contextmanager
def chromium(width: int = 1440, height: int = 900) -> Iterator[tuple[Page, Seen]]:
    """Yield a page of a new browser, and what it did unseen."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page, Seen(page)
        browser.close()


def shot(page: Page, name: str) -> None:
    """Keep a picture of what a page shows."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def serious(part: Page | Locator) -> list[str]:
    """Return what axe-core finds wrong in a page, or in a part of it, and calls serious or worse.

    Raises:
        AssertionError: axe-core looked at nothing.
    """
    page, where = part, None
    if isinstance(part, Locator):
        part.evaluate("element => element.setAttribute('data-looked-at', '')")
        page, where = part.page, "[data-looked-at]"
    found = Axe().run(page, context=where).response
    if isinstance(part, Locator):
        part.evaluate("element => element.removeAttribute('data-looked-at')")
    assert found["passes"], "axe-core looked at nothing"
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def choose(page: Page, *menu: str) -> None:
    """Choose from JupyterLab's menus, such as "Run", "Run All Cells"."""
    for name in menu:
        page.get_by_role("menuitem", name=name, exact=True).click()


def notebook(page: Page, lesson: Lesson) -> Locator:
    """Bring a lesson to the front, from the map if it is not open; return it once it is ready."""
    tab = page.get_by_role("tab", name=f"{lesson.slug}.ipynb")
    shown = page.get_by_role("tabpanel", name=f"{lesson.slug}.ipynb")
    if not tab.count():
        page.get_by_role("tab", name="map.md").click()
        page.locator(".jp-MarkdownViewer").get_by_role("link", name=lesson.name).first.click()
    elif tab.get_attribute("aria-selected") != "true":
        tab.click()
        expect(shown.locator(":focus")).to_have_count(1)  # which would undo a click before it
    expect(shown.get_by_role("button", name="Python 3 (ipykernel)")).to_be_visible()
    expect(page.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible()
    return shown


def run(shown: Locator, what: str) -> None:
    """Choose from the menu Run, and wait until that has the last cell in focus."""
    choose(shown.page, "Run", what)
    expect(shown.locator(".jp-Cell").last).to_be_focused()


def ask(page: Page, question: str) -> None:
    """Ask the tutor."""
    page.get_by_role("combobox", name="Type a chat message").fill(question)
    page.keyboard.press("Enter")


def save(page: Page, lesson: Lesson) -> None:
    """Save the lesson in front."""
    shown = page.get_by_role("tabpanel", name=f"{lesson.slug}.ipynb")
    shown.get_by_role("button", name="Save and create checkpoint").click()
    expect(page.locator(".lm-TabBar-tab.jp-mod-dirty", has_text=lesson.slug)).to_have_count(0)


def assignment_list(page: Page) -> Locator:
    """Open nbgrader's Assignment List."""
    choose(page, "Nbgrader", "Assignment List")
    return page.get_by_role("tabpanel", name="Assignments")


def hand_in(page: Page, lesson: Lesson) -> None:
    """Hand in a lesson by the Assignment List."""
    listed = assignment_list(page)
    one = listed.locator(".list_item").filter(has_text=lesson.slug).first
    one.get_by_role("button", name="Submit").click()
    expect(listed.locator("#submitted_assignments_list")).to_contain_text(lesson.slug)

"""The folders of a grader that was killed are removed by the next; those of one that runs stay."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grading.limited import scratch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's locks")
MAKES_ONE = (
    "import sys; from grading.limited.scratch import new_folder\n"
    "folder = new_folder(); (folder / 'kept').mkdir(); print(folder, flush=True)\n"
    "sys.stdin.read()"
)


def grader(tmp_path):
    started = subprocess.Popen(
        [sys.executable, "-c", MAKES_ONE],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return started, Path(started.stdout.readline().strip())


def long_ago(folder):
    os.utime(folder, (time.time() - 3600,) * 2)


def test_what_a_killed_grader_left_is_removed_at_the_next_start(tmp_path):
    (killed, left), (running, kept), (ended, gone) = (grader(tmp_path) for _ in range(3))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    ended.communicate()
    assert (left.exists(), kept.exists(), gone.exists()) == (True, True, False)
    stranger = tmp_path / f"{left.name}-link"
    stranger.symlink_to(kept)
    long_ago(left), long_ago(kept)
    following, its = grader(tmp_path)
    assert (left.exists(), kept.exists(), its.exists()) == (False, True, True)
    assert stranger.is_symlink()
    for one in (running, following):
        one.communicate()


def test_a_young_folder_may_be_about_to_be_locked(tmp_path):
    killed, left = grader(tmp_path)
    killed.kill()
    killed.communicate()
    following, _ = grader(tmp_path)
    following.communicate()
    assert left.exists()


def test_a_folder_is_gone_once_it_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    folder = scratch.new_folder()
    assert list(tmp_path.iterdir()) == [folder]
    scratch.remove(folder)
    assert list(tmp_path.iterdir()) == []

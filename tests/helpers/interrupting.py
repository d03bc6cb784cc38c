"""Ends what writes files at any step it takes: as a kill does, or as a full disk."""

import builtins
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest


class Killed(BaseException):
    """The process would be gone now."""


class Power:
    """Counts the steps that change files; at one of them the process is killed.

    From then on nothing can be changed, so no clean-up happens either.
    """

    def __init__(self, at: int | None):
        self.at, self.steps, self.dead = at, 0, False

    def step(self, half=lambda: None) -> None:
        """Count a step; at the one of the kill do half of it."""
        if not self.dead:
            self.steps += 1
            if self.steps == self.at:
                half()
                self.dead = True
        if self.dead:
            raise Killed

    def wrap(self, real):
        def guarded(*arguments, **named):
            self.step()
            return real(*arguments, **named)

        return guarded

    def fsync(self, real):
        def half(descriptor):
            if stat.S_ISREG((found := os.fstat(descriptor)).st_mode):
                os.ftruncate(descriptor, found.st_size // 2)

        def guarded(descriptor):
            self.step(lambda: half(descriptor))
            return real(descriptor)

        return guarded

    def copyfile(self, real):
        def half(source, target):
            content = Path(source).read_bytes()
            with builtins.open(target, "wb") as file:
                file.write(content[: len(content) // 2])

        def guarded(source, target, **named):
            self.step(lambda: half(source, target))
            return real(source, target, **named)

        return guarded

    def open(self, path, mode="r", *rest, **named):
        if "w" in mode:
            self.step()
        return builtins.open(path, mode, *rest, **named)


@contextmanager
def killed_at(step: int | None):
    """Kill what is inside at this step of changing files; yield what counts the steps."""
    import nbgrader.exchange.default.submit as submit

    power = Power(step)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "replace", "mkdir", "chmod", "unlink", "rmdir"):
            patch.setattr(os, name, power.wrap(getattr(os, name)))
        patch.setattr(os, "fsync", power.fsync(os.fsync))
        patch.setattr(shutil, "copyfile", power.copyfile(shutil.copyfile))
        patch.setattr(submit, "open", power.open, raising=False)
        try:
            yield power
        except Killed:
            assert power.dead


def every_step(work, before=lambda: None):
    """Yield after `work` was killed at its first step, then at its second, until it gets through.

    Args:
        work: what is killed.
        before: what is done before each try.
    """
    for step in range(1, 200):
        before()
        with killed_at(step) as power:
            work()
        yield power
        if not power.dead:
            return
    raise AssertionError("it never came to its end")

"""What a submission may import of the library: not the parts that hold the answers."""

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder

from gqa_lib.moved import present_name

# what set-up cells and arguments need; the sandbox holds no other file of the library
PRESENT = (
    *("__init__.py", "configs.py", "data/models.csv", "environment.py", "hardware.py"),
    *("measure.py", "moved.py", "samples.py", "learn/__init__.py", "learn/watch"),
)
# what a notebook calls while it is worked on, and which has nothing to do when it is graded
STAND_INS = {
    "gqa_lib.learn.checking.check": ("check",),
    "gqa_lib.learn.checking.copies": ("check_no_copy", "kv_copied"),
    "gqa_lib.learn.guide.hints": ("hint",),
    "gqa_lib.learn.quiz": ("check_quiz", "show_quiz"),
}
_NAMES = {
    "gqa_lib" + ("." + path.removesuffix(".py").replace("/", ".")).removesuffix(".__init__")
    for path in PRESENT
    if not path.endswith(".csv")
}


class LibraryAnswer(ImportError):
    """Raised in a submission that imports the part of the library that answers its exercises."""


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name, path=None, target=None):
        if name in STAND_INS:
            return importlib.util.spec_from_loader(name, self)
        if name.partition(".")[0] != "gqa_lib" or _allowed(name):
            return None
        raise LibraryAnswer(
            f"{name} holds the library's own answers. Exercises are graded without it: write this "
            "part yourself."
        )

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        for name in STAND_INS[module.__name__]:
            setattr(module, name, lambda *args, **kwargs: None)


def _allowed(name: str) -> bool:
    name = present_name(name)
    return name in _NAMES or name.startswith("gqa_lib.learn.watch.")


def watch_imports() -> None:
    """Refuse imports of the library's answers, in a sentence that says so."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in [name for name in sys.modules if name.partition(".")[0] == "gqa_lib"]:
        if name in STAND_INS or not _allowed(name):
            del sys.modules[name]

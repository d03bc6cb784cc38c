"""What a submission may import of the library: not the parts that hold the answers."""

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder

from gqa_lib.course.answers import IN_THE_SANDBOX, is_among
from gqa_lib.moved import present_name

# what a notebook calls while it is worked on, and which has nothing to do when it is graded
STAND_INS = {
    "gqa_lib.learn.checking.check": ("check",),
    "gqa_lib.learn.checking.copies": ("check_no_copy", "kv_copied"),
    "gqa_lib.learn.guide.ending": ("wrap_up",),
    "gqa_lib.learn.guide.guessing": ("guess", "guessed", "outcome"),
    "gqa_lib.learn.guide.hand_in": ("submit",),
    "gqa_lib.learn.guide.hints": ("hint",),
    "gqa_lib.learn.guide.map": ("course_map", "show_map"),
    "gqa_lib.learn.hunting.hunt": ("hunt",),
    "gqa_lib.learn.quiz.check": ("check_quiz",),
    "gqa_lib.learn.quiz.show": ("show_quiz",),
    "gqa_lib.learn.quiz.warm": ("warm_up",),
}
_PACKAGES = tuple({name.rpartition(".")[0] for name in STAND_INS})


class LibraryAnswer(ImportError):
    """Raised in a submission that uses the part of the library that answers its exercises."""


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name, path=None, target=None):
        if name in STAND_INS or name in _PACKAGES:
            return importlib.util.spec_from_loader(name, self, is_package=name in _PACKAGES)
        if name.partition(".")[0] != "gqa_lib" or is_among(present_name(name), IN_THE_SANDBOX):
            return None
        raise LibraryAnswer(
            f"{name} holds the library's own answers. Exercises are graded without it: write this "
            "part yourself."
        )

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        for name in STAND_INS.get(module.__name__, ()):
            setattr(module, name, lambda *args, **kwargs: None)


def watch_imports() -> None:
    """Refuse imports of the library's answers, in a sentence that says so."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in [name for name in sys.modules if name.partition(".")[0] == "gqa_lib"]:
        if not is_among(present_name(name), IN_THE_SANDBOX):
            del sys.modules[name]

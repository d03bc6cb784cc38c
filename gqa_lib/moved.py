"""Keeps old import names working after a module or a name has moved.

The notebooks in a learner's folder outlive the version of the library that they were written for.
So each public module that there was stays importable, and so does whatever a lesson, a benchmark or
a package's face offered by name: when it moves, it gets a row in `MOVED`. A module that was taken
apart leads to where most of it is. An import by an old name warns with PendingDeprecationWarning,
which notebooks do not show.
"""

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

# Old place: new place. "gqa_lib.module" is a module or package, with everything in it;
# "gqa_lib.module:name" is one name out of a module that is still there.
MOVED: dict[str, str] = {
    "gqa_lib.cache.blocks": "gqa_lib.cache.paging.blocks",
    "gqa_lib.cache.paged": "gqa_lib.cache.paging.cache",
    "gqa_lib.cache.pages": "gqa_lib.cache.paging.pages",
    "gqa_lib.checkpoints": "gqa_lib.configs.checkpoints",
    "gqa_lib.environment": "gqa_lib.measure.environment",
    "gqa_lib.explore_panel": "gqa_lib.explore.panel",
    "gqa_lib.info": "gqa_lib.cli.info",
    "gqa_lib.kernels.decode": "gqa_lib.kernels.checks",
    "gqa_lib.kernels.splits": "gqa_lib.kernels.triton_splits",
    "gqa_lib.learn.compare": "gqa_lib.learn.checking.difference",
    "gqa_lib.learn.copies": "gqa_lib.learn.checking.copies",
    "gqa_lib.learn.detail": "gqa_lib.learn.progress.table",
    "gqa_lib.learn.ending": "gqa_lib.learn.guide.ending",
    "gqa_lib.learn.event": "gqa_lib.learn.progress.event",
    "gqa_lib.learn.exercise": "gqa_lib.learn.exercises.exercise",
    "gqa_lib.learn.hints": "gqa_lib.learn.guide.hints",
    "gqa_lib.learn.manifest": "gqa_lib.course.manifest",
    "gqa_lib.learn.map": "gqa_lib.learn.guide.map",
    "gqa_lib.learn.partial": "gqa_lib.learn.checking.credit",
    "gqa_lib.learn.places": "gqa_lib.course.places",
    "gqa_lib.learn.record": "gqa_lib.learn.progress.store",
    "gqa_lib.learn.standing": "gqa_lib.learn.progress.standing",
    "gqa_lib.learn.tutor.judge": "gqa_lib.learn.tutor.confidence",
    "gqa_lib.learn.work": "gqa_lib.learn.guide.work",
    "gqa_lib.rope": "gqa_lib.attention.rope",
    "gqa_lib.samples": "gqa_lib.measure.samples",
    "gqa_lib.compare.checks:LIMITS": "gqa_lib.kernels.tolerances:RELATIVE_ERROR",
    "gqa_lib.hardware:matrix_products": "gqa_lib.measure.ceilings:matrix_products",
    "gqa_lib.hardware:measure_hardware": "gqa_lib.measure.ceilings:measure_hardware",
    "gqa_lib.hardware:pick_device": "gqa_lib.measure.device:pick_device",
    "gqa_lib.hardware:read_passes": "gqa_lib.measure.ceilings:read_passes",
    "gqa_lib.kernels:fold_matmul": "gqa_lib.kernels.pytorch:fold_matmul",
    "gqa_lib.kernels:fold_sdpa": "gqa_lib.kernels.pytorch:fold_sdpa",
    "gqa_lib.kernels:loop_sdpa": "gqa_lib.kernels.pytorch:loop_sdpa",
    "gqa_lib.kernels:native_decode": "gqa_lib.kernels.native:native_decode",
    "gqa_lib.kernels:sdpa_gqa": "gqa_lib.kernels.pytorch:sdpa_gqa",
    "gqa_lib.kernels:split_kv": "gqa_lib.kernels.pytorch:split_kv",
    "gqa_lib.learn.watch:Seen": "gqa_lib.learn.watch:Observation",
    "gqa_lib.measure:CACHE_MULTIPLE": "gqa_lib.measure.buffers:CACHE_MULTIPLE",
}


def present_name(module: str) -> str:
    """Return the present name of a module: its own, unless it or a package above it moved."""
    head, below = module, ""
    while head not in MOVED:
        head, dot, last = head.rpartition(".")
        if not dot:
            return module
        below = f".{last}{below}"
    return MOVED[head] + below


class _Finder:
    """Finds modules by their old names, and the names that have moved out of a module."""

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        """Return how to load a module with rows in the table, or None for any other."""
        if name.partition(".")[0] not in ("gqa_lib", "grading"):
            return None
        if present_name(name) != name:
            return ModuleSpec(name, self)  # type: ignore[arg-type]  # needs no load_module
        if not any(old.startswith(f"{name}:") or old.rpartition(".")[0] == name for old in MOVED):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.origin:
            spec.loader = _WithOldNames(name, spec.origin)
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Import the present module and put it in the old one's place."""
        old, new = module.__name__, present_name(module.__name__)
        _warn(old, new)
        sys.modules[old] = import_module(new)

    def get_code(self, name: str) -> CodeType:
        """Return what `python -m` runs for an old name: the present module as a program."""
        program = f"runpy.run_module({present_name(name)!r}, run_name='__main__', alter_sys=True)"
        return compile(f"import runpy\n{program}\n", name, "exec")


class _WithOldNames(SourceFileLoader):
    """Loads a module so that names which have moved out of it are still found."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        names = vars(module)
        names["__getattr__"] = with_old_names(module.__name__, names.get("__getattr__"))


def with_old_names(module: str, otherwise: Callable | None) -> Callable:
    """Return a module's `__getattr__` with which it has what moved out of it, by its old name.

    Args:
        module: its name.
        otherwise: its own lookup of names that did not move, if it has one.

    Returns:
        A function from an attribute's name to a present module, or a present module's attribute.
    """

    def lookup(name: str):
        if new := MOVED.get(f"{module}.{name}"):
            _warn(f"{module}.{name}", new)
            return import_module(new)
        if new := MOVED.get(f"{module}:{name}"):
            _warn(f"{module}.{name}", new.replace(":", "."))
            place, _, attribute = new.partition(":")
            return getattr(import_module(place), attribute)
        if otherwise:
            return otherwise(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return lookup


def _warn(old: str, new: str) -> None:
    message = f"{old} is now {new}; the old name still works."
    warnings.warn(message, PendingDeprecationWarning, stacklevel=3)


sys.meta_path.insert(0, _Finder())

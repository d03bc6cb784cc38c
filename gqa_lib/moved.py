"""Modules and names that moved, and a hook that imports them from where they are now.

Notebooks in learners' folders outlive the library they were written for. So whatever notebooks
import keeps its old name here: a row of `MOVED`, and nothing in the old place. Importing by an old
name warns with PendingDeprecationWarning, which no notebook shows.
"""

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

# Old place: new place. "package.module" is a module, with all that is below it;
# "package.module:name" is a name in a module that is still there.
MOVED: dict[str, str] = {
    "gqa_lib.checkpoints": "gqa_lib.configs.checkpoints",
    "gqa_lib.environment": "gqa_lib.measure.environment",
    "gqa_lib.rope": "gqa_lib.attention.rope",
    "gqa_lib.samples": "gqa_lib.measure.samples",
    "gqa_lib.hardware:matrix_products": "gqa_lib.measure.ceilings:matrix_products",
    "gqa_lib.hardware:measure_hardware": "gqa_lib.measure.ceilings:measure_hardware",
    "gqa_lib.hardware:pick_device": "gqa_lib.measure.device:pick_device",
    "gqa_lib.hardware:read_passes": "gqa_lib.measure.ceilings:read_passes",
}


def present_name(module: str) -> str:
    """Return what a module is called now: as before, unless it or a package above it moved."""
    head, below = module, ""
    while head not in MOVED:
        head, dot, last = head.rpartition(".")
        if not dot:
            return module
        below = f".{last}{below}"
    return MOVED[head] + below


class Finder:
    """Finds modules under their old names, and old names in the modules that are still there."""

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        """Return how to load a module that moved or lost a name; None is the usual way."""
        if present_name(name) != name:
            return ModuleSpec(name, self)  # type: ignore[arg-type]  # needs no load_module
        if not any(old.startswith(f"{name}:") for old in MOVED):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.origin:
            spec.loader = _WithOldNames(name, spec.origin)
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the making of the module to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module that there is now in the place of the old one."""
        old, new = module.__name__, present_name(module.__name__)
        _warn(old, new)
        sys.modules[old] = import_module(new)


class _WithOldNames(SourceFileLoader):
    """Loads a module in which names that moved can still be looked up."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        names = vars(module)
        names["__getattr__"] = _lookup(module.__name__, names.get("__getattr__"))


def _lookup(module: str, otherwise: Callable | None) -> Callable:
    """Return a module's `__getattr__`: old names first, then what the module itself looks up."""

    def lookup(name: str):
        if new := MOVED.get(f"{module}:{name}"):
            _warn(f"{module}.{name}", new.replace(":", "."))
            place, _, attribute = new.partition(":")
            return getattr(import_module(place), attribute)
        if otherwise:
            return otherwise(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return lookup


def _warn(old: str, new: str) -> None:
    told = f"{old} is now {new}; the old name still works."
    warnings.warn(told, PendingDeprecationWarning, stacklevel=3)


if not any(isinstance(finder, Finder) for finder in sys.meta_path):
    sys.meta_path.insert(0, Finder())

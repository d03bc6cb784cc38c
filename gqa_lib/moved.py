"""Keeps old import names working after a module or a name has moved.

The notebooks in a learner's folder outlive the version of the library that they were written for.
So whatever a notebook has ever imported stays importable: when it moves, it gets a row in `MOVED`.
An import by an old name warns with PendingDeprecationWarning, which notebooks do not show.
"""

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

# Old place: new place. "gqa_lib.module" is a module or package, with everything in it;
# "gqa_lib.module:name" is one name out of a module that is still there.
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
        if not any(old.startswith(f"{name}:") for old in MOVED):
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


class _WithOldNames(SourceFileLoader):
    """Loads a module so that names which have moved out of it are still found."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        names = vars(module)
        names["__getattr__"] = _lookup(module.__name__, names.get("__getattr__"))


def _lookup(module: str, otherwise: Callable | None) -> Callable:
    """Return a module's `__getattr__`: names that moved first, then its own lookup if any."""

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
    message = f"{old} is now {new}; the old name still works."
    warnings.warn(message, PendingDeprecationWarning, stacklevel=3)


sys.meta_path.insert(0, _Finder())

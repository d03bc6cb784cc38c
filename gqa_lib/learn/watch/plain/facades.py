"""The modules that plain code may import, each as its open part: no modules, files or settings."""

import importlib
import importlib.util
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

from gqa_lib.course.answers import IN_THE_SANDBOX, is_among

from .rules import may_name

_WHOLE = (  # modules of which plain code gets all that is public and no module
    *("torch.nn.functional", "torch.nn.init", "torch.linalg", "torch.special", "torch.fft"),
    *("math", "itertools", "collections", "collections.abc", "fractions", "decimal", "statistics"),
    *("numbers", "enum", "abc", "heapq", "bisect", "copy", "random", "re", "einops"),
    *("numpy.linalg", "scipy", "scipy.linalg", "scipy.special", "scipy.stats"),
)
_CLOSED: dict[str, set[str]] = {  # module: public names of it that plain code does not get
    "torch": {
        *("compile", "compiled_with_cxx11_abi", "from_dlpack", "from_file", "frombuffer", "load"),
        *("save", "to_dlpack", "wait", "fork", "unify_type_list", "parse_ir", "parse_schema"),
        *("set_autocast_enabled", "set_vital", "set_warn_always", "Event", "Stream", "Future"),
        *("JITException", "eager_load", "get_file_path", "initialize", "prepare_multiprocessing"),
        *("DisableTorchFunction", "DisableTorchFunctionSubclass", "set_flush_denormal"),
    },
    "torch.nn": {"DataParallel", "factory_kwargs"},
    "functools": {"wraps", "update_wrapper", "singledispatch", "singledispatchmethod", "RLock"},
    "dataclasses": {"make_dataclass"},
    "typing": {"get_type_hints", "ForwardRef", "evaluate_forward_ref"},
    "operator": {"attrgetter", "methodcaller"},
    "string": {"Formatter", "Template"},
    "numpy": {
        *("load", "save", "savez", "savez_compressed", "loadtxt", "savetxt", "genfromtxt"),
        *("fromfile", "memmap", "fromregex", "frombuffer", "from_dlpack", "test", "info"),
    },
}
_OPEN: dict[str, set[str]] = {  # module: the only names that plain code gets
    "contextlib": {"nullcontext", "suppress", "contextmanager"},
    "json": {"loads", "dumps"},
    "sys": {"stderr", "stdout", "maxsize", "float_info", "version_info"},
    "time": {"time", "perf_counter", "monotonic", "sleep"},
    "types": {"MappingProxyType", "SimpleNamespace"},
    "warnings": {"warn"},
    "triton": {"cdiv", "next_power_of_2", "__version__"},
}
_WATCHED = ("gqa_lib.learn.watch.*", "gqa_lib.measure.*", "gqa_lib.course.*")
_RAW = "Storage"  # the ending of torch's names of raw memory


def is_open(module: str) -> bool:
    """Return whether plain code may import a module."""
    if module in (*_WHOLE, *_CLOSED, *_OPEN):
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    return is_among(module, IN_THE_SANDBOX) and not is_among(module, _WATCHED)


@cache
def facade(module: str) -> Any:
    """Return an object with the open part of a module that `is_open`."""
    whole = importlib.import_module(module)
    names = _OPEN.get(module) or set(getattr(whole, "__all__", ())) or set(dir(whole))
    if module == "torch":
        names = {name for name in dir(whole) if not name.endswith(_RAW)}
    names = {name for name in names if name in _OPEN.get(module, ()) or _is_public(name)}
    found = {}
    for name in names - _CLOSED.get(module, {"test"}):
        value = getattr(whole, name, None)
        if value is not None and not isinstance(value, ModuleType) and not _strange(value, module):
            found[name] = _called(value) if module == "triton" and callable(value) else value
    return _Facade(_path=module, **found)


def _called(function: Any) -> Any:
    """Return what only calls a function, of which Triton's own tell where they come from."""
    return lambda *arguments, **named: function(*arguments, **named)


class _Facade(SimpleNamespace):
    """The parts of a package that are modules are looked for when they are asked for."""

    def __getattr__(self, name: str):
        inner = f"{vars(self)['_path']}.{name}"
        if not _is_public(name) or not is_open(inner):
            raise AttributeError(f"plain code has no {inner}")
        return facade(inner)

    def __repr__(self) -> str:
        return f"<the open part of {vars(self)['_path']}>"


def _is_public(name: str) -> bool:
    return may_name(name) and not name.startswith("_")


def _strange(value: object, module: str) -> bool:
    """Return whether torch has something that it only imported, such as the standard library's."""
    home = getattr(value, "__module__", None)
    if module != "torch" or not isinstance(home, str):
        return False
    return home.partition(".")[0] not in ("torch", "builtins")


def open_part(value: Any) -> Any:
    """Return a value as plain code may have it, or None: of modules only their open part."""
    if not isinstance(value, ModuleType):
        return value
    return facade(value.__name__) if is_open(value.__name__) else None

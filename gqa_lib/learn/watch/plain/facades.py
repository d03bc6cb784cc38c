"""The modules that plain code may import, each as its open part: no modules, files or settings."""

import importlib
import importlib.util
import sys
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from gqa_lib.course.answers import IN_THE_SANDBOX, is_among

from .rules import may_name
from .standins import NOT_IMPORTED, STAND_INS

_WHOLE = (  # modules of which plain code gets all that is public and no module
    *("torch.nn.functional", "torch.nn.init", "torch.linalg", "torch.special", "torch.fft"),
    *("math", "itertools", "collections.abc", "fractions", "decimal", "statistics"),
    *("numbers", "abc", "heapq", "bisect", "copy", "random", "re", "einops"),
    *("numpy.linalg", "scipy.linalg", "scipy.special", "scipy.stats"),
)
_CLOSED: dict[str, set[str]] = {  # module: public names of it that plain code does not get
    "torch.nn": {"DataParallel", "factory_kwargs"},
    "torch.nn.functional": {
        *("boolean_dispatch", "handle_torch_function", "has_torch_function", "assert_int_or_pair"),
        *("has_torch_function_unary", "has_torch_function_variadic"),
    },
    "scipy": {"LowLevelCallable", "test", "show_config"},
    "functools": {"update_wrapper", "singledispatch", "singledispatchmethod", "RLock"},
    "dataclasses": {"make_dataclass"},
    "operator": set(),
    "string": {"Formatter", "Template"},
    "numpy": {
        *("load", "save", "savez", "savez_compressed", "loadtxt", "savetxt", "genfromtxt"),
        *("fromfile", "memmap", "fromregex", "frombuffer", "from_dlpack", "test", "info"),
        *("recarray", "chararray"),  # take any bytes for the addresses of objects
    },
    "collections": {"UserString"},  # formats unseen
}
_OF_TORCH = {  # besides its functions and dtypes
    *("Tensor", "Size", "Generator", "device", "dtype", "layout", "memory_format", "finfo"),
    *("iinfo", "no_grad", "enable_grad", "inference_mode", "set_grad_enabled", "autocast"),
    *("is_grad_enabled", "is_inference_mode_enabled", "is_autocast_enabled", "is_tensor", "vmap"),
    *("inf", "nan", "pi", "e", "newaxis", "manual_seed", "seed", "initial_seed", "typename"),
    *("default_generator", "get_rng_state", "set_rng_state", "broadcast_shapes", "unique"),
    *("FloatTensor", "DoubleTensor", "LongTensor", "IntTensor", "BoolTensor", "get_num_threads"),
    *("get_default_dtype", "get_default_device", "set_default_dtype", "set_default_device"),
    *("set_default_tensor_type", "set_num_threads", "use_deterministic_algorithms"),
    *("are_deterministic_algorithms_enabled", "set_printoptions", "lobpcg", "pca_lowrank"),
    *("set_float32_matmul_precision", "get_float32_matmul_precision", "svd_lowrank", "lu"),
    *("unravel_index", "HalfTensor", "BFloat16Tensor", "ByteTensor", "ShortTensor"),
    *("CharTensor", "sym_float", "sym_int", "sym_max", "sym_min", "sym_not", "is_storage"),
    *("initial_seed", "has_mkl", "has_openmp", "TYPE_CHECKING", "OutOfMemoryError"),
}
_RAW = {"from_file", "frombuffer", "from_dlpack"}  # of torch's functions those that read memory
_CONSTANTS = (torch.dtype, torch.layout, torch.memory_format)
_OPEN: dict[str, set[str]] = {  # module: the only names that plain code gets
    "IPython": set(),
    "IPython.display": set(),
    "contextlib": {"nullcontext", "suppress", "contextmanager", "ExitStack", "closing"},
    "datetime": {"MINYEAR", "MAXYEAR", "UTC", "date", "datetime", "time", "timedelta", "timezone"},
    "enum": {"auto", "unique", "member", "nonmember", "property"},
    "gc": {"collect"},
    "hashlib": {"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"},
    "io": {"StringIO"},
    "json": {"loads", "dumps", "JSONDecodeError"},
    "logging": set(),
    "numpy.random": {
        *("beta", "binomial", "choice", "exponential", "gamma", "normal", "permutation", "poisson"),
        *("rand", "randint", "randn", "random", "random_sample", "seed", "shuffle"),
        *("standard_normal", "uniform"),
    },
    "numpy.testing": {
        *("assert_allclose", "assert_almost_equal", "assert_array_almost_equal", "assert_equal"),
        *("assert_array_equal", "assert_array_less"),
    },
    "os": {"cpu_count", "linesep", "name", "sep"},
    "os.path": {"basename", "commonprefix", "dirname", "join", "normpath", "split", "splitext"},
    "platform": {"machine", "platform", "python_version", "release", "system"},
    "pprint": {"pformat", "pp", "pprint"},
    "sys": {
        *("stderr", "stdout", "maxsize", "float_info", "version_info", "byteorder", "platform"),
        *("getrecursionlimit", "getsizeof", "version"),
    },
    "time": {
        *("time", "perf_counter", "monotonic", "sleep", "process_time", "perf_counter_ns"),
        *("asctime", "ctime", "gmtime", "localtime", "monotonic_ns", "strftime", "time_ns"),
        *("mktime", "process_time_ns"),
    },
    "torch.amp": {"autocast"},
    "torch.autograd": {"detect_anomaly", "enable_grad", "no_grad", "set_detect_anomaly"},
    "torch.autograd.profiler": {"record_function"},
    "torch.backends": set(),
    "torch.backends.cuda": {"is_built"},
    "torch.backends.cudnn": set(),
    "torch.backends.mps": {"is_available", "is_built"},
    "torch.compiler": {"is_compiling"},
    "torch.cuda": {
        *("is_available", "device_count", "current_device", "empty_cache", "get_device_name"),
        *("get_device_capability", "is_bf16_supported", "manual_seed", "manual_seed_all"),
        *("max_memory_allocated", "memory_allocated", "reset_peak_memory_stats", "synchronize"),
    },
    "torch.cuda.amp": {"autocast"},
    "torch.func": {"vmap"},
    "torch.jit": {"is_scripting", "is_tracing"},
    "torch.masked": {
        *("amax", "amin", "log_softmax", "logsumexp", "mean", "softmax", "softmin", "sum"),
    },
    "traceback": {"format_exc", "print_exc"},
    "torch.nn.parameter": {"Parameter", "Buffer"},
    "torch.profiler": {"record_function"},
    "torch.testing": {"assert_close"},
    "torch.types": {"Device", "Number"},
    "types": {"MappingProxyType", "NoneType", "EllipsisType"},
    "typing": {
        *("Any", "AnyStr", "Annotated", "Callable", "ClassVar", "Collection", "Concatenate"),
        *(
            "Container",
            "Counter",
            "DefaultDict",
            "Deque",
            "Dict",
            "Final",
            "FrozenSet",
            "Generator",
        ),
        *("Generic", "Hashable", "Iterable", "Iterator", "List", "Literal", "LiteralString"),
        *("Mapping", "MutableMapping", "MutableSequence", "MutableSet", "NamedTuple", "Never"),
        *("NewType", "NoReturn", "NotRequired", "Optional", "OrderedDict", "ParamSpec", "Protocol"),
        *("Required", "Reversible", "Self", "Sequence", "Set", "Sized", "SupportsFloat"),
        *("SupportsIndex", "SupportsInt", "TYPE_CHECKING", "Text", "Tuple", "Type", "TypeAlias"),
        *("TypeVar", "TypeVarTuple", "Union", "Unpack", "assert_never", "cast", "final"),
        *("overload", "runtime_checkable", "SupportsAbs", "SupportsRound", "AbstractSet"),
        *("ContextManager", "Pattern", "Match", "ItemsView", "KeysView", "ValuesView"),
    },
    "warnings": {"warn"},
    "triton": {"cdiv", "next_power_of_2", "__version__"},
}
_WATCHED = (  # or leads to files and modules
    *("gqa_lib.learn.watch.*", "gqa_lib.measure.*", "gqa_lib.course.*"),
    *("gqa_lib.arguments", "gqa_lib.moved"),
)
_OWN_NAMES = ("torch", "gqa_lib")  # packages whose modules give what is theirs, not what they use


def is_open(module: str) -> bool:
    """Return whether plain code may import a module, should it be there."""
    if module in (*_WHOLE, *_CLOSED, *_OPEN, *NOT_IMPORTED, "torch"):
        return True
    if module.startswith("gqa_lib."):
        return is_among(module, IN_THE_SANDBOX) and not is_among(module, _WATCHED)
    return module == "gqa_lib" or is_missing(module)


def is_missing(module: str) -> bool:
    """Return whether no package is there that a module could be of."""
    top = module.partition(".")[0]
    return top not in sys.modules and bool(top) and importlib.util.find_spec(top) is None


@cache
def facade(module: str) -> Any:
    """Return an object with the open part of a module that `is_open`.

    Raises:
        ImportError: there is no such module.
    """
    if is_missing(module):
        raise ModuleNotFoundError(f"No module named {module!r}")
    if module in NOT_IMPORTED:
        return Facade(_path=module, **NOT_IMPORTED[module])
    whole = importlib.import_module(module)
    names = {
        name for name in _names_of(module, whole) if _is_public(name) or name in _given(module)
    }
    found = {}
    for name in names - _CLOSED.get(module, {"test"}):
        value = getattr(whole, name, None)
        if value is not None and not _leads_further(value, module):
            found[name] = _called(value) if module == "triton" and callable(value) else value
    return Facade(_path=module, **found | STAND_INS.get(module, {}))


def _called(function: Any) -> Any:
    """Return what only calls a function, of which Triton's own tell where they come from."""
    return lambda *arguments, **named: function(*arguments, **named)


def _given(module: str) -> set[str]:
    return _OPEN.get(module, set())


def _names_of(module: str, whole: ModuleType) -> set[str]:
    if module in _OPEN:
        return _OPEN[module]
    if module == "torch":
        constants = {name for name in dir(whole) if isinstance(getattr(whole, name), _CONSTANTS)}
        return (_OF_TORCH | constants | set(dir(torch._C._VariableFunctions))) - _RAW
    return set(getattr(whole, "__all__", ())) or set(dir(whole))


class Facade(SimpleNamespace):
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


def _leads_further(value: object, module: str) -> bool:
    """Return whether a value is a module, a kind of classes, or what torch only imported."""
    if isinstance(value, ModuleType) or (isinstance(value, type) and issubclass(value, type)):
        return True
    home, package = getattr(value, "__module__", None), module.partition(".")[0]
    if package not in _OWN_NAMES or module in _OPEN or not isinstance(home, str):
        return False
    return home.partition(".")[0] not in (package, "builtins")


def open_part(value: Any) -> Any:
    """Return a value as plain code may have it, or None: of modules only their open part."""
    if not isinstance(value, ModuleType):
        return _INSTEAD.get(id(value), value)
    return facade(value.__name__) if is_open(value.__name__) else None


_INSTEAD = {
    id(getattr(importlib.import_module(module), name)): given
    for module, names in STAND_INS.items()
    for name, given in names.items()
}

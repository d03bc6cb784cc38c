"""Stands in for Triton where it is not installed: kernels can be written, not run."""

from collections.abc import Callable
from types import SimpleNamespace

MISSING = (
    "Triton is not installed here, so this kernel cannot run. It is made for Linux, where "
    "`pip install triton` installs it; Colab and Kaggle have it."
)


class _Kernel:
    """A kernel that says what is missing when it is launched."""

    def __init__(self, function: Callable):
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __getitem__(self, grid):
        raise RuntimeError(MISSING)


def _next_power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length() if n > 0 else 0


def _cdiv(x: int, y: int) -> int:
    return -(-x // y)


triton = SimpleNamespace(
    jit=_Kernel, cdiv=_cdiv, next_power_of_2=_next_power_of_2, __version__="not installed"
)
tl = SimpleNamespace(constexpr=object)  # what a kernel's signature names

"""Grouped-query attention: build it, measure it, decide on it.

Submodules load on first use, so `import gqa_lib` costs nothing and
`gqa_lib.cost` or `gqa_lib.configs` never pull in torch.
"""

import importlib

from gqa_lib import moved

__version__ = "0.1.0"

_SUBMODULES = (
    "attention",
    "cache",
    "configs",
    "cost",
    "hardware",
    "kernels",
    "learn",
    "measure",
    "plots",
    "rope",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name):
    if name in _SUBMODULES or f"gqa_lib.{name}" in moved.MOVED:
        return importlib.import_module(f"gqa_lib.{name}")
    raise AttributeError(f"module 'gqa_lib' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)

"""Grouped-query attention: build it, measure it, decide on it.

Submodules load on first use, so `import gqa_lib` costs nothing and
`gqa_lib.cost` or `gqa_lib.configs` never pull in torch.
"""

import lazy_loader

from . import moved  # from here on, old names of modules work

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # of __init__.pyi
__getattr__ = moved.with_old_names(__name__, __getattr__)

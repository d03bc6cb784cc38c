"""A small serving engine, what is asked of it, and what serving costs.

`traffic` and `simulator` need no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # of __init__.pyi

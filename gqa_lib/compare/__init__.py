"""Attention backends next to what one would use instead of them, checked and timed in one run.

`arms` has the backends and their peers, `timing` times them at several points in the same rounds,
`table` says what came out. `models`, `steps` and `step_table` do the same for decode steps of whole
models. Notebooks and the programs in `gqa_lib.records` stand on these.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # of __init__.pyi

"""Measurements kept from machines you do not have: one file of JSON lines each.

A record is shown as recorded, with its machine and date, never as measured now. A run of a
benchmark notebook becomes one with `python -m gqa_lib.records.keep`; a CUDA GPU is measured by
`python -m gqa_lib.records.decode_gpu`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # of __init__.pyi

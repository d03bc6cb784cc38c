"""Decoding in C++, for the CPU it was compiled on: optional, made by `gqa build-native`.

`op.cpp` names the operators, the `*_op.h` check what they are given and share the work out among
threads, `decode.h` and `linear.h` are the loops, and `vectors.h` is what these ask of the compiler.
"""

from .decode import native_decode, native_decode_cached, native_unsupported
from .library import operators
from .turn import native_turn, native_turn_runs

__all__ = [
    "native_decode",
    "native_decode_cached",
    "native_turn",
    "native_turn_runs",
    "native_unsupported",
    "operators",
]

"""Decoding in C++, for the CPU it was compiled on: optional, made by `gqa build-native`.

`op.cpp` is the operator, `decode.h` the loops, `vectors.h` what they ask of the compiler.
"""

from .decode import native_decode, native_decode_cached, native_unsupported

__all__ = ["native_decode", "native_decode_cached", "native_unsupported"]

"""Sees what a Triton kernel does while Triton's interpreter runs it: what it reads and multiplies.

The interpreter takes tiles that a GPU refuses, and reads and writes wherever a pointer leads. Both
are seen here; an access outside the kernel's tensors is stopped before it happens.
"""

import sys
from contextlib import AbstractContextManager
from unittest.mock import patch

import numpy
import torch

SMALLEST_DOT = 16  # rows, columns and inner size that tl.dot needs on a GPU


class OutsideError(IndexError):
    """A kernel's access to memory that belongs to none of its tensors."""


class Kernels(AbstractContextManager):
    """Counts what interpreted kernels read; nothing is seen of compiled ones.

    Args:
        given: tensors that the kernels are launched with.
        guard: stop what is outside their memory; `given` must then be all there are.

    Attributes:
        small_dot: the first product with a side below `SMALLEST_DOT`, such as "(4, 64) x (64, 32)".
        rounded_dot: whether a product of float32 tiles is one that a GPU computes in TF32.
    """

    def __init__(self, given: list[torch.Tensor], *, guard: bool = True):
        self._given, self._guard = list(given), guard
        self._bytes = [0] * len(self._given)
        self.small_dot, self.rounded_dot = "", False
        self._patches: list = []

    def __enter__(self):
        interpreter = sys.modules.get("triton.runtime.interpreter")
        if interpreter is not None:
            builder = interpreter.InterpreterBuilder
            for name, seen in (
                ("create_masked_load", self._load),
                ("create_masked_store", self._store),
                ("create_dot", self._dot),
                ("create_atomic_rmw", self._atomic),
                ("create_atomic_cas", self._atomic),
            ):
                self._patches.append(patch.object(builder, name, seen(getattr(builder, name))))
            self._patches += _interpretable()
        for one in self._patches:
            one.start()
        return self

    def __exit__(self, *exception):
        while self._patches:
            self._patches.pop().stop()

    def _load(self, original):
        def load(builder, pointers, mask, other=None, *rest, **named):
            mask = _of_every_pointer(mask, pointers)
            self._count(self._checked(pointers, mask, "load reads"), _width(pointers))
            loaded = original(builder, pointers, mask, other, *rest, **named)
            if other is None and loaded.data.dtype.kind == "f":
                loaded.data[~mask.data] = numpy.nan  # a GPU finds anything there
            return loaded

        return load

    def _store(self, original):
        def store(builder, pointers, value, mask, *rest, **named):
            mask = _of_every_pointer(mask, pointers)
            self._checked(pointers, mask, "store writes")
            return original(builder, pointers, value, mask, *rest, **named)

        return store

    def _atomic(self, original):
        def atomic(builder, *arguments):
            pointers = next(one for one in arguments if hasattr(one, "data"))
            everywhere = _of_every_pointer(numpy.ones(1), pointers)
            masks = (one for one in arguments[3:] if hasattr(one, "data"))
            mask = _of_every_pointer(next(masks, everywhere), pointers)
            self._count(self._checked(pointers, mask, "read and write of"), _width(pointers))
            return original(builder, *arguments)

        return atomic

    def _count(self, addresses, width: int) -> None:
        for place, tensor in enumerate(self._given):
            first, end = _extent(tensor)
            self._bytes[place] += width * int(_within(addresses, (first - width + 1, end)).sum())

    @property
    def reads(self) -> list[int]:
        """Elements read of each tensor, in order: one read twice counts twice."""
        sizes = [tensor.element_size() for tensor in self._given]
        return [-(-read // size) for read, size in zip(self._bytes, sizes, strict=True)]

    def _dot(self, original):
        def dot(builder, a, b, d, precision, *rest):
            if a.data.dtype == b.data.dtype == numpy.float32:
                self.rounded_dot = self.rounded_dot or precision.name == "TF32"
            sides = (*a.data.shape[-2:], b.data.shape[-1])
            if min(sides) < SMALLEST_DOT and not self.small_dot:
                self.small_dot = f"{tuple(a.data.shape)} x {tuple(b.data.shape)}"
            return original(builder, a, b, d, precision, *rest)

        return dot

    def _checked(self, pointers, mask, what: str):
        """Return the addresses that are not masked.

        Raises:
            OutsideError: there is a guard, and some are in no tensor's memory.
        """
        addresses = pointers.data[mask.data].astype("uint64")
        spans = {_memory(tensor) for tensor in self._given}
        beyond = _width(pointers) - 1
        inside = sum(_within(addresses, (first, end - beyond)) for first, end in spans)
        outside = addresses.size - int((inside > 0).sum()) if self._given else 0
        if self._guard and outside:
            raise OutsideError(
                f"a {what} {outside} of {addresses.size} elements outside the kernel's tensors, "
                "where a GPU finds someone else's data or stops. Mask them."
            )
        return addresses


def _width(pointers) -> int:
    """Return the bytes of what a pointer of these leads to."""
    return max(1, pointers.get_element_ty().primitive_bitwidth // 8)


def _of_every_pointer(mask, pointers):
    """Return a mask with one truth value for each pointer.

    It may come as one number for all of them, or, of a block pointer, as an array.
    """
    from triton import language

    values = mask if isinstance(mask, numpy.ndarray) else mask.data
    every = numpy.broadcast_to(values.astype(bool), pointers.data.shape).copy()
    return type(pointers)(every, language.int1)


def _interpretable() -> list:
    """Return patches for Triton's own functions, such as tl.cdiv, where they would be compiled.

    They are if Triton was imported before its interpreter was chosen, which PyTorch may do.
    """
    from triton import language
    from triton.runtime import interpreter, jit

    return [
        patch.object(module, name, interpreter.InterpretedFunction(value.fn))
        for module in (language, language.standard)
        for name, value in vars(module).items()
        if type(value) is jit.JITFunction
    ]


def _within(addresses, span: tuple[int, int]):
    return (addresses >= span[0]) & (addresses < span[1])


def _memory(tensor: torch.Tensor) -> tuple[int, int]:
    """Return where the memory that a tensor is a view of begins and ends."""
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.data_ptr() + storage.nbytes()


def _extent(tensor: torch.Tensor) -> tuple[int, int]:
    """Return where a tensor's first element begins and its last one ends."""
    sides = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((size - 1) * step for size, step in sides) if tensor.numel() else -1
    size = tensor.element_size()
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * size

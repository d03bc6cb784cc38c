"""Sees the tensors that a call makes: copies of keys and values, and the largest of all."""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .values import refuse_code

_COPYING = {"cat", "clone", "copy_", "gather", "index", "index_select", "repeat"}
_COPYING |= {"repeat_interleave", "stack", "_to_copy"}
_PLACED = {"index_copy_", "index_put_", "_index_put_impl_", "index_add_", "scatter_", "put_"}
_NUMBERS = {"tolist", "numpy", "__array__", "item"}  # numbers leave torch, and what it can see


class Copies(TorchDispatchMode):
    """Adds up the tensors made that hold keys or values.

    Those are the ones with both S and D in their shape, and what an operation that copies makes of
    keys, values or such a tensor. They are kept, so that no memory is used twice; a copy made piece
    by piece counts in all.

    Args:
        known: q, k and v.
        S, D: tokens of K, or of a part of it, and head_dim, unlike every other size.
    """

    def __init__(self, known: list[torch.Tensor], S: int, D: int):
        super().__init__()
        self.known = {t.untyped_storage().data_ptr() for t in known}
        self._keys = {t.untyped_storage().data_ptr() for t in known[1:]}
        self.S, self.D = S, D
        self.kept: list[torch.Tensor] = []
        self.elements, self.operation = 0, ""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        copied = function.overloadpacket.__name__ in _COPYING and self._takes_keys(args)
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if not isinstance(tensor, torch.Tensor):
                continue
            if copied or {self.S, self.D} <= set(tensor.shape):
                storage = tensor.untyped_storage()
                self._keys.add(storage.data_ptr())
                if storage.data_ptr() not in self.known:
                    self.known.add(storage.data_ptr())
                    self.kept.append(tensor)
                    self.elements += storage.nbytes() // tensor.element_size()
                    self.operation = function.name()
        return result

    def _takes_keys(self, args: tuple) -> bool:
        tensors = [one for one in args if isinstance(one, torch.Tensor)]
        tensors += [x for one in args if isinstance(one, list | tuple) for x in one]
        return any(
            isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() in self._keys
            for one in tensors
        )


class Made(TorchDispatchMode):
    """Sees the largest tensor with memory of its own that an operation makes, views left out.

    `written` are the elements of all that is made or written to, together.
    """

    def __init__(self):
        super().__init__()
        self.elements, self.operation, self.written = 0, "", 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else (result,)
        for tensor, returned in zip(made, function._schema.returns, strict=False):
            if not isinstance(tensor, torch.Tensor):
                continue
            alias = returned.alias_info
            if alias is None and tensor.numel() > self.elements:
                self.elements, self.operation = tensor.numel(), function.name()
            if alias is None or alias.is_write:
                self.written += _written(function.overloadpacket.__name__, tensor, args)
        return result


def _written(name: str, result: torch.Tensor, args: tuple) -> int:
    """Return how many elements an operation writes: of some only those that it is given."""
    if name not in _PLACED:
        return result.numel()
    return max(one.numel() for one in args[1:] if isinstance(one, torch.Tensor))


class OutOfTorch(TorchFunctionMode):
    """Adds up the numbers that leave torch's tensors for lists and arrays, unseen from there."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in _NUMBERS and isinstance(args[0], torch.Tensor):
            self.elements += args[0].numel()
        refuse_code(func, args, kwargs)
        return func(*args, **(kwargs or {}))

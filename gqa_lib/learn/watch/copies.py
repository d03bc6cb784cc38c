"""Sees the tensors that a call makes: copies of keys and values, and the largest of all."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_COPYING = {"cat", "clone", "copy_", "gather", "index", "index_select", "repeat"}
_COPYING |= {"repeat_interleave", "stack", "_to_copy"}


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
    """Sees the largest tensor with memory of its own that an operation makes, views left out."""

    def __init__(self):
        super().__init__()
        self.elements, self.operation = 0, ""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else (result,)
        for tensor, returned in zip(made, function._schema.returns, strict=False):
            is_new = isinstance(tensor, torch.Tensor) and returned.alias_info is None
            if is_new and tensor.numel() > self.elements:
                self.elements, self.operation = tensor.numel(), function.name()
        return result

"""Sees the tensors that a call makes: copies of keys and values, and the largest of all."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Copies(TorchDispatchMode):
    """Adds up the tensors made that hold keys or values: those with both S and D in their shape.

    They are kept, so that no memory is used twice; a copy made piece by piece counts in all.
    """

    def __init__(self, known: list[torch.Tensor], S: int, D: int):
        super().__init__()
        self.known = {t.untyped_storage().data_ptr() for t in known}
        self.S, self.D = S, D
        self.kept: list[torch.Tensor] = []
        self.elements, self.operation = 0, ""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and {self.S, self.D} <= set(tensor.shape):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self.known:
                    self.known.add(storage.data_ptr())
                    self.kept.append(tensor)
                    self.elements += storage.nbytes() // tensor.element_size()
                    self.operation = function.name()
        return result


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

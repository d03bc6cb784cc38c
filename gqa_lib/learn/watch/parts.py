"""Sees over how many keys at once a call takes its softmax."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "mv", "dot"}
_OVER_A_DIMENSION = {"_softmax", "_log_softmax", "logsumexp", "amax", "max", "sum", "logcumsumexp"}


class Parts(TorchDispatchMode):
    """Follows the keys into scores, and the scores into maxima, sums and softmaxes.

    `largest` is the most scores of a query that one of these is taken over. Keys stay keys in
    views, casts, padded and scaled copies: as long as a result has D in its shape and is not a
    product of matrices. What is computed of them then are scores, until a sum or a maximum.

    Args:
        keys: (B, Hkv, S, D); D unlike every other size of the call, and unlike its parts' sizes.
    """

    def __init__(self, keys: torch.Tensor):
        super().__init__()
        self._D = keys.shape[-1]
        self._keys, self._scores = _Memory(keys), _Memory()
        self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given, name = _tensors(args), function.overloadpacket.__name__
        scores = [one for one in given if one in self._scores]
        keys = [one for one in given if one in self._keys and self._D in one.shape]
        if scores and name in _OVER_A_DIMENSION:
            self._note(scores[0], args[1] if len(args) > 1 else -1)
        elif (scores or keys) and not (scores and name in _PRODUCTS):
            for made in _tensors([result]):
                stays_keys = keys and self._D in made.shape and name not in _PRODUCTS
                (self._keys if stays_keys else self._scores).add(made)
        return result

    def _note(self, scores: torch.Tensor, dimensions: int | list[int]) -> None:
        places = [dimensions] if isinstance(dimensions, int) else dimensions
        for place in places:
            self.largest = max(self.largest, scores.shape[place])


class _Memory:
    """The memory of tensors that are followed; they are kept, so that none is used twice."""

    def __init__(self, *tensors: torch.Tensor):
        self._kept = {one.untyped_storage().data_ptr(): one for one in tensors}

    def add(self, tensor: torch.Tensor) -> None:
        self._kept[tensor.untyped_storage().data_ptr()] = tensor

    def __contains__(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._kept


def _tensors(values) -> list[torch.Tensor]:
    found = []
    for one in values:
        found += _tensors(one) if isinstance(one, list | tuple) else []
        found += [one] if isinstance(one, torch.Tensor) else []
    return found

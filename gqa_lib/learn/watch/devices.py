"""Sees without a GPU whether code would mix devices on one."""

from collections.abc import Iterator
from functools import wraps
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode

from .values import refuse_code

_MOVES = {"cuda", "type_as"}  # the learner thought of the device
_ONLY_CPU = {"numpy", "__array__"}
_UNSEEN = ("from_numpy", "frombuffer", "from_dlpack")  # of torch, which tells no mode of them
_ANY_DEVICE = {"__getitem__", "__setitem__", "copy_", "expand_as", "view_as", "reshape_as"}


class StaysBehind(TorchFunctionMode):
    """Follows the tensors made with no word on their device: on a GPU they would be on the CPU.

    Such a tensor, and what is made of such tensors alone, is `left_behind` until it is moved.
    `mixed` is the first function that took one together with another tensor, which a GPU refuses.
    """

    def __init__(self):
        super().__init__()
        self._left: dict[int, torch.Tensor] = {}  # kept, so that no id is used twice
        self.mixed = ""
        self._makers = [mock.patch.object(torch, name, self._noted(name)) for name in _UNSEEN]

    def __enter__(self):
        for maker in self._makers:
            maker.start()
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        for maker in self._makers:
            maker.stop()

    def left_behind(self, value: object) -> bool:
        """Return whether a value is a tensor that would be on the CPU."""
        return id(value) in self._left

    def _noted(self, name: str):
        """One of torch's functions, whose results are taken note of."""
        make = getattr(torch, name)

        @wraps(make)
        def noted(*args, **kwargs):
            made = make(*args, **kwargs)
            self._left[id(made)] = made
            return made

        return noted

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        refuse_code(func, args, kwargs)
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        given = list(_tensors((args, kwargs)))
        behind = [t for t in given if self.left_behind(t)]
        made = list(_tensors(result))
        if (
            name in _MOVES
            or kwargs.get("device") is not None
            or (name == "to" and _names_one(args))
        ):
            for tensor in made:
                self._left.pop(id(tensor), None)
        elif (
            name == "cpu"
            or len(behind) == len(given)
            or (name in _ANY_DEVICE and self.left_behind(given[0]))
        ):
            self._left |= {id(tensor): tensor for tensor in made}
        elif name in _ONLY_CPU or (
            name not in _ANY_DEVICE and any(tensor.dim() for tensor in behind)
        ):
            self.mixed = self.mixed or name
        return result


def _names_one(arguments: tuple) -> bool:
    """Return whether a call of `to` names a device, or a tensor that has one."""
    return any(isinstance(one, torch.device | torch.Tensor | str | int) for one in arguments[1:])


def _tensors(value) -> Iterator[torch.Tensor]:
    """Yield the tensors in a value, however deep in lists and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))

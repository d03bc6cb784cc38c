"""Sees which tensors the gradients of a result would reach."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch


class Gradients(AbstractContextManager):
    """Lets tensors need gradients, as in training.

    Args:
        given: tensors that the code is called with.
    """

    def __init__(self, given: Iterable[torch.Tensor]):
        self._given = [tensor for tensor in given if tensor.is_floating_point()]

    def __enter__(self):
        for tensor in self._given:
            tensor.requires_grad_()
        return self

    def __exit__(self, *exception):
        pass

    def reached(self, result: object) -> int:
        """Return how many tensors, given or a module's own, a gradient of the result reaches."""
        if not isinstance(result, torch.Tensor):
            return 0
        if result.grad_fn is None:
            return int(result.requires_grad)
        leaves, seen = set(), set()
        waiting: list = [result.grad_fn]
        while waiting:
            step = waiting.pop()
            if step is None or step in seen:
                continue
            seen.add(step)
            if hasattr(step, "variable"):
                leaves.add(id(step.variable))
            waiting += [before for before, _ in step.next_functions]
        return len(leaves)

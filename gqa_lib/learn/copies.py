"""`check_no_copy` and `kv_copied`: see whether K and V were expanded, a copy per query head."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .check import not_yet, record, run
from .compare import difference
from .exercise import NotYet
from .exercises import find_exercise


class _Copies(TorchDispatchMode):
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


def kv_copied(function, q, k, v) -> tuple[int, str]:
    """Return how many elements of keys and values a call copies, and the last operation that did.

    Args:
        function: attention, called with q, k and v.
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D); S and D unlike every other size, and unlike B x Hq.
    """
    with _Copies([q, k, v], *k.shape[2:]) as made:
        function(q, k, v)
    return made.elements, made.operation


def check_no_copy(name: str, yours) -> None:
    """Check that your attention never makes a tensor as large as K expanded to all query heads.

    Args:
        name: the exercise.
        yours: a function of q (B, Hq, T, D), k and v (B, Hkv, S, D).

    Raises:
        NotYet: it makes one; the message names the operation.
    """
    exercise = find_exercise(name)
    if not exercise.copy_cases:
        raise ValueError(
            f"{name} has no cases to see copies in: check it with check({name!r}, ...)."
        )
    generator = torch.Generator().manual_seed(0)
    for case in exercise.copy_cases:
        q, k, v, _ = exercise.make(generator, **case)
        (B, Hq, _, D), (_, Hkv, S, _) = q.shape, k.shape
        with _Copies([q, k, v], S, D) as made:
            result = run(exercise, yours, (q, k, v, True))
        if difference(result, exercise.oracle(q, k, v, True), q.dtype):
            raise not_yet(exercise, "Its result is not right yet, so there is nothing to look at.")
        if made.elements >= B * Hq * S * D:
            failed = _copied(exercise, made, (B, Hkv, S, D), (B, Hq, S, D))
            record(exercise, "check", passed=False, detail=str(failed))
            raise failed
    record(exercise, "check", passed=True, detail="no copy")
    print(f"✓ {name}: K and V are read where they lie, never copied per query head.")


def _copied(exercise, made, stored: tuple, expanded: tuple) -> NotYet:
    return not_yet(
        exercise,
        f"{made.operation} copied: {made.elements} elements of keys and values in all. K has shape "
        f"{stored}; expanded to every query head it would have {expanded}.",
        "Broadcasting k.unsqueeze(2) in a matmul copies too, as does q @ k.mT with one KV head. "
        "Fold the query heads of a KV head into the rows of q instead, and leave k and v as they "
        "are.",
    )

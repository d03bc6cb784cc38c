"""`check_no_copy`: sees whether K and V were expanded to one copy per query head."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .check import not_yet, record, run
from .compare import difference
from .exercise import NotYet
from .exercises import find_exercise
from .exercises.variants import draw

_SHAPES = (  # T < D, so that a tensor as large as the expanded K cannot be the scores
    {"B": 2, "Hq": 6, "Hkv": 2, "T": 3, "S": 40, "D": 16},
    {"B": 2, "Hq": 8, "Hkv": 1, "T": 1, "S": 64, "D": 32},
)


class _Allocations(TorchDispatchMode):
    """Notes the largest tensor made, in elements, and the operation that made it."""

    def __init__(self, known: list[torch.Tensor]):
        super().__init__()
        self.known = {t.untyped_storage().data_ptr() for t in known}
        self.largest, self.operation = 0, ""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                elements = storage.nbytes() // tensor.element_size()
                if storage.data_ptr() not in self.known and elements > self.largest:
                    self.largest, self.operation = elements, function.name()
        return result


def check_no_copy(name: str, yours) -> None:
    """Check that your attention never makes a tensor as large as K expanded to all query heads.

    Args:
        name: the exercise.
        yours: a function of q (B, Hq, T, D), k and v (B, Hkv, S, D).

    Raises:
        NotYet: it makes one; the message names the operation.
    """
    exercise = find_exercise(name)
    generator = torch.Generator().manual_seed(0)
    for shape in _SHAPES:
        B, Hq, Hkv, T, S, D = shape.values()
        q = draw(generator, B, Hq, T, D)
        k, v = draw(generator, B, Hkv, S, D), draw(generator, B, Hkv, S, D)
        with _Allocations([q, k, v]) as made:
            result = run(exercise, yours, (q, k, v, True))
        if difference(result, exercise.oracle(q, k, v, True), q.dtype):
            raise not_yet(exercise, "Its result is not right yet, so there is nothing to look at.")
        if made.largest >= B * Hq * S * D:
            failed = _copied(exercise, made, (B, Hkv, S, D), (B, Hq, S, D))
            record(exercise, "check", passed=False, detail=str(failed))
            raise failed
    record(exercise, "check", passed=True, detail="no copy")
    print(f"✓ {name}: K and V are read where they lie, never copied per query head.")


def _copied(exercise, made, stored: tuple, expanded: tuple) -> NotYet:
    return not_yet(
        exercise,
        f"{made.operation} made a tensor of {made.largest} elements. K has shape {stored}; "
        f"expanded to every query head it would have {expanded}, and that is what was written.",
        "Broadcasting k.unsqueeze(2) in a matmul copies too. Fold the query heads of a KV head "
        "into the rows of q instead, and leave k and v as they are.",
    )

"""Conditions that right values alone do not meet: a GPU, and training."""

from typing import Any

import torch

from gqa_lib.learn.exercises.exercise import Exercise, NotYet
from gqa_lib.learn.watch import watching

from .running import not_yet, run


def check_device(exercise: Exercise, yours: Any, case: dict, seed: int) -> None:
    """See without a GPU whether the code would fail on one.

    Args:
        exercise: what is checked.
        yours: the learner's function or class.
        case: which it gets right.
        seed: of the random inputs.

    Raises:
        NotYet: it would.
    """
    arguments = exercise.make(torch.Generator().manual_seed(seed), **case)
    with watching(yours, devices=True) as watch:
        got = run(exercise, yours, arguments)
    seen = watch.seen(got)
    if floats(arguments) and (seen.mixed or seen.left_behind):
        where = f"{seen.mixed} gets another one on the CPU" if seen.mixed else "its result is not"
        raise not_yet(
            exercise,
            f"Its values are right here, but it would fail on a GPU: with its inputs there, {where}"
            ". Make new tensors with device=x.device or move them with .to(x.device), where x is "
            "one of the inputs.",
        )


def check_gradients(exercise: Exercise, yours: Any, case: dict, seed: int) -> None:
    """See whether gradients of the result reach every tensor that it is computed from.

    Args:
        exercise: what is checked.
        yours: the learner's function or class.
        case: which it gets right.
        seed: of the random inputs.

    Raises:
        NotYet: some are cut off, so that what is built of it could not be trained.
    """
    arguments = exercise.make(torch.Generator().manual_seed(seed), **case)
    wanted = len(floats(arguments))
    try:
        with watching(yours, given=arguments, gradients=True) as watch:
            got = run(exercise, yours, arguments)
    except NotYet as stopped:
        raise not_yet(
            exercise,
            "Its values are right, but with inputs that need gradients, as in training, it stops:",
            " ".join(" ".join(str(stopped).split("\n")[1:-1]).split()),
        ) from None
    reached = watch.seen(got).reached
    if reached < wanted:
        raise not_yet(
            exercise,
            f"Its values are right, but it could not be trained: of the {wanted} tensors that it "
            f"computes with, gradients of its result reach {reached}. Something cuts them off, "
            "such as torch.no_grad(), .detach(), .data, .item() or .numpy().",
        )


def floats(arguments: tuple) -> list[torch.Tensor]:
    """Return the tensors of floating point among arguments, those in a dictionary included."""
    found = []
    for one in arguments:
        inside = list(one.values()) if isinstance(one, dict) else [one]
        found += [x for x in inside if isinstance(x, torch.Tensor) and x.is_floating_point()]
    return found

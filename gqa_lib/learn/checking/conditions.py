"""Conditions that right values alone do not meet: a GPU, training, and steps of one's own."""

import copy
from typing import Any

import torch

from gqa_lib.learn.exercises.exercise import Exercise, NotYet
from gqa_lib.learn.watch import Observation, watching

from .difference import difference, unchanged
from .running import not_yet, outcome, run, watched


def check_conditions(
    exercise: Exercise, yours: Any, case: dict, seed: int, *, devices: bool = True
) -> None:
    """Watch one call of what works on tensors: on a GPU, too, and steps of one's own.

    Args:
        exercise: what is checked.
        yours: the learner's function or class.
        case: which it gets right.
        seed: of the random inputs.
        devices: see without a GPU whether it would fail on one.

    Raises:
        NotYet: it would, or leaves everything to torch, or cannot be watched.
    """
    arguments = exercise.make(torch.Generator().manual_seed(seed), **case)
    if not floats(arguments):
        return
    before, yours = copy.deepcopy(arguments), watched(exercise, yours)
    with watching(
        yours, arguments=True, settings=True, devices=devices, whole=exercise.by_hand
    ) as watch:
        got = run(exercise, yours, arguments)
    seen = watch.seen(got)
    _refuse_other_values(exercise, got, before)
    refuse_whole(exercise, seen)
    if seen.settings or not all(map(unchanged, arguments, before)):
        changed = f"calls {seen.settings[0]}" if seen.settings else "changes its arguments in place"
        raise not_yet(exercise, f"It {changed}: its caller still needs them as they are.")
    if seen.mixed or seen.left_behind:
        where = f"{seen.mixed} gets another one on the CPU" if seen.mixed else "its result is not"
        raise not_yet(
            exercise,
            f"Its values are right here, but it would fail on a GPU: with its inputs there, {where}"
            ". Make new tensors with device=x.device or move them with .to(x.device), where x is "
            "one of the inputs.",
        )


def refuse_whole(exercise: Exercise, seen: Observation) -> None:
    """Refuse a call of torch's own attention where its steps are what is to be written.

    Args:
        exercise: what is checked.
        seen: of a call that was watched for it.

    Raises:
        NotYet: there is one.
    """
    if seen.whole:
        raise not_yet(
            exercise,
            f"Its values are right, but {seen.whole} does all of it in one call, and this exercise "
            "is to write what that does: scores, mask, softmax, values. Use torch's to compare "
            "yours with.",
        )


def _refuse_other_values(exercise: Exercise, got: Any, arguments: tuple) -> None:
    """Make sure that the call that was watched is one with the right values."""
    expected = outcome(exercise.oracle, arguments)
    if isinstance(expected, ValueError):
        return
    if found := difference(got, expected):
        raise not_yet(
            exercise,
            "Where only what it needs is run - its own definition, and those of the names in it - "
            f"its values are others. {found}",
            "Does it depend on something that a cell only does, and does not define?",
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
    wanted, yours = len(floats(arguments)), watched(exercise, yours)
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

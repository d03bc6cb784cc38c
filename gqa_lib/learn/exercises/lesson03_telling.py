"""Lesson 03: inputs that expose wrong answers, written by the learner."""

from collections.abc import Callable

from .exercise import Complaint, Exercise
from .hunts.attentions import ONE
from .hunts.hunt import Slip
from .hunts.inputs import inputs_of
from .hunts.trying import exposed

_LESSON = "03-multi-query-attention"
_MOST = 3
_BUGS, _OTHERS = "the hunt's bugs", "other wrong answers"


def _against(generator, others=False):
    return (_OTHERS if others else _BUGS,)


def _caught(yours: Callable, against: str) -> int:
    """Return how many wrong answers the learner's inputs expose.

    Raises:
        Complaint: they leave some at large, are too many, or are no inputs.
    """
    try:
        inputs = inputs_of([yours()])
        found = exposed(ONE, inputs, more=against == _OTHERS)
    except Slip as slip:
        raise Complaint(f"It returns something else than inputs of the hunt. {slip}") from None
    if len(inputs) > _MOST:
        raise Complaint(f"It returns {len(inputs)} inputs. The two or three best will do.")
    free = [str(number) for number, how in enumerate(found, 1) if not how]
    if not free:
        return len(found)
    if against == _OTHERS:
        raise Complaint(
            f"Its inputs expose every bug of the hunt, and of {len(found)} other wrong answers "
            f"they miss {len(free)}. Do two sizes agree that could differ? Is one of them 1? Do "
            "two tensors hold the same numbers? Is causal once left out?"
        )
    many = f"bugs {', '.join(free[:-1])} and {free[-1]} are" if free[1:] else f"bug {free[0]} is"
    raise Complaint(
        f"With its inputs {many} still at large. To see what each of them exposes: "
        "hunt('multi_query_attention', telling_inputs)"
    )


TELLING_INPUTS = Exercise(
    name="telling_inputs",
    lesson=_LESSON,
    make=_against,
    oracle=lambda against: len(ONE.more if against == _OTHERS else ONE.bugs),
    call=_caught,
    cases=({},),
)

EXERCISES = [TELLING_INPUTS]

"""What a bug hunt is: a right answer, wrong ones that are hidden, and what an input must be."""

from collections.abc import Callable
from dataclasses import dataclass

from ..exercise import Exercise


class Slip(Exception):
    """What is wrong with an input of a hunt, in words for the learner."""


@dataclass(frozen=True)
class Bug:
    """A wrong answer.

    Attributes:
        wrong: the answer.
        was: what it did, a sentence that is shown once it is caught. It says no remedy.
        quiet: why it is easily overlooked, another one.
    """

    wrong: Callable
    was: str
    quiet: str


@dataclass(frozen=True)
class Hunt:
    """Wrong answers to one exercise, to be told from the right one by inputs.

    Attributes:
        exercise: what is answered; the oracle is the right answer unless `right` is given.
        call: an input as it is typed, such as "(x, num_heads)".
        does: what a right answer does, as the exercise says.
        example: code of a first try, which exposes one bug or two.
        ready: from an input, a tuple, to the arguments of the answers; raises Slip.
        bugs: the wrong answers.
        fewest: inputs that are known to expose all of them.
        axes: what the axes of the results are.
        right: the right answer, where inputs are not the exercise's own arguments.
        more: wrong answers that only the grading of a lesson knows.
    """

    exercise: Exercise
    call: str
    does: str
    example: str
    ready: Callable[[tuple], tuple]
    bugs: tuple[Bug, ...]
    fewest: int = 1
    axes: tuple[str, ...] = ()
    right: Callable | None = None
    more: tuple[Callable, ...] = ()

    @property
    def name(self) -> str:
        """The exercise's name."""
        return self.exercise.name

    @property
    def lesson(self) -> str:
        """The slug of its lesson."""
        return self.exercise.lesson

    @property
    def answer(self) -> Callable:
        """The right answer."""
        return self.right or self.exercise.oracle


def wrong_answer(exercise: Exercise, phrase: str) -> Callable:
    """Return the wrong answer in an exercise's catalogue whose sentence has a phrase.

    Args:
        exercise: whose.
        phrase: one mistake's sentence has it.

    Raises:
        ValueError: none has it, or several have.
    """
    found = [mistake.wrong for mistake in exercise.mistakes if phrase in mistake.says]
    if len(found) != 1:
        raise ValueError(f"{len(found)} mistakes of {exercise.name} say {phrase!r}, not one")
    return found[0]

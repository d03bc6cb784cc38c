"""Clocks that tests hand to code which measures: they move when they are told to."""

from collections.abc import Callable


class Clock:
    """A clock that moves when an arm says so, and by `tick` seconds at each look at it."""

    def __init__(self, tick: float = 0.0):
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now

    def arm(self, seconds: float, function: Callable = lambda *_: None) -> Callable:
        """Return a function that does what `function` does and takes this long."""

        def run(*arguments):
            self.now += seconds
            return function(*arguments)

        return run

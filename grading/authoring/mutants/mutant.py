"""The mutants of a solution: its source with one step changed."""

import ast
import difflib
import re
from dataclasses import dataclass

from .operators import changes
from .wrappers import function_changes


@dataclass(frozen=True)
class Mutant:
    """A reference solution with one step changed."""

    exercise: str
    kind: str
    before: str  # the lines that differ, as the reference has them
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What the list of reviewed mutants knows it by."""
        return self.exercise, self.before, self.after


def mutants(exercise: str, source: str) -> list[Mutant]:
    """Return the mutants of a solution, in the order of its lines; each program once.

    Args:
        exercise: whose solution it is.
        source: of the cell, with its BEGIN and END SOLUTION.
    """
    found: dict[str, Mutant] = {}
    original = ast.unparse(ast.parse(source))
    for one in [*changes(source), *function_changes(source)]:
        mutated = one.applied(source)
        try:
            program = ast.unparse(ast.parse(mutated))
        except SyntaxError:
            continue
        if program != original and program not in found:
            found[program] = Mutant(exercise, one.kind, *_difference(source, mutated), mutated)
    return list(found.values())


def _without_comments(source: str) -> list[str]:
    return [re.sub(r"  # .*", "", line) for line in source.splitlines()]


def _difference(source: str, mutated: str) -> tuple[str, str]:
    """Return the lines that differ, as in the one and as in the other."""
    before, after = (_without_comments(text) for text in (source, mutated))
    gone, come = [], []
    for line in difflib.ndiff(before, after):
        gone += [line[2:].strip()] if line.startswith("- ") else []
        come += [line[2:].strip()] if line.startswith("+ ") else []
    return "\n".join(gone), "\n".join(come)

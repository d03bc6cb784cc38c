"""Finds the hunts by the names of their exercises."""

from functools import cache

from . import attentions, caches, costs, heads, parts
from .hunt import Hunt


@cache
def all_hunts() -> dict[str, Hunt]:
    """Return every hunt by its name, in the order of the lessons."""
    modules = (heads, attentions, caches, costs, parts)
    found = [hunt for module in modules for hunt in module.HUNTS]
    return {hunt.name: hunt for hunt in sorted(found, key=lambda hunt: hunt.lesson)}


def find_hunt(name: str) -> Hunt | None:
    """Return the hunt of that name, or None."""
    return all_hunts().get(name)

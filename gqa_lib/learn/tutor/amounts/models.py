"""Finds the model of the course's table that a question means, however it is written."""

import re
from functools import cache

from gqa_lib.configs import ModelConfig, list_models, load_model
from gqa_lib.learn.tutor.lexicon import edits

_PIECES = re.compile(r"\d+x\d+(?:\.\d+)?[bm]|\d+(?:\.\d+)*(?:[bmt](?![a-z]))?|[a-z]+")
_SAYS_NOTHING = {"v", "it", "instruct", "chat", "base", "hf", "model"}
_MISTYPED = 4  # letters from which one of a family's name may be wrong


def pieces(name: str) -> list[str]:
    """Return a name's words, versions and sizes: "Llama3.1:8b" is llama, 3.1, 8b."""
    return _PIECES.findall(name.lower())


@cache
def _names() -> dict[str, list[str]]:
    return {name: pieces(name) for name in list_models()}


def find_model(text: str) -> tuple[ModelConfig, str] | None:
    """Return the model that a text names and the text without it, None where it names none.

    The one with the fewest pieces that the text does not say; of several the first of the table.

    Args:
        text: a question, in lower case, its lengths and dtypes taken out.
    """
    found = list(_PIECES.finditer(text))
    said = [match[0] for match in found]
    best: tuple[int, int, str, int, int] | None = None
    for place, (name, wanted) in enumerate(_names().items()):
        for start in range(len(said)):
            end = _run(said, start, wanted)
            if end is not None:
                left = len([p for p in wanted if p not in _SAYS_NOTHING]) - (end - start)
                row = (left, place, name, start, end)
                best = min(best, row) if best else row
    if best is None:
        return None
    *_, name, start, end = best
    rest = text[: found[start].start()] + " " + text[found[end - 1].end() :]
    return load_model(name), rest


def _run(said: list[str], start: int, wanted: list[str]) -> int | None:
    """Return the end of the run of pieces from `start` that names a model, None if it does not."""
    if not _same(said[start], wanted[0]):
        return None
    end = start + 1
    while end < len(said) and (said[end] in wanted[1:] or said[end] in _SAYS_NOTHING):
        end += 1
    sized = any(piece[-1:] in "bm" and piece[0].isdigit() for piece in said[start:end])
    whole = set(wanted) - _SAYS_NOTHING <= {wanted[0], *said[start:end]}
    if end < len(said) and said[end][0].isdigit() and not whole:
        return None  # another version or size of the family
    return end if sized or whole else None


def _same(said: str, family: str) -> bool:
    if said == family:
        return True
    return min(len(said), len(family)) >= _MISTYPED and edits(said, family, 1) <= 1

"""Mutated notebooks for the door that submissions come in by: broken at random, by a seed.

    python tests/helpers/mutating.py 50000 [SEED [here]]

tells how many of so many were let in, why the others were not, and how fast that went; with `here`
they are read in this process instead of a limited child for each, many times faster.
"""

import json
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from grading.intake import reading
from grading.intake.admit import admit, opened
from grading.intake.rebuild import rebuild_or_refuse, with_notice
from grading.nb.cells import as_text

NAME = "lesson.ipynb"
_DEEP = json.loads("[" * 150 + "]" * 150)
_ODD: tuple = (
    *(None, True, False, 0, -1, 1, 3, 4, 6, 1_500_000_000, 2**63, 10**400, 0.5, 1e308),
    *(float("nan"), float("inf"), "", "x", "code", "heading", "zz", "\ud800", "\0", "x" * 3000),
    *("<b>x</b>", "[a](http://b)", "`", "\x1b[31mred", "\u202eabc", [], {}, [[]], [None], ["a", 1]),
    *({"a": {}}, {"cell_type": "code"}, {"grade_id": ["x"]}, [{"output_type": "zz"}], _DEEP),
)
_KEYS = (
    *("cells", "cell_type", "source", "metadata", "nbgrader", "grade_id", "outputs", "id", "level"),
    *("nbformat", "nbformat_minor", "worksheets", "input", "attachments", "execution_count"),
    *("language", "prompt_number", "kernelspec", "name", "orig_nbformat", "signature", "tags", ""),
)


def nbgrader(name: str, **told: bool) -> dict:
    """Return the metadata of a cell that nbgrader knows."""
    known = {"grade": False, "solution": False, "locked": False, "task": False}
    return {"nbgrader": {"grade_id": name, "schema_version": 3} | known | told}


def released():
    """Return a small released notebook."""
    checked = nbgrader("double-check", grade=True, locked=True) | {}
    checked["nbgrader"]["points"] = 2
    cells = [
        new_markdown_cell("# Doubling"),
        new_code_cell("import math", metadata=nbgrader("setup", locked=True)),
        new_code_cell("def double(x): ...", metadata=nbgrader("double", solution=True)),
        new_code_cell("assert double(2) == 4", metadata=checked),
        new_markdown_cell("Draw it.", metadata=nbgrader("draw", task=True, locked=True)),
    ]
    return new_notebook(cells=cells)


def _seeds() -> list:
    """Return the notebooks that are broken: of both formats, and what once went wrong."""
    heading = {"cell_type": "heading", "level": 2, "metadata": {}, "source": "x"}
    code = {"cell_type": "code", "input": "1", "metadata": {}, "outputs": [], "language": "python"}
    old = {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0}
    old["worksheets"] = [{"metadata": {}, "cells": [heading, code]}]
    said = new_output("stream", text="1\n")
    ran = new_code_cell("print(1)", outputs=[said], execution_count=1)
    return [
        json.loads(as_text(released())),
        json.loads(as_text(new_notebook(cells=[ran, new_markdown_cell("$x$")]))),
        old,
        {"cells": [{"cell_type": "zz"}], "nbformat": 4, "nbformat_minor": 6},
    ]


_SEEDS = [json.dumps(one) for one in _seeds()]


def mutated(dice: random.Random) -> bytes:
    """Return a notebook with a few things wrong in its values, and sometimes in its bytes."""
    tree = json.loads(dice.choice(_SEEDS))
    for _ in range(dice.choice((0, 1, 1, 2, 3, 8))):
        tree = _changed(tree, dice)
    content = json.dumps(tree, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
    for _ in range(dice.choice((0, 0, 0, 1, 3))):
        content = _garbled(content, dice)
    return content


def _places(tree) -> list[tuple]:
    """Return (container, key) of all values in a tree."""
    found, left = [], [tree]
    while left:
        node = left.pop()
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in pairs:
            found.append((node, key))
            if isinstance(value, dict | list) and len(found) < 500:
                left.append(value)
    return found


def _changed(tree, dice: random.Random):
    odd = json.loads(json.dumps(dice.choice(_ODD)))
    places = _places(tree) if isinstance(tree, dict | list) else []
    if not places or dice.random() < 0.02:
        return odd
    node, key = dice.choice(places)
    what = dice.randrange(5)
    if what == 0:
        del node[key]
    elif what == 1 and isinstance(node, dict):
        node[dice.choice(_KEYS)] = node.pop(key)
    elif what == 2:
        other, its = dice.choice(places)
        if isinstance(other, dict) or its < len(other):
            node[key] = json.loads(json.dumps(other[its]))
    elif what == 3 and isinstance(node, list):
        node += json.loads(json.dumps([node[key]])) * dice.choice((1, 3, 1200))
    else:
        node[key] = odd
    return tree


def _garbled(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content) + 1)
    end = min(len(content), at + dice.choice((1, 4, 64)))
    return content[:at] + dice.choice(
        [
            b"",
            content[end:],
            bytes([dice.randrange(256)]) + content[at:],
            content[at:end] * 3 + content[at:],
            b"\xef\xbb\xbf" + content[at:],
            dice.choice((b"NaN", b"1e999", b'{"a":', b"[[[", b"\\u0000", b'"')) + content[end:],
        ]
    )


def kinds_of_verdicts(count: int, seed: int) -> Counter[str]:
    """Return how often each kind of verdict came of so many mutated notebooks.

    Raises:
        Exception: the door did, which it must not.
        AssertionError: what came of one is no notebook, or no sentence.
    """
    kinds: Counter[str] = Counter()
    original = released()
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as descriptor:
        for number in range(seed, seed + count):
            content = mutated(random.Random(number))
            Path(folder, NAME).write_bytes(content)
            (one,) = admit(descriptor, [NAME])
            kinds[_kind(one, content, original, number)] += 1
    return kinds


def _kind(one, content: bytes, original, number: int) -> str:
    if one.verdict:
        assert one.notebook is None, number
        assert one.verdict.isprintable(), (number, one.verdict)
        assert len(one.verdict) <= 1000, number
        said = one.verdict.split("not accepted: ")[-1].split(". ")[0].split(" (")[0]
        return re.sub(r"nbformat .*?,", "nbformat N,", re.sub(r"\d+", "N", said))[:70]
    assert one.content == content, number
    rebuilt, notes = rebuild_or_refuse(one.notebook, original)
    assert as_text(with_notice(rebuilt, notes)).encode(), number
    return "let in, with a note" if notes else "let in"


def main() -> None:
    """Tell what came of as many as the first argument says, from the seed of the second on."""
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    if "here" in sys.argv:
        reading._in_child = reading.answer_of
    begin = time.monotonic()
    kinds = kinds_of_verdicts(count, seed)
    for kind, times in kinds.most_common():
        print(f"{times:7} {kind}")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{count} in {time.monotonic() - begin:.0f} s; at most {most} MiB in this process")


if __name__ == "__main__":
    main()

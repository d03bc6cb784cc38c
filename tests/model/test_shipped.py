"""Functions of a notebook's cells work in another process, with what they name."""

from functools import wraps

import pytest

from gqa_lib.model.parallel.shipped import packed, unpacked

CELLS = """
import torch
from functools import partial
scale, unsent = 3, open
def twice(x): return 2 * x if x < 5 else twice(x - 5)
def cell(rank, x, fn, *, more=1): return [fn(x), scale * rank + more, torch.ones(2).sum().item()]
def outer():
    inside = 3
    def closed(rank): return inside
    return closed
def lists(rank): return [twice(x) for x in range(7)]
def thrice(x): return 3 * x + depth
depth, table, near = 100, {"all": [twice, torch]}, lambda x: far(x)
far = thrice
def within(rank, fns, usual=twice, *, extra=partial(thrice)):
    second, third = table["all"]
    return [usual(2), extra(1), fns[0](3), second(4), third.ones(1).item(), near(5)]
class Layer:
    def names(self, rank): return rank
def makes(rank): return Layer()
def reads(rank, path): return open(path).read()
"""


def test_functions_of_a_notebook_are_sent_with_what_they_name():
    names = {"__name__": "__main__"}
    exec(CELLS, names)
    fn, args = unpacked(packed(names["cell"], (13, names["twice"]), by_value=True))
    names |= {"scale": 9, "twice": None}  # what was sent needs none of it
    assert fn(2, *args) == [6, 7, 2.0]
    assert "unsent" not in fn.__globals__
    exec(CELLS, names)
    fn, args = unpacked(packed(names["lists"], (), by_value=True))
    assert fn(0) == [0, 2, 4, 6, 8, 0, 2]
    fn, args = unpacked(packed(names["within"], ([names["twice"]],), by_value=True))
    names |= {"depth": 0, "thrice": None, "far": None}
    assert fn(0, *args) == [4, 103, 6, 8, 1.0, 115]
    with pytest.raises(ValueError, match="uses inside of the function it is in"):
        packed(names["outer"](), (), by_value=True)


@pytest.mark.parametrize("call", ["makes", "lists, Layer()", "lists, [Layer]", "Layer().names"])
def test_a_class_of_a_notebooks_cell_is_refused_with_its_name(call):
    names = {"__name__": "__main__"}
    exec(CELLS, names)
    fn, *args = eval(f"[{call}]", names)
    with pytest.raises(ValueError, match="Layer is a class of a notebook's cell, which another"):
        packed(fn, tuple(args), by_value=True)


def test_a_cell_may_open_files_though_a_notebook_has_an_open_of_its_own(tmp_path):
    names = {"__name__": "__main__"}
    exec(CELLS, names)
    names["open"] = wraps(open)(lambda *given: None)  # as IPython does
    (tmp_path / "x").write_text("read")
    fn, args = unpacked(packed(names["reads"], (tmp_path / "x",), by_value=True))
    assert fn(0, *args) == "read"

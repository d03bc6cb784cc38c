"""Later cells of a lesson do not depend on how fast a right answer is."""

import contextlib
import io

import matplotlib.pyplot as plt
import pytest

from gqa_lib.course.manifest import find_lesson
from grading.authoring.source import read_source, source_of
from grading.nb.cells import grade_id, is_graded

COUNTED = 3_000_000  # lengths that a lesson may ask about in all; one is some microseconds
ONE_BY_ONE = '''
def max_concurrent_sequences(config, memory_bytes, context_length, weight_bytes, bytes_per_element):
    """As many as fit, found by adding one more until the memory is full."""
    state, count = sum(layer.state_bytes for layer in config.kv_layers), 0
    while True:
        lengths = [context_length] * (count + 1)
        held = kv_cache_bytes(config, lengths, bytes_per_element) + state * (count + 1)
        if weight_bytes + held > memory_bytes:
            return count
        count += 1
'''
SLOW = "gqa_lib.explore", "explore(llama"  # which need a notebook


class Counting:
    """The lesson's own `kv_cache_bytes`, which stops a lesson that asks too much of it."""

    def __init__(self, function):
        self.function, self.lengths = function, 0

    def __call__(self, config, context_lengths, bytes_per_element):
        self.lengths += len(context_lengths)
        assert self.lengths < COUNTED, "an answer that adds one at a time would take for ever"
        return self.function(config, context_lengths, bytes_per_element)


def test_capacities_may_be_found_by_adding_one_sequence_at_a_time():
    plt.switch_backend("Agg")
    names, counted = {"__name__": "__main__"}, None
    for cell in read_source(source_of(find_lesson("05"))).cells:
        if cell.cell_type != "code" or is_graded(cell) or any(s in cell.source for s in SLOW):
            continue
        slow = grade_id(cell) == "max_concurrent_sequences"
        with contextlib.redirect_stdout(io.StringIO()):
            exec(ONE_BY_ONE if slow else cell.source, names)
        if grade_id(cell) == "kv_cache_bytes":
            counted = names["kv_cache_bytes"] = Counting(names["kv_cache_bytes"])
    assert "cases" in names, "the cell that compares with the library ran"
    assert counted.lengths > 10_000, "the slow answer was asked"


def test_the_count_stops_what_would_hang():
    counting = Counting(lambda *_: 0)
    with pytest.raises(AssertionError, match="for ever"):
        counting(None, [1] * COUNTED, 2)

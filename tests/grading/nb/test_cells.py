"""A cell's part in grading, as nbgrader's metadata has it."""

import pytest
from nbformat.v4 import new_code_cell

from grading.nb.cells import grade_id, known_id


def test_a_cell_of_grading_has_a_name():
    cell = new_code_cell("x = 1", metadata={"nbgrader": {"grade_id": "expand_kv"}})
    assert known_id(cell) == grade_id(cell) == "expand_kv"


def test_a_cell_without_a_name_is_refused_where_it_must_have_one():
    cell = new_code_cell("x = 1")
    assert grade_id(cell) is None
    with pytest.raises(ValueError, match=r"begins 'x = 1' has no nbgrader id.*grade_id"):
        known_id(cell)

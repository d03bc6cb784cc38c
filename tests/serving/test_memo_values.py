"""A memo's numbers have labels: what has none cannot be written."""

import math

import pytest

from gqa_lib.serving.memo import Figure, Heading, Name, Prose, Record, Table, Words
from gqa_lib.serving.memo.values import digits

RECORD = Record("decode.jsonl", "median of native", "as recorded on a CPU, 2026-11-25")


@pytest.mark.parametrize("value", [math.nan, math.inf, "4", None, True])
def test_a_figure_is_a_finite_number(value):
    with pytest.raises(ValueError, match="value"):
        Figure(value, "ms", "modelled", "bytes over bandwidth")


def test_what_is_called_measured_names_its_record():
    assert Figure(3.0, "ms", "measured", RECORD).source is RECORD
    with pytest.raises(ValueError, match="Record"):
        Figure(3.0, "ms", "measured", "somewhere")
    with pytest.raises(ValueError, match="guessed"):
        Figure(3.0, "ms", "guessed", "a feeling")
    with pytest.raises(ValueError, match="source=''"):
        Figure(3.0, "ms", "modelled", "")
    with pytest.raises(ValueError, match=r"Record\.recorded=''"):
        Record("decode.jsonl", "median", " ")


def test_a_table_takes_nothing_but_figures_and_words_without_digits():
    figure = Figure(3.0, "ms", "measured", RECORD)
    Table(["variant", "time"], [(Name("GQA, 8 KV heads"), [figure])])
    with pytest.raises(ValueError, match="label"):
        Table(["variant", "time"], [(Name("GQA"), [3.0])])
    with pytest.raises(ValueError, match="digit '3'"):
        Words("about 3 ms")
    with pytest.raises(ValueError, match="digit '9'"):
        Table(["variant", "p99"], [(Name("GQA"), [figure])])
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table(["variant", "time"], [(Name("GQA"), [figure, figure])])


def test_prose_has_numbers_only_as_figures_or_in_names():
    figure = Figure(4.25, "x", "modelled", "a ratio")
    said = Prose("{name} is {figure} as fast.", name=Name("GQA-8"), figure=figure)
    assert said.plain() == "GQA-8 is 4.25x [modelled] as fast."
    with pytest.raises(ValueError, match="digit '4'"):
        Prose("it is 4 times as fast")
    with pytest.raises(ValueError, match="figure"):
        Prose("it is {figure} as fast")
    with pytest.raises(ValueError, match="digit '2'"):
        Heading("Part 2")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (16, "16"), (99.96, "100"), (1234.5, "1,234"), (-0.5, "-0.5")),
        *((0.01234, "0.0123"), (2.5e-7, "2.50e-07")),
    ],
)
def test_numbers_have_three_digits_or_all_before_the_point(value, text):
    assert digits(value) == text


def test_a_figure_shows_its_unit_and_its_interval():
    figure = Figure(1000, "tokens/s", "measured", RECORD, low=950, high=1100)
    assert figure.number() == "1,000 (950 to 1,100) tokens/s"
    assert Figure(2.0, "x", "measured", RECORD, low=1.9999, high=2.0001).number() == "2x"
    assert Figure(2.5, "x", "modelled", "a ratio").number() == "2.5x"

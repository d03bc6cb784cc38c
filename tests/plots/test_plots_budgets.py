"""The figure of what a cut cache costs."""

import pytest

from gqa_lib import plots

CURVES = {"recency": {8: 0.9, 32: 1.0}, "needle first": {8: 0.1, 32: 0.4}}


def drawn(**more):
    (ax,) = plots.budget_lines(CURVES, metric="answers that are right", title="x", **more).axes
    return ax


def test_rows_get_fewer_to_the_right_and_lines_are_named_there():
    ax = drawn(known={"chance": 0.06})
    left, right = ax.get_xlim()
    assert left > 32 > 8 > right
    assert [text.get_text() for text in ax.get_xticklabels()] == ["8", "32"]
    named = {one.get_text(): one.xy for one in ax.texts}
    assert named["needle first"] == (8, 0.1)
    assert named["chance"] == (32, 0.06)


def test_guesses_are_drawn_open_in_the_colour_of_their_line():
    ax = drawn(guesses={"needle first": (32, 0.5)})
    (line,) = [one for one in ax.lines if list(one.get_ydata()) == [0.1, 0.4]]
    (guess,) = [one for one in ax.lines if list(one.get_ydata()) == [0.5]]
    assert guess.get_markerfacecolor() == "white"
    assert guess.get_color() == line.get_color()
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["your guess"]


def test_no_curves_are_refused():
    with pytest.raises(ValueError, match="curves"):
        plots.budget_lines({}, metric="x", title="x")

"""Plots of measured points: axes that fit the values, and every point where it was measured."""

import matplotlib.pyplot as plt
import pytest

from gqa_lib.plots import MOST_LINES, interval_dots, interval_lines


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(points, **how):
    fig = interval_lines(points, title="a title", xlabel="context", ylabel="time (ms)", **how)
    return fig, fig.axes[0]


def test_powers_of_two_are_equally_far_apart_and_named():
    _, ax = drawn({"8": [(4096, 1.9, 2, 2.2), (1024, 0.9, 1, 1.1)]})
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1,024", "4,096"]
    line = ax.lines[0]
    assert list(line.get_xdata()) == [1024, 4096], "from left to right"
    assert list(line.get_ydata()) == [1, 2]


@pytest.mark.parametrize(
    ("values", "scale"), [((1, 2, 3), "linear"), ((1, 5, 200), "log"), ((0, 5, 200), "linear")]
)
def test_values_over_a_wide_range_have_a_logarithmic_axis_and_others_begin_at_0(values, scale):
    points = [(x, value, value, value) for x, value in enumerate(values)]
    _, ax = drawn({"": points})
    assert ax.get_yscale() == scale
    assert (ax.get_ylim()[0] == 0) == (scale == "linear")
    assert ax.get_xscale() == "linear", "0 has no logarithm"


def test_lines_differ_in_colour_and_marker_and_are_named():
    lines = {f"line {n}": [(1, 1, 2, 3), (2, 2, 3, 4)] for n in range(MOST_LINES)}
    fig, ax = drawn(lines)
    looks = {(box[0].get_color(), box[0].get_marker()) for box in ax.containers}
    assert len(looks) == MOST_LINES
    assert [text.get_text() for text in fig.legends[0].get_texts()] == list(lines)


def test_intervals_are_drawn_to_their_ends():
    _, ax = drawn({"": [(1, 1.0, 2.0, 4.0), (2, 2, 2, 2)]})
    segments = ax.containers[0].lines[2][0].get_segments()
    assert [list(end) for end in segments[0]] == [[1, 1.0], [1, 4.0]]


def test_dots_are_under_each_other_in_order():
    fig = interval_dots({"a": (1, 2, 3), "b": (1, 1, 1)}, title="t", xlabel="x")
    ax = fig.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="lines"):
        drawn({})
    with pytest.raises(ValueError, match="points"):
        interval_dots({}, title="t", xlabel="x")

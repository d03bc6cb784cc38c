"""Figures of seeds: every result is a dot, every difference has its interval."""

from itertools import pairwise

import pytest

from gqa_lib import plots

VALUES = {"MHA 8": [0.96, 0.95], "GQA 2": [0.5, 0.52], "MQA 1": [0.25, 0.26]}
DIFFERENCES = {"GQA 2": (-0.445, -0.6, -0.3), "MQA 1": (-0.7, -0.71, -0.69)}


def figure(**changed):
    arguments = {"margin": 0.02, "metric": "accuracy", "title": "x", "known": {"chance": 0.06}}
    return plots.seed_results(VALUES, DIFFERENCES, **arguments | changed)


def test_each_result_is_a_dot_in_its_arms_colour_and_marker():
    left, _ = figure().axes
    drawn = {
        (line.get_marker(), line.get_color(), *map(tuple, line.get_data())) for line in left.lines
    }
    assert ("o", plots.COLOURS["MHA"], (0.96, 0.95), (0, 0)) in drawn
    assert ("D", plots.COLOURS["MQA"], (0.25, 0.26), (2, 2)) in drawn
    assert [one.get_text() for one in left.get_yticklabels()] == list(VALUES)
    assert left.get_ylim()[0] > left.get_ylim()[1]  # from the top down
    assert "chance" in [one.get_text() for one in left.texts]


def test_each_difference_has_its_ends_and_its_number():
    _, right = figure().axes
    ends = [one.get_paths()[0].vertices[:, 0].tolist() for one in right.collections]
    assert ends == [pytest.approx([-0.6, -0.3]), pytest.approx([-0.71, -0.69])]
    assert [one.get_text() for one in right.texts] == ["-0.445", "-0.7"]
    (band,) = right.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.02, 0.04))
    assert right.get_xlabel() == "difference to MHA 8; grey: 0.02 would not matter"


def test_one_arm_alone_has_no_difference():
    fig = plots.seed_results({"MHA 8": [1.0]}, {}, margin=1, metric="loss", title="x", note="small")
    assert len(fig.axes[1].collections) == 0


def test_recovery_has_a_line_for_the_mean_and_one_for_each_seed():
    curves = {
        "aligned": [{0: 0.7, 20: 0.8}, {0: 0.6, 20: 0.9}],
        "mean": [{0: 0.2, 20: 0.3}, {0: 0.2, 20: 0.83}],
    }
    fig = plots.recovery_lines(curves, {"before": 0.95}, metric="accuracy", title="x", note="n")
    (ax,) = fig.axes
    drawn = [tuple(line.get_ydata()) for line in ax.lines]
    assert (0.7, 0.8) in drawn
    assert (0.6, 0.9) in drawn
    assert pytest.approx((0.65, 0.85)) in drawn
    assert [0.95, 0.95] in [list(line.get_ydata()) for line in ax.lines]
    assert {"aligned", "mean", "before"} <= {one.get_text() for one in ax.texts}


def test_names_of_lines_that_end_together_stand_apart():
    curves = {name: [{0: 0.1, 9: end}] for name, end in (("a", 0.5), ("b", 0.501), ("c", 0.502))}
    fig = plots.recovery_lines(curves, {}, metric="loss", title="x")
    places = sorted(one.xy[1] for one in fig.axes[0].texts)
    low, high = fig.axes[0].get_ylim()
    assert min(b - a for a, b in pairwise(places)) >= 0.99 * (high - low) / 18


def test_guesses_of_a_recovery_are_drawn_open():
    curves = {"mean": [{0: 0.2, 20: 0.3}]}
    arguments = {"metric": "accuracy", "title": "x"}
    fig = plots.recovery_lines(curves, {}, guesses={0: 0.9, 20: 0.95}, **arguments)
    (ax,) = fig.axes
    open_marks = [one for one in ax.lines if one.get_markerfacecolor() == "white"]
    drawn = [(*one.get_xdata(), *one.get_ydata()) for one in open_marks if len(one.get_xdata())]
    assert drawn == [(0, 0.9), (20, 0.95)]
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["your guess"]
    without = plots.recovery_lines(curves, {}, **arguments)
    assert without.axes[0].get_legend() is None

"""Figures of seeds: every result is a dot, every difference has its interval."""

import matplotlib
import matplotlib.pyplot as plt
import pytest

from gqa_lib import plots

VALUES = {"MHA 8": [0.96, 0.95], "GQA 2": [0.5, 0.52], "MQA 1": [0.25, 0.26]}
DIFFERENCES = {"GQA 2": (-0.445, -0.6, -0.3), "MQA 1": (-0.7, -0.71, -0.69)}


@pytest.fixture(autouse=True)
def style():
    plt.switch_backend("Agg")
    with matplotlib.rc_context():
        plots.use_style()
        yield
    plt.close("all")


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

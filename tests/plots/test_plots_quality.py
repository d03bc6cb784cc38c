"""Figures of quality: marks by cached numbers, and differences with their intervals."""

import pytest

from gqa_lib import plots

DESIGNS = {
    "MHA: 8 KV heads": (128, [0.96, 0.94, 0.95]),
    "one head of 64": (128, [0.97]),
    "MQA: 1": (16, [0.27, 0.25]),
}


def dots(ax):
    """The marks of each colour: places and heights."""
    drawn = [line for line in ax.lines if line.get_linestyle() == "None" and len(line.get_xdata())]
    return [(line.get_markerfacecolor(), list(line.get_xdata()), list(line.get_ydata()))
            for line in drawn]  # fmt: skip


def test_every_seed_is_a_mark_at_its_cached_numbers():
    (ax,) = plots.accuracy_by_cache(DESIGNS, chance=0.0625, title="x").axes
    assert dots(ax) == [
        (plots.COLOURS["MHA"], [128, 128, 128], [0.96, 0.94, 0.95]),
        (plots.COLOURS["ceiling"], [128], [0.97]),
        (plots.COLOURS["MQA"], [16, 16], [0.27, 0.25]),
    ]
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["16", "128"]
    assert ax.get_legend() is None


def test_guesses_are_open_and_chance_is_a_line():
    guesses = {128: 0.9, 16: 0.8}
    (ax,) = plots.accuracy_by_cache(DESIGNS, chance=0.0625, guesses=guesses, title="x").axes
    assert dots(ax)[:2] == [("white", [128], [0.9]), ("white", [16], [0.8])]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["your guess"]
    (level,) = {y for line in ax.lines if line.get_linestyle() == "--" for y in line.get_ydata()}
    assert level == 0.0625


def test_names_of_designs_that_lie_together_do_not_overlap():
    together = {f"design {place}": (32, [0.5 + 0.001 * place]) for place in range(5)}
    fig = plots.accuracy_by_cache(together, chance=0.1, title="x")
    fig.draw_without_rendering()
    boxes = [text.get_window_extent() for text in fig.axes[0].texts if "design" in text.get_text()]
    assert len(boxes) == 5
    overlapping = [
        (one, other) for i, one in enumerate(boxes) for other in boxes[:i] if one.overlaps(other)
    ]
    assert not overlapping


def test_differences_have_their_intervals_row_by_row():
    differences = {"GQA: 2": (0.004, -0.03, 0.04), "MQA: 1": (-0.01, -0.06, 0.03)}
    (ax,) = plots.difference_intervals(differences, title="x", xlabel="bits per byte").axes
    ends = [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines[1::2]]
    assert ends == [([-0.03, 0.04], [0, 0]), ([-0.06, 0.03], [1, 1])]
    middles = [(list(map(float, line.get_xdata())), line.get_color()) for line in ax.lines[2::2]]
    assert middles == [([0.004], plots.COLOURS["GQA"]), ([-0.01], plots.COLOURS["MQA"])]
    assert [text.get_text() for text in ax.texts] == ["+0.004", "-0.010"]  # as many decimals
    assert [label.get_text() for label in ax.get_yticklabels()] == list(differences)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # from the top down
    assert ax.get_xlabel() == "bits per byte"


def test_the_margin_and_what_was_reported_are_named():
    fig = plots.difference_intervals(
        {"GQA: 2": (0.004, -0.03, 0.04)},
        title="x",
        xlabel="y",
        margin=0.01,
        reported={"+0.003, as reported": 0.003},
    )
    (shade,) = fig.axes[0].patches
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (-0.01, 0.01)
    said = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert said == ["margin: 0.01 either way", "+0.003, as reported"]
    dotted = [line.get_xdata()[0] for line in fig.axes[0].lines if line.get_linestyle() == ":"]
    assert dotted == [0.003]


@pytest.mark.parametrize("draw", [
    lambda: plots.accuracy_by_cache({}, chance=0.1, title="x"),
    lambda: plots.difference_intervals({}, title="x", xlabel="y"),
])  # fmt: skip
def test_nothing_to_draw_is_refused(draw):
    with pytest.raises(ValueError, match=r"=\{\}"):
        draw()

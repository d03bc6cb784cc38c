"""Figures of serving: tokens per second by batch."""

import pytest

from gqa_lib import plots


def test_throughput_by_batch_up_to_a_full_memory():
    measured = {8: {1: 90.0, 5: 300.0}, 1: {1: 95.0, 5: 420.0, 40: 800.0}}
    predicted = {8: {1: 150.0, 5: 500.0}, 1: {1: 160.0, 5: 700.0, 40: 2000.0}}
    fig = plots.throughput_lines(
        measured, predicted, num_heads=8, title="More", served={1: (12.5, 333.0)}, note="small"
    )
    (ax,) = fig.axes
    drawn = {(line.get_marker(), *map(tuple, line.get_data())) for line in ax.lines}
    assert ("o", (1, 5), (90.0, 300.0)) in drawn  # MHA, in its own marker
    assert ("D", (1, 5, 40), (95.0, 420.0, 800.0)) in drawn
    assert ("o", (1, 5, 40), (160.0, 700.0, 2000.0)) in drawn
    assert {("|", (5,), (300.0,)), ("|", (40,), (800.0,))} <= drawn
    assert ("*", (12.5,), (333.0,)) in drawn
    told = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert told[:2] == ["MHA: 8 KV heads, 5 fit", "MQA: 1 KV head, 40 fit"]
    assert any("engine" in text for text in told)
    assert ax.get_ylim()[0] == 0
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "4", "8", "16", "32"]


def test_without_an_engine_the_legend_has_none():
    fig = plots.throughput_lines({2: {3: 9.0}}, {2: {3: 12.0}}, num_heads=8, title="x")
    assert not any("engine" in text.get_text() for text in fig.axes[0].get_legend().get_texts())
    assert [tick.get_text() for tick in fig.axes[0].get_xticklabels()] == ["3"]


def test_stacked_bars_of_one_panel_keep_three_digits():
    bars = {"MHA": [8.9, 20.6, 3.58], "MQA": [7.57, 4.73, 0.0]}
    (ax,) = plots.stacked_bars({"ms": bars}, ["products", "attention", "rest"], title="x").axes
    assert [text.get_text() for text in ax.texts] == ["33.1 (rest 3.58)", "12.3 (rest 0)"]


def test_shares_of_memory_add_up_bar_by_bar():
    shares = {
        "reserved": {"used": 0.2, "reserved": 0.7, "internal": 0.1},
        "paged": {"used": 0.98, "reserved": 0.0, "internal": 0.02},
    }
    (ax,) = plots.memory_shares(shares, title="x", guess=0.5).axes
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert [sum(one) for one in zip(*widths, strict=True)] == [pytest.approx(100)] * 2
    assert [text.get_text() for text in ax.texts] == ["20.0 % used", "98.0 % used"]
    assert (50.0, 0) in [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines]


def test_preemptions_are_marked_where_they_happened():
    runs = {"few blocks": [(16, 0), (12, 4), (9, 0)], "many": [(16, 0), (16, 0)]}
    (ax,) = plots.running_lines(runs, title="x").axes
    marked = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "x"]
    assert marked == [[[1, 12]], [], []]
    assert ax.get_ylim()[0] == 0

"""Figures of served traffic: requests in time, and how full the cache is."""

import pytest

from gqa_lib import plots


def test_requests_in_time_are_held_against_all_that_come():
    curves = {8: {1.0: 0.5, 4.0: 0.25}, 2: {1.0: 1.0, 4.0: 3.5}, 1: {1.0: 1.0, 4.0: 4.0}}
    (ax,) = plots.goodput_lines(curves, num_heads=8, title="x").axes
    drawn = {(line.get_marker(), *map(tuple, line.get_data())) for line in ax.lines}
    assert ("None", (0, 4), (0, 4)) in drawn
    assert ("o", (1, 4), (0.5, 0.25)) in drawn  # MHA, in its own marker
    assert ("D", (1, 4), (1.0, 4.0)) in drawn
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["MHA: 8 KV heads", "GQA: 2 KV heads", "MQA: 1 KV head"]


def test_lines_of_one_arm_differ_in_their_dashes():
    curves = {kv: {1.0: 0.5} for kv in (8, 4, 2)}
    (ax,) = plots.goodput_lines(curves, num_heads=8, title="x").axes
    four, two = ax.lines[2:]
    assert four.get_color() == two.get_color()
    assert four.get_linestyle() != two.get_linestyle()


def test_blocks_are_in_use_until_the_next_step_begins():
    runs = {8: ([0.0, 2.0, 9.0], [0.5, 1.0, 0.0]), 1: ([0.0, 1.0], [0.1, 0.2])}
    (ax,) = plots.occupancy_lines(runs, num_heads=8, title="x", until_s=5).axes
    first = ax.lines[0]
    assert first.get_drawstyle() == "steps-post"
    assert list(first.get_ydata()) == [50, 100, 0]
    assert ax.get_xlim() == (0, 5)
    places = {text.get_text(): text.xy for text in ax.texts}
    assert places["MHA: 8 KV heads"] == (5, 100)  # as it was at the end of the axis
    assert places["MQA: 1 KV head"] == (5, pytest.approx(20))


def test_without_an_end_all_of_it_is_shown():
    (ax,) = plots.occupancy_lines({4: ([0, 7], [0, 1])}, num_heads=4, title="x").axes
    assert ax.get_xlim() == (0, 7)

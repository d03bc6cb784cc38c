"""The figures of serving economics."""

import pytest

from gqa_lib import plots

POINTS = {32: (304.0, 28.9), 8: (1071.0, 31.9), 1: (3050.0, 47.0)}


def test_lines_are_named_where_they_end_and_what_was_expected_goes_across():
    (ax,) = plots.gain_lines(
        {"a": {2.0: 6.0, 8.0: 4.5}, "b": {2.0: 5.0, 8.0: 4.2}},
        xlabel="GB", ylabel="times", title="x", log=True, expected={"bytes": 4},
    ).axes  # fmt: skip
    named = {one.get_text(): one.xy for one in ax.texts}
    assert (named["a"], named["bytes"]) == ((8.0, 4.5), (2.0, 4))
    assert named["b"][0] == 8.0
    assert [one.get_text() for one in ax.get_xticklabels()] == ["2", "8"]
    assert [list(line.get_ydata()) for line in ax.lines][-1] == [4, 4]


def test_each_number_of_kv_heads_has_its_arms_mark_and_name():
    (ax,) = plots.throughput_latency(POINTS, num_heads=32, title="x", guess=(1200.0, 29.0)).axes
    named = {one.get_text(): one.xy for one in ax.texts}
    assert named["GQA, 8 KV heads"] == POINTS[8]
    assert named["MQA, 1 KV head"] == POINTS[1]
    (guess,) = [line for line in ax.lines if list(line.get_xdata()) == [1200.0]]
    assert guess.get_markerfacecolor() == "white"
    assert ax.get_ylim()[0] == 0


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="curves"):
        plots.gain_lines({}, xlabel="x", ylabel="y", title="x")
    with pytest.raises(ValueError, match="points"):
        plots.throughput_latency({}, num_heads=32, title="x")

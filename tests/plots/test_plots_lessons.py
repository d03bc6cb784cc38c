"""Figures that one lesson each is about: they draw what they are given, where it belongs."""

import matplotlib
import pytest
from matplotlib.text import Text

from gqa_lib import plots
from gqa_lib.configs import load_model


def texts(fig):
    return [text.get_text() for text in fig.findobj(Text) if text.get_text()]


def lines_of(ax):
    return [(list(map(float, line.get_xdata())), list(line.get_ydata())) for line in ax.lines]


def test_lines_of_step_times_carry_their_names_and_open_predictions():
    times = {"predicted": {1024: 1.0, 8192: 4.0}, "measured": {1024: 1.5, 8192: 5.0}}
    (ax,) = plots.step_time_lines(times, title="x").axes
    assert lines_of(ax) == [([1024, 8192], [1.0, 4.0]), ([1024, 8192], [1.5, 5.0])]
    assert ax.lines[0].get_markerfacecolor() == "white"
    assert [line.get_linestyle() for line in ax.lines] == ["--", "-"]
    assert [text.get_text() for text in ax.texts] == ["predicted  4 ms", "measured  5 ms"]
    assert ax.texts[0].xyann[1] < 0 < ax.texts[1].xyann[1]  # the higher line has the higher name
    assert ax.get_ylim()[0] == 0
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1,024", "8,192"]
    (ax,) = plots.step_time_lines(times, title="x", log=True).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_dots_of_step_times_stand_by_their_least():
    measured = {"MHA": 0.008, "MQA, yours": 0.002}
    (ax,) = plots.step_time_dots(measured, {"MHA": 0.007, "MQA, yours": 0.001}, title="x").axes
    assert lines_of(ax) == [([8.0], [0]), ([7.0], [0]), ([2.0], [1]), ([1.0], [1])]
    assert ax.lines[0].get_color() == plots.COLOURS["MHA"]
    assert ax.lines[1].get_markerfacecolor() == "white"
    assert ax.get_ylim()[0] > 1 > 0 > ax.get_ylim()[1]  # from the top down
    assert "(ms)" in ax.get_xlabel()


def test_predictions_are_placed_by_kv_heads_and_context():
    first = {(32, 4096): 0.9, (32, 16384): 0.8, (8, 4096): 0.7, (8, 16384): 0.6}
    ratios = {"from the ceilings": first, "from two measurements": {(8, 4096): 1.0}}
    fig = plots.predicted_over_measured(ratios, num_heads=32, title="x")
    (ax,) = fig.axes
    dots = [(x[0], y[0]) for x, y in lines_of(ax) if len(x) == 1]
    assert dots == [
        (pytest.approx(x), y)
        for x, y in [(-0.1, 0.9), (0.1, 0.8), (0.9, 0.7), (1.1, 0.6), (0.9, 1.0)]
    ]
    filled = [line.get_markerfacecolor() for line in ax.lines if len(line.get_xdata()) == 1]
    assert filled == ["white"] * 4 + [plots.COLOURS["GQA"]]
    assert "4k, 16k tokens" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(ratios)


def test_stacked_bars_add_up():
    parts = ["weights", "cache: keys and values"]
    panels = {"MB": {"MHA": [10, 90], "MQA": [10, 3]}, "MFLOP": {"MHA": [20, 5], "MQA": [20, 5]}}
    left, right = plots.stacked_bars(panels, parts, title="x").axes
    ends = [bar.get_x() + bar.get_width() for bar in left.patches]
    assert ends == [10, 10, 100, 13]
    assert [text.get_text() for text in left.texts] == ["100 (cache 90)", "13 (cache 3)"]
    assert right.get_xlabel() == "MFLOP"
    assert left.get_xlim()[1] > 100


def test_what_ranks_keep_halves_on_both_axes_alike():
    kept = {
        "GQA: 2 KV heads": {1: 32.0, 2: 16.0, 4: 16.0},
        "MQA by tokens": {1: 16.0, 2: 8.0, 4: 4.0},
    }
    (ax,) = plots.cache_per_rank(kept, title="x", ylabel="KiB").axes
    assert lines_of(ax) == [([1, 2, 4], [5, 4, 4]), ([1, 2, 4], [4, 3, 2])]
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"]
    assert [line.get_color() for line in ax.lines] == [plots.COLOURS[a] for a in ("GQA", "MQA")]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "4"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["4", "8", "16", "32"]
    assert ax.get_xscale() == "log"
    assert [(t.get_text(), t.xy) for t in ax.texts] == [
        ("GQA: 2 KV heads", (1, 5)),
        ("MQA by tokens", (1, 4)),
    ]
    kept["MQA by heads"] = {1: 16.0, 2: 16.0, 4: 16.0}  # begins where another does
    (ax,) = plots.cache_per_rank(kept, title="x", ylabel="KiB").axes
    assert {t.get_text() for t in ax.texts} == set(kept)
    assert {t.xy[0] for t in ax.texts} == {4}


def test_bars_of_savings_show_the_claimed_range():
    (ax,) = plots.cache_saving_bars([4, 2, 4, 8, 29], title="x", claimed=(4, 8)).axes
    assert [bar.get_height() for bar in ax.patches] == [1, 2, 1, 1]
    colours = [matplotlib.colors.to_hex(bar.get_facecolor()).upper() for bar in ax.patches]
    gqa, grey = plots.COLOURS["GQA"], plots.COLOURS["ceiling"]
    assert colours == [grey, gqa, gqa, grey]


def test_a_scatter_of_models_names_some():
    models = [load_model(name) for name in ("Llama-3-8B", "Qwen2.5-7B", "Falcon-180B")]
    named = {"Qwen2.5-7B": "left", "Falcon-180B": "right"}
    (ax,) = plots.kv_bytes_scatter(models, title="x", named=named).axes
    assert ax.collections[0].get_offsets().tolist() == [[4, 128], [7, 56], [29, 160]]
    assert {text.get_text(): text.get_ha() for text in ax.texts} == {
        "Qwen2.5-7B": "right",  # its right end is at the dot
        "Falcon-180B": "left",
    }
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "4", "8", "16", "29"]


def test_a_ranking_is_cut_into_two_columns():
    kib = {"a": 500.0, "b": 100.0, "c": 10.0}
    kinds = {"a": "MHA", "b": "GQA", "c": "MLA"}
    left, right = plots.kv_bytes_ranking(kib, kinds, title="x").axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["a", "b"]
    assert [tick.get_text() for tick in right.get_yticklabels()] == ["c"]
    assert lines_of(left) == [([500.0], [0]), ([100.0], [1])]
    assert right.lines[0].get_marker() == plots.MARKERS["MLA"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["MHA", "GQA", "MLA"]


def test_threads_are_drawn_from_the_first_piece_on():
    pieces = {"1 part": [(7, 5.0, 5.004)], "2 parts": [(7, 8.0, 8.001), (9, 8.001, 8.003)]}
    fig = plots.thread_times(pieces, 2, note="once")
    one, two = fig.axes
    assert [(bar.get_x(), bar.get_width()) for bar in one.patches] == [(0, pytest.approx(4))]
    drawn = [(bar.get_x(), bar.get_width(), bar.get_y() + 0.35) for bar in two.patches]
    assert drawn == [
        (pytest.approx(a), pytest.approx(b), pytest.approx(c)) for a, b, c in [(0, 1, 0), (1, 2, 1)]
    ]
    assert two.get_title(loc="left") == "2 parts"
    assert "once" in texts(fig)


def test_a_product_of_tiles_hatches_what_is_padding():
    fig = plots.tile_product(["q", "K", "s"], size=4, rows=3, keys=2, title="x", note="below")
    (ax,) = fig.axes
    real = [patch for patch in ax.patches if not patch.get_hatch()]
    by_colour = dict.fromkeys(("GQA", "MHA", "MQA"), 0)
    for patch in real:
        colour = matplotlib.colors.to_hex(patch.get_facecolor()).upper()
        by_colour[next(n for n in by_colour if plots.COLOURS[n] == colour)] += 1
    assert by_colour == {"GQA": 3 * 4, "MHA": 4 * 2, "MQA": 3 * 2}
    assert len(ax.patches) == 3 * 16
    assert {"q", "K", "s", "·", "=", "below"} <= set(texts(fig))


def test_every_program_of_a_grid_has_its_own_tokens():
    fig = plots.kernel_grid(["a", "b"], length=75, room=96, tile=16, num_splits=3, title="x")
    (ax,) = fig.axes
    filled = [p for p in ax.patches if not p.get_hatch() and p.get_y() == 0]
    assert sum(round(p.get_width() + 0.6 * (p.get_width() > 15)) for p in filled) == 75
    shown = {matplotlib.colors.to_hex(p.get_facecolor()) for p in filled}
    assert len(shown) == 3
    names = [text.get_text() for text in ax.texts]
    assert names == ["0, 0", "0, 1", "0, 2", "1, 0", "1, 1", "1, 2"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]


def test_bars_of_reads_stand_side_by_side():
    reads = {"in one tile": [1.0, 1.0], "one by one": [1.0, 4.0]}
    (ax,) = plots.times_read_bars(reads, (1, 4), title="x").axes
    assert [bar.get_height() for bar in ax.patches] == [1.0, 1.0, 1.0, 4.0]
    centres = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches]
    assert centres == [pytest.approx(x) for x in (-0.2, 0.8, 0.2, 1.2)]

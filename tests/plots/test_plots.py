"""Figures: what they draw, and that a reader who cannot see them gets the text."""

import base64
from itertools import pairwise

import matplotlib.pyplot as plt
import nbconvert
import nbformat
import pytest
from matplotlib.text import Text

from gqa_lib import plots
from gqa_lib.configs import load_model
from gqa_lib.hardware import Hardware, datasheet


def texts(fig):
    return [text.get_text() for text in fig.findobj(Text) if text.get_text()]


def summary(median_s):
    return {"median": median_s, "low": median_s * 0.9, "high": median_s * 1.1}


def test_each_arm_has_a_colour_and_a_marker_of_its_own():
    assert {"MHA", "GQA", "MQA", "prediction", "ceiling"} <= set(plots.COLOURS)
    assert len(set(plots.COLOURS.values())) == len(plots.COLOURS)
    assert len(set(plots.MARKERS.values())) == len(plots.MARKERS)


def test_decode_times_in_milliseconds_beside_their_predictions():
    measured = {1: summary(0.002), 8: summary(0.004), 32: summary(0.012)}
    fig = plots.decode_time_plot(measured, {1: 0.001, 8: 0.003, 32: 0.011}, title="Less to read")
    ax = fig.axes[0]
    assert "(ms)" in ax.get_ylabel()
    assert ax.get_title(loc="left") == "Less to read"
    labels = [tick.get_text() for tick in ax.get_xticklabels()]
    assert labels == ["1\nMQA", "8\nGQA", "32\nMHA"]
    assert {"2", "4", "12", "1", "3", "11"} <= set(texts(fig))
    heights = {tuple(line.get_ydata()) for line in ax.lines}
    assert {(12.0,), (11.0,)} <= heights
    assert ax.get_ylim()[0] == 0


def test_the_number_of_query_heads_tells_mha_from_gqa():
    fig = plots.decode_time_plot({8: summary(1e-5)}, {8: 1e-5}, num_heads=32, title="x")
    assert fig.axes[0].get_xticklabels()[0].get_text() == "8\nGQA"
    assert "(µs)" in fig.axes[0].get_ylabel()


def test_head_map_joins_each_query_head_to_the_head_it_reads():
    _, ax = plt.subplots()
    plots.head_map(ax, num_heads=6, num_kv_heads=2)
    feet = [line.get_xdata()[1] for line in ax.lines]
    assert feet == [1.0, 1.0, 1.0, 4.0, 4.0, 4.0]
    assert ax.get_title(loc="left") == "GQA: 2 KV heads"


def test_roofline_shows_every_point_with_its_own_label():
    hardware = Hardware("a CPU", 70e9, 75e9, 16e9, "made up")
    points = {
        "MHA decode": (0.5, 6e9),
        "MQA decode": (16, 0.9e9),  # far below the foot of the roof
        "weights, 64 tokens": (31, 138e9),
        "prefill": (128, 119e9),
    }
    (ax,) = plots.roofline(hardware, points, title="x").axes
    low, high = ax.get_ylim()
    assert all(low < flops_per_s < high for _, flops_per_s in points.values())
    (long,) = (text for text in ax.texts if text.get_text() == "weights, 64 tokens")
    assert long.xyann == (-10, -3)  # left, as prefill's marker is in the way on the right


def test_roofline_bends_at_the_ridge():
    hardware = Hardware("made up", 100e9, 10e9, 1, "made up")
    points = {"MHA decode": (0.5, 4e9), "prefill": (200.0, 90e9)}
    fig = plots.roofline(hardware, points, title="x", datasheet=datasheet("T4"))
    ax = fig.axes[0]
    roof, sheet = ax.lines[:2]
    assert (roof.get_xdata()[1], roof.get_ydata()[1]) == (10.0, 100e9)
    assert roof.get_ydata()[0] == roof.get_xdata()[0] * 10e9
    assert sheet.get_linestyle() == "--"
    assert "ridge 10 FLOP/byte" in texts(fig)
    assert "made up: 10 GB/s, 100 GFLOP/s" in texts(fig)
    mha = next(line for line in ax.lines if list(line.get_xdata()) == [0.5])
    assert mha.get_color() == plots.COLOURS["MHA"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_bars_of_kib_per_token():
    models = [load_model(name) for name in ("Llama-2-7B", "Llama-3-8B", "DeepSeek-V3")]
    fig = plots.kv_bytes_bar(models, title="x")
    assert [bar.get_width() for bar in fig.axes[0].patches] == [512, 128, 68.625]
    assert "128  GQA" in texts(fig)
    assert "KiB" in fig.axes[0].get_xlabel()
    assert fig.axes[0].yaxis_inverted()


def test_lines_of_gib_count_windows():
    models = [load_model(name) for name in ("Llama-3-8B", "Mistral-7B-v0.1")]
    fig = plots.kv_cache_lines(models, [16_384, 4096], title="x", note="bfloat16")
    full, windowed = (line.get_ydata() for line in fig.axes[0].lines)
    assert list(full) == [0.5, 2.0]
    assert list(windowed) == [0.5, 0.5]
    assert {"4k", "16k", "bfloat16", "Llama-3-8B (GQA)"} <= set(texts(fig))


def test_linear_lines_show_what_each_token_costs():
    models = [load_model(name) for name in ("Llama-3.1-8B", "Gemma-4-31B")]
    fig = plots.kv_cache_lines(models, [2**n * 1024 for n in range(8)], title="x", log=False)
    ax = fig.axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")
    assert (ax.get_xlim(), ax.get_ylim()[0]) == ((0, 131_072), 0)
    assert list(ax.lines[0].get_ydata())[-2:] == [8, 16]
    assert {"16k", "128k"} <= set(texts(fig))
    assert not {"1k", "8k"} & set(texts(fig))


@pytest.mark.parametrize("log", [True, False])
def test_names_at_line_ends_do_not_collide(log):
    models = [load_model(name) for name in ("Llama-3-8B", "Llama-3.1-8B", "Mistral-7B-v0.3")]
    fig = plots.kv_cache_lines(models, [1024, 4096], title="x", log=log)
    fig.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in fig.axes[0].texts]
    assert len(boxes) == 3
    for below, above in pairwise(sorted(boxes, key=lambda box: box.y0)):
        assert below.y1 <= above.y0 + 1


def test_a_long_title_is_broken():
    models = [load_model("Llama-3-8B")]
    fig = plots.kv_bytes_bar(models, title="word " * 30)
    assert "\n" in fig.axes[0].get_title(loc="left")


# The text alternative


@pytest.fixture
def shown(monkeypatch):
    """What show() hands to the notebook: (data, metadata)."""
    outputs = []

    def record(data, metadata, raw):
        assert raw
        outputs.append((data, metadata))

    monkeypatch.setattr("IPython.display.display", record)
    return outputs


def test_alt_text_is_in_the_html_and_in_the_metadata(shown):
    fig, _ = plt.subplots(figsize=(4, 2))
    alt = 'GQA "8" < MHA & rising'
    plots.show(fig, alt)
    ((data, metadata),) = shown
    assert 'alt="GQA &quot;8&quot; &lt; MHA &amp; rising"' in data["text/html"]
    assert metadata["image/png"]["alt"] == alt
    assert data["text/plain"] == alt
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert not plt.fignum_exists(fig.number)


def test_a_figure_follows_the_theme_and_fits_a_narrow_page(shown):
    plots.show(plt.subplots(figsize=(4, 2))[0], "a figure")
    page = shown[0][0]["text/html"]
    assert f'<img class="{plots.FIGURE}"' in page
    assert f'[data-jp-theme-light="false"] img.{plots.FIGURE} {{filter: invert' in page
    assert "max-width: 100%" in page
    assert "min-width: 240px" in page, "not so small that nobody can read it: the page scrolls"
    assert 'style="overflow-x: auto"' in page


def test_image_is_twice_as_fine_as_it_is_shown(shown):
    plots.show(plt.subplots(figsize=(4, 2))[0], "a figure")
    ((data, metadata),) = shown
    header = base64.b64decode(data["image/png"])[16:24]
    assert (int.from_bytes(header[:4]), int.from_bytes(header[4:])) == (800, 400)
    assert metadata["image/png"]["width"] == 400


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_alt_text_is_refused(shown, alt):
    with pytest.raises(ValueError, match="alt=''"):
        plots.show(plt.subplots()[0], alt)
    assert shown == []


def test_nbconvert_keeps_the_alt_text(shown):
    plots.show(plt.subplots()[0], "bars of cache")
    ((data, metadata),) = shown
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("", outputs=[output])
    page, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert page.count('alt="bars of cache"') == 1

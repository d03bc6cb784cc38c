"""A learner's guess in a figure is an open star; without one the figure is as it is."""

import pytest

from gqa_lib import plots

TIMES = {n: {"median": s, "low": 0.9 * s, "high": 1.1 * s} for n, s in ((32, 0.04), (8, 0.01))}
LINES = {"with a cache": {256: 1.0, 2048: 2.0}, "without a cache": {256: 4.0, 2048: 60.0}}
ARMS = {"MHA": 0.004, "MQA, yours": 0.002}
DESIGNS = {"MHA: 8": (128, [0.9]), "MQA: 1": (16, [0.2])}
CURVES = {"mean": [{0: 0.2, 120: 0.6}]}
SHARES = {"longest": {"used": 0.3, "reserved": 0.6, "internal": 0.1}}
POINTS = {32: (300.0, 28.0), 8: (1000.0, 31.0)}

DRAWN = {
    "decode_time_plot": (
        lambda g: plots.decode_time_plot(TIMES, {32: 0.03, 8: 0.008}, title="x", guesses_s={8: g}),
        0.02,
        20.0,
    ),
    "time_line": (
        lambda g: plots.time_line({1: 5.0, 32: 9.0}, title="x", xlabel="y", guesses_ms={32: g}),
        30.0,
        30.0,
    ),
    "step_time_lines": (
        lambda g: plots.step_time_lines(LINES, title="x", guesses={"with a cache": (2048, g)}),
        8.0,
        8.0,
    ),
    "accuracy_by_cache": (
        lambda g: plots.accuracy_by_cache(DESIGNS, chance=0.06, title="x", guesses={16: g}),
        0.7,
        0.7,
    ),
    "recovery_lines": (
        lambda g: plots.recovery_lines(CURVES, {}, metric="y", title="x", guesses={120: g}),
        0.9,
        0.9,
    ),
    "budget_lines": (
        lambda g: plots.budget_lines(
            {"recency": {8: 0.5, 32: 0.8}}, metric="y", title="x", guesses={"recency": (32, g)}
        ),
        0.4,
        0.4,
    ),
    "throughput_latency": (
        lambda g: plots.throughput_latency(
            POINTS, num_heads=32, title="x", guess=(900.0, g) if g else (None, 7.0)
        ),
        40.0,
        40.0,
    ),
}


def stars(fig):
    return [line for ax in fig.axes for line in ax.lines if line.get_marker() == "*"]


def legends(fig):
    found = [ax.get_legend() for ax in fig.axes if ax.get_legend()]
    return [text.get_text() for legend in found for text in legend.get_texts()]


@pytest.mark.parametrize("name", DRAWN)
def test_it_is_an_open_star_where_it_was_guessed(name):
    draw, guess, height = DRAWN[name]
    fig = draw(guess)
    (star,) = [line for line in stars(fig) if len(line.get_ydata())]
    assert star.get_markerfacecolor() == "white"
    assert list(star.get_ydata()) == pytest.approx([height])
    assert [text for text in legends(fig) if "your guess" in text] != []
    fig.draw_without_rendering()
    low, high = fig.axes[0].get_ylim()
    assert low <= height <= high, "in view"


@pytest.mark.parametrize("name", DRAWN)
def test_without_a_guess_there_is_none(name):
    fig = DRAWN[name][0](None)
    assert stars(fig) == []
    assert not any("your guess" in text for text in legends(fig))


def test_of_arms_the_stars_are_on_their_rows():
    least = dict.fromkeys(ARMS, 0.001)
    guesses = {"MQA, yours": 0.003, "MHA": None}
    fig = plots.step_time_dots(ARMS, least, title="x", guesses_s=guesses)
    (star,) = stars(fig)
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([3.0], [1])
    assert fig.axes[0].get_xlabel().endswith("; star: your guess")
    assert "star" not in plots.step_time_dots(ARMS, least, title="x").axes[0].get_xlabel()


def test_of_shares_it_is_on_the_first_bar():
    (star,) = stars(plots.memory_shares(SHARES, title="x", guess=0.6))
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([60.0], [0])
    assert stars(plots.memory_shares(SHARES, title="x", guess=None)) == []

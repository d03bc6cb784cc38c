"""The course's figures: one style, one colour per arm, a text alternative for each.

`decode`, `times`, `roofline`, `footprint`, `seeds`, `serving`, `economics`, `sharing`, `quality`,
`budgets`, `ranks`, `beyond`, `deciding` and `points` draw; `style` has what they share,
and shows figures. `moving_picture` moves, and needs no kernel for it.
Titles are given by the caller, who knows the finding; axes carry units; a prediction is drawn open,
a measurement filled and in its arm's colour.
"""

from gqa_lib.course.extras import require

require("matplotlib")

from .beyond import accuracy_by_bits, saving_bars
from .budgets import budget_lines
from .deciding import as_svg, concurrency_bars, speed_against_latency
from .decode import (
    decode_time_plot,
    predicted_over_measured,
    stacked_bars,
    step_time_dots,
    step_time_lines,
)
from .economics import gain_lines, throughput_latency
from .footprint import (
    cache_saving_bars,
    kv_bytes_bar,
    kv_bytes_ranking,
    kv_bytes_scatter,
    kv_cache_lines,
)
from .moving import moving_html, moving_picture, picture_in_words
from .points import MOST_LINES, interval_dots, interval_lines
from .quality import accuracy_by_cache, difference_intervals
from .ranks import cache_per_rank
from .roofline import roofline
from .seeds import recovery_lines, seed_results
from .serving import memory_shares, running_lines, throughput_lines
from .sharing import (
    head_map,
    head_maps,
    kernel_grid,
    thread_times,
    tile_product,
    times_read_bars,
)
from .style import COLOURS, DARK, FIGURE, MARKERS, attention_arm, show, use_style
from .times import time_bars, time_line
from .traffic import goodput_lines, occupancy_lines

__all__ = [
    "COLOURS",
    "DARK",
    "FIGURE",
    "MARKERS",
    "MOST_LINES",
    "accuracy_by_bits",
    "accuracy_by_cache",
    "as_svg",
    "attention_arm",
    "budget_lines",
    "cache_per_rank",
    "cache_saving_bars",
    "concurrency_bars",
    "decode_time_plot",
    "difference_intervals",
    "gain_lines",
    "goodput_lines",
    "head_map",
    "head_maps",
    "interval_dots",
    "interval_lines",
    "kernel_grid",
    "kv_bytes_bar",
    "kv_bytes_ranking",
    "kv_bytes_scatter",
    "kv_cache_lines",
    "memory_shares",
    "moving_html",
    "moving_picture",
    "occupancy_lines",
    "picture_in_words",
    "predicted_over_measured",
    "recovery_lines",
    "roofline",
    "running_lines",
    "saving_bars",
    "seed_results",
    "show",
    "speed_against_latency",
    "stacked_bars",
    "step_time_dots",
    "step_time_lines",
    "thread_times",
    "throughput_latency",
    "throughput_lines",
    "tile_product",
    "time_bars",
    "time_line",
    "times_read_bars",
    "use_style",
]

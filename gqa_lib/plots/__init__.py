"""The course's figures: one style, one colour per arm, a text alternative for each.

`decode`, `roofline`, `footprint`, `serving` and `sharing` draw; `style` has what they have in
common, and shows figures. Titles are given by the caller, who knows the finding; axes carry units;
a prediction is drawn open and black, a measurement filled and in its arm's colour.
"""

from gqa_lib.course.extras import require

require("matplotlib")

from .decode import (  # noqa: E402
    decode_time_plot,
    predicted_over_measured,
    stacked_bars,
    step_time_dots,
    step_time_lines,
)
from .footprint import (  # noqa: E402
    cache_saving_bars,
    kv_bytes_bar,
    kv_bytes_ranking,
    kv_bytes_scatter,
    kv_cache_lines,
)
from .roofline import roofline  # noqa: E402
from .serving import throughput_lines  # noqa: E402
from .sharing import head_map, kernel_grid, thread_times, tile_product, times_read_bars  # noqa: E402
from .style import COLOURS, MARKERS, attention_arm, show, use_style  # noqa: E402

__all__ = [
    "COLOURS",
    "MARKERS",
    "attention_arm",
    "cache_saving_bars",
    "decode_time_plot",
    "head_map",
    "kernel_grid",
    "kv_bytes_bar",
    "kv_bytes_ranking",
    "kv_bytes_scatter",
    "kv_cache_lines",
    "predicted_over_measured",
    "roofline",
    "show",
    "stacked_bars",
    "step_time_dots",
    "step_time_lines",
    "thread_times",
    "throughput_lines",
    "tile_product",
    "times_read_bars",
    "use_style",
]

"""The sliders around `gqa_lib.explore`, for a notebook."""

from __future__ import annotations

import base64
import html
import io
import json
from dataclasses import replace

from gqa_lib.course.extras import require

require("ipywidgets")

import ipywidgets as widgets
import matplotlib.pyplot as plt

from gqa_lib import plots
from gqa_lib.configs import ModelConfig, all_models, from_hf_config
from gqa_lib.hardware import DATASHEET, Hardware
from gqa_lib.heads import kv_head_choices

from .estimate import Estimate, alternatives, estimate
from .figure import figure
from .show import DEFAULT_HARDWARE, finding, table

_BYTES_PER_ELEMENT = {"float32": 4, "bfloat16": 2, "8-bit": 1, "4-bit": 0.5}
_HALF = {  # of a notebook's column, where that has room for two
    "style": {"description_width": "8.2em"},
    "layout": {"width": "auto", "flex": "1 1 17em", "min_width": "0", "margin": "1px 4px"},
}
_NO_WEIGHTS = "The number of parameters is not known here: enter it to see times and capacities."


class ExplorerPanel:
    """The controls and, below them, the table and the figure they lead to.

    Args:
        config: where to begin.
        measured: ceilings of this machine, to have among the choices and begin with.
    """

    def __init__(self, config: ModelConfig, measured: Hardware | None):
        self._models = {config.name: config} | {c.name: c for c in all_models()}
        self._config, self._quiet = config, False
        self.model = widgets.Dropdown(description="model", options=list(self._models), **_HALF)
        self.upload = widgets.FileUpload(
            description="your own config.json", accept=".json", layout=_HALF["layout"]
        )
        self.heads = widgets.BoundedIntText(description="query heads", min=1, max=512, **_HALF)
        self.kv_heads = _slider("KV heads", [1], 1)
        self.parameters = widgets.BoundedFloatText(description="parameters, 10⁹", max=1e5, **_HALF)
        machines = _machines(measured)
        self.machine = widgets.Dropdown(
            description="hardware", options=machines, value=next(iter(machines.values())), **_HALF
        )
        self.batch = _slider("batch", [2**n for n in range(11)], 1)
        self.context = _slider("context (tokens)", [2**n for n in range(8, 21)], 8192)
        self.dtype = widgets.Dropdown(
            description="cache", options=_BYTES_PER_ELEMENT, value=2, **_HALF
        )
        self.weights_dtype = widgets.Dropdown(
            description="weights", options=_BYTES_PER_ELEMENT, value=2, **_HALF
        )
        self.said, self.output = widgets.HTML(), widgets.HTML()
        self._watch()
        self._start_from(config)

    def view(self) -> widgets.VBox:
        """Return what a notebook shows."""
        pairs = [
            (self.model, self.machine),
            (self.heads, self.kv_heads),
            (self.batch, self.context),
            (self.dtype, self.weights_dtype),
            (self.parameters, self.upload),
        ]
        whole = widgets.Layout(width="100%", min_width="0", flex_flow="row wrap")
        rows = [widgets.Box(pair, layout=whole) for pair in pairs]
        column = widgets.Layout(width="100%", min_width="0")
        return widgets.VBox([*rows, self.said, self.output], layout=column)

    def _watch(self) -> None:
        self.model.observe(lambda change: self._start_from(self._models[change["new"]]), "value")
        self.upload.observe(self._read_upload, "value")
        self.heads.observe(self._change_heads, "value")
        others = (self.kv_heads, self.parameters, self.machine, self.batch, self.context)
        for control in (*others, self.dtype, self.weights_dtype):
            control.observe(self._redraw, "value")

    def _start_from(self, config: ModelConfig) -> None:
        self._config, self._quiet = config, True  # several controls change, one drawing follows
        self.heads.value = config.num_heads
        _offer_kv_heads(self.kv_heads, config.num_heads, config.num_kv_heads)
        self.parameters.value = (config.weight_bytes or 0) / 2e9
        self.said.value = "" if config.weight_bytes else _NO_WEIGHTS
        self._quiet = False
        self._redraw()

    def _change_heads(self, change) -> None:
        if not self._quiet:
            self._quiet = True
            _offer_kv_heads(self.kv_heads, change["new"], self.kv_heads.value)
            self._quiet = False
            self._redraw()

    def _read_upload(self, change) -> None:
        if not change["new"]:
            return
        try:
            own = from_hf_config(json.loads(bytes(change["new"][0]["content"])))
        except ValueError as trouble:
            self.said.value = html.escape(f"That file was not used: {trouble}")
            return
        self._start_from(own)
        told = f"Read: {own.name}, {own.num_layers} layers. {self.said.value}"
        self.said.value = html.escape(told)

    def _redraw(self, _=None) -> None:
        if self._quiet:
            return
        found = [
            estimate(
                arm,
                self.machine.value,
                batch_size=self.batch.value,
                context_length=self.context.value,
                bytes_per_element=self.dtype.value,
                weight_bytes=self._weight_bytes(),
                bytes_per_parameter=self.weights_dtype.value,
            )
            for arm in alternatives(self._chosen())
        ]
        rows = table(found, self.machine.value)
        self.output.value = _as_html(rows) + _image(found, self.machine.value)

    def _weight_bytes(self) -> float | None:
        """What the field of parameters says, where it is not the model's own number."""
        entered, own = self.parameters.value, (self._config.weight_bytes or 0) / 2e9
        return None if entered == own else entered * 1e9 * self.weights_dtype.value

    def _chosen(self) -> ModelConfig:
        """The model with the heads that the controls ask for; other heads than MLA's end MLA."""
        asked = {"num_heads": self.heads.value, "num_kv_heads": self.kv_heads.value}
        if asked == {name: getattr(self._config, name) for name in asked}:
            return self._config
        shared = self._config.with_kv_heads(1)  # one divides every number of query heads
        other = replace(shared, num_heads=asked["num_heads"])
        return other.with_kv_heads(asked["num_kv_heads"])


def _machines(measured: Hardware | None) -> dict[str, Hardware]:
    """The choices of hardware by what they are called: measured, else the default, first."""
    names = [DEFAULT_HARDWARE, *(name for name in DATASHEET if name != DEFAULT_HARDWARE)]
    sheets = {f"{name} (data sheet)": DATASHEET[name] for name in names}
    return ({f"{measured.name} (measured)": measured} if measured else {}) | sheets


def _slider(description: str, options: list[int], value: int) -> widgets.SelectionSlider:
    return widgets.SelectionSlider(
        description=description, options=options, value=value, continuous_update=False, **_HALF
    )


def _offer_kv_heads(slider, num_heads: int, wanted: int) -> None:
    """Give the slider the divisors of num_heads, and set it to the largest up to `wanted`."""
    options = kv_head_choices(num_heads)
    if tuple(slider.options) != tuple(options):
        slider.options = options
    slider.value = max(n for n in options if n <= wanted)


def _as_html(rows: list[list[str]]) -> str:
    def row(cells: list[str], tag: str) -> str:
        close = "padding: 0 8px; text-align: left"
        scoped = f"<th scope='row' style='{close}'>{html.escape(cells[0])}</th>"
        others = (f"<{tag} style='{close}'>{html.escape(cell)}</{tag}>" for cell in cells[1:])
        return f"<tr>{scoped}{''.join(others)}</tr>"

    body = "".join(row(cells, "td") for cells in rows[1:])
    tight = "font-size: 12px; line-height: 17px; margin: 2px 0"
    return f"<table style='{tight}'>{row(rows[0], 'th')}{body}</table>"


def _image(found: list[Estimate], hardware: Hardware) -> str:
    plots.use_style()
    stream = io.BytesIO()
    fig = figure(found, hardware)
    fig.savefig(stream, format="png", dpi=200)
    plt.close(fig)
    png = base64.b64encode(stream.getvalue()).decode("ascii")
    shown = f"alt='{html.escape(finding(found))}' style='width: 100%; max-width: 900px'"
    source = f"data:image/png;base64,{png}"
    return f"{plots.DARK}<img class='{plots.FIGURE}' src='{source}' {shown}>"

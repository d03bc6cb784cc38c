"""One model on one device: what its cache costs, what bounds its decoding, what sharing heads buys.

`explore(...)` prints and draws it, `explorer()` puts sliders around it. Everything is modelled from
`gqa_lib.cost`; nothing is measured here but the hardware's ceilings, if you measured them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gqa_lib import cost, plots
from gqa_lib.configs import ModelConfig, load_model
from gqa_lib.hardware import Hardware, datasheet

DEFAULT_MODEL, DEFAULT_HARDWARE = "Llama-3.2-3B", "H100 SXM"


@dataclass(frozen=True)
class Estimate:
    """What a decode step costs one model, modelled; sizes in bytes, times in seconds.

    Args:
        arm: MHA, GQA, MQA or MLA.
        num_kv_heads: KV heads.
        batch_size: sequences decoded together.
        kv_bytes_per_token: bytes one more token adds when every layer keeps it.
        sequence_bytes: cache of one sequence of this context, windows and shared layers counted.
        capacity: sequences of this context that fit next to the weights.
        intensity: FLOPs of attention per byte of cache it reads.
        weight_bytes: weights read in a step.
        kv_bytes: cache read in a step, all sequences.
        step_time_s: the least time of a step.
    """

    arm: str
    num_kv_heads: int
    batch_size: int
    kv_bytes_per_token: float
    sequence_bytes: float
    capacity: int
    intensity: float
    weight_bytes: float
    kv_bytes: float
    step_time_s: float


def estimate(
    config: ModelConfig,
    hardware: Hardware,
    *,
    batch_size: int = 1,
    context_length: int = 8192,
    bytes_per_element: float = 2,
    weight_bytes: float | None = None,
) -> Estimate:
    """Return what decoding costs a model on a device.

    Args:
        config: the model's shape.
        hardware: its ceilings and memory.
        batch_size: sequences decoded together.
        context_length: tokens each of them has cached.
        bytes_per_element: bytes of one cached number, and of one parameter.
        weight_bytes: bytes of all weights; those of the config unless given, 0 where it has none.

    Returns:
        An Estimate.
    """
    weights = (config.weight_bytes or 0) if weight_bytes is None else weight_bytes
    work = (batch_size, context_length, bytes_per_element, weights)
    _, moved = cost.decode_step_work(config, *work)
    return Estimate(
        arm=config.attention_type,
        num_kv_heads=config.num_kv_heads,
        batch_size=batch_size,
        kv_bytes_per_token=cost.kv_bytes_per_token(config, bytes_per_element),
        sequence_bytes=cost.kv_cache_bytes(config, [context_length], bytes_per_element),
        capacity=cost.max_concurrent_sequences(
            config, hardware.memory_bytes, context_length, weights, bytes_per_element
        ),
        intensity=cost.decode_intensity(config, bytes_per_element),
        weight_bytes=weights,
        kv_bytes=moved - weights,
        step_time_s=cost.decode_step_time(config, hardware, *work),
    )


def alternatives(config: ModelConfig) -> list[ModelConfig]:
    """Return the model as MHA, as it is, and as MQA; one that is an end already appears once."""
    standard = replace(config, kv_lora_rank=None, rope_head_dim=None)
    ends = [replace(standard, num_kv_heads=n) for n in (config.num_heads, 1)]
    arms = {c.attention_type: c for c in (ends[0], config, ends[1])}
    return list(arms.values())


def explore(
    config: ModelConfig | None = None, hardware: Hardware | None = None, **workload
) -> list[Estimate]:
    """Print and draw a model as MHA, as it is and as MQA, on a device; return the estimates.

    Args:
        config: the model's shape; Llama-3.2-3B's unless given.
        hardware: its ceilings; a data sheet's of an H100 SXM unless given.
        workload: batch_size, context_length, bytes_per_element, weight_bytes, as in `estimate`.

    Returns:
        The estimates, MHA first.
    """
    config, hardware = config or load_model(DEFAULT_MODEL), hardware or datasheet(DEFAULT_HARDWARE)
    found = [estimate(arm, hardware, **workload) for arm in alternatives(config)]
    print(_as_text(table(found, hardware)))
    plots.use_style()
    plots.show(figure(found, hardware), alt=finding(found))
    return found


def finding(found: list[Estimate]) -> str:
    """Return in a sentence what sharing heads buys."""
    mha = found[0].step_time_s
    gains = [f"{e.arm} ({_kept(e)}) {mha / e.step_time_s:.2f} times as fast" for e in found[1:]]
    return f"Against MHA's {_seconds(mha)} a step, modelled: {', '.join(gains)}."


def explorer(config: ModelConfig | None = None, hardware: Hardware | None = None):
    """Show sliders around `explore`; without ipywidgets, `explore` itself.

    Args:
        config: where to begin; Llama-3.2-3B unless given.
        hardware: ceilings measured on this machine, to have among the choices.
    """
    try:
        from .panel import Panel
    except ModuleNotFoundError:  # ipywidgets comes with the course, not with the library
        explore(config, hardware)
        return None
    return Panel(config or load_model(DEFAULT_MODEL), hardware).view()


# The table and the figure


def table(found: list[Estimate], hardware: Hardware) -> list[list[str]]:
    """Return the estimates as rows of text, the names of rows and arms included."""
    ridge = cost.ridge_point(hardware)
    mha = found[0].step_time_s

    def bound(e: Estimate) -> str:
        side = "memory" if cost.is_memory_bound(e.intensity, hardware) else "compute"
        return f"{e.intensity:.3g} ({side}-bound)"

    def fit(e: Estimate) -> str:
        return f"{e.capacity:,}" + (" (too few)" if e.capacity < e.batch_size else "")

    rows: list[tuple[str, Callable[[Estimate], str]]] = [
        ("kept per token and layer", _kept),
        ("weights", lambda e: _size(e.weight_bytes) if e.weight_bytes else "not given"),
        ("cache per token", lambda e: _size(e.kv_bytes_per_token)),
        ("cache of one sequence", lambda e: _size(e.sequence_bytes)),
        ("sequences that fit", fit),
        (f"FLOP/byte (ridge {ridge:.3g})", bound),
        ("least time of a step", lambda e: _seconds(e.step_time_s)),
        ("times as fast as MHA", lambda e: f"{mha / e.step_time_s:.2f}"),
    ]
    head = ["modelled", *(e.arm for e in found)]
    return [head, *([name, *map(tell, found)] for name, tell in rows)]


def _kept(e: Estimate) -> str:
    if e.arm == "MLA":
        return "one latent"
    return f"{e.num_kv_heads} KV head{'s' if e.num_kv_heads > 1 else ''}"


def _as_text(table: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in table
    )


def figure(found: list[Estimate], hardware: Hardware) -> Figure:
    """What a step reads, and where attention is under the roofline."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(1, 1.15))
    names = [e.arm for e in found]
    weights, kv = [e.weight_bytes / 1e9 for e in found], [e.kv_bytes / 1e9 for e in found]
    left.barh(names, weights, color=plots.COLOURS["ceiling"])
    bars = left.barh(names, kv, left=weights, color=[plots.COLOURS[name] for name in names])
    left.bar_label(bars, [_seconds(e.step_time_s) for e in found], padding=4)
    left.set(xlabel="GB per step: weights grey, KV cache coloured", xmargin=0.25)
    left.set_title("Read in one decode step, and its least time")
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    points = {}
    for e in found:
        roof = min(hardware.flops_per_s, e.intensity * hardware.bandwidth_bytes_per_s)
        points[e.arm] = (e.intensity, roof)
    plots.roofline(hardware, points, title="Attention under the roofline", ax=right)
    return fig


def _size(nbytes: float) -> str:
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if nbytes >= size:
            return f"{nbytes / size:,.4g} {unit}"
    return f"{nbytes:g} B"


def _seconds(time_s: float) -> str:
    factor, unit = (1e3, "ms") if time_s >= 1e-4 else (1e6, "µs")
    return f"{time_s * factor:,.3g} {unit}"

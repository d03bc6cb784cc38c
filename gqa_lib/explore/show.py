"""Prints and draws the estimates."""

from __future__ import annotations

from collections.abc import Callable

from gqa_lib import cost
from gqa_lib.arguments import check_choice, check_some
from gqa_lib.configs import ModelConfig, load_model
from gqa_lib.cost.positive import require_hardware, require_model
from gqa_lib.hardware import Hardware, datasheet

from .estimate import Estimate, alternatives, estimate
from .figure import figure
from .units import seconds, size

UNKNOWN = "not known"
NO_WEIGHTS = "The number of parameters is not known here, so no time and no capacity is stated."
_WORKLOAD = (
    *("batch_size", "context_length", "bytes_per_element", "weight_bytes"),
    "bytes_per_parameter",
)
DEFAULT_MODEL, DEFAULT_HARDWARE = "Llama-3.2-3B", "H100 SXM"


def explore(
    config: ModelConfig | None = None, hardware: Hardware | None = None, **workload
) -> list[Estimate]:
    """Print and draw a model as MHA, as it is and as MQA, on a device; return the estimates.

    Args:
        config: the model's shape; Llama-3.2-3B's unless given.
        hardware: its ceilings; a data sheet's of an H100 SXM unless given.
        workload: batch_size, context_length, bytes_per_element, weight_bytes and
            bytes_per_parameter, as in `estimate`.

    Returns:
        The estimates, MHA first.
    """
    from gqa_lib import plots  # the estimates need no matplotlib

    if config is not None:
        require_model(config)
    if hardware is not None:
        require_hardware(hardware)
    config, hardware = config or load_model(DEFAULT_MODEL), hardware or datasheet(DEFAULT_HARDWARE)
    for name in workload:
        check_choice(_WORKLOAD, workload=name)
    found = [estimate(arm, hardware, **workload) for arm in alternatives(config)]
    print(_as_text(table(found, hardware)))
    plots.use_style()
    plots.show(figure(found, hardware), alt=finding(found))
    return found


def finding(found: list[Estimate]) -> str:
    """Return in a sentence what sharing heads buys.

    Args:
        found: as from `estimate`, MHA first.
    """
    check_some(found=found)
    first = found[0]
    if first.step_time_s is None:
        less = [
            f"{e.arm} ({_kept(e)}) {first.sequence_bytes / e.sequence_bytes:.2f}" for e in found[1:]
        ]
        return f"Against MHA's cache, {', '.join(less)} times smaller. {NO_WEIGHTS}"
    gains = [f"{e.arm} ({_kept(e)}) {_gain(first, e)} times as fast" for e in found[1:]]
    return f"Against MHA's {seconds(first.step_time_s)} a step, modelled: {', '.join(gains)}."


def _gain(mha: Estimate, e: Estimate) -> str:
    if mha.step_time_s is None or e.step_time_s is None:
        return UNKNOWN
    return f"{mha.step_time_s / e.step_time_s:.2f}"


def table(found: list[Estimate], hardware: Hardware) -> list[list[str]]:
    """Return the estimates as rows of text, the names of rows and arms included.

    Args:
        found: as from `estimate`, MHA first.
        hardware: the ceilings that they were estimated for.

    Returns:
        Rows of cells: the first has the arms, and each row begins with its name. What depends on
        weights that are not known is said not to be known.
    """
    check_some(found=found)
    ridge = cost.ridge_point(hardware)

    def bound(e: Estimate) -> str:
        side = "memory" if cost.is_memory_bound(e.intensity, hardware) else "compute"
        return f"{e.intensity:.3g} ({side}-bound)"

    rows: list[tuple[str, Callable[[Estimate], str]]] = [
        ("kept per token and layer", _kept),
        ("context", _context),
        ("weights", lambda e: UNKNOWN if e.weight_bytes is None else size(e.weight_bytes)),
        (
            "weights read in a step",
            lambda e: UNKNOWN if e.read_bytes is None else size(e.read_bytes),
        ),
        ("cache per token", lambda e: size(e.kv_bytes_per_token)),
        ("cache of one sequence", lambda e: size(e.sequence_bytes)),
        ("besides, per token of an encoder or image", lambda e: size(e.cross_bytes)),
        ("sequences that fit", _fit),
        (f"FLOP/byte (ridge {ridge:.3g})", bound),
        ("least time of a step", lambda e: seconds(e.step_time_s) if e.step_time_s else UNKNOWN),
        ("times as fast as MHA", lambda e: _gain(found[0], e)),
    ]
    idle = {
        "weights read in a step": all(e.read_bytes == e.weight_bytes for e in found),
        "besides, per token of an encoder or image": not any(e.cross_bytes for e in found),
    }
    rows = [row for row in rows if not idle.get(row[0])]
    head = ["modelled", *(e.arm for e in found)]
    return [head, *([name, *map(tell, found)] for name, tell in rows)]


def _context(e: Estimate) -> str:
    beyond = e.max_context is not None and e.context_length > e.max_context
    return f"{e.context_length:,}" + (f" (beyond its {e.max_context:,})" if beyond else "")


def _fit(e: Estimate) -> str:
    if e.capacity is None:
        return UNKNOWN
    return f"{e.capacity:,}" + (" (too few)" if e.capacity < e.batch_size else "")


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

"""The plots of a memo."""

from __future__ import annotations

from .blocks import Plot
from .modelled import at_once, of_concurrency
from .study import Study, Variant
from .values import Figure, digits


def concurrency_plot(study: Study) -> Plot:
    """Return the picture of how many requests run at a time.

    Args:
        study: what was computed.
    """
    from gqa_lib.plots import as_svg, concurrency_bars

    question = study.question
    figures: list[Figure] = []
    counts: dict[int, dict[str, int]] = {}
    for one in study.variants:
        if one.concurrency is None:
            continue
        pair = {n: of_concurrency(one, n) for n in ("safe", "mean_rule")}
        figures += pair.values()
        counts[one.num_kv_heads] = {name: int(figure.value) for name, figure in pair.items()}
    most, least = (f"{digits(counts[heads]['safe'])}" for heads in (min(counts), max(counts)))
    title = f"{least} to {most} requests run safely, by KV heads (modelled)"
    fig = concurrency_bars(counts, num_heads=_num_heads(study), title=title)
    said = ", ".join(f"{question.arm(h)}: {one['safe']:,}" for h, one in counts.items())
    alt = f"Bars of the requests that run safely at a time, modelled: {said}."
    return Plot("concurrency", as_svg(fig, "concurrency"), alt, figures)


def speed_plot(study: Study, measured: dict[int, tuple[Figure, Figure]]) -> Plot | None:
    """Return the picture of tokens/s against time per token, None without a simulation.

    Args:
        study: what was computed.
        measured: num_kv_heads to measured time per token in ms, and tokens/s.
    """
    from gqa_lib.plots import as_svg, speed_against_latency

    question = study.question
    pairs = {one.num_kv_heads: _pair(study, one) for one in study.variants if one.cases}
    if not pairs:
        return None
    points = {heads: (a.value, b.value) for heads, (a, b) in pairs.items()}
    ends = [points[heads] for heads in (max(points), min(points))]
    longer = "longer" if ends[1][0] > ends[0][0] else "shorter"
    few, many = (question.arm(pick(points)) for pick in (min, max))
    title = (
        f"{digits(ends[1][1] / ends[0][1])} times the tokens/s with {few} instead of {many}; each "
        f"token takes {longer} (modelled)"
    )
    filled = {heads: (a.value, b.value) for heads, (a, b) in measured.items()}
    fig = speed_against_latency(
        points, num_heads=_num_heads(study), title=title, measured=filled, note="all at once"
    )
    said = ", ".join(
        f"{question.arm(heads)}: {digits(rate)} tokens/s at {digits(ms)} ms"
        for heads, (ms, rate) in points.items()
    )
    alt = f"Output tokens/s against time per output token, modelled, all requests at once: {said}."
    drawn = [figure for pair in (*pairs.values(), *measured.values()) for figure in pair]
    return Plot("speed", as_svg(fig, "speed"), alt, drawn)


def _pair(study: Study, variant: Variant) -> tuple[Figure, Figure]:
    return (
        at_once(study, variant, "mean_tpot_ms", "ms"),
        at_once(study, variant, "output_throughput", "tokens/s"),
    )


def _num_heads(study: Study) -> int:
    return study.question.scenario.own_config.num_heads

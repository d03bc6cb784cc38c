"""The size of KV caches: by model, by context length, by how many query heads share a KV head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from gqa_lib.arguments import check_some, check_whole, several
from gqa_lib.configs import ModelConfig
from gqa_lib.cost import kv_bytes_per_token, kv_cache_bytes
from gqa_lib.cost.bytes import whole_lengths
from gqa_lib.cost.positive import require_model

from .style import COLOURS, LEFT_OF, MARKERS, RIGHT_OF, finish, finish_above

_DASHES = ("-", "--", "-.", ":")


def kv_bytes_bar(
    configs: Iterable[ModelConfig],
    bytes_per_element: float = 2,
    *,
    title: str,
    note: str = "",
    context_length: int | None = None,
) -> Figure:
    """Bars of the KiB of cache per token, one per model.

    Args:
        configs: the models, drawn from the top down in this order.
        bytes_per_element: bytes of one cached number.
        context_length: tokens of the sequence over which a token's bytes are averaged; None for
            what one more token adds when every layer keeps it.
        title: the finding.
        note: small print.

    Returns:
        The figure.
    """
    configs = _models(configs)
    fig, ax = plt.subplots(figsize=(7.2, 1.6 + 0.36 * len(configs)))
    kib = [kv_bytes_per_token(one, bytes_per_element, context_length) / 2**10 for one in configs]
    colours = [COLOURS[config.attention_type] for config in configs]
    bars = ax.barh(range(len(configs)), kib, color=colours, height=0.66)
    labels = [
        f"{value:,.4g}  {config.attention_type}" for value, config in zip(kib, configs, strict=True)
    ]
    ax.bar_label(bars, labels, padding=5)
    ax.set_yticks(range(len(configs)), [config.name for config in configs])
    ax.invert_yaxis()
    ax.set(xlim=(0, max(kib) * 1.22), xlabel=_per_token(context_length))
    ax.grid(axis="y", visible=False)
    return finish(fig, ax, title, note)


def _per_token(context_length: int | None) -> str:
    length = f" of a sequence of {context_length:,}" if context_length else ""
    return f"KiB of cache per token{length}"


def kv_cache_lines(
    configs: Iterable[ModelConfig],
    context_lengths: Iterable[int],
    bytes_per_element: float = 2,
    *,
    title: str,
    note: str = "",
    log: bool = True,
) -> Figure:
    """Lines of one sequence's cache in GiB against its length, windows and sharing counted.

    Args:
        configs: the models; lines of one attention type differ by their dashes.
        context_lengths: tokens, at least two.
        bytes_per_element: bytes of one cached number.
        title: the finding.
        note: small print.
        log: two logarithmic axes, which show ratios; False for two linear ones, which show what
            each further token costs.

    Returns:
        The figure.
    """
    configs, lengths = _models(configs), sorted(whole_lengths(context_lengths))
    check_some(context_lengths=tuple(lengths))
    check_whole(context_length=lengths[0])
    fig, ax = plt.subplots()
    ends = []
    for number, config in enumerate(configs):
        gib = [kv_cache_bytes(config, [n], bytes_per_element) / 2**30 for n in lengths]
        colour = COLOURS[config.attention_type]
        ax.plot(lengths, gib, color=colour, linestyle=_DASHES[number % len(_DASHES)])
        ends.append((gib[-1], f"{config.name} ({config.attention_type})", colour))
    if log:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
    else:
        ax.set(xlim=(0, lengths[-1]), ylim=(0, 1.05 * max(ends)[0]))
        lengths = lengths[-4:]  # shorter ones would be too close to label
    ax.set_xticks(lengths, [_tokens(n) for n in lengths], minor=False)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set(xlabel="tokens in the sequence", ylabel="cache (GiB)")
    _label_ends(ax, lengths[-1], ends)
    return finish(fig, ax, title, note)


def cache_saving_bars(factors: Iterable[int], *, title: str, claimed: tuple[int, int]) -> Figure:
    """Bars of how many models save how many times the cache, the claimed range in colour.

    Args:
        factors: query heads per KV head of each model: times smaller than as MHA.
        title: the finding.
        claimed: the least and the most that are claimed.

    Returns:
        The figure.
    """
    factors = several(factors, "factors", "factors")
    check_some(factors=tuple(factors))
    values, (least, most) = sorted(set(factors)), claimed
    colours = [COLOURS["GQA" if least <= value <= most else "ceiling"] for value in values]
    fig, ax = plt.subplots(figsize=(7.2, 3))
    counts = [factors.count(value) for value in values]
    bars = ax.bar([str(value) for value in values], counts, color=colours)
    ax.bar_label(bars, padding=2)
    ax.set(xlabel="query heads per KV head = times smaller than as MHA", ylabel="models")
    ax.grid(axis="x", visible=False)
    ax.margins(y=0.12)
    ax.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    return finish(fig, ax, title, "")


def kv_bytes_scatter(
    configs: Iterable[ModelConfig],
    bytes_per_element: float = 2,
    *,
    title: str,
    named: Mapping[str, str] | None = None,
) -> Figure:
    """Each model's KiB per token against its query heads per KV head, on two log axes.

    Args:
        configs: the models.
        bytes_per_element: bytes of one cached number.
        title: the finding.
        named: the models to name, each with the side of its dot: "left" or "right".

    Returns:
        The figure.
    """
    configs = _models(configs)
    factors = [config.q_per_kv for config in configs]
    kib = [kv_bytes_per_token(config, bytes_per_element) / 2**10 for config in configs]
    fig, ax = plt.subplots(figsize=(7.2, 3.8))
    ax.scatter(factors, kib, color=COLOURS["GQA"], alpha=0.6)
    for config, x, y in zip(configs, factors, kib, strict=True):
        if side := (named or {}).get(config.name):
            where = LEFT_OF if side == "left" else RIGHT_OF
            ax.annotate(config.name, (x, y), (-7 if side == "left" else 7, 0), **where)
    ax.set(xscale="log", yscale="log", xlabel="query heads per KV head")
    ax.set_ylabel(f"KiB per token ({bytes_per_element:g} bytes per number)")
    ax.set_xlim(1, 2.2 * max(factors))
    ticks = [1, *(n for n in (2, 4, 8, 16) if n < max(factors)), max(factors)]
    ax.set_xticks(ticks, [str(n) for n in ticks], minor=False)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.minorticks_off()
    return finish(fig, ax, title, "")


def kv_bytes_ranking(
    kib_per_token: Mapping[str, float], attention_types: Mapping[str, str], *, title: str
) -> Figure:
    """Dots of many models' KiB per token in two columns, in the order given.

    Args:
        kib_per_token: model to KiB.
        attention_types: model to MHA, GQA, MQA or MLA, which gives colour and marker.
        title: the finding.

    Returns:
        The figure.
    """
    check_some(kib_per_token=kib_per_token)
    names = list(kib_per_token)
    half = (len(names) + 1) // 2
    fig, axes = plt.subplots(1, 2, figsize=(11, 1.2 + 0.23 * half), sharex=True)
    for ax, part in zip(axes, (names[:half], names[half:]), strict=True):
        for place, name in enumerate(part):
            kind = attention_types[name]
            ax.plot(kib_per_token[name], place, color=COLOURS[kind], marker=MARKERS[kind])
        ax.set_yticks(range(len(part)), part, fontsize=9)
        ax.set(xscale="log", xlabel="KiB of cache per token", ylim=(half - 0.5, -0.8))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for kind in (kind for kind in MARKERS if kind in attention_types.values()):
        axes[1].plot([], [], MARKERS[kind], color=COLOURS[kind], label=kind)
    axes[1].legend(loc="lower right")
    return finish_above(fig, title)


def _models(configs: Iterable[ModelConfig]) -> list[ModelConfig]:
    """The models, of which there is one at least."""
    listed = several(configs, "configs", "models")
    check_some(configs=tuple(listed))
    for config in listed:
        require_model(config)
    return listed


def _label_ends(ax, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Writes each line's name next to its right end, moved apart where names would collide."""
    ends = sorted(ends)
    places = [
        ax.transAxes.inverted().transform(ax.transData.transform((x, y)))[1] for y, _, _ in ends
    ]
    # Pushed up only and pushed down only: half-way between keeps the distance.
    up: list[float] = []
    down: list[float] = []
    for place in places:
        up.append(max(place, up[-1] + 0.055) if up else place)
    for place in reversed(places):
        down.append(min(place, down[-1] - 0.055) if down else place)
    for (y, text, colour), above, below in zip(ends, up, reversed(down), strict=True):
        ax.annotate(
            text,
            (x, y),
            (1.04, (above + below) / 2),
            textcoords="axes fraction",
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "relpos": (0, 0.5)},
            annotation_clip=False,
        )


def _tokens(count: int) -> str:
    return f"{count // 1024}k" if count % 1024 == 0 else str(count)

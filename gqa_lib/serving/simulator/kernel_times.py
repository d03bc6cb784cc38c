"""Step times from measured kernels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from gqa_lib.arguments import check_number, check_whole

from .step_time import Work
from .tables import Grid, add_time, number, read_rows

ONCE = ("embedding", "final_layernorm")  # of the dense layers: a step runs these once
TWICE = ("layernorm",)  # and these twice in each decoder layer
QKV = "qkv_proj"
MOST_PROMPTS = 1 << 16  # whose times are kept
CORNERS = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode")


class KernelStepTime:
    """The sum of a step's kernels, read off measured tables, linear between their points.

    The tables know sequences of equal length only; `skew` says what others take. Of several prompts
    in one step, the longest is in a kernel with what decodes, and the others are added as if each
    were alone.

    Args:
        attention: CSV of one layer's attention: `prefill_chunk, kv_prefill, n_decode, kv_decode`
            (new tokens of a prompt, its tokens cached before, sequences that decode, tokens of
            each) and `time_us`.
        dense: CSV of each other kernel: `layer, tokens, time_us`. `embedding` and `final_layernorm`
            run once a step, `layernorm` twice a decoder layer, the others once a decoder layer.
        per_sequence: CSV of what runs once a step for tokens that are chosen: `layer, sequences,
            time_us`.
        num_layers: decoder layers of the model.
        skew: how far sequences of unlike lengths are on the way from the time of their mean length
            to that of the longest, 0 to 1; the profile of a card has it (`alpha_default`).
        overhead_s: seconds of each step in which no kernel runs.
        kv_scale: bytes of a cached token over those of the timed model. What decoding takes above
            the quickest row of it, in which hardly anything is read, is multiplied with that, for
            it waits for these bytes; prompts wait for arithmetic, which stays as much.
        qkv_scale: parameters of `qkv_proj` over those of the timed model; its times are multiplied
            with that.

    Raises:
        ValueError: a table lacks a column, has what is not a number, two times for a point, or too
            few for a grid; or there is no `qkv_proj` to scale.

    Source: the format is LLMServingSim's (casys-kaist/LLMServingSim, `profiler/perf`).
    """

    def __init__(
        self,
        attention: Path | str,
        dense: Path | str,
        per_sequence: Path | str,
        num_layers: int,
        *,
        skew: float = 0.0,
        overhead_s: float = 0.0,
        kv_scale: float = 1.0,
        qkv_scale: float = 1.0,
    ):
        check_whole(num_layers=num_layers)
        check_number(0, skew=skew, overhead_s=overhead_s)
        if skew > 1:
            raise ValueError(
                f"skew={skew}: sequences would take longer than if all were the longest. Give 0 "
                "to 1."
            )
        check_number(above=0, kv_scale=kv_scale, qkv_scale=qkv_scale)
        self._layers, self._skew, self._overhead_s = num_layers, skew, overhead_s
        prompt, decode, mixed = _attention(attention, kv_scale)
        self._prompt = lru_cache(MOST_PROMPTS)(prompt)
        self._decode = cache(lambda decodes: decode.at(0, decodes).line())  # by tokens of each
        self._mixed = cache(lambda decodes: mixed.at(2, decodes))  # by chunk, before, tokens
        self._mixed_first = cache(lambda decodes: mixed.at(2, decodes).at(1, 0).plane())

        def times_a_step(layer: str) -> float:
            if layer == QKV:
                return num_layers * qkv_scale
            return 1 if layer in ONCE else num_layers * (2 if layer in TWICE else 1)

        needed = QKV if qkv_scale != 1 else None
        self._dense = cache(_sum_of(dense, "tokens", times_a_step, needed))
        self._head = cache(_sum_of(per_sequence, "sequences", lambda layer: 1))

    def __call__(self, work: Work) -> float:
        """Return the seconds of a step.

        Args:
            work: what it computes.
        """
        decodes, total, longest, prefills, chosen = work
        context = total / decodes if decodes else 0.0
        if self._skew:
            context += self._skew * (longest - context)
        if not prefills:
            if not decodes:
                return self._overhead_s
            tokens, attention = decodes, self._decode(decodes)(context)
        else:
            tokens, attention = self._with_prompts(decodes, context, prefills)
        kernels = self._layers * attention + self._dense(tokens)
        if chosen:
            kernels += self._head(chosen)
        return kernels * 1e-6 + self._overhead_s

    def _with_prompts(
        self, decodes: int, context: float, prefills: Sequence[tuple[int, int]]
    ) -> tuple[int, float]:
        """The tokens of a step with prompts, and the microseconds of a layer's attention."""
        longest, tokens, attention = prefills[0], decodes + prefills[0][0], 0.0
        if len(prefills) > 1:
            longest, *others = sorted(prefills, reverse=True)
            tokens = decodes + sum(new for new, _ in prefills)
            attention = sum(self._prompt(*chunk) for chunk in others)
        if not decodes:
            return tokens, attention + self._prompt(*longest)
        chunk, before = longest
        if before:
            return tokens, attention + self._mixed(decodes)(chunk, before, context)
        return tokens, attention + self._mixed_first(decodes)(chunk, context)


def left_out_points(attention: Path | str) -> dict[str, int]:
    """Return how many rows of a table are not used, as they make no whole grid with the others.

    Args:
        attention: as in `KernelStepTime`.

    Returns:
        The numbers above 0, for "prompts alone", "decoding alone" and "both in one kernel".
    """
    kinds = zip(
        ("prompts alone", "decoding alone", "both in one kernel"),
        _attention(attention, 1),
        strict=True,
    )
    return {kind: grid.left_out for kind, grid in kinds if grid.left_out}


def _attention(path: Path | str, kv_scale: float) -> tuple[Grid, Grid, Grid]:
    """Times of a prompt alone, of decoding alone, and of both, in microseconds."""
    there = Path(path).stat() if Path(path).exists() else None
    return _read_attention(path, kv_scale, there and (there.st_mtime_ns, there.st_size))


@lru_cache(maxsize=8)  # one simulation after the other has the same; a second each
def _read_attention(
    path: Path | str, kv_scale: float, state: tuple[int, int] | None
) -> tuple[Grid, Grid, Grid]:
    times: dict[str, dict[tuple[float, ...], float]] = {"prompt": {}, "decode": {}, "mixed": {}}
    for line, row in read_rows(path, (*CORNERS, "time_us")):
        chunk, before, decodes, context = (number(row, name, path, line) for name in CORNERS)
        time = number(row, "time_us", path, line)
        if chunk and decodes:
            add_time(times["mixed"], (chunk, before, decodes, context), time, path, line)
        elif chunk:
            add_time(times["prompt"], (chunk, before), time, path, line)
        elif decodes:
            add_time(times["decode"], (decodes, context), time, path, line)
    for kind, points in times.items():
        if not points:
            raise ValueError(
                f"{path} has no row of {kind} attention: a step could not be timed. "
                "Profile prompts alone, decoding alone, and both in one kernel."
            )
    prompt = Grid(times["prompt"], f"{path}, prompts alone")
    if kv_scale != 1:
        quickest = min(times["decode"].values())
        for point, time in times["decode"].items():
            times["decode"][point] = quickest + kv_scale * (time - quickest)
        for point, time in times["mixed"].items():
            alone = min(time, prompt(*point[:2]))
            times["mixed"][point] = alone + kv_scale * (time - alone)
    decode = Grid(times["decode"], f"{path}, decoding alone")
    return prompt, decode, Grid(times["mixed"], f"{path}, both in one kernel")


def _sum_of(
    path: Path | str, column: str, times_a_step: Callable[[str], float], needed: str | None = None
) -> Callable[[float], float]:
    """The microseconds of all layers of a table together, by tokens or sequences."""
    layers: dict[str, dict[tuple[float, ...], float]] = defaultdict(dict)
    for line, row in read_rows(path, ("layer", column, "time_us")):
        point = (number(row, column, path, line),)
        add_time(layers[row["layer"]], point, number(row, "time_us", path, line), path, line)
    if needed is not None and needed not in layers:
        raise ValueError(
            f"{path} has no rows of {needed}: with other KV heads its time changes, and it cannot "
            f"be told from {', '.join(layers)}. Time it alone."
        )
    grids = [(times_a_step(layer), Grid(points)) for layer, points in layers.items()]
    return lambda x: sum(times * grid(x) for times, grid in grids)

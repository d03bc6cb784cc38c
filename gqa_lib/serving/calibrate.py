"""Kernel times of this course's own engine on this machine, as tables that a simulation takes.

    step_time = calibrate(model, "times", max_num_seqs=8, max_num_batched_tokens=128)
    simulate(arrival_s, prompt_tokens, output_tokens, rules, step_time)

Attention is timed apart from the rest of the model, and both apart from any trace.
"""

from __future__ import annotations

import csv
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gqa_lib.arguments import check_whole, place_for
from gqa_lib.cache import ModelCache
from gqa_lib.cache.paging import Pages
from gqa_lib.measure import time_arms
from gqa_lib.model import LanguageModel

from .engine import Engine
from .packed import Packed, StepCache
from .request import Request
from .scheduler import Chunk
from .simulator import KernelStepTime, Work
from .simulator.kernel_times import CORNERS

FILES = ("attention.csv", "dense.csv", "per_sequence.csv")
Point = tuple[int, int, int, int]  # as CORNERS
_PER_SEQUENCE = "layer", "sequences", "time_us"
_STEPS = 12  # of a decoding engine that are timed at a time


def calibrate(
    model: LanguageModel,
    folder: Path | str,
    *,
    max_num_seqs: int,
    max_num_batched_tokens: int,
    max_context: int,
    block_size: int = 16,
    rounds: int = 9,
    clock: Callable[[], float] = time.perf_counter,
) -> KernelStepTime:
    """Time the parts of an engine's steps, write them as tables, and return the step times.

    `attention.csv` is of a layer's attention with its share of what is prepared for it; this engine
    runs prompts and decoding apart, so that both together take their sum. `dense.csv` is the rest
    of the model, as one kernel a layer. `per_sequence.csv` is what an engine's own decode steps
    take above both: the output head, choosing tokens, the engine itself, and that nothing is in the
    processor's caches as it is when a kernel is timed alone. Each is a median; where it is below 0,
    the table has 0 and a warning says so.

    Args:
        model: the model.
        folder: where the tables are written; `gqa simulate --kernel-times` takes them.
        max_num_seqs, max_num_batched_tokens, block_size: of the engine.
        max_context: tokens of the longest sequence.
        rounds: of timing; all points take turns in each.
        clock: seconds, increasing.

    Raises:
        ValueError: a number is out of range, the folder cannot be, or no step had so many
            sequences.
    """
    check_whole(max_num_seqs=max_num_seqs, max_context=max_context, block_size=block_size)
    check_whole(max_num_batched_tokens=max_num_batched_tokens, rounds=rounds)
    place, layers = place_for(folder, "folder"), len(model.layers)
    decodes, contexts = _doubled(max_num_seqs), _doubled(max_context, 4, block_size)
    chunks = _doubled(max_num_batched_tokens, 4, 8)
    points: list[Point] = [(0, 0, *one) for one in product(decodes, contexts)]
    points += [(*one, 0, 0) for one in product(chunks, (0, *contexts))]
    parts = _Parts(model, block_size)
    arms: dict[Any, Callable[[int], Any]] = {point: parts.attention(point) for point in points}
    arms |= {tokens: parts.rest(tokens) for tokens in _doubled(max_num_batched_tokens)}
    found = _medians(time_arms(arms, rounds=rounds, device=parts.device, clock=clock))
    times = {point: 1e6 * seconds / layers for point, seconds in found.items()}
    _write(place / FILES[0], (*CORNERS, "time_us"), _attention_rows(times, points))
    rest = [("rest", tokens, times[tokens]) for tokens in arms if isinstance(tokens, int)]
    _write(place / FILES[1], ("layer", "tokens", "time_us"), rest)
    _write(place / FILES[2], _PER_SEQUENCE, [("engine", 1, 0.0)])  # not known yet
    inner, middle = _step_time(place, layers), contexts[len(contexts) // 2]
    rounds = -(-rounds // 3)
    engine = _engine_times(model, decodes, middle, block_size, rounds, inner, clock)
    rows = [("engine", sequences, 1e6 * seconds) for sequences, seconds in engine.items()]
    _write(place / FILES[2], _PER_SEQUENCE, rows)
    return _step_time(place, layers)


def _attention_rows(times: Mapping[Point, float], points: Sequence[Point]) -> list[tuple]:
    """Prompts, decoding, and both, which this engine runs apart."""
    rows = [(*point, times[point]) for point in points]
    for prompt, decode in product(points, points):
        if prompt[0] and decode[2]:
            rows.append((*prompt[:2], *decode[2:], times[prompt] + times[decode]))
    return rows


class _Parts:
    """Functions that do a part of a step, for `time_arms`."""

    def __init__(self, model: LanguageModel, block_size: int):
        self._model, self._block_size = model, block_size
        weight = model.head.weight
        self.device, self._dtype = weight.device, weight.dtype
        self._pages: list[Pages] = []

    def attention(self, point: Point) -> Callable[[int], Any]:
        """Attention of all layers, and what is prepared for them once a step."""
        chunk, before, decodes, context = point
        lengths = [(before, chunk)] if chunk else [(context - 1, 1)] * decodes
        chunks, config = self._chunks(lengths), self._model.config
        tokens = sum(new for _, new in lengths)
        q, k, v = (
            torch.randn(1, heads, tokens, config.head_dim, dtype=self._dtype, device=self.device)
            for heads in (config.num_heads, config.num_kv_heads, config.num_kv_heads)
        )

        def run(call: int) -> None:
            packed = Packed(chunks, self._block_size, self.device)
            for pages in self._pages:
                cache = StepCache(pages, packed)
                cache.append(k, v)
                cache.attend(q)

        return torch.no_grad()(run)

    def rest(self, tokens: int) -> Callable[[int], Any]:
        """Everything in the layers but attention."""
        packed = Packed(self._chunks([(0, tokens)]), self._block_size, self.device)
        row = torch.zeros(1, tokens, dtype=torch.int64, device=self.device)

        def run(call: int) -> Tensor:
            layers = [_Unattended(pages, packed) for pages in self._pages]
            return self._model.hidden(row, ModelCache(layers))

        return torch.no_grad()(run)

    def _chunks(self, lengths: Sequence[tuple[int, int]]) -> list[Chunk]:
        """New tokens of sequences by (tokens before, new ones), each in blocks of its own."""
        chunks, first = [], 0
        for number, (before, new) in enumerate(lengths):
            request = Request(number, [0] * (before + new), 1)
            end = first + -(-(before + new) // self._block_size)
            request.blocks, first = list(range(first, end)), end
            chunks.append(Chunk(request, before, new))
        self._reserve(first)
        return chunks

    def _reserve(self, num_blocks: int) -> None:
        """Have memory for as many blocks."""
        if self._pages and self._pages[0].k.shape[0] >= num_blocks:
            return
        config = self._model.config
        sizes = num_blocks, config.num_kv_heads, self._block_size, config.head_dim
        self._pages[:] = [Pages(*sizes, self._dtype, self.device) for _ in self._model.layers]


class _Unattended(StepCache):
    """A layer's cache that keeps nothing and attends to nothing."""

    def append(self, k: Tensor, v: Tensor, num_new: Any = None) -> None:
        """Keep nothing."""

    def attend(self, q: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the queries."""
        return q


def _engine_times(
    model: LanguageModel,
    decodes: Iterable[int],
    context: int,
    block_size: int,
    rounds: int,
    inner: KernelStepTime,
    clock: Callable[[], float],
) -> dict[int, float]:
    """Seconds that an engine's own decode steps take above attention and layers, by sequences."""
    left: dict[int, list[float]] = {sequences: [] for sequences in decodes}
    for _, sequences in product(range(rounds), left):
        engine = Engine(
            model,
            sequences * (-(-(context + _STEPS + sequences) // block_size)),
            block_size=block_size,
            max_num_seqs=sequences,
            # A prompt more is complete with each step, so that all decode before the first ends.
            max_num_batched_tokens=sequences + context,
            prefix_sharing=False,
            clock=clock,
        )
        for _ in range(sequences):
            engine.add([0] * context, _STEPS + sequences)
        for step in engine.run():
            if step.num_decodes == sequences and not step.prefill_tokens:
                longest = step.context_tokens // sequences
                work = Work(sequences, step.context_tokens, longest, (), 0)
                left[sequences].append(step.seconds - inner(work))
    return {sequences: _above(sequences, times) for sequences, times in left.items()}


def _above(sequences: int, times: Sequence[float]) -> float:
    """The median of seconds above kernels, as a table can have it."""
    if not times:
        raise ValueError(
            f"{sequences} sequences never decoded all in one step, so that what the engine takes "
            "for them is not known. Give a smaller max_num_seqs, and report it, please."
        )
    seconds = float(np.median(times))
    if seconds < 0:
        warnings.warn(
            f"with {sequences} sequences the engine's own steps took {-1e6 * seconds:.1f} us less "
            "than its kernels alone; per_sequence.csv has 0 for them. Give more rounds, on an idle "
            "machine.",
            stacklevel=4,
        )
    return max(0.0, seconds)


def _step_time(place: Path, num_layers: int) -> KernelStepTime:
    attention, dense, per_sequence = (place / name for name in FILES)
    return KernelStepTime(attention, dense, per_sequence, num_layers)


def _medians(rows: Iterable[dict]) -> dict[Any, float]:
    """The median of each arm's samples, in seconds."""
    samples: dict[Any, list[float]] = {}
    for row in rows:
        if row["phase"] == "measure":
            samples.setdefault(row["arm"], []).append(row["value"])
    return {arm: float(np.median(values)) for arm, values in samples.items()}


def _doubled(most: int, times: int = 2, first: int = 1) -> list[int]:
    """Whole numbers from the first one up, each so many times the one before; the last is most."""
    numbers = []
    while first < most:
        numbers.append(first)
        first *= times
    return [*numbers, most]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)

"""Times of whole decode steps at several points in the same rounds: every sample kept.

Arms of a point: "step", this library's; transformers' for the same weights and the same cache; and
"products" and "attention", parts of our step. In a round all points' own steps come first and then
the others, so that a model's weights are not still in a cache from its neighbour's step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gqa_lib.arguments import check_some, check_whole
from gqa_lib.configs import ModelConfig
from gqa_lib.cost import kv_cache_bytes
from gqa_lib.kernels.tolerances import RELATIVE_ERROR
from gqa_lib.measure import read_passes, time_arms
from gqa_lib.measure.environment import free_bytes
from gqa_lib.model import LanguageModel

from .models import (
    CACHES,
    IMPLEMENTATIONS,
    SPARE,
    Arm,
    filled_cache,
    part_arms,
    random_kv,
    step_arm,
    transformers_arms,
)
from .timing import check_limits

OWN, PARTS = "step", ("products", "attention")
ROUNDINGS = 20  # errors of a kernel that the logits may be off by, after all layers
TOO_SLOW = 2.5  # times the fastest of transformers' arms: such an arm would eat the others' rounds


class StepPoint(NamedTuple):
    """One setting: sequences, tokens that each has cached (on average), KV heads."""

    batch_size: int
    context: int
    num_kv_heads: int


def row_lengths(batch_size: int, context: int, *, ragged: bool = False) -> list[int]:
    """Return the tokens that each sequence has cached.

    Args:
        batch_size: B, sequences.
        context: their mean.
        ragged: from half of it to one and a half times as many, in equal steps, the order mixed.
    """
    check_whole(batch_size=batch_size, context=context)
    if not ragged or batch_size == 1:
        return [context] * batch_size
    half = context // 2
    below = [half * (2 * b - batch_size + 1) // (batch_size - 1) for b in range(batch_size // 2)]
    middle = [0] * (batch_size % 2)
    apart = [*below, *middle, *(-d for d in below)]
    return [context + d for d in apart[::2] + apart[1::2]]


def time_steps(
    points: Iterable[StepPoint],
    models: Mapping[int, LanguageModel],
    *,
    rounds: int,
    budget_s: float,
    quiet_samples: int = 0,
    ragged: bool = False,
    peers: bool = False,
    parts: bool = False,
    reads: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict]:
    """Return rows of kinds "arm", "sample" and "read"; all arms take turns in each round.

    Before it is timed, our step is compared with the same step of a sequence alone, transformers'
    with ours. One that is wrong, or far slower than transformers' fastest, has a row that says so,
    and no samples.

    Args:
        points: `StepPoint`s, all timed together.
        models: number of KV heads to the model.
        rounds, budget_s, quiet_samples: as in `time_arms`.
        ragged: as in `row_lengths`.
        peers: transformers' arms, too; they take sequences of one length only.
        parts: our step's parts, too.
        reads: passes that only read memory take turns, too: the ceiling, under the same conditions.
        clock: seconds, increasing; times everything but samples on CUDA.

    Raises:
        ValueError: peers and ragged rows.
        ImportError: peers, and transformers is not installed.
    """
    if peers and ragged:
        raise ValueError(
            "peers=True with ragged=True: transformers' caches hold sequences of one length, so it "
            "would not take the same step. Give up one of the two."
        )
    check_limits(rounds, budget_s, quiet_samples)
    check_some(models=models)
    calls: dict[tuple[str, int], Callable] = {}
    rows, settings = [], []
    bytes_read: dict[str, int] = {}
    device = next(iter(models.values())).head.weight.device
    for index, point in enumerate(points):
        model = models[point.num_kv_heads]
        lengths = row_lengths(point.batch_size, point.context, ragged=ragged)
        settings.append(_setting(model, point, lengths))
        made, tried = _checked(model, lengths, peers, parts, clock)
        calls |= {(name, index): arm for name, arm in made.items()}
        rows += [{"kind": "arm", **row, **settings[-1]} for row in tried]
    if reads:
        passes, bytes_read = read_passes(device)
        calls |= {(name, 0): function for name, function in passes.items()}
    own_first: dict[Any, Callable] = dict(sorted(calls.items(), key=lambda call: call[0][0] != OWN))
    how: dict[str, Any] = {"rounds": rounds, "budget_s": budget_s, "quiet_samples": quiet_samples}
    timed = time_arms(own_first, device=device, clock=clock, **how) if calls else []
    return rows + [_sample_row(row, settings, bytes_read) for row in timed]


def _setting(model: LanguageModel, point: StepPoint, lengths: list[int]) -> dict[str, Any]:
    config = model.config
    shape = {"lengths": lengths, "dtype": str(model.head.weight.dtype).removeprefix("torch.")}
    names = ("num_heads", "head_dim", "num_layers", "d_model", "d_ff", "vocab_size")
    shape |= {name: getattr(config, name) for name in names}
    return {f"p_{name}": value for name, value in (point._asdict() | shape).items()}


def _checked(
    model: LanguageModel, lengths: list[int], peers: bool, parts: bool, clock: Callable
) -> tuple[dict[str, Arm], list[dict]]:
    """(arms to time, a row for each that was tried) of one point."""
    drawn = random_kv(model, lengths)
    cache = filled_cache(model, lengths, drawn)
    own = step_arm(model, cache)
    logits = own(0)[1]
    rows = [_verdict(OWN, _error_alone(model, lengths, drawn, logits), logits.dtype)]
    if rows[0]["status"] != "timed":
        return {}, rows
    arms = {OWN: own} | (part_arms(model, cache) if parts else {})
    theirs = transformers_arms(model, drawn) if peers else {}
    for name, arm in list(theirs.items()):
        rows.append(_verdict(name, relative_error(arm(0)[1], logits), logits.dtype))
        if rows[-1]["status"] != "timed":
            del theirs[name]
    return arms | _fast_enough(theirs, rows, logits.device, clock), rows


def _verdict(name: str, error: float, dtype: torch.dtype) -> dict[str, Any]:
    limit = ROUNDINGS * RELATIVE_ERROR[dtype]
    row = {"arm": name, "own": name == OWN, "error": error if error < float("inf") else None}
    if error <= limit:
        return row | {"status": "timed"}
    return row | {"status": "not timed", "reason": f"logits wrong by {error:.2g}, over {limit:.2g}"}


def relative_error(out: Tensor, expected: Tensor) -> float:
    """Return the largest L2 error of a row over the norm of the right one.

    Args:
        out, expected: logits, (B, V).

    Returns:
        The error; infinity where a logit is not a number.
    """
    out, expected = out.double(), expected.double()
    error = ((out - expected).norm(dim=-1) / expected.norm(dim=-1)).max().item()
    return error if error == error else float("inf")


def _error_alone(model: LanguageModel, lengths: list[int], drawn: Tensor, logits: Tensor) -> float:
    """How far the shortest and the longest row's logits are from those of the row alone."""
    errors = []
    for b in {lengths.index(min(lengths)), len(lengths) - 1 - lengths[::-1].index(max(lengths))}:
        own = drawn[:, b : b + 1, :, : lengths[b]]
        cache = filled_cache(model, [lengths[b]], own)
        with torch.inference_mode():
            alone = model(torch.tensor([[b]], device=logits.device) % logits.shape[1], cache)
        errors.append(relative_error(logits[b : b + 1], alone[:, -1]))
    return max(errors)


def _fast_enough(
    theirs: dict[str, Arm], rows: list[dict], device: torch.device, clock: Callable
) -> dict[str, Arm]:
    """The arms that could be the fastest; the others' rows say why they are not timed."""
    if not theirs:
        return {}
    times: dict[str, float] = {}
    slow = dict(theirs)
    for _ in range(3):  # what only looks slow, because the machine was busy, has further chances
        for sample in time_arms(slow, rounds=2, warmup=0, device=device, clock=clock):
            name, seconds = sample["arm"], sample["value"]
            times[name] = min(seconds, times.get(name, seconds))
        slow = {
            name: theirs[name] for name in times if times[name] > TOO_SLOW * min(times.values())
        }
        if not slow:
            break
    for row in rows:
        ratio = times.get(row["arm"], 0.0) / min(times.values())
        if ratio > TOO_SLOW:
            row["status"], row["times_the_fastest"] = "not timed", ratio
            row["reason"] = f"one call took over {TOO_SLOW:g} times the fastest of transformers'"
            del theirs[row["arm"]]
    return theirs


def _sample_row(row: dict, settings: list[dict], bytes_read: Mapping[str, int]) -> dict:
    name, index = row["arm"]
    row = row | {"arm": name}
    if name in bytes_read:
        of_all = {k: v for k, v in settings[index].items() if k != "p_num_kv_heads"}
        return {"kind": "read", **row, "bytes": bytes_read[name], **of_all}
    return {"kind": "sample", **row, **settings[index]}


def fitting_steps(
    points: Sequence[StepPoint],
    configs: Mapping[int, ModelConfig],
    itemsize: int,
    device: torch.device | str,
    *,
    ragged: bool = False,
    peers: bool = False,
    most_bytes: float = 0,
) -> tuple[list[StepPoint], list[str]]:
    """Return (the points whose caches fit, those with the smallest first, a line for each other).

    The weights of all models count, too. Every arm has a cache of its own.

    Args:
        points: those that are timed together.
        configs: number of KV heads to the model's shape, weights counted.
        itemsize: bytes of an element.
        device: where the tensors would be.
        ragged, peers: as in `time_steps`.
        most_bytes: for all of it; 0 is half of what is free on the device.
    """
    most_bytes = most_bytes or (free_bytes(device) or 8 * 2**30) / 2
    weights = [config.weights.total for config in configs.values() if config.weights]
    copies = 1 + peers * len(IMPLEMENTATIONS) * len(CACHES)
    taken: float = itemsize * sum(weights)
    kept, left_out = set(), []
    needs: dict[StepPoint, float] = {}
    for point in points:
        longest = max(row_lengths(point.batch_size, point.context, ragged=ragged)) + SPARE
        lengths = [longest] * point.batch_size
        needs[point] = copies * kv_cache_bytes(configs[point.num_kv_heads], lengths, itemsize)
    for point in sorted(points, key=needs.__getitem__):
        if taken + needs[point] <= most_bytes:
            taken += needs[point]
            kept.add(point)
        else:
            left_out.append(
                f"left out, {needs[point] / 2**30:.1f} GiB of caches: batch {point.batch_size}, "
                f"{point.context} tokens, KV heads {point.num_kv_heads}"
            )
    return [point for point in points if point in kept], left_out

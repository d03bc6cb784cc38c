"""What came of timing whole steps: one row for each point, as numbers and as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from gqa_lib.configs import ModelConfig
from gqa_lib.cost import decode_step_time, kv_cache_bytes
from gqa_lib.hardware import Hardware
from gqa_lib.measure.samples import summarise

from .steps import OWN, PARTS
from .table import over_peer, read_bandwidth


def least_step_s(
    config: ModelConfig, machine: Hardware, batch_size: int, context: int, itemsize: int
) -> float:
    """Return the least seconds of a step, the input embedding not read.

    Args:
        config: the model's shape, its weights counted.
        machine: its ceilings.
        batch_size, context: sequences, and tokens that each has cached on average.
        itemsize: bytes of an element, of weights and cache.
    """
    weight_bytes = itemsize * config.weights.dense  # type: ignore[union-attr]
    return decode_step_time(config, machine, batch_size, context, itemsize, weight_bytes)


def step_points(
    rows: list[dict], configs: Mapping[int, ModelConfig], machine: Hardware
) -> list[dict]:
    """Return one row for each point at which our step was timed.

    Args:
        rows: as from `time_steps`, of one call or of several.
        configs: number of KV heads to the model's shape, weights counted.
        machine: the ceilings; where passes that only read took turns, theirs is the bandwidth.

    Returns:
        Dictionaries with the point's shape and dtype; `weight_bytes` and `kv_bytes` that a step
        reads; `bandwidth_bytes_per_s`; `ideal_s`, the roofline's time for them; `time_s`, arm to
        median; `own`, the name of our step, and its `timing` as `summarise` has it;
        `tokens_per_s`; `share`, ideal over own; `parts`, seconds of our step's products, attention
        and the rest, where those were timed; `best_peer`, the fastest of transformers' arms, and
        `over_peer`, its time over ours, round by round, with `low` and `high` of its 95 % interval:
        above 1 ours is faster. `noisy`, of either.
    """
    kept: dict[str, defaultdict[tuple, list[dict]]]
    kept = {kind: defaultdict(list) for kind in ("sample", "read")}
    for row in rows:
        if row["kind"] in kept:
            place = row["p_batch_size"], row["p_context"]
            of_all = row["kind"] == "read"
            kept[row["kind"]][place if of_all else (*place, row["p_num_kv_heads"])].append(row)
    found = []
    for (B, S, Hkv), samples in kept["sample"].items():
        reads, here = kept["read"][B, S], machine
        if reads:
            here = replace(machine, bandwidth_bytes_per_s=read_bandwidth(reads))
        found.append(_point(B, S, samples, configs[Hkv], here))
    return found


def _point(B: int, S: int, samples: list[dict], config: ModelConfig, machine: Hardware) -> dict:
    summary, dtype = summarise(samples), samples[0]["p_dtype"]
    itemsize = getattr(torch, dtype).itemsize
    time_s = {arm: timing["median"] for arm, timing in summary.items()}
    theirs = [arm for arm in time_s if arm not in (OWN, *PARTS)]
    best = min(theirs, key=time_s.__getitem__, default=None)
    ideal = least_step_s(config, machine, B, S, itemsize)
    found: dict[str, Any] = {"batch_size": B, "context": S, "num_kv_heads": config.num_kv_heads}
    found |= {"head_dim": config.head_dim, "num_queries": 1, "num_heads": config.num_heads}
    found |= {"dtype": dtype, "weight_bytes": itemsize * config.weights.dense}  # type: ignore[union-attr]
    found["kv_bytes"] = kv_cache_bytes(config, [S] * B, itemsize)
    found |= {"bandwidth_bytes_per_s": machine.bandwidth_bytes_per_s, "ideal_s": ideal}
    found |= {"time_s": time_s, "own": OWN, "timing": summary[OWN], "best_peer": best}
    found |= {"tokens_per_s": B / time_s[OWN], "share": ideal / time_s[OWN]}
    found |= {"parts": _parts(time_s), **over_peer(samples, OWN, best)}
    return found | {"noisy": any(summary[arm]["noisy"] for arm in (OWN, best) if arm)}


def _parts(time_s: Mapping[str, float]) -> dict[str, float] | None:
    if not set(PARTS) <= time_s.keys():
        return None
    parts = {part: time_s[part] for part in PARTS}
    return parts | {"rest": max(0.0, time_s[OWN] - sum(parts.values()))}


def step_table(found: list[dict]) -> str:
    """Return points as text, a line each.

    Args:
        found: as from `step_points`.
    """
    lines = [
        "batch context  KV  weights   cache    GB/s   least ms    step ms  tokens/s  share"
        "  best of transformers  theirs/ours  95 %"
    ]
    for point in found:
        line = "{batch_size:5} {context:7} {num_kv_heads:3}".format(**point)
        line += f" {point['weight_bytes'] / 2**20:4.0f} MiB {point['kv_bytes'] / 2**20:4.0f} MiB"
        line += f" {point['bandwidth_bytes_per_s'] / 1e9:6.4g} {point['ideal_s'] * 1e3:10.4g}"
        line += f" {point['timing']['median'] * 1e3:10.4g} {point['tokens_per_s']:9,.0f}"
        line += f" {point['share']:6.2f}  {point['best_peer'] or '-':20}"
        if point["best_peer"]:
            line += f" {point['over_peer']:12.2f}  {point['low']:.2f}-{point['high']:.2f}"
        lines.append(line + ("  noisy" if point["noisy"] else ""))
    return "\n".join(lines)


def parts_table(found: list[dict]) -> str:
    """Return where the time of a step goes as text, a line for each point.

    Args:
        found: as from `step_points`, parts timed.
    """
    lines = ["batch context  KV  step ms  products  attention   rest"]
    for point in found:
        line = "{batch_size:5} {context:7} {num_kv_heads:3}".format(**point)
        products, attention, rest = (1e3 * seconds for seconds in point["parts"].values())
        step = point["timing"]["median"] * 1e3
        lines.append(line + f" {step:8.4g} {products:9.4g} {attention:10.4g} {rest:6.3g}")
    return "\n".join(lines)

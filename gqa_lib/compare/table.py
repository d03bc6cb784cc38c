"""What came of timing points: one row each, as numbers and as a table of text."""

from collections import defaultdict
from itertools import groupby
from operator import itemgetter

import torch

from gqa_lib.cost import attention_bytes
from gqa_lib.measure.samples import ratios, summarise

from .arms import PEERS

LATENCY_S = 30e-6  # a GPU's ideal time below which launches decide, and the time is a latency
_SHAPE = ("batch_size", "context", "num_kv_heads", "head_dim", "num_queries")


def copy_bandwidth(rows: list[dict]) -> float:
    """Return bytes/s of the run's own copies, read and written bytes together; their median.

    Args:
        rows: as from `time_copy`; others are passed over.
    """
    samples = [row for row in rows if row["kind"] == "sample" and row["arm"] == "copy"]
    return samples[0]["bytes"] / summarise(samples)["copy"]["median"]


def points(rows: list[dict], bandwidth: float | None = None) -> list[dict]:
    """Return one row a point that has samples: its shape, its times, and how they compare.

    Args:
        rows: of kinds "arm", "sample" and "read", as from `time_points`; others are passed over.
        bandwidth: the ceiling in bytes/s for points that have no reads in their rounds; None: the
            run's copies.

    Returns:
        Dictionaries with the point's shape and dtype; `bandwidth_bytes_per_s`, what the fastest
        pass over memory read in the same rounds; `ideal_s`, the bytes of q, K, V and the output
        over it; `time_s`, arm to median; `own`, the arm that the library
        chooses, its `timing` as `summarise` has it, and `best_peer`, the fastest of PEERS;
        `noisy`, of either. Where both were timed,
        `share` is ideal over own, `over_peer` best peer over own, round by round, with `low` and
        `high` of its 95 % interval: above 1 the library is faster. `paged` is the paged Triton
        kernel over the contiguous one.
    """
    kept: dict[str, defaultdict[tuple, list[dict]]]
    kept = {kind: defaultdict(list) for kind in ("sample", "arm", "read")}
    for row in rows:
        if "p_context" in row and row["kind"] in kept:
            key = tuple(row[f"p_{name}"] for name in (*_SHAPE, "num_heads", "dtype"))
            kept[row["kind"]][_rounds(key) if row["kind"] == "read" else key].append(row)
    found = []
    for key, samples in kept["sample"].items():
        reads = kept["read"][_rounds(key)]
        ceiling = read_bandwidth(reads) if reads else bandwidth or copy_bandwidth(rows)
        found.append(_point(key, samples, kept["arm"][key], ceiling))
    return found


def _rounds(key):
    """What points that were timed in the same rounds have in common: all but the KV heads."""
    return key[:2] + key[3:]


def read_bandwidth(reads: list[dict]) -> float:
    """Return bytes/s of the fastest kind of pass that only reads, by medians.

    Args:
        reads: rows of kind "read", as from `time_points`.
    """
    summary, nbytes = summarise(reads), {row["arm"]: row["bytes"] for row in reads}
    return max(nbytes[arm] / timing["median"] for arm, timing in summary.items())


def _point(key, samples, arms, bandwidth):
    B, S, Hkv, D, T, num_heads, dtype = key
    summary = summarise(samples)
    time_s = {arm: timing["median"] for arm, timing in summary.items()}
    own = next((row["arm"] for row in arms if row["own"]), None)
    own = own if own in time_s else None
    best = min((arm for arm in time_s if arm in PEERS), key=time_s.__getitem__, default=None)
    ideal = attention_bytes(B, num_heads, Hkv, D, T, S, getattr(torch, dtype).itemsize) / bandwidth
    found = dict(zip(_SHAPE, key, strict=False)) | {"num_heads": num_heads, "dtype": dtype}
    found |= {"bandwidth_bytes_per_s": bandwidth, "ideal_s": ideal, "time_s": time_s}
    found |= {"own": own, "timing": summary[own] if own else None, "best_peer": best}
    found["noisy"] = any(summary[arm]["noisy"] for arm in (own, best) if arm)
    found["share"] = ideal / time_s[own] if own else None
    found |= over_peer(samples, own, best)
    paged = time_s.get("triton_paged") if "triton" in time_s else None
    return found | {"paged": paged / time_s["triton"] if paged else None}


def over_peer(samples: list[dict], own: str | None, best: str | None) -> dict[str, float | None]:
    """Return how many times our arm's time a peer takes, with its 95 % interval.

    Args:
        samples: of one point.
        own: our arm; None where there is none.
        best: the peer; None where there is none.

    Returns:
        `over_peer`, above 1 where ours is faster, `low` and `high`; all None without both arms.
    """
    if own is None or best is None:
        return {"over_peer": None, "low": None, "high": None}
    if own == best:
        return {"over_peer": 1.0, "low": 1.0, "high": 1.0}
    found = ratios(samples, best)[own]
    return {"over_peer": found["speedup"], "low": found["low"], "high": found["high"]}


def table(found: list[dict], *, on_gpu: bool = False) -> str:
    """Return points as text: a line each, with the share of the ceiling and the best peer.

    Args:
        found: as from `points`.
        on_gpu: leave the share out where the ideal time is below LATENCY_S.
    """
    lines = [
        "batch context  KV   d  dtype      GB/s    ideal      own  share  backend      best peer"
        "      peer/own  95 %"
    ]
    return "\n".join(lines + [_line(point, on_gpu) for point in found])


def _line(point, on_gpu):
    own_s = point["time_s"].get(point["own"])
    share = None if on_gpu and point["ideal_s"] < LATENCY_S else point["share"]
    text = "{batch_size:5} {context:7} {num_kv_heads:3} {head_dim:3}  {dtype:9}".format(**point)
    text += f" {point['bandwidth_bytes_per_s'] / 1e9:5.4g}"
    text += f" {_time(point['ideal_s'])} {_time(own_s)} {_number(share, '6.2f')}"
    text += f"  {point['own'] or '-':11}  {point['best_peer'] or '-':14}"
    text += f" {_number(point['over_peer'], '8.2f')}"
    if point["low"] is not None and point["own"] != point["best_peer"]:
        text += f"  {point['low']:.2f}-{point['high']:.2f}"
    return text + ("  noisy" if point["noisy"] else "")


def _time(seconds):
    if seconds is None:
        return "-".rjust(8)
    if seconds < 1e-3:
        return f"{seconds * 1e6:5.4g} µs"
    return f"{seconds * 1e3:5.4g} ms" if seconds < 1 else f"{seconds:6.3g} s"


def _number(value, form):
    width = int(form.partition(".")[0])
    return "-".rjust(width) if value is None else format(value, form)


def gains(found: list[dict]) -> list[str]:
    """Return how much faster fewer KV heads are than the most, all else being equal.

    Args:
        found: as from `points`.

    Returns:
        A line for each point with fewer KV heads than another of its kind.
    """
    same = ("batch_size", "context", "head_dim", "dtype", "num_heads")
    own = {
        (tuple(p[name] for name in same), p["num_kv_heads"]): p["time_s"][p["own"]]
        for p in found
        if p["own"]
    }
    most: dict[tuple, int] = {}
    for where, Hkv in own:
        most[where] = max(Hkv, most.get(where, 0))
    return [
        f"batch {where[0]}, {where[1]} tokens, d {where[2]}: {kv_heads(Hkv)} "
        f"{own[where, most[where]] / few:.2f}x faster than {most[where]} "
        f"(by bytes {most[where] / Hkv:g}x)"
        for (where, Hkv), few in own.items()
        if Hkv < most[where]
    ]


def against_first(found: list[dict]) -> str:
    """Return in words how many times faster each point's choice is than the first point's.

    Args:
        found: points with an own arm, as from `points`, that differ in their KV heads.
    """
    first, *others = found
    said = []
    for point in others:
        speedup = first["timing"]["median"] / point["timing"]["median"]
        noisy = " (noisy)" if point["noisy"] or first["noisy"] else ""
        said.append(f"{kv_heads(point['num_kv_heads'])} {speedup:.2f}x{noisy}")
    return f"against {kv_heads(first['num_kv_heads'])}: {', '.join(said) or 'nothing else'}"


def by_setting(found: list[dict]) -> list[list[dict]]:
    """Return the points that have an own arm, those that differ in their KV heads alone together.

    Args:
        found: as from `points`; the points of a setting follow each other.
    """
    own = (point for point in found if point["own"])
    same = itemgetter("batch_size", "context", "head_dim", "num_queries")
    return [list(points) for _, points in groupby(own, key=same)]


def kv_heads(count: int) -> str:
    """Return "1 KV head", "8 KV heads"."""
    return f"{count} KV head{'s' * (count > 1)}"


def not_timed(rows: list[dict]) -> list[str]:
    """Return the arms that were not timed, each with the reason and at how many points.

    Args:
        rows: of kind "arm", as from `time_points`; others are passed over.

    Returns:
        A line for each arm and reason.
    """
    reasons: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "arm" and row["status"] != "timed":
            why = row["reason"].splitlines()[0][:100]
            reasons[row["arm"], why].append(row.get("times_the_fastest") or 0.0)
    lines = []
    for (arm, why), times in reasons.items():
        worst = f", {max(times):.0f} at worst" if max(times) else ""
        lines.append(f"not timed at {len(times)} points: {arm}: {why}{worst}")
    return lines

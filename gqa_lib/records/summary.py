"""What a record of decoding on a GPU says: one line a point, and what KV heads buy."""

from collections import defaultdict

from gqa_lib.cost import attention_bytes
from gqa_lib.samples import summarise

ITEMSIZE = {"float16": 2, "bfloat16": 2, "float32": 4}
BANDWIDTH_BOUND_S = 30e-6  # below this ideal time launches decide, and the time is a latency


def copy_bandwidth(rows: list[dict]) -> float:
    """Return bytes/s of the run's own copies, read and written bytes together; their median."""
    samples = [row for row in rows if row["kind"] == "sample" and row["arm"] == "copy"]
    return samples[0]["bytes"] / summarise(samples)["copy"]["median"]


def points(rows: list[dict]) -> list[dict]:
    """Return one row a point: shape, median times, and how they compare.

    Returns:
        Dictionaries with batch_size, context, num_kv_heads, head_dim; `ideal_s`, the bytes of q,
        K, V and the output over the run's copy bandwidth; `time_s`, arm to median; `best_peer`,
        the fastest arm that is not ours; and, where both were timed, `share` (ideal over ours),
        `over_peer` (best peer's time over ours: above 1 we are faster) and `paged` (paged over
        contiguous).
    """
    bandwidth = copy_bandwidth(rows)
    by_point = defaultdict(list)
    for row in rows:
        if row["kind"] == "sample" and row["arm"] != "copy":
            shape = tuple(row[f"p_{n}"] for n in ("batch_size", "context", "num_kv_heads"))
            by_point[*shape, row["p_head_dim"]].append(row)
    return [_point(shape, samples, bandwidth) for shape, samples in by_point.items()]


def _point(shape, samples, bandwidth):
    B, S, Hkv, D = shape
    first = samples[0]
    itemsize = ITEMSIZE[first["p_dtype"]]
    time_s = {arm: summary["median"] for arm, summary in summarise(samples).items()}
    peers = {arm: time for arm, time in time_s.items() if not arm.startswith("triton")}
    best = min(peers, key=peers.__getitem__, default=None)
    ours = time_s.get("triton")
    ideal = attention_bytes(B, first["p_num_heads"], Hkv, D, 1, S, itemsize) / bandwidth
    paged = time_s.get("triton_paged")
    return {
        "batch_size": B,
        "context": S,
        "num_kv_heads": Hkv,
        "head_dim": D,
        "ideal_s": ideal,
        "time_s": time_s,
        "best_peer": best,
        "share": ideal / ours if ours else None,
        "over_peer": peers[best] / ours if ours and best else None,
        "paged": paged / ours if ours and paged else None,
    }


def table(rows: list[dict]) -> str:
    """Return the record as text: what ran where, one line a point, gains, and what did not run."""
    found = points(rows)
    lines = [
        _about(rows[0]),
        f"copy bandwidth {copy_bandwidth(rows) / 1e9:.0f} GB/s (read and written, this run)",
        "batch context  KV   d   ideal us    triton us  share  best peer            x peer  paged",
    ]
    lines += [_line(point) for point in found]
    lines += _gains(found)
    checks = [row for row in rows if row["kind"] == "check"]
    wrong = [row["name"] for row in checks if not row["ok"]]
    lines.append(f"{len(checks) - len(wrong)} of {len(checks)} checks against float64 passed")
    lines += [f"  WRONG: {name}" for name in wrong]
    return "\n".join(lines + _not_timed(rows))


def _about(environment):
    gpu = environment["gpu"] or {}
    text = f"{gpu.get('name') or environment['device']}, driver {gpu.get('driver')}, "
    text += "torch {torch}, triton {triton}, {utc}".format(**environment)
    return text + ("  - DRY RUN: these times say nothing" if environment["dry_run"] else "")


def _line(point):
    ours = point["time_s"].get("triton")
    text = "{batch_size:5} {context:7} {num_kv_heads:3} {head_dim:4}".format(**point)
    text += f" {point['ideal_s'] * 1e6:10.1f} {_number(ours and ours * 1e6, '12.1f')}"
    share = point["share"] if point["ideal_s"] >= BANDWIDTH_BOUND_S else None
    text += f" {_number(share, '6.2f')}  {point['best_peer'] or '-':20}"
    return text + f" {_number(point['over_peer'], '6.2f')} {_number(point['paged'], '6.2f')}"


def _number(value, form):
    width = int(form.partition(".")[0])
    return "-".rjust(width) if value is None else format(value, form)


def _gains(found):
    """How much faster fewer KV heads are, at equal batch, context and head_dim."""
    ours = {
        (p["batch_size"], p["context"], p["head_dim"], p["num_kv_heads"]): p["time_s"]["triton"]
        for p in found
        if "triton" in p["time_s"]
    }
    return [
        f"batch {B}, {S} tokens, d {D}: {Hkv} KV heads {many / few:.2f}x faster than {more}, "
        f"of {more / Hkv:g} by bytes"
        for (B, S, D, Hkv), few in ours.items()
        for (B2, S2, D2, more), many in ours.items()
        if (B, S, D) == (B2, S2, D2) and more > Hkv
    ]


def _not_timed(rows):
    reasons = defaultdict(int)
    for row in rows:
        if row["kind"] == "arm" and row["status"] != "timed":
            reasons[row["arm"], row["reason"].splitlines()[0][:110]] += 1
    return [f"not timed at {n} points: {arm}: {why}" for (arm, why), n in reasons.items()]

"""What is made of measured samples: medians with intervals, ratios with verdicts, JSON lines.

A row is one sample: {metric, unit, arm, round, sample, value, phase, quiet}. No row is ever
dropped from a file; statistics leave warm-up out and say which samples they used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gqa_lib.arguments import check_number, several, shown

MIN_ROUNDS = 5  # fewer say nothing about spread, whatever the time budget
_SAMPLE = {"arm": 0, "phase": 0, "round": 0, "value": 0, "quiet": 0}.keys()
NOISY = 0.10  # IQR over median at which torch.utils.benchmark warns too


def summarise(rows: Iterable[dict]) -> dict[str, dict]:
    """Per arm: median, 95 % interval of the median, IQR, counts, and whether it is noisy.

    Quiet samples alone are used where there are at least MIN_ROUNDS of them, else all.

    Args:
        rows: as from `time_arms`; warm-up is left out.

    Returns:
        Arm to {median, low, high, p10, iqr, n, n_quiet, used, noisy, unit}. `low` and `high` are
        order statistics; below six samples they are the extremes, which cover less than 95 %. `p10`
        is the tenth percentile, nearer to an undisturbed time on a busy machine.
        `noisy` is IQR over median above NOISY.
    """
    summary = {}
    for arm, samples in _by_arm(rows).items():
        kept, used = _prefer_quiet(samples)
        values = np.sort([row["value"] for row in kept])
        p10, q1, median, q3 = np.quantile(values, [0.1, 0.25, 0.5, 0.75])
        cut = _median_rank(len(values))
        summary[arm] = {
            "median": float(median),
            "low": float(values[cut]),
            "high": float(values[-1 - cut]),
            "p10": float(p10),
            "iqr": float(q3 - q1),
            "n": len(values),
            "n_quiet": sum(row["quiet"] is True for row in samples),
            "used": used,
            "noisy": bool(q3 - q1 > NOISY * median),
            "unit": samples[0]["unit"],
        }
    return summary


def ratios(rows: Iterable[dict], baseline: str, *, margin: float = 0.05) -> dict[str, dict]:
    """Per arm: how many times faster than the baseline it is, with a verdict.

    In each round the baseline's time is divided by the arm's; the median over rounds is the
    speed-up, and its 95 % interval a bootstrap over rounds, not over samples, which within a
    round share the same conditions.

    Args:
        rows: times, as from `time_arms`.
        baseline: the arm to compare with.
        margin: difference that would matter, stated before measuring; 0.05 is 5 %.

    Returns:
        Arm to {speedup, low, high, rounds, verdict}: "faster" or "slower" when the interval is
        beyond the margin, "same" when it is within, else "ambiguous"; below MIN_ROUNDS rounds
        always "ambiguous".

    Raises:
        ValueError: the baseline was not measured, or not in the same rounds.
    """
    check_number(0, margin=margin)
    by_arm = _by_arm(rows)
    if baseline not in by_arm:
        raise ValueError(
            f"baseline {baseline!r} is not among the arms {', '.join(map(repr, by_arm))}: a "
            "speed-up needs both times from the same rounds. Name one of them."
        )
    reference = by_arm.pop(baseline)
    compared = {}
    for arm, samples in by_arm.items():
        values = speedup_by_round(reference, samples)
        low, high = bootstrap_median(values)
        compared[arm] = {
            "speedup": float(np.median(values)),
            "low": low,
            "high": high,
            "rounds": len(values),
            "verdict": verdict(low, high, margin) if len(values) >= MIN_ROUNDS else "ambiguous",
        }
    return compared


def _by_arm(rows: Iterable[dict]) -> dict[str, list[dict]]:
    arms: dict[str, list[dict]] = {}
    for number, row in enumerate(several(rows, "rows", "samples")):
        if not isinstance(row, dict) or not row.keys() >= _SAMPLE:
            raise ValueError(
                f"rows[{number}]={shown(row)} is not a sample, which has {', '.join(_SAMPLE)}. "
                "Give what time_arms returned."
            )
        if row["phase"] == "measure":
            arms.setdefault(row["arm"], []).append(row)
    return arms


def _prefer_quiet(samples: list[dict]) -> tuple[list[dict], str]:
    quiet = [row for row in samples if row["quiet"]]
    return (quiet, "quiet") if len(quiet) >= MIN_ROUNDS else (samples, "all")


def speedup_by_round(reference: list[dict], samples: list[dict]) -> np.ndarray:
    """Return baseline time over arm time, round by round: quiet rounds if enough, else all.

    Args:
        reference: samples of the baseline.
        samples: of the arm.

    Raises:
        ValueError: they share no round.
    """
    for quiet_only in (True, False):
        over, under = (_round_medians(rows, quiet_only) for rows in (reference, samples))
        shared = sorted(over.keys() & under.keys())
        if len(shared) >= MIN_ROUNDS:
            break
    if not shared:
        raise ValueError(
            f"arms {reference[0]['arm']!r} and {samples[0]['arm']!r} share no round: a ratio needs "
            "both times under the same conditions. Time them in one call of time_arms."
        )
    return np.array([over[index] / under[index] for index in shared])


def _round_medians(samples: list[dict], quiet_only: bool) -> dict[int, float]:
    rounds: dict[int, list[float]] = {}
    for row in samples:
        if row["quiet"] or not quiet_only:
            rounds.setdefault(row["round"], []).append(row["value"])
    return {index: float(np.median(values)) for index, values in rounds.items()}


def _median_rank(n: int) -> int:
    """How many of n sorted samples to leave out at each end for a 95 % interval of the median.

    Source: the sign test; the k-th order statistic misses with the binomial tail of n and 1/2.
    """
    tail, rank = 0.0, 0
    while True:
        tail += math.comb(n, rank) / 2**n
        if tail > 0.025:
            return max(0, rank - 1)
        rank += 1


def bootstrap_median(
    values: np.ndarray, under: np.ndarray | None = None, *, draws: int = 5000
) -> tuple[float, float]:
    """Return the 95 % interval of a median, or of the ratio of two medians.

    Args:
        values: measured independently of each other.
        under: others, measured independently of those: their median is divided by.
        draws: samples that are drawn from the values, with replacement.
    """
    random = np.random.default_rng(0)

    def medians(of: np.ndarray) -> np.ndarray:
        return np.median(of[random.integers(len(of), size=(draws, len(of)))], axis=1)

    drawn = medians(values) if under is None else medians(values) / medians(under)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def verdict(low: float, high: float, margin: float) -> str:
    """Return what the interval of a speed-up says: faster, slower, same or ambiguous.

    Args:
        low, high: the interval.
        margin: difference that would matter; 0.05 is 5 %.
    """
    if low > 1 + margin:
        return "faster"
    if high < 1 / (1 + margin):
        return "slower"
    return "same" if low >= 1 / (1 + margin) and high <= 1 + margin else "ambiguous"


def write_jsonl(path: str | Path, rows: Iterable[dict]) -> None:
    """Appends rows to a file of JSON lines, making it if need be; returns nothing.

    A last line that a killed process left half written is cut off first, so that what follows
    stays readable. One process writes to one file.

    Args:
        path: the file.
        rows: what to append, one line each.

    Raises:
        ValueError: a value that JSON cannot hold, such as NaN; then nothing is written.
    """
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
    with open(path, "ab+") as file:
        file.seek(0)
        torn = file.read().rpartition(b"\n")[2]
        if torn:
            file.truncate(file.tell() - len(torn))
        file.write(text)


def read_jsonl(path: str | Path) -> list[dict]:
    """The rows of a file of JSON lines; a half-written last line is left out.

    Args:
        path: the file.

    Returns:
        A dictionary for each line.

    Raises:
        ValueError: a complete line that is not JSON, with its number.
    """
    lines = Path(path).read_text(encoding="utf-8").split("\n")[:-1]
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{Path(path).name}, line {number} is not JSON ({error.msg}): the samples after "
                "it cannot be trusted to be complete. Restore the file, or delete that line."
            ) from error
    return rows

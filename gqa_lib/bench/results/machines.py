"""Where runs were measured: what is the same for all of them, and in what they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from .kept import KeptRun
from .points import shown

KNOWN = {  # what a reader needs of the environment; what else is there is in the table
    "CPU": "cpu_model",
    "cores": "cpu_affinity",
    "threads": "num_threads",
    "memory": "ram_bytes",
    "GPU": "gpu_name",
    "driver": "gpu_driver",
    "device": "device",
    "system": "system",
    "Python": "python",
    "torch": "torch",
    "triton": "triton",
    "commit": "commit",
    "changed since": "dirty",
}
_RANGES = (
    ("load before", "load_before", 1, ""),
    ("bandwidth", "bandwidth_bytes_per_s", 1e9, " GB/s"),
    ("arithmetic", "flops_per_s", 1e9, " GFLOP/s"),
)


def machines(runs: Sequence[KeptRun]) -> dict[str, Any]:
    """Return where runs were measured.

    Args:
        runs: as `read_runs` gives them; those that never came to say it are passed over.

    Returns:
        "same": what all have in common, by its name; "differ": for each machine, or state of one,
        what tells it from the others and "runs", how many it had; "names": of what differs.
    """
    groups: dict[tuple, list[KeptRun]] = defaultdict(list)
    for run in runs:
        if run.environment:
            groups[tuple(state(run, key) for key in KNOWN.values())].append(run)
    tables = [dict(zip(KNOWN, values, strict=True)) for values in groups]
    same = {
        label: tables[0][label]
        for label in KNOWN
        if tables and len({table[label] for table in tables}) == 1 and tables[0][label]
    }
    differ = [
        {label: value for label, value in table.items() if label not in same and value}
        | _ranges(group)
        | {"runs": str(len(group))}
        for table, group in zip(tables, groups.values(), strict=True)
    ]
    if len(differ) == 1:
        return {"same": same | differ[0], "differ": [], "names": []}
    labels = (*KNOWN, *(label for label, *_ in _RANGES), "runs")
    names = [label for label in labels if any(label in one for one in differ)]
    return {"same": same, "differ": differ, "names": names}


def state(run: KeptRun, key: str) -> str:
    """Return what the environment of a run says, as text.

    Args:
        run: the run.
        key: of its environment; one of KNOWN.
    """
    value = run.environment.get(key)
    if key == "ram_bytes" and isinstance(value, int):
        return f"{value / 2**30:.0f} GiB"
    if key == "commit" and value:
        return str(value)[:12]
    return "yes" if value is True else "" if value is False else shown(value)


def _ranges(runs: Sequence[KeptRun]) -> dict[str, str]:
    """Between which values lies what was measured, or found, at each run."""
    found = {}
    for label, key, scale, unit in _RANGES:
        values = [run.environment.get(key) for run in runs]
        numbers = sorted(value / scale for value in values if isinstance(value, int | float))
        if numbers:
            ends = dict.fromkeys(f"{value:,.3g}" for value in (numbers[0], numbers[-1]))
            found[label] = " to ".join(ends) + unit
    return found

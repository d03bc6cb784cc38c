"""Records of runs that could not leave one: their machine ended them, or never began."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from ...inside import commit
from ...jobs import Job, folder_name, identity
from ...machine import Slot, described
from ...paths import without_paths

_NO_RESULTS = ("killed", "interrupted")


def lost(job: Job, out: Path, why: str, *, engine: str, wall_s: float = 0.0) -> dict:
    """Leave and return the record of a run that an engine lost: its status is "killed".

    Args:
        job: the run.
        out: the sweep's folder.
        why: what became of it.
        engine: what ran it; in place of the device, which nobody knows.
        wall_s: seconds that it ran.
    """
    known = identity(job, f"unknown, {engine}")
    folder = folder_name(job, engine)
    record = {"benchmark": job.name, "params": job.params, **known, "timeout_s": job.timeout_s}
    record |= {"status": "killed", "error": why, "wall_s": round(wall_s, 3), "folder": folder}
    kept = without_paths(record | {"result": None})
    (out / folder).mkdir(parents=True, exist_ok=True)
    commit(out / folder / "record.json", kept)
    return kept


def left_by(job: Job, out: Path, slot: Slot | None = None) -> dict | None:
    """Return the record of a run on this machine that was stopped; None if it had not begun.

    Args:
        job: the run.
        out: the sweep's folder.
        slot: what the run might use.
    """
    folder = out / folder_name(job, described(job.params, slot or Slot()))
    try:
        return json.loads((folder / "record.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def superseded(out: Path, records: Iterable[dict]) -> None:
    """Remove what earlier tries left of runs that have a result now, perhaps on another machine.

    Args:
        out: the sweep's folder.
        records: of its runs.
    """
    done = {
        (record["point"], record["repeat"]): record["folder"]
        for record in records
        if record["status"] not in _NO_RESULTS
    }
    for path in out.glob("*/record.json"):
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
            run, status = (old["point"], old["repeat"]), old["status"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if status in _NO_RESULTS and done.get(run, path.parent.name) != path.parent.name:
            shutil.rmtree(path.parent, ignore_errors=True)

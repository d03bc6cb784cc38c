"""One task of a Slurm array: runs the job of its number, and leaves where its record is.

    python -m gqa_lib.bench.sweeps.engines.slurm_task gqa-0123456789ab.jsonl

It is started in the folder `.slurm` of the sweep's.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from gqa_lib.bench.inside import commit
from gqa_lib.bench.jobs import Job
from gqa_lib.bench.run import run_job
from gqa_lib.bench.sweeps.engines.lost import left_by


def main(tasks: Path, number: int) -> int:
    """Run one job and return the exit code: 0 if its result is there.

    Args:
        tasks: file with a line for each task.
        number: of the line.
    """
    line = json.loads(tasks.read_text(encoding="utf-8").splitlines()[number])
    job, answer = Job(**line["job"]), tasks.parent / "answers" / f"{line['name']}.json"
    out = tasks.resolve().parent.parent
    answer.unlink(missing_ok=True)  # of this task before Slurm put it back into the queue
    try:
        record = run_job(job, out)
    except KeyboardInterrupt as stop:
        if left := left_by(job, out):
            commit(answer, {"folder": left["folder"], "cached": False, "stopped": str(stop)})
        return 1
    except Exception as error:
        commit(answer, {"lost": str(error) or type(error).__name__})
        raise
    commit(answer, {"folder": record["folder"], "cached": bool(record.get("cached"))})
    return int(record["status"] != "ok")


if __name__ == "__main__":
    if len(sys.argv) != 2 or "SLURM_ARRAY_TASK_ID" not in os.environ:
        raise SystemExit("`gqa bench run --slurm` submits this; it is a task of a Slurm array.")
    raise SystemExit(main(Path(sys.argv[1]), int(os.environ["SLURM_ARRAY_TASK_ID"])))

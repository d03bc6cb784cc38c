"""Makes a record of a run of the benchmark notebook `decode-latency`, to be kept here.

    python -m gqa_lib.records.keep RUN

RUN is the folder that `gqa bench decode-latency` reports.
"""

import re
import sys
from pathlib import Path

from gqa_lib.samples import read_jsonl, write_jsonl

from . import compact


def keep(run: Path, folder: Path = Path(__file__).parent) -> Path:
    """Write the record of a run and return its file.

    Args:
        run: its folder.
        folder: where the record goes.

    Raises:
        ValueError: the run is not complete, or there is a record of that machine, dtype and day.
    """
    if not (run / "result.json").exists():
        raise ValueError(f"{run} has no result.json: the run did not reach its end.")
    environment = read_jsonl(run / "environment.jsonl")[0]
    arms, samples = (read_jsonl(run / f"{name}.jsonl") for name in ("arms", "samples"))
    gpu = environment["gpu"] or {}
    place = gpu.get("name") or f"{environment['cpu_model']} {environment['num_threads']} threads"
    day = environment["utc"][:10].replace("-", "")
    slug = re.sub(r"[^a-z0-9]+", "-", f"{place} {samples[0]['p_dtype']}".lower()).strip("-")
    out = folder / f"decode-{slug}-{day}.jsonl"
    if out.exists():
        raise ValueError(f"{out} exists, and a record is not written twice: move one of them.")
    first = {"kind": "environment", "dry_run": False, **environment}
    write_jsonl(out, [first, *arms, *compact(samples), {"kind": "end"}])
    return out


if __name__ == "__main__":
    print(keep(Path(sys.argv[1])))

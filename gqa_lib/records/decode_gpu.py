"""Decode attention on a CUDA GPU: checked, timed against its peers, and recorded, in ten minutes.

    python -m gqa_lib.records.decode_gpu

It needs torch >= 2.9 and Triton in addition to what the library itself needs, and a GPU that is
used by nothing else meanwhile. The record is written as it grows, so that a run that was stopped
shows it: only the last row says that all was done.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

NUM_HEADS = 32
K = 1024
GRID = (  # (num_kv_heads, head_dim, [(batch_size, context)])
    (8, 128, [(1, K), (1, 4 * K), (1, 16 * K), (1, 128 * K), (8, 4 * K), (8, 32 * K)]),
    (8, 128, [(32, K), (32, 4 * K), (32, 16 * K), (128, 4 * K), (256, K), (256, 4 * K)]),
    (32, 128, [(1, K), (1, 4 * K), (1, 128 * K), (32, 4 * K), (256, K)]),
    (1, 128, [(1, 4 * K), (1, 128 * K), (32, 4 * K), (32, 32 * K), (256, 4 * K), (256, 16 * K)]),
    (4, 128, [(1, 16 * K), (32, 4 * K), (32, 32 * K)]),
    (8, 64, [(1, 4 * K), (32, 4 * K), (8, 128 * K)]),
    (32, 64, [(32, 4 * K)]),
    (4, 64, [(256, 4 * K)]),
    (1, 64, [(32, 32 * K)]),
)
DRY_GRID = ((2, 64, [(1, 64)]), (8, 64, [(2, 32)]))
FLEX_SHARE = 0.4  # of the time; compiling takes ten seconds or more a point


def main(argv: Sequence[str] | None = None) -> int:
    """Make a record, or print one; return 0 if every check passed.

    Args:
        argv: the command line's arguments; those of this process unless given.
    """
    arguments = _parser().parse_args(argv)
    if arguments.show:
        from gqa_lib.measure.samples import read_jsonl

        from . import expanded
        from .report import report

        print(report(expanded(read_jsonl(arguments.show))))
        return 0
    if arguments.dry_run:
        os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported, which is below
    import torch

    if not arguments.dry_run and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} sees no CUDA GPU, and this record is of one: nothing was "
            "measured. --dry-run goes through every step on the CPU with tiny sizes."
        )
        return 1
    device = torch.device("cpu" if arguments.dry_run else "cuda")
    out = arguments.out or _name(device, arguments.dry_run)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        print(f"{out} exists, and records are never overwritten: name another with --out.")
        return 1
    return record(out, device, arguments)


def _parser():
    parser = argparse.ArgumentParser(prog="python -m gqa_lib.records.decode_gpu")
    parser.add_argument("--out", type=Path, help="file to write (default: next to this program)")
    parser.add_argument(
        "--minutes", type=float, default=9, help="start no point after this many minutes (9)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="most measured rounds per point")
    parser.add_argument("--dry-run", action="store_true", help="tiny, on the CPU, interpreted")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print a record and exit")
    parser.add_argument(
        "--tile",
        action="append",
        default=[],
        type=lambda text: tuple(int(part) for part in text.split(",")),
        metavar="N,WARPS,STAGES",
        help="time this tile of the kernel too",
    )
    return parser


def record(out: Path, device: torch.device, arguments: argparse.Namespace) -> int:
    """Check, time and write the record; return 0 if every check passed.

    Args:
        out: the record's file, which grows.
        device: where the kernels run.
        arguments: minutes, rounds, dry_run and tile, as the command line has them.
    """
    import torch

    from gqa_lib.compare.checks import checks
    from gqa_lib.compare.table import copy_bandwidth
    from gqa_lib.compare.timing import time_copy
    from gqa_lib.measure import environment, write_jsonl

    from .report import report

    started, rows, dry = time.perf_counter(), [], arguments.dry_run

    def keep(new):
        new = list(new)
        write_jsonl(out, new)
        rows.extend(new)

    torch.manual_seed(0)
    keep([{"kind": "environment", "dry_run": dry, **environment(device)}])
    print(f"checks against float64; the record is {out}", flush=True)
    for row in checks(device, small=dry):
        keep([row])
    copy_bytes = 2**20 if dry else 2**31
    keep(time_copy(device, copy_bytes))
    bandwidth = copy_bandwidth(rows)
    for new in _time_grid(device, arguments, started, bandwidth):
        keep(new)
    keep(time_copy(device, copy_bytes))
    wrong = sum(row["kind"] == "check" and not row["ok"] for row in rows)
    keep([{"kind": "end", "wall_s": time.perf_counter() - started, "checks_failed": wrong}])
    print(report(rows))
    return 1 if wrong else 0


def _time_grid(device, arguments, started, bandwidth):
    """Yield the rows of each point, as long as there is time."""
    import torch

    from gqa_lib.compare.timing import TOO_SLOW, Point, time_points

    dry, flex_s = arguments.dry_run, 0.0
    points = [
        Point(B, S, Hkv, D) for Hkv, D, shapes in (DRY_GRID if dry else GRID) for B, S in shapes
    ]
    for number, point in enumerate(points):
        left_s = arguments.minutes * 60 - (time.perf_counter() - started)
        if left_s < 0:
            reason = f"{arguments.minutes:g} minutes were over"
            yield [{"kind": "skipped", "arm": None, **point._asdict(), "reason": reason}]
            continue
        print(f"{number + 1}/{len(points)} {point}, {left_s:.0f} s left", flush=True)
        skip = {}
        if flex_s > FLEX_SHARE * arguments.minutes * 60:
            skip["flex_compiled"] = f"compiling had taken {flex_s:.0f} s by then"
        rows = time_points(
            [point],
            NUM_HEADS,
            torch.float32 if dry else torch.bfloat16,
            device,
            functools.partial(_arms, tiles=arguments.tile, compiled=not dry),
            rounds=2 if dry else arguments.rounds,
            budget_s=left_s / (len(points) - number) / 2,
            graph_bandwidth=None if dry else bandwidth,
            skip=skip,
            rotate=not dry,
            too_slow=float("inf") if dry else TOO_SLOW,
        )
        yield rows
        flex_s += sum(row.get("setup_s", 0) for row in rows if row["arm"] == "flex_compiled")
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _arms(point, q, k, v, *, tiles, compiled):
    from gqa_lib.compare.arms import library_arms, peer_arms, triton_variants

    ours = {"triton": library_arms(q, k, v)["triton"]}
    variants = triton_variants(q, point.num_kv_heads, point.context, tiles)
    return ours | variants | peer_arms(q, point.num_kv_heads, compiled=compiled)


def _name(device, dry) -> Path:
    """Where a record goes: next to this program, by the GPU's name and the day."""
    day = time.strftime("%Y%m%d", time.gmtime())
    if dry:
        return Path("runs") / f"decode-dry-{os.getpid()}-{day}.jsonl"
    import torch

    gpu = re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name(device).lower()).strip("-")
    return Path(__file__).parent / f"decode-{gpu}-{day}.jsonl"


if __name__ == "__main__":
    raise SystemExit(main())

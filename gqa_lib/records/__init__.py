"""Measurements kept from machines that are not at hand: one file of JSON lines each.

A record is shown as recorded, with its machine and date, never as measured now. How they are made:
`python -m gqa_lib.records.decode_gpu` on a machine with a CUDA GPU.
"""

from pathlib import Path

from gqa_lib.samples import read_jsonl

__all__ = ["read", "recorded"]


def recorded(name: str = "decode") -> list[Path]:
    """Return the files of the records kept here, oldest first; none where none was made yet.

    Args:
        name: of the benchmark that they are of, such as "decode".
    """
    return sorted(Path(__file__).parent.glob(f"{name}-*.jsonl"), key=lambda path: path.stem[-8:])


def read(path: str | Path) -> list[dict]:
    """Return a record's rows, each with a `kind`: environment, check, arm, sample, end.

    Raises:
        ValueError: the run did not reach its end, or was a dry run, which times nothing real.
    """
    rows = read_jsonl(path)
    kinds = [row["kind"] for row in rows]
    if "end" not in kinds:
        raise ValueError(
            f"{Path(path).name} has {len(rows)} rows and no end: the run was stopped, and what is "
            "missing may be what was slow. Run it again."
        )
    if rows[0].get("dry_run"):
        raise ValueError(
            f"{Path(path).name} is of a dry run on {rows[0]['device']}: its times say nothing of a "
            "GPU. Run it on one."
        )
    return rows

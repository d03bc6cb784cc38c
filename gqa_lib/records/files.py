"""The files of the records: which there are, and what their rows are."""

from pathlib import Path

from gqa_lib.measure.samples import read_jsonl

_OF_A_SAMPLE = ("value", "round", "sample", "phase", "quiet")


def recorded(name: str = "decode") -> list[Path]:
    """Return the files of the records kept here, oldest first; none where none was made yet.

    Args:
        name: of the benchmark that they are of, such as "decode".

    Returns:
        Paths, for `read`.
    """
    return sorted(Path(__file__).parent.glob(f"{name}-*.jsonl"), key=lambda path: path.stem[-8:])


def read(path: str | Path) -> list[dict]:
    """Return a record's rows, each with a `kind`: environment, check, arm, sample, read, end.

    Args:
        path: the record's file.

    Returns:
        Dictionaries, a row for each sample; times are seconds.

    Raises:
        ValueError: the run did not reach its end, or was a dry run, which times nothing real.
    """
    rows = expanded(read_jsonl(path))
    kinds = [row["kind"] for row in rows]
    if "end" not in kinds:
        raise ValueError(
            f"{Path(path).name} has {len(rows)} rows and no end: the run was stopped, and what is "
            "missing may be what was slow. Run it again."
        )
    if rows[0].get("dry_run"):
        raise ValueError(
            f"{Path(path).name} is of a dry run on {rows[0]['device']}: its times say nothing "
            "about a GPU. Run it on one."
        )
    return rows


def about(environment: dict) -> str:
    """Return where and when a record was made, in a line.

    Args:
        environment: the record's first row, as from `gqa_lib.measure.environment`.
    """
    gpu = environment.get("gpu") or {}
    place = gpu.get("name") or f"{environment['cpu_model']}, {environment['num_threads']} threads"
    text = f"{place}, " + (f"driver {gpu['driver']}, " if gpu else "")
    text += "torch {torch}, triton {triton}, {utc}".format(**environment)
    return text + ("  - DRY RUN: these times mean nothing" if environment.get("dry_run") else "")


def compact(rows: list[dict]) -> list[dict]:
    """Return the rows with all samples of an arm, or of a read, at a point in one row.

    Args:
        rows: as measured, a row for each sample.

    Returns:
        Rows without a sample first, as they are; then a row for each arm and point, whose value,
        round, sample, phase and quiet are lists.
    """
    others = [row for row in rows if "value" not in row]
    groups: dict[tuple, dict] = {}
    for row in rows:
        if "value" in row:
            shared = {k: v for k, v in row.items() if k not in _OF_A_SAMPLE}
            group = groups.setdefault(
                tuple(shared.items()), shared | {name: [] for name in _OF_A_SAMPLE}
            )
            for name in _OF_A_SAMPLE:
                group[name].append(row[name])
    return others + list(groups.values())


def expanded(rows: list[dict]) -> list[dict]:
    """Return rows as `compact` was given them, with a row for each sample.

    Args:
        rows: as from `compact`; a row without lists stays as it is.

    Returns:
        A row for each sample.
    """
    out = []
    for row in rows:
        if not isinstance(row.get("value"), list):
            out.append(row)
            continue
        shared = {k: v for k, v in row.items() if k not in _OF_A_SAMPLE}
        for values in zip(*(row[name] for name in _OF_A_SAMPLE), strict=True):
            out.append(shared | dict(zip(_OF_A_SAMPLE, values, strict=True)))
    return out

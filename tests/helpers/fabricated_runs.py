"""Folders of runs as `gqa bench` leaves them, made up."""

import json
from pathlib import Path

MARKDOWN = "# A question\n$2 \\times n$ is $\\text{head\\_dim}$, `$HOME`; $ and $\\frac$"
ENVIRONMENT = {
    "utc": "2026-11-30T12:00:00+00:00",
    "cpu_model": "A CPU",
    "device": "cpu",
    "num_threads": 2,
    "torch": "2.14.0",
    "commit": "0123456789abcdef",
    "dirty": False,
    "load_before": 0.1,
    "gpu": {"name": "A GPU", "driver": "1"},
}


def write_run(out: Path, name: str, samples: list[dict], **of_record) -> Path:
    """Write a run, finished unless the record says otherwise; return its folder.

    Args:
        out: the folder of the runs.
        name: the run's.
        samples: its rows.
        of_record: what the record has besides; "arms" are rows of arms.jsonl, "rows" of
            result.json, "environment" what differs in it.
    """
    folder = out / name
    folder.mkdir(parents=True)
    arms, rows = of_record.pop("arms", None), of_record.pop("rows", [])
    about = ENVIRONMENT | of_record.pop("environment", {})
    record = {"benchmark": "decode-latency", "params": {}, "repeat": 0, "status": "ok"}
    record |= {"error": None, "started_at": 1.8e9, "wall_s": 3.2, "folder": name} | of_record
    if record["status"] == "ok":
        record["result"] = {"finding": f"{name} found it.", "rows": rows, "environment": about}
    write_lines(folder / "environment.jsonl", [about])
    write_lines(folder / "samples.jsonl", samples)
    if arms is not None:
        write_lines(folder / "arms.jsonl", arms)
    (folder / "record.json").write_text(json.dumps(record))
    return folder


def write_lines(path: Path, rows: list[dict]) -> None:
    """Write a file of JSON lines.

    Args:
        path: the file.
        rows: one a line.
    """
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def times(values, arm="fold", **params) -> list[dict]:
    """Return samples of time, a round each.

    Args:
        values: in seconds.
        arm: of all.
        params: of the point.
    """
    return [
        {"kind": "sample", "metric": "time", "unit": "s", "arm": arm, "round": number, "sample": 0}
        | {"value": value, "phase": "measure", "quiet": True}
        | {f"p_{name}": one for name, one in params.items()}
        for number, value in enumerate(values)
    ]


def tried(*arms, own, **params) -> list[dict]:
    """Return the rows of arms that were tried at a point.

    Args:
        arms: their names.
        own: the one that the library chose.
        params: of the point.
    """
    return [
        {"kind": "arm", "arm": arm, "own": arm == own, "status": "timed"}
        | {f"p_{name}": one for name, one in params.items()}
        for arm in arms
    ]


def steady(middle: float, spread: float = 0.01, many: int = 9) -> list[float]:
    """Return values around a middle, in an order that means nothing.

    Args:
        middle: their median.
        spread: how far the furthest is from it, as a share.
        many: how many; odd.
    """
    half = many // 2
    return [middle * (1 + spread * ((5 * n) % many - half) / half) for n in range(many)]


def write_notebook(folder: Path, source: str, output: str) -> None:
    """Write an executed notebook of one cell.

    Args:
        folder: of the run.
        source: of the cell.
        output: what it printed.
    """
    cells = [
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": MARKDOWN,
        },
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "source": source,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": output}],
        },
    ]
    kept = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    (folder / "executed.ipynb").write_text(json.dumps(kept))


def sweep(out: Path) -> None:
    """Write two contexts with two numbers of KV heads each, three times, on two machines.

    Args:
        out: the folder of the runs.
    """
    for number in range(3):
        for context in (1024, 4096):
            samples, arms, rows = [], [], []
            for heads, share in ((8, 0.8), (1, 0.25)):
                here = {"context": context, "num_kv_heads": heads}
                own = steady(context * heads * (1 + 0.002 * number) / 1e6)
                samples += times(own, "fold", **here)
                samples += times([2 * value for value in own], "sdpa", **here)
                arms += tried("fold", "sdpa", own="fold", **here)
                rows.append(here | {"share": share})
            folder = write_run(
                out,
                f"run{number}-{context}",
                samples,
                arms=arms,
                rows=rows,
                repeat=number,
                params={"context": [context], "num_kv_heads": [8, 1]},
                environment={"torch": f"2.{14 + number // 2}.0"},
                started_at=1.8e9 + number,
            )
            write_notebook(folder, "print(1 < 2)", "True and <b>bold</b>")

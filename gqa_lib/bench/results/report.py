"""`gqa bench report`: a folder of runs as one table and one page that loads nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gqa_lib.course.extras import require

from ..jobs import last_line
from ..notebooks import about, benchmarks
from .kept import KeptRun, read_runs
from .machines import machines
from .pages import environment, notebook_pages
from .pictures import picture
from .points import Block, blocks, varying
from .series import Series, all_series
from .tables import flat, sample_rows, write_tables

_NEEDED = ("jinja2", "latex2mathml", "matplotlib", "nbconvert", "pyarrow", "scipy")
CLASSES = {
    **dict.fromkeys(("ok", "faster", "better"), "good"),
    **dict.fromkeys(("slower", "worse", "error", "timeout", "killed", "unreadable"), "bad"),
    **dict.fromkeys(("ambiguous", "interrupted", "never ended"), "open"),
}


def write_report(folder: Path, output: Path, *, margin: float = 0.05) -> str:
    """Write a report of a folder of runs, and return what there is, in lines.

    Args:
        folder: of the runs.
        output: where index.html, samples.csv, samples.parquet and notebooks/ go.
        margin: difference that would matter; 0.05 is 5 %.

    Raises:
        ValueError: there are no runs.
        ModuleNotFoundError: something of the extra `bench` is not installed.
    """
    for module in _NEEDED:
        require(module)
    runs, unfinished = read_runs(folder)
    rows = sample_rows(runs)
    tables = write_tables(rows, output)
    links = notebook_pages(runs, output)
    statuses = Counter(run.status for run in runs)
    if unfinished:
        statuses["never ended"] = len(unfinished)
    series = all_series(runs)
    names = list(dict.fromkeys(run.benchmark for run in runs if run.status != "unreadable"))
    template = environment().get_template("report.html.j2")
    page = template.render(
        title=folder.resolve().name,
        statuses=dict(statuses),
        when=_when(runs),
        margin=f"{margin:.3g}" if margin < 0.001 else f"{100 * margin:g} %",
        classes=CLASSES,
        machine=machines(runs),
        benchmarks=[_benchmark(name, runs, series, links, margin) for name in names],
        failed=_failed(runs, unfinished, links),
    )
    (output / "index.html").write_text(page, encoding="utf-8", errors="replace")
    said = ", ".join(f"{count} {word}" for word, count in statuses.items())
    return "\n".join([f"{said}: {len(rows):,} rows", *map(str, [output / "index.html", *tables])])


def _when(runs: Sequence[KeptRun]) -> str:
    known = [run.record.get("started_at") for run in runs]
    times = [datetime.fromtimestamp(at, UTC) for at in known if isinstance(at, int | float)]
    if not times:
        return ""
    first, last = min(times), max(times)
    days = dict.fromkeys(f"{at:%Y-%m-%d %H:%M}" for at in (first, last))
    return f"Begun {' to '.join(days)} UTC."


def _benchmark(
    name: str,
    runs: Sequence[KeptRun],
    series: Sequence[Series],
    links: dict[str, dict[str, str]],
    margin: float,
) -> dict[str, Any]:
    own = [run for run in runs if run.benchmark == name]
    here = [one for one in series if one.benchmark == name]
    known = benchmarks().get(name)
    differing = _differing(own)
    return {
        "name": name,
        "question": about(known)["question"] if known else "",
        "runs": [
            {"finding": run.result.get("finding") or "It says no finding.", "html": "", "ipynb": ""}
            | {"about": _about(run, differing)}
            | links.get(run.name, {})
            for run in own
            if run.status == "ok"
        ],
        "fixed": _fixed(here),
        "blocks": [_drawn(name, block) for block in blocks(here, margin)],
    }


def _drawn(name: str, block: Block) -> dict[str, Any]:
    svg, alt, left_out = picture(block, f"{name} {block.metric}")
    shared = {
        "title": f"{name}: {block.metric}",
        "unit": "" if block.unit == "1" else block.unit,
        "speed": block.speed,
        "chosen": False,
        "shares": False,
    }
    return shared | {
        "metric": block.metric.replace("_", " "),
        "names": block.names,
        "rows": block.rows,
        "against": block.against,
        "compared": any(row["ratio"] for row in block.rows),
        "shares": any(row["share"] for row in block.rows),
        "chosen": any(row["names"] for row in block.rows),
        "others": block.others,
        "of_others": shared
        | {"title": f"{name}: {block.metric}, other arms"}
        | {"names": [*(one for one in block.names if one != "arm"), "arm"]}
        | {"compared": any(row["ratio"] for row in block.others)},
        "more": block.more,
        "svg": svg,
        "alt": alt,
        "left_out": left_out,
    }


def _fixed(series: Sequence[Series]) -> str:
    """The parameters that are the same at all points, in a line."""
    names = set(varying(series))
    first = series[0].params if series else {}
    return ", ".join(f"{k}={flat(v)}" for k, v in first.items() if k not in names and v != "")


def _differing(runs: Sequence[KeptRun]) -> list[str]:
    """The parameters in which the runs of a benchmark differ."""
    names = dict.fromkeys(name for run in runs for name in run.params)
    return [name for name in names if len({json.dumps(run.params.get(name)) for run in runs}) > 1]


def _about(run: KeptRun, differing: Sequence[str]) -> str:
    told = [f"{name}={flat(run.params[name])}" for name in differing if name in run.params]
    repeat = run.record.get("repeat")
    told += [f"repeat {repeat + 1}"] if isinstance(repeat, int) else []
    seconds = run.record.get("wall_s")
    told += [f"{seconds:.0f} s"] if isinstance(seconds, int | float) else []
    return ", ".join(told)


def _failed(
    runs: Sequence[KeptRun], unfinished: Sequence[str], links: dict[str, dict[str, str]]
) -> list[dict[str, Any]]:
    failed = []
    for run in runs:
        if run.failed:
            error = str(run.record.get("error") or "").strip()
            asked = run.record.get("params")
            params = asked if isinstance(asked, dict) else {}
            told = [f"{name}={flat(value)}" for name, value in params.items()]
            failed.append(
                {"benchmark": run.benchmark, "status": run.status, "error": error}
                | {"last": last_line(error), "html": "", "ipynb": ""}
                | {"about": ", ".join([*told, _about(run, []), run.name])}
                | links.get(run.name, {})
            )
    never = {"status": "never ended", "error": "", "html": "", "ipynb": ""}
    said = "Its folder has no record.json: it goes on, or was ended before it wrote one."
    return failed + [
        never | {"benchmark": name, "last": said, "about": name} for name in unfinished
    ]

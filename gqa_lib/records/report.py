"""A record as text: where and when it was made, its points, and what went wrong."""

import html

from gqa_lib.compare import table
from gqa_lib.processes import in_ipython

from . import about, read, recorded, trained


def report(rows: list[dict]) -> str:
    """Return a record as text.

    Args:
        rows: of kinds environment, check, arm, sample and read.

    Returns:
        Lines: the machine, a table of the points, gains of fewer KV heads, checks, arms not timed.
    """
    found = sorted(table.points(rows), key=_order)
    checks = [row for row in rows if row["kind"] == "check"]
    wrong = [row["name"] for row in checks if not row["ok"]]
    lines = [about(rows[0]), table.table(found, on_gpu=bool(rows[0].get("gpu")))]
    lines += [
        f"in pages {point['paged']:.2f} of the contiguous cache's time: {_where(point)}"
        for point in found
        if point["paged"]
    ]
    lines += table.gains(found)
    if checks:
        lines.append(f"{len(checks) - len(wrong)} of {len(checks)} checks against float64 passed")
    lines += [f"  WRONG: {name}" for name in wrong]
    return "\n".join(lines + table.not_timed(rows))


def show_recorded(name: str = "decode") -> None:
    """Show the records kept here, newest first, each labelled as recorded, not measured now.

    In a notebook each is a line that unfolds.

    Args:
        name: of the benchmark that the records are of: "decode", "quality" or "uptraining".

    Raises:
        ValueError: a record is not complete.
    """
    gpus = []
    for path in reversed(recorded(name)):
        rows = read(path)
        gpus.append(rows[0].get("gpu"))
        text = report(rows) if name == "decode" else trained.report(rows)
        _show(f"RECORDED, not measured in this run: {about(rows[0])}", text)
    if name == "decode" and not any(gpus):
        print("No record of a GPU has been made yet: gqa_lib/records/README.md says how.")


def _show(title: str, text: str) -> None:
    plain = f"{title}\n{text}\n"
    if not in_ipython():
        print(plain)
        return
    from IPython.display import display

    opens = f"<summary>{html.escape(title)}</summary><pre>{html.escape(text)}</pre>"
    page = {"text/html": f"<details>{opens}</details>", "text/plain": plain}
    display(page, raw=True)


def _order(point):
    names = ("head_dim", "batch_size", "context")
    return [*(point[name] for name in names), -point["num_kv_heads"]]


def _where(point):
    return "batch {batch_size}, {context} tokens, {num_kv_heads} KV heads, d {head_dim}".format(
        **point
    )

"""`gqa bench`: which benchmarks there are, what each takes, and running them."""

from __future__ import annotations

import json
from argparse import Action, ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from .command import folder, number


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gqa bench`.

    Args:
        parser: the command's.
    """
    parser.add_argument("name", nargs="*", help="benchmark (default: all)")
    parser.add_argument(
        "-h",
        "--help",
        action=_Help,
        nargs="*",
        metavar="NAME",
        help="show this; with a benchmark's name, its parameters",
    )
    parser.add_argument(
        "--list", action="store_true", help="list the benchmarks, with their seconds; run none"
    )
    parser.add_argument(
        "-p",
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the notebook, for example context=16384; may be repeated",
    )
    parser.add_argument(
        "--out", type=folder, default="runs", help="folder for the results (default: runs)"
    )
    parser.add_argument(
        "--timeout", type=number(above=0), help="stop a run after this many seconds"
    )
    parser.add_argument("--json", action="store_true", help="print the records as JSON")


def run(asked: Namespace) -> int:
    """Run the benchmarks, or list them, and return the exit code.

    Args:
        asked: the parsed arguments.
    """
    from gqa_lib.bench.now import find_benchmarks, main

    if asked.list:
        print(listed(find_benchmarks(asked.name), as_json=asked.json))
        return 0
    return main(asked.name, asked.param, Path(asked.out), asked.timeout, as_json=asked.json)


def listed(notebooks: list[Path], *, as_json: bool = False) -> str:
    """Return the benchmarks as text, a line each.

    Args:
        notebooks: their paths.
        as_json: as JSON instead.
    """
    from gqa_lib.bench.notebooks import about

    rows = [about(notebook) for notebook in notebooks]
    if as_json:
        return json.dumps(rows, indent=1, ensure_ascii=False)
    width = max(len(row["name"]) for row in rows)
    lines = []
    for row in rows:
        times = "times" if row["times"] else "no timing"
        seconds = f"{row['seconds']} s" if row["seconds"] else ""
        lines.append(f"{row['name']:{width}}  {times:9}  {seconds:>5}  {row['question']}")
    last = "Seconds are at the defaults, on two free CPU cores. Run those that time alone."
    return "\n".join([*lines, last])


def described(notebook: Path) -> str:
    """Return what a benchmark measures and its parameters, as text.

    Args:
        notebook: its path.
    """
    from gqa_lib.bench.notebooks import about
    from gqa_lib.bench.notebooks import described as parameters

    known = [one for one in parameters(notebook).values() if one.name != "out_dir"]
    shown = [(f"{one.name}={_written(one.default)}", one) for one in known]
    width = min(32, max(len(text) for text, _ in shown))
    lines = [
        f"  {text:{width}}  {one.kind:5}  {one.help}"
        if len(text) <= width
        else f"  {text}\n  {'':{width}}  {one.kind:5}  {one.help}"
        for text, one in shown
    ]
    head = about(notebook)
    return "\n".join(
        [
            f"{notebook.stem}: {head['question']}",
            f"\nusage: gqa bench {notebook.stem} [-p NAME=VALUE ...] [--out FOLDER] "
            "[--timeout SECONDS] [--json]",
            "\nparameters, with their defaults (a list makes a grid; one value is a list of it):",
            *lines,
        ]
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


class _Help(Action):
    """Prints the command's help, or the named benchmarks' parameters, and exits."""

    def __call__(self, parser, namespace, values, option_string=None):
        from gqa_lib.bench.now import find_benchmarks

        names = [*(getattr(namespace, "name", None) or []), *values]
        if not names:
            parser.print_help()
            parser.exit()
        try:
            chosen = find_benchmarks(names)
        except ValueError as trouble:
            parser.exit(2, f"gqa: {trouble}\n")
        print("\n\n".join(map(described, chosen)))
        parser.exit()

"""Executed notebooks as pages that load nothing and run nothing, each next to its notebook."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gqa_lib.course.extras import require

from .kept import KeptRun

if TYPE_CHECKING:
    from jinja2 import Environment

_FORMULA = re.compile(r"(?<![\\$`])\$([^$`\n]+)\$(?!\$)")


def environment() -> Environment:
    """Return what makes pages of this package's templates; whatever goes in is text."""
    require("jinja2")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def notebook_pages(runs: Iterable[KeptRun], folder: Path) -> dict[str, dict[str, str]]:
    """Write a page for each run's executed notebook, unless there is one that is not older.

    Args:
        runs: as `read_runs` gives them.
        folder: of the report; the pages go into `notebooks` in it.

    Returns:
        By the run's name: "html" and "ipynb", where they are, seen from the report. Of a notebook
        that cannot be read, such as one that was cut off, there is no "html".

    Raises:
        ModuleNotFoundError: nbconvert is not installed; the message says how to install it.
    """
    require("nbconvert")
    target = folder / "notebooks"
    target.mkdir(parents=True, exist_ok=True)
    exporter, found = None, {}
    for run in runs:
        source = run.folder / "executed.ipynb"
        if not source.is_file():
            continue
        copy, page = (target / f"{run.name}.{ending}" for ending in ("ipynb", "html"))
        if not page.is_file() or page.stat().st_mtime < source.stat().st_mtime:
            shutil.copyfile(source, copy)
            exporter = exporter or _exporter()
            _write(exporter, run, source, page)
        found[run.name] = {
            path.suffix[1:]: f"notebooks/{path.name}" for path in (copy, page) if path.is_file()
        }
    return found


def _exporter() -> Any:
    from nbconvert.exporters import HTMLExporter

    return HTMLExporter(template_name="basic")


def _as_mathml(formula: re.Match) -> str:
    """A formula as browsers show it without scripts; one that cannot be read, as it is."""
    from latex2mathml.converter import convert

    try:
        return convert(formula[1])
    except Exception:  # latex2mathml raises many kinds, one per way to be wrong
        return formula[0]


def _write(exporter: Any, run: KeptRun, source: Path, page: Path) -> None:
    import nbformat

    try:
        notebook = nbformat.read(source, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = _FORMULA.sub(_as_mathml, cell.source)
        body, resources = exporter.from_notebook_node(notebook)
    except Exception:  # nbformat and nbconvert raise many kinds over what is no notebook
        page.unlink(missing_ok=True)
        return
    body = body.replace('<div class="output_area">', '<div class="output_area" tabindex="0">')
    template = environment().get_template("notebook.html.j2")
    styles = "\n".join(resources.get("inlining", {}).get("css", []))
    page.write_text(
        template.render(title=run.name, benchmark=run.benchmark, body=body, styles=styles),
        encoding="utf-8",
        errors="replace",
    )

"""Keeps of a cell's outputs only what cannot become markup: plain text, PNG and JPEG images."""

import re
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from .images import Room

MAX_TEXT = 100_000  # characters of one output
MAX_OUTPUTS = 200  # of one cell
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links of terminals
    r"|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\^_]?"  # colours, cursor
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
NOT_SHOWN = "(an output that is neither text nor a PNG or JPEG image of a size that fits)"
IMAGES = ("image/png", "image/jpeg")


class SanitizeOutputs(NbGraderPreprocessor):
    """Cleans the outputs of every cell, so that the graded notebook holds nothing that acts."""

    def preprocess(self, nb, resources):
        """Return the notebook with clean outputs."""
        clean_cells(nb.cells)
        return nb, resources


def clean_cells(cells: list[NotebookNode]) -> None:
    """Clean the outputs of the code cells of one page."""
    room = Room()
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs = clean_outputs(cell.outputs, room)


def clean_outputs(outputs: list, room: Room | None = None) -> list[NotebookNode]:
    """Return the outputs as text and images; what is malformed is left out.

    Args:
        outputs: of one cell.
        room: for the images of the page that the cell is on; that of a page unless given.
    """
    room = room or Room()
    cleaned = (_clean(output, room) for output in outputs[:MAX_OUTPUTS])
    return [NotebookNode(output) for output in cleaned if output]


def plain(text: Any) -> str:
    """Return text as it is read: no terminal codes, no control characters, not too long."""
    if isinstance(text, list):
        text = "".join(part for part in text if isinstance(part, str))
    if not isinstance(text, str):
        return ""
    text = _ESCAPES.sub("", text[: 2 * MAX_TEXT])
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    text = "\n".join(lines)  # of a line that a progress bar wrote again and again, the last
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "\n(cut off here)"


def _clean(output, room: Room) -> dict | None:
    kind = output.get("output_type") if isinstance(output, dict) else None
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": kind, "name": name, "text": plain(output.get("text"))}
    if kind == "error":
        lines = output.get("traceback")
        return {
            "output_type": kind,
            "ename": plain(output.get("ename")),
            "evalue": plain(output.get("evalue")),
            "traceback": [plain(line) for line in lines if isinstance(line, str)]
            if isinstance(lines, list)
            else [],
        }
    if kind in ("display_data", "execute_result"):
        return _clean_data(kind, output, room)
    return None


def _dict(value) -> dict:
    return value if isinstance(value, dict) else {}


def _clean_data(kind: str, output: dict, room: Room) -> dict:
    given, given_metadata = _dict(output.get("data")), _dict(output.get("metadata"))
    data: dict[str, str] = {}
    metadata: dict[str, dict] = {}
    for mimetype in IMAGES:
        content = given.get(mimetype)
        content = "".join(content) if isinstance(content, list) else content
        if isinstance(content, str) and room.takes(mimetype, content):
            data[mimetype] = "".join(content.split())
            about = given_metadata.get(mimetype)
            if isinstance(about, dict) and isinstance(about.get("alt"), str):
                metadata[mimetype] = {"alt": plain(about["alt"])[:1000]}
    text = plain(given.get("text/plain"))
    if text or not data:
        data["text/plain"] = text or NOT_SHOWN
    cleaned: dict[str, object] = {"output_type": kind}
    cleaned |= {"data": NotebookNode(data), "metadata": NotebookNode(metadata)}
    if kind == "execute_result":
        count = output.get("execution_count")
        cleaned["execution_count"] = count if isinstance(count, int) else None
    return cleaned

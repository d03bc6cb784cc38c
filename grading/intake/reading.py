"""Reads a submitted notebook: a few checks, then nbformat, in a process that may take so much.

A file of a few bytes can make nbformat take all of a machine's memory, and raise any exception.
Whatever comes of it, the caller gets a notebook of bounded size and known form, or a sentence.
"""

import hashlib
import json
import re
import threading
import warnings

import nbformat
from nbformat import NotebookNode

from grading.limited.call import Bounds, Exceeded, Raised, call

from .refusals import sealed_metadata

MAX_FILE = 50 * 2**20  # bytes, with its outputs
MAX_BYTES = 5 * 2**20  # without them
MAX_CELLS = 1000
MAX_SOURCE = 200_000  # characters of one cell
MAX_DEPTH = 100  # JSON values inside one another
MAX_PARTS = 200_000  # JSON values in all
AGAIN = "Open the lesson in JupyterLab, save it and submit again."
BOUNDS = Bounds(memory_mb=1024, cpu_s=10, answer_bytes=16 << 20)


class Refused(ValueError):
    """Something that does not come in; the message is a sentence for who handed it in."""


class CutOff(Refused):
    """It is not even JSON: the file may be cut off, or still be written."""


def parse(content: bytes) -> NotebookNode:
    """Return the notebook in a file's content, in the current format and without its outputs.

    Raises:
        Refused: it is not a notebook of nbformat 3 or 4 that is valid and of bounded size.
        OSError: the machine could not read it.
    """
    if len(content) > MAX_FILE:
        raise Refused(too_large(MAX_FILE))
    answer = json.loads(_known_answers.get(content))
    if "refused" in answer:
        raise (CutOff if answer["cut off"] else Refused)(answer["refused"])
    return nbformat.from_dict(answer["notebook"])


def too_large(limit: int) -> str:
    """Return what is said of a file of more than `limit` bytes."""
    return (
        f"it is larger than {limit / 2**20:g} MB, and grading reads no more. Clear its outputs "
        "(Edit > Clear Outputs of All Cells), save it and submit again."
    )


class _Answers:
    """What reading gave, for the contents read last: each is read several times in a grading."""

    MOST, LARGEST = 256, 512 * 1024  # answers, bytes of one

    def __init__(self):
        self._kept: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def get(self, content: bytes) -> bytes:
        """Return the answer for a content, kept or new."""
        key = hashlib.sha256(content).digest()
        with self._lock:
            answer = self._kept.pop(key, None)
        answer = answer or _in_child(content)
        if len(answer) <= self.LARGEST:
            with self._lock:
                self._kept[key] = answer
                if len(self._kept) > self.MOST:
                    del self._kept[next(iter(self._kept))]
        return answer


_known_answers = _Answers()


def _in_child(content: bytes) -> bytes:
    try:
        return call(answer_of, content, BOUNDS)
    except Exceeded:
        reason = f"reading it takes more than {BOUNDS}"
    except Raised as error:
        reason = f"it is not a notebook that can be read ({str(error)[:120]})"
    return _refusal(Refused(f"{reason}. {AGAIN}"))


def _refusal(refused: Refused) -> bytes:
    answer = {"refused": str(refused), "cut off": isinstance(refused, CutOff)}
    return json.dumps(answer).encode()


# In the child


def warm() -> None:
    """Read a notebook, so that nbformat's validators are made."""
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ""}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    _read(json.dumps(notebook).encode())


def answer_of(content: bytes) -> bytes:
    """Return the notebook in a file's content as JSON, or why there is none."""
    try:
        return json.dumps({"notebook": _read(content)}).encode()
    except Refused as refused:
        return _refusal(refused)


def _read(content: bytes) -> NotebookNode:
    data = _json(content)
    _drop_outputs(data)
    _check_extent(data)
    if not isinstance(data, dict) or data.get("nbformat") not in (3, 4):
        found = data.get("nbformat") if isinstance(data, dict) else None
        said = f"it says nbformat {found!r:.20}" if found is not None else "it names no nbformat"
        raise Refused(f"{said}, and notebooks here are nbformat 4 (or 3). {AGAIN}")
    for number in ("nbformat", "nbformat_minor"):
        if isinstance(data.get(number), float) and data[number].is_integer():
            data[number] = int(data[number])
    _lighten(data)
    if (size := len(text := json.dumps(data, ensure_ascii=False))) > MAX_BYTES:
        raise Refused(
            f"even without its outputs it is larger than {MAX_BYTES / 2**20:g} MB ({size} "
            "characters), and grading reads no more. Shorten its texts, save it and submit again."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about ids that older notebooks lack
            notebook = nbformat.reads(text, 4, capture_validation_error={})
            notebook = nbformat.validator.normalize(notebook, strip_invalid_metadata=True)[1]
            nbformat.validate(notebook, relax_add_props=True)
    except MemoryError:
        raise
    except Exception as error:  # nbformat raises many kinds, one per way to be broken
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Refused(f"it is not a valid notebook ({reason[:120]}). {AGAIN}") from None
    _check_cells(notebook)
    return notebook


def _json(content: bytes):
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise CutOff(f"it is not UTF-8 text, so it is not a notebook. {AGAIN}") from None
    except (ValueError, RecursionError):
        what = "it is empty" if not content.strip() else "it is not readable JSON"
        raise CutOff(f"{what}, so it is not a notebook. {AGAIN}") from None


def _drop_outputs(data) -> None:
    """Drop outputs and attachments, which grading never looks at, however large or deep they are.

    Of a notebook's JSON in format 4; of format 3, and where it is unsound, `_lighten` comes later.
    """
    cells = data.get("cells") if isinstance(data, dict) else None
    for cell in cells if isinstance(cells, list) else []:
        if isinstance(cell, dict):
            cell.pop("attachments", None)
            if "outputs" in cell:
                cell["outputs"] = []


def _check_extent(data) -> None:
    """Refuse JSON that is nested too deep, or in too many parts, for what reads it later."""
    level, parts = [data] if isinstance(data, dict | list) else [], 0
    for _ in range(MAX_DEPTH):
        parts += len(level)
        if parts > MAX_PARTS:
            raise Refused(f"it is made of more than {MAX_PARTS} parts. {AGAIN}")
        inside = (node.values() if isinstance(node, dict) else node for node in level)
        level = [part for parts_of in inside for part in parts_of if isinstance(part, dict | list)]
        if not level:
            return
    raise Refused(f"it is nested more than {MAX_DEPTH} levels deep. {AGAIN}")


def _cells(data: dict) -> list:
    """Return the cells of a notebook's JSON, of format 4 or 3."""
    if data["nbformat"] == 4:
        cells = data.get("cells")
    else:
        sheets = data.get("worksheets")
        cells = [
            cell
            for sheet in (sheets if isinstance(sheets, list) else [])
            if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)
            for cell in sheet["cells"]
        ]
    if not isinstance(cells, list) or not cells:
        raise Refused(f"it has no cells. {AGAIN}")
    if len(cells) > MAX_CELLS:
        raise Refused(f"it has {len(cells)} cells, and grading reads {MAX_CELLS} at most. {AGAIN}")
    return cells


def _lighten(data: dict) -> None:
    """Drop what grading never looks at, so that damage in there costs no points."""
    data["metadata"] = {"name": ""} if data["nbformat"] == 3 else sealed_metadata(data)
    for place, cell in enumerate(_cells(data), 1):
        metadata = (cell.get("metadata") or {}) if isinstance(cell, dict) else None
        if not isinstance(metadata, dict):
            raise Refused(f"its cell number {place} is damaged. {AGAIN}")
        ours = metadata.get("nbgrader")
        sound = isinstance(ours, dict) and isinstance(ours.get("grade_id"), str)
        cell["metadata"] = {"nbgrader": ours} if sound else {}
        cell.pop("attachments", None)
        if "id" in cell and not _is_id(cell["id"]):
            cell["id"] = f"cell-{place}"
        if cell.get("cell_type") == "code":
            cell |= {"outputs": [], "execution_count": None}


def _is_id(name) -> bool:
    return isinstance(name, str) and bool(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name))


def _check_cells(notebook: NotebookNode) -> None:
    """Refuse cells that are no cells: of a format still to come, nbformat validates nothing."""
    for place, cell in enumerate(notebook.cells, 1):
        if cell.get("cell_type") not in ("code", "markdown", "raw"):
            kind = f"{cell.get('cell_type')!r:.40}"
            raise Refused(f"its cell number {place} is of no known kind ({kind}). {AGAIN}")
        if not isinstance(cell.get("source"), str):
            raise Refused(f"its cell number {place} has no text. {AGAIN}")
        if len(cell.source) > MAX_SOURCE:
            raise Refused(
                f"its cell number {place} is longer than {MAX_SOURCE} characters. Shorten it and "
                "submit again."
            )
        try:
            cell.source.encode("utf-8")
        except UnicodeEncodeError:
            raise Refused(
                f"its cell number {place} holds characters that are not text. Retype the cell and "
                "submit again."
            ) from None

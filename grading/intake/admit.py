"""Opens what a learner handed in and trusts nothing about it.

A file is opened relative to its folder, without following links and without waiting; only a
regular file of the folder's owner, of bounded size, that is a notebook and valid, comes in.
Anything else becomes a small notebook that says why: it is graded 0 with that sentence in its
feedback, and the rest of the class is graded as ever.
"""

import errno
import json
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

from grading.nb.cells import as_text

MAX_BYTES = 5 * 2**20
MAX_CELLS = 1000
MAX_SOURCE = 200_000  # characters of one cell
MAX_DEPTH = 100  # JSON values inside one another
MAX_PARTS = 200_000  # JSON values in all
_AGAIN = "Open the lesson in JupyterLab, save it and submit again."
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Refused(ValueError):
    """Something that does not come in; the message is a sentence for who handed it in."""


@dataclass(frozen=True)
class Admitted:
    """One expected notebook of a submission.

    `content` is the file to grade: the learner's own, or one that tells the `verdict`. The
    verdict is "" and `notebook` is there (without its outputs) when it was accepted.
    """

    name: str
    content: bytes
    notebook: NotebookNode | None = None
    verdict: str = ""


def admit(folder: int, names: Iterable[str]) -> list[Admitted]:
    """Return each expected notebook of an `opened` folder, accepted or with its verdict."""
    return [_admit_one(folder, name) for name in names]


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Yield a descriptor of a folder that is not reached through a link.

    Raises:
        Refused: there is no such folder, or it is a link or a file.
    """
    try:
        folder = os.open(path, _OPEN | os.O_DIRECTORY)
    except OSError as error:
        kind = "a link" if Path(path).is_symlink() else error.strerror.lower()
        raise Refused(f"the submitted folder cannot be opened ({kind})") from None
    try:
        yield folder
    finally:
        os.close(folder)


def read_file(folder: int, name: str, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file with no other name, owned by the folder's owner.

    Raises:
        FileNotFoundError: there is nothing of that name.
        Refused: it is anything else, or longer than `limit` bytes.
    """
    try:
        descriptor = os.open(name, _OPEN, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused("it is a link to another file. Submit the notebook itself.") from None
        raise Refused(f"it cannot be opened ({error.strerror.lower()}). {_AGAIN}") from None
    try:
        _check_file(os.fstat(descriptor), os.fstat(folder))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise Refused(_too_large(limit))
    return content


def parse(content: bytes) -> NotebookNode:
    """Return the notebook in a file's content, in the current format and without its outputs.

    Raises:
        Refused: it is not a notebook of nbformat 3 or 4 that is valid and of bounded size.
    """
    if len(content) > MAX_BYTES:
        raise Refused(_too_large(MAX_BYTES))
    try:
        data = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused(f"it is not UTF-8 text, so it is not a notebook. {_AGAIN}") from None
    except (ValueError, RecursionError, MemoryError):
        what = "it is empty" if not content.strip() else "it is not readable JSON"
        raise Refused(f"{what}, so it is not a notebook. {_AGAIN}") from None
    _check_extent(data)
    if not isinstance(data, dict) or data.get("nbformat") not in (3, 4):
        found = data.get("nbformat") if isinstance(data, dict) else None
        said = f"it says nbformat {found!r:.20}" if found is not None else "it names no nbformat"
        raise Refused(f"{said}, and notebooks here are nbformat 4 (or 3). {_AGAIN}")
    _lighten(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about ids that older notebooks lack
            notebook = nbformat.reads(json.dumps(data), 4, capture_validation_error={})
            notebook = nbformat.validator.normalize(notebook, strip_invalid_metadata=True)[1]
            nbformat.validate(notebook, relax_add_props=True)
    except Exception as error:  # nbformat raises many kinds, one per way to be broken
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Refused(f"it is not a valid notebook ({reason[:120]}). {_AGAIN}") from None
    _check_sources(notebook)
    return notebook


def refusal(notebook: NotebookNode) -> str:
    """Return the verdict that a notebook made by `stub` tells, or "" for any other."""
    told = notebook.metadata.get("gqa_refused", "")
    return told[:1000] if isinstance(told, str) else ""


def stub(verdict: str) -> bytes:
    """Return the notebook that stands for a refused one and tells why."""
    cell = new_markdown_cell(verdict, id="refused")
    return as_text(new_notebook(cells=[cell], metadata={"gqa_refused": verdict})).encode()


def printable(name: str) -> str:
    """Return a file name as it can be shown: no control characters, not too long."""
    shown = "".join(c if c.isprintable() and c not in "`<>|" else "?" for c in name)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _admit_one(folder: int, name: str) -> Admitted:
    try:
        content = read_file(folder, name)
        return Admitted(name, content, notebook=parse(content))
    except FileNotFoundError:
        verdict = _missing(folder, name)
    except Refused as refused:
        verdict = f"The submitted file {name} was not accepted: {refused}"
    return Admitted(name, stub(verdict), verdict=verdict)


def _missing(folder: int, name: str) -> str:
    others = sorted(printable(f) for f in os.listdir(folder) if f.lower().endswith(".ipynb"))
    if not others:
        return f"The notebook {name} is not in the submission. Submit the folder that holds it."
    found = ", ".join(others[:3]) + (" and others" if len(others) > 3 else "")
    return (
        f"The notebook {name} is not in the submission; {found} was found instead. Rename your "
        f"notebook to {name} and submit again."
    )


def _too_large(limit: int) -> str:
    return (
        f"it is larger than {limit / 2**20:g} MB, and grading reads no more. Clear its outputs "
        "(Edit > Clear Outputs of All Cells), save it and submit again."
    )


def _check_file(found: os.stat_result, home: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"it is a {_kind(found.st_mode)}, not a file. {_AGAIN}")
    if found.st_nlink != 1:
        raise Refused(
            "it is a second name of a file elsewhere (a hard link). Submit a copy of your own."
        )
    if found.st_uid != home.st_uid:
        raise Refused(
            "it belongs to someone other than the folder's owner. Submit a file of your own."
        )


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "folder"
    return "pipe" if stat.S_ISFIFO(mode) else "device"


def _check_extent(data) -> None:
    """Refuse JSON that is nested too deep, or in too many parts, for what reads it later."""
    level, parts = [data], 0
    for _ in range(MAX_DEPTH):
        parts += len(level)
        if parts > MAX_PARTS:
            raise Refused(f"it is made of more than {MAX_PARTS} parts. {_AGAIN}")
        inside = (node.values() if isinstance(node, dict) else node for node in level)
        level = [part for parts_of in inside for part in parts_of if isinstance(part, dict | list)]
        if not level:
            return
    raise Refused(f"it is nested more than {MAX_DEPTH} levels deep. {_AGAIN}")


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
        raise Refused(f"it has no cells. {_AGAIN}")
    if len(cells) > MAX_CELLS:
        raise Refused(f"it has {len(cells)} cells, and grading reads {MAX_CELLS} at most. {_AGAIN}")
    return cells


def _lighten(data: dict) -> None:
    """Drop what grading never looks at, so that damage in there costs no points."""
    data["metadata"] = {"name": ""} if data["nbformat"] == 3 else {}
    for place, cell in enumerate(_cells(data), 1):
        if not isinstance(cell, dict) or not isinstance(cell.get("metadata", {}), dict):
            raise Refused(f"its cell number {place} is damaged. {_AGAIN}")
        cell["metadata"] = {k: v for k, v in cell.get("metadata", {}).items() if k == "nbgrader"}
        cell.pop("attachments", None)
        if "outputs" in cell:
            cell["outputs"] = []
        if "execution_count" in cell:
            cell["execution_count"] = None


def _check_sources(notebook: NotebookNode) -> None:
    for place, cell in enumerate(notebook.cells, 1):
        if not isinstance(cell.source, str):
            raise Refused(f"its cell number {place} has no text. {_AGAIN}")
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

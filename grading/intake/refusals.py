"""What stands for a notebook, or for a quiz's choices, that did not come in, and says why.

These files are read again from the folders that are graded, where a student's own files are too.
So each carries a seal, made with a key among the grader's records: the words of a file without it
are never shown as grading's own.
"""

import copy
import hmac
import json
import secrets

from filelock import FileLock
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file
from grading.nb.cells import as_text
from grading.nb.texts import as_markdown, clean, one_line

REFUSED, SEAL = "gqa_refused", "gqa_seal"  # metadata of the notebook that stands for a refused one
REMARK = "gqa_remark"  # metadata of one that was taken: what its student should know
UNSEALED = (
    "The submitted notebook was not accepted: it is one that tells of a refusal, and grading did "
    "not write it here. Submit the notebook of the lesson."
)
_CELL = "refused"  # the id of its only cell


def stub(verdict: str) -> bytes:
    """Return the notebook that stands for a refused one and tells why."""
    verdict = clean(verdict)[:1000]
    cell = new_markdown_cell(as_markdown(verdict), id=_CELL)
    metadata = {REFUSED: verdict, SEAL: _seal(verdict, _key())}
    return as_text(new_notebook(cells=[cell], metadata=metadata)).encode()


def stub_metadata(notebook: dict) -> dict[str, str]:
    """Return what says in a notebook's metadata that it is a `stub`; {} of any other notebook."""
    metadata, cells = notebook.get("metadata"), notebook.get("cells")
    if not isinstance(metadata, dict) or not isinstance(cells, list) or len(cells) != 1:
        return {}
    if not isinstance(cells[0], dict) or cells[0].get("id") != _CELL:
        return {}
    return {name: metadata[name] for name in (REFUSED, SEAL) if type(metadata.get(name)) is str}


def with_remark(notebook: NotebookNode, remark: str) -> bytes:
    """Return the file of a notebook that tells what became of it on its way in."""
    remark = clean(remark)[:1000]
    told = copy.deepcopy(notebook)
    told.metadata |= {REMARK: remark, SEAL: _seal(remark, _key())}
    return as_text(told).encode()


def sealed_metadata(notebook: dict) -> dict[str, str]:
    """Return what grading itself wrote into a notebook's metadata, or {}."""
    if said := stub_metadata(notebook):
        return said
    metadata = notebook.get("metadata")
    if not isinstance(metadata, dict) or type(metadata.get(REMARK)) is not str:
        return {}
    return {REMARK: metadata[REMARK], SEAL: str(metadata.get(SEAL))}


def remark(notebook: NotebookNode) -> str:
    """Return the remark that `with_remark` wrote into a notebook, or ""."""
    said = sealed_metadata(notebook)
    sound = REMARK in said and _is_sealed(said[REMARK], said[SEAL])
    return said[REMARK] if sound else ""


def refusal(notebook: NotebookNode) -> str:
    """Return the verdict that a notebook made by `stub` tells, or "" for any other."""
    said = stub_metadata(notebook)
    if REFUSED not in said:
        return ""
    return said[REFUSED] if _is_sealed(said[REFUSED], said.get(SEAL, "")) else UNSEALED


def refused_choices(reason: str) -> bytes:
    """Return the file that stands for a quiz's choices that were not taken, and says why."""
    reason = one_line(reason, 200)
    return json.dumps({"refused": reason, "seal": _seal(reason, _key())}).encode()


def reason_of_choices(content: bytes) -> str:
    """Return why a file made by `refused_choices` stands for another, or "" for any other file."""
    try:
        said = json.loads(content)
        reason, seal = said["refused"], said["seal"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    sound = type(reason) is str and type(seal) is str
    return reason if sound and _is_sealed(reason, seal) else ""


def _seal(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode("utf-8", "replace"), "sha256").hexdigest()


def _is_sealed(text: str, seal: str) -> bool:
    try:
        key = (places.home() / "refusals.key").read_bytes()
    except FileNotFoundError:  # nothing was refused yet, or it was with other records
        return False
    return bool(key) and hmac.compare_digest(_seal(text, key).encode(), clean(seal).encode())


def _key() -> bytes:
    """Return the key among the records, made on first use."""
    path = places.home() / "refusals.key"
    if not path.exists():
        make_private(path.parent)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                replace_file(path, secrets.token_bytes(32), mode=0o600)
    return path.read_bytes()

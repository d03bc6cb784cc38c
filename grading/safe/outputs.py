"""Outputs of cells as a notebook keeps them, checked for their form where a student made them."""

import platform
from typing import Any

from grading.nb.texts import clean
from grading.pages.images import pixels_of

MAX_OUTPUTS = 1000
IMAGES = ("image/png", "image/jpeg")
CUT = "(the rest of the output was not kept)"
_ONLY_HERE = {
    "ModuleNotFoundError": ". Grading has your notebook and the course's packages, and no other "
    "file of yours: put into the notebook what your answer needs.",
    "FileNotFoundError": ". Grading has your notebook and no other file of yours.",
    "SyntaxError": f". Grading runs Python {platform.python_version()}.",
    "EOFError": ". In grading nobody answers input(): take it out of the answer.",
}


def checked_outputs(raw: Any, room: int) -> tuple[list[dict], int]:
    """Return what a student's process says its cell put out, and how many characters that is.

    What is not an output, what no page may show, and what does not fit is left out.

    Args:
        raw: what it says.
        room: how many characters are kept.
    """
    kept: list[dict] = []
    taken = 0
    outputs = raw[:MAX_OUTPUTS] if type(raw) is list else []
    for output in filter(None, map(_checked, outputs)):
        size = len(str(output))
        if size > room - taken and output["output_type"] == "stream":
            output["text"] = f"{output['text'][: max(0, room - taken)]}\n{CUT}\n"
            return [*kept, output], room
        if size > room - taken:
            return [*kept, text_output(f"{CUT}\n")], room
        kept.append(output)
        taken += size
    return kept, taken


def _checked(raw) -> dict | None:
    kind = raw.get("output_type") if type(raw) is dict else None
    if kind == "stream":
        return text_output(_text(raw, "text"), "stderr" if raw.get("name") == "stderr" else "")
    if kind == "display_data" and type(raw.get("data")) is dict:
        images = {name: _text(raw["data"], name) for name in IMAGES}
        data = {name: image for name, image in images.items() if pixels_of(name, image)}
        data["text/plain"] = clean(_text(raw["data"], "text/plain"))
        return {"output_type": kind, "data": data, "metadata": {}}
    if kind == "error":
        return error_output(_text(raw, "ename")[:80], _text(raw, "evalue"), _text(raw, "traceback"))
    return None


def text_output(text: str, name: str = "") -> dict:
    """Return printed text."""
    return {"output_type": "stream", "name": name or "stdout", "text": clean(text)}


def error_output(name: str, text: str, traceback: str = "") -> dict:
    """Return an error; `NotYet` is a sentence to a learner and needs no more."""
    name, text = clean(name), clean(text)
    lines = clean(traceback) or (text if name == "NotYet" else f"{name}: {text}")
    output = {"output_type": "error", "ename": name, "evalue": text}
    return output | {"traceback": lines.splitlines()}


def words_of(error: dict) -> str:
    """Return what an error of an answer's cell says, and why it is none in the student's notebook.

    Grading has no files of theirs, no packages but the course's, and nobody at a keyboard.
    """
    return f"{error['evalue']}{_ONLY_HERE.get(error['ename'], '')}"


def credit_output(points: float, about: dict | None = None) -> dict:
    """Return part of a graded cell's points, where nbgrader looks for it, and what it is about."""
    output = {"output_type": "execute_result", "execution_count": None}
    metadata = {"gqa": about} if about else {}
    return output | {"data": {"text/plain": repr(points)}, "metadata": metadata}


def _text(raw: dict, key: str) -> str:
    value = raw.get(key)
    return value if type(value) is str else ""

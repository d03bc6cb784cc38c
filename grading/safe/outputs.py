"""Outputs of cells as a notebook keeps them, checked for their form where a student made them."""

from grading.pages.outputs import is_image

MAX_OUTPUTS = 1000
IMAGES = ("image/png", "image/jpeg")
CUT = "(more was put out than is kept)"


def checked_outputs(told, room: int) -> tuple[list[dict], int]:
    """Return what a student's process says its cell put out, and how many characters that is.

    What is no output, and what no page may show, is left out, as is what does not fit.

    Args:
        told: what it says.
        room: how many characters are kept.
    """
    kept: list[dict] = []
    taken = 0
    outputs = told[:MAX_OUTPUTS] if type(told) is list else []
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


def _checked(told) -> dict | None:
    kind = told.get("output_type") if type(told) is dict else None
    if kind == "stream":
        return text_output(_text(told, "text"), "stderr" if told.get("name") == "stderr" else "")
    if kind == "display_data" and type(told.get("data")) is dict:
        images = {name: _text(told["data"], name) for name in IMAGES}
        data = {name: image for name, image in images.items() if is_image(name, image)}
        data["text/plain"] = clean(_text(told["data"], "text/plain"))
        return {"output_type": kind, "data": data, "metadata": {}}
    if kind == "error":
        return error_output(
            _text(told, "ename")[:80], _text(told, "evalue"), _text(told, "traceback")
        )
    return None


def text_output(text: str, name: str = "") -> dict:
    """Return printed text."""
    return {"output_type": "stream", "name": name or "stdout", "text": clean(text)}


def error_output(name: str, text: str, traceback: str = "") -> dict:
    """Return an error; `NotYet` is a sentence to a learner and needs no more."""
    name, text = clean(name), clean(text)
    lines = clean(traceback) or (text if name == "NotYet" else f"{name}: {text}")
    told = {"output_type": "error", "ename": name, "evalue": text}
    return told | {"traceback": lines.splitlines()}


def credit_output(points: float, about: dict | None = None) -> dict:
    """Return part of a graded cell's points, where nbgrader looks for it, and what it is about."""
    told = {"output_type": "execute_result", "execution_count": None}
    metadata = {"gqa": about} if about else {}
    return told | {"data": {"text/plain": repr(points)}, "metadata": metadata}


def clean(text: str) -> str:
    """Return a text that every file and page can hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _text(told: dict, key: str) -> str:
    value = told.get(key)
    return value if type(value) is str else ""

"""Outputs of cells as a notebook keeps them, checked for their form where a student made them."""

MAX_OUTPUTS, MAX_TEXT = 1000, 1 << 20


def checked_outputs(told) -> list[dict]:
    """Return what a student's process says its cell put out, without what is no output."""
    told = told if type(told) is list else []
    return list(filter(None, map(_checked, told[:MAX_OUTPUTS])))


def _checked(told) -> dict | None:
    kind = told.get("output_type") if type(told) is dict else None
    if kind == "stream":
        return text_output(_text(told, "text"), "stderr" if told.get("name") == "stderr" else "")
    if kind == "display_data" and type(told.get("data")) is dict:
        data = {str(k)[:40]: v for k, v in told["data"].items() if type(v) is str}
        return {"output_type": kind, "data": data, "metadata": {}}
    if kind == "error":
        return error_output(
            _text(told, "ename")[:80], _text(told, "evalue"), _text(told, "traceback")
        )
    return None


def text_output(text: str, name: str = "") -> dict:
    """Return printed text."""
    return {"output_type": "stream", "name": name or "stdout", "text": text}


def error_output(name: str, text: str, traceback: str = "") -> dict:
    """Return an error; `NotYet` is a sentence to a learner and needs no more."""
    lines = traceback or (text if name == "NotYet" else f"{name}: {text}")
    told = {"output_type": "error", "ename": name, "evalue": text}
    return told | {"traceback": lines.splitlines()}


def credit_output(points: float) -> dict:
    """Return part of a graded cell's points, where nbgrader looks for it."""
    data = {"text/plain": repr(points)}
    return {"output_type": "execute_result", "execution_count": None, "data": data, "metadata": {}}


def _text(told: dict, key: str) -> str:
    value = told.get(key)
    return value[:MAX_TEXT] if type(value) is str else ""

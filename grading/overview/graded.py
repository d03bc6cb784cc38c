"""What graded notebooks say: why each cell lost points, what was chosen in quizzes.

A notebook is read once: what it came to is kept among the records until its file is another.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file
from grading.nb.cells import CHECK
from grading.nb.diagnosis import ERROR, STOPPED, STUB, diagnose
from grading.nb.texts import sentence

_VERSION = 2  # of what is kept
_ESCAPED = re.compile(r"\\([^A-Za-z0-9\s])")  # as `as_markdown` writes what may mean something
_DOES_NOT_COUNT = re.compile(
    r"Not asked here, so it does not count|The saved choices .* do not count"
    r"|quiz: not yet\. The answers are to "
)


@dataclass
class GradedNotebook:
    """A graded notebook in short.

    Attributes:
        errors: of each graded cell that stopped: a kind of `diagnosis`, its label, what it says.
        chosen: quiz question -> letter, "" where none was chosen.
        notice: what grading says of the submission as a whole, "" if nothing.
        checks: the graded cells of code.
        not_counted: what the quiz says of choices that did not count, "" if all did.
    """

    errors: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    notice: str = ""
    checks: list[str] = field(default_factory=list)
    not_counted: str = ""

    def technical(self) -> str:
        """Return why none of its answers was judged, of a submission without points for them.

        It is "" if one was, or nothing was answered. Choices in a quiz are no answers here, unless
        there is nothing else.
        """
        checks = [name for name in self.checks if name != CHECK] or self.checks
        found = [self.errors[name] for name in checks if name in self.errors]
        tried = [(kind, says) for kind, _, says in found if kind != STUB]
        if any(kind == STOPPED for kind, _ in tried):
            return next(says for kind, says in tried if kind == STOPPED)
        if self.notice and not tried:
            return self.notice
        if tried and len(found) == len(checks) and all(kind == ERROR for kind, _ in tried):
            return tried[0][1]
        return ""


def in_short(notebook: dict) -> GradedNotebook:
    """Return what a graded notebook, as its file has it, comes to."""
    found = GradedNotebook()
    for cell in notebook["cells"]:
        about = cell["metadata"].get("gqa")
        if about == "notice":
            found.notice = sentence(_ESCAPED.sub(r"\1", _text(cell["source"])), 400)
        ours = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] != "code" or not ours.get("grade"):
            continue
        found.checks.append(ours["grade_id"])
        if ours["grade_id"] == CHECK:
            found.not_counted = _not_counted(cell["outputs"])
        if isinstance(about, dict):
            found.chosen |= {one["id"]: one["chosen"] for one in about.get("quiz", [])}
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                said = diagnose(output["ename"], output["evalue"])
                found.errors[ours["grade_id"]] = said.kind, said.label, said.says
                break
    return found


def _not_counted(outputs: list[dict]) -> str:
    said = [_text(one.get("text", one.get("evalue", ""))) for one in outputs]
    lines = [line for text in said for line in text.split("\n")]
    return sentence(next(filter(_DOES_NOT_COUNT.match, lines), ""))


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def read_graded(assignment: str, notebooks: Iterable[tuple[str, Path]]) -> dict:
    """Return student -> `GradedNotebook` of an assignment's graded notebooks.

    Args:
        assignment: its name.
        notebooks: students with their notebooks' files.
    """
    path = places.home() / "overview" / f"{assignment}.json"
    known, now = _kept(path), {}
    for student, notebook in notebooks:
        try:
            told = notebook.stat()
            state = [told.st_mtime_ns, told.st_size, told.st_ino]
            if student in known and known[student][0] == state:
                now[student] = known[student]
            else:
                now[student] = [state, asdict(in_short(json.loads(notebook.read_bytes())))]
        except FileNotFoundError:  # it is being graded again
            continue
        except (ValueError, KeyError, TypeError, AttributeError):  # no notebook that we wrote
            continue
    if now != known:
        make_private(places.home())
        make_private(path.parent)
        replace_file(path, json.dumps([_VERSION, now]), mode=0o600)
    return {student: GradedNotebook(**told) for student, (_, told) in now.items()}


def _kept(path: Path) -> dict[str, list]:
    try:
        version, kept = json.loads(path.read_bytes())
    except (OSError, ValueError):  # not there, or damaged: all is read again
        return {}
    return kept if version == _VERSION and isinstance(kept, dict) else {}

"""What students of the same machine could read that is not for them: a warning, and its remedy."""

from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.manifest import class_exchange
from grading.intake.owners import is_open

_ANSWERS = ("solutions", "grading/authoring/planted", "build/instructor")  # in the clone


def warnings() -> list[str]:
    """Return a sentence for each folder that others could read, with the line that closes it."""
    clone, home, exchange = places.course_root(), places.home(), class_exchange()
    found = []
    if any(is_open(clone / name) for name in _ANSWERS):
        found.append(
            "Other users of this machine can read the solutions and hidden tests: "
            f"chmod o-rwx,g-rwx {clone}"
        )
    if is_open(home):
        found.append(
            "Other users of this machine can list the records (gradebook, submissions, seed): "
            f"chmod 700 {home}"
        )
    if exchange and _inside(exchange, home):
        found.append(
            f"The exchange {exchange} is inside the records {home}, which students must not reach: "
            "name another folder with GQA_EXCHANGE."
        )
    elif exchange and _inside(home, exchange):
        found.append(
            f"The records {home} are inside the exchange {exchange}, where students write: name "
            "another folder with GQA_HOME."
        )
    if exchange and (closed := _closed_above(exchange)):
        found.append(f"Students cannot reach the exchange {exchange}: chmod a+x {closed}")
    return found


def _closed_above(path: Path) -> Path | None:
    """Return the first folder on the way to a path that nobody but its owner may pass."""
    above = [folder for folder in reversed(path.resolve().parents) if folder.exists()]
    return next((folder for folder in above if not folder.stat().st_mode & 0o011), None)


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())

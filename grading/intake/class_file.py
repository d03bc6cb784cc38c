"""What an instructor's records hold of the class besides the gradebook: seed and quiz attempts.

It is kept in `class.toml` among the records (`GQA_HOME`), never in what students get.
"""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file


def course_seed() -> int | None:
    """Return the seed that the hidden tests draw from, or None: every run draws anew.

    Raises:
        ValueError: the record cannot be read.
    """
    seed = _read().get("seed")
    if seed is not None and type(seed) is not int:
        raise ValueError(
            f"{_path()} has the seed {seed!r}: write a whole number, or remove the line."
        )
    return seed


def set_course_seed(seed: int | None) -> None:
    """Keep the seed of the hidden tests; with None they draw anew each run from now on."""
    _write(_read() | {"seed": seed})


def attempts_opened() -> list[datetime]:
    """Return when each attempt at the quiz after the first was opened.

    Raises:
        ValueError: the record cannot be read.
    """
    opened = _read().get("quiz_attempts", [])
    if type(opened) is not list or not all(isinstance(at, datetime) and at.tzinfo for at in opened):
        raise ValueError(
            f"{_path()} has quiz_attempts that are not times with a time zone, such as "
            "[2027-02-01T09:00:00Z]: mend the line."
        )
    return opened


def open_attempt() -> int:
    """Open another attempt at the quiz for submissions from now on; return its number."""
    opened = [*attempts_opened(), datetime.now(UTC).replace(microsecond=0)]
    _write(_read() | {"quiz_attempts": opened})
    return 1 + len(opened)


def _read() -> dict:
    path = _path()
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}): mend or remove it.") from error


def _write(record: dict) -> None:
    path, lines = _path(), []
    if record.get("seed") is not None:
        lines += ["# What the hidden tests draw from. Students must not see it."]
        lines += [f"seed = {record['seed']}"]
    if opened := record.get("quiz_attempts"):
        lines += ["# When each attempt at the quiz after the first was opened."]
        lines += [f"quiz_attempts = [{', '.join(at.isoformat() for at in opened)}]"]
    if not lines:
        path.unlink(missing_ok=True)
        return
    make_private(path.parent)
    replace_file(path, "\n".join(lines) + "\n", mode=0o600)


def _path() -> Path:
    return places.home() / "class.toml"

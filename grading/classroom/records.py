"""What an instructor's records hold of the class besides the gradebook: the seed.

It lies in `class.toml` among the records (`GQA_HOME`), never in what students get.
"""

import os
import tomllib
from pathlib import Path

from gqa_lib.learn import places


def course_seed() -> int | None:
    """Return the seed that the hidden tests draw from, or None: every run draws afresh.

    Raises:
        ValueError: the record cannot be read.
    """
    path = _path()
    if not path.exists():
        return None
    try:
        seed = tomllib.loads(path.read_text(encoding="utf-8")).get("seed")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}): mend or remove it.") from error
    if seed is not None and type(seed) is not int:
        raise ValueError(f"{path} has the seed {seed!r}: write a whole number, or remove the line.")
    return seed


def set_course_seed(seed: int | None) -> None:
    """Keep the seed of the hidden tests; with None they draw afresh from now on."""
    path = _path()
    if seed is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(
        f"# What the hidden tests draw from. Students must not see it.\nseed = {seed}\n",
        encoding="utf-8",
    )
    part.chmod(0o600)
    os.replace(part, path)


def _path() -> Path:
    return places.home() / "class.toml"

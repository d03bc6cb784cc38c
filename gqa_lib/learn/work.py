"""The learner's copies of the lessons: made once, never overwritten."""

import hashlib
import json
import shutil
from pathlib import Path

from .manifest import lessons
from .places import work


def put_lessons() -> list[str]:
    """Copy each lesson the learner does not have yet; return what they should know.

    A lesson that changed since it was copied replaces a copy nobody edited; beside an edited
    one the new version is put as `NN-slug.updated.ipynb`.
    """
    told = []
    record = work() / ".lessons.json"
    copied = json.loads(record.read_text()) if record.exists() else {}
    for lesson in lessons():
        mine = work() / lesson.slug / lesson.pristine.name
        now = _digest(lesson.pristine)
        if mine.exists() and copied.get(lesson.slug) == now:
            continue
        if not mine.exists() or _digest(mine) == copied.get(lesson.slug):
            _copy(lesson.pristine, mine)
        elif _digest(mine) != now:
            beside = mine.with_name(f"{lesson.slug}.updated.ipynb")
            _copy(lesson.pristine, beside)
            told.append(
                f"Lesson {lesson.number} has a new version: {beside}. Your own work is as it was."
            )
        copied[lesson.slug] = now
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(copied, indent=1))
    return told


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

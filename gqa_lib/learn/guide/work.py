"""The learner's copies of the lessons: made once, never overwritten.

`gqa lab` makes them; `python -m gqa_lib.learn.guide.work` does for other notebook servers.
"""

import hashlib
import json
from pathlib import Path

from gqa_lib.course.files import replace_file
from gqa_lib.course.manifest import lessons
from gqa_lib.course.places import work


def put_lessons() -> list[str]:
    """Copy each lesson the learner does not have yet; return what they should know.

    A lesson that changed since it was copied replaces an unedited copy; next to an edited
    one the new version is put under a name of its own.
    """
    notes = []
    record = work() / ".lessons.json"
    copied = _read(record)
    for lesson in lessons():
        mine = work() / lesson.slug / lesson.pristine.name
        now = _digest(lesson.pristine)
        if mine.exists() and copied.get(lesson.slug) == now:
            continue
        if not mine.exists() or _digest(mine) == copied.get(lesson.slug):
            _copy(lesson.pristine, mine)
        elif _digest(mine) != now:
            updated = mine.with_name(f"{lesson.slug}.updated-{now[:6]}.ipynb")
            if not updated.exists():
                _copy(lesson.pristine, updated)
            notes.append(
                f"Lesson {lesson.number} has a new version: {updated}. Your own work is unchanged."
            )
        copied[lesson.slug] = now
    replace_file(record, json.dumps(copied, indent=1))
    return notes


def _read(record: Path) -> dict[str, str]:
    try:
        return dict(json.loads(record.read_text()))
    except (OSError, ValueError):  # none yet, or damaged: every copy counts as edited
        return {}


def _copy(source: Path, target: Path) -> None:
    replace_file(target, source.read_bytes())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(*put_lessons(), f"The lessons are in {work()}", sep="\n")

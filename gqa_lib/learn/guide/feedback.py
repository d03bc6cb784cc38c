"""The newest feedback page of a lesson, under a name that links can have."""

from pathlib import Path

from gqa_lib.course.files import replace_file
from gqa_lib.course.manifest import Lesson
from gqa_lib.course.places import work

LATEST = "feedback/latest.html"


def latest_feedback(lesson: Lesson) -> Path | None:
    """Return the newest feedback page of a lesson, None where there is none.

    nbgrader names the folders of feedback by time, with spaces and colons, and JupyterLab takes
    what is before a colon for a drive: so the newest page has a copy without them.

    Args:
        lesson: the lesson.
    """
    folder = work() / lesson.slug
    copy = folder / LATEST
    newest = max(folder.glob("feedback/*/*.html"), default=None)  # named by time
    if newest is None:
        return None
    try:
        page = newest.read_bytes()
        if not copy.exists() or copy.read_bytes() != page:
            replace_file(copy, page)
    except OSError:  # a folder that cannot be written: there is the page, but no link
        return None
    return copy

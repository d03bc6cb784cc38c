"""What is in the course's folders: hand-ins, which of them are graded, and feedback pages."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbgrader.coursedir import CourseDirectory

from grading.intake.admit import Refused, opened, read_file
from grading.intake.arrivals import TIMESTAMP
from grading.intake.inbound import claimed_time
from grading.nb.steps import student_folders

_TITLE = re.compile(r"<title>.*: (\S+) of \S+</title>")
_HEAD = 2000  # characters of a page, in which its title is


@dataclass(frozen=True)
class Feedback:
    """A feedback page: the points that it tells, and when it was made; "" if it tells none."""

    points: str
    made_ns: int


class LessonFolders:
    """The folders of one lesson: of each student, what was collected and what came of it."""

    def __init__(self, course: CourseDirectory):
        self.course, self.slug = course, course.assignment_id
        self.submitted = student_folders(course, course.submitted_directory)
        self.autograded = student_folders(course, course.autograded_directory)

    def notebooks(self) -> dict[str, Path]:
        """Return student -> graded notebook."""
        return {s: folder / f"{self.slug}.ipynb" for s, folder in self.autograded.items()}

    def not_graded(self) -> list[str]:
        """Return the students of whom something was collected and is not graded, or a later one."""
        return [
            student
            for student, folder in self.submitted.items()
            if student not in self.autograded
            or not (self.autograded[student] / f"{self.slug}.ipynb").exists()
            or _time(folder) != _time(self.autograded[student])
        ]

    def came(self, student: str) -> datetime | None:
        """Return when what was collected of a student was handed in, None if nobody knows."""
        try:
            with opened(self.submitted[student]) as folder:
                return claimed_time(folder)
        except (Refused, OSError):
            return None

    def feedback(self) -> dict[str, Feedback]:
        """Return student -> feedback page."""
        pages = {}
        for student, folder in student_folders(self.course, self.course.feedback_directory).items():
            path = folder / f"{self.slug}.html"
            try:
                with path.open(encoding="utf-8", errors="replace") as page:
                    found = _TITLE.search(page.read(_HEAD))
                made = path.stat().st_mtime_ns
            except OSError:
                continue
            pages[student] = Feedback(found[1] if found else "", made)
        return pages


def _time(folder: Path) -> bytes:
    """Return the time of submission in a folder, as it is written there."""
    try:
        with opened(folder) as here:
            return read_file(here, TIMESTAMP, limit=100).strip()
    except (Refused, OSError):
        return b""

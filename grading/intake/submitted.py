"""What is in `submitted/`, collected or put there by someone, made into what may be graded."""

import glob
import os
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.coursedir import CourseDirectory

from grading.limited.verdict import verdict_of
from grading.nb.texts import sentence

from .admit import Admitted, Refused, admit, opened, some_names
from .arrivals import TIMESTAMP, submissions_of
from .folders import put_file, put_folder, recover
from .inbound import SECRET, checked_secret, checked_time, new_secret
from .rebuild import released_folder
from .refusals import stub
from .sittings import answers_file


def expected_notebooks(course: CourseDirectory, assignment: str) -> list[str]:
    """Return the file names of an assignment's notebooks: those that were released.

    Raises:
        ValueError: the assignment has no release.
    """
    return sorted(path.name for path in released_folder(course, assignment).glob("*.ipynb"))


def clean_submitted(course: CourseDirectory) -> None:
    """Clean every folder of `submitted/` of the course's assignment and student.

    nbgrader does so one by one, as `configure` has it; it passes over a folder without any
    notebook, which then has no mark and no reason. Here it gets both.

    Raises:
        ValueError: the assignment has no release.
        OSError: a folder cannot be cleaned, so nothing of it may be graded.
    """
    names = expected_notebooks(course, course.assignment_id)
    pattern = course.format_path(
        course.submitted_directory, course.student_id, course.assignment_id
    )
    recover(pattern)
    for folder in sorted(glob.glob(pattern)):
        clean_folder(Path(folder), names, course)


def clean_folder(folder: Path, names: list[str], course: CourseDirectory) -> list[Admitted]:
    """Leave in a folder of `submitted/` only what may be graded; return its notebooks.

    If anything else is in it, the folder is set aside as it was, in `set-aside/` of the course's
    folder, and rebuilt. A time of submission that is not from collecting it is left empty, as in
    what a platform handed over: the submission then counts as on time.

    Raises:
        OSError: the folder cannot be replaced.
    """
    try:
        with opened(folder) as here:
            there, admitted = set(some_names(here)), admit(here, names)
            known = {
                SECRET: checked_secret(here),
                TIMESTAMP: _own_time(here, folder, course, names),
            }
            answers, as_is = answers_file(here)
    except Exception as error:  # most often a link or a file in the folder's place
        verdict = _verdict_on_all(error)
        there, known, answers, as_is = {folder.name}, {}, {}, False
        admitted = [Admitted(name, stub(verdict), verdict=verdict) for name in names]
    good = {name: content for name, content in known.items() if content is not None}
    stay = good.keys() | {one.name for one in admitted if not one.verdict}
    files = {one.name: one.content for one in admitted} | answers
    files |= {SECRET: new_secret(), TIMESTAMP: b""} | good
    if as_is and there <= stay | answers.keys():
        for name, content in files.items():
            if name not in there:
                put_file(folder / name, content, shared=course.groupshared)
    else:
        aside = set_aside_at(folder, Path(course.root))
        put_folder(folder, files, aside=aside, shared=course.groupshared)
        course.log.warning("%s: rebuilt; what was handed in is in %s", folder, aside)
    for one in admitted:
        if one.verdict:
            course.log.warning("%s: %s", folder, one.verdict)
    return admitted


def _own_time(here: int, folder: Path, course: CourseDirectory, names: list[str]) -> bytes | None:
    """Return a submission's time if it was made when that was collected, else b"" or None."""
    submissions, student = submissions_of(course), folder.parent.name
    time = checked_time(here)
    if not submissions.is_ours(student, time):
        submissions.brought(student, here, names)
        if time:
            course.log.warning("%s: its timestamp.txt is not from collecting it: not used", folder)
        time = b"" if time == b"" else None
    submissions.save()
    return time


def _verdict_on_all(error: Exception) -> str:
    """Return the verdict on all notebooks of a folder that cannot be read."""
    if isinstance(error, Refused):
        return sentence(f"The submission was not accepted: {error}. Submit the folder itself.")
    return verdict_of(error, "The submission was not accepted. Reading it")


def set_aside_at(folder: Path, root: Path) -> Path:
    """Return where a folder of the course is moved to, so that nothing grades it."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return root / "set-aside" / os.path.relpath(folder, root) / stamp

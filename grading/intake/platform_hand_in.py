"""What a learning platform handed over for a student, put into `submitted/` as collecting does."""

import glob
import hashlib
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbgrader.coursedir import CourseDirectory

from gqa_lib.course import places

from .admit import Admitted, Refused, admit, opened
from .arrivals import TIMESTAMP, submissions_of
from .collect import TIME_FORMAT
from .folders import put_folder, recover
from .inbound import SECRET, claimed_time, new_secret
from .sittings import answers_file
from .submitted import set_aside_at


@dataclass(frozen=True)
class Place:
    """Where hand-ins to an assignment go.

    Attributes:
        course: nbgrader's course directory, set to the assignment.
        names: the notebooks expected.
        replace: whether to replace also what came through the exchange.
    """

    course: CourseDirectory
    names: list[str]
    replace: bool = False


def put_hand_in(
    place: Place, student: str, files: dict[str, bytes], at: datetime | None = None
) -> tuple[str, str]:
    """Put a hand-in into `submitted/`; return what became of it, and why it will get 0 if it will.

    What is there from the exchange stays unless the hand-in came later than that. What replaces
    another is kept in `set-aside/`.

    Args:
        place: where hand-ins go.
        student: whose it is.
        files: of the names expected, and of quiz answers.
        at: when it was handed in, in UTC, if that is known.

    Raises:
        OSError: it cannot be written.
        Refused: what is there is not replaced.
    """
    course = place.course
    folder = Path(course.format_path(course.submitted_directory, student, course.assignment_id))
    recover(glob.escape(str(folder)))
    submissions = submissions_of(course)
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    there = os.path.lexists(folder)
    if there and not place.replace:
        if submissions.handed_over(student) == digest:
            return "as before", ""
        _refuse_older(folder, at)
    ready, admitted = _admitted(place, files)
    time = at.strftime(TIME_FORMAT).encode() if at else b""
    if time:
        submissions.collected(student, time)
    submissions.hand_over(student, digest)
    submissions.save()
    aside = set_aside_at(folder, Path(course.root)) if there else None
    put_folder(
        folder,
        ready | {SECRET: new_secret(), TIMESTAMP: time},
        aside=aside,
        shared=course.groupshared,
    )
    verdict = " ".join(one.verdict for one in admitted if one.verdict)
    if verdict:
        course.log.warning("%s: %s", student, verdict)
    return "taken in place of another" if there else "taken", verdict


def _refuse_older(folder: Path, at: datetime | None) -> None:
    """Refuse to replace what came from the exchange by what did not come later.

    Raises:
        Refused: that is so.
    """
    try:
        with opened(folder) as here:
            known = claimed_time(here)
    except Refused:  # a link or a file is in its place
        return
    if known and (at is None or at <= known):
        raise Refused(
            f"there is one already, handed in {known:%Y-%m-%d %H:%M} UTC. Add --replace to take "
            "this one instead"
        )


def _admitted(place: Place, files: dict[str, bytes]) -> tuple[dict[str, bytes], list[Admitted]]:
    """Return the files to keep, as `admit` lets them in."""
    with tempfile.TemporaryDirectory(dir=places.home(), prefix=".hand-in-") as made:
        for name, content in files.items():
            Path(made, name).write_bytes(content)
        with opened(Path(made)) as folder:
            admitted = admit(folder, place.names)
            answers, _ = answers_file(folder)
    return {one.name: one.content for one in admitted} | answers, admitted

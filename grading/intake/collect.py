"""What nbgrader takes in: from the exchange, and from a folder that an instructor filled.

Either way the folder that is graded holds the expected notebooks as `admit` lets them in, the
choices made in a quiz, the time of submission and the secret that names its feedback, each checked
or made here.
"""

import glob
import os
import pwd
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange.default.collect import ExchangeCollect
from nbgrader.utils import parse_utc
from traitlets.config import Config

from gqa_lib.learn.quiz import saved

from .admit import Admitted, Refused, admit, opened, printable, read_file, stub
from .rebuild import released_folder
from .sittings import answers_file

TIMESTAMP, SECRET = "timestamp.txt", "submission_secret.txt"
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"
_EARLIEST = datetime(2020, 1, 1)


def configure(config: Config) -> None:
    """Make nbgrader collect and autograde what `admit` lets in, and nothing else."""

    def before_autograde(assignment: str, student: str, notebooks: list[str]) -> None:
        """Clean the folder about to be graded; nbgrader grades what is left in `notebooks`."""
        course = CourseDirectory(config=config)
        course.root = os.getcwd()  # nbgrader works in the course's folder
        folder = Path(notebooks[0]).parent
        notebooks.clear()  # should cleaning fail, nothing of the folder is graded
        try:
            admitted = clean_folder(folder, expected_notebooks(course, assignment), course)
        except (OSError, ValueError) as error:
            course.log.error("Not graded: %s: %s", folder, error)
            raise
        notebooks.extend(str(folder / one.name) for one in admitted)

    config.ExchangeFactory.collect = SafeCollect
    config.Autograde.pre_convert_hook = before_autograde


def expected_notebooks(course: CourseDirectory, assignment: str) -> list[str]:
    """Return the file names of an assignment's notebooks: those that were released.

    Raises:
        ValueError: the assignment has no release.
    """
    return sorted(path.name for path in released_folder(course, assignment).glob("*.ipynb"))


class SafeCollect(ExchangeCollect):
    """nbgrader's collect, taking only what a learner may hand in.

    A folder counts for a student when the student owns it, and came when the kernel says so:
    its name and its timestamp.txt are what the student claims.
    """

    def init_src(self):
        """Find each student's latest submission; leave out what belongs to no student."""
        try:
            self.names = expected_notebooks(self.coursedir, self.coursedir.assignment_id)
        except ValueError as error:
            self.fail(str(error))
        super().init_src()
        self.src_records = [record for record in self.src_records if record["username"]]

    def _path_to_record(self, path):
        """Return who a folder of the exchange is from and when it came; nobody if refused."""
        assignment = re.escape(self.coursedir.assignment_id)
        filename = os.path.basename(path)
        named = re.fullmatch(rf"([\w.@+-]+)\+{assignment}\+[^+]*(\+[^+]*)?", filename)
        record = {"username": "", "filename": filename, "timestamp": datetime.min}
        try:
            if not named:
                raise Refused("its name is not STUDENT+ASSIGNMENT+TIME")
            with opened(path) as folder:
                self._check_owner(folder, named[1])
                return record | {"username": named[1], "timestamp": arrival(folder, self.names)}
        except Refused as refused:
            self.log.error("Not collected: %s: %s", printable(filename), refused)
            return record

    def _check_owner(self, folder: int, student: str) -> None:
        owner = _name_of(os.fstat(folder).st_uid)
        if self.check_owner and owner != student:
            raise Refused(
                f"it says it is from {student} and belongs to {owner}. Nothing of it was taken. "
                "Where one system user submits for everybody, c.ExchangeCollect.check_owner = "
                "False turns this check off."
            )

    def copy_files(self):
        """Collect one submission after the other; one that fails stops no other."""
        records = self.src_records
        if not records:
            super().copy_files()
        for record in records:
            self.src_records = [record]
            try:
                super().copy_files()
            except Exception as error:
                self.log.error("Not collected: %s: %s", printable(record["filename"]), error)

    def do_copy(self, src, dest, log=None):
        """Write the admitted notebooks of the folder `src`, and when they came, to `dest`."""
        student = Path(dest).parent.name
        with opened(src) as folder:
            self._check_owner(folder, student)
            admitted = admit(folder, self.names)
            time = arrival(folder, self.names).strftime(_TIME_FORMAT).encode()
            secret = _checked_secret(folder) or _new_secret()
            answers, _ = answers_file(folder)
        files = {TIMESTAMP: time, SECRET: secret} | {one.name: one.content for one in admitted}
        files |= answers
        _write(Path(dest), files, shared=self.coursedir.groupshared)
        for one in admitted:
            if one.verdict:
                self.log.warning("%s: %s", student, one.verdict)


def arrival(folder: int, names: Iterable[str]) -> datetime:
    """Return when the expected files came into an opened folder, in UTC without a time zone.

    It is the kernel's time of the last change, which a student cannot set back. (Copying an
    exchange or changing its owner sets it to now: collect first.)
    """
    changed = []
    for name in [*names, saved.FILE]:
        try:
            changed.append(os.stat(name, dir_fd=folder, follow_symlinks=False).st_ctime)
        except FileNotFoundError:
            continue
    latest = max(changed, default=os.fstat(folder).st_ctime)
    return datetime.fromtimestamp(latest, UTC).replace(tzinfo=None)


def clean_submitted(course: CourseDirectory) -> None:
    """Clean every folder of `submitted/` of the course's assignment and student.

    nbgrader does so one by one, as `configure` has it; it passes over a folder without any
    notebook, which then has no mark and no reason. Here it gets both.

    Raises:
        ValueError: the assignment has no release.
    """
    names = expected_notebooks(course, course.assignment_id)
    pattern = course.format_path(
        course.submitted_directory, course.student_id, course.assignment_id
    )
    for folder in sorted(glob.glob(pattern)):
        try:
            clean_folder(Path(folder), names, course)
        except OSError as error:  # nbgrader will come to it, and grade nothing of it
            course.log.error("%s cannot be prepared for grading: %s", folder, error)


def clean_folder(folder: Path, names: list[str], course: CourseDirectory) -> list[Admitted]:
    """Leave in a folder of `submitted/` only what may be graded; return its notebooks.

    If anything else is in it, the folder is set aside as it was, in `set-aside/` of the course's
    folder, and rebuilt. An impossible time of submission is left empty: the submission then
    counts as on time.

    Raises:
        OSError: the folder cannot be replaced.
    """
    try:
        with opened(folder) as here:
            there, admitted = set(os.listdir(here)), admit(here, names)
            known = {TIMESTAMP: _checked_time(here), SECRET: _checked_secret(here)}
            answers, as_is = answers_file(here)
    except Refused as refused:  # a link or a file in the folder's place
        verdict = f"The submission was not accepted: {refused}. Submit the folder itself."
        there, known, answers, as_is = {folder.name}, {}, {}, False
        admitted = [Admitted(name, stub(verdict), verdict=verdict) for name in names]
    good = {name: content for name, content in known.items() if content is not None}
    stay = good.keys() | {one.name for one in admitted if not one.verdict}
    files = {TIMESTAMP: b"", SECRET: _new_secret()} | good
    files |= {one.name: one.content for one in admitted} | answers
    if as_is and there <= stay | answers.keys():
        files = {name: content for name, content in files.items() if name not in there}
    else:
        aside = _set_aside(folder, Path(course.root))
        course.log.warning("%s: rebuilt; what was handed in is in %s", folder, aside)
    _write(folder, files, shared=course.groupshared)
    for one in admitted:
        if one.verdict:
            course.log.warning("%s: %s", folder, one.verdict)
    return admitted


def _set_aside(folder: Path, root: Path) -> Path:
    """Move a folder of the course to where nothing grades it; return that place."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = root / "set-aside" / os.path.relpath(folder, root) / stamp
    aside.parent.mkdir(parents=True, exist_ok=True)
    os.rename(folder, aside)
    return aside


def _write(folder: Path, files: dict[str, bytes], *, shared: bool) -> None:
    """Write files into a folder, made if need be; for a group of instructors if `shared`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        if shared:
            (folder / name).chmod(0o664)
    if shared:
        folder.chmod(0o2775)


def _checked_time(folder: int) -> bytes | None:
    """Return a timestamp.txt that is empty or tells a time that can be, else None."""
    try:
        content = read_file(folder, TIMESTAMP, limit=100)
        text = content.decode("ascii").strip()
        now = datetime.now(UTC).replace(tzinfo=None)
        possible = not text or _EARLIEST <= parse_utc(text) <= now + timedelta(days=1)
    except (Refused, OSError, ValueError, OverflowError, TypeError):
        return None
    return content if possible else None


def _checked_secret(folder: int) -> bytes | None:
    """Return a submission_secret.txt like those that nbgrader writes, else None."""
    try:
        content = read_file(folder, SECRET, limit=1000)
    except (Refused, OSError):
        return None
    return content if re.fullmatch(rb"[0-9a-f]{32,256}", content) else None


def _new_secret() -> bytes:
    """Return a secret nobody knows: nbgrader's release of feedback stops where there is none."""
    return secrets.token_hex(64).encode()


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"

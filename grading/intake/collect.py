"""What nbgrader takes in: from the exchange, and from a folder that an instructor filled.

Either way the folder that is graded holds the expected notebooks as `admit` lets them in, the
choices made in a quiz, the time of submission and the secret that names its feedback, each checked
or made here.
"""

import contextlib
import glob
import os
import re
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path

from filelock import FileLock
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange.default.collect import ExchangeCollect
from traitlets.config import Config

from gqa_lib.course import places
from gqa_lib.course.files import make_private
from grading.nb.texts import printable, sentence

from .admit import Refused, admit, opened
from .arrivals import TIMESTAMP, HandIns, submissions_of
from .class_file import BEST, IN_TIME
from .deadlines import deadlines
from .earlier import is_graded
from .exchange import CheckedRoot
from .folders import put_folder, recover
from .inbound import (
    SECRET,
    arrival,
    checked_secret,
    claimed_time,
    is_damaged,
    is_whole,
    new_secret,
)
from .lateness import which_counts
from .owners import name_of
from .sittings import answers_file
from .submitted import clean_folder, expected_notebooks, set_aside_at
from .troubles import keep_collecting

TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"
_MOST = 20  # hand-ins of one owner that are looked at
_MOST_BEFORE_DUE = 200  # where one before others may be the one that counts


def configure(config: Config) -> None:
    """Make nbgrader collect and autograde what `admit` lets in, and nothing else."""

    def before_autograde(assignment: str, student: str, notebooks: list[str]) -> None:
        """Clean the folder about to be graded; nbgrader grades what is left in `notebooks`."""
        course = CourseDirectory(config=config)
        course.root = os.getcwd()  # nbgrader works in the course's folder
        course.assignment_id = assignment
        folder = Path(notebooks[0]).parent
        notebooks.clear()  # should cleaning fail, nothing of the folder is graded
        try:
            admitted = clean_folder(folder, expected_notebooks(course, assignment), course)
        except Exception as error:
            course.log.error("Not graded: %s: %s", folder, error)
            raise
        notebooks.extend(str(folder / one.name) for one in admitted)

    config.ExchangeFactory.collect = SafeCollect
    config.Autograde.pre_convert_hook = before_autograde


class SafeCollect(CheckedRoot, ExchangeCollect):
    """nbgrader's collect, taking only what a learner may hand in.

    A folder counts for a student when the student owns it, and came when our own record says so:
    its name and its timestamp.txt are what the student claims.
    """

    looked_at: AbstractSet[str] = frozenset()
    keep_best = False  # whether the best hand-in counts, so that one in time is graded first
    only_look = False  # whether to note what is there, and collect it another time

    def init_src(self):
        """Find each student's latest submission; leave out what belongs to no student."""
        try:
            self.names = expected_notebooks(self.coursedir, self.coursedir.assignment_id)
        except ValueError as error:
            self.fail(str(error))
        course = self.coursedir
        self.hand_ins = HandIns(course.assignment_id)
        inbound = Path(self.root, course.course_id, "inbound")
        if inbound.is_dir() and os.access(inbound, os.R_OK):
            self.looked_at = self._newest_of_each(inbound)
            self.hand_ins.look(self.looked_at, inbound.stat())
        super().init_src()
        self.src_records: list[dict] = [record for record in self.src_records if record["username"]]
        self.hand_ins.save()

    def start(self) -> None:
        """Collect; two at once would each miss what the other notes of hand-ins."""
        lock = places.home() / "arrivals" / f"{self.coursedir.assignment_id}.lock"
        make_private(places.home())
        make_private(lock.parent)
        self.not_collected: dict[str, str] = {}  # hand-ins, and why
        self.older: dict[str, int] = {}  # owners, and how many of theirs were not looked at
        self.to_follow: list[str] = []  # students whose late hand-in is collected the next time
        course = self.coursedir
        which = which_counts(course.assignment_id, self.config)
        if which == IN_TIME:
            self.set_trait("before_duedate", True)
        self.keep_best = which == BEST and not self.before_duedate
        self.deadlines = deadlines(course)
        with FileLock(lock):
            super().start()
            course = self.coursedir
            if course.student_id == "*" and not self.only_look:
                keep_collecting(course.assignment_id, self.not_collected, self.older)

    def _newest_of_each(self, inbound: Path) -> set[str]:
        """Return the names of each owner's newest hand-ins; what is older costs no time."""
        found: dict[int | str, list[tuple[int, str]]] = {}
        for entry in os.scandir(inbound):
            student, mark, _ = entry.name.partition(f"+{self.coursedir.assignment_id}+")
            if not mark or student.startswith("."):
                continue
            with contextlib.suppress(FileNotFoundError):
                told = entry.stat(follow_symlinks=False)
                owner: int | str = told.st_uid if self.check_owner else student
                found.setdefault(owner, []).append((told.st_ctime_ns, entry.name))
        most = _MOST_BEFORE_DUE if self.before_duedate or self.keep_best else _MOST
        for one, theirs in found.items():
            if len(theirs) > most:
                name = name_of(one) if isinstance(one, int) else printable(one)
                self.older[name] = len(theirs) - most
                said = "%s: %d hand-ins are not looked at, only the newest %d"
                self.log.warning(said, name, self.older[name], most)
        return {
            name for theirs in found.values() for _, name in sorted(theirs, reverse=True)[:most]
        }

    def _path_to_record(self, path):
        """Return who a folder of the exchange is from and when it came; nobody if refused."""
        assignment = re.escape(self.coursedir.assignment_id)
        filename = os.path.basename(path)
        named = re.fullmatch(rf"([\w.@+-]+)\+{assignment}\+[^+]*(\+[^+]*)?", filename)
        record = {"username": "", "filename": filename, "timestamp": datetime.min}
        if filename not in self.looked_at:
            return record
        try:
            if not named:
                raise Refused("its name is not STUDENT+ASSIGNMENT+TIME")
            with opened(path) as folder:
                self._check_owner(folder, named[1])
                came = self._arrival(folder, filename)
                return record | {"username": named[1], "timestamp": came}
        except Exception as error:  # whatever it is, it stops no other
            self._refuse(filename, error)
            return record

    def _refuse(self, filename: str, why: Exception) -> None:
        self.log.error("Not collected: %s: %s", printable(filename), why)
        self.not_collected[printable(filename)] = sentence(str(why)) or type(why).__name__

    def _arrival(self, folder: int, name: str, taken: dict | None = None) -> datetime:
        changed = arrival(folder, self.names)
        return self.hand_ins.arrival(name, folder, self.names, changed, taken)

    def _check_owner(self, folder: int, student: str) -> None:
        owner = name_of(os.fstat(folder).st_uid)
        if self.check_owner and owner != student:
            raise Refused(
                f"it says it is from {student} and belongs to {owner}. Nothing of it was taken. "
                "Where one system user submits for everybody, c.ExchangeCollect.check_owner = "
                "False turns this check off."
            )

    def _sort_by_timestamp(self, records):
        """Return the one of a student's hand-ins that counts: the latest complete one.

        By the class's settings that is the latest in time; and where the best counts, that one
        comes before a late one, until it is graded.
        """
        latest_first = super()._sort_by_timestamp(records)
        student = records[0]["username"]
        if len(records) == 1 or not student:
            return latest_first
        due = self.deadlines.of(student) if self.before_duedate or self.keep_best else None
        in_time = [one for one in latest_first if due and one["timestamp"] <= due]
        whole = next(filter(self._is_whole, in_time), None)
        if whole and self.before_duedate:
            return [whole]
        counts = next(filter(self._is_whole, latest_first), latest_first[0])
        first = whole if whole is not counts and self.keep_best else None
        if first and not is_graded(self.coursedir.assignment_id, student, first["timestamp"]):
            self.to_follow.append(student)
            return [first]
        return [counts]

    def _is_whole(self, record: dict) -> bool:
        name = printable(record["filename"])
        try:
            whole = is_whole(Path(self.inbound_path, record["filename"]), self.names)
        except Exception as error:  # then it is collected, or not, like any other
            self.log.error("%s: it is not known whether it is complete: %s", name, error)
            return True
        if not whole:
            self.log.warning("%s: it is not complete; an earlier one counts if it is", name)
        return whole

    def copy_files(self):
        """Collect one submission after the other; one that fails stops no other."""
        if self.only_look:
            return
        if not self.src_records:
            super().copy_files()
        for record in self.src_records:
            try:
                self._collect(record)
            except Exception as error:
                self._refuse(record["filename"], error)

    def _collect(self, record: dict) -> None:
        """Collect a submission if it is newer than what is there, or that is damaged."""
        student, came = record["username"], record["timestamp"]
        course = self.coursedir
        source = Path(self.inbound_path, record["filename"])
        place = course.format_path(course.submitted_directory, student, course.assignment_id)
        recover(glob.escape(place))
        about = f"{student} {course.assignment_id}"
        if not os.path.lexists(place):
            self.log.info("Collecting submission: %s", about)
        elif is_damaged(Path(place), source, self.names, came):
            self.log.warning("Collecting again, because what was there is damaged: %s", about)
        elif self._replaces(came, Path(place)):
            self.log.info("Updating submission: %s", about)
        else:
            hint = "" if self.update else ", use --update to update"
            self.log.info("No newer submission to collect%s: %s", hint, about)
            return
        self.do_copy(source, place)

    def _replaces(self, came: datetime, place: Path) -> bool:
        """Return whether a submission that came then replaces the one in a folder."""
        with opened(place) as folder:
            there = claimed_time(folder)
        if self.update and (there is None or came > there):
            return True
        return (self.before_duedate or (self.update and self.keep_best)) and there != came

    def do_copy(self, src, dest, log=None):
        """Put the admitted notebooks of the folder `src`, and when they came, at `dest`."""
        dest = Path(dest)
        with opened(src) as folder:
            self._check_owner(folder, dest.parent.name)
            admitted = admit(folder, self.names)
            taken = {one.name: one.raw for one in admitted if not one.verdict}
            time = self._arrival(folder, Path(src).name, taken).strftime(TIME_FORMAT).encode()
            self.hand_ins.keep_hashes(Path(src).name, folder, taken)
            secret = checked_secret(folder) or new_secret()
            answers, _ = answers_file(folder)
        files = {one.name: one.content for one in admitted} | answers
        files |= {SECRET: secret, TIMESTAMP: time}
        self._keep_times(dest.parent.name, time)
        put_folder(dest, files, aside=self._aside(dest), shared=self.coursedir.groupshared)
        for one in admitted:
            if one.verdict:
                self.log.warning("%s: %s", dest.parent.name, one.verdict)

    def _keep_times(self, student: str, time: bytes) -> None:
        self.hand_ins.save()
        submissions = submissions_of(self.coursedir)
        submissions.collected(student, time)
        submissions.save()

    def _aside(self, place: Path) -> Path | None:
        """Return where to keep what is replaced; None for what was collected, and is kept there."""
        try:
            with opened(place) as folder:
                collected = claimed_time(folder) is not None and checked_secret(folder) is not None
        except Refused:
            collected = False
        return None if collected else set_aside_at(place, Path(self.coursedir.root))

"""When hand-ins came, as these records have it: kept from the first time that one was seen.

A student writes the name, the timestamp.txt and the content of a hand-in, and can change content
without the kernel's times telling (through a mapping of the file). So the record has a hash of each
hand-in, and what was not there when the class was last collected came after that. It is kept among
the records (`GQA_HOME`), where no student writes.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.coursedir import CourseDirectory

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file
from gqa_lib.learn.quiz import saved

from .admit import Refused, file_names, is_there, read_file, some_names

TIMESTAMP = "timestamp.txt"
_KEPT = 5  # times of collected submissions of one student that are known as ours


class _Record:
    """What is kept of one assignment in a file of its own."""

    file: str
    empty: dict

    def __init__(self, assignment: str):
        self.path = places.home() / "arrivals" / self.file.format(assignment)
        self.now = datetime.now(UTC).replace(tzinfo=None)
        self.is_new = not self.path.exists()
        self.changed = self.is_new
        self.kept: dict = {name: type(empty)() for name, empty in self.empty.items()}
        if not self.is_new:
            self.kept |= json.loads(self.path.read_text(encoding="utf-8"))

    def save(self) -> None:
        """Keep the record, if anything in it changed.

        Raises:
            OSError: it cannot be written.
        """
        if self.changed:
            make_private(places.home())
            replace_file(self.path, json.dumps(self.kept) + "\n", mode=0o600)
        self.changed = False


class HandIns(_Record):
    """The hand-ins to an assignment that were seen in the exchange."""

    file, empty = "{}.json", {"looked": "", "inbound": [], "hand_ins": {}}

    def look(self, names: Iterable[str], inbound: os.stat_result) -> None:
        """Note which hand-ins are there, before any is opened: what is not there comes later.

        That is said of every look, whatever is gone, unless all is: the folder is another then,
        as when a disk is not mounted.

        Args:
            names: the folders' names.
            inbound: what the system tells of the folder that they are in.
        """
        hand_ins, there = self.kept["hand_ins"], set(names)
        now = [inbound.st_dev, inbound.st_ino]
        elsewhere = self.kept["inbound"] not in ([], now) and not hand_ins.keys() & there
        self.kept["inbound"] = now
        if not elsewhere:  # what was never taken is not kept for good
            gone = [name for name in hand_ins.keys() - there if "came" not in hand_ins[name]]
            for name in gone:
                del hand_ins[name]
        for name in sorted(there - hand_ins.keys()):
            hand_ins[name] = {"after": self.kept["looked"]}
        if not elsewhere:
            self.kept["looked"] = self.now.isoformat()
        self.changed = True

    def arrival(
        self,
        name: str,
        folder: int,
        names: list[str],
        changed: datetime,
        taken: Mapping[str, bytes] | None = None,
    ) -> datetime:
        """Return when a hand-in came, and keep that.

        Args:
            name: its folder's.
            folder: the folder, opened.
            names: the notebooks expected.
            changed: when the kernel says that it was last changed.
            taken: what was read of the notebooks to be graded; it is compared whatever the kernel
                says.
        """
        known = self.kept["hand_ins"].setdefault(name, {"after": self.kept["looked"]})
        state = _state(folder, names)
        if taken is None and "came" in known and known["state"] == state:
            return datetime.fromisoformat(known["came"])
        now = digest(folder, names, taken)
        if "came" not in known and known.get("hash", now) != now:  # it was not complete
            known["after"] = known["seen"]
        after = datetime.fromisoformat(known["after"]) if known["after"] else changed
        came = max(changed, after)
        if "came" in known and known["hash"] != now:  # changed after it was handed in
            came = datetime.now(UTC).replace(tzinfo=None)
        elif "came" in known:
            came = datetime.fromisoformat(known["came"])
        self.changed |= (known.get("hash"), known.get("state")) != (now, state)
        known |= {"hash": now, "state": state}
        if "came" in known or is_there(folder, TIMESTAMP):
            known["came"] = came.isoformat()
        else:  # nbgrader's last file is missing: the others may be on their way
            known["seen"] = self.now.isoformat()
            self.changed = True
        return came

    def keep_hashes(self, name: str, folder: int, taken: Mapping[str, bytes]) -> None:
        """Keep what a student's receipt has, too: the hash of each file that counts.

        Args:
            name: the hand-in's folder.
            folder: the folder, opened.
            taken: what was read of the notebooks to be graded.
        """
        files = dict(taken)
        for other in {*some_names(folder)} - files.keys():
            if other == saved.FILE or other.endswith(".ipynb"):
                with contextlib.suppress(Refused, OSError):
                    files[other] = read_file(folder, other)
        hashes = {one: hashlib.sha256(content).hexdigest() for one, content in files.items()}
        self.kept["hand_ins"][name]["sha256"] = hashes
        self.changed = True


class Submissions(_Record):
    """The submissions to an assignment in `submitted/`: collected, or brought there by someone."""

    file, empty = "{}.submitted.json", {"collected": {}, "brought": {}, "handed_over": {}}

    def collected(self, student: str, time: bytes) -> None:
        """Note the time that a collected submission of a student has from here on."""
        times, time_ = self.kept["collected"].get(student, []), time.decode("ascii", "replace")
        if time_ not in times[-1:]:
            self.kept["collected"][student] = [*times, time_][-_KEPT:]
            self.changed = True

    def is_ours(self, student: str, time: bytes | None) -> bool:
        """Return whether a submission's time is one that was noted when it was collected."""
        if not time:
            return False
        return time.decode("ascii", "replace") in self.kept["collected"].get(student, [])

    def brought(self, student: str, folder: int, names: list[str]) -> datetime:
        """Return when a submission that nobody collected was first seen, and keep that."""
        seen, now = self.kept["brought"].setdefault(student, {}), digest(folder, names)
        self.changed |= now not in seen
        return datetime.fromisoformat(seen.setdefault(now, self.now.isoformat()))

    def handed_over(self, student: str) -> str:
        """Return the hash of what a platform last handed over for a student, or ""."""
        return str(self.kept["handed_over"].get(student, ""))

    def hand_over(self, student: str, now: str) -> None:
        """Note the hash of what a platform hands over for a student."""
        self.changed |= self.handed_over(student) != now
        self.kept["handed_over"][student] = now


def submissions_of(course: CourseDirectory) -> Submissions:
    """Return the record of the course's assignment.

    Where there is none yet, what an earlier version graded keeps its times.
    """
    record = Submissions(course.assignment_id)
    if record.is_new:
        pattern = course.format_path(course.autograded_directory, "*", course.assignment_id)
        above, _, below = pattern.partition("*")
        for path in Path(above).glob(f"*{below}/{TIMESTAMP}"):
            record.collected(path.relative_to(above).parts[0], path.read_bytes()[:100])
    return record


def digest(folder: int, names: list[str], content: Mapping[str, bytes] | None = None) -> str:
    """Return what changes with what counts in a hand-in.

    Args:
        folder: its folder, opened.
        names: the notebooks expected.
        content: of those of them that were read already.
    """
    total = hashlib.sha256()
    for name, file in {**file_names(folder, names), saved.FILE: saved.FILE}.items():
        try:
            read = (content or {}).get(name) or read_file(folder, file)
        except (Refused, FileNotFoundError) as error:
            read = type(error).__name__.encode()
        total.update(hashlib.sha256(read).digest())
    return total.hexdigest()


def _state(folder: int, names: list[str]) -> list:
    """Return what the kernel tells: alike as long as nobody renames or writes to it openly."""
    told = os.fstat(folder)
    state = [[told.st_ino, told.st_ctime_ns]]
    for name in [*file_names(folder, names).values(), saved.FILE]:
        try:
            told = os.stat(name, dir_fd=folder, follow_symlinks=False)
            state.append([told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns])
        except OSError:
            state.append([])
    return state

"""Handing in: a submission is in the exchange complete or not at all, and only what is graded."""

import hashlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.exchange.default.submit import ExchangeSubmit

from gqa_lib.course.files import replace_file
from gqa_lib.course.manifest import class_exchange
from gqa_lib.learn.progress.receipts import Receipt, keep, new_receipt
from gqa_lib.learn.quiz import saved
from grading.nb.texts import printable

from .admit import file_names, opened

RECEIPT = "receipt.txt"  # next to the lesson and in the cache; it is not handed in
_NAMED = 5  # of the files that stay


class WholeSubmit(ExchangeSubmit):
    """nbgrader's submit, which copies under a hidden name first and renames at the end.

    A process that is killed or a disk that is full leaves nothing that counts as handed in, neither
    there nor in the student's own cache. Only the lesson's notebooks and the choices made in a quiz
    are handed in; a notebook that a browser renamed gets its name back, so that its feedback is
    found. `nbgrader submit` and the Assignment List use this, too.
    """

    inbound_path: str
    cache_path: str
    release_path: str
    receipt: Receipt | None = None  # of the class

    def copy_files(self):
        """Copy the folder to the exchange and to the cache."""
        inbound, cache = Path(self.inbound_path), Path(self.cache_path)
        cache.mkdir(parents=True, exist_ok=True)
        hidden = [place / f".{self.assignment_filename}.part" for place in (inbound, cache)]
        try:
            for folder in hidden:
                folder.mkdir(mode=0o700)
            self.inbound_path, self.cache_path = map(str, hidden)
            super().copy_files()
            for folder, place in zip(hidden, (inbound, cache), strict=True):
                (made,) = folder.iterdir()
                os.chmod(made, 0o755)  # nbgrader lets everybody write who learns its name
                os.rename(made, place / made.name)
                handed_in = place / made.name
            self._give_receipt(handed_in)
        finally:
            self.inbound_path, self.cache_path = str(inbound), str(cache)
            for folder in hidden:
                shutil.rmtree(folder, ignore_errors=True)

    def check_filename_diff(self) -> None:
        """Find the notebooks to hand in; say which are missing, and what stays."""
        source = Path(self.src_path)
        names = sorted(path.name for path in Path(self.release_path).glob("*.ipynb"))
        self.files = files_to_hand_in(source, names)
        missing = [name for name in names if name not in self.files]
        if missing and (self.strict or len(missing) == len(names)):
            there = ", ".join(printable(path.name) for path in sorted(source.glob("*.ipynb"))[:5])
            self.fail(
                f"Nothing was handed in: {', '.join(missing)} is not in {source}"
                f"{f', and which of {there} is meant cannot be told' if there else ''}. Give your "
                "notebook this name and submit again."
            )
        for name in missing:
            self.log.warning("%s is not in the folder and is not handed in", name)
        for name, file in self.files.items():
            if name != file:
                self.log.warning("%s is handed in as %s", printable(file), name)
        if left := files_that_stay(source, set(self.files.values())):
            self.log.warning("Not handed in: %s", left)

    def do_copy(self, src, dest, log=None):
        """Copy what is handed in."""
        os.mkdir(dest)
        for name, file in self.files.items():
            shutil.copy2(Path(src, file), Path(dest, name))
            if self.coursedir.groupshared:
                os.chmod(Path(dest, name), 0o664)
        if self.coursedir.groupshared:
            os.chmod(dest, 0o2775)

    def _give_receipt(self, cached: Path) -> None:
        """Tell the student what was handed in to a class, and when, in files and in the record.

        Args:
            cached: the folder of the student's own cache; it has the same files.
        """
        if class_exchange() is None:
            return
        try:
            files = {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(cached.iterdir())
                if path.suffix == ".ipynb" or path.name == saved.FILE
            }
            self.receipt = new_receipt(self.coursedir.assignment_id, datetime.now(UTC), files)
            for folder in (cached, Path(self.src_path)):
                replace_file(folder / RECEIPT, f"{self.receipt.text()}\n")
            keep(self.receipt)
        except Exception as error:  # it is handed in all the same
            self.log.warning("It is handed in, but no receipt could be kept: %s", error)


def files_to_hand_in(folder: Path, names: list[str]) -> dict[str, str]:
    """Return the files of a learner's folder that are handed in, by the name they then have.

    Args:
        folder: the learner's.
        names: the notebooks expected.
    """
    with opened(folder.resolve()) as here:
        found = file_names(here, names) | {saved.FILE: saved.FILE}
    return {name: file for name, file in found.items() if (folder / file).is_file()}


def files_that_stay(folder: Path, handed_in: set[str]) -> str:
    """Return the names of what else is in a learner's folder, for a sentence; hidden files aside.

    Args:
        folder: the learner's.
        handed_in: the names of what is handed in.
    """
    ours = {*handed_in, RECEIPT}
    left = sorted(p.name for p in folder.iterdir() if p.name[0] != "." and p.name not in ours)
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return ", ".join(map(printable, left[:_NAMED])) + more

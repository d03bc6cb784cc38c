"""Handing in: a submission is in the exchange complete or not at all."""

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

RECEIPT = "receipt.txt"  # next to the lesson and in the cache; it is not handed in


class WholeSubmit(ExchangeSubmit):
    """nbgrader's submit, which copies under a hidden name first and renames at the end.

    A process that is killed or a disk that is full leaves nothing that counts as handed in, neither
    there nor in the student's own cache. `nbgrader submit` and the Assignment List use this, too.
    """

    inbound_path: str
    cache_path: str
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

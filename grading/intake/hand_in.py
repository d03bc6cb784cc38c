"""Handing in: a submission is in the exchange complete or not at all."""

import os
import shutil
from pathlib import Path

from nbgrader.exchange.default.submit import ExchangeSubmit


class WholeSubmit(ExchangeSubmit):
    """nbgrader's submit, which copies under a hidden name first and renames at the end.

    A process that is killed or a disk that is full leaves nothing that counts as handed in, neither
    there nor in the student's own cache. `nbgrader submit` and the Assignment List use this, too.
    """

    inbound_path: str
    cache_path: str

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
        finally:
            self.inbound_path, self.cache_path = str(inbound), str(cache)
            for folder in hidden:
                shutil.rmtree(folder, ignore_errors=True)

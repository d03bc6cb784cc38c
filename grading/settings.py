"""One nbgrader configuration for everyone: `gqa`, nbgrader's commands and JupyterLab.

Everything nbgrader writes lives under the user's data folder (`GQA_HOME`), so the
clone stays as it was pulled. `source_directory` is built; `solutions/` itself would be
copied into the students' release, because nbgrader ships every file it finds there.
"""

import os
from pathlib import Path

from traitlets.config import Config

from gqa_lib.learn import places

from . import collect, feedback
from .autograde import GRADE, SANITIZE

COURSE_ID = "gqa"
CELL_TIMEOUT_S = 300  # a cell may import torch and measure on two busy cores


def source_directory() -> Path:
    """Return the folder of built instructor notebooks, one folder per lesson."""
    return places.course_root() / "grading" / "source"


def exchange_root() -> Path:
    """Return the exchange folder; `GQA_EXCHANGE` names a shared one for a class."""
    return Path(os.environ.get("GQA_EXCHANGE") or places.home() / "exchange")


def nbgrader_config(home: Path | None = None, gradebook: Path | None = None) -> Config:
    """Return nbgrader's configuration, with its records under `home`.

    Args:
        home: folder of the records; the user's data folder unless given.
        gradebook: the gradebook's file, if not the one under `home`.
    """
    home = home or places.home()
    gradebook = gradebook or home / "gradebook.db"
    config = Config()
    course = config.CourseDirectory
    course.course_id = COURSE_ID
    course.root = str(home / "course")
    course.source_directory = str(source_directory())
    course.db_url = f"sqlite:///{gradebook}?timeout=60"
    (home / "course").mkdir(parents=True, exist_ok=True)

    config.Exchange.root = str(exchange_root())
    config.Exchange.cache = str(home / "cache")
    if not os.environ.get("GQA_EXCHANGE"):  # a local exchange is made on first use
        for folder in (exchange_root(), exchange_root() / COURSE_ID / "inbound"):
            if not folder.exists():
                folder.mkdir(parents=True)
                folder.chmod(0o777)  # nbgrader refuses an exchange that others cannot write to

    config.ExecutePreprocessor.timeout = CELL_TIMEOUT_S
    config.Execute.timeout = CELL_TIMEOUT_S
    config.Execute.shutdown_kernel = "immediate"
    config.Execute.extra_arguments = ["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"]
    config.Autograde.sanitize_preprocessors = SANITIZE
    config.Autograde.autograde_preprocessors = GRADE
    collect.configure(config)
    feedback.configure(config)
    return config

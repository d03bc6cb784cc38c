"""One nbgrader configuration for everyone: `gqa`, nbgrader's commands and JupyterLab.

Everything nbgrader writes lives under the user's data folder (`GQA_HOME`), so the
clone stays as it was pulled. `source_directory` is built; `solutions/` itself would be
copied into the students' release, because nbgrader ships every file it finds there.
"""

import os
import sys
from pathlib import Path

from traitlets.config import Application, Config

from gqa_lib.course import places
from gqa_lib.course.files import make_private
from gqa_lib.course.manifest import Lesson, class_exchange, is_students_copy

COURSE_ID = "gqa"
_OURS = Path(__file__).parent / "jupyter" / "nbgrader_config.py"
_LOADERS = {
    ".py": Application.python_config_loader_class,
    ".json": Application.json_config_loader_class,
}
_THEIR_STEPS = {"AssignLatePenalties", "LimitOutput"}  # that an instructor may set as they like
CELL_TIMEOUT_S = 300  # a cell may import torch and measure on two busy cores


def source_directory() -> Path:
    """Return the folder of built instructor notebooks, one folder per lesson."""
    return places.course_root() / "build" / "instructor"


def exchange_root() -> Path:
    """Return the exchange folder: the class's, or a local one for a learner alone."""
    return class_exchange() or places.home() / "exchange"


def make_local_exchange() -> None:
    """Make the exchange of a learner alone, where it is not there yet."""
    for folder in (exchange_root(), exchange_root() / COURSE_ID / "inbound"):
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o777)  # nbgrader refuses an exchange that others cannot write to


def released_copy(lesson: Lesson) -> Path:
    """Return where the exchange holds a released lesson."""
    return exchange_root() / COURSE_ID / "outbound" / lesson.slug / f"{lesson.slug}.ipynb"


def gradebook_url() -> str:
    """Return the gradebook's database: `GQA_GRADEBOOK`, else a SQLite file among the records.

    Raises:
        ValueError: `GQA_GRADEBOOK` is not the address of a database.
    """
    chosen = os.environ.get("GQA_GRADEBOOK")
    if chosen and "://" not in chosen:
        raise ValueError(
            f"GQA_GRADEBOOK is {chosen!r}, which is not a database address. Give one such as "
            "postgresql+psycopg://gqa@localhost/gqa, or unset it to use a SQLite file."
        )
    return chosen or _sqlite(places.home() / "gradebook.db")


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path}?timeout=60"


def keep_private(home: Path, gradebook: Path | None = None) -> None:
    """Make the records' folders, and a gradebook in a file, such that nobody else can read them.

    Args:
        home: folder of the records.
        gradebook: the gradebook's file, if it is not the one that is chosen.
    """
    make_private(home)
    make_private(home / "course")
    if (not gradebook and os.environ.get("GQA_GRADEBOOK")) or is_students_copy():
        return
    path = gradebook or home / "gradebook.db"
    if not path.exists():
        path.touch(mode=0o600)  # an empty file is an empty database
    status = path.stat()
    if status.st_uid == os.geteuid() and status.st_mode & 0o007:
        path.chmod(status.st_mode & 0o770)


def course_config(home: Path | None = None) -> Config:
    """Return what nbgrader must know to find the course's folders: not how to grade, only where.

    Args:
        home: folder of the records; the user's data folder unless given.
    """
    config = Config()
    config.CourseDirectory.course_id = COURSE_ID
    config.CourseDirectory.root = str((home or places.home()) / "course")
    return config


def nbgrader_config(home: Path | None = None, gradebook: Path | None = None) -> Config:
    """Return nbgrader's configuration, with its records under `home`.

    Args:
        home: folder of the records; the user's data folder unless given.
        gradebook: the gradebook's file; if not given it is under `home` where that is given,
            and else what `gradebook_url` says.
    """
    from .intake.hand_in import RECEIPT
    from .nb.new_gradebook import without_a_program

    without_a_program()
    if home and not gradebook:
        gradebook = home / "gradebook.db"
    home = home or places.home()
    config = course_config(home)
    course = config.CourseDirectory
    course.source_directory = str(source_directory())
    course.ignore.extend(["*.before-*.ipynb", RECEIPT])  # `gqa reset`'s; neither is handed in
    course.db_url = _sqlite(gradebook) if gradebook else gradebook_url()
    keep_private(home, gradebook)

    config.Exchange.root = str(exchange_root())
    config.Exchange.cache = str(home / "cache")
    if class_exchange() is None:
        make_local_exchange()

    config.ExchangeFactory.submit = f"{__package__}.intake.hand_in.WholeSubmit"
    config.ExecutePreprocessor.timeout = CELL_TIMEOUT_S  # of JupyterLab's Validate
    if not is_students_copy():  # which does not grade
        from .intake import collect, exchange
        from .intake.class_file import course_seed
        from .intake.lateness import ClassPenalty
        from .nb import clear
        from .pages import feedback
        from .pipeline.autograde import GRADE, SANITIZE, ReadSafely

        config.SafeExecute.seed = course_seed()
        config.Autograde.exporter_class = ReadSafely
        config.Autograde.sanitize_preprocessors = SANITIZE
        config.Autograde.autograde_preprocessors = GRADE
        config.AssignLatePenalties.plugin_class = ClassPenalty
        clear.configure(config)
        collect.configure(config)
        exchange.configure(config)
        feedback.configure(config)
    return config


def class_config() -> Config:
    """Return what a class is released, collected and graded with: nbgrader's own files, then ours.

    nbgrader's files are those that its commands read: the user's, the environment's, the system's
    and the course folder's. What ours sets stands: where things are, what comes in, and how it is
    run. So does what keeps solutions and hidden tests out of what students get. But a plugin for
    late penalties that they name is used.

    Raises:
        ValueError: one of the files cannot be used.
    """
    from nbgrader import preprocessors

    ours, theirs, config = nbgrader_config(), instructors_config(), Config()
    for step in {*preprocessors.__all__, "GenerateAssignment"} - _THEIR_STEPS:
        theirs.pop(step, None)
    plugin = theirs.get("AssignLatePenalties", {}).get("plugin_class")
    config.merge(theirs)
    config.merge(ours)  # into the parts of theirs
    if plugin:
        config.AssignLatePenalties.plugin_class = plugin
    return config


def instructors_config() -> Config:
    """Return what nbgrader's configuration files say, but for the course's own in etc/jupyter.

    Raises:
        ValueError: one of the files cannot be used.
    """
    from jupyter_core.paths import jupyter_config_path

    config, root = Config(), Path(course_config().CourseDirectory.root)
    if (root / "nbgrader_config.py").exists() and str(root) not in sys.path:
        sys.path.append(str(root))  # where a plugin that it names is
    for name in ("jupyter_config", "nbgrader_config"):
        for folder in (*reversed(jupyter_config_path()), str(root)):
            for kind, load in _LOADERS.items():
                file = Path(folder, f"{name}{kind}")
                if not file.exists() or file.read_bytes() == _OURS.read_bytes():
                    continue
                try:
                    config.merge(load(file.name, folder).load_config())
                except Exception as error:  # whatever the file raises
                    raise ValueError(
                        f"{file} cannot be used ({type(error).__name__}: {error}), so late "
                        "penalties and other settings in it would be missing. Mend it."
                    ) from error
    return config

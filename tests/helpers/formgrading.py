"""The page that an instructor sees of a submission in Formgrader."""

from pathlib import Path

from classroom import NAME
from nbconvert import HTMLExporter
from nbgrader.server_extensions import formgrader


def formgraders_page(room, student):
    """Return it as HTML, made as Formgrader makes it."""
    config = room.config.copy()  # with what Formgrader itself sets
    config.HTMLExporter.template_name = "formgrade"
    templates = Path(formgrader.__file__).parent / "templates"
    config.HTMLExporter.extra_template_basedirs = [str(templates)]
    about = {"index": 0, "total": 1, "base_url": "", "submission_id": "x", "notebook_id": NAME}
    path = room.folder("autograded", student) / f"{NAME}.ipynb"
    return HTMLExporter(config=config).from_filename(str(path), resources=about)[0]

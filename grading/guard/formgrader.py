"""Formgrader behind a guard: a server extension in the place of nbgrader's own.

nbgrader's Formgrader takes a configuration to run from any address (`?path=`), and puts names into
its pages as they are. Here addresses name no configuration, and each value in a page is text. What
that relies on of nbgrader is checked first: if it differs, there is no Formgrader.
"""

import html
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, FileSystemLoader
from jupyter_server.utils import url_path_join
from nbconvert.exporters import HTMLExporter
from nbgrader import __version__ as version
from nbgrader.server_extensions.formgrader import apihandlers, handlers
from nbgrader.server_extensions.formgrader.base import BaseHandler, check_notebook_dir
from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension
from tornado import web
from traitlets import Bool

PAGES = {  # nbgrader's, as they are known here
    "ManageAssignmentsHandler",
    "ManageSubmissionsHandler",
    "GradebookAssignmentsHandler",
    "GradebookNotebooksHandler",
    "GradebookNotebookSubmissionsHandler",
    "ManageStudentsHandler",
    "ManageStudentsAssignmentsHandler",
    "ManageStudentNotebookSubmissionsHandler",
    "SubmissionHandler",
    "SubmissionNavigationHandler",
    "SubmissionFilesHandler",
}
_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
_ASSIGNED = re.compile(r'(var \w+ = )"\{\{\s*(\w+)\s*\}\}";')
_ARGUMENTS = {"submission_id", "index", "version"}  # of a query that a handler may read


class Unknown(RuntimeError):
    """nbgrader's Formgrader is not the one that the guard was made for."""


class Home(BaseHandler):
    """Formgrader's first address, which names no configuration."""

    @web.authenticated
    @check_notebook_dir
    def get(self) -> None:
        """Lead on to the assignments, whatever `path` says."""
        if self.get_argument("path", ""):
            self.log.error("Formgrader: path= was ignored: the course is the one of `gqa lab`.")
        self.redirect(f"{self.base_url}/formgrader/manage_assignments")


class Files(handlers.SubmissionFilesHandler):
    """The files of a submission, which act nowhere."""

    def set_extra_headers(self, path: str) -> None:
        """Forbid whatever a page among them might do."""
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
        self.set_header("X-Content-Type-Options", "nosniff")


class AsText:
    """Values are no pages, whatever names are in them; nbgrader's scripts read them as text."""

    def set_default_headers(self) -> None:
        """Say that the answer is text."""
        super().set_default_headers()  # type: ignore[misc]
        self.set_header("Content-Type", "text/plain; charset=UTF-8")  # type: ignore[attr-defined]
        self.set_header("X-Content-Type-Options", "nosniff")  # type: ignore[attr-defined]


class Templates(FileSystemLoader):
    """nbgrader's templates, with values in scripts as JavaScript's own texts."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return a template with `tojson` where a script takes a value.

        Raises:
            Unknown: a script takes one in another way.
        """
        source, name, current = super().get_source(environment, template)
        return _SCRIPT.sub(lambda script: _as_json(script, template), source), name, current


def _as_json(script: re.Match[str], template: str) -> str:
    code = _ASSIGNED.sub(r"\1{{ \2 | tojson }};", script[0])
    if "{{" in re.sub(r"\{\{ \w+ \| tojson \}\}", "", code):
        raise Unknown(f"a script in {template} takes a value in a way that is not known")
    return code


class SubmissionPage(HTMLExporter):
    """The page of a submission, where what the gradebook has of names is text."""

    def from_filename(self, filename: str, resources: dict | None = None, **kw: Any):
        """Return the page of a notebook; the resources' texts are no markup."""
        return super().from_filename(filename, resources=escaped(resources or {}), **kw)


def escaped(resources: dict) -> dict:
    """Return a page's resources with the texts made fit for markup."""
    return {
        key: html.escape(value) if isinstance(value, str) else value
        for key, value in resources.items()
    }


class GuardedFormgrader(FormgradeExtension):
    """nbgrader's Formgrader with pages of text and one configuration: the course's."""

    debug = Bool(False, help="Show the configuration, the database's password included.").tag(
        config=True
    )

    def init_tornado_settings(self, webapp: web.Application) -> None:
        """Set what the handlers use: templates that escape, an exporter that does."""
        super().init_tornado_settings(webapp)
        environment = Environment(loader=Templates([handlers.template_path]), autoescape=True)
        for name in environment.list_templates(extensions=["tpl"]):
            environment.get_template(name)
        webapp.settings["nbgrader_jinja2_env"] = environment
        webapp.settings["nbgrader_exporter"] = SubmissionPage(config=self.config)

    def init_handlers(self, webapp: web.Application) -> None:
        """Add nbgrader's handlers, with ours in the place of those that answer too much."""
        check_handlers()
        base = webapp.settings["base_url"]
        added = [
            (r"/formgrader/?", Home),
            *(_instead(*one) for one in handlers.default_handlers[1:]),
            *((address, _as_text(handler)) for address, handler in apihandlers.default_handlers),
            (r"/formgrader/static/(.*)", web.StaticFileHandler, {"path": handlers.static_path}),
            (r"/formgrader/.*", handlers.Template404),
        ]
        webapp.add_handlers(".*$", [(url_path_join(base, one[0]), *one[1:]) for one in added])


def _instead(address: str, handler: type, *more: dict) -> tuple:
    """Return a handler's line, ours for that of files."""
    return address, Files if handler is handlers.SubmissionFilesHandler else handler, *more


def _as_text(handler: type) -> type:
    """Return a handler of values whose answers no browser takes for a page."""
    return type(handler.__name__, (AsText, handler), {})


def check_handlers() -> None:
    """See that nbgrader's handlers are those that the guard knows.

    Raises:
        Unknown: one is not.
    """
    first, *pages = handlers.default_handlers
    if first[:2] != (r"/formgrader/?", handlers.FormgraderHandler):
        raise Unknown(f"its first page is {first[0]}")
    for address, handler, *_ in [*pages, *apihandlers.default_handlers]:
        if handler is web.StaticFileHandler:
            continue
        if not issubclass(handler, BaseHandler):
            raise Unknown(f"{address} is answered by {handler.__name__}, which asks for no login")
        if handler.__module__ == handlers.__name__ and handler.__name__ not in PAGES:
            raise Unknown(f"{address} is answered by {handler.__name__}")
        code = inspect.getsource(handler)
        if odd := set(re.findall(r"get_argument\(\s*['\"](\w+)", code)) - _ARGUMENTS:
            raise Unknown(f"{address} reads {', '.join(sorted(odd))} from the address")


def load_jupyter_server_extension(nbapp: Any) -> None:
    """Load Formgrader with its guard, or say why there is none."""
    formgrader = GuardedFormgrader(parent=nbapp)
    formgrader.root_dir = nbapp.root_dir
    formgrader.log = nbapp.log
    formgrader.initialize([])
    try:
        formgrader.init_tornado_settings(nbapp.web_app)
        formgrader.init_handlers(nbapp.web_app)
    except Exception as error:
        print(
            f"There is no Formgrader: its guard does not fit nbgrader {version} ({error}). Install "
            "the versions of constraints.txt: pip install -c constraints.txt nbgrader",
            file=sys.stderr,
            flush=True,
        )

"""Formgrader behind its guard: whose requests are answered, and that names in it are text."""

import http.client
import json
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbgrader.server_extensions.formgrader as formgrader
import pytest
from browsing import Desk
from jinja2 import Environment
from nbformat.v4 import new_markdown_cell, new_notebook, writes
from nbgrader.server_extensions.formgrader import handlers
from nbgrader.server_extensions.formgrader.base import BaseHandler
from tornado import web
from traitlets.config import Config

from grading.classroom.gradebook import open_gradebook
from grading.guard import formgrader as guard
from grading.guard.identity import foreign, is_loopback, port_of

NAME = "\"'><script>document.title='owned'</script>"
ELSEWHERE = ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"})
HERE = "127.0.0.1:8888"


@pytest.mark.parametrize(
    "headers",
    [
        *ELSEWHERE,
        {"Sec-Fetch-Site": "anything"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/127.0.0.1:8888"},
        {"Upgrade": "websocket", "Origin": "http://localhost:8888"},
    ],
)
def test_what_another_page_causes_is_seen(headers):
    assert "another page caused it" in foreign(headers, HERE)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://elsewhere"},
        {"Origin": f"http://{HERE}", "Referer": f"http://{HERE}/lab"},
        {"Upgrade": "websocket", "Sec-Fetch-Site": "cross-site", "Origin": f"http://{HERE}"},
    ],
)
def test_own_pages_typed_addresses_and_programs_are_answered(headers):
    assert foreign(headers, HERE) == ""


def test_which_hosts_are_this_machine():
    ours = ("localhost", "localhost:80", "127.0.0.1:8888", "127.1.2.3", "[::1]:8888")
    others = ("evil.example", "127.0.0.1.evil.example:8888", "10.0.0.1", "", "0.0.0.0", "[::1", "@")
    assert all(map(is_loopback, ours))
    assert not any(map(is_loopback, others))
    assert [port_of(one) for one in ("localhost", "[::1]:1", "a:x", "a:99999")] == [
        80,
        1,
        None,
        None,
    ]


# Pages


def rendered(template, **values):
    environment = Environment(loader=guard.Templates([handlers.template_path]), autoescape=True)
    return environment.get_template(template).render(base_url="", **values)


def test_a_name_in_a_script_is_javascript_text():
    page = rendered("manage_students_assignments.tpl", student_id='\\";alert(1)//</script>')
    (line,) = re.findall(r"var student_id = (.*);", page)
    assert json.loads(line) == '\\";alert(1)//</script>'
    assert "</script>" not in line


def test_every_template_is_known_and_escapes():
    for path in Path(handlers.template_path).glob("*.tpl"):
        if path.name != "formgrade_404.tpl":
            names = ("student_id", "assignment_id", "notebook_id", "exchange", "course_dir")
            names += ("url_prefix", "default_timezone", "current_config", "error_code")
            assert NAME not in rendered(path.name, **dict.fromkeys(names, NAME))


def test_a_script_of_another_form_is_refused(tmp_path):
    (tmp_path / "new.tpl").write_text("<script>f('{{ student_id }}')</script>")
    environment = Environment(loader=guard.Templates([str(tmp_path)]), autoescape=True)
    with pytest.raises(guard.Unknown, match=r"a script in new\.tpl"):
        environment.get_template("new.tpl")


def test_names_of_the_roster_are_text_in_the_page_of_a_submission(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text(writes(new_notebook(cells=[new_markdown_cell("an answer")])))
    config = Config()
    config.HTMLExporter.template_name = "formgrade"
    folder = Path(formgrader.__file__).parent / "templates"
    config.HTMLExporter.extra_template_basedirs = [str(folder)]
    about = dict.fromkeys(("last_name", "first_name", "student", "notebook_id"), NAME)
    about |= {"index": 0, "total": 1, "base_url": "", "submission_id": "x", "assignment_id": "y"}
    page, _ = guard.SubmissionPage(config=config).from_filename(str(path), resources=about)
    assert "an answer" in page
    assert "document.title=" in page
    assert "<script>document.title=" not in page


class _Reads(BaseHandler):
    def get(self):
        self.get_argument("run")


@pytest.mark.parametrize(
    "line",
    [
        (r"/formgrader/new", _Reads),
        (r"/formgrader/new", type("Open", (web.RequestHandler,), {})),
        (r"/formgrader/new", type("Page", (BaseHandler,), {"__module__": handlers.__name__})),
    ],
    ids=["reads an argument", "asks for no login", "is new"],
)
def test_handlers_that_the_guard_does_not_know_are_refused(line, monkeypatch):
    guard.check_handlers()
    monkeypatch.setattr(handlers, "default_handlers", [*handlers.default_handlers, line])
    with pytest.raises(guard.Unknown):
        guard.check_handlers()


def test_without_its_guard_there_is_no_formgrader(monkeypatch, capsys, tmp_path):
    class Server:
        web_app, root_dir = web.Application(), str(tmp_path)
        log = guard.FormgradeExtension().log

    def differs(self, webapp):
        raise guard.Unknown("its first page is another")

    monkeypatch.setattr(guard.GuardedFormgrader, "__init__", lambda self, **_: None)
    monkeypatch.setattr(guard.GuardedFormgrader, "initialize", lambda self, argv: None)
    monkeypatch.setattr(guard.GuardedFormgrader, "root_dir", "", raising=False)
    monkeypatch.setattr(guard.GuardedFormgrader, "log", None, raising=False)
    monkeypatch.setattr(guard.GuardedFormgrader, "init_tornado_settings", differs)
    guard.load_jupyter_server_extension(Server())
    assert "There is no Formgrader" in capsys.readouterr().err
    assert not Server.web_app.wildcard_router.rules


# A running server


class Client:
    """A browser as far as addresses, cookies and headers go."""

    def __init__(self, address):
        parts = urlsplit(address)
        self.port, self.root = parts.port, parts.path.partition("/lab")[0]
        self.token, self.cookie = parts.query, ""
        answer, _ = self.get(f"/lab?{self.token}", {"Sec-Fetch-Site": "none"})
        cookies = answer.headers.get_all("Set-Cookie")
        self.login = next(one for one in cookies if one.startswith("username"))
        self.cookie = "; ".join(one.split(";")[0] for one in cookies)

    def get(self, path, headers=None, *, root=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        sent = {"Cookie": self.cookie} | (headers or {})
        connection.request("GET", (self.root if root is None else root) + path, headers=sent)
        answer = connection.getresponse()
        return answer, answer.read().decode()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GQA_HOME", str(folder / "home"))
        with open_gradebook() as gradebook:
            gradebook.add_student("mal", last_name=NAME, first_name=NAME)
    desk = Desk(folder, "--role", "instructor")
    yield Client(desk.address)
    desk.stop()


def test_its_address_is_not_to_be_guessed(lab):
    assert re.fullmatch(r"/[0-9a-f]{32}", lab.root)
    assert lab.get("/formgrader", root="")[0].status == 404
    assert {"HttpOnly", "SameSite=Strict", f"Path={lab.root}/"} <= set(lab.login.split("; "))


PAGES = (
    "/formgrader/manage_assignments",
    "/formgrader/gradebook",
    "/formgrader/api/students",
    "/formgraders",
    "/assignments?course_id=gqa",
    "/courses",
    "/nbgrader_version?version=1",
    "/api/contents",
    "/lab",
)


def test_other_pages_cannot_use_its_login(lab):
    for page in PAGES:
        assert lab.get(page, {"Sec-Fetch-Site": "same-origin"})[0].status == 200
        for headers in ELSEWHERE:
            assert lab.get(page, headers)[0].status == 403
    for headers in ({"Host": "evil.example"}, {"Host": "127.0.0.1:1"}, {"Host": "localhost"}):
        assert lab.get("/formgrader/gradebook", headers)[0].status == 403
    assert lab.get(f"/lab?{lab.token}", ELSEWHERE[0])[0].status == 200  # the page that opens it


def test_without_the_login_there_is_nothing(lab):
    for page in PAGES:
        assert lab.get(page, {"Cookie": ""})[0].status in (302, 403)


def test_an_address_names_no_configuration(lab, tmp_path):
    (tmp_path / "nbgrader_config.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for page in ("/formgrader", "/formgrader/", "/formgrader/manage_assignments"):
        answer, _ = lab.get(f"{page}?path={quote(str(tmp_path))}", {"Sec-Fetch-Site": "none"})
        assert answer.status in (200, 302)
    assert not (tmp_path / "ran").exists()


def test_values_are_no_pages_and_the_configuration_is_not_shown(lab):
    answer, text = lab.get("/formgrader/api/students")
    assert NAME in [one["last_name"] for one in json.loads(text)]
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "db_url" not in lab.get("/formgrader/manage_assignments")[1]
    assert NAME not in lab.get(f"/formgrader/manage_students/{quote(NAME, safe='')}")[1]

"""JupyterLab behind a name: whom it answers there, with which token, and that it asks for one."""

from types import SimpleNamespace

import pytest
from jupyter_server.serverapp import ServerApp

from gqa_lib.cli import main
from grading.guard.identity import OwnPages, name_of
from grading.learner import lab

HOST = "course.example.org"
TOKEN = "a-token-long-enough"
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def pages():
    """The identity of a server whose options `gqa lab --host` gives."""
    app = ServerApp()
    app.parse_command_line(lab._reached_at("0.0.0.0", [HOST]))
    return OwnPages(config=app.config, token=TOKEN)


def asked(host, headers=(), method="GET", token=None):
    """A request, as far as the identity looks at it."""
    headers = {"Host": host} | dict(headers)
    if token:
        headers["Authorization"] = f"token {token}"
    request = SimpleNamespace(host=host, headers=headers, method=method)
    return SimpleNamespace(request=request, get_argument=lambda name, default: default)


def test_the_options_are_what_jupyter_reads(pages):
    assert pages.hosts == [HOST]
    assert pages.cookie_options == {"samesite": "Lax"}
    app = ServerApp()
    app.parse_command_line(lab._reached_at(lab.LOOPBACK, []))
    assert app.ip == lab.LOOPBACK
    assert OwnPages(config=app.config).hosts == []


@pytest.mark.parametrize("host", [HOST, f"{HOST}:443", HOST.upper(), "127.0.0.1:7860", "localhost"])
def test_its_names_and_this_machines_are_answered(pages, host):
    assert pages.refusal(asked(host)) == ""
    assert pages.refusal(asked(host, token=TOKEN)) == ""


@pytest.mark.parametrize("host", ["evil.example", f"x.{HOST}", f"{HOST}.evil.example", "", "[::1"])
def test_other_names_are_refused_even_with_the_token(pages, host):
    assert f"for 127.0.0.1 and {HOST} alone" in pages.refusal(asked(host, token=TOKEN))


def test_a_link_leads_there_and_no_other_page_acts_there(pages):
    assert pages.refusal(asked(HOST, LINK)) == ""
    for headers, method in (
        (LINK | {"Sec-Fetch-Dest": "iframe"}, "GET"),
        (LINK, "POST"),
        ({"Sec-Fetch-Site": "cross-site"}, "GET"),
        ({"Upgrade": "websocket", "Origin": "https://evil.example"}, "GET"),
    ):
        assert "another page caused it" in pages.refusal(asked(HOST, headers, method))
    assert "another page caused it" in pages.refusal(asked("localhost", LINK))  # as before


def test_a_host_has_a_name_or_none():
    hosts = {HOST: HOST, f"{HOST}:80": HOST, "A.B": "a.b", "": "", "[::1": "", "[::1]:5": "::1"}
    assert {host: name_of(host) for host in hosts} == hosts


@pytest.fixture
def started(monkeypatch):
    """What JupyterLab would be started with; nothing is started."""
    given = {}
    monkeypatch.setattr(lab, "students_desk", lambda lesson: ("/lab", lab.Path.cwd()))
    monkeypatch.setattr(lab, "sync_in_passing", lambda: None)
    monkeypatch.setattr("jupyterlab.labapp.main", lambda arguments: given.update(said=arguments))
    monkeypatch.setattr(lab.os, "environ", {"PATH": "/bin"})
    return given


def test_a_token_that_is_chosen_is_asked_for_and_not_printed(started, capsys):
    lab.os.environ["GQA_TOKEN"] = TOKEN
    lab.open_lab(browser=False, port=7860, ip="0.0.0.0", hosts=[HOST])
    assert lab.os.environ["JUPYTER_TOKEN"] == TOKEN
    assert f"https://{HOST}/lab, with the token in GQA_TOKEN" in (said := capsys.readouterr().out)
    assert TOKEN not in said
    assert "--ServerApp.ip=0.0.0.0" in started["said"]


def test_without_one_there_is_a_new_one_each_time(started, capsys):
    tokens = set()
    for _ in range(2):
        lab.open_lab(browser=False, port=7860)
        tokens.add(lab.os.environ["JUPYTER_TOKEN"])
    assert len(tokens) == 2
    said = capsys.readouterr().out
    assert all(len(token) == 32 and f"?token={token}" in said for token in tokens)
    assert "--ServerApp.ip=127.0.0.1" in started["said"]


def test_a_token_that_can_be_guessed_is_refused(started, capsys, monkeypatch):
    lab.os.environ["GQA_TOKEN"] = "eleven-long"
    assert main(["lab", "--no-browser"]) != 0
    assert "GQA_TOKEN has 11 characters" in capsys.readouterr().err
    assert started == {}


@pytest.mark.parametrize("also", [["--ip", "0.0.0.0"], ["--host", HOST]])
def test_the_instructors_tools_are_for_this_machine_alone(started, capsys, also):
    assert main(["lab", "--no-browser", "--role", "instructor", *also]) != 0
    assert "answer on this machine alone" in capsys.readouterr().err
    assert started == {}

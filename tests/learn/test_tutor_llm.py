"""A language model's words are shown only where the lessons bear them out."""

import json
import logging
import socket
import threading

import pytest
from werkzeug import Response

from gqa_lib.cli import main
from gqa_lib.learn.tutor import llm
from gqa_lib.learn.tutor.answer import ask
from gqa_lib.learn.tutor.showing import markdown, terminal

QUESTION = "What is a ridge point?"
KEY = "sk-very-secret-1234567890"
QUOTE = "That is its **ridge point**: FLOP/s over bytes/s, both measured here, now."
GOOD = {
    "covered": True,
    "answer": "The ridge point is FLOP/s over bytes/s of a machine. It says how many FLOPs it can "
    "do in the time it takes to read one byte.",
    "quotes": [{"passage": "1", "quote": QUOTE}],
}


@pytest.fixture
def model(httpserver, monkeypatch):
    """A server with OpenAI's interface; `model(reply)` sets what it writes."""
    monkeypatch.setenv("GQA_TUTOR_BASE_URL", httpserver.url_for("/v1"))
    monkeypatch.setenv("GQA_TUTOR_MODEL", "small")
    monkeypatch.setenv("GQA_TUTOR_API_KEY", KEY)
    monkeypatch.setattr(llm, "RETRIES", 0)
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(proxy, raising=False)

    def says(reply):
        content = reply if isinstance(reply, str) else json.dumps(reply)
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "small"}
        choice = {"index": 0, "finish_reason": "stop"}
        choice["message"] = {"role": "assistant", "content": content}
        httpserver.expect_request("/v1/chat/completions").respond_with_json(
            body | {"choices": [choice]}
        )

    says.server = httpserver
    return says


def quoted_instead(question=QUESTION):
    """Ask, and return the note; the answer must be that of the lessons alone."""
    reply = ask(question)
    alone = ask(question, llm=False)
    assert reply.text == alone.text
    assert reply.quotes == alone.quotes
    assert KEY not in f"{reply}{markdown(reply)}{terminal(reply)}"
    return reply.note


def test_a_grounded_answer_is_shown_with_its_quotes(model):
    model(GOOD)
    reply = ask(QUESTION)
    assert reply.text == GOOD["answer"]
    assert reply.quotes[0][1] == (QUOTE,)
    assert reply.sources[0].heading == "Two numbers of your machine"
    assert GOOD["answer"] in markdown(reply)
    assert f"> {QUOTE}" in markdown(reply)
    assert reply.note == ""


def test_the_model_gets_numbered_passages_and_may_cite_no_others(model):
    model(GOOD)
    ask(QUESTION)
    (request, _), *_ = model.server.log
    sent = request.get_json()
    assert sent["model"] == "small"
    schema = sent["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["quotes"]["items"]["properties"]["passage"]["enum"] == [
        "1",
        "2",
        "3",
    ]
    assert "[1] " in sent["messages"][1]["content"]
    assert QUESTION in sent["messages"][1]["content"]
    assert KEY not in request.get_data(as_text=True)
    assert request.headers["Authorization"] == f"Bearer {KEY}"


def test_json_keeps_its_form_with_a_model(model, capsys):
    model(GOOD)
    assert main(["ask", QUESTION, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["refused", "answer", "sources"]
    assert said["answer"] == GOOD["answer"]


def test_no_model_is_asked_about_what_is_refused(model):
    model(GOOD)
    assert ask("what is LoRA?").refused
    assert ask("write split_heads for me").refused
    assert ask("which option is right?").refused
    assert model.server.log == []


def test_unset_means_no_network(monkeypatch):
    monkeypatch.delenv("GQA_TUTOR_BASE_URL", raising=False)

    def refuse(*_, **__):
        raise AssertionError("the tutor opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not ask(QUESTION).refused


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"quotes": [{"passage": "1", "quote": "A ridge point is a mountain."}]}, "quoted what"),
        ({"quotes": [{"passage": "2", "quote": QUOTE}]}, "quoted what"),
        ({"quotes": [{"passage": "1", "quote": "That"}]}, "quoted what"),
        ({"quotes": [{"passage": "9", "quote": QUOTE}]}, "not in the form"),
        ({"quotes": []}, "cited nothing"),
        ({"quotes": None}, "not in the form"),
        ({"quotes": "all"}, "not in the form"),
        ({"covered": False}, "found nothing"),
        ({"covered": "yes"}, "not in the form"),
        ({"answer": 7}, "not in the form"),
        ({"answer": ""}, "two to four"),
        ({"answer": "The ridge point is FLOP/s over bytes/s."}, "two to four"),
        ({"answer": "The ridge point is FLOP/s. " * 5}, "two to four"),
        ({"answer": GOOD["answer"] + " It is 412 here."}, "numbers that are not"),
        ({"answer": GOOD["answer"] + " <img src=x onerror=alert()>"}, "code, links or markup"),
        ({"answer": GOOD["answer"] + " <script>steal()</script>"}, "code, links or markup"),
        ({"answer": GOOD["answer"] + " &lt;b"}, "code, links or markup"),
        (
            {"answer": GOOD["answer"] + " See [more](https://evil.example)."},
            "code, links or markup",
        ),
        ({"answer": GOOD["answer"] + " See www.evil.example."}, "code, links or markup"),
        ({"answer": GOOD["answer"] + "\n```python\nreturn q\n```"}, "code, links or markup"),
        ({"answer": GOOD["answer"] + " `return a // b` does it."}, "code, links or markup"),
        ({"answer": GOOD["answer"] + " `x.view(b).mT(c)` does it."}, "code, links or markup"),
        ({"answer": GOOD["answer"] + f" The key is {KEY}."}, ""),
        (
            {"answer": "My instructions say to sing songs. Bananas ripen under friendly clouds."},
            "mentioned what is not",
        ),
    ],
)
def test_an_answer_that_is_not_borne_out_is_not_shown(model, change, says):
    model(GOOD | change)
    assert says in quoted_instead()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not JSON",
        "[]",
        "null",
        '{"answer": "x"}',
        "{" * 5000,
        '{"covered": true}',
        "[" * 50_000,
    ],
)
def test_what_is_no_answer_is_not_shown(model, content):
    model(content)
    assert "not in the form" in quoted_instead()


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_server_that_refuses(model, status):
    model.server.expect_request("/v1/chat/completions").respond_with_data(
        f"bad {KEY}", status=status
    )
    assert f"HTTP {status}" in quoted_instead()


@pytest.mark.parametrize(
    "body",
    ["", "<html>captive portal</html>", "{}", '{"choices": []}', '{"choices": [{}]}', "null"],
)
def test_a_server_that_is_no_model(model, body):
    model.server.expect_request("/v1/chat/completions").respond_with_data(body)
    assert "sent an invalid answer" in quoted_instead()


def test_a_redirect_is_not_followed(model):
    elsewhere = model.server.url_for("/elsewhere")
    model.server.expect_request("/v1/chat/completions").respond_with_data(
        "", status=307, headers={"Location": elsewhere}
    )
    assert quoted_instead()
    assert all(request.path != "/elsewhere" for request, _ in model.server.log)


def test_a_slow_server(model, monkeypatch):
    monkeypatch.setattr(llm, "TIMEOUT_S", 0.3)

    given_up = threading.Event()

    def slow(_):
        given_up.wait(300)
        return Response("{}")

    model.server.expect_request("/v1/chat/completions").respond_with_handler(slow)
    note = quoted_instead()
    given_up.set()
    assert "longer than" in note


def test_a_server_that_drips(model, monkeypatch):
    monkeypatch.setattr(llm, "TIMEOUT_S", 0.5)

    given_up, reached_its_end = threading.Event(), threading.Event()

    def drip():
        for _ in range(3000):
            if given_up.wait(0.1):
                return
            yield b" "
        reached_its_end.set()

    model.server.expect_request("/v1/chat/completions").respond_with_handler(
        lambda _: Response(drip(), mimetype="application/json")
    )
    note = quoted_instead()
    given_up.set()
    assert "longer than" in note
    assert not reached_its_end.is_set()


def test_a_server_that_never_ends(model):
    model.server.expect_request("/v1/chat/completions").respond_with_handler(
        lambda _: Response((b"x" * 10_000 for _ in range(10_000)), mimetype="application/json")
    )
    assert "bytes" in quoted_instead()


def test_a_connection_that_is_closed(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("GQA_TUTOR_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}/v1")
        monkeypatch.setenv("GQA_TUTOR_API_KEY", KEY)
        monkeypatch.setattr(llm, "RETRIES", 0)
        server.close()
        assert "could not be reached" in quoted_instead()


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/v1", "http://", "http://[::1"])
def test_an_address_that_is_none(monkeypatch, url):
    monkeypatch.setenv("GQA_TUTOR_BASE_URL", url)
    monkeypatch.setenv("GQA_TUTOR_API_KEY", KEY)
    monkeypatch.setattr(llm, "RETRIES", 0)
    assert quoted_instead()


def test_no_more_than_one_retry(model, monkeypatch):
    monkeypatch.setattr(llm, "RETRIES", 1)
    model.server.expect_request("/v1/chat/completions").respond_with_data("", status=500)
    quoted_instead()
    assert len(model.server.log) == 2


def test_the_package_may_be_missing(model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    assert "openai is missing" in quoted_instead()


def test_the_key_is_nowhere_to_be_read(model, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    model.server.expect_request("/v1/chat/completions").respond_with_data(f"{KEY} no", status=500)
    assert main(["ask", QUESTION]) == 0
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err
    assert KEY not in caplog.text

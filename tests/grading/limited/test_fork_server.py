"""A warm process that is gone, falls silent or is closed says nothing of those it worked for."""

import contextlib
import socket
import sys
import threading

import pytest

from grading.limited import fork_server
from grading.limited.fork_server import ForkServer, Gone

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's sockets")
BEGIN = (
    "import json, os, socket, sys, time\n"
    "line = socket.socket(fileno=int(sys.argv[1]))\n"
    "line.send(b'{\"ready\": true}')\n"
    "line.recv(9999)\n"
)


@contextlib.contextmanager
def served_by(source):
    with contextlib.closing(ForkServer([sys.executable, "-c", BEGIN + source, "CONTROL"])) as made:
        yield made


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "it ended"),
        ("sys.exit('no memory')", "no memory"),
        ("line.send(b'no answer')", "it ended"),
        ("os.kill(os.getpid(), 9)", "it ended"),
        ("line.close(); time.sleep(60)", "it ended"),  # it takes longer than anybody waits for it
    ],
)
def test_whatever_becomes_of_it_the_caller_is_told_that_it_is_gone(source, why):
    with served_by(source) as server:
        for _ in "ab":
            with pytest.raises(Gone, match=why):
                server.spawn({}, [])
        with pytest.raises(Gone, match=why):
            server.check()
        server.kill(1)
        with contextlib.closing(server.alive()) as other:
            assert other is not server


def test_one_that_falls_silent_is_given_up(monkeypatch):
    monkeypatch.setattr(fork_server, "START_S", 0.2)
    with served_by("time.sleep(60)") as server:
        with pytest.raises(Gone, match=r"no answer in 0.2 s|it ended"):
            server.spawn({}, [])
        with contextlib.closing(server.alive()) as other:
            assert other is not server


@pytest.mark.parametrize("closing", ["close", "alive"])
def test_who_waits_for_an_answer_while_another_closes_it_is_told_so(closing):
    for _ in range(5):
        seen = []
        with served_by("line.recv(9999)" if closing == "close" else "") as server:

            def ask(server=server, seen=seen):
                try:
                    server.spawn({}, [socket.socketpair()[0]])
                except Exception as error:
                    seen.append(type(error))

            asking = threading.Thread(target=ask)
            asking.start()
            if closing == "alive":
                server.process.wait()
                server.alive().close()
            else:
                server.close()
            asking.join(60)
            assert seen == [Gone]

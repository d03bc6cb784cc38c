"""What a page elsewhere, and a name, can do to an instructor's Formgrader in a real browser."""

import http.server
import threading
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import pytest
from browsing import Desk, chromium, needs_chromium

pytestmark = needs_chromium
SCRIPT = '";document.title="owned";//'


@contextmanager
def page_elsewhere(content):
    """Serve a page at another port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path, "--role", "instructor")
    yield desk
    desk.stop()


def test_another_page_cannot_lead_the_instructor_into_formgrader(desk, tmp_path):
    (tmp_path / "nbgrader_config.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    root = desk.address.partition("/lab")[0]
    target = f"{root}/formgrader?path={quote(str(tmp_path))}"  # though no page knows the address
    to_it = f"<script>location = {target!r}</script>"
    with page_elsewhere(to_it) as port, chromium() as (page, _):
        page.goto(f"{root}/api/me?{urlsplit(desk.address).query}")
        for host in ("localhost", "127.0.0.1"):  # another site, and another port of this one
            other = page.context.new_page()
            with other.expect_response(lambda answer: "/formgrader" in answer.url) as answered:
                other.goto(f"http://{host}:{port}/", wait_until="commit")
            assert answered.value.status == 403
            other.wait_for_load_state("domcontentloaded")
            assert "not authorized" in other.content()
        page.goto(f"{root}/formgrader/manage_students/{quote(SCRIPT, safe='')}")
        assert page.evaluate("student_id") == SCRIPT
        assert page.title() != "owned"
    assert not (tmp_path / "ran").exists()

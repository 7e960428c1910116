"""Flower is reached through the web only, by those who run the installation, and only to be read."""

import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.admin_rows import operator
from tests.factories import make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


class FlowerDouble(BaseHTTPRequestHandler):
    """Says what it was asked, as Flower's pages would be served."""

    def do_GET(self) -> None:
        body = f"{self.command} {self.path}".encode()
        length = int(self.headers.get("content-length", 0))
        body += b" " + self.rfile.read(length)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Set-Cookie", "_xsrf=one")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def listening(settings: Any) -> Iterator[None]:
    """Something that listens where Flower does."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory) / "flower.sock"
        settings.FLOWER_URL = f"unix://{path}"
        with socketserver.ThreadingUnixStreamServer(str(path), FlowerDouble) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield
            server.shutdown()


@pytest.fixture
def client() -> Client:
    """The browser of a person who may do everything, with the checks of a real one."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator())
    return browser


@pytest.mark.usefixtures("listening")
def test_operator_reads_pages(client: Client) -> None:
    response = client.get("/flower/tasks?limit=5&state=FAILURE")

    assert response.status_code == 200
    assert response.content.decode() == "GET /flower/tasks?limit=5&state=FAILURE "
    assert "Set-Cookie" not in response


@pytest.mark.usefixtures("listening")
def test_list_of_tasks_is_filtered_by_post(client: Client) -> None:
    response = client.post("/flower/tasks/datatable", {"draw": "1"})

    assert response.status_code == 200
    assert response.content.decode().startswith("POST /flower/tasks/datatable ")
    assert "draw" in response.content.decode()


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("post", "api/worker/shutdown/work@here", 405),
        ("get", "api/workers", 403),
        ("post", "", 405),
        ("delete", "tasks/datatable", 405),
    ],
)
def test_nothing_is_steered(client: Client, method: str, path: str, status: int) -> None:
    response = getattr(client, method)(f"/flower/{path}")

    assert response.status_code == status


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("path", ["", "metrics", "healthcheck", "tasks", "api/workers"])
@pytest.mark.parametrize("is_known", [False, True], ids=["stranger", "member"])
def test_everybody_else_is_sent_to_the_sign_in(path: str, is_known: bool) -> None:
    browser = Client()
    if is_known:
        browser.force_login(make_user())

    response = browser.get(f"/flower/{path}")

    assert (response.status_code, response["Location"].split("?")[0]) == (302, "/admin/login/")


def test_flower_that_does_not_run_is_said_in_words(client: Client, settings: Any) -> None:
    settings.FLOWER_URL = "unix:///tmp/there-is-no-such-socket"

    response = client.get("/flower/")

    assert response.status_code == 503
    assert "does not answer" in response.content.decode()

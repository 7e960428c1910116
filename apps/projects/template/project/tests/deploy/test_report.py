"""The git host hears which images were deployed, and where they answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deploy import report
from deploy.contract import load


class Host(ThreadingHTTPServer):
    """Remembers what was posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[tuple[str, str, dict[str, Any]]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Host

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.posted.append((self.path, self.headers["authorization"], body))
        content = b'{"id": 41}'
        self.send_response(201)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Keep the tests quiet."""


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.shutdown()
    host.server_close()


def test_deployment_is_opened_and_closed(host: Host) -> None:
    environment = {
        "GITHUB_API_URL": f"http://127.0.0.1:{host.server_address[1]}",
        "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_REPOSITORY": "us/books",
        "GITHUB_RUN_ID": "7",
        "CORRELATION": "c-1",
        "TOKEN": "a-token",
    }

    identity = report.start(environment, "a" * 40, {"backend": "sha256:1"})
    report.finish(environment, identity, "success", "http://198.51.100.7:8001")

    (first, token, opened), (second, _, running), (_, _, ended) = host.posted
    assert (first, second) == ("/repos/us/books/deployments", "/repos/us/books/deployments/41/statuses")
    assert token == "Bearer a-token"
    assert opened["payload"] == {"images": {"backend": "sha256:1"}, "correlation": "c-1"}
    assert (opened["ref"], opened["required_contexts"], opened["auto_merge"]) == ("a" * 40, [], False)
    assert running["state"] == "in_progress"
    assert opened["environment"] == running["environment"] == report.environment_name(load())
    assert (ended["state"], ended["environment_url"]) == ("success", "http://198.51.100.7:8001")
    assert ended["log_url"] == "https://git.example/us/books/actions/runs/7"


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        ({}, "production"),
        ({"deploy": None}, "production"),
        ({"deploy": {"environment": "staging"}}, "staging"),
    ],
)
def test_environment_is_the_one_of_the_manifest(manifest: dict[str, Any], name: str) -> None:
    assert report.environment_name(manifest) == name


def test_unreachable_host_is_an_error_not_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    code = report.main(["finish", "1", "success", ""])

    assert code == 1
    assert capsys.readouterr().err.startswith("KeyError")

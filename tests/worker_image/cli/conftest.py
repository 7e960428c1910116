"""The API's double: a real HTTP server in this process that answers from a table."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import Result
from typer.testing import CliRunner

from worker_image.cli.main import app


class Lost:
    """Carry the request out and lose the answer."""


LOST = Lost()


@dataclass
class Heard:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Double:
    """Answers (method, path) with what the table says; the last answer of a list stays.

    An answer is (status, body), or ``LOST``.
    """

    url: str = ""
    answers: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: Any) -> None:
        self.answers[(method, path)] = list(answers)

    def answer(self, request: Heard) -> Any:
        self.heard.append(request)
        listed = self.answers.get((request.method, request.path))
        if listed is None:
            return 404, {"error": "not_found", "message": f"no {request.path}", "details": {}}
        return listed.pop(0) if len(listed) > 1 else listed[0]

    def asked(self, method: str, path: str) -> list[Heard]:
        return [request for request in self.heard if (request.method, request.path) == (method, path)]


def _handler(double: Double) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            body = json.loads(content) if content else None
            found = double.answer(
                Heard(self.command, parts.path, parse_qs(parts.query), dict(self.headers), body)
            )
            if found is LOST:
                self.close_connection = True
                return
            status, answer = found
            sent = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent) if answer is not None else 0))
            self.end_headers()
            if answer is not None:
                self.wfile.write(sent)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def api() -> Iterator[Double]:
    double = Double()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(double))
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield double
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home without any credentials."""
    for name in ("ORCHESTRATOR_URL", "ORCHESTRATOR_TOKEN", "WORKER_TOKEN", "API_URL", "ALLOWED_COMMANDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def person(api: Double, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command line as somebody who is signed in."""
    monkeypatch.setenv("ORCHESTRATOR_URL", api.url)
    monkeypatch.setenv("ORCHESTRATOR_TOKEN", "personal-token")
    return _run


@pytest.fixture
def worker(api: Double, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command line as an agent; ``allowed`` is its list."""

    def run(*arguments: str, allowed: str = '["*"]') -> Result:
        monkeypatch.setenv("API_URL", api.url)
        monkeypatch.setenv("WORKER_TOKEN", "worker-token")
        monkeypatch.setenv("ALLOWED_COMMANDS", allowed)
        return _run(*arguments)

    return run


def _run(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, list(arguments), **options)

"""What a container says when it is asked whether it is ready."""

import os
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from orchestrator import probe

pytestmark = pytest.mark.unit


class Answering(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rpartition("/")[2]))
        self.end_headers()
        self.wfile.write(b"its words")

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[str]:
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "s"), Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield str(tmp_path / "s")
        server.shutdown()


def test_a_socket_is_ready_when_its_path_answers_200(place: str) -> None:
    code = probe.main([place, "/health/200"])

    assert code == 0


def test_any_other_answer_is_no_and_is_quoted(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = probe.main([place, "/health/503"])

    assert code == 1
    assert capsys.readouterr().out == "/health/503 answers 503: its words\n"


@pytest.mark.parametrize("nobody", ["/tmp/no-such-socket", "127.0.0.1:1"])
def test_nobody_there_is_no(nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = probe.main([nobody, "/"])

    assert code == 1
    assert "does not answer" in capsys.readouterr().out


@pytest.mark.parametrize(("age", "code"), [(0, 0), (8, 0), (12, 1)])
def test_a_sign_of_life_counts_while_it_is_fresh(tmp_path: Path, age: int, code: int) -> None:
    file = tmp_path / "alive"
    file.touch()
    os.utime(file, (time.time() - age, time.time() - age))

    assert probe.main([str(file), "10"]) == code


def test_no_sign_of_life_is_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = probe.main([str(tmp_path / "alive"), "10"])

    assert code == 1
    assert capsys.readouterr().out == "alive: no sign of life yet\n"


def test_a_malformed_question_is_refused() -> None:
    assert probe.main(["/tmp/x"]) == 2

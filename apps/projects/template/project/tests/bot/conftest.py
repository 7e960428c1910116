"""A server that speaks the Bot API, on this machine."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

TOKEN = "123456:" + "a" * 35
CHAT = {"id": 7, "type": "private", "first_name": "Ann"}


class Telegram(ThreadingHTTPServer):
    """Hands out messages and remembers what the bot sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.updates: list[dict[str, Any]] = []
        self.sent: list[str] = []
        self.knows_token = True
        self._threads_begin = threading.Thread(target=self.serve_forever, daemon=True)
        self._threads_begin.start()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def write(self, text: str) -> None:
        """Send a message to the bot as a person would."""
        number = len(self.updates) + 1
        message: dict[str, Any] = {"message_id": number, "date": int(time.time()), "chat": CHAT, "text": text}
        message["from"] = {"id": 7, "is_bot": False, "first_name": "Ann"}
        if text.startswith("/"):
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text)}]
        self.updates.append({"update_id": number, "message": message})

    def await_answers(self, number: int) -> list[str]:
        """Return what the bot sent, once there is that much of it or 20 seconds have passed."""
        deadline = time.monotonic() + 20
        while len(self.sent) < number and time.monotonic() < deadline:
            time.sleep(0.02)
        return list(self.sent)


class _Handler(BaseHTTPRequestHandler):
    server: Telegram

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        values = parse_qs(self.rfile.read(length).decode())
        method = self.path.rpartition("/")[2]
        if not self.server.knows_token or TOKEN not in self.path:
            self._answer(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
            return
        self._answer(200, {"ok": True, "result": self._result(method, values)})

    def _result(self, method: str, values: dict[str, list[str]]) -> Any:
        if method == "getMe":
            return {"id": 1, "is_bot": True, "first_name": "Bot", "username": "test_bot"}
        if method == "getUpdates":
            return self._updates(int(values.get("offset", ["0"])[0]))
        if method == "sendMessage":
            self.server.sent.append(values["text"][0])
            return {"message_id": 99, "date": int(time.time()), "chat": CHAT, "text": values["text"][0]}
        return True

    def _updates(self, offset: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            new = [update for update in self.server.updates if update["update_id"] >= offset]
            if new:
                return new
            time.sleep(0.02)
        return []

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Keep the tests quiet."""


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    server = Telegram()
    yield server
    server.shutdown()
    server.server_close()

"""The HTTP server: finds the bot by its token, answers its calls, pushes to webhooks; ends by itself."""

import contextlib
import json
import secrets
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.http_double import DoubleHandler, DoubleServer
from tests.telegram_server import methods
from tests.telegram_server.faults import Fault, Faults
from tests.telegram_server.people import Person
from tests.telegram_server.pushing import Pusher
from tests.telegram_server.state import Bot
from tests.telegram_server.wire import Call, Refused, read_call

#: What Telegram limits; callers may do the rest as they like.
LIMITED = ("sendMessage",)


@dataclass
class Seen:
    """One call as it came."""

    method: str
    chat_id: int | None
    at: float = field(default_factory=time.monotonic)
    status: int = 200


class TelegramServer:
    """A Bot API server with one bot to begin with; a context manager."""

    def __init__(self, token: str | None = None) -> None:
        self.bots: dict[str, Bot] = {}
        self.faults = Faults()
        self.seen: list[Seen] = []
        #: Everything that was ever asked, as it came: path and body.
        self.received: list[tuple[str, bytes]] = []
        #: Messages per second to one chat, and to everybody, beyond which it answers 429; 0: no limit.
        self.chat_limit = self.total_limit = 0
        self._names: dict[str, str] = {}
        self.is_stopping = threading.Event()
        self._ids = count(1_001)
        self._http = _Server(self)
        self.bot = self.add_bot(token)

    @property
    def url(self) -> str:
        """What TELEGRAM_API_BASE_URL has to be."""
        return self._http.url

    @property
    def token(self) -> str:
        """Of the first bot."""
        return self.bot.token

    def add_bot(self, token: str | None = None, *, username: str = "") -> Bot:
        """Let one more bot exist."""
        number = secrets.randbelow(10**9) + 10**9
        token = token or f"{number}:{secrets.token_urlsafe(26)[:35].ljust(35, 'x')}"
        self.bots[token] = Bot(token, username or f"bot_{token.partition(':')[0]}_bot")
        return self.bots[token]

    def person(
        self,
        *,
        telegram_id: int | None = None,
        name: str = "Ada",
        language: str = "en",
        username: str = "",
        bot: Bot | None = None,
    ) -> Person:
        """Let one more person exist, who has not written yet."""
        number = telegram_id if telegram_id is not None else next(self._ids)
        return Person(bot or self.bot, telegram_id=number, name=name, language=language, username=username)

    def leads(self, host: str, base_url: str) -> None:
        """Have ``https://host/…`` answered by a server of the test, as if a proxy ended TLS before it."""
        self._names[host] = base_url

    def calls(self, method: str, *, chat_id: int | None = None) -> list[Seen]:
        """Return the calls of a method, as they came."""
        return [call for call in list(self.seen) if call.method == method and chat_id in (None, call.chat_id)]

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self._pusher = Pusher(self.bots, names=self._names, faults=self.faults, is_stopping=self.is_stopping)
        self._pusher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_stopping.set()
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()
        self._pusher.join()

    def answer(self, bot: Bot, call: Call) -> bytes:
        """Let a bot do something."""
        seen = Seen(call.method, call.chat_id)
        self.seen.append(seen)
        try:
            self._check_limits(call, seen)
            function = methods.METHODS.get(call.method)
            if function is None:
                raise Refused(404, "Not Found")
            return methods.body_of(self._told(bot, call, function(bot, call)))
        except Refused as refused:
            seen.status = refused.status
            raise

    def _check_limits(self, call: Call, seen: Seen) -> None:
        if call.method not in LIMITED:
            return
        recent = [
            other
            for other in deque(self.seen, maxlen=200)
            if other is not seen
            and other.method in LIMITED
            and other.status == 200
            and seen.at - other.at < 1
        ]
        in_chat = sum(other.chat_id == call.chat_id for other in recent)
        if (self.chat_limit and in_chat >= self.chat_limit) or (
            self.total_limit and len(recent) >= self.total_limit
        ):
            raise Refused(429, "Too Many Requests: retry after 1", retry_after=1)

    def _told(self, bot: Bot, call: Call, result: Any) -> Any:
        if call.method != "getUpdates" or not result:
            return result
        if self.faults.are_updates_doubled:
            self.faults.are_updates_doubled = False
            self.faults.doubled += result
            result = [*result, *result]
        if self.faults.are_updates_reversed:
            self.faults.reversals += result[0] != result[-1]
            result = result[::-1]
        return result


class _Server(DoubleServer):
    def __init__(self, telegram: TelegramServer) -> None:
        self.telegram = telegram
        super().__init__(_Handler)


class _Handler(DoubleHandler):
    server: _Server

    def do_any(self) -> None:
        """Answer any method."""
        telegram = self.server.telegram
        body = self.read_body()
        telegram.received.append((self.path, body))
        url = urlsplit(self.path)
        _, first, *rest = url.path.split("/")
        if first == "file":
            self._send_file(rest)
            return
        bot = telegram.bots.get(first.removeprefix("bot"))
        if bot is None or not rest:
            self._send(401, _refusal(Refused(401, "Unauthorized")))
            return
        call = read_call(rest[0], self.headers.get("Content-Type", ""), url.query, body)
        self._act(bot, call, telegram.faults.take(call, self.client_address[1]))

    do_GET = do_POST = do_any

    def _act(self, bot: Bot, call: Call, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        if fault and kind == "flood":
            words = f"Too Many Requests: retry after {fault.retry_after}"
            self.server.telegram.seen.append(Seen(call.method, call.chat_id, status=429))
            self._send(429, _refusal(Refused(429, words, retry_after=fault.retry_after)))
            return
        if fault and kind == "error":
            self._send(fault.status, b"<html><body>Bad Gateway</body></html>", "text/html")
            return
        if fault and kind in ("cut_before", "hang_before"):
            if kind == "hang_before":
                self.server.telegram.is_stopping.wait(fault.seconds)
            self._cut()
            return
        status, answer = self._answered(bot, call)
        if fault and kind in ("hang_after", "slow"):
            self.server.telegram.is_stopping.wait(fault.seconds)
        if kind in ("cut_after", "hang_after"):
            self._cut()
            return
        self._send(status, answer)

    def _answered(self, bot: Bot, call: Call) -> tuple[int, bytes]:
        try:
            return 200, self.server.telegram.answer(bot, call)
        except Refused as refused:
            return refused.status, _refusal(refused)

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client may be gone
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send_file(self, rest: list[str]) -> None:
        bot = self.server.telegram.bots.get(rest[0].removeprefix("bot"))
        found = bot.files.get(rest[-1]) if bot else None
        if found is None:
            self._send(404, _refusal(Refused(404, "Not Found")))
            return
        self._send(200, found[1], "application/octet-stream")

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _refusal(refused: Refused) -> bytes:
    return json.dumps(refused.body()).encode()

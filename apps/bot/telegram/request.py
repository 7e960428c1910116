"""How requests reach Telegram: every failure is one of ours before the library sees it.

The library's own errors may quote the address, which holds the token, and its
log lines the people's words; neither leaves this package.
"""

import json
import logging
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import httpx
import telegram
from telegram.error import TelegramError as LibraryError
from telegram.error import TimedOut
from telegram.request import HTTPXRequest

from apps.bot.telegram.errors import AnswerLate, OutcomeUnknown, TelegramError, TelegramUnavailable, refusal

#: It logs whole updates that it cannot read, and calls with their words.
logging.getLogger("telegram").setLevel(logging.CRITICAL + 10)
#: They say what the address was.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@cache
def trust() -> ssl.SSLContext:
    """Return whose certificates are believed: reading them takes a tenth of a second, so it is done once."""
    return httpx.create_ssl_context()


def bounds_of(seconds: float) -> dict[str, Any]:
    """Return the library's words for how long each step of a request may take."""
    return {
        "connection_pool_size": 2,
        "httpx_kwargs": {"verify": trust()},
        "connect_timeout": seconds,
        "read_timeout": seconds,
        "write_timeout": seconds,
        "pool_timeout": seconds,
        "media_write_timeout": max(seconds, 30.0),
    }


class Bot(telegram.Bot):
    """The library's bot, asked for plain answers: one that it cannot interpret is no failure of a call."""

    __slots__ = ()

    async def ask(self, method: str, read_seconds: float | None, values: Mapping[str, Any]) -> Any:
        """Ask Telegram; waiting longer for the answer only if told to."""
        more: dict[str, Any] = {} if read_seconds is None else {"read_timeout": read_seconds}
        return await self._post(method, dict(values), **more)

    def file_url(self, path: str) -> str:
        """Return where a file is, the token included."""
        return f"{self._base_file_url}/{path}"

    def __repr__(self) -> str:
        return "Bot"


class Failed(LibraryError):
    """Carries an error of ours through the library."""

    def __init__(self, reason: TelegramError) -> None:
        super().__init__(reason.message)
        self.reason = reason


class Request(HTTPXRequest):
    """The library's way to Telegram, with our errors."""

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """Ask once.

        Raises:
            Failed: with what happened.

        """
        reason: TelegramError | None = None
        status, body = 0, b""
        try:
            status, body = await super().do_request(*args, **kwargs)
        except LibraryError as error:
            reason = _on_the_way(error)
        if reason is None and not 200 <= status < 300:
            reason = refusal(status, _decoded(body))
        if reason is not None:
            raise Failed(reason)
        return status, body


class JsonRequest(Request):
    """For calls, whose answers are JSON; files are fetched by ``Request``."""

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """Ask once, and see that the answer can be read.

        Raises:
            Failed: with what happened.

        """
        status, body = await super().do_request(*args, **kwargs)
        if not isinstance(_decoded(body), dict):
            raise Failed(OutcomeUnknown("Telegram's answer cannot be read."))
        return status, body


def _on_the_way(error: LibraryError) -> TelegramError:
    cause = error.__cause__
    name = type(cause or error).__name__
    if isinstance(cause, _NOT_SENT):
        return TelegramUnavailable(f"Telegram is not reached ({name}).")
    if isinstance(error, TimedOut):
        return AnswerLate(f"Telegram did not answer in time ({name}).")
    return OutcomeUnknown(f"The connection to Telegram broke ({name}).")


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None

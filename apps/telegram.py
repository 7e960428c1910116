"""Telegram's answer to whose a bot token is; the token stands in the address, so neither is ever told."""

import json
from dataclasses import dataclass
from typing import Any, Final

import httpx

_BODY_BYTES: Final = 4_000


@dataclass(frozen=True, kw_only=True, slots=True)
class BotResult:
    """What Telegram said of a bot's token; the token itself is in no field."""

    status: int | None  # None: no answer
    username: str = ""
    error: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether Telegram knows the bot."""
        return self.status == httpx.codes.OK and bool(self.username)

    @property
    def is_refused(self) -> bool:
        """Whether Telegram says that the token is nobody's."""
        return self.status in (httpx.codes.UNAUTHORIZED, httpx.codes.NOT_FOUND)

    def as_json(self) -> dict[str, Any]:
        """Return the form that evidence carries."""
        return {"status": self.status, "bot": self.username, "error": self.error}


def get_me(base_url: str, token: str, *, timeout_seconds: float = 5.0) -> BotResult:
    """Ask Telegram once who a token belongs to; silence is a result, not an error.

    Args:
        base_url: of the Bot API.
        token: of the bot.
        timeout_seconds: of each step of the request.

    """
    url = f"{base_url.rstrip('/')}/bot{token}/getMe"
    body = b""
    try:
        with (
            httpx.Client(timeout=timeout_seconds, follow_redirects=False) as client,
            client.stream("GET", url) as answer,
        ):
            for part in answer.iter_bytes(_BODY_BYTES):
                body += part
                if len(body) >= _BODY_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return BotResult(status=None, error=type(error).__name__)
    return BotResult(status=answer.status_code, username=_username(body))


def _username(body: bytes) -> str:
    try:
        return str(json.loads(body)["result"]["username"])[:64]
    except (ValueError, KeyError, TypeError):
        return ""

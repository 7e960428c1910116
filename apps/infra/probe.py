"""The smoke test: one request to a service from outside of it, or to Telegram about a bot."""

import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

_BODY_BYTES = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """What a request to the health path brought back."""

    url: str
    status: int | None  # None: no answer
    seconds: float
    body: str  # its beginning
    error: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether the service itself said that it is well: 200, and no redirect to somebody else."""
        return self.status == httpx.codes.OK

    def as_json(self) -> dict[str, Any]:
        """Return the form that evidence carries."""
        return {
            "url": self.url,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "body": self.body,
            "error": self.error,
        }


def probe(url: str, *, timeout_seconds: float = 2.0) -> ProbeResult:
    """Ask a URL once, without following redirects; a refusal or silence is a result, not an error.

    The service is a stranger's: only the beginning of its answer is read, and
    no more of it after the time is over.
    """
    began = time.monotonic()
    client = httpx.Client(timeout=timeout_seconds, follow_redirects=False, trust_env=False)
    try:
        with client, client.stream("GET", url) as answer:
            body = _beginning(answer, until=began + timeout_seconds)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        seconds = time.monotonic() - began
        return ProbeResult(url=url, status=None, seconds=seconds, body="", error=type(error).__name__)
    return ProbeResult(
        url=url,
        status=answer.status_code,
        seconds=time.monotonic() - began,
        body=body,
    )


def _beginning(answer: httpx.Response, *, until: float) -> str:
    content = b""
    # As it is sent: a small compressed body may be an endless one.
    for part in answer.iter_raw():
        content += part[:_BODY_BYTES]
        if len(content) >= _BODY_BYTES or time.monotonic() > until:
            break
    return content[:_BODY_BYTES].decode(errors="replace")


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
        token: stands in the address that is asked, so neither is told to anybody.
        timeout_seconds: for everything.

    """
    url = f"{base_url.rstrip('/')}/bot{token}/getMe"
    client = httpx.Client(timeout=timeout_seconds, follow_redirects=False)
    try:
        with client, client.stream("GET", url) as answer:
            body = b"".join(part for part, _ in zip(answer.iter_bytes(2_000), range(2), strict=False))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return BotResult(status=None, error=type(error).__name__)
    try:
        username = str(json.loads(body)["result"]["username"])[:64]
    except (ValueError, KeyError, TypeError):
        username = ""
    return BotResult(status=answer.status_code, username=username)

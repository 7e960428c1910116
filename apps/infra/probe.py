"""The smoke test: one request to a service from outside of it."""

import ssl
import time
from dataclasses import dataclass
from functools import cache
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
    client = httpx.Client(
        timeout=timeout_seconds, follow_redirects=False, verify=_authorities(), trust_env=False
    )
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


@cache
def _authorities() -> ssl.SSLContext:
    """Return the certificate authorities: reading them takes longer than most services do to answer."""
    return httpx.create_ssl_context(trust_env=False)


def _beginning(answer: httpx.Response, *, until: float) -> str:
    content = b""
    # As it is sent: a small compressed body may be an endless one.
    for part in answer.iter_raw():
        content += part[:_BODY_BYTES]
        if len(content) >= _BODY_BYTES or time.monotonic() > until:
            break
    return content[:_BODY_BYTES].decode(errors="replace")

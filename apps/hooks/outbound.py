"""One request to a stranger's address: judged, pinned to what was judged, bounded."""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 10.0
RESOLVE_SECONDS: Final = 1.0
#: Resolving cannot be broken off; whoever waits for it can.
_RESOLVERS: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="webhook-resolver")


class Judge(Protocol):
    """Says why an address must not be asked; None if it may."""

    def __call__(self, address: str, *, host: str, port: int, scheme: str) -> str | None:
        """Judge one address that a name resolved to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What became of a request."""

    status: int | None  # None: no answer
    seconds: float
    error: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver took it."""
        return (
            self.status is not None and http.HTTPStatus.OK <= self.status < http.HTTPStatus.MULTIPLE_CHOICES
        )


class _Refused(OSError):
    """The address must not be asked."""


def post(url: str, *, body: bytes, headers: Mapping[str, str], judge: Judge) -> Answer:
    """Post to an address once, without following redirects; a refusal or silence is an answer, not an error.

    Every address that the name resolves to is judged, and the connection goes to one that was judged:
    a name that changes its mind in between gains nothing.

    Args:
        url: http or https.
        body: JSON.
        headers: added to our own.
        judge: of addresses.

    """
    began = time.monotonic()
    try:
        status = _post(url, body, {"Content-Type": "application/json", **headers}, judge)
    except (OSError, ValueError, http.client.HTTPException) as error:
        words = str(error) if isinstance(error, _Refused) else f"{type(error).__name__}: {error}"
        return Answer(status=None, seconds=time.monotonic() - began, error=words[:300])
    return Answer(status=status, seconds=time.monotonic() - began)


def refusal_of(url: str, *, judge: Judge) -> str | None:
    """Say why an address would be refused when something is sent to it; None if it would not be.

    A name is looked up briefly: one that cannot be resolved now may be known later, when it is judged again.

    Args:
        url: http or https, with a host.
        judge: of addresses.

    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().rstrip(".")
    port = parts.port or _port_of(parts.scheme)
    try:
        _RESOLVERS.submit(_resolve, host, port, parts.scheme, judge).result(RESOLVE_SECONDS)
    except _Refused as error:
        return str(error)
    except (OSError, ValueError, TimeoutError):
        return None
    return None


def _port_of(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _post(url: str, body: bytes, headers: Mapping[str, str], judge: Judge) -> int:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().rstrip(".")
    port = parts.port or _port_of(parts.scheme)
    connection = _Pinned(host, port, address=_resolve(host, port, parts.scheme, judge), scheme=parts.scheme)
    # A receiver that answers a byte a second is cut off all the same.
    watchdog = threading.Timer(TOTAL_SECONDS, connection.cut)
    watchdog.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body=body, headers={"User-Agent": "codegen-orchestrator", **headers})
        return connection.getresponse().status
    finally:
        watchdog.cancel()
        connection.close()


def _resolve(host: str, port: int, scheme: str, judge: Judge) -> str:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    for address in addresses:
        ipaddress.ip_address(address)
        if (refusal := judge(address, host=host, port=port, scheme=scheme)) is not None:
            raise _Refused(f"Refused: {host} is {refusal}.")
    return addresses[0]


class _Pinned(http.client.HTTPConnection):
    """Connects to an address, and speaks to the name it stands for."""

    def __init__(self, host: str, port: int, *, address: str, scheme: str) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS)
        self._address = address
        self._tls = ssl.create_default_context() if scheme == "https" else None
        self.default_port = 443 if self._tls else 80

    def connect(self) -> None:
        """Open the connection."""
        plain = socket.create_connection((self._address, self.port), timeout=CONNECT_SECONDS)
        self.sock = plain
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        self.sock.settimeout(TOTAL_SECONDS)

    def cut(self) -> None:
        """End it from another thread: whoever reads gets the end of the stream."""
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

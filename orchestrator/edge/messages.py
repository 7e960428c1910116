"""The head of an HTTP/1.1 request: read with limits, parsed strictly, written anew."""

import asyncio
import re
from dataclasses import dataclass
from typing import Final

from orchestrator.edge.answers import Refused

HEAD_LIMIT_BYTES: Final = 32 * 1024
HEAD_SECONDS: Final = 10.0
_REQUEST_LINE: Final = re.compile(r"(?P<method>[A-Z]{1,20}) (?P<target>[!-~]{1,8000}) HTTP/1\.[01]")
_HEADER: Final = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}):[ \t]*(?P<value>[\t -~\x80-\xff]*)")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
#: Of this connection only, or saying what only we may say.
_NOT_PASSED_ON: Final = frozenset(
    {
        "connection",
        "content-length",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-real-ip",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestHead:
    """A request without its body."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return every value of a header, given in lower case."""
        return [value for known, value in self.headers if known.lower() == name]

    @property
    def body_bytes(self) -> int | None:
        """Length of the body; None if it comes in chunks.

        Raises:
            Refused: 400, the length is given in more than one way.
        """
        encodings, lengths = self.values("transfer-encoding"), set(self.values("content-length"))
        if encodings:
            if lengths or [value.strip().lower() for value in encodings] != ["chunked"]:
                raise Refused(400, "The length of the body is given in more than one way.")
            return None
        if not lengths:
            return 0
        (length, *more) = lengths
        if more or _LENGTH.fullmatch(length) is None:
            raise Refused(400, "The length of the body is not a number.")
        return int(length)

    def rewritten(self, *, target: str, host: str, source: str = "") -> bytes:
        """Return the head for the server behind us.

        Args:
            target: what is asked of it.
            host: its name, whatever the client called us.
            source: address of the client, if the server may know it.
        """
        named = {word.strip().lower() for value in self.values("connection") for word in value.split(",")}
        dropped = _NOT_PASSED_ON | named
        kept = [
            (name, value)
            for name, value in self.headers
            if name.lower() not in dropped and not name.lower().startswith("x-forwarded-")
        ]
        length = self.body_bytes
        framing = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))
        ours = [("Host", host), ("Connection", "close")]
        if length != 0 or self.values("content-length"):
            ours.append(framing)
        if source:
            ours.append(("X-Forwarded-For", source))
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in (*ours, *kept))]
        return "\r\n".join((*lines, "", "")).encode("latin-1")


async def read_head(reader: asyncio.StreamReader, *, seconds: float = HEAD_SECONDS) -> RequestHead | None:
    """Read one request's head; None if the client went away without a word.

    Raises:
        Refused: 400 malformed, 408 too slow, 431 too large.
    """
    try:
        async with asyncio.timeout(seconds):
            raw = await reader.readuntil(b"\r\n\r\n")
    except TimeoutError as error:
        raise Refused(408, f"The request's head did not arrive within {seconds:g} s.") from error
    except asyncio.LimitOverrunError as error:
        raise Refused(431, f"The request's head is over {HEAD_LIMIT_BYTES} bytes.") from error
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Refused(400, "The request's head is incomplete.") from error
        return None
    return parse_head(raw)


def parse_head(raw: bytes) -> RequestHead:
    """Read a head that ends with an empty line.

    Raises:
        Refused: 400, it is not HTTP/1.1.
    """
    first, *rest = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        raise Refused(400, "This is not an HTTP/1.1 request.")
    headers = []
    for line in rest:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Refused(400, "A header of the request is malformed.")
        headers.append((header["name"], header["value"].strip()))
    return RequestHead(method=request["method"], target=request["target"], headers=tuple(headers))

"""What the edge says when it does not let something pass: who refused, why, and what an operator can set."""

from typing import Final

_PHRASES: Final = {
    400: "Bad Request",
    403: "Forbidden",
    408: "Request Timeout",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}


class Refused(Exception):
    """Something does not pass; ``code`` and the message are the answer.

    Attributes:
        code: status of the HTTP answer.
        detail: for our own log only, such as the address behind a name.
        is_logged: whether our log holds it already.
    """

    def __init__(self, code: int, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail
        self.is_logged = False


def answer(status: int, message: str) -> bytes:
    """Return a whole HTTP answer that closes the connection."""
    body = f"{message}\n".encode()
    lines = (
        f"HTTP/1.1 {status} {_PHRASES[status]}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        # Tells the agent's programs that it was not the server they wanted to talk to.
        "X-Refused-By: codegen-edge",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii") + body

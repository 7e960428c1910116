"""What is seen at a project's address while nothing runs there: one sentence, in a language of the reader."""

import asyncio
from contextlib import suppress
from typing import Final

from orchestrator.edge.answers import Refused
from orchestrator.edge.messages import RequestHead, read_head
from orchestrator.edge.streams import Connection

_SENTENCES: Final = {
    "en": "This project is not running at the moment; please try again a little later.",
    "ru": "Этот проект сейчас не запущен; попробуйте ещё раз немного позже.",
}
_ENGLISH: Final = "en"
_RETRY_SECONDS: Final = 5
#: For whoever was answered and does not hang up: a port bears only so many of them.
_LINGER_SECONDS: Final = 2.0
_PAGE: Final = (
    '<!doctype html><html lang="{language}"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="{seconds}">'
    "<title>503</title>"
    '<body style="font:1.25rem/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32rem;padding:0 1rem">'
    "<p>{sentence}</p></body></html>\n"
)


async def say_that_nothing_runs(client: Connection, *, linger_seconds: float = _LINGER_SECONDS) -> None:
    """Answer one request with 503; whoever does not speak HTTP gets the closed connection only.

    Args:
        client: who came.
        linger_seconds: the deadline for taking the answer and hanging up.

    Raises:
        OSError: the client has gone.
    """
    try:
        head = await read_head(client.reader)
    except Refused:
        return
    if head is None:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(linger_seconds):
            await client.write(page(head))
            client.writer.write_eof()
            # Closed with unread bytes, the connection would be reset and the answer lost.
            with suppress(OSError):
                while await client.read():
                    pass


def page(head: RequestHead) -> bytes:
    """Return the whole answer to a request, in the language that it asks for."""
    language = language_of(",".join(head.values("accept-language")))
    text = _PAGE.format(language=language, seconds=_RETRY_SECONDS, sentence=_SENTENCES[language])
    body = text.encode()
    lines = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Language: {language}",
        f"Content-Length: {len(body)}",
        f"Retry-After: {_RETRY_SECONDS}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii") + (b"" if head.method == "HEAD" else body)


def language_of(accepted: str) -> str:
    """Return the language of an ``Accept-Language`` header that we speak; English when it names none."""
    wishes = [_wish(part) for part in accepted.split(",")]
    known = [(weight, language) for weight, language in wishes if language in _SENTENCES and weight > 0]
    # The first of those that are wished for most.
    return max(known, key=lambda wish: wish[0])[1] if known else _ENGLISH


def _wish(part: str) -> tuple[float, str]:
    name, _, options = part.partition(";")
    weight = options.strip().removeprefix("q=") or "1"
    try:
        return float(weight), name.strip().lower().partition("-")[0]
    except ValueError:
        return 0.0, ""

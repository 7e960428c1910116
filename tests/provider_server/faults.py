"""How the provider misbehaves: each is the answer to one request, in the order they were added."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What is answered instead."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    after_the_effect: bool = False
    hangs_up: bool = False


def throttling(*, seconds: int, status: int = 401) -> Fault:
    """Too many requests. A guess: the words; that the status is 401 was seen."""
    words = f'{{"error": ["Too many requests, try again in {seconds} seconds"]}}'
    return Fault(status=status, body=words.encode())


def outage(status: int = 500) -> Fault:
    """The provider is in trouble."""
    return Fault(status=status, body=b"<html><body>Internal Server Error</body></html>")


def malformed(body: bytes = b'{"servers": "none"}') -> Fault:
    """An answer of another shape."""
    return Fault(status=200, body=body)


def broken(*, after_the_effect: bool = False) -> Fault:
    """The connection breaks off."""
    return Fault(status=0, body=b"", after_the_effect=after_the_effect, hangs_up=True)


def silence() -> Fault:
    """An answer without a word in it."""
    return Fault(status=200, body=b"")

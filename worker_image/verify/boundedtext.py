"""Keeps the beginning and the end of an output, never all of it."""

from typing import Final

_HEAD_BYTES: Final = 16_384
_TAIL_BYTES: Final = 65_536


class BoundedText:
    """What was said, with a note where the middle is missing."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def feed(self, content: bytes) -> None:
        """Take the next bytes."""
        room = _HEAD_BYTES - len(self._head)
        self._head += content[:room]
        self._tail += content[room:]
        excess = len(self._tail) - _TAIL_BYTES
        if excess > 0:
            del self._tail[:excess]
            self._dropped += excess

    def text(self) -> str:
        """Return it without broken characters."""
        note = f"\n[... {self._dropped} bytes left out ...]\n".encode() if self._dropped else b""
        return clean((bytes(self._head) + note + bytes(self._tail)).decode(errors="replace"))


def clean(text: str) -> str:
    """Return a text that JSON and PostgreSQL can hold: no NUL, no halves of surrogate pairs."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def end_of(text: str, limit: int) -> str:
    """Return the last characters of a text."""
    text = text.strip()
    return text if len(text) <= limit else "[...] " + text[-(limit - 6) :]

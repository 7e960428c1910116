"""Keeps what a process prints without ever keeping all of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

HEAD_BYTES = 512 * 1024
TAIL_BYTES = 1024 * 1024
MAX_LINE_BYTES = 64 * 1024
"""Longer lines are not looked at for progress."""


@dataclass(slots=True)
class Capture:
    """The head and the tail of an output, and each of its lines once, as it comes."""

    on_line: Callable[[str], None] | None = None
    head_bytes: int = HEAD_BYTES
    tail_bytes: int = TAIL_BYTES
    total: int = field(default=0, init=False)
    """Bytes seen."""
    _head: bytearray = field(default_factory=bytearray, init=False)
    _tail: bytearray = field(default_factory=bytearray, init=False)
    _line: bytearray = field(default_factory=bytearray, init=False)
    _is_line_too_long: bool = field(default=False, init=False)

    @property
    def is_truncated(self) -> bool:
        """Whether something between head and tail was dropped."""
        return self.total > len(self._head) + len(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.total += len(chunk)
        room = self.head_bytes - len(self._head)
        self._head += chunk[:room] if room > 0 else b""
        self._tail += chunk[room:] if room > 0 else chunk
        if len(self._tail) > self.tail_bytes:
            del self._tail[: len(self._tail) - self.tail_bytes]
        if self.on_line is not None:
            self._split(chunk, self.on_line)

    def text(self) -> str:
        """Return head and tail, with a note where bytes are missing; no NUL, no broken characters."""
        dropped = self.total - len(self._head) - len(self._tail)
        note = f"\n[... {dropped} bytes left out ...]\n".encode() if dropped else b""
        return clean(bytes(self._head + note + self._tail).decode(errors="replace"))

    def _split(self, chunk: bytes, on_line: Callable[[str], None]) -> None:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._extend(part)
            if not self._is_line_too_long and self._line:
                on_line(clean(self._line.decode(errors="replace")))
            self._line.clear()
            self._is_line_too_long = False
        self._extend(rest)

    def _extend(self, part: bytes) -> None:
        if self._is_line_too_long or len(self._line) + len(part) > MAX_LINE_BYTES:
            self._is_line_too_long = True
            self._line.clear()
        else:
            self._line += part


def clean(text: str) -> str:
    """Return a text that JSON and PostgreSQL can hold: no NUL, no lone surrogates."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def bounded(text: str, max_chars: int) -> str:
    """Return a clean text of at most `max_chars`: its beginning and, mostly, its end."""
    text = clean(text).strip()
    if len(text) <= max_chars:
        return text
    note = "\n[...]\n"
    head = (max_chars - len(note)) // 4
    return text[:head] + note + text[-(max_chars - len(note) - head) :]

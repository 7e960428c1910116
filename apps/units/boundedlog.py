"""A log that keeps its beginning and its end, and never takes more than its limit. Standard library only.

``log.head`` holds the first half of the limit. What follows goes to
``log.tail``; a full tail becomes ``log.previous``, whose predecessor is dropped
and counted in ``log.omitted``. A flood therefore costs processor time, not disk.
"""

import contextlib
import os

from apps.units import layout


class BoundedLog:
    """The writing side; one per unit, owned by its shim.

    Args:
        directory: the unit's directory.
        limit_bytes: the most that all files together may hold.
    """

    def __init__(self, directory: str, limit_bytes: int) -> None:
        self._directory = directory
        self._head_room = limit_bytes // 2
        self._segment = max(1, limit_bytes // 4)
        self._tail_room = self._segment
        self._previous_size = 0
        self._omitted = 0
        self._head = self._open(layout.LOG_HEAD)
        self._tail = self._open(layout.LOG_TAIL)

    def write(self, content: bytes) -> None:
        """Append; what a full disk refuses is dropped, the unit must not notice."""
        with contextlib.suppress(OSError):
            head, rest = content[: self._head_room], content[self._head_room :]
            if head:
                os.write(self._head, head)
                self._head_room -= len(head)
            while rest:
                if not self._tail_room:
                    self._rotate()
                part, rest = rest[: self._tail_room], rest[self._tail_room :]
                os.write(self._tail, part)
                self._tail_room -= len(part)

    def _rotate(self) -> None:
        os.close(self._tail)
        self._omitted += self._previous_size
        self._previous_size = self._segment
        if self._omitted:
            with open(os.path.join(self._directory, layout.LOG_OMITTED), "w") as file:
                file.write(str(self._omitted))
        os.rename(self._path(layout.LOG_TAIL), self._path(layout.LOG_PREVIOUS))
        self._tail = self._open(layout.LOG_TAIL)
        self._tail_room = self._segment

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _open(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path(name), flags, 0o600)


def read(directory: str) -> bytes:
    """Return what is kept of a unit's output, oldest first, with a line where something was dropped."""
    head, previous, tail = (_content(directory, name) for name in _FILES)
    omitted = _content(directory, layout.LOG_OMITTED)
    gap = b"\n[... %s bytes omitted ...]\n" % omitted if omitted else b""
    return head + gap + previous + tail


_FILES = (layout.LOG_HEAD, layout.LOG_PREVIOUS, layout.LOG_TAIL)


def _content(directory: str, name: str) -> bytes:
    try:
        with open(os.path.join(directory, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""

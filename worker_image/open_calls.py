"""Which tools an agent waits for, read from its own events as they appear.

Two sources: JSON lines that it prints (Codex) and the transcript that it keeps in its home (Claude, Droid). A
source that cannot be read makes nothing known, never something wrong.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker_image.runners.base import parse_object

TRANSCRIPTS = (".claude/projects/*/*.jsonl", ".factory/sessions/*.jsonl", ".factory/sessions/*/*.jsonl")
MAX_READ_BYTES = 4 * 1024 * 1024
"""Of one transcript at a time; more than that since the last look is not understood, only counted."""
_ITEMS_THAT_RUN = frozenset({"command_execution", "mcp_tool_call", "web_search"})


@dataclass(slots=True)
class OpenCalls:
    """The calls that were made and not answered."""

    _open: set[str] = field(default_factory=set)
    _has_seen: bool = False
    _is_lost: bool = False

    @property
    def is_open(self) -> bool | None:
        """Whether a call is unanswered; None if the events do not tell."""
        return bool(self._open) if self._has_seen and not self._is_lost else None

    def see(self, event: Mapping[str, Any]) -> bool:
        """Take one event; tells whether it is one that an agent's events consist of."""
        known = self._see_item(event) or self._see_message(event)
        self._has_seen = self._has_seen or known
        return known

    def lose(self) -> None:
        """Admit that an event was missed: from now on nothing is known."""
        self._is_lost = True

    def _see_item(self, event: Mapping[str, Any]) -> bool:
        kind, item = event.get("type"), event.get("item")
        if not isinstance(item, Mapping) or not isinstance(kind, str) or not kind.startswith("item."):
            return kind in {"thread.started", "turn.started", "turn.completed", "turn.failed"}
        if item.get("type") in _ITEMS_THAT_RUN:
            self._note(str(item.get("id")), is_open=kind == "item.started")
        return True

    def _see_message(self, event: Mapping[str, Any]) -> bool:
        message = event.get("message")
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(content, Sequence):
            return False
        for block in content:
            if isinstance(block, Mapping) and block.get("type") == "tool_use":
                self._note(str(block.get("id")), is_open=True)
            elif isinstance(block, Mapping) and block.get("type") == "tool_result":
                self._note(str(block.get("tool_use_id")), is_open=False)
        return True

    def _note(self, call: str, *, is_open: bool) -> None:
        if is_open:
            self._open.add(call)
        else:
            self._open.discard(call)


class Transcripts:
    """What an agent adds to the transcripts in its home from now on."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._read = dict(self._sizes())

    def new_lines(self) -> tuple[list[str], bool]:
        """Return what was added since the last call, and whether some of it was too much to read."""
        lines: list[str] = []
        is_lost = False
        for path, size in self._sizes():
            begin = self._read.get(path, 0)
            if size == begin:
                continue
            if size < begin or size - begin > MAX_READ_BYTES:
                is_lost, self._read[path] = True, size
                continue
            part = _read(path, begin, size - begin)
            whole, newline, _ = part.rpartition(b"\n")
            self._read[path] = begin + len(whole) + len(newline)
            lines += whole.decode(errors="replace").splitlines()
        return lines, is_lost

    def _sizes(self) -> Iterator[tuple[Path, int]]:
        for pattern in TRANSCRIPTS:
            for path in self._home.glob(pattern):
                with contextlib.suppress(OSError):
                    yield path, path.stat().st_size


def read_event(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line, if it is one."""
    return parse_object(line) if line.startswith("{") else None


def _read(path: Path, begin: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(length)
    except OSError:
        return b""

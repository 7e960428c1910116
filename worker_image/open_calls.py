"""Which tools an agent waits for, read from its own events as they appear.

Two sources: JSON lines that it prints (Codex) and the transcript that it keeps in its home (all of them). A
source that cannot be read makes nothing known, never something wrong.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker_image.runners.base import parse_object

TRANSCRIPTS = (
    ".claude/projects/*/*.jsonl",
    ".codex/sessions/*/*/*/*.jsonl",
    ".factory/sessions/*.jsonl",
    ".factory/sessions/*/*.jsonl",
)
MAX_READ_BYTES = 4 * 1024 * 1024
"""Of one transcript at a time; more than that since the last look is not understood, only counted."""
_TURN_EVENTS = frozenset({"thread.started", "turn.started", "turn.completed", "turn.failed"})
_ITEMS_THAT_RUN = frozenset({"command_execution", "mcp_tool_call", "web_search"})


@dataclass(slots=True)
class OpenCalls:
    """The calls that were made and not answered.

    A transcript tells more exactly than printed items do: Codex answers a call whose program goes on in the
    background, while the item of that program stays open.
    """

    _calls: set[str] = field(default_factory=set)
    _items: set[str] = field(default_factory=set)
    _has_transcript: bool = False
    _has_items: bool = False
    _is_lost: bool = False

    @property
    def is_open(self) -> bool | None:
        """Whether a call is unanswered; None if the events do not tell."""
        if self._is_lost or not (self._has_transcript or self._has_items):
            return None
        return bool(self._calls) if self._has_transcript else bool(self._items)

    def see(self, event: Mapping[str, Any]) -> bool:
        """Take one event; tells whether it is one that an agent's events consist of."""
        return self._see_item(event) or self._see_response(event) or self._see_message(event)

    def lose(self) -> None:
        """Admit that an event was missed: from now on nothing is known."""
        self._is_lost = True

    def _see_item(self, event: Mapping[str, Any]) -> bool:
        kind, item = str(event.get("type")), event.get("item")
        if kind in _TURN_EVENTS:
            self._has_items = True
            return True
        if not kind.startswith("item.") or not isinstance(item, Mapping):
            return False
        if item.get("type") in _ITEMS_THAT_RUN:
            _note(self._items, item.get("id"), is_open=kind == "item.started")
        return True

    def _see_response(self, event: Mapping[str, Any]) -> bool:
        payload = event.get("payload")
        if event.get("type") != "response_item" or not isinstance(payload, Mapping):
            return False
        self._has_transcript = True
        if str(kind := payload.get("type")).endswith(("_call", "_call_output")):
            _note(self._calls, payload.get("call_id"), is_open=not str(kind).endswith("_output"))
        return True

    def _see_message(self, event: Mapping[str, Any]) -> bool:
        message = event.get("message")
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(content, list | str):
            return False
        self._has_transcript = True
        for block in content:
            if isinstance(block, Mapping) and block.get("type") == "tool_use":
                _note(self._calls, block.get("id"), is_open=True)
            elif isinstance(block, Mapping) and block.get("type") == "tool_result":
                _note(self._calls, block.get("tool_use_id"), is_open=False)
        return True


def _note(known: set[str], call: object, *, is_open: bool) -> None:
    if not is_open:
        known.discard(str(call))
    elif call is not None:
        known.add(str(call))


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

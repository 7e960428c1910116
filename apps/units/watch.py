"""Telling somebody, once, about every unit that has ended.

This is a hint that makes the system fast. Whoever must not miss an end looks at
the units himself from time to time.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from apps.units import layout
from apps.units.spec import UnitPhase
from apps.units.supervisor import Units

logger = logging.getLogger(__name__)

#: The Celery task's name and its keyword arguments, as ``UnitSpec.on_exit`` had them.
OnExit = tuple[str, Mapping[str, Any]]

#: A unit that left no exit.json is looked at more closely, and less often.
_CLOSE_LOOK_SECONDS = 2.0
_LONGEST_RETRY_SECONDS = 30.0


class ExitWatcher:
    """Calls back about finished units, across all processes that ever started one.

    A unit is announced at least once: the mark is set after the callback has
    returned, so a callback that fails, or a watcher that dies, is followed by
    another attempt. One look costs a system call or two per unit.

    Args:
        units: the units to watch.
        callback: receives the unit's name and its ``on_exit``.
        interval: seconds between two looks.
    """

    def __init__(self, units: Units, callback: Callable[[str, OnExit], None], interval: float = 0.2) -> None:
        self._units = units
        self._callback = callback
        self._interval = interval
        self._retry_at: dict[str, tuple[float, float]] = {}
        self._close_look_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Watch until the event is set."""
        while not stop.wait(self._interval):
            try:
                self.look()
            except OSError:
                logger.exception("Could not look at the units")

    def look(self) -> int:
        """Announce what has ended since the last look; return how many were announced."""
        now = time.monotonic()
        is_close = now >= self._close_look_at
        if is_close:
            self._close_look_at = now + _CLOSE_LOOK_SECONDS
        return sum(
            self._announce(entry, now)
            for entry in os.scandir(self._units.directory)
            if self._is_due(entry, is_close=is_close)
        )

    def _is_due(self, entry: "os.DirEntry[str]", *, is_close: bool) -> bool:
        if _exists(entry.path, layout.ANNOUNCED):
            return False
        if _exists(entry.path, layout.EXIT):
            return True
        if not is_close:
            return False
        state = self._units.inspect(entry.name)
        return state is not None and state.phase is not UnitPhase.RUNNING

    def _announce(self, entry: "os.DirEntry[str]", now: float) -> bool:
        retry_at, delay = self._retry_at.get(entry.name, (0.0, self._interval))
        if now < retry_at:
            return False
        spec: Any = layout.read_json(entry.path, layout.SPEC)
        try:
            if spec and spec["on_exit"]:
                task, arguments = spec["on_exit"]
                self._callback(entry.name, (task, arguments))
        except Exception:
            logger.exception("Announcing the end of unit %s failed", entry.name)
            self._retry_at[entry.name] = (now + delay, min(delay * 2, _LONGEST_RETRY_SECONDS))
            return False
        self._retry_at.pop(entry.name, None)
        _mark(entry.path)
        return True


def _exists(directory: str, name: str) -> bool:
    try:
        os.stat(f"{directory}/{name}")
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _mark(directory: str) -> None:
    try:
        os.close(os.open(f"{directory}/{layout.ANNOUNCED}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except FileNotFoundError:
        logger.debug("Unit %s was removed while it was announced", directory)

"""How many connections may be open, all together and by source; how many lines each may cause in our log."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

_LINES_PER_MINUTE: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of one listener, in connections."""

    total: int
    per_source: int


class Full(Exception):
    """No more connections for now; the message says whose limit it is."""


@dataclass(kw_only=True)
class Gate:
    """Counts the open connections of one listener."""

    limits: Limits
    _open: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def passing(self, source: str) -> Iterator[None]:
        """Hold one place while a connection is open.

        Raises:
            Full: there is none.
        """
        if self._open[source] >= self.limits.per_source:
            raise Full(f"A worker may hold {self.limits.per_source} connections here at once.")
        if self._open.total() >= self.limits.total:
            raise Full(f"All workers together hold {self.limits.total} connections here already.")
        self._open[source] += 1
        try:
            yield
        finally:
            self._open[source] -= 1
            if not self._open[source]:
                del self._open[source]


@dataclass(kw_only=True)
class LineBudget:
    """Keeps a source that hammers at us from filling our log."""

    per_minute: int = _LINES_PER_MINUTE
    clock: Callable[[], float] = time.monotonic
    _minute: int = 0
    _used: Counter[str] = field(default_factory=Counter)

    def allows(self, source: str) -> bool:
        """Take one line of this minute; False if the source had all of its own."""
        minute = int(self.clock() // 60)
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
        self._used[source] += 1
        return self._used[source] <= self.per_minute

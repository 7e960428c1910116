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
    """Bounds of one listener, in connections.

    Attributes:
        total: of all sources together.
        per_source: the most that one source may hold, if there is room.
        assured: how many of them it can always have, whatever the others hold; less if there are so many
            sources that the total does not suffice for it.
    """

    total: int
    per_source: int
    assured: int = 0


class Full(Exception):
    """No more connections for now; the message says whose limit it is."""


@dataclass(kw_only=True)
class Gate:
    """Counts the open connections of one listener.

    Attributes:
        limits: its bounds.
        sources: how many there may be; so many cannot keep one of them from its share.
    """

    limits: Limits
    sources: int = 1
    _open: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def passing(self, source: str) -> Iterator[None]:
        """Hold one place while a connection is open.

        Raises:
            Full: there is none.
        """
        if self._open[source] >= self.limits.per_source:
            raise Full(f"One address may hold {self.limits.per_source} connections here at once.")
        if self._room_for(source) <= 0:
            raise Full(f"All together hold {self._open.total()} connections here already.")
        self._open[source] += 1
        try:
            yield
        finally:
            self._open[source] -= 1
            if not self._open[source]:
                del self._open[source]

    def _room_for(self, source: str) -> int:
        """Return how many places are free and not kept for others."""
        free = self.limits.total - self._open.total()
        share = min(self.limits.assured, self.limits.total // self.sources)
        if self._open[source] < share:
            return free
        others = [count for name, count in self._open.items() if name != source]
        kept = sum(max(0, share - count) for count in others)
        return free - kept - share * max(0, self.sources - 1 - len(others))


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

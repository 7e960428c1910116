"""Notices a worker that says too much. Pure but for the clock it is given."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

_WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class FloodGuard:
    """Counts entries per worker over the latest minute.

    Attributes:
        limit: entries per minute that are still accepted.
        clock: seconds that only grow.

    """

    limit: int
    clock: Callable[[], float] = time.monotonic
    _counts: dict[UUID, deque[tuple[float, int]]] = field(default_factory=dict, init=False)

    def is_flooding(self, worker_id: UUID, entries: int) -> bool:
        """Count a worker's entries; tell whether it is over the limit."""
        now = self.clock()
        counts = self._counts.setdefault(worker_id, deque())
        counts.append((now, entries))
        while counts and counts[0][0] <= now - _WINDOW_SECONDS:
            counts.popleft()
        return sum(count for _, count in counts) > self.limit

    def forget_all_but(self, worker_ids: set[UUID]) -> None:
        """Drop the counts of workers that are gone."""
        for worker_id in self._counts.keys() - worker_ids:
            del self._counts[worker_id]

"""How long to wait between attempts."""

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Pauses that double from `first_seconds` to `cap_seconds`, each spread by a fifth."""

    first_seconds: float = 0.1
    cap_seconds: float = 5.0
    _next: float = field(default=0.0, init=False)

    def next_pause(self) -> float:
        """Return the seconds to wait before the next attempt."""
        self._next = min(self.cap_seconds, self._next * 2 or self.first_seconds)
        return self._next * random.uniform(0.8, 1.2)

    def reset(self) -> None:
        """Start again at the shortest pause, after a success."""
        self._next = 0.0

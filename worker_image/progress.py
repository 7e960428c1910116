"""How much progress an agent may tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

BURST = 50
PER_SECOND = 5.0


@dataclass(slots=True)
class ProgressBudget:
    """Lets a burst of updates through, then a steady trickle; a chatty agent must not flood its stream."""

    now: Callable[[], float] = time.monotonic
    _tokens: float = field(default=BURST, init=False)
    _at: float | None = field(default=None, init=False)

    def take(self) -> bool:
        """Tell whether one more update may be sent now."""
        moment = self.now()
        if self._at is not None:
            self._tokens = min(BURST, self._tokens + (moment - self._at) * PER_SECOND)
        self._at = moment
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

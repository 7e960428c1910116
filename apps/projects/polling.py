"""When to look again: pure functions of how long something has lasted or how often it was in vain."""

from datetime import datetime, timedelta
from typing import Any, Final

from apps.errors import OrchestratorError

#: The longest pause is so many times the first one: 15, 30, 60 seconds.
_LONGEST: Final = 4
_SHORT_PAUSES: Final = 4
_MIDDLE_PAUSES: Final = 20


def next_look(*, since: datetime, now: datetime, first: timedelta) -> datetime:
    """Return when to look again at something that goes on elsewhere.

    Args:
        since: when it began.
        now: the present time.
        first: the shortest pause; it is doubled after a minute (if it is 15 s) and again after five.

    """
    lasted = now - since
    factor = 1 if lasted < _SHORT_PAUSES * first else 2 if lasted < _MIDDLE_PAUSES * first else _LONGEST
    return now + factor * first


def after_refusal(error: OrchestratorError, *, tries: int, now: datetime, first: timedelta) -> datetime:
    """Return when to ask again somebody who did not answer, or who said how long to wait.

    Args:
        error: what was answered; ``details["retry_after"]`` holds seconds.
        tries: how often in a row it was in vain, from 1.
        now: the present time.
        first: the shortest pause.

    """
    pause = first * min(1 << min(tries - 1, 8), _LONGEST)
    told: Any = error.details.get("retry_after")
    if isinstance(told, int | float) and told > 0:
        pause = max(pause, timedelta(seconds=min(float(told), 3_600.0)))
    return now + pause

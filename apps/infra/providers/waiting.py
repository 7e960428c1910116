"""Waiting for a provider's task within the caller's own deadline."""

import time
from collections.abc import Callable
from typing import Final

from apps.errors import Unavailable
from apps.infra.providers.base import Provider, ProviderTask, Throttled

POLL_SECONDS: Final = 5.0


class TaskTooSlow(Unavailable):
    """The provider's task was not over in time; it may still end well."""

    code = "provider_task_too_slow"


def wait_for_task(
    provider: Provider,
    *,
    provider_id: str,
    task: str,
    seconds: float,
    poll_seconds: float = POLL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ProviderTask:
    """Return a task that is over.

    Args:
        provider: who was asked.
        provider_id: of the server.
        task: its number.
        seconds: how long the caller can wait.
        poll_seconds: the pause between two looks.
        clock: tells the time in seconds.
        sleep: waits so many seconds.

    A provider that wants to be asked later is asked after the interval that it
    named: its task goes on, and what it tells at the end is told once.

    Raises:
        TaskTooSlow: it is not over in time.
        ProviderAway, NotAllowed, Malformed: see there; they end the wait.

    """
    until = clock() + seconds
    while True:
        pause = poll_seconds
        try:
            found = provider.get_task(provider_id, task)
        except Throttled as error:
            pause = error.retry_after
        else:
            if found.is_done:
                return found
        if clock() + pause > until:
            raise TaskTooSlow(details={"task": task})
        sleep(pause)

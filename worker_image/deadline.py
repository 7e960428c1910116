"""The container's own deadline: kept by its first process, so that it ends when nobody is left to end it."""

import os
import threading
from collections.abc import Callable, Mapping
from typing import Final

ENV_DEADLINE: Final = "CONTAINER_DEADLINE_SECONDS"
#: What coreutils' ``timeout`` says.
EXIT_CODE: Final = 124
#: From the request to end to the end.
GRACE_SECONDS: Final = 10.0


def arm(
    environment: Mapping[str, str],
    stop: Callable[[], object],
    *,
    die: Callable[[int], object] = os._exit,
    grace_seconds: float = GRACE_SECONDS,
) -> None:
    """Ask for the end at the deadline, and end a grace period later whatever happens; no deadline, no effect.

    Args:
        environment: has the deadline in seconds from now.
        stop: called from another thread; asks the process to end.
        die: ends it; the first process of a container takes all others with it.
        grace_seconds: between the two.
    """
    try:
        seconds = float(environment.get(ENV_DEADLINE, ""))
    except ValueError:
        return

    def end() -> None:
        _after(grace_seconds, lambda: die(EXIT_CODE))
        stop()

    _after(seconds, end)


def _after(seconds: float, act: Callable[[], object]) -> None:
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), act)
    timer.daemon = True
    timer.start()

"""Taking turns at one unit: its locks, and bounded waiting."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from apps.units import layout
from apps.units.spec import UnitsUnavailable

#: The longest that a call waits for another process that is in the middle of a start or a removal.
_TURN_SECONDS = 30.0
_POLL_SECONDS = 0.003

#: Descriptors of the held ``lock`` and ``shim.lock``.
Locks = tuple[int, int]


def take(directory: Path, *, until: Callable[[], bool]) -> Locks | None:
    """Wait until a unit's locks are ours, or until there is nothing left to do for us (None).

    Raises:
        UnitsUnavailable: somebody else kept them for too long.
    """
    deadline = time.monotonic() + _TURN_SECONDS
    while not until():
        if (locks := _try(directory)) is not None:
            if not until():
                return locks
            release(locks)
        elif time.monotonic() > deadline:
            raise UnitsUnavailable(f"unit {directory.name} is held by another process")
        time.sleep(_POLL_SECONDS)
    return None


def release(locks: Locks) -> None:
    """Give up our share; a unit that was started meanwhile goes on holding its own."""
    for descriptor in locks:
        os.close(descriptor)


def is_held(directory: str) -> bool:
    """Say whether a starter, a shim or a unit's own process holds a lock."""
    return layout.is_locked(directory, layout.LOCK) or layout.is_locked(directory, layout.SHIM_LOCK)


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return done


def _try(directory: Path) -> Locks | None:
    try:
        directory.mkdir(exist_ok=True)
        lock = layout.try_lock(str(directory), layout.LOCK)
        if lock is None:
            return None
        shim_lock = layout.try_lock(str(directory), layout.SHIM_LOCK)
        if shim_lock is None:
            os.close(lock)
            return None
    except FileNotFoundError:
        return None  # removed under our hands; the next look will tell
    except OSError as error:
        raise UnitsUnavailable(f"cannot lock unit {directory.name}: {error}") from error
    return lock, shim_lock

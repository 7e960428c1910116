"""How long the embedded servers take to answer: first start, restart, restart after a kill."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.embedded import Embedded


def measure() -> dict[str, dict[str, object]]:
    """Return seconds of each kind of start, against the figures of the prototype."""
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="bench-"))
    directory.chmod(0o711)
    embedded = Embedded(directory)
    try:
        first = _seconds(embedded.start)
        embedded.stop()
        again = _seconds(embedded.start)
        embedded.kill("channel")
        channel = _seconds(lambda: embedded.ensure("channel"))
    finally:
        embedded.remove()
    return {
        "embedded servers, first start": {"value": first, "unit": "s", "baseline": 1.7},
        "embedded servers, next start": {"value": again, "unit": "s"},
        "channel back after a kill": {"value": channel, "unit": "s"},
    }


def _seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began

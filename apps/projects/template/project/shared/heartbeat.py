"""A sign of life that others can look at: a file that is touched while the service does its work.

    python -m shared.heartbeat [SECONDS]

tells by its exit code whether the file in DATA_DIR is younger than that; a container's health check runs it.
"""

import os
import sys
import time
from pathlib import Path

FILE = "heartbeat"
MAX_AGE_SECONDS = 90.0


def beat(directory: Path) -> None:
    """Say that the service works now."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FILE).touch()


def is_fresh(directory: Path, max_age_seconds: float = MAX_AGE_SECONDS) -> bool:
    """Tell whether the service said so lately; a file that cannot be read is no sign of life."""
    try:
        age = time.time() - (directory / FILE).stat().st_mtime
    except OSError:
        return False
    return age <= max_age_seconds


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else MAX_AGE_SECONDS
    sys.exit(0 if is_fresh(Path(os.environ.get("DATA_DIR") or "data"), seconds) else 1)

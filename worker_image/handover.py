"""A wrapper that was started before there was a worker for it gets its environment in a file.

Whoever takes the file leaves a directory in its place, and in that one with the name it was given. Over these
nobody writes a file by mistake: a second delivery is refused, and no secret is left for the agent to find.
"""

import json
import signal
import time
from pathlib import Path
from typing import Any, Final

from worker_image.contract import ENVIRONMENT_INPUT
from worker_image.environment import EnvironmentInvalid

POLL_SECONDS: Final = 0.02
WAIT_SECONDS: Final = 7_200.0
"""Spares are replaced long before; one that nobody looks after any more ends by itself."""


def await_environment(directory: Path, *, wait_seconds: float = WAIT_SECONDS) -> dict[str, str] | None:
    """Wait for the environment and take it; None if there is none in time, or this process is to end.

    Args:
        directory: where the inputs are.
        wait_seconds: how long.

    Raises:
        EnvironmentInvalid: what came is not one.

    """
    is_stopped = False

    def stop(_number: int, _frame: Any) -> None:
        nonlocal is_stopped
        is_stopped = True

    earlier = signal.signal(signal.SIGTERM, stop)
    try:
        deadline = time.monotonic() + wait_seconds
        while not is_stopped and time.monotonic() < deadline:
            if (given := _read(directory / ENVIRONMENT_INPUT)) is not None:
                return given
            time.sleep(POLL_SECONDS)
    finally:
        signal.signal(signal.SIGTERM, earlier)
    return None


def _read(path: Path) -> dict[str, str] | None:
    """Take the file if all of it has arrived."""
    try:
        given = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    try:
        name, variables = str(given["name"]), {key: str(value) for key, value in given["environment"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise EnvironmentInvalid("the environment must be a name and an object of strings") from error
    _occupy(path, name)
    return variables


def _occupy(path: Path, name: str) -> None:
    """Put a directory where the file was, whoever writes it again meanwhile."""
    while True:
        path.unlink(missing_ok=True)
        try:
            (path / name).mkdir(parents=True)
        except (FileExistsError, NotADirectoryError):
            continue
        return

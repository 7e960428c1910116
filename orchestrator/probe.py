"""``python -m orchestrator.probe``: is a process of ours ready, asked from inside its own container.

Standard library only: this runs every few seconds in a dozen containers.
"""

import http.client
import socket
import sys
import time
from pathlib import Path
from typing import Final

_TIMEOUT_SECONDS: Final = 4.0
_USAGE: Final = "usage: probe SOCKET /path | probe FILE SECONDS"


class _SocketConnection(http.client.HTTPConnection):
    """A connection to a socket of the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def main(arguments: list[str]) -> int:
    """Ask once; returns 0 for yes, 1 for no, 2 if the question is malformed.

    Args:
        arguments: a socket and a path that shall answer 200, or a file and how old it may be in seconds.
    """
    if len(arguments) != 2:
        print(_USAGE, file=sys.stderr)
        return 2
    place, question = arguments
    problem = _unanswered(place, question) if question.startswith("/") else _stale(Path(place), question)
    if problem:
        print(problem)
    return 1 if problem else 0


def _unanswered(place: str, path: str) -> str:
    """Return what is wrong with the answer; a place of the form HOST:PORT is asked by TCP."""
    connection = (
        _SocketConnection(place)
        if place.startswith("/")
        else http.client.HTTPConnection(place, timeout=_TIMEOUT_SECONDS)
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{place} does not answer: {error or type(error).__name__}"
    finally:
        connection.close()
    return "" if answer.status == http.HTTPStatus.OK else f"{path} answers {answer.status}: {body}"


def _stale(file: Path, seconds: str) -> str:
    """Return what is wrong with the sign of life that a process renews."""
    try:
        age = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return f"{file.name}: no sign of life yet"
    return "" if age <= float(seconds) else f"{file.name}: no sign of life for {age:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

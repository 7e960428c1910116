"""The connection to the Docker daemon, and what its failures mean."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException

from apps.workers.runtime import base

#: Longer than any answer takes on a busy machine; a frozen daemon is noticed after it.
TIMEOUT_SECONDS = 30.0
_NO_SPACE = os.strerror(errno.ENOSPC).lower()


class DockerConnection:
    """One client per process, made when it is first needed.

    Args:
        timeout_seconds: how long the daemon may keep silent in one call.
        address: of the daemon; None takes ``DOCKER_HOST`` or the usual socket.

    """

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS, address: str | None = None) -> None:
        self._timeout_seconds = timeout_seconds
        self._address = address
        self._lock = threading.Lock()
        self._owner = 0
        self._client: docker.DockerClient | None = None

    def client(self) -> docker.DockerClient:
        """Return the client; inside ``asking``, because the first use asks the daemon for its version."""
        with self._lock:
            # A connection must not be shared with a forked child.
            if self._client is None or self._owner != os.getpid():
                self._client, self._owner = self.fresh(self._timeout_seconds), os.getpid()
            return self._client

    def fresh(self, timeout_seconds: float) -> docker.DockerClient:
        """Return a client of the caller's own, for example for a stream."""
        timeout = max(1, int(timeout_seconds))
        if self._address is None:
            return docker.DockerClient.from_env(timeout=timeout, version="auto")
        return docker.DockerClient(base_url=self._address, timeout=timeout, version="auto")


def code_of(error: APIError) -> int:
    """Return the daemon's HTTP status, 0 if there was none."""
    return 0 if error.response is None else error.response.status_code


def is_full(message: str) -> bool:
    """Tell whether the daemon complains about its disk."""
    return _NO_SPACE in message.lower()


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Say the SDK's errors in the port's words; what a verb takes for an answer it catches itself."""
    try:
        yield
    except APIError as error:
        raise _translated(error) from error
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise base.RuntimeUnavailable(f"The Docker daemon does not answer: {_short(error)}") from error


def _translated(error: APIError) -> Exception:
    code, message = code_of(error), _short(error)
    if is_full(message):
        return base.RuntimeFull(f"The Docker daemon's disk is full: {message}")
    if code == requests.codes.bad_request:
        return base.ContainerRefused(f"The Docker daemon refuses: {message}")
    return base.RuntimeUnavailable(f"The Docker daemon failed with {code}: {message}")


def _short(error: Exception) -> str:
    explanation = getattr(error, "explanation", None)
    return str(explanation or error)[:500]

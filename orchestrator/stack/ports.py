"""The ports of a stack, held from the moment they are chosen: stacks that start at once get different."""

import socket
from collections.abc import Iterable
from contextlib import suppress

from orchestrator.embedded.processes import free_port

WEB_PORTS = range(8000, 8100)
HOST = "127.0.0.1"
#: Connections that wait for the web, also while it is started again.
BACKLOG = 2048


class HeldPort:
    """A loopback port on which we listen, so that nobody else can; a child serves what arrives there."""

    def __init__(self, port: int = 0) -> None:
        """Describe a port that is not held yet: 0 is any, which cannot be told before it is held."""
        self.port = port
        self._listener: socket.socket | None = None

    def hold(self) -> int:
        """Begin to listen, unless we do; return the file descriptor.

        Raises:
            OSError: somebody else listens there.
        """
        if self._listener is None:
            listener = socket.socket()
            try:
                # Connections of an earlier web that are not yet forgotten do not matter; a listener does.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((HOST, self.port))
                listener.listen(BACKLOG)
            except OSError:
                listener.close()
                raise
            self._listener = listener
            self.port = listener.getsockname()[1]
        return self._listener.fileno()

    def close(self) -> None:
        """Listen no longer; whoever inherited the descriptor still does."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def hold_first(candidates: Iterable[int]) -> HeldPort | None:
    """Hold the first port that nobody else has; None if they all are taken. 0 is left out."""
    for port in filter(None, candidates):
        held = HeldPort(port)
        with suppress(OSError):
            held.hold()
            return held
    return None


def hold_web(earlier: int) -> HeldPort:
    """Hold the web's port: that of an earlier start if possible, else the first free one.

    Raises:
        OSError: there is none.
    """
    held = hold_first((earlier, *WEB_PORTS)) or HeldPort(free_port())
    held.hold()
    return held

"""What the doubles of services on the internet serve HTTP with: any port of loopback, ended with its test."""

import contextlib
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class DoubleServer(ThreadingHTTPServer):
    """A server on a free port; connections that clients keep open do not outlive it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, handler: "type[DoubleHandler]") -> None:
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        """Where it serves, without a path."""
        return f"http://127.0.0.1:{self.server_port}"

    def close_connections(self) -> None:
        """Hang up on everybody."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is no news."""


class DoubleHandler(BaseHTTPRequestHandler):
    """One connection: kept open between requests, and quiet."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Let the server know of the connection."""
        super().setup()
        if isinstance(self.server, DoubleServer):
            self.server.open.add(self.connection)

    def finish(self) -> None:
        """Let the server forget the connection."""
        if isinstance(self.server, DoubleServer):
            self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def read_body(self) -> bytes:
        """Return what came with the request."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

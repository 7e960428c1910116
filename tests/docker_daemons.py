"""Docker daemons that misbehave: absent, deaf, mute, broken, and scripted."""

import http.server
import json
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

Answer = tuple[int, Any]
_MISSING: Final = (404, {"message": "there is no such thing"})
#: What is needed to believe that one talks to a daemon.
_VERSION: Final = (200, {"ApiVersion": "1.41"})


@contextmanager
def absent() -> Iterator[str]:
    """No daemon at all: there is not even a socket."""
    yield "unix:///tmp/no-such-directory/docker.sock"


@contextmanager
def deaf() -> Iterator[str]:
    """A daemon that takes connections and never says a word."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, socket.socket(socket.AF_UNIX) as server:
        path = f"{directory}/deaf.sock"
        server.bind(path)
        server.listen(128)
        yield f"unix://{path}"


@contextmanager
def scripted(
    answers: Mapping[tuple[str, str], Answer | list[Answer]], *, otherwise: Answer | None = _MISSING
) -> Iterator[str]:
    """A daemon that answers by method and the end of the path, a list one by one.

    Args:
        answers: what it answers; its version it tells unless told otherwise.
        otherwise: what it answers to the rest; None: it says nothing and keeps the connection open.
    """
    is_over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            chosen = _VERSION if path.endswith("/version") else otherwise
            for (method, end), found in answers.items():
                if self.command == method and path.endswith(end):
                    chosen = found.pop(0) if isinstance(found, list) else found
            if chosen is None:
                is_over.wait()
                return
            status, body = chosen
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = answer

        def log_message(self, *_: object) -> None: ...

        def address_string(self) -> str:
            return "unix"

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        # Everybody asks at once: who finds no place would be told that there is no daemon.
        request_queue_size = 128

    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory, "scripted.sock")
        with Server(str(path), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield f"unix://{path}"
            finally:
                is_over.set()
                server.shutdown()
                thread.join()

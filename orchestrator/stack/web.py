"""The web process of the stack: serves on the socket that its supervisor holds for it."""

import os
import socket
import sys

import uvicorn

from orchestrator.stack.table import LISTEN_VARIABLE


def main() -> int:
    """Serve until SIGTERM; 1 if that could not begin."""
    # Not uvicorn's own --fd: it takes the socket for one of files and leaves small answers waiting in it.
    listener = socket.socket(fileno=int(os.environ.pop(LISTEN_VARIABLE)))
    config = uvicorn.Config(
        "orchestrator.asgi:application",
        lifespan="off",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())

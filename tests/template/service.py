"""A generated service as a process, spoken to over HTTP."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS = 20


@contextmanager
def running(
    project: Path, data: Path, *, service: str = "backend", **variables: str
) -> Iterator[httpx.Client]:
    """Run `make run-<service>` until the block ends; gives a client once `/health` answers."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "PORT": str(port), "DATA_DIR": str(data), **variables}
    process = subprocess.Popen(
        ["make", "--no-print-directory", f"run-{service}"],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            _await_health(client, process)
            yield client
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)


def free_port() -> int:
    """Return a port that nobody listens at now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await_health(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(f"The service does not answer: {process.communicate()[0].decode()}")

"""Fixtures of the wrapper's process tests."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker_image.doubles import (
    ControlPlane,
    PlaneHandler,
    PlaneServer,
    ValkeyServer,
    WorkerProcess,
    git,
)


@pytest.fixture
def scratch() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def valkey(scratch: Path) -> Iterator[ValkeyServer]:
    directory = scratch / "valkey"
    directory.mkdir()
    server = ValkeyServer(directory)
    server.start()
    server.add_worker()
    yield server
    server.kill()


@pytest.fixture
def plane(scratch: Path) -> Iterator[ControlPlane]:
    origin = scratch / "origin"
    origin.mkdir()
    git(origin, "init", "--quiet", "--initial-branch=main")
    (origin / "README.md").write_text("# Project\n")
    git(origin, "add", ".")
    git(origin, "commit", "--quiet", "-m", "Base")
    git(origin, "bundle", "create", "--quiet", "../base.bundle", "main")
    plane = ControlPlane((scratch / "base.bundle").read_bytes(), git(origin, "rev-parse", "main"), scratch)
    server = PlaneServer(("127.0.0.1", 0), PlaneHandler)
    server.plane = plane
    plane.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield plane
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def worker(valkey: ValkeyServer, plane: ControlPlane, scratch: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(valkey, plane, scratch)
    yield worker
    worker.end()

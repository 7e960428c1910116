"""Fixtures: a running application on an empty database of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def restart(data_dir: Path) -> Iterator[Callable[[], TestClient]]:
    """Start the application again on the same data; returns a client of the new one."""
    running = ExitStack()

    def start() -> TestClient:
        running.close()
        # Nothing here has to outlive a power cut, so no write waits for the disk.
        app = create_app(Settings(data_dir=data_dir, database_synchronous="OFF"))
        return running.enter_context(TestClient(app, raise_server_exceptions=False))

    yield start
    running.close()


@pytest.fixture
def client(restart: Callable[[], TestClient]) -> TestClient:
    return restart()

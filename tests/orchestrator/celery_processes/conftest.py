"""pytest-celery without Docker: its fixtures, of which three name the tests' servers and real processes.

The plugin itself stays unloaded (see addopts): its names would cover those of every other test.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from django.conf import settings
from pytest_celery import (
    CeleryTestBackend,
    CeleryTestBroker,
    CeleryTestWorker,
    celery_backend_cluster,
    celery_backend_cluster_config,
    celery_broker_cluster,
    celery_broker_cluster_config,
    celery_setup,
    celery_setup_cls,
    celery_setup_config,
    celery_setup_name,
    celery_worker_cluster,
    celery_worker_cluster_config,
)

from orchestrator.celery import app
from tests.orchestrator.celery_processes.nodes import CeleryProcess, Server

__all__ = [
    "celery_backend_cluster",
    "celery_backend_cluster_config",
    "celery_broker_cluster",
    "celery_broker_cluster_config",
    "celery_setup",
    "celery_setup_cls",
    "celery_setup_config",
    "celery_setup_name",
    "celery_worker_cluster",
    "celery_worker_cluster_config",
]

# Importing pytest-celery makes an application of its own the current one, for every test of the session.
app.set_current()

QUEUES = "scaffold,graph,workers,periodic"


@pytest.fixture(autouse=True)
def _no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove that nothing of these tests asks a daemon: there is nobody at this address."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


@pytest.fixture
def celery_broker(broker: redis.Redis) -> CeleryTestBroker:
    """The broker of the session."""
    return CeleryTestBroker(Server("broker", settings.REDIS_URL))


@pytest.fixture
def celery_backend() -> CeleryTestBackend:
    """No result is ever stored (docs/decisions.md); pytest-celery wants the name of a place all the same."""
    return CeleryTestBackend(Server("backend", settings.REDIS_URL))


@pytest.fixture
def celery_setup_app() -> Celery:
    """The application itself instead of one made for the tests."""
    return app


@pytest.fixture
def celery_worker(transactional_db: None, celery_broker: CeleryTestBroker) -> Iterator[CeleryTestWorker]:
    """A real prefork worker; it ends before the database is emptied and the broker flushed."""
    process = CeleryProcess(
        "tests-worker",
        *("worker", "--queues", QUEUES, "--pool", "prefork", "--concurrency", "2"),
        *("--hostname", "tests@%h", "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    )
    yield CeleryTestWorker(process, app)
    process.teardown()


@pytest.fixture
def beat(transactional_db: None, broker: redis.Redis) -> Iterator[Any]:
    """A real beat with the entries that the migrations made."""
    process = CeleryProcess("tests-beat", "beat", "--pidfile", "", "--loglevel", "INFO")
    yield process
    process.teardown()


@pytest.fixture
def second_beat(transactional_db: None, broker: redis.Redis) -> Iterator[Any]:
    """Another real beat on the same database."""
    process = CeleryProcess("tests-second-beat", "beat", "--pidfile", "", "--loglevel", "INFO")
    yield process
    process.teardown()

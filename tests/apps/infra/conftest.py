"""Fixtures of the infra app's tests: a target in memory, a server with free ports, requests."""

import random
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.infra import reconciler, services
from apps.infra.answering import Smoke
from apps.infra.models import DeploymentStatus, Server, ServiceDeployment
from apps.infra.requests import DeploymentRequest
from orchestrator.embedded.processes import is_port_free
from tests.factories import make_sha
from tests.fakes_target import FakeEntrance, FakeTarget

_MOVING = {
    DeploymentStatus.PENDING,
    DeploymentStatus.INSTALLING,
    DeploymentStatus.STARTING,
    DeploymentStatus.STOPPING,
    DeploymentStatus.CANCELING,
}


@pytest.fixture
def target() -> Iterator[FakeTarget]:
    fake = FakeTarget()
    yield fake
    fake.close()


@pytest.fixture
def entrance() -> Iterator[FakeEntrance]:
    fake = FakeEntrance()
    yield fake
    fake.close()


@pytest.fixture
def server(db: None) -> Server:
    """The only server; its ports are free at the moment, and no connection of anybody gets one of them."""
    starts = random.sample(range(12_000, 32_000, 50), k=400)
    first = next(start for start in starts if all(is_port_free(start + offset) for offset in range(21)))
    server = services.ensure_local_server()
    Server.objects.filter(pk=server.pk).update(port_range_start=first, port_range_end=first + 20)
    return server.reload()


@pytest.fixture
def make_request() -> Callable[..., DeploymentRequest]:
    """Describe a release of one project; every field can be said differently."""
    project_id = uuid4()

    def make(**changes: Any) -> DeploymentRequest:
        fields: dict[str, Any] = {
            "owner_id": 1,
            "project_id": project_id,
            "project_slug": "books",
            "task_id": uuid4(),
            "service_name": "backend",
            "commit_sha": make_sha(),
            "bundle_name": "workspaces/x.bundle",
            "bundle_sha256": "ab" * 32,
            "setup_command": "true",
            "run_command": "serve",
            "health_path": "/health",
            "data_directory": "data",
            **changes,
        }
        return DeploymentRequest(**fields)

    return make


@pytest.fixture
def ask(server: Server, make_request: Callable[..., DeploymentRequest]) -> Callable[..., UUID]:
    """Request a release."""

    def request(key: str = "run-1-deployment", **changes: Any) -> UUID:
        return services.request_deployment(idempotency_key=key, request=make_request(**changes))

    return request


@pytest.fixture
def step(target: FakeTarget, entrance: FakeEntrance) -> Callable[[UUID], bool]:
    """Let the reconciler take one step."""
    smoke = Smoke(ask_seconds=0.3, stable_seconds=0.2, entrance=entrance)

    def take(deployment_id: UUID) -> bool:
        return reconciler.reconcile_deployment(deployment_id=deployment_id, target=target, smoke=smoke)

    return take


@pytest.fixture
def drive(step: Callable[[UUID], bool]) -> Callable[[UUID], ServiceDeployment]:
    """Step until nothing moves any more and return the row."""

    def run(deployment_id: UUID) -> ServiceDeployment:
        for _ in range(20):
            again = step(deployment_id)
            row = ServiceDeployment.objects.get(pk=deployment_id)
            if not again and row.status not in _MOVING:
                return row
        raise AssertionError(f"deployment is still {row.status}")

    return run

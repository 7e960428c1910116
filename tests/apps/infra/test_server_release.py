"""A project's life on a server: real SSH, a real Docker engine, the template's own compose file."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import yaml

from apps import storage
from apps.infra import composition, reconciler, rollouts, services
from apps.infra.models import DeploymentStatus, PortAllocation, Server, ServerKind, ServiceDeployment
from apps.infra.requests import ByUs, ReleaseFacts, RolloutRequest
from apps.projects import templating
from apps.projects.manifest import Manifest
from apps.projects.templating import TemplateAnswers
from orchestrator.embedded.processes import free_port
from tests import docker_engine
from tests.factories import make_server
from tests.fakes_target import FakeTarget
from tests.server_machine import Machine, machine
from tests.template import docker_stage, foreign

pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.django_db,
    pytest.mark.timeout(1800),
]

PASSWORD = "ab" * 32
_MOVING = {"pending", "installing", "starting", "stopping", "canceling"}
BROKEN = "def create_app() -> None:\n    raise RuntimeError('this release is ill')\n"


class Site:
    """A project, and the server that it lives on."""

    def __init__(self, place: Path, found: Machine, server: Server) -> None:
        self.machine, self.server, self._place = found, server, place
        self.slug, self.id, self.number = f"t-{token_hex(4)}", uuid4(), 0
        self.source = place / "project"
        answers = TemplateAnswers(
            project_name="Rendered", project_slug=self.slug, project_description="", modules=("backend",)
        )
        templating.render(self.source, answers=answers)
        foreign.git(self.source, "init", "-q", "-b", "main")

    def release(self, changes: dict[str, str]) -> ServiceDeployment:
        """Commit a change, ask for its release, and wait for what becomes of it."""
        self.number += 1
        foreign.commit(self.source, changes, tag=f"v{self.number}")
        sha = foreign.git(self.source, "rev-parse", "HEAD")
        bundle = self._place / f"{sha}.bundle"
        foreign.git(self.source, "bundle", "create", "--quiet", str(bundle), "main")
        name = storage.workspace_name(project_id=self.id, sha=sha)
        storage.save_bundle(bundle, name=name)
        record = Manifest.model_validate(yaml.safe_load((self.source / "project.yaml").read_text()))
        digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
        request = RolloutRequest(
            owner_id=1,
            project_id=self.id,
            project_slug=self.slug,
            task_id=uuid4(),
            commit_sha=sha,
            kind="web",
            health_path="/health",
            roles=("web",),
            facts=ReleaseFacts(contract=record.model_dump(mode="json")),
            by_us=ByUs(bundle_name=name, bundle_sha256=digest, secrets={"POSTGRES_PASSWORD": PASSWORD}),
        )
        return settled(rollouts.request_rollout(idempotency_key=sha, request=request))

    def get(self, path: str) -> httpx.Response:
        port = PortAllocation.objects.get().port
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=10)


def settled(deployment_id: UUID, *, seconds: float = 900) -> ServiceDeployment:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        again = reconciler.reconcile_deployment(
            deployment_id=deployment_id,
            target=FakeTarget(is_down=True),
            far=composition.get_server_target,
        )
        row = ServiceDeployment.objects.get(pk=deployment_id)
        ended = row.status == DeploymentStatus.LIVE or row.removed_at is not None
        if ended and row.status not in _MOVING:
            return row
        time.sleep(0 if again else 0.3)
    raise AssertionError(f"{row.status} after {seconds} s: {row.log_tail}")


@pytest.fixture
def engine() -> Iterator[Any]:
    engine = docker_engine.client()
    yield engine
    engine.close()


@pytest.fixture
def site(engine: Any) -> Iterator[Site]:
    place = Path(mkdtemp(dir="/tmp", prefix="release-"))
    with machine(DEPLOY_SETTLE_SECONDS="2", DEPLOY_HEALTH_SECONDS="60") as found:
        port = free_port()
        login = {"ssh_port": found.ssh.port, "ssh_user": found.ssh.user, "host_key": found.ssh.host_key}
        server = make_server(
            kind=ServerKind.SSH,
            **login,
            identity=found.ssh.identity,
            port_range_start=port,
            port_range_end=port,
        )
        stage = Site(place, found, server)
        yield stage
        docker_stage.remove_project(engine, stage.slug)
    rmtree(place, ignore_errors=True)


def test_project_lives_on_a_server_and_leaves_it(site: Site, engine: Any) -> None:
    first = site.release({"app/mark.py": "MARK = 1\n"})
    assert first.status == DeploymentStatus.LIVE, (first.failure, first.log_tail)
    assert first.images["backend"].startswith("sha256:")
    assert site.get("/health").json()["status"] == "ok"

    second = site.release({"app/mark.py": "MARK = 2\n"})
    replaced = settled(first.pk)
    assert second.status == DeploymentStatus.LIVE, (second.failure, second.log_tail)
    assert second.url == first.url
    assert replaced.status == DeploymentStatus.STOPPED
    assert current(site) == second.commit_sha

    ill = site.release({"app/main.py": BROKEN})
    assert ill.status == DeploymentStatus.FAILED
    assert (ill.failure or {})["code"] == "not_healthy"
    assert "this release is ill" in ill.log_tail
    assert current(site) == second.commit_sha
    assert site.get("/health").json()["status"] == "ok"
    running = {
        container.image.labels.get("org.opencontainers.image.revision") for container in running_of(site)
    }
    assert second.commit_sha in running

    services.stop_deployment(deployment_id=second.pk)
    stopped = settled(second.pk)
    assert stopped.status == DeploymentStatus.STOPPED
    assert not running_of(site)
    left = [tag for image in engine.images.list() for tag in image.tags if tag.startswith(f"{site.slug}-")]
    assert left == []
    assert not (site.machine.home / "projects" / site.slug).exists()
    assert not composition.get_server_target(site.server).list_jobs()
    # Data are the project's, and come back with it.
    label = {"label": f"com.docker.compose.project={site.slug}"}
    assert [volume.name for volume in engine.volumes.list(filters=label)] == [f"{site.slug}_db-data"]
    assert PASSWORD not in "".join(site.machine.ssh.commands)


def current(site: Site) -> str:
    return (site.machine.home / "projects" / site.slug / "current").resolve().name


def running_of(site: Site) -> list[Any]:
    engine = docker_engine.client()
    try:
        return docker_stage.containers_of(engine, site.slug)
    finally:
        engine.close()

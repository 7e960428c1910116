"""Projects of our own git host on servers: which way a project goes, what it is told, what is waited for."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.failures import Failure, FailureKind
from apps.graph.deploy_faults import Fault, fault_of_process
from apps.graph.flows import flow_of
from apps.infra.models import DeploymentStatus, PortAllocation, Server, ServerKind, ServerMetric
from apps.infra.server_releases import install_job
from apps.projects.models import Project, ProjectSecret
from tests.apps.graph.test_deploy_workflow import CONTRACT, TOKEN, make_ssh
from tests.apps.graph.world import World
from tests.factories import MANIFEST, make_deployment, make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db, pytest.mark.usefixtures("memory", "broker")]


class Site(World):
    """A project of our own git host, its deploy task, and the hands of its server."""

    def __init__(self, *entries: dict[str, Any], services: list[dict[str, Any]] | None = None) -> None:
        super().__init__(type="deploy", spec="")
        manifest = {**MANIFEST, "environment": [*(CONTRACT if services is None else []), *entries]}
        manifest["services"] = MANIFEST["services"] if services is None else services
        Project.objects.filter(pk=self.project.pk).update(manifest=manifest)

    def go_live(self) -> None:
        row = self.deployment
        for status in (DeploymentStatus.INSTALLING, DeploymentStatus.STARTING):
            type(row).transition(row.pk, to=status)
        evidence = {"smoke": {"status": 200}, "install_seconds": 40.0, "start_seconds": 9.0}
        type(row).transition(
            row.pk,
            to=DeploymentStatus.LIVE,
            live_at=timezone.now(),
            url="http://127.0.0.1:21000/",
            evidence=evidence,
        )


@pytest.fixture
def only_servers(db: None) -> None:
    """This machine runs no projects."""
    Server.objects.filter(kind=ServerKind.LOCAL).delete()


def measure(server: Server, **fields: Any) -> None:
    plenty = {"memory_available_mb": 8_000, "memory_total_mb": 16_000, "disk_free_mb": 90_000}
    ServerMetric.objects.create(server=server, **{**plenty, "containers_running": 0, **fields})


@pytest.mark.usefixtures("only_servers")
def test_commit_becomes_an_address_on_a_server_where_this_machine_runs_no_projects() -> None:
    make_ssh()
    site = Site()
    site.start()

    site.play()

    assert site.task.reload().status == "succeeded"
    assert site.task.result["url"] == "http://127.0.0.1:21000/"
    assert [kind for kind in site.events() if kind in ("port_allocated", "smoke_passed", "deployed")] == [
        "port_allocated",
        "smoke_passed",
        "deployed",
    ]


@pytest.mark.usefixtures("only_servers")
def test_server_is_told_the_contract_for_compose_and_nothing_is_in_the_steps() -> None:
    make_ssh()
    site = Site()
    site.start()

    site.play(until="deployment")

    row, password = site.deployment, ProjectSecret.objects.get().value
    job = install_job(row, ports={"WEB_PORT": PortAllocation.objects.get().port})
    assert (row.target, row.kind, row.service_name) == ("server", "web", "project")
    assert row.bundle_name == site.project.workspace_name
    assert job.environment["DB_PASSWORD"] == password
    assert password not in str(site.run.steps.values_list("data", flat=True))


@pytest.mark.usefixtures("only_servers")
def test_project_that_is_a_bot_is_asked_by_its_token() -> None:
    make_ssh()
    bot = {"name": "telegram", "kind": "bot", "run": "make run"}
    entry = {"key": "BOT_TOKEN", "source": "user_secret", "format": "telegram_bot_token"}
    site = Site({**entry, "consumers": ["telegram"]}, services=[bot])
    ProjectSecret.objects.create(project=site.project, key="BOT_TOKEN", value=TOKEN)
    site.start()

    site.play(until="deployment")

    assert (site.deployment.kind, site.deployment.token_variable) == ("bot", "BOT_TOKEN")
    assert not PortAllocation.objects.exists()


def test_release_that_is_ill_goes_back_to_engineering_and_a_lost_server_does_not() -> None:
    failure = Failure(stage="deploy", kind=FailureKind.PRODUCT, code="not_healthy", message="Ill.")

    assert fault_of_process(failure.code, "not healthy:\n") is Fault.CODE
    assert fault_of_process("build_failed", "Could not resolve host: registry.example") is Fault.ELSEWHERE
    assert fault_of_process("server_unreachable", "") is Fault.ELSEWHERE
    assert fault_of_process("compose_missing", "") is Fault.PERSON


class TestWhere:
    @pytest.mark.usefixtures("only_servers")
    def test_nowhere_is_said_as_before(self) -> None:
        site = Site()
        site.start()

        site.advance()

        assert (site.task.reload().failure or {})["code"] == "no_server"

    def test_new_project_goes_to_a_server_that_was_measured_and_has_docker(self) -> None:
        make_server()
        measure(make_ssh())

        assert flow_of(Site().task).name == "deploy_server"

    @pytest.mark.parametrize(
        "fields",
        [
            {"containers_running": None},
            {"memory_available_mb": 10},
            {"disk_free_mb": 10},
            {"measured_at": timezone.now() - timedelta(hours=2)},
        ],
    )
    def test_new_project_stays_on_this_machine_if_nobody_knows_of_room_elsewhere(
        self, fields: dict[str, Any]
    ) -> None:
        make_server()
        measure(make_ssh(), **fields)

        assert flow_of(Site().task).name == "deploy"

    def test_server_that_nobody_measured_takes_nothing_from_this_machine(self) -> None:
        make_server()
        make_ssh()

        assert flow_of(Site().task).name == "deploy"

    @pytest.mark.parametrize(
        ("kind", "flow"), [(ServerKind.LOCAL, "deploy"), (ServerKind.SSH, "deploy_server")]
    )
    def test_project_stays_where_its_data_are(self, kind: str, flow: str) -> None:
        servers = {ServerKind.LOCAL: make_server(), ServerKind.SSH: make_ssh()}
        measure(servers[ServerKind.SSH])
        site = Site()
        make_deployment(
            project_id=site.project.pk,
            server=servers[kind],
            status="live",
            live_at=timezone.now(),
            target="process" if kind == ServerKind.LOCAL else "server",
        )

        assert flow_of(site.task).name == flow


@pytest.mark.usefixtures("only_servers")
def test_redeploy_looks_at_its_own_servers_disk_too() -> None:
    server = make_ssh()
    site = Site()
    PortAllocation.objects.create(
        server=server, project_id=site.project.pk, service_name="project", role="web", port=21_000
    )
    measure(server, disk_free_mb=10, memory_available_mb=10)
    site.start()

    site.advance()

    assert site.run.waiting_for == "unavailable:low_disk"

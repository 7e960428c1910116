"""A server that is given up: its projects go elsewhere, and nobody asks anything of it any more."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.infra import allocation, decommissioning, incidents, placing
from apps.infra.allocation import NoServer
from apps.infra.models import DeploymentStatus, Incident, PortAllocation, Provisioning, Server, ServerStatus
from apps.infra.provisioning import ProvisioningUnderWay
from apps.lifecycle import IllegalTransition
from tests.factories import make_deployment, make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]

PROJECT = uuid4()


def remote(**fields: Any) -> Server:
    login = {"ssh_user": "deploy", "host_key": "ssh-ed25519 AAAA", "identity": "PRIVATE"}
    return make_server(**{"kind": "ssh", **login, **fields})


@pytest.fixture
def lost() -> Server:
    """A server that nobody lists any more, with a project's live release and its port."""
    server = remote(host="203.0.113.7", status="missing")
    make_deployment(
        server=server,
        project_id=PROJECT,
        target="server",
        status="live",
        live_at=timezone.now(),
        url="http://203.0.113.7:8000",
    )
    PortAllocation.objects.create(
        server=server, port=server.port_range_start, project_id=PROJECT, service_name="project", role="web"
    )
    return server


def test_project_of_a_lost_server_is_deployed_to_another_once_it_is_given_up(lost: Server) -> None:
    other = remote(host="203.0.113.8")
    with pytest.raises(NoServer):
        allocation.choose_for_project(project_id=PROJECT, roles=["web"])

    decommissioning.decommission(server_id=lost.pk)

    assert allocation.choose_for_project(project_id=PROJECT, roles=["web"]) == other
    assert not lost.allocations.exists()


def test_what_ran_there_has_ended_and_nothing_of_it_is_looked_for(lost: Server) -> None:
    states = ["installing", "canceling", "failed"]
    rows = [make_deployment(server=lost, target="server", status=status) for status in states]

    decommissioning.decommission(server_id=lost.pk)

    live = lost.deployments.get(project_id=PROJECT)
    found = [row.reload() for row in (live, *rows)]
    assert [row.status for row in found] == ["stopped", "crashed", "canceled", "failed"]
    assert None not in [row.removed_at for row in found]
    assert {row.environment for row in (live.reload(), *found)} == {"{}"}
    assert found[1].failure["code"] == "server_decommissioned"


def test_what_was_wrong_with_it_is_over(lost: Server) -> None:
    incidents.report(
        kind="server_missing", subject=f"server:{lost.pk}", message="It is gone.", server_id=lost.pk
    )

    decommissioning.decommission(server_id=lost.pk)

    assert Incident.objects.get().status == "resolved"


def test_a_project_whose_server_was_given_up_may_run_on_this_machine(lost: Server) -> None:
    make_server(host="127.0.0.1")
    before = placing.is_for_server(project_id=PROJECT)

    decommissioning.decommission(server_id=lost.pk)

    assert (before, placing.is_for_server(project_id=PROJECT)) == (True, False)


def test_neither_this_machine_nor_one_at_work_is_given_up_nor_any_twice(lost: Server) -> None:
    busy, local = remote(host="203.0.113.9", status="pending_setup"), make_server(host="127.0.0.1")
    Provisioning.objects.create(idempotency_key="1", server=busy, episode=uuid4())
    decommissioning.decommission(server_id=lost.pk)

    with pytest.raises(decommissioning.NotGivenUp):
        decommissioning.decommission(server_id=local.pk)
    with pytest.raises(ProvisioningUnderWay):
        decommissioning.decommission(server_id=busy.pk)
    with pytest.raises(IllegalTransition):
        decommissioning.decommission(server_id=lost.pk)
    assert busy.reload().status == ServerStatus.PENDING_SETUP
    assert lost.deployments.get().status == DeploymentStatus.STOPPED

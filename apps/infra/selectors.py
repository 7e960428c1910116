"""Reads of this app."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.errors import NotFound
from apps.failures import Failure
from apps.infra.models import DeploymentStatus, PortAllocation, ServiceDeployment

#: On its way; no other release of the same thing begins.
COMING = (
    DeploymentStatus.PENDING,
    DeploymentStatus.INSTALLING,
    DeploymentStatus.STARTING,
    DeploymentStatus.CANCELING,
)
#: A waiter needs to wait no longer: it is live, or will never be.
SETTLED = frozenset(
    {
        DeploymentStatus.LIVE,
        DeploymentStatus.STOPPING,
        DeploymentStatus.STOPPED,
        DeploymentStatus.FAILED,
        DeploymentStatus.CRASHED,
        DeploymentStatus.CANCELED,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentOutcome:
    """A deployment as the flow that asked for it sees it."""

    status: str
    is_final: bool
    is_live: bool
    url: str
    port: int | None
    server: str
    evidence: dict[str, Any]
    failure: Failure | None
    log_tail: str


def get_deployment(*, deployment_id: UUID) -> ServiceDeployment:
    """Return one deployment.

    Raises:
        NotFound: there is none of that id.
    """
    found = ServiceDeployment.objects.select_related("server").filter(pk=deployment_id).first()
    if found is None:
        raise NotFound(f"There is no deployment {deployment_id}.")
    return found


def get_deployment_outcome(*, deployment_id: UUID) -> DeploymentOutcome:
    """Return what became of a deployment so far; live is final for whoever waits.

    Raises:
        NotFound: there is none of that id.
    """
    row = get_deployment(deployment_id=deployment_id)
    # A release that a newer one has already replaced was live all the same.
    was_live = row.live_at is not None
    return DeploymentOutcome(
        status=row.status,
        is_final=row.status in SETTLED,
        is_live=was_live,
        url=row.url,
        port=port_of(row),
        server=row.server.name,
        evidence=row.evidence or {},
        failure=Failure.from_json(row.failure) if row.failure else None,
        log_tail=row.log_tail,
    )


def port_of(row: ServiceDeployment) -> int | None:
    """Return the port at which others reach a release: the one that its project keeps, else its own."""
    return kept_port_of(row) or own_port_of(row)


def own_port_of(row: ServiceDeployment) -> int | None:
    """Return the port at which a release itself listens; a bot and a worker have none."""
    return PortAllocation.objects.filter(deployment=row).values_list("port", flat=True).first()


def kept_port_of(row: ServiceDeployment) -> int | None:
    """Return the port that the project keeps for a release's service; None if it has none."""
    return kept_ports(row).values_list("port", flat=True).first()


def kept_ports(row: ServiceDeployment) -> QuerySet[PortAllocation]:
    """Return the row of the port that the project keeps for a release's service."""
    return PortAllocation.objects.filter(
        server_id=row.server_id, project_id=row.project_id, service_name=row.service_name, deployment=None
    )


def live_slugs(*, server_id: int) -> list[str]:
    """Return the projects with a release that should be running on a server."""
    live = ServiceDeployment.objects.filter(server_id=server_id, status=DeploymentStatus.LIVE)
    return sorted(set(live.values_list("project_slug", flat=True)))

"""Reads of this app."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.errors import NotFound
from apps.failures import Failure
from apps.infra.models import DeploymentStatus, ServiceDeployment

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
    allocation = row.server.allocations.filter(deployment=row).values_list("port", flat=True).first()
    # A release that a newer one has already replaced was live all the same.
    was_live = row.live_at is not None
    return DeploymentOutcome(
        status=row.status,
        is_final=row.status in SETTLED,
        is_live=was_live,
        url=row.url,
        port=allocation,
        server=row.server.name,
        evidence=row.evidence or {},
        failure=Failure.from_json(row.failure) if row.failure else None,
        log_tail=row.log_tail,
    )

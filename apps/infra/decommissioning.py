"""A server is given up for good: nothing of it is waited for any more, so its projects can go elsewhere."""

from django.db import transaction
from django.utils import timezone

from apps.errors import Conflict, NotFound
from apps.failures import FailureKind
from apps.infra import incidents, reinstall_traces, settling
from apps.infra.models import (
    UNFINISHED_PROVISIONING,
    DeploymentStatus,
    Incident,
    IncidentStatus,
    PortAllocation,
    Server,
    ServerHealth,
    ServerKind,
    ServerStatus,
    ServiceDeployment,
)
from apps.infra.provisioning import ProvisioningUnderWay

_COMING = (DeploymentStatus.PENDING, DeploymentStatus.INSTALLING, DeploymentStatus.STARTING)


class NotGivenUp(Conflict):
    """Only a server reached by SSH is given up; this machine's row is the settings' business."""

    code = "not_given_up"


@transaction.atomic
def decommission(*, server_id: int) -> None:
    """Take an operator's word that a server is gone: its releases have ended, its ports are free.

    Nothing is asked of the server itself, and nobody looks at it any more.

    Args:
        server_id: which server.

    Raises:
        IllegalTransition: it was given up before, or is being set up.
        NotFound: there is no such server.
        NotGivenUp: it is this machine.
        ProvisioningUnderWay: something is being done to it; cancel that first.
    """
    server = Server.objects.select_for_update().filter(pk=server_id).first()
    if server is None:
        raise NotFound(f"There is no server {server_id}.")
    if server.kind != ServerKind.SSH:
        raise NotGivenUp()
    unfinished = server.provisionings.filter(status__in=UNFINISHED_PROVISIONING).first()
    if unfinished is not None:
        raise ProvisioningUnderWay(details={"provisioning": str(unfinished.pk)})
    Server.transition(server.pk, to=ServerStatus.DECOMMISSIONED, health=ServerHealth.UNKNOWN)
    for release in ServiceDeployment.objects.filter(server=server, removed_at=None):
        _settle(release, server)
    PortAllocation.objects.filter(server=server).delete()
    for incident in Incident.objects.filter(server=server, status=IncidentStatus.OPEN):
        incidents.resolve(kind=incident.kind, subject=incident.key.partition(":")[2])


def _settle(release: ServiceDeployment, server: Server) -> None:
    if release.status in _COMING:
        text = f"The server {server.name} was given up."
        settling.record_failure(release, "server_decommissioned", text, FailureKind.PLATFORM)
    elif release.status == DeploymentStatus.CANCELING:
        ServiceDeployment.transition(release.pk, to=DeploymentStatus.CANCELED, finished_at=timezone.now())
    reinstall_traces.end(release.reload(), timezone.now())

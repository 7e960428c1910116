"""Whether a project of our own git host runs on this machine or on a server over SSH."""

from uuid import UUID

from django.conf import settings

from apps.infra import metrics, readiness
from apps.infra.fitting import Need, refusal
from apps.infra.models import (
    DeploymentTarget,
    Server,
    ServerKind,
    ServerStatus,
    ServiceDeployment,
)


def is_for_server(*, project_id: UUID) -> bool:
    """Tell whether a project is deployed to a server.

    It stays where it was live, since its data are there. A new one goes to a
    server that was measured lately and has Docker and room; where this machine
    runs no projects, to servers in any case.
    """
    has_local = settings.INFRA_LOCAL_TARGET and Server.objects.filter(kind=ServerKind.LOCAL).exists()
    ours = ServiceDeployment.objects.filter(
        project_id=project_id, target__in=[DeploymentTarget.PROCESS, DeploymentTarget.SERVER]
    )
    ours = ours.exclude(server__status=ServerStatus.DECOMMISSIONED)
    last = ours.exclude(live_at=None).order_by("-live_at").values_list("target", flat=True).first()
    if last == DeploymentTarget.SERVER or (last is not None and has_local):
        return last == DeploymentTarget.SERVER
    if not has_local:
        return Server.objects.filter(kind=ServerKind.SSH).exists()
    return _has_measured_room()


def _has_measured_room() -> bool:
    ready = Server.objects.filter(kind=ServerKind.SSH, status=ServerStatus.ACTIVE)
    need = Need(ports=1, memory_mb=settings.SERVERS_SERVICE_MEMORY_MB, disk_mb=settings.SERVERS_FREE_DISK_MB)
    fresh = settings.SERVERS_METRICS_FRESH_SECONDS
    rooms = metrics.rooms_of(readiness.with_docker(readiness.complete(list(ready))))
    return any(refusal(room, need, fresh_seconds=fresh) is None for room in rooms)

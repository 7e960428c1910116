"""The ports that projects keep: where people reach a web service, whatever release of it runs.

A row without a deployment; it is the project's until the project is archived and nothing of it runs.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from django.db import transaction

from apps.infra import allocation, releases, selectors
from apps.infra.models import PortAllocation, Server, ServerKind, ServiceDeployment, ServiceKind

_ROLE_CHARACTERS: Final = 40


def address_of(row: ServiceDeployment) -> str:
    """Return the address at which users reach a release's service; empty if it has none.

    Where there is an entrance it is the same from release to release.
    """
    return releases.base_url(row, port=selectors.port_of(row))


@transaction.atomic
def open_for(row: ServiceDeployment) -> int | None:
    """Return the port that the project keeps for a release's service, given to it now if it has none.

    Returns:
        None: the release has no port, or is on a server without an entrance.

    Raises:
        NoCapacity: no port is left.
    """
    server = Server.objects.select_for_update().get(pk=row.server_id)
    if row.kind != ServiceKind.WEB or server.kind != ServerKind.LOCAL:
        return None
    return selectors.kept_port_of(row) or _take(row, server, after=None)


@transaction.atomic
def move(row: ServiceDeployment) -> bool:
    """Give the project another port, since a stranger holds the one it has; not once people were told it.

    Raises:
        NoCapacity: no port is left.
    """
    server = Server.objects.select_for_update().get(pk=row.server_id)
    released = ServiceDeployment.objects.filter(project_id=row.project_id, service_name=row.service_name)
    if released.exclude(live_at=None).exists():
        return False
    taken = selectors.kept_port_of(row)
    selectors.kept_ports(row).delete()
    _take(row, server, after=taken)
    return True


def list_projects() -> Iterable[UUID]:
    """Return the projects that keep ports although nothing of them runs or may still run."""
    running = ServiceDeployment.objects.filter(removed_at=None)
    kept = PortAllocation.objects.filter(deployment=None).exclude(project_id__in=running.values("project_id"))
    return kept.order_by().values_list("project_id", flat=True).distinct()


@transaction.atomic
def close(*, project_id: UUID) -> int:
    """Give the ports of a project back that will have no release any more; how many that were.

    A project of which something runs keeps them: another one would be met where people expect the first.
    """
    kept = PortAllocation.objects.filter(project_id=project_id, deployment=None)
    list(Server.objects.select_for_update().filter(pk__in=kept.values("server_id")).order_by("pk"))
    if ServiceDeployment.objects.filter(project_id=project_id, removed_at=None).exists():
        return 0
    count, _ = kept.delete()
    return count


def _take(row: ServiceDeployment, server: Server, *, after: int | None) -> int:
    port = allocation.find_free(server, after=after)
    PortAllocation.objects.create(
        server=server,
        port=port,
        project_id=row.project_id,
        owner_id=row.owner_id,
        service_name=row.service_name,
        role=row.service_name[:_ROLE_CHARACTERS],
    )
    return port

"""Ports: given out under a row lock, freed only when the release's processes are proven gone."""

from apps.errors import Unavailable
from apps.infra.models import PortAllocation, Server, ServerStatus, ServiceDeployment


class NoCapacity(Unavailable):
    """No active server has a free port; stop a deployment or widen INFRA_PORT_RANGE_START..END."""

    code = "no_capacity"


def choose_server() -> Server:
    """Return the active server with the fewest allocations, locked until the transaction ends.

    Raises:
        NoCapacity: every active server is full, or there is none.
    """
    for server in Server.objects.select_for_update().filter(status=ServerStatus.ACTIVE).order_by("pk"):
        size = server.port_range_end - server.port_range_start + 1
        if server.allocations.count() < size:
            return server
    raise NoCapacity()


def allocate(deployment: ServiceDeployment, *, server: Server, unusable: frozenset[int] = frozenset()) -> int:
    """Give a deployment the lowest free port of a server whose row the caller has locked.

    Args:
        deployment: the row that will own the port; an earlier allocation of it is replaced.
        server: locked by the current transaction.
        unusable: ports that were found to be taken by strangers.

    Raises:
        NoCapacity: no port is left.
    """
    PortAllocation.objects.filter(deployment=deployment).delete()
    taken = set(server.allocations.values_list("port", flat=True)) | unusable
    for port in range(server.port_range_start, server.port_range_end + 1):
        if port not in taken:
            PortAllocation.objects.create(
                server=server,
                port=port,
                project_id=deployment.project_id,
                service_name=deployment.service_name,
                deployment=deployment,
            )
            return port
    raise NoCapacity()

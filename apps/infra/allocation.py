"""Ports: given out under a row lock, freed only when the release's processes are proven gone."""

from collections.abc import Iterable

from apps.errors import Unavailable
from apps.infra.models import PortAllocation, Server, ServerStatus, ServiceDeployment


class NoCapacity(Unavailable):
    """No active server has a free port; stop a deployment or widen INFRA_PORT_RANGE_START..END."""

    code = "no_capacity"


def choose_server() -> Server:
    """Return the first active server with room; the active ones are locked until the transaction ends.

    Raises:
        NoCapacity: every active server is full, or there is none.
    """
    for server in Server.objects.select_for_update().filter(status=ServerStatus.ACTIVE).order_by("pk"):
        size = server.port_range_end - server.port_range_start + 1
        if server.allocations.count() < size:
            return server
    raise NoCapacity()


def allocate(deployment: ServiceDeployment, *, server: Server, after: int | None = None) -> int:
    """Give a deployment a free port of a server whose row the caller has locked.

    Args:
        deployment: the row that will own the port; an earlier allocation of it is replaced.
        server: locked by the current transaction.
        after: a port that a stranger holds: the search goes on above it and comes
            back from below, so that several strangers cannot send us to and fro.

    Raises:
        NoCapacity: no port is left; the earlier allocation stays if the caller's transaction does.
    """
    PortAllocation.objects.filter(deployment=deployment).delete()
    taken = set(server.allocations.values_list("port", flat=True)) | {after}
    first, end = server.port_range_start, server.port_range_end + 1
    turn = first if after is None else min(max(after + 1, first), end)
    ports: Iterable[int] = (*range(turn, end), *range(first, turn))
    for port in ports:
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

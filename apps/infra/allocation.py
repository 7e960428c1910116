"""Ports: given out under a row lock, freed only when the release's processes are proven gone."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.errors import Invalid, OrchestratorError, Unavailable
from apps.infra import identities, metrics, readiness, selectors
from apps.infra.fitting import Need, Reason, decide
from apps.infra.models import (
    IdentityPurpose,
    PortAllocation,
    Server,
    ServerKind,
    ServerStatus,
    ServiceDeployment,
)

logger = logging.getLogger(__name__)

#: The service name of a release that is a whole project.
PROJECT: Final = "project"


class NoCapacity(Unavailable):
    """No active server has a free port; stop a deployment or widen INFRA_PORT_RANGE_START..END."""

    code = "no_capacity"


class ServerAway(Unavailable):
    """The project's server does not answer or is being maintained."""

    code = "server_away"


class NoServer(OrchestratorError):
    """There is no server to deploy to; add one of kind SSH on the page of servers."""

    code = "no_server"


class ServerIncomplete(OrchestratorError):
    """The server lacks its user, its host key or its private key; complete it on its page."""

    code = "server_incomplete"


class NeverFits(Invalid):
    """The project needs more ports or memory than any server has."""

    code = "never_fits"


class NoFreshMetrics(Unavailable):
    """Nobody has measured the servers lately, so nobody knows whether there is room; health_check does it."""

    code = "no_fresh_metrics"


class LowMemory(Unavailable):
    """No active server has enough free memory for another service; stop one or add a server."""

    code = "low_memory"


class LowDisk(Unavailable):
    """No active server has enough free disk for another service; make room or add a server."""

    code = "low_disk"


#: What each reason of the decision is told as; every one of them has its move in the graph's table.
REFUSALS: Final[Mapping[Reason, type[OrchestratorError]]] = {
    Reason.NO_PORTS: NoCapacity,
    Reason.LOW_MEMORY: LowMemory,
    Reason.LOW_DISK: LowDisk,
    Reason.NO_FRESH_METRICS: NoFreshMetrics,
    Reason.TOO_LARGE: NeverFits,
}


def choose_server() -> Server:
    """Return this machine while it has room; it is locked until the transaction ends.

    Raises:
        NoCapacity: it is full, or not active.
        NoServer: it runs no projects, and none will by waiting.
    """
    # A row may be left of the time when it did.
    if not (settings.INFRA_LOCAL_TARGET and Server.objects.filter(kind=ServerKind.LOCAL).exists()):
        raise NoServer()
    return _first_with_room(ServerKind.LOCAL, ports=1)


def choose_for_project(*, project_id: UUID, roles: Sequence[str]) -> Server:
    """Return the server that a project is deployed to: the one it is on, or the first with room.

    The active servers are locked until the transaction ends.

    Raises:
        NeverFits: no server has as many ports, or as much memory, as the project needs.
        NoCapacity, LowMemory, LowDisk, NoFreshMetrics: there will be room, or it will be known.
        NoServer: there is none of kind ssh, or the project's own is gone.
        ServerAway: the project's own server is not active at the moment.
        ServerIncomplete: it cannot be logged in to.
    """
    server = _server_of(project_id, roles) or _first_ssh(len(roles))
    key = identities.find_installed(server_id=server.pk, purpose=IdentityPurpose.DEPLOY)
    if not (server.ssh_user and server.host_key and key):
        raise ServerIncomplete(details={"server": server.name})
    return server


def standing_ports(
    *, server: Server, project_id: UUID, owner_id: int, roles: Sequence[str]
) -> dict[str, int]:
    """Return a project's own ports on a server by role; those that it lacks are given to it.

    Args:
        server: locked by the current transaction.
        project_id: whose ports.
        owner_id: the person whose project it is.
        roles: what it needs ports for.

    Raises:
        NoCapacity: no port is left.
    """
    mine = server.allocations.filter(project_id=project_id, deployment=None)
    known = dict(mine.values_list("role", "port"))
    for role in roles:
        if role in known:
            continue
        port = find_free(server)
        PortAllocation.objects.create(
            server=server,
            port=port,
            project_id=project_id,
            owner_id=owner_id,
            service_name=PROJECT,
            role=role,
        )
        known[role] = port
    return {role: known[role] for role in roles}


def _server_of(project_id: UUID, roles: Sequence[str]) -> Server | None:
    """Return the server that a project has ports on or was deployed to before, locked, if it has room."""
    # What this machine runs is not there; data of the others are, unless an operator has given them up.
    kept = Server.objects.filter(kind=ServerKind.SSH).exclude(status=ServerStatus.DECOMMISSIONED)
    ports = PortAllocation.objects.filter(project_id=project_id, deployment=None, server__in=kept)
    releases = ServiceDeployment.objects.filter(project_id=project_id, server__in=kept)
    known = (
        ports.values_list("server_id", flat=True).first()
        or releases.exclude(live_at=None).order_by("-live_at").values_list("server_id", flat=True).first()
    )
    if known is None:
        return None
    server = Server.objects.select_for_update().get(pk=known)
    if server.status in (ServerStatus.DECOMMISSIONED, ServerStatus.MISSING):
        raise NoServer(
            f"The project's server {server.name} is gone; bring it back or decommission it.",
            details={"server": server.name},
        )
    if server.status != ServerStatus.ACTIVE:
        raise ServerAway(details={"server": server.name})
    mine = server.allocations.filter(project_id=project_id, deployment=None).values_list("role", flat=True)
    missing = len(set(roles) - set(mine))
    # What runs already has its memory; what is built anew needs disk all the same.
    return _first_that_fits([server], ports=missing, services=missing)


def _first_ssh(ports: int) -> Server:
    active = Server.objects.select_for_update().filter(status=ServerStatus.ACTIVE, kind=ServerKind.SSH)
    servers = list(active.order_by("pk"))
    if not servers:
        raise NoServer()
    # Where all are incomplete, the first of them tells what is missing.
    servers = readiness.by_preference(servers) or servers
    return _first_that_fits(servers, ports=ports, services=max(ports, 1))


def _first_that_fits(servers: Sequence[Server], *, ports: int, services: int) -> Server:
    need = Need(
        ports=ports,
        memory_mb=services * settings.SERVERS_SERVICE_MEMORY_MB,
        disk_mb=settings.SERVERS_FREE_DISK_MB,
    )
    rooms = metrics.rooms_of(servers)
    decision = decide(rooms, need, fresh_seconds=settings.SERVERS_METRICS_FRESH_SECONDS)
    if decision.reason is not None:
        raise REFUSALS[decision.reason](details={"ports": ports, "largest": max(r.ports for r in rooms)})
    return next(server for server in servers if server.pk == decision.server_id)


def _first_with_room(kind: str, *, ports: int) -> Server:
    active = Server.objects.select_for_update().filter(status=ServerStatus.ACTIVE, kind=kind)
    for server in active.order_by("pk"):
        size = server.port_range_end - server.port_range_start + 1
        if server.allocations.count() + ports <= size:
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
    port = find_free(server, after=after)
    PortAllocation.objects.create(
        server=server,
        port=port,
        project_id=deployment.project_id,
        owner_id=deployment.owner_id,
        service_name=deployment.service_name,
        deployment=deployment,
    )
    return port


@transaction.atomic
def move(deployment: ServiceDeployment) -> None:
    """Give a release another port, since a stranger holds the one it has.

    Raises:
        NoCapacity: no port is left; it keeps the one it has.
    """
    server = Server.objects.select_for_update().get(pk=deployment.server_id)
    taken = selectors.own_port_of(deployment)
    port = allocate(deployment, server=server, after=taken)
    logger.warning("Port %s is taken by a stranger; deployment %s moves to %s", taken, deployment.pk, port)


def find_free(server: Server, *, after: int | None = None) -> int:
    """Return a port of a server that nobody was given; the caller has locked its row.

    Raises:
        NoCapacity: none is left.
    """
    taken = set(server.allocations.values_list("port", flat=True)) | {after}
    first, end = server.port_range_start, server.port_range_end + 1
    turn = first if after is None else min(max(after + 1, first), end)
    ports: Iterable[int] = (*range(turn, end), *range(first, turn))
    for port in ports:
        if port not in taken:
            return port
    raise NoCapacity()

"""Whether a server may be erased: asked when somebody confirms it, and again right before it is begun.

Whatever is not known counts as a no.
"""

import ipaddress
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from apps.errors import Conflict
from apps.infra.models import (
    MAY_BE_REINSTALLED,
    DeploymentStatus,
    PortAllocation,
    Provisioning,
    Server,
    ServerProvider,
    ServiceDeployment,
)
from apps.infra.permission import refuse_unless_managed
from apps.infra.providers.base import ListedServer, ServerDetails
from apps.infra.selectors import COMING

#: A release in one of these is on its server, or may be.
_PRESENT: Final = (*COMING, DeploymentStatus.LIVE, DeploymentStatus.STOPPING)
#: So far apart the clocks of two of our machines may be.
_SKEW: Final = timedelta(seconds=30)


class NotErasable(Conflict):
    """Only a provider's servers that its listing shows right now can be installed anew."""

    code = "not_erasable"


class NotAuthorized(Conflict):
    """Nobody who may say so says today that this server may be erased."""

    code = "reinstall_not_authorized"


class AuthorizationExpired(Conflict):
    """The word that the server may be erased was not given lately; give it again."""

    code = "authorization_expired"


class AnotherMachine(Conflict):
    """The provider shows another machine than the one that was confirmed."""

    code = "another_machine"


class ProviderBusy(Conflict):
    """The provider is at work on the server, or has suspended it."""

    code = "provider_busy"


class ProjectsNotNamed(Conflict):
    """Other projects are on the server than those that were confirmed to be lost."""

    code = "projects_not_named"


class ReleaseUnderWay(Conflict):
    """A release is on its way to the server; wait for it or cancel it."""

    code = "deployment_under_way"


class SystemNotOffered(Conflict):
    """The provider does not offer that system for the server, or nobody knows which one it has."""

    code = "system_not_offered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a person was shown, and what must still be so."""

    provider: str
    provider_id: str
    provider_name: str
    host: str
    projects: Sequence[str] = ()
    system: str = ""  # by the provider's name; empty: the one that it has
    names: Mapping[str, str] = field(default_factory=dict)  # of the projects, for whoever reads the row

    def as_json(self) -> dict[str, Any]:
        """Return the form that a row keeps."""
        return {**asdict(self), "projects": list(self.projects), "names": dict(self.names)}


def machine_of(confirmed: Mapping[str, Any]) -> Machine:
    """Return what a row keeps; a row that keeps nothing confirms nothing."""
    return Machine(
        provider=str(confirmed.get("provider", "")),
        provider_id=str(confirmed.get("provider_id", "")),
        provider_name=str(confirmed.get("provider_name", "")),
        host=str(confirmed.get("host", "")),
        projects=[str(one) for one in confirmed.get("projects", ())],
        system=str(confirmed.get("system", "")),
    )


def projects_on(server: Server) -> dict[str, str]:
    """Return the projects that have something on a server: id → slug."""
    releases = ServiceDeployment.objects.filter(server=server)
    present = releases.filter(status__in=_PRESENT) | releases.exclude(live_at=None).filter(removed_at=None)
    found = {str(pk): slug for pk, slug in present.values_list("project_id", "project_slug")}
    held = set(PortAllocation.objects.filter(server=server).values_list("project_id", flat=True))
    # Of a project that only holds ports, the newest release anywhere knows the name.
    named = ServiceDeployment.objects.filter(project_id__in=held).order_by("created_at")
    slugs = {str(pk): slug for pk, slug in named.values_list("project_id", "project_slug")}
    return {**{str(pk): slugs.get(str(pk), str(pk)) for pk in held}, **found}


def refuse_unless_erasable(server: Server, *, managed_ids: Collection[str]) -> None:
    """Refuse to erase what is not in our hands, or what nobody can be asked about.

    Raises:
        DuplicateAddress, NotManaged, NotProvisionable: see ``permission``.
        NotErasable: an operator added it, or its provider did not list it the last time.
        ReleaseUnderWay: somebody is deploying to it.
    """
    refuse_unless_managed(server, managed_ids=managed_ids, among=MAY_BE_REINSTALLED)
    is_seen = server.last_seen_at is not None and server.missed_listings == 0
    if server.provider in (ServerProvider.MANUAL, ServerProvider.LOCAL) or not is_seen:
        raise NotErasable(details={"provider": server.provider})
    if ServiceDeployment.objects.filter(server=server, status__in=COMING).exists():
        raise ReleaseUnderWay()


def refuse_unless_named(server: Server, named: Iterable[str]) -> None:
    """Refuse if other projects are on a server than somebody has named.

    Raises:
        ProjectsNotNamed: naming them all.
    """
    present = projects_on(server)
    if set(present) != set(map(str, named)):
        raise ProjectsNotNamed(details={"projects": present})


def refuse_unless_authorized(
    row: Provisioning,
    server: Server,
    *,
    managed_ids: Collection[str],
    may_authorize: Callable[[int], bool],
    now: datetime,
) -> None:
    """Refuse what was not authorised for this very server as it is now; both rows are locked by the caller.

    Raises:
        AnotherMachine: its address, or what its provider calls it, is another one by now.
        AuthorizationExpired: it was authorised too long ago.
        NotAuthorized: nobody has, or who has may not any more.
        ProjectsNotNamed, and whatever ``refuse_unless_erasable`` raises.
    """
    if not (row.force_reinstall and row.authorized_by_id and row.authorized_at):
        raise NotAuthorized()
    expires_at = row.authorization_expires_at
    if expires_at is None or not row.authorized_at - _SKEW <= now < expires_at:
        raise AuthorizationExpired(details={"authorized_at": row.authorized_at.isoformat()})
    if not may_authorize(row.authorized_by_id):
        raise NotAuthorized(details={"by": row.authorized_by_id})
    refuse_unless_erasable(server, managed_ids=managed_ids)
    confirmed = machine_of(row.confirmed)
    present = (server.provider, server.provider_id, server.provider_name, server.host)
    if present != (confirmed.provider, confirmed.provider_id, confirmed.provider_name, confirmed.host):
        raise AnotherMachine(details={"confirmed": confirmed.host, "present": server.host})
    # Of one episode none was begun before: what became of an earlier one is a person's business.
    if Provisioning.objects.filter(episode=row.episode).exclude(reinstall_begun_at=None).exists():
        raise NotAuthorized("This authorisation was used before.")
    refuse_unless_named(server, confirmed.projects)


def refuse_unless_same(
    confirmed: Machine, listed: Sequence[ListedServer], details: ServerDetails | None
) -> None:
    """Refuse unless the provider shows exactly the machine that was confirmed. Pure.

    Args:
        confirmed: what a person was shown.
        listed: the provider's listing of this moment.
        details: what it tells of the server; None: not asked yet.

    Raises:
        AnotherMachine: it is not listed, not alone, called otherwise, or has another address.
        ProviderBusy: something is being done to it.
    """
    found = [one for one in listed if one.provider_id == confirmed.provider_id]
    twins = [one for one in listed if _address(one.address) == confirmed.host]
    shown = [(one.name[:100], _address(one.address)) for one in found]
    if shown != [(confirmed.provider_name, confirmed.host)] or twins != found or not confirmed.provider_id:
        raise AnotherMachine(details={"confirmed": confirmed.host, "listed": [one for _, one in shown]})
    if details is None:
        return
    if _address(details.address) != confirmed.host:
        raise AnotherMachine(details={"confirmed": confirmed.host, "details": details.address})
    if details.is_busy or not details.is_active:
        raise ProviderBusy(details={"is_active": details.is_active})


def system_to_install(confirmed: Machine, details: ServerDetails, offered: Sequence[str]) -> str:
    """Return the system that is installed: the one that was asked for, else the one that it has. Pure.

    Raises:
        SystemNotOffered: the provider does not list it.
    """
    wanted = confirmed.system or details.system
    if not wanted or wanted not in offered:
        raise SystemNotOffered(details={"wanted": wanted, "offered": list(offered)[:50]})
    return wanted


def _address(said: str) -> str:
    """Return an address as our rows have it."""
    try:
        return str(ipaddress.ip_address(said))
    except ValueError:
        return said

"""Whether a server may be touched at all: asked when work is requested, and again when it is done.

Being in a provider's account is no permission: only ids that the installation names are managed.
"""

from collections.abc import Collection

from apps.errors import Conflict
from apps.infra.models import MAY_BE_SET_UP, Server, ServerKind, ServerProvider, ServerStatus

#: Whoever is in these counts no more.
_GONE = (ServerStatus.DECOMMISSIONED, ServerStatus.MISSING)


class NotProvisionable(Conflict):
    """Only servers reached by SSH are set up, and only those that are neither missing nor given up."""

    code = "not_provisionable"


class NotManaged(Conflict):
    """The provider's server is not among INFRA_MANAGED_SERVER_IDS, so nothing is done to it."""

    code = "not_managed"


class DuplicateAddress(Conflict):
    """Another server has the same address and port; one of the two is wrong."""

    code = "duplicate_address"


def refuse_unless_managed(
    server: Server, *, managed_ids: Collection[str], among: Collection[str] = MAY_BE_SET_UP
) -> None:
    """Refuse to touch a server that nobody put into our hands.

    Args:
        server: as it is in the database now.
        managed_ids: what the installation names, each ``provider:id``; empty means none.
        among: the statuses in which it may be touched.

    Raises:
        DuplicateAddress: two rows are one machine, or claim to be.
        NotManaged: it is a provider's, and not named.
        NotProvisionable: it is this machine, or in another status.
    """
    if server.kind != ServerKind.SSH or server.status not in among:
        raise NotProvisionable(details={"status": server.status})
    if server.provider != ServerProvider.MANUAL and not is_named(server, managed_ids):
        raise NotManaged(details={"provider": server.provider, "id": server.provider_id})
    others = Server.objects.filter(host=server.host, ssh_port=server.ssh_port, kind=ServerKind.SSH)
    other = others.exclude(pk=server.pk).exclude(status__in=_GONE).first()
    if other is not None:
        raise DuplicateAddress(details={"other": other.name})


def is_named(server: Server, managed_ids: Collection[str]) -> bool:
    """Tell whether the installation names a provider's server; one without an id never is."""
    return bool(server.provider_id) and f"{server.provider}:{server.provider_id}" in managed_ids

"""Servers that a provider lists become rows, and rows that it no longer lists become missing.

A listing that failed tells nothing: nobody is missed because of it. To a found server nothing is done.
"""

import ipaddress
from collections.abc import Collection, Sequence
from typing import Any, Final

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from apps.errors import Conflict, Invalid, OrchestratorError
from apps.infra import incidents
from apps.infra.models import IncidentSeverity, Server, ServerKind, ServerStatus
from apps.infra.permission import is_named
from apps.infra.providers.base import ListedServer, Provider
from apps.periodic.recording import Run

_S = ServerStatus
#: A set-up that is under way may take a server off its provider's list for a while.
_MAY_BE_MISSED: Final = (_S.DISCOVERED, _S.PENDING_SETUP, _S.ACTIVE, _S.UNREACHABLE, _S.MAINTENANCE)
_GONE: Final = (_S.MISSING, _S.DECOMMISSIONED)
#: Each is one more request to a provider that does not like many.
_DETAILS_PER_RUN: Final = 5


class DuplicateAddress(Conflict):
    """Two servers have the same address; one of the two is wrong."""

    code = "duplicate_address"


class UnusableAddress(Invalid):
    """The provider names no address that a server can be reached at."""

    code = "unusable_address"


def sync_provider(provider: Provider, *, managed_ids: Collection[str], run: Run) -> None:
    """Bring the rows of one provider's servers in line with its listing.

    Args:
        provider: who is asked; it shows managed servers only.
        managed_ids: what the installation names, each ``provider:id``; other rows are left alone.
        run: what is recorded of this.

    """
    for figure in ("listed", "added", "returned", "missed"):
        run.count(figure, 0)
    try:
        listed = provider.list_servers()
    except OrchestratorError as error:
        run.fail(provider.name, error)
        incidents.report(
            kind="provider_away",
            subject=provider.name,
            message=f"{provider.name} could not be asked for its servers: {error.message}",
            details={"code": error.error_code},
        )
        return
    incidents.resolve(kind="provider_away", subject=provider.name)
    run.count("listed", len(listed))
    for one in listed:
        with run.item(f"{provider.name}:{one.provider_id}"):
            _take(provider.name, one, listed, run)
    with run.item("missing"):
        _miss(provider.name, {one.provider_id for one in listed}, managed_ids, run)
    _complete(provider, managed_ids, run)


def _take(provider: str, listed: ListedServer, among: Sequence[ListedServer], run: Run) -> None:
    row = Server.objects.filter(provider=provider, provider_id=listed.provider_id).first()
    if row is not None and row.status == ServerStatus.DECOMMISSIONED:
        return
    subject = f"{provider}:{listed.provider_id}"
    seen: dict[str, Any] = {
        "missed_listings": 0,
        "last_seen_at": timezone.now(),
        "provider_name": listed.name[:100],
    }
    if row is not None:
        Server.objects.filter(pk=row.pk).update(**seen)
        _come_back(row, run)
    try:
        address = _usable_address(listed, among, row)
    except (DuplicateAddress, UnusableAddress) as error:
        server_id = row.pk if row else None
        incidents.report(
            kind=error.error_code, subject=subject, message=f"{subject}: {error.message}", server_id=server_id
        )
        raise
    for kind in (DuplicateAddress.code, UnusableAddress.code):
        incidents.resolve(kind=kind, subject=subject)
    if row is None:
        _add(provider, listed, address, seen)
        run.count("added")
    elif row.host != address:
        # Who answers there must still show the host key that is pinned.
        Server.objects.filter(pk=row.pk, host=row.host).update(host=address)
        run.count("moved")


def _add(provider: str, listed: ListedServer, address: str, seen: dict[str, Any]) -> None:
    Server.objects.create(
        name=f"{provider}-{listed.provider_id}",
        kind=ServerKind.SSH,
        host=address,
        status=ServerStatus.DISCOVERED,
        provider=provider,
        provider_id=listed.provider_id,
        port_range_start=settings.SERVERS_PORT_RANGE_START,
        port_range_end=settings.SERVERS_PORT_RANGE_END,
        **seen,
    )


def _come_back(row: Server, run: Run) -> None:
    if Server.try_transition(row.pk, to=ServerStatus.DISCOVERED, expect=ServerStatus.MISSING):
        run.count("returned")
    incidents.resolve(kind="server_missing", subject=f"server:{row.pk}")


def _usable_address(listed: ListedServer, among: Sequence[ListedServer], row: Server | None) -> str:
    try:
        address = str(ipaddress.ip_address(listed.address))
    except ValueError:
        raise UnusableAddress(details={"address": listed.address[:100]}) from None
    twins = [other.provider_id for other in among if other.address == listed.address]
    rows = Server.objects.filter(kind=ServerKind.SSH, host=address).exclude(status__in=_GONE)
    if row is not None:
        rows = rows.exclude(pk=row.pk)
    if len(twins) > 1 or rows.exists():
        raise DuplicateAddress(f"Another server has the address {address}, too; one of the two is wrong.")
    return address


def _miss(provider: str, present: Collection[str], managed_ids: Collection[str], run: Run) -> None:
    rows = Server.objects.filter(provider=provider, status__in=_MAY_BE_MISSED)
    for row in rows.exclude(provider_id="").exclude(provider_id__in=present):
        if not is_named(row, managed_ids):
            continue
        Server.objects.filter(pk=row.pk).update(missed_listings=F("missed_listings") + 1)
        run.count("missed")
        if row.missed_listings + 1 >= settings.SERVERS_MISSES and Server.try_transition(
            row.pk, to=ServerStatus.MISSING, expect=_MAY_BE_MISSED
        ):
            incidents.report(
                kind="server_missing",
                subject=f"server:{row.pk}",
                message=f"{provider} no longer lists the server {row.name}.",
                severity=IncidentSeverity.CRITICAL,
                server_id=row.pk,
            )


def _complete(provider: Provider, managed_ids: Collection[str], run: Run) -> None:
    """Ask for the size of a few servers that it is not known of: those that were asked about longest ago."""
    rows = Server.objects.filter(provider=provider.name, memory_mb=None, missed_listings=0)
    rows = rows.exclude(status__in=_GONE).order_by(F("details_tried_at").asc(nulls_first=True), "pk")
    named = [row for row in rows.defer("admin_password") if is_named(row, managed_ids)]
    for row in named[:_DETAILS_PER_RUN]:
        Server.objects.filter(pk=row.pk).update(details_tried_at=timezone.now())
        with run.item(f"details of {provider.name}:{row.provider_id}"):
            found = provider.get_details(row.provider_id)
            Server.objects.filter(pk=row.pk).update(
                cpus=found.cpus, memory_mb=found.memory_mb, disk_mb=found.disk_mb
            )
            run.count("measured")

"""Requests to erase a server and set it up anew: only by a person who has seen and said what is lost."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.enqueue import enqueue
from apps.errors import Conflict, Invalid, NotFound
from apps.infra import provisioning_tasks, reinstall_permission
from apps.infra.models import UNFINISHED_PROVISIONING, Provisioning, Server
from apps.infra.provisioning import ProvisioningUnderWay
from apps.infra.reinstall_permission import Machine

_SYSTEM_CHARACTERS: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """What is shown to whoever is to say that a server may be erased."""

    server: Server
    projects: Mapping[str, str]  # id → slug
    refusal: str  # why it may not be erased at present; empty: it may

    def as_json(self) -> dict[str, Any]:
        """Return the form that the API answers with."""
        return {
            "server_id": self.server.pk,
            "name": self.server.name,
            "host": self.server.host,
            "provider": self.server.provider,
            "provider_id": self.server.provider_id,
            "provider_name": self.server.provider_name,
            "projects": [{"id": pk, "slug": slug} for pk, slug in self.projects.items()],
            "lost": ["projects", "data", "backups"],
            "refusal": self.refusal,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What a person says about what is lost."""

    name: str  # of the server, typed
    projects: Collection[str]  # the ids of all that is on it
    system: str = ""  # by the provider's name; empty: the one that it has


def describe(server_id: int) -> Losses:
    """Tell what would be lost with a server, and whether anything forbids it at present.

    Raises:
        NotFound: there is no such server.
    """
    server = Server.objects.defer("admin_password").filter(pk=server_id).first()
    if server is None:
        raise NotFound(f"There is no server {server_id}.")
    refusal = ""
    try:
        reinstall_permission.refuse_unless_erasable(server, managed_ids=settings.INFRA_MANAGED_SERVER_IDS)
        _refuse_if_under_way(server)
    except Conflict as error:
        refusal = f"{error.message} ({error.error_code})"
    return Losses(server=server, projects=reinstall_permission.projects_on(server), refusal=refusal)


@transaction.atomic
def request_reinstall(
    *, idempotency_key: str, server_id: int, person_id: int, confirmation: Confirmation
) -> UUID:
    """Ask for a server to be erased and set up anew; nothing happens to it in here.

    Args:
        idempotency_key: of the request; asking twice with one key is asking once.
        server_id: which server.
        person_id: who says that it may be erased; asked about again before it is.
        confirmation: what they say is lost.

    Raises:
        Invalid: the typed name is another one, or the system cannot be a name.
        NotFound: there is no such server.
        ProjectsNotNamed: there are others on it than those named.
        ProvisioningUnderWay: something is being done to it.
        DuplicateAddress, NotErasable, NotManaged, NotProvisionable, ReleaseUnderWay: it may not be erased.
    """
    known = Provisioning.objects.filter(idempotency_key=idempotency_key).values_list("pk", flat=True).first()
    if known is not None:
        return known
    server = Server.objects.select_for_update().filter(pk=server_id).first()
    if server is None:
        raise NotFound(f"There is no server {server_id}.")
    reinstall_permission.refuse_unless_erasable(server, managed_ids=settings.INFRA_MANAGED_SERVER_IDS)
    _refuse_if_under_way(server)
    if confirmation.name.strip() != server.name:
        raise Invalid("The name that was typed is not the server's.", details={"name": "is not the server's"})
    if len(confirmation.system) > _SYSTEM_CHARACTERS or not confirmation.system.isprintable():
        raise Invalid("That is no name of a system.", details={"system": "is no name"})
    reinstall_permission.refuse_unless_named(server, confirmation.projects)
    row = _create(idempotency_key, server, person_id, confirmation)
    enqueue(provisioning_tasks.reconcile_provisioning, provisioning_id=str(row.pk))
    return row.pk


def _create(idempotency_key: str, server: Server, person_id: int, confirmation: Confirmation) -> Provisioning:
    now, projects = timezone.now(), reinstall_permission.projects_on(server)
    machine = Machine(
        provider=server.provider,
        provider_id=server.provider_id,
        provider_name=server.provider_name,
        host=server.host,
        projects=sorted(projects),
        system=confirmation.system.strip(),
        names=projects,
    )
    try:
        with transaction.atomic():
            return Provisioning.objects.create(
                idempotency_key=idempotency_key,
                server=server,
                episode=uuid4(),
                requested_by_id=person_id,
                force_reinstall=True,
                authorized_by_id=person_id,
                authorized_at=now,
                authorization_expires_at=now
                + timedelta(seconds=settings.INFRA_REINSTALL_AUTHORIZATION_SECONDS),
                confirmed=machine.as_json(),
            )
    except IntegrityError as error:
        raise ProvisioningUnderWay() from error


def _refuse_if_under_way(server: Server) -> None:
    unfinished = server.provisionings.filter(status__in=UNFINISHED_PROVISIONING).first()
    if unfinished is not None:
        raise ProvisioningUnderWay(details={"provisioning": str(unfinished.pk)})

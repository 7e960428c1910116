"""Requests about set-ups: validate, write rows, enqueue. Nothing here speaks to a server."""

import logging
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.enqueue import enqueue
from apps.errors import Conflict, NotFound
from apps.infra import provisioning_sweep, provisioning_tasks
from apps.infra.models import (
    UNFINISHED_PROVISIONING,
    Provisioning,
    ProvisioningKind,
    ProvisioningStatus,
    Server,
    ServerStatus,
)
from apps.infra.permission import refuse_unless_managed

logger = logging.getLogger(__name__)


class ProvisioningUnderWay(Conflict):
    """The server is being set up; cancel that first, or ask to replace it."""

    code = "provisioning_under_way"


class ReinstallUnderWay(Conflict):
    """The provider is erasing the server; until it has ended, its new password would be lost."""

    code = "reinstall_under_way"


class NeverSetUp(Conflict):
    """Nothing can be restored on a server that was never set up; set it up."""

    code = "never_set_up"


class NothingUnderWay(Conflict):
    """The server is not being set up."""

    code = "nothing_under_way"


@transaction.atomic
def request_provisioning(
    *,
    idempotency_key: str,
    server_id: int,
    user_id: int | None,
    kind: ProvisioningKind = ProvisioningKind.SETUP,
    replace: bool = False,
) -> UUID:
    """Ask for a server to be set up, or restored; asking twice with one key is asking once.

    Args:
        idempotency_key: of the request.
        server_id: which server.
        user_id: who asks; None: the system.
        kind: which playbook.
        replace: let an unfinished set-up count no more and begin anew.

    Raises:
        NotFound: there is no such server.
        NeverSetUp: there is nothing to restore.
        NotProvisionable, NotManaged, DuplicateAddress: see ``permission``.
        ProvisioningUnderWay: one is not finished yet, and ``replace`` was not said.
        ReinstallUnderWay: its provider is at work.
    """
    known = Provisioning.objects.filter(idempotency_key=idempotency_key).values_list("pk", flat=True).first()
    if known is not None:
        return known
    server = _locked(server_id)
    refuse_unless_managed(server, managed_ids=settings.INFRA_MANAGED_SERVER_IDS)
    if kind == ProvisioningKind.RECOVERY and server.provisioned_at is None:
        raise NeverSetUp()
    unfinished, before = _unfinished(server), server.status
    if unfinished is not None:
        before = ServerStatus(unfinished.status_before or ServerStatus.PENDING_SETUP)
        if not replace:
            raise ProvisioningUnderWay(details={"provisioning": str(unfinished.pk)})
        _refuse_while_erasing(unfinished)
        Provisioning.transition(unfinished.pk, to=ProvisioningStatus.SUPERSEDED, finished_at=timezone.now())
    if server.status != ServerStatus.PENDING_SETUP:
        Server.transition(server.pk, to=ServerStatus.PENDING_SETUP)
    try:
        with transaction.atomic():
            row = Provisioning.objects.create(
                idempotency_key=idempotency_key,
                server=server,
                kind=kind,
                requested_by_id=user_id,
                episode=uuid4(),
                status_before=before if kind == ProvisioningKind.RECOVERY else "",
            )
    except IntegrityError as error:
        raise ProvisioningUnderWay() from error
    enqueue(provisioning_tasks.reconcile_provisioning, provisioning_id=str(row.pk))
    return row.pk


@transaction.atomic
def cancel_provisioning(*, server_id: int) -> UUID:
    """Ask that a server's set-up ends; what it has done so far stays done.

    Raises:
        NotFound: there is no such server.
        NothingUnderWay: it is not being set up.
        ReinstallUnderWay: its provider is at work.
    """
    row = _unfinished(_locked(server_id))
    if row is None:
        raise NothingUnderWay()
    _refuse_while_erasing(row)
    if not Provisioning.try_transition(
        row.pk,
        to=ProvisioningStatus.CANCELED,
        expect=ProvisioningStatus.PENDING,
        finished_at=timezone.now(),
    ):
        Provisioning.try_transition(
            row.pk, to=ProvisioningStatus.CANCELING, expect=ProvisioningStatus.RUNNING
        )
    return row.pk


@transaction.atomic
def begin_maintenance(*, server_id: int) -> None:
    """Take a server out: nothing is deployed to it, and nobody is told that it is ill.

    Raises:
        IllegalTransition: it is not in a status from which it can be taken out.
        NotFound: there is no such server.
        ProvisioningUnderWay: it is being set up.
    """
    server = _locked(server_id)
    if _unfinished(server) is not None:
        raise ProvisioningUnderWay()
    Server.transition(server.pk, to=ServerStatus.MAINTENANCE)


@transaction.atomic
def end_maintenance(*, server_id: int) -> None:
    """Bring a server back: active if it was set up before, else waiting for its set-up.

    Raises:
        IllegalTransition: it is not being maintained.
        NotFound: there is no such server.
    """
    server = _locked(server_id)
    # Who never had a set-up of ours was set up by its operator, if it has a way for deployments.
    is_ready = server.provisioned_at is not None or bool(server.ssh_user and server.host_key)
    status = ServerStatus.ACTIVE if is_ready else ServerStatus.PENDING_SETUP
    Server.transition(server.pk, to=status, expect=ServerStatus.MAINTENANCE)


def request_forgotten() -> list[int]:
    """Ask for the set-ups that servers wait for and nobody has asked for; returns the servers.

    A server that may not be touched any more keeps waiting.
    """
    asked = []
    for server_id, key in provisioning_sweep.list_forgotten():
        try:
            request_provisioning(idempotency_key=key, server_id=server_id, user_id=None)
        except Conflict as error:
            logger.info("Server %s keeps waiting for its set-up: %s", server_id, error)
        else:
            asked.append(server_id)
    return asked


def _unfinished(server: Server) -> Provisioning | None:
    return (
        server.provisionings.select_for_update(of=("self",))
        .filter(status__in=UNFINISHED_PROVISIONING)
        .first()
    )


def _refuse_while_erasing(row: Provisioning) -> None:
    if row.is_erasing:
        raise ReinstallUnderWay(details={"provisioning": str(row.pk)})


def _locked(server_id: int) -> Server:
    server = Server.objects.select_for_update().filter(pk=server_id).first()
    if server is None:
        raise NotFound(f"There is no server {server_id}.")
    return server

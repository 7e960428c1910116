"""One step of a reinstallation; whoever calls holds the server's lock. It is asked for once, and never again.

The row says that it has begun before the provider hears of it. Whoever finds such a row without the
provider's answer asks what the provider is doing; if that tells nothing, it stops and calls a person.
"""

import logging
from datetime import timedelta
from typing import Final

from django.db import transaction

from apps import audit
from apps.errors import OrchestratorError
from apps.infra import identities, provisioning_outcome, reinstall_permission, reinstall_traces
from apps.infra.models import (
    IdentityPurpose,
    Provisioning,
    ProvisioningStatus,
    Server,
    ServerStatus,
)
from apps.infra.providers.base import Malformed, NotAllowed, Provider, ProviderAway, Throttled
from apps.infra.provisioning_outcome import Verdict
from apps.infra.provisioning_settling import settle
from apps.infra.provisioning_tools import ProvisioningTools
from apps.infra.reinstall_permission import machine_of

logger = logging.getLogger(__name__)

#: Between two looks at the provider.
_LOOK_AGAIN: Final = timedelta(seconds=20)
#: A request that was on its way when we died is known to the provider by then.
_KNOWN_BY: Final = timedelta(seconds=180)
#: What has just been installed has to start.
_START: Final = timedelta(seconds=30)
_P = ProvisioningStatus


def step(row: Provisioning, tools: ProvisioningTools) -> None:
    """Bring a reinstallation that is not over as far as it goes without waiting."""
    if row.reinstall_begun_at is None:
        _begin(row, tools)
    elif row.reinstall_accepted_at is None:
        _find_out(row, tools)
    else:
        _look(row, tools)


def _begin(row: Provisioning, tools: ProvisioningTools) -> None:
    try:
        # Whoever may not any more does not even cause a question.
        _refuse_unless_authorized(row, row.server, tools)
        provider = tools.provider_of(row.server.provider)
        system = _refuse_unless_same(row, provider)
        public_key = _claim(row, tools)
    except (ProviderAway, Throttled, Malformed) as error:
        # Nothing is concluded from it; the authorisation, which expires, bounds the wait.
        _later(row, tools, error)
        return
    except OrchestratorError as error:
        _end(row, provisioning_outcome.refused(error), tools)
        return
    try:
        task = provider.reinstall(row.server.provider_id, system=system, public_key=public_key)
    except NotAllowed as error:
        # A plain no: it was not done, so its keys stay.
        _end(row, provisioning_outcome.refused(error, code="reinstall_refused"), tools)
    except OrchestratorError as error:
        _later(row, tools, error)
    else:
        _accept(row, task, tools)


def _refuse_unless_authorized(row: Provisioning, server: Server, tools: ProvisioningTools) -> None:
    reinstall_permission.refuse_unless_authorized(
        row,
        server,
        managed_ids=tools.managed_ids(),
        may_authorize=tools.may_authorize,
        now=tools.now(),
    )


def _refuse_unless_same(row: Provisioning, provider: Provider) -> str:
    """See to it that the provider shows the machine that was confirmed; returns what is to be installed."""
    confirmed = machine_of(row.confirmed)
    listed = provider.list_servers()
    reinstall_permission.refuse_unless_same(confirmed, listed, None)
    details = provider.get_details(confirmed.provider_id)
    reinstall_permission.refuse_unless_same(confirmed, listed, details)
    offered = provider.list_systems(confirmed.provider_id)
    return reinstall_permission.system_to_install(confirmed, details, offered)


def _claim(row: Provisioning, tools: ProvisioningTools) -> str:
    """Write down that it begins, if everything still allows it; returns the key that it is given."""
    candidate = identities.ensure_candidate(server=row.server, purpose=IdentityPurpose.ADMIN)
    now = tools.now()
    with transaction.atomic():
        server = Server.objects.select_for_update().get(pk=row.server_id)
        present = Provisioning.objects.select_for_update().get(pk=row.pk)
        if present.status != _P.PENDING:
            raise reinstall_permission.NotAuthorized("It was canceled.")
        _refuse_unless_authorized(present, server, tools)
        Provisioning.objects.filter(pk=row.pk).update(
            reinstall_begun_at=now, heartbeat_at=now, started_at=now, status_before=server.status
        )
        if server.status != ServerStatus.PENDING_SETUP:
            Server.transition(server.pk, to=ServerStatus.PENDING_SETUP)
        audit.note(
            person_id=present.authorized_by_id or 0,
            said=f"Reinstallation {row.pk}: the provider is asked to erase the server.",
            model=Server,
            row_id=server.pk,
        )
    row.refresh_from_db()
    return candidate.public_key


def _find_out(row: Provisioning, tools: ProvisioningTools) -> None:
    """Learn from the provider whether it heard us, and adopt what it does; never ask it to do it again."""
    if _is_over(row, tools):
        return
    try:
        details = tools.provider_of(row.server.provider).get_details(row.server.provider_id)
    except OrchestratorError as error:
        _later(row, tools, error)
        return
    is_recent = row.reinstall_begun_at is not None and tools.now() < row.reinstall_begun_at + _KNOWN_BY
    if details.is_reinstalling:
        _accept(row, details.task, tools)
    elif details.is_busy or is_recent:
        _later(row, tools)
    else:
        _end(row, provisioning_outcome.reinstall_unknown(), tools)


def _accept(row: Provisioning, task: str, tools: ProvisioningTools) -> None:
    """Keep the provider's number of it, and part with what is erased: keys, host key, releases."""
    now = tools.now()
    with transaction.atomic():
        Server.objects.select_for_update().get(pk=row.server_id)
        kept = Provisioning.objects.filter(pk=row.pk, status=_P.PENDING, reinstall_accepted_at=None).update(
            reinstall_accepted_at=now, reinstall_task=task, heartbeat_at=now, due_at=now + _LOOK_AGAIN
        )
        if kept:
            reinstall_traces.forget(row.server_id, now=now)
    logger.warning("Server %s is being installed anew (task %r)", row.server_id, task)


def _look(row: Provisioning, tools: ProvisioningTools) -> None:
    if _is_over(row, tools):
        return
    provider, provider_id = tools.provider_of(row.server.provider), row.server.provider_id
    try:
        if row.reinstall_task:
            found = provider.get_task(provider_id, row.reinstall_task)
            is_done, password = found.is_done, found.password
        else:
            is_done, password = not provider.get_details(provider_id).is_busy, ""
    except OrchestratorError as error:
        # Whatever it says now, at the end it tells a password, once.
        _later(row, tools, error)
        return
    if is_done:
        _installed(row, password, tools)
    else:
        _later(row, tools)


def _installed(row: Provisioning, password: str, tools: ProvisioningTools) -> None:
    """Keep the new password until the first login, and let the set-up begin."""
    now = tools.now()
    with transaction.atomic():
        Server.objects.select_for_update().get(pk=row.server_id)
        is_first = Provisioning.objects.filter(pk=row.pk, status=_P.PENDING, reinstalled_at=None).update(
            reinstalled_at=now, heartbeat_at=now, due_at=now + _START, current_task=""
        )
        if is_first and password:
            Server.objects.filter(pk=row.server_id).update(admin_password=password)


def _is_over(row: Provisioning, tools: ProvisioningTools) -> bool:
    begun = row.reinstall_begun_at
    if begun is None or tools.now() < begun + timedelta(seconds=tools.reinstall_seconds):
        return False
    _end(
        row,
        provisioning_outcome.reinstall_unknown("The provider did not say in time that it is done."),
        tools,
    )
    return True


def _later(row: Provisioning, tools: ProvisioningTools, error: OrchestratorError | None = None) -> None:
    pause = _LOOK_AGAIN
    if isinstance(error, Throttled):
        pause = max(pause, timedelta(seconds=error.retry_after))
    if error is not None:
        logger.warning("Reinstallation %s waits: %s", row.pk, error)
    now = tools.now()
    said = f"{error.error_code}: {error.message}" if error is not None else row.current_task
    Provisioning.objects.filter(pk=row.pk, status=_P.PENDING).update(
        due_at=now + pause, heartbeat_at=now, current_task=said[:200]
    )


def _end(row: Provisioning, verdict: Verdict, tools: ProvisioningTools) -> None:
    settle(row, verdict, max_attempts=tools.max_attempts, now=tools.now())

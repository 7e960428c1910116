"""One attempt at a server: claimed, carried out, ended. Whoever calls holds the server's lock."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, transaction

from apps.enqueue import advisory_lock
from apps.errors import OrchestratorError
from apps.infra import identities, provisioning_outcome, reinstall_run, selectors
from apps.infra.ansible import CONFIGURATION
from apps.infra.first_login import Address, Secret
from apps.infra.inventory import PlaybookJob
from apps.infra.models import (
    IdentityPurpose,
    Provisioning,
    ProvisioningKind,
    ProvisioningStatus,
    Server,
    ServerStatus,
    SshIdentity,
)
from apps.infra.permission import refuse_unless_managed
from apps.infra.provisioning_outcome import Verdict
from apps.infra.provisioning_settling import settle
from apps.infra.provisioning_tools import ProvisioningTools
from apps.infra.recap import Recap

logger = logging.getLogger(__name__)

DEPLOY_USER: Final = "deploy"
PLAYBOOKS: Final = {ProvisioningKind.SETUP: "setup.yml", ProvisioningKind.RECOVERY: "recovery.yml"}
_P = ProvisioningStatus


def reconcile_provisioning(*, provisioning_id: UUID, tools: ProvisioningTools) -> None:
    """Carry an attempt out, or end one whose process has died."""
    row = Provisioning.objects.select_related("server").get(pk=provisioning_id)
    if row.status in (_P.RUNNING, _P.CANCELING):
        # We hold the lock that its process had, so that process is gone.
        tools.end_survivors(marker_of(row.server, tools))
        settle(row, provisioning_outcome.died(), max_attempts=tools.max_attempts, now=tools.now())
    elif row.status == _P.PENDING and row.due_at <= tools.now():
        if row.force_reinstall and row.reinstalled_at is None:
            reinstall_run.step(row, tools)
        else:
            _attempt(row, tools)


def marker_of(server: Server, tools: ProvisioningTools) -> str:
    """Return what tells the processes of a server's playbooks from all others on this machine."""
    return f"{tools.installation}-{server.pk}"


def _attempt(row: Provisioning, tools: ProvisioningTools) -> None:
    try:
        # What was allowed when it was asked for may not be any more.
        refuse_unless_managed(
            row.server, managed_ids=tools.managed_ids(), among=(ServerStatus.PENDING_SETUP,)
        )
    except OrchestratorError as error:
        verdict = provisioning_outcome.verdict_of_error(error)
        settle(row, verdict, max_attempts=tools.max_attempts, now=tools.now())
        return
    if not _take_place(row, tools):
        return
    try:
        verdict = _carry_out(row, tools)
    except OrchestratorError as error:
        logger.warning("Set-up %s ended: %s", row.pk, error)
        verdict = provisioning_outcome.verdict_of_error(error)
    settle(row, verdict, max_attempts=tools.max_attempts, now=tools.now())


def _take_place(row: Provisioning, tools: ProvisioningTools) -> bool:
    """Claim an attempt if so few playbooks run; who counts is alone, or two would take the last place."""
    with advisory_lock("provisioning", "places") as obtained:
        if not obtained:
            return False  # the sweep comes back to it
        others = Provisioning.objects.filter(status__in=(_P.RUNNING, _P.CANCELING))
        return others.count() < tools.max_running and _claim(row, tools)


def _claim(row: Provisioning, tools: ProvisioningTools) -> bool:
    now = tools.now()
    deadline = now + timedelta(seconds=tools.deadline_seconds)
    times = {"started_at": now, "heartbeat_at": now, "deadline_at": deadline}
    with transaction.atomic():
        if not Provisioning.try_transition(row.pk, to=_P.RUNNING, expect=_P.PENDING, **times):
            return False
        Server.transition(row.server_id, to=ServerStatus.PROVISIONING)
    row.refresh_from_db()
    return True


def _carry_out(row: Provisioning, tools: ProvisioningTools) -> Verdict:
    server = _named(row.server)
    server.host_key = server.host_key or _pin(server, tools)
    admin = _let_in(server, tools)
    deploy = _key_for_deployments(server)
    watcher = Beating(row.pk, every_seconds=tools.beat_seconds, now=tools.now)
    result = tools.playbooks.run(_job(row, server, admin, deploy, tools), watcher)
    verdict = provisioning_outcome.verdict_of(result)
    if verdict.status == _P.SUCCEEDED:
        # Kept whether or not anybody still waits for this attempt: the server has it.
        tools.login.try_key(_address(server, server.ssh_user), key=Secret(private_key=deploy.private_key))
        identities.mark_installed(identity_id=deploy.pk)
    return verdict


def _named(server: Server) -> Server:
    if not server.ssh_user:
        Server.objects.filter(pk=server.pk, ssh_user="").update(ssh_user=DEPLOY_USER)
    return server.reload()


def _pin(server: Server, tools: ProvisioningTools) -> str:
    """Keep the first host key that the server shows; from then on no other is believed."""
    seen = tools.login.seen_host_key(host=server.host, port=server.ssh_port)
    Server.objects.filter(pk=server.pk, host_key="").update(host_key=seen)
    return seen


def _let_in(server: Server, tools: ProvisioningTools) -> SshIdentity:
    """See to it that a key of our own lets us in; returns it."""
    installed = identities.find_installed(server_id=server.pk, purpose=IdentityPurpose.ADMIN)
    address = _address(server, server.admin_user)
    if installed is not None and identities.is_ours(installed):
        _use_again(server, address, installed, tools)
        return installed
    ours = identities.ensure_candidate(server=server, purpose=IdentityPurpose.ADMIN)
    others = [Secret(private_key=installed.private_key)] if installed else []
    if server.admin_password:
        others.append(Secret(password=server.admin_password))
    tools.login.install_key(
        address, key=Secret(private_key=ours.private_key), public_key=ours.public_key, others=others
    )
    with transaction.atomic():
        identities.mark_installed(identity_id=ours.pk)
        Server.objects.filter(pk=server.pk).update(admin_password="")
    return ours


def _use_again(server: Server, address: Address, ours: SshIdentity, tools: ProvisioningTools) -> None:
    """See whether our key still lets us in; where it was removed, a password puts it back."""
    key = Secret(private_key=ours.private_key)
    if not server.admin_password:
        tools.login.try_key(address, key=key)
        return
    others = [Secret(password=server.admin_password)]
    tools.login.install_key(address, key=key, public_key=ours.public_key, others=others)
    Server.objects.filter(pk=server.pk).update(admin_password="")


def _key_for_deployments(server: Server) -> SshIdentity:
    installed = identities.find_installed(server_id=server.pk, purpose=IdentityPurpose.DEPLOY)
    return installed or identities.ensure_candidate(server=server, purpose=IdentityPurpose.DEPLOY)


def _address(server: Server, user: str) -> Address:
    return Address(host=server.host, port=server.ssh_port, user=user, host_key=server.host_key)


def _job(
    row: Provisioning, server: Server, admin: SshIdentity, deploy: SshIdentity, tools: ProvisioningTools
) -> PlaybookJob:
    variables: dict[str, Any] = {
        "expected_configuration": str(CONFIGURATION),
        "containers_allowed": tools.containers_allowed,
        "admin_user": server.admin_user,
        "admin_public_key": admin.public_key,
        "deploy_user": server.ssh_user,
        "deploy_public_key": deploy.public_key,
        "ssh_port": server.ssh_port,
        "compose_projects": selectors.live_slugs(server_id=server.pk),
        "service_ports": f"{server.port_range_start}-{server.port_range_end}",
    }
    return PlaybookJob(
        playbook=PLAYBOOKS[ProvisioningKind(row.kind)],
        host=server.host,
        port=server.ssh_port,
        user=server.admin_user,
        host_key=server.host_key,
        private_key=admin.private_key,
        marker=marker_of(server, tools),
        variables=variables,
        timeout_seconds=tools.deadline_seconds,
    )


class Beating:
    """Writes an attempt's heartbeat and progress; the row says whether it is still wanted."""

    def __init__(self, provisioning_id: UUID, *, every_seconds: float, now: Callable[[], datetime]) -> None:
        self._rows = Provisioning.objects.filter(pk=provisioning_id, status=_P.RUNNING)
        self._every, self._now = timedelta(seconds=every_seconds), now
        self._next = now()

    def is_wanted(self, recap: Recap) -> bool:
        """See ``ansible.Watcher``."""
        now = self._now()
        if now < self._next:
            return True
        self._next = now + self._every
        try:
            return bool(
                self._rows.update(heartbeat_at=now, current_task=recap.current_task, recap=recap.as_json())
            )
        except DatabaseError as error:
            # A playbook is not broken off because its progress could not be written down.
            logger.warning("The heartbeat of a set-up could not be written: %s", error)
            return True

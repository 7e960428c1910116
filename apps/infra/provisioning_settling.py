"""The end of an attempt: its row, its server, and the next attempt, in one transaction."""

import logging
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from apps.infra import incidents, signals
from apps.infra.models import (
    IncidentSeverity,
    Provisioning,
    ProvisioningKind,
    ProvisioningStatus,
    Server,
    ServerHealth,
    ServerStatus,
)
from apps.infra.provisioning_outcome import (
    OUT_OF_REACH,
    REINSTALL_UNKNOWN,
    Verdict,
    pause_before,
    server_after,
)

logger = logging.getLogger(__name__)

#: Kinds of incidents.
FAILED: Final = "provisioning_failed"
HOST_KEY: Final = "host_key_changed"
#: What is told under its own name, at once.
_OWN_KINDS: Final = (HOST_KEY, REINSTALL_UNKNOWN)
_WAITING: Final = (ServerStatus.PENDING_SETUP, ServerStatus.PROVISIONING)
_SYSTEM_CHARACTERS = 60


def settle(row: Provisioning, verdict: Verdict, *, max_attempts: int, now: datetime) -> bool:
    """End an attempt and tell whoever listens; False if it counts no more: then nothing is changed."""
    with transaction.atomic():
        server = Server.objects.select_for_update().get(pk=row.server_id)
        if not Provisioning.try_transition(row.pk, to=verdict.status, **_columns(verdict, now)):
            logger.info("The result of set-up %s came too late", row.pk)
            return False
        goes_on = verdict.may_help and row.attempt < max_attempts
        if goes_on:
            _add_attempt(row, now)
        _move_server(row, server, verdict, goes_on=goes_on, now=now)
        if not goes_on:
            # In the same transaction: a death after it must not keep it from anybody.
            _report(row, verdict)
    signals.provisioning_ended.send_robust(None, provisioning_id=str(row.pk), goes_on=goes_on)
    return True


def _report(row: Provisioning, verdict: Verdict) -> None:
    """Tell operators of a set-up that was given up; one that ended well ends what earlier ones have shown."""
    subject = f"server:{row.server_id}"
    if verdict.status == ProvisioningStatus.SUCCEEDED:
        for kind in (FAILED, *_OWN_KINDS):
            incidents.resolve(kind=kind, subject=subject)
    elif verdict.failure is not None:
        code = verdict.failure.code
        is_alarming = code in _OWN_KINDS
        incidents.report(
            kind=code if is_alarming else FAILED,
            subject=subject,
            message=f"{row.server.name}: {verdict.failure.message}",
            severity=IncidentSeverity.CRITICAL if is_alarming else IncidentSeverity.WARNING,
            server_id=row.server_id,
            details={"provisioning": str(row.pk), "code": code, "attempt": row.attempt},
        )


def _columns(verdict: Verdict, now: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "finished_at": now,
        "failure": verdict.failure.as_json() if verdict.failure else None,
        "log_tail": verdict.output,
    }
    # What a dead process had reached is told by its last heartbeat.
    return columns | ({"recap": dict(verdict.recap)} if verdict.recap is not None else {})


def _add_attempt(row: Provisioning, now: datetime) -> None:
    number = row.attempt + 1
    Provisioning.objects.create(
        idempotency_key=f"{row.episode}/{number}",
        server_id=row.server_id,
        kind=row.kind,
        episode=row.episode,
        attempt=number,
        requested_by_id=row.requested_by_id,
        status_before=row.status_before,
        due_at=now + pause_before(number),
    )


def _move_server(
    row: Provisioning, server: Server, verdict: Verdict, *, goes_on: bool, now: datetime
) -> None:
    was_active = server.provisioned_at is not None
    if verdict.status == ProvisioningStatus.SUCCEEDED:
        set_up = {"provisioned_at": now} if row.kind == ProvisioningKind.SETUP else {}
        Server.objects.filter(pk=server.pk).update(**set_up, **_facts(verdict))
    # Refused before it was claimed, or taken out meanwhile: then it stays where it is.
    if not goes_on and server.status in _WAITING and _is_put_back(row, verdict):
        Server.transition(server.pk, to=ServerStatus(row.status_before))
    elif server.status == ServerStatus.PROVISIONING:
        Server.transition(server.pk, to=server_after(verdict, goes_on=goes_on, was_active=was_active))


def _is_put_back(row: Provisioning, verdict: Verdict) -> bool:
    """Tell whether a server is as good as before: it was not erased, or only not put right."""
    if verdict.status == ProvisioningStatus.SUCCEEDED or row.status_before in ("", *_WAITING):
        return False
    code = verdict.failure.code if verdict.failure else ""
    if row.force_reinstall:
        return row.reinstall_accepted_at is None and code != REINSTALL_UNKNOWN
    return row.kind == ProvisioningKind.RECOVERY and code not in OUT_OF_REACH


def _facts(verdict: Verdict) -> dict[str, Any]:
    numbers = {
        name: value
        for name in ("cpus", "memory_mb", "disk_mb")
        if isinstance(value := verdict.facts.get(name), int) and 0 < value < 2**31
    }
    system = str(verdict.facts.get("system", ""))[:_SYSTEM_CHARACTERS]
    return {**numbers, "system": system, "failed_checks": 0, "health": ServerHealth.UNKNOWN}

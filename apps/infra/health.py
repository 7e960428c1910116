"""Rounds of looks at servers: measurements, incidents, and whether each is reachable."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from apps.encryption import UndecryptableSecret
from apps.infra import incidents
from apps.infra.health_judging import (
    OWN_NETWORK,
    REFUSALS,
    Finding,
    Thresholds,
    health_of,
    is_our_own,
    judge,
)
from apps.infra.health_looking import Look, Measure, Outcome, Subject, look_at_all
from apps.infra.models import (
    IdentityPurpose,
    IdentityStatus,
    Incident,
    IncidentStatus,
    Server,
    ServerHealth,
    ServerKind,
    ServerMetric,
    ServerStatus,
    SshIdentity,
)
from apps.periodic.recording import Run

logger = logging.getLogger(__name__)

_LOOKED_AT: Final = (ServerStatus.ACTIVE, ServerStatus.UNREACHABLE, ServerStatus.MAINTENANCE)
#: So many are read, looked at and written down together, however many there are.
_BATCH: Final = 250
#: The subject of what is wrong with this installation itself.
_PLATFORM: Final = "platform"
_NAMES_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What was known before a batch was looked at."""

    servers: dict[int, Server]
    open_keys: frozenset[str]


@dataclass(kw_only=True, slots=True)
class _Round:
    """What a whole round has to be judged by."""

    answered: int = 0  # whoever it was, and whatever was said
    looked_at: int = 0  # of those that are not known to be silent
    silent: list[tuple[Server, Look]] = field(default_factory=list)  # of the same


def check_servers(run: Run) -> None:
    """Look at every server that can be logged in to, and write down what was seen.

    Args:
        run: what is recorded of this.

    """
    run.count("checked", 0)
    with run.item("old measurements"):
        _forget_old()
    rows = Server.objects.filter(kind=ServerKind.SSH, status__in=_LOOKED_AT).exclude(host_key="")
    found = _Round()
    for pks in _batches(list(rows.order_by("pk").values_list("pk", flat=True))):
        with run.item(f"servers {pks[0]} to {pks[-1]}"):
            _check(pks, found, run)
    with run.item("silent servers"):
        _judge_silence(found, run)


def _batches(pks: Sequence[int]) -> Iterator[Sequence[int]]:
    return (pks[at : at + _BATCH] for at in range(0, len(pks), _BATCH))


def _check(pks: Sequence[int], found: _Round, run: Run) -> None:
    servers = {row.pk: row for row in Server.objects.filter(pk__in=pks).defer("admin_password")}
    subjects = subjects_of(servers)
    run.count("without_key", len(servers) - len(subjects))
    looks = asyncio.run(
        look_at_all(
            subjects,
            connections=min(settings.SERVERS_HEALTH_CONNECTIONS, len(subjects)),
            seconds=settings.SERVERS_HEALTH_SECONDS,
        )
    )
    keys = Incident.objects.filter(server_id__in=pks, status=IncidentStatus.OPEN)
    known = _Known(servers=servers, open_keys=frozenset(keys.values_list("key", flat=True)))
    for look in looks:
        with run.item(f"server {look.server_id}"):
            _write_down(look, known, found, run)
    ServerMetric.objects.bulk_create(
        [_metric(look.server_id, look.measure) for look in looks if look.measure is not None]
    )


def subjects_of(servers: Mapping[int, Server]) -> list[Subject]:
    """Return how servers are logged in to; one that no key of ours lets us in to is left out."""
    keys, found = _keys_of(servers), []
    for row in servers.values():
        ways = ((IdentityPurpose.ADMIN, row.admin_user), (IdentityPurpose.DEPLOY, row.ssh_user))
        way = next(((user, keys[row.pk, who]) for who, user in ways if user and (row.pk, who) in keys), None)
        if way is not None:
            found.append(
                Subject(
                    server_id=row.pk,
                    host=row.host,
                    port=row.ssh_port,
                    user=way[0],
                    host_key=row.host_key,
                    private_key=way[1],
                )
            )
    return found


def _keys_of(server_ids: Iterable[int]) -> dict[tuple[int, str], str]:
    """Return the keys that let us in; one that cannot be decrypted is none, and spoils no other."""
    installed = SshIdentity.objects.filter(server_id__in=server_ids, status=IdentityStatus.INSTALLED)
    try:
        return {(key.server_id, key.purpose): key.private_key for key in installed}
    except UndecryptableSecret:
        keys = {}
    for key in installed.defer("private_key"):
        try:
            keys[key.server_id, key.purpose] = key.private_key
        except UndecryptableSecret as error:
            logger.warning("The %s key of server %s cannot be used: %s", key.purpose, key.server_id, error)
    return keys


def _write_down(look: Look, known: _Known, found: _Round, run: Run) -> None:
    row = known.servers[look.server_id]
    run.count(look.outcome.value)
    run.count("checked")
    if look.outcome is Outcome.BROKEN:
        run.fail(row.name, look.error)
        return
    is_known_silent = row.failed_checks >= settings.SERVERS_UNREACHABLE_AFTER
    found.looked_at += not is_known_silent
    if look.outcome is Outcome.UNREACHABLE and not is_known_silent:
        # Whose silence it is can be told when everybody was looked at.
        found.silent.append((row, look))
        return
    found.answered += look.outcome is not Outcome.UNREACHABLE
    findings = judge(look, _thresholds())
    if look.outcome is not Outcome.SEEN:
        _miss(row, look)
        return
    seen = {"checked_at": timezone.now(), "health": health_of(look, findings), "failed_checks": 0}
    Server.objects.filter(pk=row.pk).update(**seen)
    Server.try_transition(row.pk, to=ServerStatus.ACTIVE, expect=ServerStatus.UNREACHABLE)
    for refusal in REFUSALS.values():
        _settle(row, Finding(kind=refusal.kind, is_wrong=False), known)
    for finding in findings:
        _settle(row, finding, known)


def _judge_silence(found: _Round, run: Run) -> None:
    """Count the silence of servers against them, unless so many share it that it is rather our own.

    That is suspected for a few rounds only, if anybody answers: a network that is down reaches nobody.
    """
    is_ours = is_our_own(
        silent=len(found.silent),
        looked_at=found.looked_at,
        least=settings.SERVERS_SILENT_LEAST,
        percent=settings.SERVERS_SILENT_PERCENT,
    )
    if is_ours:
        run.count("silence_of_our_own", len(found.silent))
        incidents.report(
            kind=OWN_NETWORK.kind,
            subject=_PLATFORM,
            message=OWN_NETWORK.message,
            severity=OWN_NETWORK.severity,
            details={
                "silent": len(found.silent),
                "looked_at": found.looked_at,
                "answered": found.answered,
                "servers": [row.name for row, _ in found.silent[:_NAMES_SHOWN]],
            },
        )
    if is_ours and not (found.answered and _was_suspected()):
        # Nothing is known of them; what was known before is too old to be shown as their health.
        pks = [row.pk for row, _ in found.silent]
        Server.objects.filter(pk__in=pks).update(health=ServerHealth.UNKNOWN)
        return
    for row, look in found.silent:
        with run.item(f"server {row.pk}"):
            _miss(row, look)
    if found.answered and not is_ours:
        incidents.resolve(kind=OWN_NETWORK.kind, subject=_PLATFORM)


def _was_suspected() -> bool:
    """Tell whether our own network has been suspected for as many rounds as make a server unreachable."""
    rounds = Incident.objects.filter(key=f"{OWN_NETWORK.kind}:{_PLATFORM}", status=IncidentStatus.OPEN)
    return rounds.filter(count__gt=settings.SERVERS_UNREACHABLE_AFTER).exists()


def _miss(row: Server, look: Look) -> None:
    """Tell of a server that did not let us in: at once if it is another one, of a silent one after a few."""
    seen: dict[str, Any] = {"checked_at": timezone.now(), "health": health_of(look, ())}
    Server.objects.filter(pk=row.pk).update(**seen, failed_checks=F("failed_checks") + 1)
    is_over = row.failed_checks + 1 >= settings.SERVERS_UNREACHABLE_AFTER
    if is_over or look.outcome is not Outcome.UNREACHABLE:
        report_finding(row, REFUSALS[look.outcome])
    if is_over:
        Server.try_transition(row.pk, to=ServerStatus.UNREACHABLE, expect=ServerStatus.ACTIVE)


def _settle(row: Server, finding: Finding, known: _Known) -> None:
    if finding.is_wrong:
        report_finding(row, finding)
    elif finding.is_wrong is False and f"{finding.kind}:server:{row.pk}" in known.open_keys:
        incidents.resolve(kind=finding.kind, subject=f"server:{row.pk}")


def report_finding(row: Server, finding: Finding) -> None:
    """Tell operators of something that is wrong with a server."""
    incidents.report(
        kind=finding.kind,
        subject=f"server:{row.pk}",
        message=f"{row.name}: {finding.message}",
        severity=finding.severity,
        server_id=row.pk,
        details=dict(finding.details),
    )


def _metric(server_id: int, measure: Measure) -> ServerMetric:
    return ServerMetric(
        server_id=server_id,
        cpus=measure.cpus,
        load_1m=measure.load_1m,
        memory_total_mb=measure.memory_total_mb,
        memory_available_mb=measure.memory_available_mb,
        disk_total_mb=measure.disk_total_mb,
        disk_free_mb=measure.disk_free_mb,
        containers_running=measure.containers_running,
    )


def _thresholds() -> Thresholds:
    return Thresholds(
        disk_warning=settings.SERVERS_DISK_WARNING_PERCENT,
        disk_critical=settings.SERVERS_DISK_CRITICAL_PERCENT,
        memory_left=settings.SERVERS_MEMORY_LEFT_PERCENT,
    )


def _forget_old() -> None:
    before = timezone.now() - timedelta(days=settings.SERVERS_METRICS_DAYS)
    ServerMetric.objects.filter(measured_at__lt=before).delete()

"""Deployed services are asked from outside, once a minute: an end user's view, whatever runs them.

A service that fails three times in a row is an incident, until it answers once.
"""

import socket
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from apps.infra import incidents
from apps.infra.health_judging import OWN_NETWORK
from apps.infra.models import (
    DeploymentStatus,
    DeploymentTarget,
    Incident,
    IncidentSeverity,
    IncidentStatus,
    ServiceDeployment,
    ServiceKind,
)
from apps.infra.probe import ProbeResult, probe
from apps.infra.rollout_steps import problem_of_address
from apps.periodic.recording import Run

_AT_ONCE: Final = 8
_PROBE_SECONDS: Final = 5.0
_DAY_SECONDS: Final = 86_400
#: What OpenSSL calls a certificate that is over.
_EXPIRED: Final = 10
#: Two rounds of looks at servers and a half; a doubt that nobody repeats is none.
_DOUBT: Final = timedelta(minutes=5)
_KINDS: Final = ("service_down", "certificate_ends")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What came of asking one service."""

    deployment_id: Any
    answer: ProbeResult | None  # None: its address must not be asked
    certificate_days: float | None = None  # None: there is none, or it could not be seen
    problem: str = ""


def probe_deployments(run: Run) -> None:
    """Ask every live web service, and write down how it answered.

    Args:
        run: what is recorded of this.

    """
    for figure in ("asked", "well"):
        run.count(figure, 0)
    with run.item("those that are gone"):
        _close_for_the_gone()
    live = ServiceDeployment.objects.filter(status=DeploymentStatus.LIVE, kind=ServiceKind.WEB)
    rows = {row.pk: row for row in live.exclude(url="").select_related("server").defer("environment")}
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="probe") as threads:
        asked = {one[0]: threads.submit(_ask, one) for one in _addresses(rows.values(), run)}
    for deployment_id, answer in asked.items():
        with run.item(str(rows[deployment_id])):
            _write_down(rows[deployment_id], answer.result(), run)


def certificate_days(
    url: str, *, now: datetime, trust: Callable[[], ssl.SSLContext] = ssl.create_default_context
) -> float | None:
    """Return how many days the certificate of an https address is good for; below 0: it is over.

    Args:
        url: the address.
        now: the present time.
        trust: returns the authorities that are believed.

    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), _PROBE_SECONDS) as raw,
            trust().wrap_socket(raw, server_hostname=parts.hostname) as secured,
        ):
            ends = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return -1.0 if error.verify_code == _EXPIRED else None
    except (OSError, UnicodeError):
        return None
    if "notAfter" not in ends:
        return None
    return (ssl.cert_time_to_seconds(str(ends["notAfter"])) - now.timestamp()) / _DAY_SECONDS


def _addresses(rows: Iterable[ServiceDeployment], run: Run) -> list[tuple[Any, str, str]]:
    """Return what to ask; a name may lead elsewhere by now, so a stranger's word is judged anew."""
    found = []
    for row in rows:
        with run.item(str(row)):
            problem = problem_of_address(row) if row.target == DeploymentTarget.WORKFLOW else ""
            found.append((row.pk, row.url.rstrip("/") + row.health_path, problem))
    return found


def _ask(asked: tuple[Any, str, str]) -> Asked:
    deployment_id, url, problem = asked
    if problem:
        return Asked(deployment_id=deployment_id, answer=None, problem=problem)
    return Asked(
        deployment_id=deployment_id,
        answer=probe(url, timeout_seconds=_PROBE_SECONDS),
        certificate_days=certificate_days(url, now=timezone.now()),
    )


def _write_down(row: ServiceDeployment, asked: Asked, run: Run) -> None:
    run.count("asked")
    is_well = asked.answer is not None and asked.answer.is_healthy
    rows = ServiceDeployment.objects.filter(pk=row.pk)
    rows.update(probed_at=timezone.now(), failed_probes=0 if is_well else F("failed_probes") + 1)
    if is_well:
        run.count("well")
        incidents.resolve(kind="service_down", subject=f"deployment:{row.pk}")
    elif row.failed_probes + 1 >= settings.SERVERS_PROBE_FAILURES and not _is_our_own():
        last = asked.problem or (asked.answer and (asked.answer.status or asked.answer.error))
        _report(row, "service_down", f"does not answer well; last: {last}.", IncidentSeverity.CRITICAL)
    days = asked.certificate_days
    if days is None:
        return
    if days < settings.SERVERS_CERTIFICATE_DAYS:
        severity = IncidentSeverity.CRITICAL if days < 0 else IncidentSeverity.WARNING
        _report(row, "certificate_ends", f"has a certificate for {max(days, 0):.0f} more days.", severity)
    else:
        incidents.resolve(kind="certificate_ends", subject=f"deployment:{row.pk}")


def _is_our_own() -> bool:
    """Tell whether our own network is in doubt: then one incident says so, not one for each service."""
    doubts = Incident.objects.filter(kind=OWN_NETWORK.kind, status=IncidentStatus.OPEN)
    return doubts.filter(last_seen_at__gt=timezone.now() - _DOUBT).exists()


def _report(row: ServiceDeployment, kind: str, what: str, severity: str) -> None:
    incidents.report(
        kind=kind,
        subject=f"deployment:{row.pk}",
        message=f"{row.project_slug}/{row.service_name} at {row.url} {what}",
        severity=severity,
        server_id=row.server_id,
        project_id=row.project_id,
    )


def _close_for_the_gone() -> None:
    """Close what is open about releases that are not live any more: nobody asks them."""
    opened = Incident.objects.filter(status=IncidentStatus.OPEN, kind__in=_KINDS).values_list("kind", "key")
    subjects = {key.partition(":")[2]: kind for kind, key in opened}
    live = ServiceDeployment.objects.filter(status=DeploymentStatus.LIVE).values_list("pk", flat=True)
    known = {f"deployment:{pk}" for pk in live}
    for subject, kind in subjects.items():
        if subject not in known:
            incidents.resolve(kind=kind, subject=subject)

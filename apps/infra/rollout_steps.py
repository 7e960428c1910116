"""The reconciler's steps of a release that a workflow brings about: asked from outside, replaced, forgotten.

What the workflow reported is a stranger's word: its address is asked only if it
leads to the server that we gave the project, and to no port but its own.
"""

import socket
from urllib.parse import urlsplit

from django.utils import timezone

from apps.failures import FailureKind
from apps.infra import answering
from apps.infra.answering import Smoke
from apps.infra.models import DeploymentStatus, PortAllocation, ServiceDeployment, ServiceKind
from apps.infra.probe import ProbeResult
from apps.infra.settling import announce, go_live, record_failure

_PUBLIC_PORTS = frozenset({80, 443})


def take(row: ServiceDeployment, smoke: Smoke) -> bool:
    """Take one step; the workflow itself is followed elsewhere.

    Returns:
        Whether another step is due at once.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.
    """
    match row.status:
        case DeploymentStatus.STARTING:
            return _ask(row, smoke)
        case DeploymentStatus.STOPPING:
            # The workflow of its successor has replaced it on the server.
            now = timezone.now()
            ServiceDeployment.transition(row.pk, to=DeploymentStatus.STOPPED, finished_at=now, removed_at=now)
            announce(row)
    return False


def _ask(row: ServiceDeployment, smoke: Smoke) -> bool:
    evidence = {**(row.evidence or {}), "commit_sha": row.commit_sha}
    if row.kind != ServiceKind.WEB:
        # Its own workflow has watched it run; there is no door to knock at.
        go_live(row, url=row.url, evidence=evidence)
        return False
    problem = problem_of_address(row)
    if problem:
        record_failure(row, "url_unusable", problem, kind=FailureKind.PRODUCT)
        return False
    began = row.installed_at or row.created_at
    answer = answering.ask(row, url=row.url.rstrip("/") + row.health_path, started_at=began, smoke=smoke)
    if answer.is_healthy:
        seconds = round((timezone.now() - began).total_seconds(), 3)
        go_live(row, url=row.url, evidence={**evidence, "smoke": answer.as_json(), "start_seconds": seconds})
        return False
    if row.deadline_at is None or timezone.now() <= row.deadline_at:
        return True
    record_failure(row, *complaint_from_outside(row, answer))
    return False


def complaint_from_outside(row: ServiceDeployment, answer: answering.Answer) -> tuple[str, str, FailureKind]:
    """Say why a release that runs is not well from here: code, sentence, whose failure."""
    code, text, _ = answering.complaint(row, answer)
    if isinstance(answer, ProbeResult) and answer.status is None:
        text = f"{row.url} cannot be reached from here ({answer.error}): is the server's firewall open?"
        return "unreachable_from_outside", text, FailureKind.PLATFORM
    return code, text, FailureKind.PRODUCT


def problem_of_address(row: ServiceDeployment) -> str:
    """Say why the reported address is not asked; empty if it may be."""
    try:
        parts = urlsplit(row.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "The workflow reported an address that cannot be read."
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        return "The workflow reported no address of http or https."
    own = PortAllocation.objects.filter(server=row.server, project_id=row.project_id, deployment=None)
    if port not in _PUBLIC_PORTS and port not in set(own.values_list("port", flat=True)):
        return f"The workflow reported port {port}, which is not the project's."
    if parts.hostname != row.server.host and not _leads_to(parts.hostname, row.server.host):
        return f"The workflow reported {parts.hostname}, which is not the server {row.server.host}."
    return ""


def _leads_to(name: str, host: str) -> bool:
    found, wanted = _addresses(name), _addresses(host)
    return bool(found) and found <= wanted


def _addresses(name: str) -> set[str]:
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()

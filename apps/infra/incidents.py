"""What is wrong is told once: opened, seen again, resolved."""

from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from apps.errors import NotFound
from apps.infra.models import Incident, IncidentSeverity, IncidentStatus
from apps.infra.signals import incident_changed

_MESSAGE_CHARACTERS: Final = 500


def report(
    *,
    kind: str,
    subject: str,
    message: str,
    severity: str = IncidentSeverity.WARNING,
    server_id: int | None = None,
    project_id: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> bool:
    """Open an incident, or note that the open one was seen once more; returns whether it is a new one.

    Args:
        kind: a stable word for what is wrong.
        subject: with what, such as ``server:7``.
        message: for the operator; no secret.
        severity: how soon somebody should look; an open one only grows worse.
        server_id: the server it is about.
        project_id: the project it is about.
        details: what was observed.

    """
    key, now = f"{kind}:{subject}", timezone.now()
    words: dict[str, Any] = {"message": message[:_MESSAGE_CHARACTERS], "details": details or {}}
    again = {**words, "count": F("count") + 1, "last_seen_at": now}
    if severity == IncidentSeverity.CRITICAL:
        again["severity"] = severity
    known = Incident.objects.filter(key=key, status=IncidentStatus.OPEN)
    if known.update(**again):
        return False
    try:
        with transaction.atomic():
            incident = Incident.objects.create(
                key=key,
                kind=kind,
                severity=severity,
                server_id=server_id,
                project_id=project_id,
                opened_at=now,
                last_seen_at=now,
                **words,
            )
    except IntegrityError:
        # Somebody else was first.
        known.update(**again)
        return False
    _announce(incident.pk)
    return True


def resolve(*, kind: str, subject: str) -> bool:
    """Note that something is over; False if it was not open."""
    found = Incident.objects.filter(key=f"{kind}:{subject}", status=IncidentStatus.OPEN).first()
    return found is not None and _end(found.pk, by=None)


def resolve_by_person(*, incident_id: int, person_id: int) -> None:
    """Close an incident because somebody says so; what is still wrong opens a new one.

    Raises:
        NotFound: there is none of that id.

    """
    if not Incident.objects.filter(pk=incident_id).exists():
        raise NotFound(f"There is no incident {incident_id}.")
    _end(incident_id, by=person_id)


def _end(incident_id: int, *, by: int | None) -> bool:
    ended = Incident.try_transition(
        incident_id, to=IncidentStatus.RESOLVED, resolved_at=timezone.now(), resolved_by_id=by
    )
    if ended:
        _announce(incident_id)
    return ended


def _announce(incident_id: int) -> None:
    transaction.on_commit(lambda: incident_changed.send(Incident, incident_id=incident_id), robust=True)

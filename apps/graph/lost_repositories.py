"""A project's repository that its host no longer lists is an incident, until it is listed again."""

from typing import Any
from uuid import UUID

from apps.infra import incidents
from apps.infra.models import IncidentSeverity
from apps.projects import signals

KIND = "repository_missing"


def connect() -> None:
    """Connect the receiver."""
    signals.repository_seen.connect(_receive, weak=False, dispatch_uid="graph.lost_repositories")


def _receive(*, project_id: UUID, name: str, forge: str, is_missing: bool, **_: Any) -> None:
    subject = f"project:{project_id}"
    if not is_missing:
        incidents.resolve(kind=KIND, subject=subject)
        return
    incidents.report(
        kind=KIND,
        subject=subject,
        message=f"{forge} no longer lists the repository {name}: restore it there, or archive its project.",
        severity=IncidentSeverity.CRITICAL,
        project_id=project_id,
    )

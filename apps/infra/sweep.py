"""What nobody looked at lately, and what nobody owns any more."""

import logging
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from apps.errors import Unavailable
from apps.infra.models import DeploymentStatus, DeploymentTarget, ServiceDeployment
from apps.infra.targets.base import DeployTarget, Release

logger = logging.getLogger(__name__)

#: Ten times what the others wait, and far less than a release may take.
_AWAY_PAUSE = timedelta(seconds=30)
_SERVER_JOB: Final = re.compile(
    r"(?P<verb>install|activate|undo|forget)-"
    r"(?P<owner>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-(?P<number>[0-9]{1,9}))?"
)
_ENDED = [
    DeploymentStatus.STOPPED,
    DeploymentStatus.FAILED,
    DeploymentStatus.CRASHED,
    DeploymentStatus.CANCELED,
]


def list_due() -> Iterable[UUID]:
    """Return the deployments that need a look: coming or going ones after 3 s, live ones after 10 s."""
    now = timezone.now()
    moving = ~Q(status__in=[*_ENDED, DeploymentStatus.LIVE]) | Q(status__in=_ENDED, removed_at=None)
    unseen = Q(observed_at=None) | Q(observed_at__lt=now - timedelta(seconds=3))
    rested = Q(status=DeploymentStatus.LIVE) & (
        Q(observed_at=None) | Q(observed_at__lt=now - timedelta(seconds=10))
    )
    # Until a workflow has ended, whoever follows it knows of it; what it left live is not ours to restart.
    elsewhere = Q(target=DeploymentTarget.WORKFLOW) & ~Q(
        status__in=[DeploymentStatus.STARTING, DeploymentStatus.STOPPING]
    )
    # Its server's own Docker keeps it running.
    elsewhere |= Q(target=DeploymentTarget.SERVER, status=DeploymentStatus.LIVE)
    due = ServiceDeployment.objects.filter((moving & unseen) | rested).exclude(elsewhere)
    return due.exclude(due_at__gt=now).values_list("pk", flat=True)


def put_off(deployment_id: str | UUID) -> None:
    """Let a release whose server could not be reached wait: each try may take as long as a connection."""
    rows = ServiceDeployment.objects.filter(pk=deployment_id, target=DeploymentTarget.SERVER)
    rows.update(due_at=timezone.now() + _AWAY_PAUSE)


def remove_orphans(*, target: DeployTarget) -> int:
    """Stop jobs whose deployment was cleaned up or never existed; nothing else is touched.

    Returns:
        How many were stopped.
    """
    jobs = target.list_jobs()
    rows = ServiceDeployment.objects.filter(pk__in=set(jobs.values()), removed_at=None)
    owned = {str(pk) for pk in rows.values_list("pk", flat=True)}
    orphans = [name for name, deployment_id in jobs.items() if deployment_id not in owned]
    return sum(_end(name, target) for name in orphans)


def remove_late_jobs(*, server_id: int, target: DeployTarget) -> int:
    """Stop jobs on a server that began after their release there was cleaned up, with their files.

    What the server names differently, or for a release that is unknown here, may be another installation's.

    Returns:
        How many were stopped.

    Raises:
        TargetUnavailable: the server does not answer.
    """
    jobs = {name: found for name, owner in target.list_jobs().items() if (found := _of_server(name, owner))}
    rows = ServiceDeployment.objects.filter(
        pk__in={found["owner"] for found in jobs.values()}, server_id=server_id
    )
    settled = {str(row.pk): row for row in rows.exclude(removed_at=None)}
    late = {name: found for name, found in jobs.items() if found["owner"] in settled}
    for name, found in late.items():
        if _end(name, target) and found["verb"] == "install":
            slug = settled[found["owner"]].project_slug
            target.discard(Release(name=f"{found['owner']}-{found['number']}", project=slug, service=""))
    return len(late)


def _of_server(name: str, owner: str) -> re.Match[str] | None:
    found = _SERVER_JOB.fullmatch(name)
    return found if found and found["owner"] == owner else None


def _end(name: str, target: DeployTarget) -> bool:
    logger.warning("Stopping %s: no deployment owns it", name)
    try:
        target.end(name)
    except Unavailable as error:
        # One that resists must not shelter the others; the next sweep comes back to it.
        logger.warning("%s could not be stopped yet: %s", name, error)
        return False
    return True

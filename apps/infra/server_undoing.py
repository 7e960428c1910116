"""Undoing what a project's release did on its server: the release before runs again, or nothing does.

A release that another one has replaced in its place has nothing to undo. As
long as something has, no other release of the project begins.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from apps.infra import incidents, server_releases, settling, sweep
from apps.infra.models import (
    DeploymentStatus,
    DeploymentTarget,
    PortAllocation,
    Server,
    ServerStatus,
    ServiceDeployment,
)
from apps.infra.targets.base import DeployTarget, JobPhase, JobState, TargetUnavailable

logger = logging.getLogger(__name__)

#: How long what was not made live is worth being undone, and how often that is tried.
_UNDO_TIME, _UNDO_PAUSE = timedelta(minutes=30), timedelta(seconds=60)

#: How often an undoing left a port open, in the row's evidence; people are told from the third time on.
_IN_VAIN, _TOLD_AFTER = "undone_in_vain", 3
_PORT_OPEN = "port_not_closed"

Far = Callable[[Server], DeployTarget]


def nobody_is_far(server: Server) -> DeployTarget:
    """Reach no server at all.

    Raises:
        TargetUnavailable: always.
    """
    raise TargetUnavailable(f"Nobody knows how {server.name} is reached.")


def let_go(row: ServiceDeployment, far: Far, *, to: DeploymentStatus) -> bool:
    """End a release that was asked to go, or that another one has replaced in its place.

    Returns:
        Whether another step is due at once.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.
        TargetUnavailable: the server does not answer.
    """
    if not _is_undone(row, far):
        return False
    if row.starts == 0 and not _is_gone(row):
        _end_jobs(row, far(row.server))
    ServiceDeployment.transition(row.pk, to=to, finished_at=timezone.now())
    settling.announce(row)
    return True


def clean_up(row: ServiceDeployment, far: Far) -> None:
    """Remove what a settled release left on its server, if anything is to be undone there that first.

    Raises:
        TargetUnavailable: the server does not answer.
    """
    if not _is_undone(row, far):
        return
    if _is_gone(row):
        ServiceDeployment.objects.filter(pk=row.pk).update(removed_at=timezone.now(), environment="{}")
    elif _is_forgotten(row, far):
        target = far(row.server)
        settling.clean_up(row, target)
        sweep.remove_late_jobs(server_id=row.server_id, target=target)


def _is_forgotten(row: ServiceDeployment, far: Far) -> bool:
    """See to it that values which nobody uses any more are removed; tells whether they are."""
    was_built = row.installs > 0 and row.starts == 0
    if not (was_built or _is_replaced(row)):
        return True  # undoing it did that, too
    target, name = far(row.server), server_releases.forget_name(row)
    state = target.inspect(name)
    if state is None:
        # What still builds must not come after it.
        _end_jobs(row, target)
        target.begin(server_releases.forget_job(row))
        state = target.inspect(name)
    if state is None or state.phase is JobPhase.RUNNING:
        return False
    if state.phase is JobPhase.EXITED and state.exit_code == 0:
        return True
    logger.warning("What deployment %s left cannot be removed yet (%s)", row.pk, state.exit_code)
    if row.finished_at is not None and timezone.now() - row.finished_at > _UNDO_TIME:
        return True
    if _has_rested(state):
        target.end(name)
    return False


def _is_undone(row: ServiceDeployment, far: Far) -> bool:
    """See to it that what a release did is undone; tells whether it is."""
    if row.starts == 0 or _is_gone(row) or _is_replaced(row):
        return True
    target, name = far(row.server), server_releases.undo_name(row)
    state = target.inspect(name)
    if state is None:
        # First of all: what is still at work must not come after the undoing.
        _end_jobs(row, target)
        target.begin(server_releases.undo_job(row, before=_before(row)))
        return False
    if state.phase is JobPhase.RUNNING:
        return False
    if state.phase is JobPhase.EXITED and state.exit_code == 0:
        return _is_proven(row, target, state)
    log = settling.read_log(row, target, name)
    logger.warning("Deployment %s is not undone yet (%s): %s", row.pk, state.exit_code, log[-500:])
    if _is_past_undoing(row):
        return True
    if _has_rested(state):
        target.end(name)
    return False


def _is_proven(row: ServiceDeployment, target: DeployTarget, state: JobState) -> bool:
    """Tell whether an undoing that says it is done left no port open; one that did is done again."""
    subject, known = f"deployment:{row.pk}", row.evidence or {}
    if _are_ports_closed(row, target):
        if known.get(_IN_VAIN):
            incidents.resolve(kind=_PORT_OPEN, subject=subject)
        return True
    if not _has_rested(state):
        return False
    count = int(known.get(_IN_VAIN, 0)) + 1
    ServiceDeployment.objects.filter(pk=row.pk).update(evidence={**known, _IN_VAIN: count})
    if count >= _TOLD_AFTER:
        text = f"{row.server.name} still answers at a port of {row.project_slug}, stopped {count} times"
        incidents.report(
            kind=_PORT_OPEN,
            subject=subject,
            message=f"{text}. Find out there who listens, and end it.",
            server_id=row.server_id,
            project_id=row.project_id,
        )
    target.end(server_releases.undo_name(row))
    return False


def _are_ports_closed(row: ServiceDeployment, target: DeployTarget) -> bool:
    """Tell whether nobody answers for a project of which nothing is to run."""
    if _before(row):
        return True
    own = PortAllocation.objects.filter(server=row.server, project_id=row.project_id, deployment=None)
    return all(target.is_port_free(port) for port in own.values_list("port", flat=True))


def _end_jobs(row: ServiceDeployment, target: DeployTarget) -> None:
    for name, owner in target.list_jobs().items():
        if owner == str(row.pk):
            target.end(name)


def _has_rested(state: JobState) -> bool:
    return timezone.now() - (state.finished_at or state.started_at) > _UNDO_PAUSE


def _is_past_undoing(row: ServiceDeployment) -> bool:
    """Tell whether the release before was tried long enough; what a person stops is never given up."""
    if row.finished_at is None or not _before(row):
        return False
    return timezone.now() - row.finished_at > _UNDO_TIME


def _is_gone(row: ServiceDeployment) -> bool:
    return row.server.status == ServerStatus.DECOMMISSIONED


def _is_replaced(row: ServiceDeployment) -> bool:
    return row.live_at is not None and _others(row).filter(live_at__gt=row.live_at).exists()


def _before(row: ServiceDeployment) -> str:
    """Return the commit that was live before a release that has not become so; empty: none."""
    if row.live_at is not None:
        return ""
    live = _others(row).filter(status=DeploymentStatus.LIVE)
    return live.values_list("commit_sha", flat=True).first() or ""


def _others(row: ServiceDeployment) -> "QuerySet[ServiceDeployment]":
    mine = ServiceDeployment.objects.filter(project_id=row.project_id, target=DeploymentTarget.SERVER)
    return mine.filter(server_id=row.server_id).exclude(pk=row.pk)

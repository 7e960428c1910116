"""How a release ends: first its outcome is recorded, then what is left of it is removed."""

import logging
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.errors import Unavailable
from apps.failures import Failure, FailureKind
from apps.infra import releases, signals
from apps.infra.models import DeploymentStatus, PortAllocation, ServiceDeployment
from apps.infra.targets.base import DeployTarget

logger = logging.getLogger(__name__)

LOG_BYTES = 8_000
_SHOWN_CHARACTERS = 2_000


def announce(row: ServiceDeployment) -> None:
    """Tell whoever waits that the row has moved, once that is committed."""
    transaction.on_commit(lambda: signals.deployment_changed.send_robust(None, deployment_id=row.pk))


def read_log(row: ServiceDeployment, target: DeployTarget, job: str) -> str:
    """Return the end of a job's output in a form that may be kept and shown."""
    try:
        return releases.presentable(row, target.logs(job, tail_bytes=LOG_BYTES))
    except Unavailable as error:
        # The outcome must not wait for its illustration.
        logger.warning("The log of %s cannot be read: %s", job, error)
        return ""


def fail(
    row: ServiceDeployment,
    target: DeployTarget,
    code: str,
    message: str,
    *,
    job: str,
    platform: bool = False,
    kind: FailureKind = FailureKind.PRODUCT,
) -> None:
    """End a release that will not become live.

    Args:
        row: the release.
        target: where it runs.
        code: stable word for the reason.
        message: one sentence for people.
        job: whose output explains it.
        platform: we broke, not the release.
        kind: whose failure it is otherwise.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.
        TargetUnavailable: its remains could not be removed yet; the sweep comes back for them.
    """
    kind = FailureKind.PLATFORM if platform else kind
    log = read_log(row, target, job)
    ServiceDeployment.transition(
        row.pk,
        to=DeploymentStatus.CRASHED if platform else DeploymentStatus.FAILED,
        failure=_failure(code, message, kind, log=log).as_json(),
        log_tail=log,
        finished_at=timezone.now(),
    )
    announce(row)
    clean_up(row, target)


def record_failure(row: ServiceDeployment, code: str, message: str, kind: FailureKind) -> None:
    """End a release that a workflow put on its server; what is there is the workflow's business.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.
    """
    is_ours = kind is FailureKind.PLATFORM
    now = timezone.now()
    ServiceDeployment.transition(
        row.pk,
        to=DeploymentStatus.CRASHED if is_ours else DeploymentStatus.FAILED,
        failure=_failure(code, message, kind, log="").as_json(),
        finished_at=now,
        removed_at=now,
    )
    announce(row)


def _failure(code: str, message: str, kind: FailureKind, *, log: str) -> Failure:
    return Failure(
        stage="deploy",
        kind=kind,
        code=code,
        message=message,
        retryable=kind is FailureKind.PLATFORM,
        details={"log_tail": log[-_SHOWN_CHARACTERS:]},
    )


def go_live(row: ServiceDeployment, *, url: str, evidence: dict[str, Any]) -> None:
    """Make a release the one that users reach, and the one before it go, in one transaction.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.
    """
    with transaction.atomic():
        others = ServiceDeployment.objects.select_for_update().filter(
            project_id=row.project_id, service_name=row.service_name, status=DeploymentStatus.LIVE
        )
        for pk in others.values_list("pk", flat=True):
            ServiceDeployment.transition(pk, to=DeploymentStatus.STOPPING)
        ServiceDeployment.transition(
            row.pk,
            to=DeploymentStatus.LIVE,
            live_at=timezone.now(),
            url=url,
            evidence=evidence,
            deadline_at=None,
        )
        announce(row)


def stop(row: ServiceDeployment, target: DeployTarget, *, to: DeploymentStatus) -> None:
    """End a release that was asked to go: it has gone only when its processes have."""
    remove_processes(row, target)
    ServiceDeployment.transition(row.pk, to=to, finished_at=timezone.now())
    announce(row)
    clean_up(row, target)


def clean_up(row: ServiceDeployment, target: DeployTarget) -> None:
    """Remove what a settled release left; its port is freed only after its processes are gone.

    Its copy of the project's secrets goes too: the next release brings its own.
    """
    remove_processes(row, target)
    target.discard(releases.release_of(row))
    with transaction.atomic():
        PortAllocation.objects.filter(deployment=row).delete()
        ServiceDeployment.objects.filter(pk=row.pk).update(removed_at=timezone.now(), environment="{}")


def remove_processes(row: ServiceDeployment, target: DeployTarget) -> None:
    """End every job of a release.

    Raises:
        TargetUnavailable: one of them resists, or the place does not answer.
    """
    mine = [name for name, owner in target.list_jobs().items() if owner == str(row.pk)]
    for name in mine:
        target.end(name)

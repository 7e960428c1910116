"""Brings deployments' rows and their processes together, one step at a time.

    pending → installing → starting → live → stopping → stopped

Every name outside the database derives from the row (installation and service
jobs carry the row's counters, which are raised before the job they name), so a
process that dies between any two statements leaves nothing that the next look
does not adopt. The old release is replaced in the very transaction in which
the new one becomes live.
"""

import logging
import time
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.failures import Failure, FailureKind
from apps.infra import allocation, releases, signals
from apps.infra.models import DeploymentStatus, PortAllocation, Server, ServiceDeployment
from apps.infra.probe import ProbeResult, probe
from apps.infra.targets.base import DeployTarget, JobPhase, JobState

logger = logging.getLogger(__name__)

MAX_INSTALLS = 3
START_SECONDS = 45
#: How long one step asks a starting service before it hands over to the next step.
_ASK_SECONDS = 2.0
_ASK_PAUSE_SECONDS = 0.05
#: A service that ends sooner than this after its start is not started again at once.
_QUICK_EXIT = timedelta(seconds=10)
_RESTART_PAUSE = timedelta(seconds=20)
_LOG_BYTES = 8_000


def reconcile_deployment(*, deployment_id: str | UUID, target: DeployTarget) -> bool:
    """Take one step; the caller holds the deployment's advisory lock.

    Returns:
        Whether another step is due at once.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.
        TargetUnavailable: the place does not answer; nothing is known.
    """
    row = ServiceDeployment.objects.select_related("server").get(pk=deployment_id)
    ServiceDeployment.objects.filter(pk=row.pk).update(observed_at=timezone.now())
    match row.status:
        case DeploymentStatus.PENDING:
            return _claim(row)
        case DeploymentStatus.INSTALLING:
            return _install(row, target)
        case DeploymentStatus.STARTING:
            return _start(row, target)
        case DeploymentStatus.LIVE:
            return _keep_alive(row, target)
        case DeploymentStatus.STOPPING:
            return _stop(row, target, to=DeploymentStatus.STOPPED)
        case DeploymentStatus.CANCELING:
            return _stop(row, target, to=DeploymentStatus.CANCELED)
    if row.removed_at is None:
        _clean_up(row, target)
    return False


def _announce(row: ServiceDeployment) -> None:
    transaction.on_commit(lambda: signals.deployment_changed.send_robust(None, deployment_id=row.pk))


def _claim(row: ServiceDeployment) -> bool:
    ServiceDeployment.transition(row.pk, to=DeploymentStatus.INSTALLING, installs=F("installs") + 1)
    _announce(row)
    return True


def _install(row: ServiceDeployment, target: DeployTarget) -> bool:
    job = releases.install_job(row)
    state = target.inspect(job.name)
    if state is None:
        target.begin(job)
        state = target.inspect(job.name)
    if state is None or state.phase is JobPhase.LOST:
        return _install_again(row, target)
    if state.phase is JobPhase.RUNNING:
        if _is_late(row):
            _fail(row, target, "install_timeout", "The installation did not end in time.", job=job.name)
        return False
    if state.exit_code != 0:
        message = f"The set-up command ended with exit code {state.exit_code}."
        _fail(row, target, "setup_failed", message, job=job.name)
        return False
    ServiceDeployment.transition(
        row.pk,
        to=DeploymentStatus.STARTING,
        starts=1,
        installed_at=timezone.now(),
        deadline_at=timezone.now() + timedelta(seconds=START_SECONDS),
        evidence={"install_seconds": _seconds(state)},
    )
    _announce(row)
    return True


def _install_again(row: ServiceDeployment, target: DeployTarget) -> bool:
    if row.installs >= MAX_INSTALLS:
        text = f"The installation was lost {row.installs} times without an exit code."
        _fail(row, target, "install_lost", text, job=releases.install_name(row), platform=True)
        return False
    target.end(releases.install_name(row))
    target.discard(releases.release_of(row))
    ServiceDeployment.objects.filter(pk=row.pk, status=row.status).update(installs=F("installs") + 1)
    return True


def _port_of(row: ServiceDeployment) -> int:
    return PortAllocation.objects.values_list("port", flat=True).get(deployment=row)


def _start(row: ServiceDeployment, target: DeployTarget) -> bool:
    name = releases.service_name(row)
    state = target.inspect(name)
    if state is None:
        if not target.is_port_free(_port_of(row)):
            _move_to_another_port(row)
            return True
        target.begin(releases.service_job(row, port=_port_of(row)))
        state = target.inspect(name)
    if state is None or state.phase is not JobPhase.RUNNING:
        code = state.exit_code if state else None
        _fail(
            row,
            target,
            "service_exited",
            f"The service ended before it answered (exit code {code}).",
            job=name,
        )
        return False
    port = _port_of(row)
    answer = _ask(releases.base_url(row, port=port).rstrip("/") + row.health_path)
    still = target.inspect(name)
    # The answer counts only while our process lives: otherwise somebody else gave it.
    if answer.is_healthy and still is not None and still.phase is JobPhase.RUNNING:
        _go_live(row, answer, still, port=port)
        return False
    if _is_late(row):
        text = f"{row.health_path} did not answer 200 in time; last: {answer.status or answer.error}."
        _fail(row, target, "smoke_failed", text, job=name)
        return False
    return True


def _ask(url: str) -> ProbeResult:
    until = time.monotonic() + _ASK_SECONDS
    while True:
        answer = probe(url)
        if answer.is_healthy or time.monotonic() > until:
            return answer
        time.sleep(_ASK_PAUSE_SECONDS)


def _move_to_another_port(row: ServiceDeployment) -> None:
    with transaction.atomic():
        server = Server.objects.select_for_update().get(pk=row.server_id)
        taken = _port_of(row)
        port = allocation.allocate(row, server=server, unusable=frozenset({taken}))
    logger.warning("Port %s is taken by a stranger; deployment %s moves to %s", taken, row.pk, port)


def _go_live(row: ServiceDeployment, answer: ProbeResult, state: JobState, *, port: int) -> None:
    now = timezone.now()
    evidence = {
        **(row.evidence or {}),
        "start_seconds": round((now - state.started_at).total_seconds(), 3),
        "smoke": answer.as_json(),
        "commit_sha": row.commit_sha,
    }
    with transaction.atomic():
        others = ServiceDeployment.objects.select_for_update().filter(
            project_id=row.project_id, service_name=row.service_name, status=DeploymentStatus.LIVE
        )
        for pk in others.values_list("pk", flat=True):
            ServiceDeployment.transition(pk, to=DeploymentStatus.STOPPING)
        ServiceDeployment.transition(
            row.pk,
            to=DeploymentStatus.LIVE,
            live_at=now,
            url=releases.base_url(row, port=port),
            evidence=evidence,
            deadline_at=None,
        )
        _announce(row)


def _keep_alive(row: ServiceDeployment, target: DeployTarget) -> bool:
    name = releases.service_name(row)
    state = target.inspect(name)
    if state is not None and state.phase is JobPhase.RUNNING:
        return False
    if state is None:
        target.begin(releases.service_job(row, port=_port_of(row)))
        return False
    ended = state.finished_at or state.started_at
    lived = ended - state.started_at
    if lived < _QUICK_EXIT and timezone.now() - ended < _RESTART_PAUSE:
        return False
    logger.warning("Service %s ended (exit code %s) and is started again", name, state.exit_code)
    ServiceDeployment.objects.filter(pk=row.pk, status=row.status).update(
        starts=F("starts") + 1, log_tail=target.logs(name, tail_bytes=_LOG_BYTES)
    )
    target.end(name)
    return True


def _stop(row: ServiceDeployment, target: DeployTarget, *, to: DeploymentStatus) -> bool:
    _remove_processes(row, target)
    ServiceDeployment.transition(row.pk, to=to, finished_at=timezone.now())
    _announce(row)
    _clean_up(row, target)
    return False


def _fail(
    row: ServiceDeployment,
    target: DeployTarget,
    code: str,
    message: str,
    *,
    job: str,
    platform: bool = False,
) -> None:
    log = target.logs(job, tail_bytes=_LOG_BYTES)
    failure = Failure(
        stage="deploy",
        kind=FailureKind.PLATFORM if platform else FailureKind.PRODUCT,
        code=code,
        message=message,
        retryable=platform,
        details={"log_tail": log[-2_000:]},
    )
    ServiceDeployment.transition(
        row.pk,
        to=DeploymentStatus.CRASHED if platform else DeploymentStatus.FAILED,
        failure=failure.as_json(),
        log_tail=log,
        finished_at=timezone.now(),
    )
    _announce(row)
    _clean_up(row, target)


def _remove_processes(row: ServiceDeployment, target: DeployTarget) -> None:
    mine = [name for name, owner in target.list_jobs().items() if owner == str(row.pk)]
    for name in mine:
        target.end(name)


def _clean_up(row: ServiceDeployment, target: DeployTarget) -> None:
    """Remove what a settled release left; its port is freed only after its processes are gone."""
    _remove_processes(row, target)
    target.discard(releases.release_of(row))
    with transaction.atomic():
        PortAllocation.objects.filter(deployment=row).delete()
        ServiceDeployment.objects.filter(pk=row.pk).update(removed_at=timezone.now())


def _is_late(row: ServiceDeployment) -> bool:
    return row.deadline_at is not None and timezone.now() > row.deadline_at


def _seconds(state: JobState) -> float | None:
    if state.finished_at is None:
        return None
    return round((state.finished_at - state.started_at).total_seconds(), 3)

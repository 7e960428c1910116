"""The reconciler's steps of a project's release on a server that we reach by SSH.

    pending → installing (built there) → starting (made the one that runs, then asked from outside) → live

It replaces the release before in place, under the same ports: two at once would
need two databases on one volume. Whatever ends before it is live is undone, and
until that is done no other release of the project begins.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from apps.errors import Invalid, NotFound, OrchestratorError, Unavailable
from apps.failures import Failure, FailureKind
from apps.infra import answering, releases, rollout_steps, server_releases, server_undoing, settling
from apps.infra.answering import BotAnswer, Smoke
from apps.infra.models import (
    DeploymentStatus,
    PortAllocation,
    ServerStatus,
    ServiceDeployment,
    ServiceKind,
)
from apps.infra.server_undoing import Far
from apps.infra.targets.base import DeployTarget, JobPhase

MAX_TRIES = 3
_MARGIN_SECONDS = 60
_SHOWN_CHARACTERS = 2_000


def take(row: ServiceDeployment, far: Far, smoke: Smoke) -> bool:
    """Take one step.

    Args:
        row: the release, with its server.
        far: how a server is reached.
        smoke: how a release that runs is asked whether it is well.

    Returns:
        Whether another step is due at once.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.
        TargetUnavailable: the server does not answer; nothing is known.
    """
    match row.status:
        case DeploymentStatus.PENDING:
            return _claim(row)
        case DeploymentStatus.INSTALLING | DeploymentStatus.STARTING:
            return _bring_up(row, far, smoke)
        case DeploymentStatus.STOPPING:
            return server_undoing.let_go(row, far, to=DeploymentStatus.STOPPED)
        case DeploymentStatus.CANCELING:
            return server_undoing.let_go(row, far, to=DeploymentStatus.CANCELED)
        case DeploymentStatus.LIVE:
            return False  # its server's Docker keeps it running, and its address is probed
        case _ if row.removed_at is None:
            server_undoing.clean_up(row, far)
    return False


def _claim(row: ServiceDeployment) -> bool:
    until = _until(server_releases.BUILD_SECONDS)
    ServiceDeployment.transition(
        row.pk, to=DeploymentStatus.INSTALLING, installs=F("installs") + 1, deadline_at=until
    )
    settling.announce(row)
    return True


def _bring_up(row: ServiceDeployment, far: Far, smoke: Smoke) -> bool:
    try:
        if row.server.status == ServerStatus.DECOMMISSIONED:
            raise NotFound(f"The server {row.server.name} is gone.", code="server_gone")
        if row.status == DeploymentStatus.INSTALLING:
            return _install(row, far(row.server))
        if not (row.evidence or {}).get("activated"):
            return _activate(row, far(row.server))
        return _ask(row, smoke)
    except (Invalid, NotFound) as error:
        return _give_up(row, error)
    except Unavailable as error:
        if not _is_late(row):
            raise
        return _give_up(row, error)


def _install(row: ServiceDeployment, target: DeployTarget) -> bool:
    job = server_releases.install_job(row, ports=_ports_by_variable(row))
    state = target.inspect(job.name)
    if state is None or state.phase is JobPhase.RUNNING:
        if _is_late(row):
            text = "The server did not build the release in time."
            return _end(row, "install_timeout", text, FailureKind.PLATFORM, log="")
        if state is None:
            target.begin(job)
        return False
    log = settling.read_log(row, target, job.name)
    if state.phase is JobPhase.LOST:
        return _again(row, target, job.name, "installs", log)
    if state.exit_code != 0:
        return _end(row, *server_releases.install_problem(state.exit_code, log), log=log)
    ServiceDeployment.transition(
        row.pk,
        to=DeploymentStatus.STARTING,
        starts=1,
        installed_at=timezone.now(),
        deadline_at=_until(server_releases.ACTIVATION_SECONDS),
        evidence={"install_seconds": _seconds(state.started_at, state.finished_at)},
    )
    settling.announce(row)
    return True


def _activate(row: ServiceDeployment, target: DeployTarget) -> bool:
    name = server_releases.activation_name(row)
    state = target.inspect(name)
    if state is None or state.phase is JobPhase.RUNNING:
        if _is_late(row):
            text = "The server did not make the release live in time."
            return _end(row, "activation_timeout", text, FailureKind.PLATFORM, log="")
        if state is None:
            target.begin(server_releases.activation_job(row))
        return False
    log = settling.read_log(row, target, name)
    if state.phase is JobPhase.LOST:
        return _again(row, target, name, "starts", log)
    if state.exit_code != 0:
        return _end(row, *server_releases.activation_problem(state.exit_code, log), log=log)
    own = PortAllocation.objects.filter(server=row.server, project_id=row.project_id, deployment=None)
    ServiceDeployment.objects.filter(pk=row.pk, status=row.status).update(
        url=server_releases.address_of(row, dict(own.values_list("role", "port"))),
        images=server_releases.images_of(log),
        evidence={**(row.evidence or {}), "activated": state.started_at.isoformat()},
        deadline_at=timezone.now() + timedelta(seconds=settings.INFRA_ANSWER_DEADLINE_SECONDS),
    )
    return True


def _ask(row: ServiceDeployment, smoke: Smoke) -> bool:
    began = row.installed_at or row.created_at
    if row.kind == ServiceKind.WEB and not row.url:
        return _end(row, "port_missing", "The project's web service has no port.", FailureKind.USER, log="")
    answer = answering.ask(row, url=row.url.rstrip("/") + row.health_path, started_at=began, smoke=smoke)
    if answer.is_healthy:
        said = answer.as_json()
        if "body" in said:
            said["body"] = releases.presentable(row, said["body"])
        seconds = _seconds(began, timezone.now())
        known = {**(row.evidence or {}), "smoke": said, "start_seconds": seconds}
        settling.go_live(row, url=row.url, evidence={**known, "commit_sha": row.commit_sha})
        return False
    if isinstance(answer, BotAnswer) and answer.bot.is_refused:
        text = "Telegram does not know the bot's token; give another one."
        return _end(row, "bot_token_refused", text, FailureKind.USER, log="")
    if not _is_late(row):
        return True
    return _end(row, *rollout_steps.complaint_from_outside(row, answer), log="")


def _again(row: ServiceDeployment, target: DeployTarget, job: str, counter: str, log: str) -> bool:
    """Begin a lost job anew, under another name, or give up."""
    if getattr(row, counter) >= MAX_TRIES:
        text = f"The server lost the work {MAX_TRIES} times without an exit code."
        return _end(row, "install_lost", text, FailureKind.PLATFORM, log=log)
    target.end(job)
    if counter == "installs":
        target.discard(releases.release_of(row))
    rows = ServiceDeployment.objects.filter(pk=row.pk, status=row.status)
    rows.update(**{counter: F(counter) + 1}, log_tail=log)
    return True


def _give_up(row: ServiceDeployment, error: OrchestratorError) -> bool:
    text = f"The release could not be brought up: {error.message}"
    return _end(row, error.error_code, text, FailureKind.PLATFORM, log="")


def _end(row: ServiceDeployment, code: str, text: str, kind: FailureKind, *, log: str) -> bool:
    """Record why a release will not become live; what it did is undone from the next step on."""
    failure = Failure(
        stage="deploy",
        kind=kind,
        code=code,
        message=text,
        retryable=kind is FailureKind.PLATFORM,
        details={"log_tail": log[-_SHOWN_CHARACTERS:]},
    )
    is_ours = kind is FailureKind.PLATFORM
    ServiceDeployment.transition(
        row.pk,
        to=DeploymentStatus.CRASHED if is_ours else DeploymentStatus.FAILED,
        failure=failure.as_json(),
        log_tail=log,
        finished_at=timezone.now(),
    )
    settling.announce(row)
    return True


def _ports_by_variable(row: ServiceDeployment) -> dict[str, int]:
    own = PortAllocation.objects.filter(server=row.server, project_id=row.project_id, deployment=None)
    ports = dict(own.values_list("role", "port"))
    entries = (row.contract or {}).get("environment") or ()
    roles = {entry["key"]: entry.get("role") for entry in entries if entry.get("role")}
    return {key: ports[role] for key, role in roles.items() if role in ports}


def _until(seconds: float) -> Any:
    return timezone.now() + timedelta(seconds=seconds + _MARGIN_SECONDS)


def _is_late(row: ServiceDeployment) -> bool:
    return row.deadline_at is not None and timezone.now() > row.deadline_at


def _seconds(began: Any, ended: Any) -> float | None:
    return None if ended is None else round((ended - began).total_seconds(), 3)

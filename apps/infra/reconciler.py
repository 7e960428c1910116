"""Brings deployments' rows and their processes together, one step at a time.

    pending → installing → starting → live → stopping → stopped

Every name outside the database derives from the row (installation and service
jobs carry the row's counters, which are raised before the job they name), so a
process that dies between any two statements leaves nothing that the next look
does not adopt. The old release is replaced in the very transaction in which
the new one becomes live.
"""

import logging
from datetime import timedelta
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from apps.errors import Invalid, NotFound, OrchestratorError, Unavailable
from apps.failures import FailureKind
from apps.infra import allocation, answering, entering, releases, rollout_steps, server_steps, settling
from apps.infra.answering import Answer, BotAnswer, Smoke
from apps.infra.entering import Entered
from apps.infra.models import DeploymentStatus, DeploymentTarget, ServiceDeployment
from apps.infra.selectors import own_port_of, port_of
from apps.infra.server_undoing import Far, nobody_is_far
from apps.infra.targets.base import DeployTarget, Job, JobPhase, JobState

logger = logging.getLogger(__name__)

AS_USUAL = Smoke()
MAX_INSTALLS = 3
#: How often a release that has not answered yet is started: a port may be taken under its hands.
MAX_FIRST_STARTS = 5
START_SECONDS = 45
#: A service that ends sooner than this after its start is not started again at once.
_QUICK_EXIT = timedelta(seconds=10)
_RESTART_PAUSE = timedelta(seconds=20)
#: A service that ends early is started again at once this often; after that it may be a crash loop.
_STARTS_AT_ONCE = 3


def reconcile_deployment(
    *, deployment_id: str | UUID, target: DeployTarget, smoke: Smoke = AS_USUAL, far: Far = nobody_is_far
) -> bool:
    """Take one step; the caller holds the deployment's advisory lock.

    Args:
        deployment_id: whose step.
        target: where it runs.
        smoke: how a release that runs is asked whether it is well.
        far: how a server is reached by SSH.

    Returns:
        Whether another step is due at once.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.
        TargetUnavailable: the place does not answer; nothing is known.
    """
    row = ServiceDeployment.objects.select_related("server").filter(pk=deployment_id).first()
    if row is None:
        return False  # a job nobody owns has ended; the sweep removes it
    ServiceDeployment.objects.filter(pk=row.pk).update(observed_at=timezone.now())
    if row.target == DeploymentTarget.WORKFLOW:
        return rollout_steps.take(row, smoke)
    if row.target == DeploymentTarget.SERVER:
        return server_steps.take(row, far, smoke)
    return _take(row, target, smoke)


def _take(row: ServiceDeployment, target: DeployTarget, smoke: Smoke) -> bool:
    match row.status:
        case DeploymentStatus.PENDING:
            return _claim(row)
        case DeploymentStatus.INSTALLING | DeploymentStatus.STARTING:
            return _bring_up(row, target, smoke)
        case DeploymentStatus.LIVE:
            return _keep_alive(row, target)
        case DeploymentStatus.STOPPING:
            settling.stop(row, target, to=DeploymentStatus.STOPPED)
        case DeploymentStatus.CANCELING:
            settling.stop(row, target, to=DeploymentStatus.CANCELED)
        case _ if row.removed_at is None:
            settling.clean_up(row, target)
    return False


def _claim(row: ServiceDeployment) -> bool:
    ServiceDeployment.transition(row.pk, to=DeploymentStatus.INSTALLING, installs=F("installs") + 1)
    settling.announce(row)
    return True


def _bring_up(row: ServiceDeployment, target: DeployTarget, smoke: Smoke) -> bool:
    """Take a step towards live; a release that cannot be begun ends, at the latest when it is late."""
    installing = row.status == DeploymentStatus.INSTALLING
    try:
        return _install(row, target) if installing else _start(row, target, smoke)
    except (Invalid, NotFound) as error:
        _give_up(row, target, error)
    except Unavailable as error:
        if not _is_late(row):
            raise
        _give_up(row, target, error)
    return False


def _give_up(row: ServiceDeployment, target: DeployTarget, error: OrchestratorError) -> None:
    text = f"The release could not be brought up: {error.message}"
    settling.fail(row, target, error.error_code, text, job=_present_job(row), platform=True)


def _present_job(row: ServiceDeployment) -> str:
    installing = row.status == DeploymentStatus.INSTALLING
    return releases.install_name(row) if installing else releases.service_name(row)


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
            message = "The installation did not end in time."
            settling.fail(row, target, "install_timeout", message, job=job.name)
        return False
    if state.exit_code != 0:
        message = f"The set-up command ended with exit code {state.exit_code}."
        settling.fail(row, target, "setup_failed", message, job=job.name)
        return False
    ServiceDeployment.transition(
        row.pk,
        to=DeploymentStatus.STARTING,
        starts=1,
        installed_at=timezone.now(),
        deadline_at=timezone.now() + timedelta(seconds=START_SECONDS),
        evidence={"install_seconds": _seconds(state)},
    )
    settling.announce(row)
    return True


def _install_again(row: ServiceDeployment, target: DeployTarget) -> bool:
    if row.installs >= MAX_INSTALLS:
        text = f"The installation was lost {row.installs} times without an exit code."
        settling.fail(row, target, "install_lost", text, job=releases.install_name(row), platform=True)
        return False
    target.end(releases.install_name(row))
    target.discard(releases.release_of(row))
    ServiceDeployment.objects.filter(pk=row.pk, status=row.status).update(installs=F("installs") + 1)
    return True


def _service_job(row: ServiceDeployment) -> Job:
    return releases.service_job(row, port=own_port_of(row), known_at=port_of(row))


def _is_port_taken(row: ServiceDeployment, target: DeployTarget) -> bool:
    port = own_port_of(row)
    return port is not None and not target.is_port_free(port)


def _start(row: ServiceDeployment, target: DeployTarget, smoke: Smoke) -> bool:
    name = releases.service_name(row)
    state = target.inspect(name)
    if state is None:
        if _is_port_taken(row, target):
            if _is_late(row):
                text = "Strangers hold the ports that were tried."
                settling.fail(row, target, "ports_taken", text, job=name, platform=True)
                return False
            allocation.move(row)
            return True
        target.begin(_service_job(row))
        state = target.inspect(name)
    if state is None or state.phase is not JobPhase.RUNNING:
        return _not_running(row, target, state)
    port = own_port_of(row)
    base = releases.base_url(row, port=port)
    answer = answering.ask(
        row, url=base.rstrip("/") + row.health_path, started_at=state.started_at, smoke=smoke
    )
    # The answer counts only while our process lives: otherwise somebody else gave it.
    if not (answer.is_healthy and _is_running(target, name)):
        return _not_well(row, target, answer)
    if port is None:
        _go_live(row, answer, state, url="")
        return False
    entered = entering.enter(row, answer, state=state, port=port, smoke=smoke)
    return _judge(row, target, state, entered)


def _is_running(target: DeployTarget, name: str) -> bool:
    state = target.inspect(name)
    return state is not None and state.phase is JobPhase.RUNNING


def _judge(row: ServiceDeployment, target: DeployTarget, state: JobState, found: Entered) -> bool:
    name = releases.service_name(row)
    if found.answer is not None and found.answer.is_healthy and _is_running(target, name):
        _go_live(row, found.answer, state, url=found.url)
        return False
    if _is_late(row) and not found.is_elsewhere:
        text = found.problem or f"{found.url} does not answer, although the release does."
        settling.fail(row, target, "entrance_failed", text, job=name, platform=True)
        return False
    return True


def _not_well(row: ServiceDeployment, target: DeployTarget, answer: Answer) -> bool:
    name = releases.service_name(row)
    if isinstance(answer, BotAnswer) and answer.bot.is_refused:
        text = "Telegram does not know the bot's token; give another one."
        settling.fail(row, target, "bot_token_refused", text, job=name, kind=FailureKind.USER)
        return False
    entering.leave(row)
    if _is_late(row):
        code, text, is_ours = answering.complaint(row, answer)
        settling.fail(row, target, code, text, job=name, platform=is_ours)
        return False
    return True


def _not_running(row: ServiceDeployment, target: DeployTarget, state: JobState | None) -> bool:
    """Tell a release that ended by itself from one that was lost or whose port was taken under its hands."""
    name = releases.service_name(row)
    ended_by_itself = state is not None and state.phase is JobPhase.EXITED
    if ended_by_itself and not _is_port_taken(row, target):
        code = state.exit_code if state else None
        text = f"The service ended before it answered (exit code {code})."
        settling.fail(row, target, "service_exited", text, job=name)
        return False
    if row.starts >= MAX_FIRST_STARTS:
        text = f"The service was lost {row.starts} times before it answered."
        settling.fail(row, target, "service_lost", text, job=name, platform=True)
        return False
    logger.warning("Service %s was lost before it answered and is started again", name)
    _start_again(row, target)
    return True


def _start_again(row: ServiceDeployment, target: DeployTarget) -> None:
    name = releases.service_name(row)
    log = settling.read_log(row, target, name)
    # First this: whatever is left of the old process must not hold the port of the new one.
    target.end(name)
    ServiceDeployment.objects.filter(pk=row.pk, status=row.status).update(
        starts=F("starts") + 1, log_tail=log, answered_at=None
    )


def _go_live(row: ServiceDeployment, answer: Answer, state: JobState, *, url: str) -> None:
    now = timezone.now()
    smoke = answer.as_json()
    if "body" in smoke:
        smoke["body"] = releases.presentable(row, smoke["body"])
    evidence = {
        **(row.evidence or {}),
        "start_seconds": round((now - state.started_at).total_seconds(), 3),
        "smoke": smoke,
        "commit_sha": row.commit_sha,
    }
    settling.go_live(row, url=url, evidence=evidence)


def _keep_alive(row: ServiceDeployment, target: DeployTarget) -> bool:
    name = releases.service_name(row)
    state = target.inspect(name)
    if state is not None and state.phase is JobPhase.RUNNING:
        return False
    if state is None:
        # One of another name may run, as after an upgrade that gave it another port.
        settling.remove_processes(row, target)
        target.begin(_service_job(row))
        return False
    ended = state.finished_at or state.started_at
    lived = ended - state.started_at
    is_looping = row.starts > _STARTS_AT_ONCE and lived < _QUICK_EXIT
    if is_looping and timezone.now() - ended < _RESTART_PAUSE:
        return False
    logger.warning("Service %s ended (exit code %s) and is started again", name, state.exit_code)
    _start_again(row, target)
    return True


def _is_late(row: ServiceDeployment) -> bool:
    return row.deadline_at is not None and timezone.now() > row.deadline_at


def _seconds(state: JobState) -> float | None:
    if state.finished_at is None:
        return None
    return round((state.finished_at - state.started_at).total_seconds(), 3)

"""What observations mean: the only place that turns facts into statuses and failures. Pure."""

from dataclasses import dataclass
from typing import Final

from apps.failures import Failure, FailureKind
from apps.workers.models import TurnStatus, WorkerStatus
from apps.workers.runtime.ends import LOST
from worker_image.contract import DeveloperWorkerOutput, ErrorCode, POWorkerOutput, ResultStatus, WrapperExit

MAX_COUNT: Final = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnEnding:
    """How a turn ended."""

    status: TurnStatus
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerEnding:
    """How a worker ended."""

    status: WorkerStatus
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerEnd:
    """What was observed of a container that is gone; None means that nobody can know."""

    exit_code: int | None = None
    oom_killed: bool | None = None
    was_asked: bool = False
    """Whether we asked it to end while it lived."""

    @property
    def is_its_own(self) -> bool:
        """Whether it is known to have ended before anybody of ours asked it to."""
        return self.exit_code is not None and not self.was_asked


#: Why a turn has no success → whose move it is, whether another attempt may help.
_KINDS: Final = {
    ErrorCode.AGENT_EXIT: (FailureKind.PRODUCT, True),
    ErrorCode.RESULT_MISSING: (FailureKind.PRODUCT, True),
    ErrorCode.RESULT_UNREADABLE: (FailureKind.PRODUCT, True),
    ErrorCode.RESULT_TOO_LARGE: (FailureKind.PRODUCT, True),
    ErrorCode.AGENT_REPORTED_FAILURE: (FailureKind.PRODUCT, False),
    ErrorCode.TIMEOUT: (FailureKind.PRODUCT, True),
    ErrorCode.SNAPSHOT_REFUSED: (FailureKind.PRODUCT, True),
    ErrorCode.WORKSPACE_UNAVAILABLE: (FailureKind.PLATFORM, True),
    ErrorCode.AGENT_MISSING: (FailureKind.PLATFORM, False),
    ErrorCode.WORKER_RESTARTED: (FailureKind.PLATFORM, True),
    ErrorCode.WORKER_STOPPED: (FailureKind.PLATFORM, True),
    ErrorCode.WORKER_FAILED: (FailureKind.PLATFORM, True),
    ErrorCode.INPUT_UNREADABLE: (FailureKind.PLATFORM, False),
    ErrorCode.PROVIDER_REFUSED: (FailureKind.PROVIDER, False),
    ErrorCode.PROVIDER_LIMITED: (FailureKind.PROVIDER, True),
    ErrorCode.PROVIDER_UNAVAILABLE: (FailureKind.PROVIDER, True),
}
#: Results that say "the platform broke", not "the work said no".
_CRASHES: Final = frozenset(
    {
        ErrorCode.WORKSPACE_UNAVAILABLE,
        ErrorCode.WORKER_RESTARTED,
        ErrorCode.WORKER_STOPPED,
        ErrorCode.WORKER_FAILED,
        ErrorCode.INPUT_UNREADABLE,
    }
)
#: 128 and the number of SIGKILL: nobody ends by itself like this.
_KILLED: Final = 137
#: Code of the failure of a worker that says too much.
FLOOD_CODE: Final = "output_flood"
#: Code of the failure of an agent that shows no sign of life.
STALL_CODE: Final = "agent_stalled"
#: Reasons of ours to end a worker that are nobody's work.
_CRASH_REASONS: Final = frozenset({"spawn_timeout", LOST, STALL_CODE})


def turn_ending(result: DeveloperWorkerOutput | POWorkerOutput, *, has_bundle: bool) -> TurnEnding:
    """Judge a worker's result: a claim of success is only that, and needs the commits it speaks of.

    Args:
        result: the worker's words.
        has_bundle: whether a bundle with the claimed commit was uploaded for this turn.

    """
    if result.status is not ResultStatus.SUCCESS:
        return _unsuccessful(result)
    commit_sha = getattr(result, "commit_sha", None)
    if commit_sha is not None and not has_bundle:
        return TurnEnding(
            status=TurnStatus.FAILED,
            failure=Failure(
                stage="turn",
                kind=FailureKind.PRODUCT,
                code="snapshot_missing",
                message=f"The worker claims commit {commit_sha[:12]} but never uploaded it.",
                retryable=True,
            ),
        )
    return TurnEnding(status=TurnStatus.SUCCEEDED)


def _unsuccessful(result: DeveloperWorkerOutput | POWorkerOutput) -> TurnEnding:
    code = result.error_code
    if code is None:
        code = ErrorCode.TIMEOUT if result.status is ResultStatus.TIMEOUT else ErrorCode.AGENT_EXIT
        if result.status is ResultStatus.FAILED:
            code = ErrorCode.AGENT_REPORTED_FAILURE
    kind, retryable = _KINDS[code]
    return TurnEnding(
        status=TurnStatus.CRASHED if code in _CRASHES else TurnStatus.FAILED,
        failure=Failure(
            stage="turn",
            kind=kind,
            code=str(code),
            message=result.error or getattr(result, "summary", None) or f"The turn ended with {code}.",
            retryable=retryable,
            details={"reason": reason} if (reason := getattr(result, "reason", None)) else {},
        ),
    )


def worker_ending(
    *, is_canceling: bool, is_released: bool, stop_failure: Failure | None, end: ContainerEnd
) -> WorkerEnding:
    """Judge a worker whose container is gone and whose output was read to the end."""
    if is_canceling and (is_released or not end.is_its_own):
        return WorkerEnding(status=WorkerStatus.CANCELED)
    if stop_failure is not None:
        crashed = stop_failure.code in _CRASH_REASONS
        return WorkerEnding(
            status=WorkerStatus.CRASHED if crashed else WorkerStatus.FAILED, failure=stop_failure
        )
    if is_released:
        return WorkerEnding(status=WorkerStatus.SUCCEEDED)
    if end.exit_code == WrapperExit.STOPPED and not end.oom_killed:
        # It obeyed a SIGTERM that was not ours: no crash, and its work is worth another attempt.
        return WorkerEnding(
            status=WorkerStatus.FAILED,
            failure=platform_failure("worker_stopped", "The worker was stopped from outside of this system."),
        )
    return WorkerEnding(status=WorkerStatus.CRASHED, failure=_death(end))


def _death(end: ContainerEnd) -> Failure:
    if end.oom_killed:
        code, message = "out_of_memory", "The worker used more memory than it may."
    elif end.exit_code is None:
        code, message = LOST, "The worker's container is gone and nobody recorded how it ended."
    elif end.exit_code == WrapperExit.MISCONFIGURED:
        code, message = "worker_misconfigured", "The worker's environment lacks something it needs."
    elif end.exit_code == WrapperExit.UNINSTRUCTED:
        code, message = "instructions_missing", "The worker's instructions could not be put in place."
    elif end.exit_code == _KILLED:
        code, message = "worker_exited", "The worker was killed (SIGKILL, exit code 137)."
    else:
        code, message = "worker_exited", f"The worker ended by itself with exit code {end.exit_code}."
    return platform_failure(code, message, details={"exit_code": end.exit_code})


def turn_of_dead_worker(ending: WorkerEnding) -> TurnEnding:
    """Judge the turn that a worker left unfinished."""
    if ending.status is WorkerStatus.CANCELED:
        return TurnEnding(status=TurnStatus.CANCELED)
    reason = ending.failure.message if ending.failure else "The worker ended."
    code = ending.failure.code if ending.failure else "worker_ended"
    failure = platform_failure(code, f"The worker ended without a result. {reason}", stage="turn")
    return TurnEnding(status=TurnStatus.CRASHED, failure=failure)


def turn_timeout(timeout_seconds: int) -> Failure:
    """Return why a turn without a result ends at its deadline."""
    return Failure(
        stage="turn",
        kind=FailureKind.PRODUCT,
        code=str(ErrorCode.TIMEOUT),
        message=f"No result came within the {timeout_seconds} seconds of the turn and the time to report.",
        retryable=True,
    )


def stall(ground: str, seconds: float) -> Failure:
    """Return why a turn without any sign of life ends: no work is to blame, a fresh agent may do better.

    Args:
        ground: what the verdict rests on.
        seconds: how long it was left to recover.

    """
    message = f"The agent showed no sign of life ({ground}) and did not recover within {seconds:g} s."
    return platform_failure(STALL_CODE, message, stage="turn", details={"ground": ground})


def disk_full(used_mb: int, *, limit_mb: int, stage: str = "worker") -> Failure:
    """Return why a worker, or a check, whose files take too much is stopped."""
    return Failure(
        stage=stage,
        kind=FailureKind.PRODUCT,
        code="disk_full",
        message=f"The {stage}'s files take {used_mb} MiB of the {limit_mb} MiB that it may use.",
        retryable=True,
        details={"used_mb": used_mb, "limit_mb": limit_mb},
    )


def flood(limit: int) -> Failure:
    """Return why a worker that says too much is stopped."""
    return Failure(
        stage="worker",
        kind=FailureKind.PRODUCT,
        code=FLOOD_CODE,
        message=f"The worker reported more than {limit} times in a minute, or filled the channel.",
    )


def platform_failure(
    code: str,
    message: str,
    *,
    stage: str = "worker",
    retryable: bool = True,
    details: dict[str, object] | None = None,
) -> Failure:
    """Return a failure that is ours."""
    return Failure(
        stage=stage,
        kind=FailureKind.PLATFORM,
        code=code,
        message=message,
        retryable=retryable,
        details=details or {},
    )

"""What an attempt's result means: for its row, for its server, and for whether to try again. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from apps.errors import OrchestratorError
from apps.failures import Failure, FailureKind
from apps.infra.models import ProvisioningStatus, ServerStatus
from apps.infra.recap import PlaybookOutcome, PlaybookResult, TaskFailure

STAGE: Final = "provisioning"
#: Nobody knows whether a server was erased.
REINSTALL_UNKNOWN: Final = "reinstall_unknown"
#: A person must change something before another attempt can end otherwise.
_PERSONS: Final = frozenset(
    {
        *("wrong_system", "unsupported_host", "host_key_changed", "login_refused", "not_managed"),
        *("not_provisionable", "duplicate_address", "reinstall_refused"),
    }
)
#: The server is out of reach, whatever the reason.
OUT_OF_REACH: Final = frozenset({"unreachable", "login_refused", "host_key_changed"})
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How an attempt ended."""

    status: ProvisioningStatus
    failure: Failure | None = None
    recap: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""

    @property
    def may_help(self) -> bool:
        """Whether another attempt may end otherwise."""
        return self.failure is not None and self.failure.retryable


def verdict_of(result: PlaybookResult) -> Verdict:
    """Judge a run of a playbook."""
    status, failure = _ending(result)
    return Verdict(
        status=status, failure=failure, recap=result.recap, facts=result.facts, output=result.output
    )


def verdict_of_error(error: OrchestratorError) -> Verdict:
    """Judge an attempt that did not come to a playbook, or whose server did not keep its word after it."""
    code = error.error_code
    if code == "unreachable":
        return _failed(ProvisioningStatus.FAILED, FailureKind.PROVIDER, code, error.message, retryable=True)
    if code in _PERSONS:
        return _failed(ProvisioningStatus.FAILED, FailureKind.USER, code, error.message)
    retryable = code != "ansible_missing"
    return _failed(ProvisioningStatus.CRASHED, FailureKind.PLATFORM, code, error.message, retryable=retryable)


def died() -> Verdict:
    """Judge an attempt whose process is gone."""
    message = "The process that ran the playbook has died."
    return _failed(ProvisioningStatus.CRASHED, FailureKind.PLATFORM, "process_died", message, retryable=True)


def refused(error: OrchestratorError, *, code: str = "") -> Verdict:
    """Judge what was not done because somebody said no; another attempt would hear it again.

    Args:
        error: the no.
        code: what it is called; by default the error's own.
    """
    message = f"{error.message} Nothing was erased."
    return _failed(ProvisioningStatus.FAILED, FailureKind.USER, code or error.error_code, message)


def reinstall_unknown(message: str = "The provider may have begun to erase the server, or not.") -> Verdict:
    """Judge a reinstallation of which nobody knows whether it was done; it is not asked for again."""
    advice = (
        "Look into the provider's panel. If it is erased, enter its password on its page, empty its host key "
        "and set it up; if it is not, set it up as it is."
    )
    return _failed(ProvisioningStatus.CRASHED, FailureKind.PLATFORM, REINSTALL_UNKNOWN, f"{message} {advice}")


def server_after(verdict: Verdict, *, goes_on: bool, was_active: bool) -> ServerStatus:
    """Return the status of a server after an attempt.

    Args:
        verdict: how the attempt ended.
        goes_on: another attempt follows.
        was_active: a set-up of it has succeeded before.
    """
    if verdict.status == ProvisioningStatus.SUCCEEDED:
        return ServerStatus.ACTIVE
    out_of_reach = verdict.failure is not None and verdict.failure.code in OUT_OF_REACH
    if out_of_reach and was_active and not goes_on:
        return ServerStatus.UNREACHABLE
    return ServerStatus.PENDING_SETUP


def pause_before(attempt: int) -> timedelta:
    """Return how long the attempt of a number waits: the second half a minute, each next one twice that."""
    doublings = max(attempt - 2, 0)
    return min(_FIRST_PAUSE * float(2**doublings), _LONGEST_PAUSE)


def _ending(result: PlaybookResult) -> tuple[ProvisioningStatus, Failure | None]:
    match result.outcome:
        case PlaybookOutcome.SUCCEEDED:
            return ProvisioningStatus.SUCCEEDED, None
        case PlaybookOutcome.CANCELED:
            return ProvisioningStatus.CANCELED, None
        case PlaybookOutcome.FAILED | PlaybookOutcome.UNREACHABLE if result.failure is not None:
            return ProvisioningStatus.FAILED, _failure_of(result.failure)
        case PlaybookOutcome.TIMED_OUT:
            text = "The playbook took too long and was ended."
            return _crashed("timed_out", text, retryable=True)
    text = "Ansible could not run the playbook; see the end of its output."
    return _crashed("playbook_broken", text, retryable=False)


def _failure_of(task: TaskFailure) -> Failure:
    is_persons = task.code in _PERSONS
    stderr = f"\n{task.stderr}" if task.stderr else ""
    return Failure(
        stage=STAGE,
        kind=FailureKind.USER if is_persons else FailureKind.PROVIDER,
        code=task.code,
        message=f"{task.task}: {task.message}{stderr}",
        retryable=not is_persons,
        details={"task": task.task},
    )


def _crashed(code: str, message: str, *, retryable: bool) -> tuple[ProvisioningStatus, Failure]:
    failure = Failure(stage=STAGE, kind=FailureKind.PLATFORM, code=code, message=message, retryable=retryable)
    return ProvisioningStatus.CRASHED, failure


def _failed(
    status: ProvisioningStatus, kind: FailureKind, code: str, message: str, *, retryable: bool = False
) -> Verdict:
    failure = Failure(stage=STAGE, kind=kind, code=code, message=message, retryable=retryable)
    return Verdict(status=status, failure=failure)

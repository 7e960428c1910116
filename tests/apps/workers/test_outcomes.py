"""What observations of workers and turns mean."""

from typing import Any

import pytest

from apps.failures import Failure, FailureKind
from apps.workers import outcomes
from apps.workers.outcomes import ContainerEnd, WorkerEnding
from worker_image.contract import DeveloperWorkerOutput, ErrorCode, ResultStatus

pytestmark = pytest.mark.unit


def result(**fields: Any) -> DeveloperWorkerOutput:
    defaults = {"request_id": "r", "task_id": "t", "status": "success", "duration_ms": 1}
    return DeveloperWorkerOutput.model_validate({**defaults, **fields})


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_has_its_own_failure(code: ErrorCode) -> None:
    ending = outcomes.turn_ending(result(status="error", error_code=code, error="why"), has_bundle=True)

    assert ending.failure is not None
    assert (ending.failure.code, ending.failure.message) == (code, "why")
    assert ending.status in {"failed", "crashed"}


@pytest.mark.parametrize(
    ("code", "status", "kind", "retryable"),
    [
        ("agent_exit", "failed", "product", True),
        ("agent_reported_failure", "failed", "product", False),
        ("workspace_unavailable", "crashed", "platform", True),
        ("worker_restarted", "crashed", "platform", True),
        ("agent_missing", "failed", "platform", False),
    ],
)
def test_failure_says_whose_move_it_is(code: str, status: str, kind: str, retryable: bool) -> None:
    ending = outcomes.turn_ending(result(status="error", error_code=code), has_bundle=False)

    assert ending.failure is not None
    assert (ending.status, ending.failure.kind, ending.failure.retryable) == (status, kind, retryable)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ResultStatus.ERROR, "agent_exit"),
        (ResultStatus.FAILED, "agent_reported_failure"),
        (ResultStatus.TIMEOUT, "timeout"),
    ],
)
def test_result_without_a_code_still_has_a_typed_failure(status: ResultStatus, code: str) -> None:
    ending = outcomes.turn_ending(result(status=status), has_bundle=True)

    assert ending.failure is not None
    assert ending.failure.code == code


@pytest.mark.parametrize(
    ("commit_sha", "has_bundle", "status"),
    [(None, False, "succeeded"), ("a" * 40, True, "succeeded"), ("a" * 40, False, "failed")],
)
def test_claimed_commit_needs_its_bundle(commit_sha: str | None, has_bundle: bool, status: str) -> None:
    ending = outcomes.turn_ending(result(commit_sha=commit_sha), has_bundle=has_bundle)

    assert ending.status == status


FLOOD = outcomes.flood(10)
SPAWN = outcomes.platform_failure("spawn_timeout", "late")


@pytest.mark.parametrize(
    ("is_canceling", "is_released", "stop", "exit_code", "status", "code"),
    [
        (True, True, FLOOD, 1, "canceled", None),
        (False, True, FLOOD, 0, "failed", "output_flood"),
        (False, False, SPAWN, None, "crashed", "spawn_timeout"),
        (False, True, None, 1, "succeeded", None),
        (False, False, None, 1, "crashed", "worker_exited"),
        (False, False, None, 0, "failed", "worker_stopped"),
        (False, False, None, 2, "crashed", "worker_misconfigured"),
        (False, False, None, None, "crashed", "container_lost"),
    ],
)
def test_end_of_a_worker_has_one_meaning(
    is_canceling: bool,
    is_released: bool,
    stop: Failure | None,
    exit_code: int | None,
    status: str,
    code: str | None,
) -> None:
    ending = outcomes.worker_ending(
        is_canceling=is_canceling,
        is_released=is_released,
        stop_failure=stop,
        end=ContainerEnd(exit_code=exit_code),
    )

    assert ending.status == status
    assert (ending.failure.code if ending.failure else None) == code


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (ContainerEnd(), "canceled", None),
        (ContainerEnd(exit_code=0, was_asked=True), "canceled", None),
        (ContainerEnd(exit_code=137, was_asked=True), "canceled", None),
        (ContainerEnd(exit_code=0), "failed", "worker_stopped"),
        (ContainerEnd(exit_code=137), "crashed", "worker_exited"),
        (ContainerEnd(exit_code=137, oom_killed=True), "crashed", "out_of_memory"),
    ],
)
def test_worker_is_canceled_only_if_it_did_not_end_before(
    end: ContainerEnd, status: str, code: str | None
) -> None:
    ending = outcomes.worker_ending(is_canceling=True, is_released=False, stop_failure=None, end=end)

    assert (ending.status, ending.failure.code if ending.failure else None) == (status, code)


def test_out_of_memory_is_told_from_other_deaths() -> None:
    end = ContainerEnd(exit_code=137, oom_killed=True)

    ending = outcomes.worker_ending(is_canceling=False, is_released=False, stop_failure=None, end=end)

    assert ending.failure is not None
    assert ending.failure.code == "out_of_memory"


@pytest.mark.parametrize(
    ("exit_code", "said"),
    [(137, "The worker was killed (SIGKILL, exit code 137)."), (1, "ended by itself with exit code 1.")],
)
def test_who_was_killed_is_not_said_to_have_ended_by_itself(exit_code: int, said: str) -> None:
    end = ContainerEnd(exit_code=exit_code)

    ending = outcomes.worker_ending(is_canceling=False, is_released=False, stop_failure=None, end=end)

    assert ending.failure is not None
    assert said in ending.failure.message
    assert ending.failure.details == {"exit_code": exit_code}


def test_turn_left_by_a_canceled_worker_is_canceled() -> None:
    canceled = outcomes.turn_of_dead_worker(WorkerEnding(status=outcomes.WorkerStatus.CANCELED))
    crashed = outcomes.turn_of_dead_worker(WorkerEnding(status=outcomes.WorkerStatus.CRASHED, failure=SPAWN))

    assert (canceled.status, canceled.failure) == ("canceled", None)
    assert crashed.failure is not None
    assert (crashed.status, crashed.failure.kind) == ("crashed", FailureKind.PLATFORM)

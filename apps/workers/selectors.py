"""What others may know of workers, turns and verifications: read only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.errors import NotFound
from apps.failures import Failure
from apps.workers import attachments, queueing
from apps.workers.models import (
    Turn,
    TurnStatus,
    Verification,
    VerificationStatus,
    Worker,
    WorkerEvent,
    WorkerStatus,
)
from apps.workers.queueing import QueuePlace
from worker_image.contract import OutputKind

_READY = frozenset({WorkerStatus.RUNNING, WorkerStatus.PAUSED})
_WORKER_FINAL = Worker.final_statuses()
_TURN_FINAL = Turn.final_statuses()
_VERIFICATION_FINAL = Verification.final_statuses()
_MAX_PROGRESS_LINES = 500


class WorkerNotFound(NotFound):
    """There is no such worker."""

    code = "worker_not_found"


class TurnNotFound(NotFound):
    """There is no such turn."""

    code = "turn_not_found"


class VerificationNotFound(NotFound):
    """There is no such verification."""

    code = "verification_not_found"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOutcome:
    """Where a worker is; ``removed`` means that its container is proven gone."""

    status: WorkerStatus
    is_ready: bool
    is_final: bool
    failure: Failure | None
    removed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnOutcome:
    """What a turn came to; its commit is a claim until it is verified."""

    status: TurnStatus
    is_final: bool
    commit_sha: str | None
    branch: str | None
    bundle_name: str | None
    bundle_sha256: str | None
    summary: str
    usage: dict[str, Any] | None
    failure: Failure | None
    duration_ms: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class VerificationOutcome:
    """What the checks said; ``crashed`` is neither a pass nor a failure of the work."""

    status: VerificationStatus
    is_final: bool
    evidence: dict[str, Any] | None
    failure: Failure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressLine:
    """One thing a worker said while it worked."""

    id: int
    message: str
    step: str
    pct: int | None
    at: datetime


def get_worker(worker_id: UUID) -> Worker:
    """Return a worker.

    Raises:
        WorkerNotFound: there is none.

    """
    worker = Worker.objects.filter(pk=worker_id).first()
    if worker is None:
        raise WorkerNotFound(details={"worker_id": str(worker_id)})
    return worker


def get_worker_outcome(*, worker_id: UUID) -> WorkerOutcome:
    """Return where a worker is.

    Raises:
        WorkerNotFound: there is none.

    """
    worker = get_worker(worker_id)
    status = WorkerStatus(worker.status)
    return WorkerOutcome(
        status=status,
        is_ready=status in _READY,
        is_final=status in _WORKER_FINAL,
        failure=_failure(worker.failure),
        removed=worker.removed_at is not None,
    )


def get_queue_place(*, worker_id: UUID) -> QueuePlace | None:
    """Return a worker's place in the line; None if it does not wait for one."""
    return queueing.line().get(worker_id)


def get_queue_place_of_task(*, task_id: UUID) -> QueuePlace | None:
    """Return the place in the line of a task's worker; None if none of them waits."""
    waiting = Worker.objects.filter(task_id=task_id, status=WorkerStatus.PENDING)
    worker_id = waiting.values_list("pk", flat=True).first()
    return None if worker_id is None else get_queue_place(worker_id=worker_id)


def find_image_wait(*, task_id: UUID) -> datetime | None:
    """Return since when a task's worker waits for its image to be built; None if it does not."""
    waiting = Worker.objects.filter(task_id=task_id, status=WorkerStatus.BUILDING)
    return waiting.values_list("status_changed_at", flat=True).first()


def get_turn(turn_id: UUID) -> Turn:
    """Return a turn.

    Raises:
        TurnNotFound: there is none.

    """
    turn = Turn.objects.filter(pk=turn_id).first()
    if turn is None:
        raise TurnNotFound(details={"turn_id": str(turn_id)})
    return turn


def get_turn_outcome(*, turn_id: UUID) -> TurnOutcome:
    """Return what a turn came to.

    Raises:
        TurnNotFound: there is none.

    """
    turn = get_turn(turn_id)
    return TurnOutcome(
        status=TurnStatus(turn.status),
        is_final=turn.status in _TURN_FINAL,
        commit_sha=turn.commit_sha or None,
        branch=turn.branch or None,
        bundle_name=turn.bundle_name or None,
        bundle_sha256=turn.bundle_sha256 or None,
        summary=turn.summary,
        usage=turn.usage,
        failure=_failure(turn.failure),
        duration_ms=turn.duration_ms,
    )


def get_verification(verification_id: UUID) -> Verification:
    """Return a verification.

    Raises:
        VerificationNotFound: there is none.

    """
    verification = Verification.objects.filter(pk=verification_id).first()
    if verification is None:
        raise VerificationNotFound(details={"verification_id": str(verification_id)})
    return verification


def get_verification_outcome(*, verification_id: UUID) -> VerificationOutcome:
    """Return what the checks said.

    Raises:
        VerificationNotFound: there is none.

    """
    verification = get_verification(verification_id)
    return VerificationOutcome(
        status=VerificationStatus(verification.status),
        is_final=verification.status in _VERIFICATION_FINAL,
        evidence=verification.evidence,
        failure=_failure(verification.failure),
    )


def list_progress(*, turn_id: UUID, after_id: int = 0) -> list[ProgressLine]:
    """Return what a worker said about a turn, oldest first, after an id; at most 500 lines."""
    events = WorkerEvent.objects.filter(turn_id=turn_id, kind=OutputKind.PROGRESS, id__gt=after_id).order_by(
        "id"
    )
    return [
        ProgressLine(
            id=event.pk,
            message=event.body.get("message") or "",
            step=event.body.get("current_step") or "",
            pct=event.body.get("progress_pct"),
            at=event.received_at,
        )
        for event in events[:_MAX_PROGRESS_LINES]
    ]


def _failure(record: dict[str, Any] | None) -> Failure | None:
    return None if record is None else Failure.from_json(record)


def bundle_names_in_use() -> set[str]:
    """Return the names in the shared storage that rows of this app still need."""
    workers = Worker.objects.exclude(status__in=_WORKER_FINAL)
    checks = Verification.objects.exclude(status__in=_VERIFICATION_FINAL)
    return {
        *workers.values_list("workspace_name", flat=True),
        *workers.exclude(snapshots=None).values_list("snapshots__name", flat=True),
        *checks.values_list("bundle_name", flat=True),
        *attachments.names_in_use(),
    } - {""}

"""Brings a turn to its worker, and ends it at its deadline."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from apps.workers import consumer_apply, outcomes, selectors
from apps.workers.composition import Hands
from apps.workers.followups import FollowUp, FollowUps
from apps.workers.models import Turn, TurnStatus, Worker, WorkerEvent, WorkerStatus
from apps.workers.outcomes import TurnEnding, WorkerEnding
from apps.workers.reconciler_end import end_turn
from worker_image.contract import DeveloperWorkerInput, POWorkerInput, WorkerType

_TAKES_INPUT: Final = frozenset({WorkerStatus.STARTING, WorkerStatus.RUNNING, WorkerStatus.PAUSED})
_TURN_FINAL: Final = Turn.final_statuses()
_WORKER_FINAL: Final = Worker.final_statuses()
#: A worker says that it began within seconds; after this its input may have been lost with its server.
_RESEND_SECONDS: Final = 10


def reconcile_turn(*, turn_id: UUID, hands: Hands) -> FollowUps:
    """Take one step for a turn.

    Raises:
        TurnNotFound: there is none.
        ChannelUnavailable: nothing is known; take the step again later.

    """
    turn = selectors.get_turn(turn_id)
    if turn.status in _TURN_FINAL:
        return []
    worker, now = turn.worker, timezone.now()
    if worker.status in _WORKER_FINAL:
        end_turn(turn.pk, outcomes.turn_of_dead_worker(_ending_of(worker)))
        return []
    if turn.deadline_at <= now:
        return _time_out(turn)
    if worker.status in _TAKES_INPUT and worker.observed_at is not None and not worker.removed_at:
        _deliver(turn, worker, hands, now)
    return []


def _ending_of(worker: Worker) -> WorkerEnding:
    record = selectors.get_worker_outcome(worker_id=worker.pk)
    return WorkerEnding(status=record.status, failure=record.failure)


def _time_out(turn: Turn) -> FollowUps:
    """End a turn and the worker that owes its result: nobody knows what that one still does."""
    failure = outcomes.turn_timeout(turn.timeout_seconds)
    # First the worker: a crash in between leaves a turn that times out again.
    consumer_apply.stop(turn.worker_id, failure)
    end_turn(turn.pk, TurnEnding(status=TurnStatus.FAILED, failure=failure))
    return [FollowUp(kind="worker", id=turn.worker_id)]


def _deliver(turn: Turn, worker: Worker, hands: Hands, now: datetime) -> None:
    if turn.status == TurnStatus.RUNNING and not _seems_lost(turn, now):
        return
    hands.channel.send_input(worker.pk, number=turn.number, message=message_of(turn, worker))
    if turn.status != TurnStatus.PENDING:
        return
    deadline = now + timedelta(seconds=turn.timeout_seconds + hands.limits.report_seconds)
    Turn.try_transition(
        turn.pk, to=TurnStatus.RUNNING, expect=TurnStatus.PENDING, sent_at=now, deadline_at=deadline
    )
    idle_until = deadline + timedelta(seconds=hands.limits.idle_seconds)
    if worker.status != WorkerStatus.STARTING:
        Worker.objects.filter(pk=worker.pk).update(deadline_at=Greatest(F("deadline_at"), idle_until))


def _seems_lost(turn: Turn, now: datetime) -> bool:
    """Tell whether the worker has had time to say that it began, and has not."""
    if turn.sent_at is None or now < turn.sent_at + timedelta(seconds=_RESEND_SECONDS):
        return False
    return not WorkerEvent.objects.filter(turn_id=turn.pk).exists()


def message_of(turn: Turn, worker: Worker) -> str:
    """Return a turn in the words of the contract; the same for the same row."""
    correlation_id = str(worker.run_id or worker.pk)
    if worker.worker_type == WorkerType.PO:
        return POWorkerInput(
            correlation_id=correlation_id,
            request_id=str(turn.pk),
            chat_id=worker.owner_id,
            prompt=turn.prompt,
            timeout=turn.timeout_seconds,
        ).model_dump_json()
    return DeveloperWorkerInput(
        correlation_id=correlation_id,
        request_id=str(turn.pk),
        task_id=str(turn.task_id or turn.pk),
        project_id=str(turn.project_id or worker.pk),
        prompt=turn.prompt,
        timeout=turn.timeout_seconds,
        branch=worker.branch or None,
        base_sha=worker.base_sha or None,
    ).model_dump_json()

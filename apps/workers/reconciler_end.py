"""How a worker ends: everything is written down and stored before the source of it is destroyed.

The order: stopped → evidence recorded, work stored → container gone → its user
deleted → its output read to the end → its streams deleted → its outcome.
"""

import time
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.failures import Failure
from apps.workers import composition, liveness_rows, outcomes, reconciler_queue, rescue, signals
from apps.workers.composition import Hands
from apps.workers.followups import FollowUps
from apps.workers.models import Turn, TurnStatus, Worker, WorkerStatus
from apps.workers.redaction import redact
from apps.workers.runtime.base import ContainerNotFound, ContainerState, Phase
from apps.workers.runtime.ends import LOST
from worker_image.contract import ErrorCode

LOG_TAIL_BYTES: Final = 20_000
ALIVE: Final = frozenset({Phase.CREATED, Phase.RUNNING, Phase.PAUSED})
UNFINISHED_TURN: Final = (TurnStatus.PENDING, TurnStatus.RUNNING)
_DRAIN_SECONDS: Final = 1.0
_DRAIN_POLL_SECONDS: Final = 0.02
#: These are not asked to stop: they never worked, or work against us.
_AT_ONCE: Final = frozenset({outcomes.FLOOD_CODE, LOST, "spawn_timeout"})


def end(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    """Take one step towards a worker's end.

    Raises:
        RuntimeUnavailable, ChannelUnavailable: nothing is known; take the step again later.

    """
    stop = None if worker.stop_failure is None else Failure.from_json(worker.stop_failure)
    is_flood = stop is not None and stop.code == outcomes.FLOOD_CODE
    if is_flood:
        hands.channel.shut_out(worker.pk)
    if worker.removed_at is None and not _remove(worker, hands, now, stop):
        return []
    hands.channel.shut_out(worker.pk)
    if worker.drained_at is None:
        if not is_flood and not _drained(worker, hands):
            # Its place is free all the same.
            return reconciler_queue.nudge_next()
        worker.drained_at = now
        Worker.objects.filter(pk=worker.pk, drained_at=None).update(drained_at=now)
    hands.channel.drop(worker.pk)
    _conclude(worker, stop)
    return reconciler_queue.nudge_next()


def _remove(worker: Worker, hands: Hands, now: datetime, stop: Failure | None) -> bool:
    """Stop, record, remove; tells whether the container is gone."""
    state = hands.runtime.inspect(worker.container_name)
    liveness_rows.note(worker, state, now)
    is_alive = state is not None and state.phase in ALIVE
    at_once = stop is not None and stop.code in _AT_ONCE
    if is_alive and not at_once and not _has_had_its_time(worker, hands, now):
        return False
    if state is not None:
        capture(worker, state, hands)
    try:
        may_go = rescue.secure(worker, state, hands, now)
    except ContainerNotFound:
        may_go = rescue.secure(worker, None, hands, now)
    if not may_go:
        return False
    hands.runtime.remove(worker.container_name)
    Worker.objects.filter(pk=worker.pk).update(removed_at=now, observed_at=now)
    worker.removed_at = now
    liveness_rows.note(worker, state, now)
    # The proof that it is gone is news of its own: an attempt may follow.
    signals.announce(signals.worker_changed, worker_id=worker.pk)
    return True


def _has_had_its_time(worker: Worker, hands: Hands, now: datetime) -> bool:
    """Ask a living container to stop, and tell whether it has had the time to do so."""
    grace = timedelta(seconds=hands.limits.stop_grace_seconds)
    asked_at = worker.stop_asked_at
    if asked_at is not None and now >= asked_at + grace:
        return True
    if asked_at is None:
        Worker.objects.filter(pk=worker.pk).update(stop_asked_at=now)
    # Once, and once more in case that we died before the first: a second signal can hit a wrapper that is
    # just ending and has no handler any more.
    if asked_at is None or now >= asked_at + grace / 2:
        hands.runtime.ask_to_stop(worker.container_name)
    return False


def capture(worker: Worker, state: ContainerState, hands: Hands) -> None:
    """Write down what will be destroyed with the container."""
    try:
        text = hands.runtime.logs(worker.container_name, tail_bytes=LOG_TAIL_BYTES)
    except ContainerNotFound:
        text = ""
    worker.exit_code, worker.oom_killed = state.exit_code, state.oom_killed
    Worker.objects.filter(pk=worker.pk).update(
        exit_code=state.exit_code,
        oom_killed=state.oom_killed,
        image_digest=state.image or "",
        log_tail=redact(text, composition.known_secrets(worker)),
    )


def _drained(worker: Worker, hands: Hands) -> bool:
    """Tell whether its output was read to the end, giving the consumer a moment to do so."""
    hands.channel.wake_consumers()
    deadline = time.monotonic() + _DRAIN_SECONDS
    while not (drained := hands.channel.is_drained(worker.pk)) and time.monotonic() < deadline:
        time.sleep(_DRAIN_POLL_SECONDS)
    return drained


def _was_asked(worker: Worker) -> bool:
    """Tell whether it was asked to end before it said that somebody else had asked it."""
    if worker.stop_asked_at is None:
        return False
    said = worker.turns.filter(failure__code=ErrorCode.WORKER_STOPPED, finished_at__lte=worker.stop_asked_at)
    return not said.exists()


@transaction.atomic
def _conclude(worker: Worker, stop: Failure | None) -> None:
    row = Worker.objects.get(pk=worker.pk)
    ending = outcomes.worker_ending(
        is_canceling=row.status == WorkerStatus.CANCELING,
        is_released=row.released_at is not None,
        stop_failure=stop,
        end=outcomes.ContainerEnd(
            exit_code=row.exit_code, oom_killed=row.oom_killed, was_asked=_was_asked(row)
        ),
    )
    now = timezone.now()
    Worker.transition(
        row.pk,
        to=ending.status,
        expect=row.status,
        finished_at=now,
        failure=None if ending.failure is None else ending.failure.as_json(),
    )
    liveness_rows.note(Worker.objects.get(pk=row.pk), None, now)
    signals.announce(signals.worker_changed, worker_id=row.pk)
    for turn_id in row.turns.filter(status__in=UNFINISHED_TURN).values_list("pk", flat=True):
        end_turn(turn_id, outcomes.turn_of_dead_worker(ending))


def end_turn(turn_id: UUID, ending: outcomes.TurnEnding) -> bool:
    """End a turn that has no result, unless a result was first."""
    failure = None if ending.failure is None else ending.failure.as_json()
    moved = Turn.try_transition(turn_id, to=ending.status, failure=failure, finished_at=timezone.now())
    if moved:
        signals.announce(signals.turn_changed, turn_id=turn_id)
    return moved

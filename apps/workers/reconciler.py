"""Brings a worker's row and its container together, one short step at a time.

Every step may be repeated and may be cut off anywhere: what it does outside the
database has a derived name, and what is learned is written down before the
source of it is destroyed. The order of an end: container gone → its user
deleted → its output read to the end → its streams deleted → its outcome.
"""

import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.errors import Invalid
from apps.failures import Failure
from apps.workers import (
    composition,
    consumer_apply,
    instructions,
    liveness_rows,
    outcomes,
    reconciler_queue,
    selectors,
    signals,
)
from apps.workers.composition import Hands
from apps.workers.liveness import Liveness
from apps.workers.models import Turn, TurnStatus, Worker, WorkerStatus
from apps.workers.redaction import redact
from apps.workers.runtime.base import ContainerNotFound, ContainerState, Phase

logger = logging.getLogger(__name__)

LOG_TAIL_BYTES: Final = 20_000
_ALIVE: Final = frozenset({Phase.CREATED, Phase.RUNNING, Phase.PAUSED})
_FINAL: Final = Worker.final_statuses()
UNFINISHED_TURN: Final = (TurnStatus.PENDING, TurnStatus.RUNNING)
_DRAIN_SECONDS: Final = 1.0
_DRAIN_POLL_SECONDS: Final = 0.02
#: These are not asked to stop: they never worked, or work against us.
_AT_ONCE: Final = frozenset({outcomes.FLOOD_CODE, "spawn_timeout"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowUp:
    """A row that is worth a step now."""

    kind: str
    """``worker``, ``turn`` or ``verification``."""
    id: UUID


FollowUps = list[FollowUp]


def reconcile_worker(*, worker_id: UUID, hands: Hands) -> FollowUps:
    """Take one step for a worker.

    Returns:
        The rows for which a further step is possible at once.

    Raises:
        WorkerNotFound: there is none.
        IllegalTransition: somebody else moved it meanwhile.
        RuntimeUnavailable, ChannelUnavailable: nothing is known; take the step again later.

    """
    worker = selectors.get_worker(worker_id)
    if worker.status in _FINAL:
        return []
    now = timezone.now()
    if worker.status == WorkerStatus.CANCELING or worker.stop_failure or worker.released_at:
        return _end(worker, hands, now)
    if worker.status == WorkerStatus.PENDING:
        return _wait_for_place(worker, hands, now)
    state = hands.runtime.inspect(worker.container_name)
    if state is None and worker.status != WorkerStatus.RUNNING and worker.observed_at is None:
        return _start(worker, hands, now)
    if state is None or state.phase not in _ALIVE:
        return _end(worker, hands, now)
    found = liveness_rows.note(worker, state, now)
    return _give_up_on_stalled(worker, found, hands, now) or _watch(worker, hands, now)


def _wait_for_place(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    limits = hands.limits
    if reconciler_queue.claim_place(worker, places=limits.max_concurrent, spawn_seconds=limits.spawn_seconds):
        return [_again(worker)]
    if worker.deadline_at <= now:
        message = f"No place became free among the {limits.max_concurrent} workers that may run at once."
        return _decide(worker, outcomes.platform_failure("resource_exhausted", message))
    return []


def _start(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    if worker.deadline_at <= now:
        message = "The worker's container could not be started in time."
        return _decide(worker, outcomes.platform_failure("spawn_timeout", message))
    # The user first: a container that starts without one would be refused by the channel.
    hands.channel.admit(worker.pk, worker.password_sha256)
    try:
        with instructions.written(worker) as inputs:
            spec = hands.describe(worker)
            hands.runtime.start(replace(spec, inputs={**spec.inputs, **inputs}))
    except Invalid as error:
        failure = outcomes.platform_failure(error.error_code, error.message, retryable=False)
        return _decide(worker, failure)
    Worker.objects.filter(pk=worker.pk).update(observed_at=now)
    return [
        FollowUp(kind="turn", id=turn_id)
        for turn_id in worker.turns.filter(status=TurnStatus.PENDING).values_list("pk", flat=True)
    ]


def _watch(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    """Look after a living container. A stale heartbeat alone proves nothing: it was just seen alive."""
    Worker.objects.filter(pk=worker.pk).update(observed_at=now)
    if worker.deadline_at <= now:
        if worker.status == WorkerStatus.STARTING:
            message = "The worker's container runs but has not reported in time."
            return _decide(worker, outcomes.platform_failure("spawn_timeout", message))
        message = "The worker had nothing to do for longer than it may wait."
        return _decide(worker, outcomes.platform_failure("worker_deadline", message, retryable=False))
    if not hands.channel.is_admitted(worker.pk):
        logger.warning("The channel has forgotten worker %s; admitting it again", worker.pk)
        hands.channel.admit(worker.pk, worker.password_sha256)
    return []


def _give_up_on_stalled(worker: Worker, found: Liveness, hands: Hands, now: datetime) -> FollowUps:
    """End the turn of an agent that is proven stalled, and the worker with it; a new attempt may follow."""
    turn = liveness_rows.stalled_turn(worker, found, now, patience_seconds=hands.limits.stall_seconds)
    if turn is None:
        return []
    failure = outcomes.stall(found.ground, hands.limits.stall_seconds)
    # First the worker: a crash in between leaves a turn that is given up again.
    consumer_apply.stop(worker.pk, failure)
    end_turn(turn.pk, outcomes.TurnEnding(status=TurnStatus.CRASHED, failure=failure))
    return [_again(worker)]


def _decide(worker: Worker, failure: Failure) -> FollowUps:
    consumer_apply.stop(worker.pk, failure)
    return [_again(worker)]


def _end(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    stop = None if worker.stop_failure is None else Failure.from_json(worker.stop_failure)
    is_flood = stop is not None and stop.code == outcomes.FLOOD_CODE
    if is_flood:
        hands.channel.shut_out(worker.pk)
    if worker.removed_at is None and not _remove(worker, hands, now, stop):
        return []
    hands.channel.shut_out(worker.pk)
    if worker.drained_at is None:
        if not is_flood and not _drained(worker, hands):
            return []
        worker.drained_at = now
        Worker.objects.filter(pk=worker.pk, drained_at=None).update(drained_at=now)
    hands.channel.drop(worker.pk)
    _conclude(worker, stop)
    waiting = reconciler_queue.next_in_line()
    return [] if waiting is None else [_again(waiting)]


def _remove(worker: Worker, hands: Hands, now: datetime, stop: Failure | None) -> bool:
    """Stop, record, remove; tells whether the container is gone."""
    state = hands.runtime.inspect(worker.container_name)
    liveness_rows.note(worker, state, now)
    is_alive = state is not None and state.phase in _ALIVE
    at_once = stop is not None and stop.code in _AT_ONCE
    if is_alive and not at_once and not _has_had_its_time(worker, hands, now):
        return False
    if state is not None:
        _capture(worker, state, hands)
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


def _capture(worker: Worker, state: ContainerState, hands: Hands) -> None:
    """Write down what will be destroyed with the container."""
    try:
        text = hands.runtime.logs(worker.container_name, tail_bytes=LOG_TAIL_BYTES)
    except ContainerNotFound:
        text = ""
    worker.exit_code, worker.oom_killed = state.exit_code, state.oom_killed
    Worker.objects.filter(pk=worker.pk).update(
        exit_code=state.exit_code,
        oom_killed=state.oom_killed,
        log_tail=redact(text, composition.known_secrets(worker)),
    )


def _drained(worker: Worker, hands: Hands) -> bool:
    """Tell whether its output was read to the end, giving the consumer a moment to do so."""
    hands.channel.wake_consumers()
    deadline = time.monotonic() + _DRAIN_SECONDS
    while not (drained := hands.channel.is_drained(worker.pk)) and time.monotonic() < deadline:
        time.sleep(_DRAIN_POLL_SECONDS)
    return drained


@transaction.atomic
def _conclude(worker: Worker, stop: Failure | None) -> None:
    row = Worker.objects.get(pk=worker.pk)
    ending = outcomes.worker_ending(
        is_canceling=row.status == WorkerStatus.CANCELING,
        is_released=row.released_at is not None,
        stop_failure=stop,
        end=outcomes.ContainerEnd(exit_code=row.exit_code, oom_killed=row.oom_killed),
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


def _again(worker: Worker) -> FollowUp:
    return FollowUp(kind="worker", id=worker.pk)

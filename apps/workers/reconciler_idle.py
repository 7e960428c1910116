"""A Product Owner between two messages: it stands still, wakes for the next one, and goes after a day.

The row moves before the container is paused and after it was woken, each under
the worker's own lock, so a step that was cut off is finished by the next: a
paused row whose container runs is paused again, or woken if a turn waits.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from apps.workers import signals
from apps.workers.composition import Hands
from apps.workers.container_config import PO_DEADLINE_SECONDS
from apps.workers.followups import FollowUp, FollowUps, again
from apps.workers.models import Turn, TurnStatus, Worker, WorkerStatus
from apps.workers.reconciler_queue import position_of
from apps.workers.runtime.base import ContainerNotFound, ContainerNotRunning, ContainerState, Phase
from worker_image.contract import WorkerType

logger = logging.getLogger(__name__)

_RESTING = frozenset({WorkerStatus.RUNNING, WorkerStatus.PAUSED})
_UNFINISHED_TURN = (TurnStatus.PENDING, TurnStatus.RUNNING)


def may_rest(worker: Worker) -> bool:
    """Tell whether this worker waits for messages, and not for its next deadline."""
    return worker.worker_type == WorkerType.PO and worker.status in _RESTING


def rest(worker: Worker, state: ContainerState, hands: Hands, now: datetime) -> FollowUps:
    """Pause, wake or release a Product Owner, as its messages have it.

    Raises:
        RuntimeUnavailable: take the step again later.

    """
    if not may_rest(worker):
        return []
    try:
        if (turn := _waiting_turn(worker)) is not None:
            return _wake(worker, turn, state, hands)
        idle = now - _idle_since(worker)
        age = now - worker.created_at
        longest = timedelta(seconds=hands.limits.stop_seconds)
        if idle >= longest or age >= timedelta(seconds=PO_DEADLINE_SECONDS) - longest:
            return _release(worker, now)
        if idle >= timedelta(seconds=hands.limits.pause_seconds):
            return _pause(worker, state, hands, now)
    except (ContainerNotFound, ContainerNotRunning):
        return [again(worker)]
    return []


def make_way(waiting: Worker, now: datetime) -> FollowUps:
    """Let the longest paused worker go when another has no place: its conversation outlives it."""
    if position_of(waiting):
        return []
    paused = Worker.objects.filter(status=WorkerStatus.PAUSED, stop_failure__isnull=True)
    # One that goes already will free the place.
    if paused.filter(released_at__isnull=False).exists():
        return []
    longest = paused.exclude(turns__status__in=_UNFINISHED_TURN).order_by("paused_at").first()
    return [] if longest is None else _release(longest, now)


def _waiting_turn(worker: Worker) -> Turn | None:
    return worker.turns.filter(status__in=_UNFINISHED_TURN).first()


def _idle_since(worker: Worker) -> datetime:
    last = worker.turns.order_by("-number").first()
    ended = None if last is None else last.finished_at or last.created_at
    return ended or worker.started_at or worker.created_at


def _wake(worker: Worker, turn: Turn, state: ContainerState, hands: Hands) -> FollowUps:
    if worker.status != WorkerStatus.PAUSED and state.phase is not Phase.PAUSED:
        return []
    hands.runtime.unpause(worker.container_name)
    running, paused = WorkerStatus.RUNNING, WorkerStatus.PAUSED
    if Worker.try_transition(worker.pk, to=running, expect=paused, paused_at=None):
        logger.info("Worker %s was woken for turn %s", worker.pk, turn.number)
        signals.announce(signals.worker_changed, worker_id=worker.pk)
    return [FollowUp(kind="turn", id=turn.pk)]


def _pause(worker: Worker, state: ContainerState, hands: Hands, now: datetime) -> FollowUps:
    if worker.status != WorkerStatus.PAUSED and not _claim_pause(worker, now):
        return [again(worker)]
    if state.phase is not Phase.PAUSED:
        hands.runtime.pause(worker.container_name)
    # Whoever sent a turn meanwhile could not wake it: this step held the worker.
    return [] if _waiting_turn(worker) is None else [again(worker)]


@transaction.atomic
def _claim_pause(worker: Worker, now: datetime) -> bool:
    """Move a worker to ``paused``, unless a turn was given to it just now: giving one takes the same lock."""
    Worker.objects.select_for_update().get(pk=worker.pk)
    if _waiting_turn(worker) is not None:
        return False
    running, paused = WorkerStatus.RUNNING, WorkerStatus.PAUSED
    moved = Worker.try_transition(worker.pk, to=paused, expect=running, paused_at=now)
    if moved:
        signals.announce(signals.worker_changed, worker_id=worker.pk)
    return moved


def _release(worker: Worker, now: datetime) -> FollowUps:
    Worker.objects.filter(pk=worker.pk, released_at=None).update(released_at=now)
    return [again(worker)]
